//! Where a module's state lives: a map of the fake language, or the state of a native module.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use graceful_core::native::State;
use graceful_core::{ScriptError, Value};

use super::object::{ListRef, MapRef, Object};
use super::vm::Vm;

/// Where a module's state lives.
#[derive(Clone)]
pub(crate) enum Store {
    /// A map of the fake language, with identity.
    Map(MapRef),
    /// A native module's plain data.
    Native(Arc<State>),
}

impl Store {
    /// The entry at `path`.
    pub(crate) fn get(&self, vm: &Vm, path: &str) -> Object {
        let mut keys = path.split('.');
        let first = keys.next().unwrap_or_default();
        let root = match self {
            Store::Map(map) => vm.state_entry(map, first),
            Store::Native(state) => state.get(first).into(),
        };
        keys.fold(root, |data, key| match data {
            Object::Map(map) => map.get(key),
            _ => Object::default(),
        })
    }

    /// Sets the entry at `path`, whose maps on the way must be there.
    pub(crate) fn set(&self, vm: &Vm, path: &str, data: Object) -> Result<(), ScriptError> {
        let Some((above, key)) = path.rsplit_once('.') else {
            match self {
                Store::Map(map) => vm.set_state_entry(map, path, data),
                Store::Native(state) => state.set(path, plain(path, &data)?),
            }
            return Ok(());
        };
        if let Store::Native(state) = self {
            return set_plain(state, path, plain(path, &data)?);
        }
        match self.get(vm, above) {
            Object::Map(map) => map.set(key, data),
            _ => return Err(missing(above)),
        }
        Ok(())
    }

    /// Adds one to the entry at `path`. In one step: a call that comes from another language has no turn in this one.
    pub(crate) fn inc(&self, vm: &Vm, path: &str) -> Result<(), ScriptError> {
        static ADDING: Mutex<()> = Mutex::new(());
        let _adding = ADDING.lock().unwrap_or_else(PoisonError::into_inner);
        let now = match self.get(vm, path) {
            Object::Plain(Value::Null) => 0,
            Object::Plain(value) => value.as_int().ok_or_else(|| wrong(path, "a number"))?,
            _ => return Err(wrong(path, "a number")),
        };
        self.set(vm, path, Object::Plain(Value::Int(now + 1)))
    }

    /// Adds to the list at `path`.
    pub(crate) fn push(&self, vm: &Vm, path: &str, data: Object) -> Result<(), ScriptError> {
        let list = match self.get(vm, path) {
            Object::List(list) => list,
            Object::Plain(Value::Null) => ListRef::default(),
            _ => return Err(wrong(path, "a list")),
        };
        list.0.lock().unwrap().push(data);
        // Set anew: it may have been missing, and a native state gives out copies.
        self.set(vm, path, Object::List(list))
    }
}

fn plain(path: &str, data: &Object) -> Result<Value, ScriptError> {
    data.to_value().ok_or_else(|| wrong(path, "plain data"))
}

fn set_plain(state: &State, path: &str, value: Value) -> Result<(), ScriptError> {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    let mut root = state.get(first);
    let (above, key) = rest.rsplit_once('.').unwrap_or(("", rest));
    let mut map = &mut root;
    for step in above.split('.').filter(|step| !step.is_empty()) {
        map = entries(map, path)?.get_mut(step).ok_or_else(|| missing(path))?;
    }
    entries(map, path)?.insert(key.to_owned(), value);
    state.set(first, root);
    Ok(())
}

fn entries<'a>(value: &'a mut Value, path: &str) -> Result<&'a mut BTreeMap<String, Value>, ScriptError> {
    match value {
        Value::Map(map) => Ok(map),
        _ => Err(missing(path)),
    }
}

fn missing(path: &str) -> ScriptError {
    ScriptError::runtime(format!("the state has no map at `{path}`"))
}

fn wrong(path: &str, expected: &str) -> ScriptError {
    ScriptError::runtime(format!("the state's entry `{path}` is not {expected}"))
}
