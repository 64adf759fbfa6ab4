//! What is registered by key in the live world: one immutable table, replaced whole.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::Callable;
use crate::gate::Generation;
use crate::source::Name;

/// A thing registered by key.
#[derive(Clone)]
pub struct Registered {
    /// The module that registered it.
    pub owner: Name,
    /// The generation of that module that did.
    pub born: Generation,
    /// What is called.
    pub target: Arc<dyn Callable>,
}

/// What is registered, by kind and key. One immutable table, replaced whole.
pub type Registrations = BTreeMap<(String, String), Registered>;

/// A key that another module has registered already.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} `{key}` is already registered by module `{owner}`")]
pub struct KeyTaken {
    /// The kind.
    pub kind: String,
    /// The key.
    pub key: String,
    /// Who has it.
    pub owner: Name,
}

/// The live table of registrations, and those that calls in flight began with.
#[derive(Default)]
pub struct Table {
    live: Mutex<Arc<Registrations>>,
    /// By the last generation that saw it, oldest first.
    past: Mutex<Vec<(Generation, Arc<Registrations>)>>,
}

impl Table {
    /// The table as it is now. It never changes; a new one takes its place.
    pub fn snapshot(&self) -> Arc<Registrations> {
        self.live.lock().unwrap().clone()
    }

    /// The table as `generation` saw it last, or sees it.
    pub(crate) fn at(&self, generation: Generation) -> Arc<Registrations> {
        let past = self.past.lock().unwrap();
        let seen = past.iter().find(|(last, _)| *last >= generation).map(|(_, table)| table.clone());
        drop(past);
        seen.unwrap_or_else(|| self.snapshot())
    }

    /// Keeps `table` for calls that are pinned to `last` or an earlier generation.
    pub(crate) fn keep(&self, last: Generation, table: Arc<Registrations>) {
        self.past.lock().unwrap().push((last, table));
    }

    /// Forgets what nobody sees who began in `oldest` or later.
    pub(crate) fn forget(&self, oldest: Generation) {
        let gone: Vec<_> = self.past.lock().unwrap().extract_if(.., |(last, _)| *last < oldest).collect();
        // Handlers may be dropped with it, and with them handles into VMs: outside of the lock.
        drop(gone);
    }

    /// Makes `change` of it in one step and gives back the table before, to be dropped outside of every lock.
    pub(crate) fn swap(&self, change: impl FnOnce(&mut Registrations)) -> Arc<Registrations> {
        let mut live = self.live.lock().unwrap();
        let mut next = (**live).clone();
        change(&mut next);
        std::mem::replace(&mut *live, Arc::new(next))
    }

    pub(super) fn change(
        &self,
        change: impl FnOnce(&mut Registrations) -> Result<(), KeyTaken>,
    ) -> Result<(), KeyTaken> {
        let mut live = self.live.lock().unwrap();
        let mut next = (**live).clone();
        change(&mut next)?;
        let old = std::mem::replace(&mut *live, Arc::new(next));
        drop(live);
        // The last reference to an old handler may live here; it is dropped outside of the lock.
        drop(old);
        Ok(())
    }
}
