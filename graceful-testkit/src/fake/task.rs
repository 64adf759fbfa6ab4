//! A task of the fake language: a future that takes a new lease each time it goes on.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use graceful_core::{HookError, Lease, LeaseKind, Name, Resource, World};
use tokio::sync::Notify;

use super::vm::number;

/// A task: what is kept of it outside of its own future.
pub(crate) struct Task {
    id: u64,
    owner: Name,
    world: Weak<World>,
    body: Mutex<Option<BoxFuture<'static, ()>>>,
    cancelled: AtomicBool,
    done: AtomicBool,
    waker: Mutex<Option<Waker>>,
    ended: Notify,
    me: Weak<Task>,
}

impl Task {
    /// A task of `owner` that has not started.
    pub(crate) fn new(world: &Arc<World>, owner: &Name, body: BoxFuture<'static, ()>) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            id: number(),
            owner: owner.clone(),
            world: Arc::downgrade(world),
            body: Mutex::new(Some(body)),
            cancelled: AtomicBool::new(false),
            done: AtomicBool::new(false),
            waker: Mutex::default(),
            ended: Notify::new(),
            me: me.clone(),
        })
    }

    /// Ends it at its next turn; nothing if it has ended.
    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        let never_started = self.body.lock().unwrap().take();
        if never_started.is_some() {
            self.end();
        }
        drop(never_started);
        let waker = self.waker.lock().unwrap().take();
        waker.into_iter().for_each(Waker::wake);
    }

    fn end(&self) {
        self.done.store(true, Ordering::Release);
        self.ended.notify_waiters();
    }
}

#[async_trait]
impl Resource for Task {
    fn kind(&self) -> &'static str {
        "task"
    }

    fn key(&self) -> String {
        self.id.to_string()
    }

    fn id(&self) -> u64 {
        self.id
    }

    fn activate(&self) {
        let body = self.body.lock().unwrap().take();
        let (Some(body), Some(task), Some(world)) = (body, self.me.upgrade(), self.world.upgrade()) else {
            return;
        };
        let clock = world.clock.clone();
        clock.spawn(Box::pin(Turns { task, world, body: Some(body), thaw: None }));
    }

    fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }

    fn abandon(&self) {
        self.cancel();
    }

    async fn release(&self) -> Result<(), HookError> {
        let ended = self.ended.notified();
        self.cancel();
        if !self.is_done() {
            ended.await;
        }
        Ok(())
    }
}

/// Drives a task: each poll of its body is one turn under a lease of its own.
struct Turns {
    task: Arc<Task>,
    world: Arc<World>,
    body: Option<BoxFuture<'static, ()>>,
    thaw: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Turns {
    fn end(&mut self) -> Poll<()> {
        // What the body holds may reach back to the task: gone before anybody is told.
        self.body = None;
        self.task.end();
        Poll::Ready(())
    }
}

impl Future for Turns {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        *this.task.waker.lock().unwrap() = Some(cx.waker().clone());
        loop {
            if this.task.cancelled.load(Ordering::Acquire) {
                return this.end();
            }
            if let Some(thaw) = &mut this.thaw {
                std::task::ready!(thaw.as_mut().poll(cx));
                this.thaw = None;
            }
            let thaw = this.world.gate.listen();
            match Lease::open(&this.world.gate, &this.task.owner, LeaseKind::Task) {
                Err(_) => this.thaw = Some(Box::pin(thaw)),
                Ok(lease) => {
                    let entered = lease.enter();
                    let ended = this.body.as_mut().is_none_or(|body| body.as_mut().poll(cx).is_ready());
                    drop(entered);
                    drop(lease);
                    return if ended || this.task.cancelled.load(Ordering::Acquire) {
                        this.end()
                    } else {
                        Poll::Pending
                    };
                }
            }
        }
    }
}

impl Drop for Turns {
    /// A clock that drops its tasks has ended this one.
    fn drop(&mut self) {
        self.body = None;
        self.task.end();
    }
}
