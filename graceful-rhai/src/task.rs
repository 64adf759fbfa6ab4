//! A task: a thread that runs one function of a module, in turns that a reload can stop.

mod turn;

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread::Thread;

use async_trait::async_trait;
use event_listener::Event;
use graceful_core::{HookError, Resource, World};
use rhai::{Dynamic, FnPtr};

use crate::bulk::{self, is_too_deep};
use crate::chain::let_go_of;
use crate::error;
use crate::unit::Unit;
use crate::watch::{Turns, Watch};

/// Where a task is.
#[derive(Clone, Debug)]
pub(crate) enum Stage {
    /// It waits for the commit that starts it.
    Waiting,
    Running,
    Done(Dynamic),
    Failed(String),
    Cancelled,
}

/// A task, as scripts hold it.
#[derive(Clone)]
pub(crate) struct Fiber(pub(crate) Arc<Task>);

impl Fiber {
    /// Its number within the process.
    pub(crate) fn id(&self) -> u64 {
        self.0.id
    }
}

/// One task.
pub(crate) struct Task {
    id: u64,
    name: Option<String>,
    unit: Arc<Unit>,
    function: FnPtr,
    me: Weak<Task>,
    stage: Mutex<Stage>,
    cancelled: AtomicBool,
    joinable: AtomicBool,
    /// What runs it, once it runs.
    thread: OnceLock<Thread>,
    ended: Event,
}

thread_local! {
    /// The task whose thread this is.
    static RUNNING: RefCell<Weak<Task>> = const { RefCell::new(Weak::new()) };
}

/// The number of the next resource, of whatever kind: a scope tells its resources by it.
pub(crate) fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Task {
    pub(crate) fn new(unit: &Arc<Unit>, name: Option<String>, function: FnPtr) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            id: next_id(),
            name,
            unit: unit.clone(),
            function,
            me: me.clone(),
            stage: Mutex::new(Stage::Waiting),
            cancelled: AtomicBool::new(false),
            joinable: AtomicBool::new(true),
            thread: OnceLock::new(),
            ended: Event::new(),
        })
    }

    pub(crate) fn stage(&self) -> Stage {
        self.lock().clone()
    }

    /// The task that runs on this thread.
    pub(crate) fn running() -> Option<Arc<Self>> {
        RUNNING.with_borrow(Weak::upgrade)
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether it may be waited for.
    pub(crate) fn is_joinable(&self) -> bool {
        self.joinable.load(Ordering::Acquire)
    }

    pub(crate) fn set_joinable(&self, joinable: bool) {
        self.joinable.store(joinable, Ordering::Release);
    }

    /// Ends it at its next operation. One that has ended stays as it is.
    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        let mut stage = self.lock();
        if matches!(*stage, Stage::Waiting) {
            *stage = Stage::Cancelled;
            drop(stage);
            self.ended.notify(usize::MAX);
            return;
        }
        drop(stage);
        // Where it waits it looks only now and then, and whoever cancels waits for its end.
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    /// Returns once it has ended.
    pub(crate) async fn ended(&self) {
        loop {
            let listener = self.ended.listen();
            if self.is_over() {
                return;
            }
            listener.await;
        }
    }

    fn is_over(&self) -> bool {
        !matches!(*self.lock(), Stage::Waiting | Stage::Running)
    }

    fn start(self: Arc<Self>) {
        {
            let mut stage = self.lock();
            if !matches!(*stage, Stage::Waiting) {
                return;
            }
            *stage = Stage::Running;
        }
        let (runtime, task) = (tokio::runtime::Handle::try_current().ok(), self.clone());
        let work = move || {
            let _inside = runtime.as_ref().map(|runtime| runtime.enter());
            bulk::roomy(|| task.run());
        };
        let Some(world) = self.world() else { return self.finish(Stage::Cancelled) };
        let name = format!("{}/{}", self.unit.name, self.id);
        if let Err(error) = world.clock.thread(name, bulk::STACK, Box::new(work)) {
            self.finish(Stage::Failed(format!("no thread for it: {error}")));
        }
    }

    fn run(self: Arc<Self>) {
        RUNNING.set(self.me.clone());
        self.thread.get_or_init(std::thread::current);
        let turns: Arc<dyn Turns> = self.clone();
        let watch = Watch::task(turns.clone());
        let work = || match turns.resume() {
            Some(stop) => Err(crate::unit::stopped(stop)),
            None => self.unit.call_pointer(None, &self.function, Vec::new()),
        };
        let result = crate::run::guarded(|| watch.run(work));
        turns.pause();
        let failed = |message: String| {
            tracing::error!(module = %self.unit.name, task = self.id, "{message}");
            Stage::Failed(message)
        };
        self.finish(match result {
            _ if self.cancelled.load(Ordering::Acquire) => Stage::Cancelled,
            Ok(Ok(value)) if is_too_deep(&value) => failed(error::too_deep()),
            Ok(Ok(value)) => Stage::Done(value),
            Ok(Err(thrown)) => failed(error::call_error(thrown, &self.unit.name, &*self.unit).to_string()),
            Err(panic) => failed(panic.to_string()),
        });
    }

    fn finish(&self, stage: Stage) {
        *self.lock() = stage;
        self.ended.notify(usize::MAX);
    }

    fn world(&self) -> Option<Arc<World>> {
        self.unit.runtime.world().ok()
    }

    fn lock(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let stage = self.stage.get_mut().unwrap_or_else(PoisonError::into_inner);
        let returned = match stage {
            Stage::Done(value) => std::mem::take(value),
            _ => Dynamic::UNIT,
        };
        let held = self.function.iter_curry_mut().map(std::mem::take).collect::<Vec<_>>();
        let_go_of(held.into_iter().chain([returned]));
    }
}

#[async_trait]
impl Resource for Task {
    fn kind(&self) -> &'static str {
        "task"
    }

    fn key(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.id.to_string())
    }

    fn id(&self) -> u64 {
        self.id
    }

    fn activate(&self) {
        if let Some(me) = self.me.upgrade() {
            me.start();
        }
    }

    fn is_done(&self) -> bool {
        self.is_over()
    }

    fn abandon(&self) {
        self.cancel();
    }

    async fn release(&self) -> Result<(), HookError> {
        self.cancel();
        self.ended().await;
        Ok(())
    }
}
