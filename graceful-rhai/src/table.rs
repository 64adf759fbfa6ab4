//! A table: what a module's state is, and what a script makes where a value must be shared instead of copied.

use std::sync::Arc;

use graceful_core::Name;
use rhai::{Dynamic, ImmutableString};

use crate::cell::{Cell, Entries, Key, put};
use crate::watch;

/// Entries by name, the same for everybody who holds it. A clone is the same table.
///
/// Rhai's own maps and arrays are values: reading one from a table gives a copy, and a statement that changes
/// it in place writes it back.
#[derive(Clone)]
pub struct Table {
    cell: Arc<Cell>,
    /// It is a module's state: what a top level writes to it while it is staged waits for the commit.
    state: bool,
}

impl Table {
    /// An empty state.
    pub(crate) fn state() -> Self {
        Self { cell: Arc::new(Cell::new(Entries::new())), state: true }
    }

    /// A table with these entries.
    pub(crate) fn of(entries: Entries) -> Self {
        Self { cell: Arc::new(Cell::new(entries)), state: false }
    }

    pub(crate) fn cell(&self) -> &Arc<Cell> {
        &self.cell
    }

    /// Whether it is the same table as `other`.
    pub fn is(&self, other: &Table) -> bool {
        Arc::ptr_eq(&self.cell, &other.cell)
    }

    /// The entry `key`; unit if there is none.
    pub fn get(&self, key: &str) -> Dynamic {
        self.read(key, false)
    }

    /// The same; `update` says that the same statement is about to write it.
    pub(crate) fn read(&self, key: &str, update: bool) -> Dynamic {
        let staged = self.held_back().and_then(|overlay| overlay.get(&self.cell, key));
        let found = match staged {
            Some(staged) => staged,
            None => self.cell.get(key, update),
        };
        found.unwrap_or(Dynamic::UNIT)
    }

    /// Sets the entry `key`; unit removes it.
    pub fn set(&self, key: impl Into<Key>, value: Dynamic) {
        let key = key.into();
        if let Some(overlay) = self.overlay() {
            // `x.cache = x.cache ?? ...` must not bring a copy back over what live code writes until the
            // commit.
            let untouched = overlay.get(&self.cell, &key).is_none();
            if untouched && same(&self.cell.get(&key, false).unwrap_or(Dynamic::UNIT), &value) {
                return;
            }
            return overlay.set(&self.cell, key, (!value.is_unit()).then_some(value));
        }
        if let Some(overlay) = self.held_back().filter(|overlay| overlay.get(&self.cell, &key).is_some()) {
            return overlay.set(&self.cell, key, (!value.is_unit()).then_some(value));
        }
        let old = self.cell.write(|entries| put(entries, key, value));
        drop(old);
    }

    /// Replaces the entry `key` by what `change` makes of it, in one step: if somebody else writes meanwhile,
    /// once more.
    ///
    /// # Errors
    /// What `change` fails with.
    pub(crate) fn update<E>(
        &self,
        key: Key,
        change: impl Fn(Dynamic) -> Result<Dynamic, E>,
    ) -> Result<Dynamic, E> {
        if self.held_back().is_some() {
            let next = change(self.get(&key))?;
            self.set(key, next.clone());
            return Ok(next);
        }
        loop {
            let (now, version) = self.cell.versioned(&key);
            let next = change(now.unwrap_or(Dynamic::UNIT))?;
            if self.cell.write_if(version, key.clone(), next.clone()) {
                return Ok(next);
            }
        }
    }

    /// A copy of the entries, each a copy as reading it would give.
    pub fn entries(&self) -> Entries {
        let mut entries = self.cell.read(Entries::clone);
        let staged = self.held_back().map(|overlay| overlay.of(&self.cell));
        for (key, value) in staged.into_iter().flatten() {
            put(&mut entries, key, value.unwrap_or(Dynamic::UNIT));
        }
        entries
    }

    /// Removes every entry.
    pub fn clear(&self) {
        if self.held_back().is_some() {
            self.entries().into_keys().for_each(|key| self.set(key, Dynamic::UNIT));
        } else {
            drop(self.cell.take());
        }
    }

    /// What is written before the commit: by top levels, seen by hooks of new code.
    fn held_back(&self) -> Option<Arc<crate::overlay::Overlay>> {
        if self.state { watch::held_back() } else { None }
    }

    fn overlay(&self) -> Option<Arc<crate::overlay::Overlay>> {
        if self.state { watch::overlay() } else { None }
    }
}

