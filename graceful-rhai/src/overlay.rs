//! What top levels write to their modules' state while they are staged: theirs at once, everybody's at
//! commit.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rhai::Dynamic;

use crate::cell::{Cell, Key};

struct Changed {
    cell: Arc<Cell>,
    entries: BTreeMap<Key, Option<Dynamic>>,
}

/// The first-level entries that one reload's top levels wrote. `None` is an entry that was removed.
#[derive(Default)]
pub(crate) struct Overlay {
    changed: Mutex<BTreeMap<u64, Changed>>,
}

impl Overlay {
    /// What was written to `key` of `cell`, if anything was.
    pub(crate) fn get(&self, cell: &Cell, key: &str) -> Option<Option<Dynamic>> {
        self.lock().get(&cell.id())?.entries.get(key).cloned()
    }

    /// Writes `key` of `cell`.
    pub(crate) fn set(&self, cell: &Arc<Cell>, key: Key, value: Option<Dynamic>) {
        let mut changed = self.lock();
        let into = changed
            .entry(cell.id())
            .or_insert_with(|| Changed { cell: cell.clone(), entries: BTreeMap::new() });
        let old = into.entries.insert(key, value);
        drop(changed);
        drop(old);
    }

    /// Everything that was written to `cell`.
    pub(crate) fn of(&self, cell: &Cell) -> BTreeMap<Key, Option<Dynamic>> {
        self.lock().get(&cell.id()).map(|changed| changed.entries.clone()).unwrap_or_default()
    }

    /// Forgets what was written to `cell`, except under the keys that are to be `kept`.
    pub(crate) fn retain(&self, cell: &Cell, kept: impl Fn(&str) -> bool) {
        let mut changed = self.lock();
        let Some(own) = changed.get_mut(&cell.id()) else { return };
        let (stay, leave) = std::mem::take(&mut own.entries).into_iter().partition(|(key, _)| kept(key));
        own.entries = stay;
        drop(changed);
        drop::<BTreeMap<_, _>>(leave);
    }

    /// Puts everything in and calls `swap`, while nobody can look at any of it.
    pub(crate) fn commit(&self, swap: &mut dyn FnMut()) {
        let changed = std::mem::take(&mut *self.lock());
        let mut held = Vec::new();
        let mut old = Vec::new();
        for Changed { cell, entries } in changed.values() {
            let mut cell = cell.hold();
            old.push(cell.merge(entries.clone()));
            held.push(cell);
        }
        swap();
        drop(held);
        drop((old, changed));
    }

    /// Forgets everything.
    pub(crate) fn discard(&self) {
        let changed = std::mem::take(&mut *self.lock());
        drop(changed);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Changed>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
