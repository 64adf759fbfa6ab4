//! What was dropped where no Lua may be touched: gone at the next moment when the VM's lock is held anyway.

use std::sync::{Mutex, PoisonError};

use mlua::{Function, Table};

/// Handles and record numbers that wait to be dropped under the VM's lock. Dropping a handle takes that lock,
/// and whoever drops a module may hold another.
#[derive(Default)]
pub(crate) struct Grave {
    buried: Mutex<Buried>,
}

#[derive(Default)]
struct Buried {
    records: Vec<u64>,
    functions: Vec<Function>,
    tables: Vec<Table>,
}

impl Grave {
    pub(crate) fn bury(&self, record: u64) {
        self.with(|buried| buried.records.push(record));
    }

    pub(crate) fn bury_functions(&self, functions: impl IntoIterator<Item = Function>) {
        self.with(|buried| buried.functions.extend(functions));
    }

    pub(crate) fn bury_tables(&self, tables: impl IntoIterator<Item = Table>) {
        self.with(|buried| buried.tables.extend(tables));
    }

    /// Drops at most about `most` of what waits. Called under the VM's lock.
    pub(crate) fn clear(&self, records: &Table, most: usize) {
        let gone = self.with(|buried| {
            let first = |len: usize| len.saturating_sub(most)..;
            Buried {
                records: buried.records.drain(first(buried.records.len())).collect(),
                functions: buried.functions.drain(first(buried.functions.len())).collect(),
                tables: buried.tables.drain(first(buried.tables.len())).collect(),
            }
        });
        for record in gone.records {
            let _ = records.raw_set(record, mlua::Value::Nil);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.with(|buried| {
            buried.records.is_empty() && buried.functions.is_empty() && buried.tables.is_empty()
        })
    }

    fn with<R>(&self, change: impl FnOnce(&mut Buried) -> R) -> R {
        change(&mut self.buried.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
