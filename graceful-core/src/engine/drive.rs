//! What drives a reload, and what watches that it does not hang: tasks of the host's, so that whoever asked is
//! answered although code keeps the thread of the reload.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Weak};

use futures_channel::oneshot;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, Shared, select};

use super::{Inner, Outcomes, Running, Ticket, last};
use crate::clock::Clock;
use crate::event::{EventKind, Purpose};
use crate::failure::{ReloadError, ReloadErrorKind};
use crate::report::{Outcome, Report};
use crate::transaction::Transaction;
use crate::watch::{Held, Watch};

impl Inner {
    /// The reload as something to wait for, and the task that drives it.
    pub(super) fn driven(
        self: &Arc<Self>,
        transaction: Transaction,
        ticket: Arc<Ticket>,
    ) -> (Running, BoxFuture<'static, ()>) {
        let (engine, purpose) = (self.clone(), ticket.purpose);
        let (done, ended) = oneshot::channel();
        let drive = async move {
            let result = AssertUnwindSafe(transaction.run()).catch_unwind().await;
            let result = result.unwrap_or_else(|panic| Err(engine.panicked(&panic)));
            engine.finished(&result, purpose);
            // Who is told that it is over may rely on nothing of it being left.
            drop(engine);
            let _ = done.send(result);
        };
        let weak = Arc::downgrade(self);
        let outcome: BoxFuture<'static, Outcomes> = Box::pin(async move {
            match (ended.await, weak.upgrade()) {
                (Ok(result), _) => result,
                // The host's tasks are gone, and the reload with them.
                (Err(_), Some(engine)) => Err(engine.refuse(ReloadErrorKind::Abandoned)),
                (Err(_), None) => std::future::pending().await,
            }
        });
        (Running { ticket, outcome: outcome.shared() }, Box::pin(drive))
    }

    /// Starts what drives `running` and what watches it.
    pub(super) fn start(self: &Arc<Self>, running: &Running, drive: BoxFuture<'static, ()>) {
        let (clock, watch) = (self.world.clock.clone(), self.world.watch.clone());
        let eye =
            Eye { engine: Arc::downgrade(self), clock: clock.clone(), watch, ticket: running.ticket.clone() };
        clock.spawn(drive);
        clock.spawn(Box::pin(eye.watch(running.outcome.clone())));
    }

    /// Code of a module keeps the thread of the reload and cannot be interrupted.
    fn hangs(&self, ticket: &Ticket, held: &Held) {
        let Held { module, what, since, .. } = held;
        let lasts = self.world.clock.now().saturating_sub(*since);
        let kind = ReloadErrorKind::Hung { module: module.clone(), what, lasts };
        let message = kind.to_string();
        let left =
            vec![format!("{module}: {what}: it cannot be interrupted; what it did is undone when it ends")];
        let report = Box::new(Report::empty(Outcome::Stuck, self.world.gate.live().0));
        let error = ReloadError { kind: Box::new(kind), phase: ticket.phase(), report, left };
        if ticket.purpose != Purpose::Check {
            *self.last.lock().unwrap() = Some(last::of(&Err(error.clone())));
        }
        self.world.emit(EventKind::Warning { module: Some(module.clone()), message });
        ticket.hang(error);
    }
}

/// Watches one reload.
struct Eye {
    engine: Weak<Inner>,
    clock: Arc<dyn Clock>,
    watch: Arc<Watch>,
    ticket: Arc<Ticket>,
}

impl Eye {
    async fn watch(self, mut ended: Shared<BoxFuture<'static, Outcomes>>) {
        let mut wait = self.watch.grace;
        loop {
            match select(ended, self.clock.sleep(wait)).await {
                Either::Left(_) => return,
                Either::Right((_, still)) => ended = still,
            }
            let left = |held: &Held| held.until.saturating_sub(self.clock.now());
            wait = match self.watch.next() {
                None => self.watch.grace,
                Some(held) if !left(&held).is_zero() => left(&held),
                Some(held) => {
                    if let Some(engine) = self.engine.upgrade() {
                        engine.hangs(&self.ticket, &held);
                    }
                    return;
                }
            };
        }
    }
}
