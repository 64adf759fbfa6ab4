//! Old generations: what holds them, and dropping those that nothing holds.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::event::EventKind;
use crate::gate::{Generation, LeaseKind, LeaseRecord};
use crate::generation::{Instance, World};
use crate::source::Name;

impl World {
    /// What keeps `old` from being dropped: calls in flight that may still reach it, and resources of its
    /// that would not end.
    pub fn holders(&self, old: &Arc<Instance>) -> Vec<String> {
        let calls = self.gate.leases().into_iter().filter(|lease| self.holds(lease, old));
        let calls = calls.map(|lease| {
            let kind = if lease.kind == LeaseKind::Task { "task" } else { "call" };
            format!("{kind} in {} (generation {})", lease.root, lease.generation)
        });
        let resources = old.scope.resources().into_iter();
        calls.chain(resources.map(|left| format!("{} {}", left.kind(), left.key()))).collect()
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
                stack.extend(instance.edges().into_keys());
            }
        }
        false
    }

    /// Drops every old instance that nothing holds. Returns how many are still held.
    pub(crate) fn purge(&self) -> usize {
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
