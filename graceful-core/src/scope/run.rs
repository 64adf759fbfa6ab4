//! What a role started: the part of a scope that goes when the role stops, although its module stays loaded.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Registered, Resource, Scope};

/// A thing registered by key.
type Key = (String, String);

/// What was started and registered since the role began to run.
#[derive(Default)]
pub(super) struct Run {
    pub(super) resources: BTreeSet<u64>,
    pub(super) keys: BTreeSet<Key>,
}

/// What a role's run leaves behind.
#[derive(Default)]
pub(crate) struct Ended {
    /// To be released, last started first.
    pub(crate) resources: Vec<Arc<dyn Resource>>,
    /// Still in the table: calls by them wait at the gate until it is known who has them next.
    pub(crate) keys: BTreeSet<Key>,
}

impl Scope {
    /// From now on everything belongs to the role's run.
    pub(crate) fn begin_run(&self) {
        self.lock().run.get_or_insert_default();
    }

    /// What the run has started and not ended.
    pub(crate) fn in_run(&self) -> Vec<Arc<dyn Resource>> {
        self.sweep();
        let owned = self.lock();
        let Some(run) = &owned.run else { return Vec::new() };
        owned.resources.iter().filter(|resource| run.resources.contains(&resource.id())).cloned().collect()
    }

    /// The run is over. What `stays` says so of belongs to the module from now on.
    pub(crate) fn end_run(&self, stays: &BTreeSet<u64>) -> Ended {
        let mut owned = self.lock();
        let Some(run) = owned.run.take() else { return Ended::default() };
        let goes = |resource: &mut Arc<dyn Resource>| {
            run.resources.contains(&resource.id()) && !stays.contains(&resource.id())
        };
        let mut resources: Vec<_> = owned.resources.extract_if(.., goes).collect();
        let targets: Vec<_> = run.keys.iter().filter_map(|key| owned.registrations.remove(key)).collect();
        drop(owned);
        // Handles into VMs, perhaps the last ones: not under the lock.
        drop(targets);
        resources.reverse();
        Ended { resources, keys: run.keys }
    }

    /// Takes those of `keys` out of the table that this generation registered and has not registered again.
    pub(crate) fn withdraw(&self, keys: &BTreeSet<Key>) {
        let again: BTreeSet<Key> = self.lock().registrations.keys().cloned().collect();
        let gone: Vec<&Key> = keys.difference(&again).collect();
        if gone.is_empty() {
            return;
        }
        let own = |entry: &Registered| entry.owner == self.owner && entry.born == self.born;
        let _ = self.table.change(|table| {
            table.retain(|key, entry| !(gone.contains(&key) && own(entry)));
            Ok(())
        });
    }
}
