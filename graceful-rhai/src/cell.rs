//! A table's entries behind a lock that is held for one access only, never while a script runs.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use graceful_core::clock::is_driven;
use rhai::{Dynamic, ImmutableString};

use crate::chain::let_go_of;

/// An entry's name.
pub(crate) type Key = ImmutableString;

/// Whether this thread is about to write back what it read.
pub(crate) fn is_updating() -> bool {
    UPDATING.with_borrow(|cell| cell.strong_count() > 0)
}

/// What a table holds.
pub(crate) type Entries = BTreeMap<Key, Dynamic>;

/// A read that a write of the same statement follows keeps others out for at most this long.
const STATEMENT: Duration = Duration::from_millis(500);

thread_local! {
    /// The cell that this thread is about to write back to.
    static UPDATING: RefCell<Weak<Cell>> = const { RefCell::new(Weak::new()) };
}

/// A statement that was about to write back has failed, or the call is over.
pub(crate) fn settle() {
    let cell = UPDATING.take();
    if let Some(cell) = cell.upgrade() {
        cell.let_in();
    }
}

#[derive(Default)]
struct Slots {
    entries: Entries,
    /// Counts the writes.
    version: u64,
    /// The thread that is between the read and the write of one statement, and since when.
    updating: Option<(ThreadId, Instant)>,
}

/// The entries of one table. Its identity is its place in memory.
#[derive(Default)]
pub(crate) struct Cell {
    id: u64,
    slots: Mutex<Slots>,
    updated: Condvar,
}

impl Cell {
    pub(crate) fn new(entries: Entries) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let slots = Slots { entries, ..Slots::default() };
        Self { id, slots: Mutex::new(slots), updated: Condvar::new() }
    }

    /// Its number within the process.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Looks at the entries.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&Entries) -> T) -> T {
        look(&self.turn().entries)
    }

    /// The entry `key`; `update` says that the same statement is about to write it.
    pub(crate) fn get(self: &Arc<Self>, key: &str, update: bool) -> Option<Dynamic> {
        let mut slots = self.turn();
        let found = slots.entries.get(key).cloned();
        if update && found.as_ref().is_none_or(is_plain) {
            slots.updating = Some((std::thread::current().id(), Instant::now()));
            drop(slots);
            UPDATING.set(Arc::downgrade(self));
        }
        found
    }

    fn let_in(&self) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.updating.take_if(|(thread, _)| *thread == std::thread::current().id());
        drop(slots);
        self.updated.notify_all();
    }

    /// Changes the entries; what `change` gives out is dropped after the lock.
    pub(crate) fn write<T>(&self, change: impl FnOnce(&mut Entries) -> T) -> T {
        let mut slots = self.turn();
        slots.version += 1;
        let given = change(&mut slots.entries);
        drop(slots);
        self.updated.notify_all();
        given
    }

    /// Writes `key`, unless something was written since `version`.
    pub(crate) fn write_if(&self, version: u64, key: Key, value: Dynamic) -> bool {
        let mut slots = self.turn();
        if slots.version != version {
            return false;
        }
        slots.version += 1;
        let old = put(&mut slots.entries, key, value);
        drop(slots);
        drop(old);
        true
    }

    /// The entry `key`, and the version that it was read at.
    pub(crate) fn versioned(&self, key: &str) -> (Option<Dynamic>, u64) {
        let slots = self.turn();
        (slots.entries.get(key).cloned(), slots.version)
    }

    /// Takes everything out.
    pub(crate) fn take(&self) -> Entries {
        self.write(std::mem::take)
    }

    /// Keeps everybody out until the guard drops.
    pub(crate) fn hold(&self) -> Held<'_> {
        Held(self.turn())
    }

    /// The lock, once no other thread is in the middle of a statement.
    fn turn(&self) -> MutexGuard<'_, Slots> {
        let elsewhere =
            UPDATING.with_borrow(|cell| cell.strong_count() > 0 && cell.as_ptr() != std::ptr::from_ref(self));
        if elsewhere {
            settle();
        }
        let me = std::thread::current().id();
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((thread, since)) = slots.updating {
            let left = STATEMENT.saturating_sub(since.elapsed());
            // Where one thread runs at a time, whoever is in the middle of a statement waits in it.
            if thread == me || left.is_zero() || is_driven() {
                slots.updating = None;
                break;
            }
            let (next, _) = self.updated.wait_timeout(slots, left).unwrap_or_else(PoisonError::into_inner);
            slots = next;
        }
        slots
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        let slots = self.slots.get_mut().unwrap_or_else(PoisonError::into_inner);
        let_go_of(std::mem::take(&mut slots.entries).into_values());
    }
}

/// A table's entries while nobody else can see them.
pub(crate) struct Held<'a>(MutexGuard<'a, Slots>);

impl Held<'_> {
    /// Puts `changes` in; gives out what was there.
    pub(crate) fn merge(&mut self, changes: BTreeMap<Key, Option<Dynamic>>) -> Vec<Dynamic> {
        self.0.version += 1;
        let entries = &mut self.0.entries;
        let old =
            changes.into_iter().filter_map(|(key, value)| put(entries, key, value.unwrap_or(Dynamic::UNIT)));
        old.collect()
    }
}

/// Sets an entry; nothing removes it. Gives out what was there.
pub(crate) fn put(entries: &mut Entries, key: Key, value: Dynamic) -> Option<Dynamic> {
    if value.is_unit() { entries.remove(&key) } else { entries.insert(key, value) }
}

/// Whether a statement that reads it and writes it back changes a copy in between.
fn is_plain(value: &Dynamic) -> bool {
    !value.is_variant()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_that_is_about_to_write_keeps_others_out() {
        let cell = Arc::new(Cell::new(Entries::new()));
        let threads = (0..4).map(|_| {
            let cell = cell.clone();
            std::thread::spawn(move || {
                for _ in 0..1_000 {
                    let hits = cell.get("hits", true).map_or(0, |hits| hits.as_int().unwrap());
                    cell.write(|entries| put(entries, "hits".into(), (hits + 1).into()));
                }
            })
        });
        threads.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(cell.get("hits", false).unwrap().as_int(), Ok(4_000));
    }

    #[test]
    fn a_statement_that_failed_keeps_nobody_out_for_long() {
        let cell = Arc::new(Cell::new(Entries::new()));
        let began = Instant::now();
        for end in [|| (), settle, || drop(Arc::new(Cell::new(Entries::new())).get("a", false))] {
            let other = cell.clone();
            std::thread::spawn(move || {
                other.get("a", true);
                end();
            });
            std::thread::sleep(Duration::from_millis(20));
            assert!(cell.get("a", false).is_none());
        }
        assert!(began.elapsed() < 2 * STATEMENT);
    }

    #[test]
    fn nothing_removes_an_entry() {
        let cell = Cell::new(Entries::from([("a".into(), 1.into())]));
        cell.write(|entries| put(entries, "a".into(), Dynamic::UNIT));
        assert!(cell.read(Entries::is_empty));
    }
}
