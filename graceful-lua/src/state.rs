//! Reading a module's state: what of it is plain data, and which tasks are kept in it.

use std::collections::{BTreeMap, BTreeSet};

use graceful_core::Value;
use mlua::{AnyUserData, Table};

use crate::value::from_lua;

/// How deep and how far a state is read.
const DEPTH: usize = 32;
const ENTRIES: usize = 100_000;

/// The entries of `state` that are plain data; of a table, those of its entries that are.
pub(crate) fn plain(state: &Table) -> Value {
    let mut left = ENTRIES;
    entries(state, DEPTH, &mut left)
}

fn entries(table: &Table, depth: usize, left: &mut usize) -> Value {
    let mut map = BTreeMap::new();
    for entry in table.pairs::<mlua::Value, mlua::Value>() {
        let Ok((key, value)) = entry else { continue };
        if *left == 0 {
            break;
        }
        *left -= 1;
        let key = match &key {
            mlua::Value::String(key) => key.to_string_lossy(),
            mlua::Value::Integer(key) => key.to_string(),
            mlua::Value::Number(key) => key.to_string(),
            _ => continue,
        };
        let plain = match (from_lua(&value), &value) {
            (Ok(plain), _) => plain,
            (Err(_), mlua::Value::Table(table)) if depth > 0 => entries(table, depth - 1, left),
            (Err(_), _) => continue,
        };
        map.insert(key, plain);
    }
    Value::Map(map)
}

/// Adds to `kept` those of `candidates` whose task is somewhere in `state`.
pub(crate) fn tasks(state: &Table, candidates: &BTreeSet<u64>, kept: &mut BTreeSet<u64>) {
    let mut seen = BTreeSet::new();
    let mut todo = vec![state.clone()];
    let mut left = ENTRIES;
    while let Some(table) = todo.pop() {
        if kept.len() == candidates.len() || left == 0 {
            return;
        }
        if !seen.insert(table.to_pointer() as usize) {
            continue;
        }
        for entry in table.pairs::<mlua::Value, mlua::Value>() {
            let Ok((key, value)) = entry else { continue };
            left = left.saturating_sub(1);
            for part in [key, value] {
                match part {
                    mlua::Value::Table(table) => todo.push(table),
                    mlua::Value::UserData(object) => {
                        kept.extend(task(&object).filter(|id| candidates.contains(id)));
                    }
                    _ => {}
                }
            }
        }
    }
}

/// The number of the task that `object` is a handle of.
fn task(object: &AnyUserData) -> Option<u64> {
    crate::fiber::fiber_id(object)
}
