//! A task: a Lua call that takes a new lease for each of its turns, and ends at once when it is cancelled.

use std::cell::RefCell;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use event_listener::{Event, EventListener};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::task::AtomicWaker;
use graceful_core::{HookError, Lease, LeaseKind, Name, Resource, Value, World};
use mlua::{Function, MultiValue};

use crate::error::{guard, script_error};
use crate::record::next_id;
use crate::run::{How, Watched};
use crate::value::from_lua;
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
    name: Mutex<Option<String>>,
    state: AtomicU8,
    cancelled: AtomicBool,
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
    /// The task this thread runs, if any.
    pub(crate) fn current() -> Option<Arc<Task>> {
        CURRENT.with_borrow(Clone::clone)
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn name(&self) -> Option<String> {
        self.name.lock().unwrap().clone()
    }

    pub(crate) fn set_name(&self, name: String) {
        *self.name.lock().unwrap() = Some(name);
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
        if !self.cancelled.swap(true, Ordering::AcqRel) {
            let turn = self.turn.lock().unwrap().clone();
            turn.iter().for_each(Lease::cancel);
            self.waker.wake();
        }
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

    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    fn end(&self, end: End) {
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
        self.name().unwrap_or_else(|| self.id.to_string())
    }

    fn id(&self) -> u64 {
        self.id
    }

    /// The intent that holds its [`Turns`] starts it: were they held here, a task that never starts would
    /// keep itself alive through its own Lua handle.
    fn activate(&self) {}

    fn is_done(&self) -> bool {
        self.state.load(Ordering::Acquire) == DEAD
    }

    async fn release(&self) -> Result<(), HookError> {
        self.cancel();
        self.join().await;
        Ok(())
    }
}

type Body = BoxFuture<'static, std::thread::Result<mlua::Result<MultiValue>>>;

/// Drives a task. Dropped before its end it cancels it.
pub(crate) struct Turns {
    task: Arc<Task>,
    vm: Weak<Vm>,
    body: Option<Body>,
    thaw: Option<EventListener>,
}

enum Turn {
    Frozen,
    Pending,
    Ended(std::thread::Result<mlua::Result<Vec<Value>>>),
    Cancelled,
}

impl Turns {
    /// A task of module `owner` that will call `f(args)`.
    pub(crate) fn new(vm: &Arc<Vm>, owner: &Name, f: Function, args: MultiValue) -> mlua::Result<Self> {
        let call = Watched::new(vm, guard(&vm.lua)?.call_async::<MultiValue>((f, args)));
        let task = Task {
            id: next_id(),
            owner: owner.clone(),
            name: Mutex::default(),
            state: AtomicU8::new(WAITING),
            cancelled: AtomicBool::new(false),
            turn: Mutex::default(),
            waker: AtomicWaker::new(),
            end: Mutex::default(),
            ended: Event::new(),
        };
        let body = AssertUnwindSafe(call).catch_unwind().boxed();
        Ok(Self { task: Arc::new(task), vm: Arc::downgrade(vm), body: Some(body), thaw: None })
    }

    pub(crate) fn task(&self) -> &Arc<Task> {
        &self.task
    }

    /// Starts it on the world's clock.
    pub(crate) fn start(self) {
        if let Some(world) = self.vm.upgrade().and_then(|vm| vm.world()) {
            self.task.state.store(SUSPENDED, Ordering::Release);
            world.clock.spawn(Box::pin(self));
        }
    }

    /// One turn. The VM's lock is held from before the lease is taken, so that no commit comes between.
    fn turn(&mut self, world: &World, vm: &Vm, cx: &mut Context<'_>) -> Turn {
        vm.hold(|| {
            let Ok(lease) = Lease::open(&world.gate, &self.task.owner, LeaseKind::Task) else {
                return Turn::Frozen;
            };
            let _running = Running::enter(&self.task, &lease);
            let _entered = lease.enter();
            let Some(body) = self.body.as_mut().filter(|_| !self.task.is_cancelled()) else {
                self.body = None;
                return Turn::Cancelled;
            };
            match vm.turn(&How::default(), None, || body.as_mut().poll(cx)) {
                Poll::Pending => Turn::Pending,
                Poll::Ready(result) => {
                    self.body = None;
                    let plain = |values: MultiValue| values.iter().map_while(|v| from_lua(v).ok()).collect();
                    Turn::Ended(result.map(|result| result.map(plain)))
                }
            }
        })
    }

    fn finish(&mut self, result: std::thread::Result<mlua::Result<Vec<Value>>>) -> End {
        let (message, place) = match result {
            Ok(Ok(values)) => return End::Returned(values),
            Ok(Err(_)) if self.task.is_cancelled() => return End::Cancelled,
            Ok(Err(error)) => {
                let vm = self.vm.upgrade();
                let error = script_error(&error, |file| vm.as_ref()?.source(file));
                (error.message, error.place.map(|place| place.to_string()))
            }
            Err(_) => ("native code panicked".to_owned(), None),
        };
        let (module, fiber, place) = (&*self.task.owner, self.task.key(), place.as_deref());
        tracing::error!(target: "graceful::fiber", module, fiber, place, "fiber failed: {message}");
        End::Failed(message)
    }
}

impl Future for Turns {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        this.task.waker.register(cx.waker());
        loop {
            if let Some(thaw) = &mut this.thaw {
                ready!(Pin::new(thaw).poll(cx));
                this.thaw = None;
            }
            let Some(vm) = this.vm.upgrade() else { return Poll::Ready(()) };
            let Some(world) = vm.world() else { return Poll::Ready(()) };
            let end = match this.turn(&world, &vm, cx) {
                Turn::Frozen => {
                    let thaw = world.gate.listen();
                    this.thaw = world.gate.is_frozen(&this.task.owner).then_some(thaw);
                    continue;
                }
                Turn::Pending if this.task.is_cancelled() => continue,
                Turn::Pending => return Poll::Pending,
                Turn::Ended(result) => this.finish(result),
                Turn::Cancelled => End::Cancelled,
            };
            this.task.end(end);
            return Poll::Ready(());
        }
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        self.body = None;
        self.task.end(End::Cancelled);
    }
}

/// Marks the task as the one this thread runs.
struct Running<'a> {
    task: &'a Task,
    before: Option<Arc<Task>>,
}

impl<'a> Running<'a> {
    fn enter(task: &'a Arc<Task>, lease: &Lease) -> Self {
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
