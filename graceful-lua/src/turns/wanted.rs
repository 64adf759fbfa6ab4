//! A reload that blocks for the VM: it had looked who keeps it, and somebody came in between who does not yield.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use graceful_core::LeaseKind;

use super::{Turn, Turns};

/// Who blocks for the VM, and when whoever keeps it is cancelled.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    since: Instant,
    tasks_after: Duration,
    /// Unless calls are not.
    calls_after: Option<Duration>,
}

/// The VM is wanted until this drops.
pub(crate) struct Wants<'a>(&'a Turns);

impl Turns {
    /// A reload is about to block for the VM's lock: a task that does not give it up is cancelled after `tasks`, a
    /// call after `calls`.
    pub(crate) fn want(self: &Arc<Self>, tasks: Duration, calls: Option<Duration>) -> Wants<'_> {
        *self.wanted() = Some(Wanted { since: Instant::now(), tasks_after: tasks, calls_after: calls });
        self.watch();
        Wants(self)
    }

    pub(super) fn wanted(&self) -> MutexGuard<'_, Option<Wanted>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Wants<'_> {
    fn drop(&mut self) {
        *self.0.wanted() = None;
    }
}

/// Cancels the lease of the outermost turn if it has kept the VM for too long from whoever wants it.
pub(super) fn cancel_who_keeps(wanted: Option<Wanted>, turn: Option<&Turn>) {
    let (Some(wanted), Some(turn)) = (wanted, turn) else { return };
    let Some(lease) = &turn.lease else { return };
    let most = if lease.kind() == LeaseKind::Task { Some(wanted.tasks_after) } else { wanted.calls_after };
    if most.is_some_and(|most| wanted.since.elapsed() > most && turn.began.elapsed() > most) {
        lease.cancel();
    }
}
