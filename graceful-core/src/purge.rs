//! Old generations: what holds them, and dropping those that nothing holds.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::select;

use crate::event::EventKind;
use crate::gate::{Generation, LeaseKind, LeaseRecord};
use crate::generation::{Instance, World};
use crate::source::Name;

impl World {
    /// What keeps `old` from being dropped: calls in flight that may still reach it, and resources of its
    /// that would not end.
    pub fn holders(&self, old: &Arc<Instance>) -> Vec<String> {
        let calls = self.gate.leases().into_iter().filter(|lease| self.holds(lease, old));
        let calls = calls.map(|lease| lease.to_string());
        let resources = old.scope.resources().into_iter();
        calls.chain(resources.map(|left| format!("{} {}", left.kind(), left.key()))).collect()
    }

    /// The same, and where that is nobody, whoever may yet come to it: that keeps it in memory as well.
    pub(crate) fn keepers(&self, old: &Arc<Instance>) -> Vec<String> {
        let holders = self.holders(old);
        if !holders.is_empty() {
            return holders;
        }
        let leases = self.gate.leases().into_iter().filter(|lease| self.may_come(lease, old));
        leases.map(|lease| lease.to_string()).collect()
    }

    /// Whether `lease` may still reach `old`: it is pinned to a generation that sees it, and the module it
    /// entered requires it.
    pub(crate) fn holds(&self, lease: &LeaseRecord, old: &Arc<Instance>) -> bool {
        matches!(lease.kind, LeaseKind::Call | LeaseKind::Nested)
            && self.may_come(lease, old)
            && self.reaches(&lease.root, &old.name, lease.generation)
    }

    /// Whether a call in flight, a task's turn or a hook may come to `old` yet, by a require or a handle that it has not used so far:
    /// it began in a generation that sees it. That keeps it in memory, but is not held against a reload.
    fn may_come(&self, lease: &LeaseRecord, old: &Arc<Instance>) -> bool {
        !lease.parked && old.lives_at(lease.generation)
    }

    fn reaches(&self, root: &Name, target: &Name, generation: Generation) -> bool {
        let mut stack = vec![root.clone()];
        let mut seen = BTreeSet::new();
        while let Some(name) = stack.pop() {
            if name == *target {
                return true;
            }
            if seen.insert(name.clone())
                && let Some(instance) = self.instance_at(&name, generation)
            {
                stack.extend(instance.edges().keys().cloned());
            }
        }
        false
    }

    /// Drops old generations in the background as soon as nothing holds them, and names those that are held for
    /// longer than `most`. One task does it for all.
    pub(crate) fn purge_later(self: &Arc<Self>, most: Duration) {
        if self.purging.swap(true, Ordering::AcqRel) {
            return;
        }
        let weak = Arc::downgrade(self);
        self.clock.spawn(Box::pin(async move {
            while let Some(world) = weak.upgrade() {
                let listener = world.gate.listen();
                if world.purge() == 0 {
                    world.purging.store(false, Ordering::Release);
                    // A reload that ended meanwhile relied on this task.
                    if world.purge() == 0 || world.purging.swap(true, Ordering::AcqRel) {
                        return;
                    }
                }
                let verdict = world.judge(most).map(|left| world.clock.sleep(left));
                drop(world);
                match verdict {
                    Some(verdict) => drop(select(listener, verdict).await),
                    None => listener.await,
                }
            }
        }));
    }

    /// Names the old generations that have been held for longer than `most`. Returns how long until the next
    /// one will have been.
    fn judge(&self, most: Duration) -> Option<Duration> {
        let (now, mut next) = (self.clock.now(), None);
        let old: Vec<Arc<Instance>> = self.lingering.lock().unwrap().clone();
        for old in old.into_iter().filter(|old| old.leaked.get().is_none()) {
            let since = old.replaced.get().copied().unwrap_or(now);
            let left = (since + most).saturating_sub(now);
            if !left.is_zero() {
                next = Some(next.map_or(left, |next: Duration| next.min(left)));
            } else if old.leaked.set(()).is_ok() {
                let (module, born, by) = (old.name.clone(), old.born.0, self.keepers(&old));
                self.emit(EventKind::Leaked { module, born, by });
            }
        }
        next
    }

    /// Drops every old instance that nothing holds. Returns how many are still held.
    pub(crate) fn purge(&self) -> usize {
        let oldest = self.gate.leases().into_iter().map(|lease| lease.generation).min();
        self.table.forget(oldest.unwrap_or_else(|| self.gate.live()).min(self.gate.live()));
        let old: Vec<Arc<Instance>> = self.lingering.lock().unwrap().clone();
        if old.is_empty() {
            return 0;
        }
        let leases = self.gate.leases();
        let held = |old: &Arc<Instance>| {
            leases.iter().any(|lease| self.may_come(lease, old)) || !old.scope.resources().is_empty()
        };
        let (held, free): (Vec<_>, Vec<_>) = old.into_iter().partition(held);
        let gone: BTreeSet<(Name, Generation)> =
            free.iter().map(|old| (old.name.clone(), old.born)).collect();
        let mut dropped = Vec::new();
        {
            let mut modules = self.modules.write().unwrap();
            for (name, born) in &gone {
                let Some(instances) = modules.get_mut(name) else {
                    continue;
                };
                dropped.extend(instances.extract_if(.., |instance| instance.born == *born));
                if instances.is_empty() {
                    modules.remove(name);
                }
            }
        }
        let mut lingering = self.lingering.lock().unwrap();
        let removed: Vec<_> =
            lingering.extract_if(.., |old| gone.contains(&(old.name.clone(), old.born))).collect();
        drop(lingering);
        for (module, born) in gone {
            self.emit(EventKind::Purged { module, born: born.0 });
        }
        // Handles into VMs go here, outside of every lock.
        drop((removed, dropped, free));
        held.len()
    }
}
