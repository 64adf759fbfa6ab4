//! What can be reached from a state: tables, variables that closures share, tasks.

use std::collections::{BTreeMap, BTreeSet};

use rhai::{Dynamic, FnPtr};

use crate::cell::Entries;
use crate::channel::Channel;
use crate::cond::Cond;
use crate::semver::Semver;
use crate::table::{Class, Object, Table, table_of};
use crate::task::Fiber;

/// How deep a plain value is looked into.
const DEEPEST: usize = 256;

/// Everything that can be reached from one table.
#[derive(Default)]
pub(crate) struct Reach {
    pub(crate) tables: BTreeMap<u64, Table>,
    /// Variables that closures captured, by their place in memory.
    pub(crate) shared: BTreeMap<usize, Dynamic>,
    /// The tasks whose handles are kept.
    pub(crate) fibers: BTreeSet<u64>,
    /// The types of values of the host's own, which can only be kept as they are.
    pub(crate) opaque: BTreeSet<&'static str>,
}

/// Values of graceful's own that keep themselves.
fn is_known(value: &Dynamic) -> bool {
    value.is::<Semver>() || value.is::<Class>() || value.is::<Cond>() || value.is::<Channel>()
}

impl Reach {
    /// Goes through `state`.
    pub(crate) fn of(state: &Table) -> Self {
        let mut reach = Reach::default();
        let mut todo = vec![Dynamic::from(state.clone())];
        while let Some(next) = todo.pop() {
            if let Some(table) = table_of(&next) {
                if reach.tables.insert(table.cell().id(), table.clone()).is_none() {
                    let look = |entries: &Entries| {
                        entries.values().for_each(|value| reach.look(value, 0, &mut todo))
                    };
                    table.cell().read(look);
                }
            } else if let Some(inside) = next.read_lock::<Dynamic>() {
                let place = std::ptr::from_ref::<Dynamic>(&inside).addr();
                if reach.shared.insert(place, next.clone()).is_none() {
                    reach.look(&inside, 0, &mut todo);
                }
            }
        }
        reach
    }

    fn look(&mut self, value: &Dynamic, depth: usize, todo: &mut Vec<Dynamic>) {
        if value.is_shared() || value.is::<Table>() || value.is::<Object>() {
            return todo.push(value.clone());
        }
        if depth > DEEPEST {
            return;
        }
        if let Ok(items) = value.as_array_ref() {
            items.iter().for_each(|item| self.look(item, depth + 1, todo));
        } else if let Ok(entries) = value.as_map_ref() {
            entries.values().for_each(|entry| self.look(entry, depth + 1, todo));
        } else if let Some(pointer) = value.read_lock::<FnPtr>() {
            pointer.curry().iter().for_each(|value| self.look(value, depth + 1, todo));
        } else if let Some(fiber) = value.read_lock::<Fiber>() {
            self.fibers.insert(fiber.id());
        } else if value.is_variant() && !is_known(value) {
            self.opaque.insert(value.type_name());
        }
    }

    /// Empties every table, so that none keeps another alive.
    pub(crate) fn clear(self) {
        self.tables.into_values().for_each(|table| drop(table.cell().take()));
    }
}
