//! What the fake language computes with: values with identity, and copies of them that keep it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use graceful_core::{Resource, Value};

use super::room::Kept;
use super::task::Task;

/// How deep plain data may lie in each other; what holds itself ends here.
const DEEPEST: usize = 64;

/// The entries of a map.
pub(crate) type Entries = BTreeMap<String, Object>;

/// A map with identity: clones are the same map.
#[derive(Clone, Default)]
pub(crate) struct MapRef(pub(crate) Arc<Mutex<Entries>>);

/// A list with identity.
#[derive(Clone, Default)]
pub(crate) struct ListRef(pub(crate) Arc<Mutex<Vec<Object>>>);

/// A value.
#[derive(Clone)]
pub(crate) enum Object {
    /// Neither a map nor a list.
    Plain(Value),
    Map(MapRef),
    List(ListRef),
    Task(Arc<Task>),
    Function(Arc<Kept>),
}

impl Default for Object {
    fn default() -> Self {
        Object::Plain(Value::Null)
    }
}

impl From<Value> for Object {
    fn from(value: Value) -> Self {
        match value {
            Value::Map(map) => {
                let entries = map.into_iter().map(|(key, value)| (key, value.into()));
                Object::Map(MapRef(Arc::new(Mutex::new(entries.collect()))))
            }
            Value::List(list) => {
                Object::List(ListRef(Arc::new(Mutex::new(list.into_iter().map(Object::from).collect()))))
            }
            plain => Object::Plain(plain),
        }
    }
}

impl Object {
    /// Whether it is nothing.
    pub(crate) fn is_nothing(&self) -> bool {
        matches!(self, Object::Plain(Value::Null))
    }

    /// Whether all of it is plain data, and none of it too deep.
    pub(crate) fn is_plain(&self) -> bool {
        self.is_plain_within(DEEPEST)
    }

    fn is_plain_within(&self, depth: usize) -> bool {
        let inside: Vec<Object> = match self {
            Object::Plain(_) => return true,
            Object::Task(_) | Object::Function(_) => return false,
            Object::Map(map) => map.0.lock().unwrap().values().cloned().collect(),
            Object::List(list) => list.0.lock().unwrap().clone(),
        };
        depth > 0 && inside.iter().all(|inside| inside.is_plain_within(depth - 1))
    }

    /// As plain data. What is none is left out; `None` if that is all of it.
    pub(crate) fn to_value(&self) -> Option<Value> {
        self.plain_within(&mut BTreeSet::new())
    }

    /// `above` are the objects this one is inside of: one of them again is a cycle.
    fn plain_within(&self, above: &mut BTreeSet<usize>) -> Option<Value> {
        let Some(address) = self.address() else {
            return match self {
                Object::Plain(value) => Some(value.clone()),
                _ => None,
            };
        };
        if !above.insert(address) {
            return None;
        }
        let value = match self {
            Object::Map(map) => {
                let entries = map.0.lock().unwrap().clone();
                let plain =
                    entries.into_iter().filter_map(|(key, data)| Some((key, data.plain_within(above)?)));
                Value::Map(plain.collect())
            }
            Object::List(list) => {
                let items = list.0.lock().unwrap().clone();
                Value::List(items.iter().filter_map(|data| data.plain_within(above)).collect())
            }
            _ => unreachable!("only maps and lists have an address"),
        };
        above.remove(&address);
        Some(value)
    }

    /// Whether it cannot be told apart from `other`: the same object, or equal plain data.
    pub(crate) fn is(&self, other: &Object) -> bool {
        match (self, other) {
            (Object::Plain(one), Object::Plain(other)) => one == other,
            (Object::Task(one), Object::Task(other)) => Arc::ptr_eq(one, other),
            (Object::Function(one), Object::Function(other)) => Arc::ptr_eq(one, other),
            _ => self.address().is_some() && self.address() == other.address(),
        }
    }

