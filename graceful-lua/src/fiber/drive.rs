//! What drives a task: each poll of its Lua call is a turn under a lease of its own.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use event_listener::EventListener;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use graceful_core::{Lease, LeaseKind, Name, Value, World};
use mlua::{Function, MultiValue};

use super::task::{End, Running, Task};
use crate::error::guard;
use crate::run::{How, Watched};
use crate::value::from_lua;
use crate::vm::Vm;
use crate::waits::Waits;

type Ended<T> = std::thread::Result<mlua::Result<T>>;

/// Drives a task. Dropped before its end it cancels it. Holds the VM weakly: a task that waits for ever must
/// not keep alive what nobody else needs.
pub(super) struct Drive {
    task: Arc<Task>,
    vm: Weak<Vm>,
    body: Option<BoxFuture<'static, Ended<MultiValue>>>,
    waits: Waits,
    thaw: Option<EventListener>,
}

enum Turn {
    Frozen,
    Pending,
    Ended(Ended<Vec<Value>>),
    Cancelled,
}

impl Drive {
    /// A task of module `owner` that will call `f(args)`.
    pub(super) fn new(vm: &Arc<Vm>, owner: &Name, f: Function, args: MultiValue) -> mlua::Result<Self> {
        let call = guard(&vm.lua)?.call_async::<MultiValue>((f, args));
        let body = AssertUnwindSafe(call).catch_unwind().boxed();
        let (waits, thaw) = Default::default();
        Ok(Self { task: Task::new(vm, owner), vm: Arc::downgrade(vm), body: Some(body), waits, thaw })
    }

    pub(super) fn task(&self) -> &Arc<Task> {
        &self.task
    }

    /// Starts it on the world's clock.
    pub(super) fn start(self) {
        if let Some(world) = self.vm.upgrade().and_then(|vm| vm.world()) {
            self.task.started();
            world.clock.spawn(Box::pin(self));
        }
    }

    /// One turn. The VM's lock is held from before the lease is taken, so that no commit comes between.
    fn turn(&mut self, world: &Arc<World>, vm: &Arc<Vm>, cx: &mut Context<'_>) -> Turn {
        let task = self.task.clone();
        vm.hold(|| {
            let Ok(lease) = Lease::open(&world.gate, task.owner(), LeaseKind::Task) else {
                return Turn::Frozen;
            };
            let _running = Running::enter(&task, &lease);
            let _entered = lease.enter();
            vm.turn(&How::default(), None, || self.poll_body(vm, cx))
        })
    }

    fn poll_body(&mut self, vm: &Arc<Vm>, cx: &mut Context<'_>) -> Turn {
        let Some(body) = self.body.as_mut().filter(|_| !self.task.is_cancelled()) else {
            self.let_go();
            vm.relieve();
            return Turn::Cancelled;
        };
        let polled = self.waits.during(|| Pin::new(&mut Watched::new(vm, body)).poll(cx));
        let Poll::Ready(result) = polled else { return Turn::Pending };
        self.let_go();
        vm.relieve();
        let plain = |values: MultiValue| values.iter().map_while(|value| from_lua(value).ok()).collect();
        Turn::Ended(result.map(|result| result.map(plain)))
    }

    fn ended(&self, vm: &Vm, result: Ended<Vec<Value>>) -> End {
        let (message, place) = match result {
            Ok(Ok(values)) => return End::Returned(values),
            Ok(Err(_)) if self.task.is_cancelled() => return End::Cancelled,
            Ok(Err(error)) => {
                let error = vm.hold(|| vm.script_error(&error));
                (error.message, error.place.map(|place| place.to_string()))
            }
            Err(_) => ("native code panicked".to_owned(), None),
        };
        let (module, fiber, place) = (self.task.owner().as_str(), self.task.title(), place.as_deref());
        tracing::error!(target: "graceful::fiber", module, fiber, place, "fiber failed: {message}");
        End::Failed(message)
    }
}

impl Future for Drive {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        this.task.listens(cx);
        loop {
            if let Some(thaw) = this.thaw.as_mut().filter(|_| !this.task.is_cancelled()) {
                ready!(Pin::new(thaw).poll(cx));
            }
            this.thaw = None;
            let Some((vm, world)) = this.vm.upgrade().and_then(|vm| vm.world().map(|world| (vm, world)))
            else {
                return Poll::Ready(());
            };
            let end = match this.turn(&world, &vm, cx) {
                // Whoever waits for its end may be what keeps it frozen: a role that is stopped in a reload.
                Turn::Frozen if this.task.is_cancelled() => {
                    this.close(&vm);
                    End::Cancelled
                }
                Turn::Frozen => {
                    let thaw = world.gate.listen();
                    this.thaw = world.gate.is_frozen(this.task.owner()).then_some(thaw);
                    continue;
                }
                Turn::Pending if this.task.is_cancelled() => continue,
                Turn::Pending => return Poll::Pending,
                Turn::Ended(result) => this.ended(&vm, result),
                Turn::Cancelled => End::Cancelled,
            };
            this.task.end(end);
            return Poll::Ready(());
        }
    }
}

impl Drive {
    /// Runs what the task left to be closed.
    fn close(&mut self, vm: &Arc<Vm>) {
        if self.body.is_some() {
            vm.turn(&How::default(), None, || self.let_go());
        }
    }

    fn let_go(&mut self) {
        self.body = None;
        self.waits.let_go();
    }
}

impl Drop for Drive {
    /// Whoever drops it early runs what the task left to be closed.
    fn drop(&mut self) {
        if let Some(vm) = self.vm.upgrade() {
            self.close(&vm);
        }
        self.task.end(End::Cancelled);
    }
}
