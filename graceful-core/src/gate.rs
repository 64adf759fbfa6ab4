//! Admission: the live generation's number, which modules are shut, and every lease that is out.
//!
//! One mutex holds the three together, so that a call reads its generation and its gate in one step with
//! being counted, and a commit changes the number in one step with nobody entering.

mod cancel;
mod close;
mod drain;
mod wait;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::source::Name;
use crate::sync::{AtomicU64, Event, EventListener, Mutex, MutexGuard, wait_timeout};
pub use cancel::Cancel;
pub(crate) use wait::Waiting;

/// The number of a generation. 0 is the empty world before the first start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The module is shut: a call waits, a task stays stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shut;

/// What holds a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaseKind {
    /// A call from outside: gated, counted, drained.
    Call,
    /// A call from inside another lease into another backend: counted and drained, never gated.
    Nested,
    /// One turn of a task, from resume to yield.
    Task,
    /// A hook of a reload.
    Hook,
    /// The top level of a module that is being staged.
    Stage,
}

/// A lease as the gate keeps it and status shows it.
#[derive(Clone, Debug)]
pub struct LeaseRecord {
    /// The module it entered.
    pub root: Name,
    /// The generation it is pinned to.
    pub generation: Generation,
    /// What holds it.
    pub kind: LeaseKind,
    /// It waits for a reload it asked for itself, so drain does not wait for it.
    pub parked: bool,
    /// Cancels it.
    pub cancel: Arc<Cancel>,
}

impl fmt::Display for LeaseRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            LeaseKind::Call | LeaseKind::Nested => "call",
            LeaseKind::Task => "task",
            LeaseKind::Hook => "hook",
            LeaseKind::Stage => "top level",
        };
        write!(f, "{kind} in {} (generation {})", self.root, self.generation)
    }
}

#[derive(Default)]
struct Inner {
    shut: BTreeSet<Name>,
    frozen: BTreeSet<Name>,
    /// No call is let in any more.
    closed: bool,
    next: u64,
    leases: BTreeMap<u64, LeaseRecord>,
    /// How many calls wait at each gate, and how many ever did.
    waiting: BTreeMap<Name, usize>,
    waited: u64,
}

impl Inner {
    fn issue(&mut self, root: &Name, kind: LeaseKind, generation: Generation) -> (u64, LeaseRecord) {
        self.next += 1;
        let record =
            LeaseRecord { root: root.clone(), generation, kind, parked: false, cancel: Arc::default() };
        self.leases.insert(self.next, record.clone());
        (self.next, record)
    }
}

/// Admission to the live world. Shared by the engine and every adapter.
#[derive(Default)]
pub struct Gate {
    live: AtomicU64,
    epoch: AtomicU64,
    inner: Mutex<Inner>,
    changed: Event,
    /// Apart from `changed`, because a parked call that looks whether it may go on is itself a change.
    thawed: Event,
}

impl Gate {
    /// The live generation.
    pub fn live(&self) -> Generation {
        Generation(self.live.load(Ordering::Acquire))
    }

    /// Changes whenever a gate shuts or opens and at every commit. An adapter that reads it *inside* its own
    /// VM's lock may go on using what it looked up at the same epoch without entering: no gate has changed.
    #[inline]
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Whether a call into `module` may start now.
    pub fn is_shut(&self, module: &Name) -> bool {
        self.lock().shut.contains(module)
    }

    /// Whether tasks of `module` must stay stopped.
    pub fn is_frozen(&self, module: &Name) -> bool {
        self.lock().frozen.contains(module)
    }

    /// Is notified at every change: gates, commits, leases that end. Make the listener first, then look.
    pub fn listen(&self) -> EventListener {
        self.changed.listen()
    }

    /// Is notified when what was frozen may be so no more.
    pub(crate) fn listen_for_thaw(&self) -> EventListener {
        self.thawed.listen()
    }

    /// Every lease that is out.
    pub fn leases(&self) -> Vec<LeaseRecord> {
        self.lock().leases.values().cloned().collect()
    }

    /// Admits a lease into `root`: reads the gate and the live generation and is counted, in one step. Calls
    /// look at the gate, tasks at the freeze; nested calls, hooks and staging are let through.
    pub(crate) fn admit(&self, root: &Name, kind: LeaseKind) -> Result<(u64, LeaseRecord), Shut> {
        let mut inner = self.lock();
        let closed = match kind {
            LeaseKind::Call => Some(&inner.shut),
            LeaseKind::Task => Some(&inner.frozen),
            _ => None,
        };
        let shut = closed.is_some_and(|closed| !closed.is_empty() && closed.contains(root));
        if shut || (inner.closed && kind == LeaseKind::Call) {
            return Err(Shut);
        }
        Ok(inner.issue(root, kind, self.live()))
    }

