//! The reload that runs: who waits for it, and what happens when they go away.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use event_listener::{Event as Signal, EventListener};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};

use super::{Inner, Outcomes};
use crate::lease::Lease;
use crate::report::ReloadOptions;

/// The reload that runs. The engine owns it; whoever waits for it drives it.
#[derive(Clone)]
pub(crate) struct Running {
    pub(crate) ticket: Arc<Ticket>,
    pub(crate) outcome: Shared<BoxFuture<'static, Outcomes>>,
}

/// Counts who waits for a reload. When the last one goes away, the reload goes back instead of forward.
#[derive(Default)]
pub(crate) struct Ticket {
    pub(super) drivers: AtomicUsize,
    gone: AtomicBool,
    signal: Signal,
    /// It goes no further than *validate*.
    pub(super) check: bool,
}

impl Ticket {
    pub(super) fn of_one(check: bool) -> Self {
        Self { drivers: AtomicUsize::new(1), check, ..Self::default() }
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// From now on the reload goes back.
    pub(super) fn give_up(&self) {
        self.gone.store(true, Ordering::Release);
        self.signal.notify(usize::MAX);
    }

    /// Ends when nobody waits for the reload any more.
    pub(crate) fn abandoned(self: Arc<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            loop {
                let listener: EventListener = self.signal.listen();
                if self.is_abandoned() {
                    return;
                }
                listener.await;
            }
        })
    }
}

/// A reload under way. Dropping it before it is done makes the reload go back: the engine owns what must be
/// undone, gates stay shut, and whoever comes next (a task of the host, a call, another reload) drives the undo to its
/// end.
#[must_use = "a reload does nothing unless it is awaited"]
pub struct Reload {
    pub(super) engine: Arc<Inner>,
    pub(super) options: Option<ReloadOptions>,
    pub(super) running: Option<Running>,
    pub(super) done: bool,
}

impl Future for Reload {
    type Output = Outcomes;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcomes> {
        let this = &mut *self;
        loop {
            if let Some(running) = &mut this.running {
                let joined = this.options.is_none();
                let Poll::Ready(result) = running.outcome.poll_unpin(cx) else {
                    return Poll::Pending;
                };
                if !joined {
                    // It was another's: now it is this one's turn.
                    this.running = None;
                    continue;
                }
                this.done = true;
                return Poll::Ready(result);
            }
            let options = this.options.as_ref().expect("options stay until the reload is this one's own");
            match this.engine.start_or_join(options) {
                Err(refused) => {
                    this.done = true;
                    return Poll::Ready(Err(refused));
                }
                Ok((running, own)) => {
                    if own {
                        this.options = None;
                        if Lease::current().is_some_and(|lease| lease.is_parked()) {
                            // Parked, its caller may be stopped by the very freeze of this reload.
                            this.engine.world.clock.spawn(Box::pin(running.outcome.clone().map(drop)));
                        }
                    }
                    this.running = Some(running);
                }
            }
        }
    }
}

impl Drop for Reload {
    fn drop(&mut self) {
        let Some(running) = self.running.take().filter(|_| !self.done && self.options.is_none()) else {
            return;
        };
        // Under the lock in which others join, so that nobody joins what is being given up.
        let joining = self.engine.running.lock().unwrap();
        let last = running.ticket.drivers.fetch_sub(1, Ordering::AcqRel) == 1;
        if last {
            running.ticket.gone.store(true, Ordering::Release);
        }
        drop(joining);
        if last && running.outcome.peek().is_none() {
            running.ticket.give_up();
            // Callers at the gates are told to look: they drive the undo. So that frozen tasks and requires
            // that wait need no caller to come, the host's tasks do too.
            self.engine.world.gate.announce();
            self.engine.world.clock.spawn(Box::pin(running.outcome.map(drop)));
        }
    }
}