    /// What tells a map or list apart from every other.
    fn address(&self) -> Option<usize> {
        match self {
            Object::Map(map) => Some(Arc::as_ptr(&map.0) as usize),
            Object::List(list) => Some(Arc::as_ptr(&list.0) as usize),
            _ => None,
        }
    }

    /// Calls `see` with everything that can be reached from here, each object once.
    fn walk(&self, seen: &mut BTreeSet<usize>, see: &mut dyn FnMut(&Object)) {
        if self.address().is_some_and(|address| !seen.insert(address)) {
            return;
        }
        see(self);
        match self {
            Object::Map(map) => {
                let entries = map.0.lock().unwrap().clone();
                entries.values().for_each(|data| data.walk(seen, see));
            }
            Object::List(list) => {
                let items = list.0.lock().unwrap().clone();
                items.iter().for_each(|data| data.walk(seen, see));
            }
            _ => {}
        }
    }
}

impl MapRef {
    /// Whether it is the same map.
    pub(crate) fn is(&self, other: &MapRef) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The entry `key`.
    pub(crate) fn get(&self, key: &str) -> Object {
        self.0.lock().unwrap().get(key).cloned().unwrap_or_default()
    }

    /// Sets or, with nothing, removes the entry `key`.
    pub(crate) fn set(&self, key: &str, data: Object) {
        let mut entries = self.0.lock().unwrap();
        let old = if data.is_nothing() { entries.remove(key) } else { entries.insert(key.to_owned(), data) };
        drop(entries);
        drop(old);
    }

    /// The tasks whose handles can be reached from here.
    pub(crate) fn tasks(&self) -> BTreeSet<u64> {
        let mut tasks = BTreeSet::new();
        Object::Map(self.clone()).walk(&mut BTreeSet::new(), &mut |data| {
            if let Object::Task(task) = data {
                tasks.insert(task.id());
            }
        });
        tasks
    }

    /// A copy of every map and list that can be reached, each beside the live one, so that restoring keeps
    /// identity, aliases and cycles.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut copy = Snapshot::default();
        Object::Map(self.clone()).walk(&mut BTreeSet::new(), &mut |data| match data {
            Object::Map(map) => copy.maps.push((map.clone(), map.0.lock().unwrap().clone())),
            Object::List(list) => copy.lists.push((list.clone(), list.0.lock().unwrap().clone())),
            _ => {}
        });
        copy
    }
}

/// Every map and list of a state beside what was in it.
#[derive(Default)]
pub(crate) struct Snapshot {
    maps: Vec<(MapRef, Entries)>,
    lists: Vec<(ListRef, Vec<Object>)>,
}

impl Snapshot {
    /// What one map held.
    pub(crate) fn of_one(map: &MapRef, entries: Entries) -> Self {
        Self { maps: vec![(map.clone(), entries)], lists: Vec::new() }
    }

    /// Puts back what was in each.
    pub(crate) fn restore(&self) {
        for (map, entries) in &self.maps {
            let old = std::mem::replace(&mut *map.0.lock().unwrap(), entries.clone());
            drop(old);
        }
        for (list, items) in &self.lists {
            let old = std::mem::replace(&mut *list.0.lock().unwrap(), items.clone());
            drop(old);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restoring_keeps_identity_aliases_and_cycles() {
        let (state, inner) = (MapRef::default(), MapRef::default());
        inner.set("n", Object::Plain(1.into()));
        inner.set("up", Object::Map(state.clone()));
        state.set("a", Object::Map(inner.clone()));
        state.set("alias", Object::Map(inner.clone()));
        let copy = state.snapshot();
        inner.set("n", Object::Plain(2.into()));
        state.set("alias", Object::default());
        copy.restore();
        let Object::Map(alias) = state.get("alias") else { panic!("a map") };
        assert!(alias.is(&inner));
        assert_eq!(inner.get("n").to_value(), Some(1.into()));
        let plain = Object::Map(state).to_value().unwrap();
        assert_eq!(plain.get("a").unwrap().get("up"), None, "a cycle is left out");
    }
}