    /// Admits a call from inside another one at that one's generation, unless the module is frozen. Where
    /// that one `is_awaited` by whoever froze the module, it is let through, or the two would wait for each
    /// other.
    pub(crate) fn admit_nested(
        &self,
        root: &Name,
        generation: Generation,
        is_awaited: impl FnOnce(&BTreeSet<Name>) -> bool,
    ) -> Result<(u64, LeaseRecord), Shut> {
        let mut inner = self.lock();
        if inner.frozen.contains(root) && !is_awaited(&inner.frozen) {
            return Err(Shut);
        }
        Ok(inner.issue(root, LeaseKind::Nested, generation))
    }

    /// Admits a lease at a given generation, past every gate.
    pub(crate) fn admit_at(
        &self,
        root: &Name,
        kind: LeaseKind,
        generation: Generation,
    ) -> (u64, LeaseRecord) {
        self.lock().issue(root, kind, generation)
    }

    /// From now on whoever cancels the lease `id` cancels everything that has a share of `cancel`.
    pub(crate) fn cancel_together(&self, id: u64, cancel: &Arc<Cancel>) {
        if let Some(record) = self.lock().leases.get_mut(&id) {
            record.cancel = cancel.clone();
        }
    }

    /// Waits, blocking this thread, until something changed or `timeout` passed. For synchronous callers
    /// that stand outside of every VM's lock.
    pub fn wait_blocking(&self, listener: EventListener, timeout: Duration) {
        wait_timeout(listener, timeout);
    }

    pub(crate) fn leave(&self, id: u64) {
        self.lock().leases.remove(&id);
        self.changed.notify(usize::MAX);
    }

    pub(crate) fn park(&self, id: u64) {
        if let Some(record) = self.lock().leases.get_mut(&id) {
            record.parked = true;
        }
        self.changed.notify(usize::MAX);
    }

    /// Counts a parked lease again while it is polled, unless its module is frozen.
    pub(crate) fn resume(&self, id: u64) -> Result<(), Shut> {
        let inner = &mut *self.lock();
        let Some(record) = inner.leases.get_mut(&id) else { return Ok(()) };
        if inner.frozen.contains(&record.root) {
            return Err(Shut);
        }
        record.parked = false;
        Ok(())
    }

    /// Counts a parked lease again, at the generation that is live in that moment.
    pub(crate) fn unpark(&self, id: u64) -> Generation {
        let mut inner = self.lock();
        let live = self.live();
        if let Some(record) = inner.leases.get_mut(&id) {
            record.parked = false;
            record.generation = live;
        }
        live
    }

    /// Shuts the gates of `modules`.
    pub(crate) fn shut(&self, modules: &BTreeSet<Name>) {
        self.lock().shut.extend(modules.iter().cloned());
        self.bump();
    }

    /// Stops the tasks of `modules` at their next resume.
    pub(crate) fn freeze(&self, modules: &BTreeSet<Name>) {
        self.lock().frozen.extend(modules.iter().cloned());
        self.bump();
    }

    /// Opens every gate and thaws every task.
    pub(crate) fn open(&self) {
        let mut inner = self.lock();
        inner.shut.clear();
        inner.frozen.clear();
        drop(inner);
        self.bump();
        self.thawed.notify(usize::MAX);
    }

    /// The commit: one store of one number, with nobody entering meanwhile, and the gates open with it.
    pub(crate) fn commit(&self, generation: Generation, publish: impl FnOnce()) {
        let mut inner = self.lock();
        publish();
        self.live.store(generation.0, Ordering::Release);
        inner.shut.clear();
        inner.frozen.clear();
        self.epoch.fetch_add(1, Ordering::Release);
    }

    /// Tells every waiter to look again.
    pub(crate) fn announce(&self) {
        self.changed.notify(usize::MAX);
        self.thawed.notify(usize::MAX);
    }

    /// The leases that keep `modules` busy: every one of `kinds` in them that is not parked.
    pub(crate) fn busy(&self, modules: &BTreeSet<Name>, kinds: &[LeaseKind]) -> Vec<LeaseRecord> {
        let inner = self.lock();
        let held = inner.leases.values().filter(|record| {
            !record.parked && kinds.contains(&record.kind) && modules.contains(&record.root)
        });
        held.cloned().collect()
    }

    fn bump(&self) {
        self.epoch.fetch_add(1, Ordering::Release);
        self.changed.notify(usize::MAX);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
