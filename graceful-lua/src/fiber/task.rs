//! A task as everybody but its own code sees it: its name, its state, its end.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::Context;

use async_trait::async_trait;
use event_listener::Event;
use futures_util::task::AtomicWaker;
use graceful_core::{HookError, Lease, Name, Resource, Value};

use crate::record::next_id;
use crate::vm::Vm;

/// How a task ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum End {
    /// It returned; what of that is plain data.
    Returned(Vec<Value>),
    /// It threw.
    Failed(String),
    /// It was cancelled, or its program ended.
    Cancelled,
}

/// Where a task is in its life, as a number.
const WAITING: u8 = 0;
const SUSPENDED: u8 = 1;
const RUNNING: u8 = 2;
const DEAD: u8 = 3;

/// What is known of a task outside of its own future.
pub(crate) struct Task {
    id: u64,
    owner: Name,
    vm: Weak<Vm>,
    name: Mutex<Option<String>>,
    state: AtomicU8,
    cancelled: AtomicBool,
    joinable: AtomicBool,
    /// The lease of the turn that runs, so that a task that spins can be told.
    turn: Mutex<Option<Lease>>,
    waker: AtomicWaker,
    end: Mutex<Option<End>>,
    ended: Event,
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Task>>> = const { RefCell::new(None) };
}

impl Task {
    /// A task of module `owner` that was not started.
    pub(super) fn new(vm: &Arc<Vm>, owner: &Name) -> Arc<Self> {
        Arc::new(Self {
            id: next_id(),
            owner: owner.clone(),
            vm: Arc::downgrade(vm),
            name: Mutex::default(),
            state: AtomicU8::new(WAITING),
            cancelled: AtomicBool::new(false),
            joinable: AtomicBool::new(true),
            turn: Mutex::default(),
            waker: AtomicWaker::new(),
            end: Mutex::default(),
            ended: Event::new(),
        })
    }

    /// The task this thread runs, if any.
    pub(crate) fn current() -> Option<Arc<Task>> {
        CURRENT.with_borrow(Clone::clone)
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// The module it belongs to.
    pub(super) fn owner(&self) -> &Name {
        &self.owner
    }

    /// The name it was given, else its number.
    pub(super) fn title(&self) -> String {
        self.name.lock().unwrap().clone().unwrap_or_else(|| self.id.to_string())
    }

    pub(crate) fn set_name(&self, name: String) {
        *self.name.lock().unwrap() = Some(name);
    }

    /// Whether others may wait for its end; they may unless told otherwise.
    pub(super) fn is_joinable(&self) -> bool {
        self.joinable.load(Ordering::Relaxed)
    }

    pub(super) fn set_joinable(&self, joinable: bool) {
        self.joinable.store(joinable, Ordering::Relaxed);
    }

    /// Its state in one word.
    pub(crate) fn status(&self) -> &'static str {
        match self.state.load(Ordering::Acquire) {
            WAITING | SUSPENDED => "suspended",
            RUNNING => "running",
            _ => "dead",
        }
    }

    /// Whether it waits for a commit to start it.
    pub(crate) fn is_waiting(&self) -> bool {
        self.state.load(Ordering::Acquire) == WAITING
    }

    /// Ends it: at once if it is suspended, at its next yield if it runs, or where the interrupt stops it.
    /// Nothing if it has ended.
    pub(crate) fn cancel(&self) {
        if self.cancelled.swap(true, Ordering::AcqRel) {
            return;
        }
        let turn = self.turn.lock().unwrap().clone();
        if let (Some(turn), Some(vm)) = (turn, self.vm.upgrade()) {
            turn.cancel();
            vm.turns.watch();
        }
        self.waker.wake();
    }

    /// How it ended, once it has.
    pub(crate) async fn join(&self) -> End {
        loop {
            let ended = self.ended.listen();
            if let Some(end) = &*self.end.lock().unwrap() {
                return end.clone();
            }
            ended.await;
        }
    }

    pub(super) fn started(&self) {
        self.state.store(SUSPENDED, Ordering::Release);
    }

    /// Whoever cancels it wakes `cx`.
    pub(super) fn listens(&self, cx: &Context<'_>) {
        self.waker.register(cx.waker());
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    pub(super) fn end(&self, end: End) {
        self.end.lock().unwrap().get_or_insert(end);
        self.state.store(DEAD, Ordering::Release);
        self.ended.notify(usize::MAX);
    }
}

#[async_trait]
impl Resource for Task {
    fn kind(&self) -> &'static str {
        "task"
    }

    fn key(&self) -> String {
        self.title()
    }

    fn id(&self) -> u64 {
        self.id
    }

    /// The intent that holds its [`Drive`](super::drive::Drive) starts it: were they held here, a task that never starts would
    /// keep itself alive through its own Lua handle.
    fn activate(&self) {}

    fn is_done(&self) -> bool {
        self.state.load(Ordering::Acquire) == DEAD
    }

    fn abandon(&self) {
        self.cancel();
    }

    async fn release(&self) -> Result<(), HookError> {
        self.cancel();
        self.join().await;
        Ok(())
    }
}

/// Marks the task as the one this thread runs.
pub(super) struct Running<'a> {
    task: &'a Task,
    before: Option<Arc<Task>>,
}

impl<'a> Running<'a> {
    pub(super) fn enter(task: &'a Arc<Task>, lease: &Lease) -> Self {
        *task.turn.lock().unwrap() = Some(lease.clone());
        task.state.store(RUNNING, Ordering::Release);
        Self { task, before: CURRENT.replace(Some(task.clone())) }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        CURRENT.set(self.before.take());
        self.task.state.store(SUSPENDED, Ordering::Release);
        let turn = self.task.turn.lock().unwrap().take();
        drop(turn);
    }
}
