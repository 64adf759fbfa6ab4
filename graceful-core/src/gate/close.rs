//! The end of admission: a gate that was closed lets no call in ever again.

use std::sync::Arc;

use super::{Cancel, Gate, LeaseKind, LeaseRecord};

impl Gate {
    /// Lets no call in from now on. Calls in flight, their nested ones, tasks and hooks go on.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.bump();
    }

    /// Whether it lets no call in any more: the engine is shutting down or shut down.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// The calls in flight and the turns that tasks are in the middle of; nested calls are part of them. A task
    /// whose turn lasts until something changes ends it now and goes on in another.
    pub(crate) fn under_way(&self) -> Vec<LeaseRecord> {
        let inner = self.lock();
        let leases = inner.leases.values();
        let kinds = [LeaseKind::Call, LeaseKind::Task];
        let found = leases.filter(|record| kinds.contains(&record.kind)).cloned().collect();
        drop(inner);
        self.bump();
        found
    }

    /// Those of `these` that have not ended and do not wait for a reload: a later turn of the same task is
    /// another lease.
    pub(crate) fn still(&self, these: &[LeaseRecord]) -> Vec<LeaseRecord> {
        let among = |now: &LeaseRecord, cancel: &Arc<Cancel>| Arc::ptr_eq(&now.cancel, cancel);
        let inner = self.lock();
        let now = inner.leases.values().filter(|now| !now.parked && now.kind != LeaseKind::Nested);
        now.filter(|now| these.iter().any(|then| among(now, &then.cancel))).cloned().collect()
    }
}
