//! The state of a native module.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::gate::LeaseKind;
use crate::lease::Lease;
use crate::value::Value;

/// The state of a native module: a map that every version of it shares.
///
/// What the top level of a staged version writes is held back until the commit, and seen by new code only;
/// hooks and calls write at once, and hooks are undone from the checkpoint.
#[derive(Default)]
pub struct State {
    live: Mutex<BTreeMap<String, Value>>,
    staged: Mutex<BTreeMap<String, Value>>,
}

impl State {
    /// The entry `key`, `Null` if there is none.
    pub fn get(&self, key: &str) -> Value {
        let staged = if is_ahead() { lock(&self.staged).get(key).cloned() } else { None };
        staged.unwrap_or_else(|| lock(&self.live).get(key).cloned().unwrap_or_default())
    }

    /// Writes the entry `key`.
    pub fn set(&self, key: &str, value: impl Into<Value>) {
        lock(self.written(key)).insert(key.to_owned(), value.into());
    }

    /// Changes the entry `key` in one step and returns its new value. `change` must not use this state.
    pub fn update(&self, key: &str, change: impl FnOnce(Value) -> Value) -> Value {
        let old = self.get(key);
        let map = self.written(key);
        let mut map = lock(map);
        // A staged key that is written first has its live value; else it may have changed since it was read.
        let next = change(map.get(key).cloned().unwrap_or(old));
        map.insert(key.to_owned(), next.clone());
        next
    }

    /// Where a write of `key` goes: a hook of new code has the last word on what its top level wrote.
    fn written(&self, key: &str) -> &Mutex<BTreeMap<String, Value>> {
        let held_back = is_staging() || (is_ahead() && lock(&self.staged).contains_key(key));
        if held_back { &self.staged } else { &self.live }
    }

    /// A copy of the whole map.
    pub fn snapshot(&self) -> BTreeMap<String, Value> {
        lock(&self.live).clone()
    }

    pub(super) fn restore(&self, map: BTreeMap<String, Value>) {
        *lock(&self.live) = map;
    }

    /// Makes it `now`, and gives out what it was. What is held back for an entry that is not what it `was` any more
    /// is forgotten.
    pub(super) fn pour(
        &self,
        was: &BTreeMap<String, Value>,
        now: BTreeMap<String, Value>,
    ) -> BTreeMap<String, Value> {
        lock(&self.staged).retain(|key, _| was.get(key) == now.get(key));
        std::mem::replace(&mut *lock(&self.live), now)
    }

    pub(super) fn merge(&self) -> MutexGuard<'_, BTreeMap<String, Value>> {
        let staged = std::mem::take(&mut *lock(&self.staged));
        let mut live = lock(&self.live);
        live.extend(staged);
        live
    }

    pub(super) fn discard(&self) {
        lock(&self.staged).clear();
    }
}

fn is_staging() -> bool {
    Lease::current().is_some_and(|lease| lease.kind() == LeaseKind::Stage)
}

fn is_ahead() -> bool {
    Lease::current().is_some_and(|lease| lease.is_transactional() && lease.is_ahead())
}

/// A change that panicked has changed nothing.
fn lock(map: &Mutex<BTreeMap<String, Value>>) -> MutexGuard<'_, BTreeMap<String, Value>> {
    map.lock().unwrap_or_else(PoisonError::into_inner)
}
