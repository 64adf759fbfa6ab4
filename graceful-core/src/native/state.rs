//! The state of a native module.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use crate::gate::LeaseKind;
use crate::lease::Lease;
use crate::value::Value;

/// The state of a native module: a map that every version of it shares.
///
/// What the top level of a staged version writes is held back until the commit; hooks and calls write at
/// once, and hooks are undone from the checkpoint.
#[derive(Default)]
pub struct State {
    live: Mutex<BTreeMap<String, Value>>,
    staged: Mutex<BTreeMap<String, Value>>,
}

impl State {
    /// The entry `key`, `Null` if there is none.
    pub fn get(&self, key: &str) -> Value {
        if staging()
            && let Some(value) = self.staged.lock().unwrap().get(key)
        {
            return value.clone();
        }
        self.live.lock().unwrap().get(key).cloned().unwrap_or_default()
    }

    /// Writes the entry `key`.
    pub fn set(&self, key: &str, value: impl Into<Value>) {
        let map = if staging() { &self.staged } else { &self.live };
        map.lock().unwrap().insert(key.to_owned(), value.into());
    }

    /// Changes the entry `key` in one step and returns its new value.
    pub fn update(&self, key: &str, change: impl FnOnce(Value) -> Value) -> Value {
        if staging() {
            let next = change(self.get(key));
            self.set(key, next.clone());
            return next;
        }
        let mut live = self.live.lock().unwrap();
        let entry = live.entry(key.to_owned()).or_default();
        *entry = change(std::mem::take(entry));
        entry.clone()
    }

    /// A copy of the whole map.
    pub fn snapshot(&self) -> BTreeMap<String, Value> {
        self.live.lock().unwrap().clone()
    }

    pub(super) fn restore(&self, map: BTreeMap<String, Value>) {
        *self.live.lock().unwrap() = map;
    }

    pub(super) fn merge(&self) -> MutexGuard<'_, BTreeMap<String, Value>> {
        let staged = std::mem::take(&mut *self.staged.lock().unwrap());
        let mut live = self.live.lock().unwrap();
        live.extend(staged);
        live
    }

    pub(super) fn discard(&self) {
        self.staged.lock().unwrap().clear();
    }
}

fn staging() -> bool {
    Lease::current().is_some_and(|lease| lease.kind() == LeaseKind::Stage)
}