/// A class, by its name and that of its module: the same one in every version.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Class {
    pub(crate) module: Name,
    pub(crate) name: ImmutableString,
}

/// An object of a class: what it holds, the same for everybody who has it, and whose methods it has.
#[derive(Clone)]
pub(crate) struct Object {
    pub(crate) class: Class,
    pub(crate) fields: Table,
}

/// The table that `value` is, or the one behind it if it is an object.
pub(crate) fn table_of(value: &Dynamic) -> Option<Table> {
    let table = value.read_lock::<Table>().map(|table| table.clone());
    table.or_else(|| value.read_lock::<Object>().map(|object| object.fields.clone()))
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys = self.cell.read(|entries| entries.keys().cloned().collect::<Vec<_>>());
        write!(f, "table {keys:?}")
    }
}

/// Whether two values cannot be told apart.
pub(crate) fn same(one: &Dynamic, other: &Dynamic) -> bool {
    if one.type_id() != other.type_id() {
        return false;
    }
    if let (Some(one), Some(other)) = (table_of(one), table_of(other)) {
        return one.is(&other);
    }
    if let (Ok(one), Ok(other)) = (one.as_array_ref(), other.as_array_ref()) {
        return one.len() == other.len() && one.iter().zip(other.iter()).all(|(one, other)| same(one, other));
    }
    if let (Ok(one), Ok(other)) = (one.as_map_ref(), other.as_map_ref()) {
        let pairs = || one.iter().zip(other.iter());
        return one.len() == other.len() && pairs().all(|((k, one), (l, other))| k == l && same(one, other));
    }
    if let (Ok(one), Ok(other)) = (one.as_blob_ref(), other.as_blob_ref()) {
        return *one == *other;
    }
    if let (Ok(one), Ok(other)) = (one.as_immutable_string_ref(), other.as_immutable_string_ref()) {
        return *one == *other;
    }
    match (one.as_int(), one.as_float(), one.as_bool(), one.as_char()) {
        (Ok(one), ..) => other.as_int() == Ok(one),
        (_, Ok(one), ..) => other.as_float().is_ok_and(|other| other.to_bits() == one.to_bits()),
        (_, _, Ok(one), _) => other.as_bool() == Ok(one),
        (_, _, _, Ok(one)) => other.as_char() == Ok(one),
        _ => one.is_unit(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::overlay::Overlay;
    use crate::watch::{Staging, Watch};

    fn staged<T>(overlay: &Arc<Overlay>, work: impl FnOnce() -> T) -> T {
        let staging = Staging { overlay: overlay.clone(), importer: None, start: false };
        Watch::default().staged(staging).run(work)
    }

    #[test]
    fn what_a_top_level_writes_is_its_own_until_the_commit() {
        let (table, overlay) = (Table::state(), Arc::<Overlay>::default());
        table.set("old", 1.into());
        staged(&overlay, || {
            table.set("new", 2.into());
            table.set("old", Dynamic::UNIT);
            assert_eq!(table.get("new").as_int(), Ok(2));
            assert!(table.get("old").is_unit());
        });
        assert!(table.get("new").is_unit());
        assert_eq!(table.get("old").as_int(), Ok(1));
        let mut swapped = false;
        overlay.commit(&mut || swapped = true);
        assert!(swapped && table.get("old").is_unit());
        assert_eq!(table.get("new").as_int(), Ok(2));
    }

    #[test]
    fn what_was_written_back_as_it_was_keeps_what_came_since() {
        let (table, overlay) = (Table::state(), Arc::<Overlay>::default());
        table.set("cache", vec![Dynamic::from(1_i64)].into());
        staged(&overlay, || table.set("cache", table.get("cache")));
        table.set("cache", vec![Dynamic::from(1_i64), 2.into()].into());
        overlay.commit(&mut || ());
        assert_eq!(table.get("cache").as_array_ref().unwrap().len(), 2);
    }

    #[test]
    fn an_update_that_others_interrupt_is_made_again() {
        let table = Table::state();
        let threads = (0..4).map(|_| {
            let table = table.clone();
            let add = |now: Dynamic| Ok::<_, ()>((now.as_int().unwrap_or(0) + 1).into());
            std::thread::spawn(move || (0..500).for_each(|_| drop(table.update("n".into(), add))))
        });
        threads.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(table.get("n").as_int(), Ok(2_000));
    }
}
