//! The reload that runs: who waits for it, and what happens when they go away.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use event_listener::{Event as Signal, EventListener};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, Shared, select};

use super::{Inner, Outcomes};
use crate::event::{Phase, Purpose};
use crate::failure::ReloadError;
use crate::report::ReloadOptions;

/// The reload that runs. The engine owns it, and a task of the host's drives it.
#[derive(Clone)]
pub(crate) struct Running {
    pub(crate) ticket: Arc<Ticket>,
    /// How it ends; waiting for it drives nothing.
    pub(crate) outcome: Shared<BoxFuture<'static, Outcomes>>,
}

impl Running {
    /// Its end, or that it hangs.
    fn answer(&self) -> BoxFuture<'static, Outcomes> {
        let (hung, outcome) = (self.ticket.clone().hung(), self.outcome.clone());
        Box::pin(async move {
            match select(outcome, hung).await {
                Either::Left((outcome, _)) => outcome,
                Either::Right((error, _)) => Err(error),
            }
        })
    }
}

/// Where a reload may still go.
const FORWARD: u8 = 0;
const BACK: u8 = 1;
const COMMITS: u8 = 2;

/// Counts who waits for a reload. When the last one goes away, the reload goes back instead of forward.
pub(crate) struct Ticket {
    pub(super) waiters: AtomicUsize,
    way: AtomicU8,
    phase: Mutex<Phase>,
    hung: Mutex<Option<ReloadError>>,
    signal: Signal,
    pub(super) purpose: Purpose,
}

impl Ticket {
    pub(super) fn of_one(purpose: Purpose) -> Self {
        let (waiters, way, phase) = (AtomicUsize::new(1), AtomicU8::new(FORWARD), Mutex::new(Phase::Plan));
        Self { waiters, way, phase, hung: Mutex::default(), signal: Signal::new(), purpose }
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.way.load(Ordering::Acquire) == BACK
    }

    /// From now on the reload goes back, unless it commits already.
    pub(super) fn give_up(&self) {
        let _ = self.way.compare_exchange(FORWARD, BACK, Ordering::AcqRel, Ordering::Acquire);
        self.signal.notify(usize::MAX);
    }

    /// Whether nobody gave it up; from now on nobody can.
    pub(crate) fn may_commit(&self) -> bool {
        self.way.compare_exchange(FORWARD, COMMITS, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    pub(crate) fn enters(&self, phase: Phase) {
        *self.phase.lock().unwrap() = phase;
    }

    pub(super) fn phase(&self) -> Phase {
        *self.phase.lock().unwrap()
    }

    /// Answers everybody who waits: it hangs. It goes back as soon as it can.
    pub(super) fn hang(&self, error: ReloadError) {
        *self.hung.lock().unwrap() = Some(error);
        self.give_up();
    }

    pub(crate) fn hangs(&self) -> Option<ReloadError> {
        self.hung.lock().unwrap().clone()
    }

    /// Ends when it is known to hang.
    fn hung(self: Arc<Self>) -> BoxFuture<'static, ReloadError> {
        Box::pin(async move {
            loop {
                let listener: EventListener = self.signal.listen();
                if let Some(error) = self.hangs() {
                    return error;
                }
                listener.await;
            }
        })
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

/// A reload under way. It begins when it is first polled. Dropping it before it is done makes the reload go back: the
/// engine owns what must be undone, gates stay shut, and a task of the host's drives the undo to its end.
#[must_use = "a reload does nothing unless it is awaited"]
pub struct Reload {
    pub(super) engine: Arc<Inner>,
    pub(super) options: Option<ReloadOptions>,
    pub(super) waits: Option<(Running, BoxFuture<'static, Outcomes>)>,
    pub(super) done: bool,
}

impl Future for Reload {
    type Output = Outcomes;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcomes> {
        let this = &mut *self;
        loop {
            if let Some((running, answer)) = &mut this.waits {
                let Poll::Ready(result) = answer.poll_unpin(cx) else {
                    return Poll::Pending;
                };
                let joined = this.options.is_none();
                if !joined && running.ticket.hangs().is_none() {
                    // It was another's: now it is this one's turn.
                    this.waits = None;
                    continue;
                }
                this.done = true;
                return Poll::Ready(if joined {
                    result
                } else {
                    result.map_err(|hung| this.engine.refuse(*hung.kind))
                });
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
                    }
                    let answer = running.answer();
                    this.waits = Some((running, answer));
                }
            }
        }
    }
}

impl Drop for Reload {
    fn drop(&mut self) {
        let Some((running, _)) = self.waits.take().filter(|_| !self.done && self.options.is_none()) else {
            return;
        };
        // Under the lock in which others join, so that nobody joins what is being given up.
        let joining = self.engine.running.lock().unwrap();
        if running.ticket.waiters.fetch_sub(1, Ordering::AcqRel) == 1 {
            running.ticket.give_up();
        }
        drop(joining);
    }
}
