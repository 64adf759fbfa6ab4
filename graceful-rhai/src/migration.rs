//! Migrations of states: deep copies, the steps on them, and pouring what comes of them into the state.

use std::collections::BTreeMap;
use std::sync::Arc;

use graceful_core::{HookError, Lease, MigrationCx, Value};
use rhai::{Array, Dynamic, Map};

use crate::bind::{Going, bind};
use crate::cell::Entries;
use crate::checkpoint::Copied;
use crate::error;
use crate::overlay::Overlay;
use crate::reach::Reach;
use crate::run::off_thread;
use crate::table::{Object, Table, same};
use crate::unit::Unit;
use crate::value::{from_value, to_plain};
use crate::watch::Watch;

/// How deep a plain value is copied; what lies deeper is shared.
const DEEPEST: usize = 256;

/// A state on its way: what its first level was, and what it is now.
pub(crate) struct RhaiDraft {
    was: Entries,
    now: Table,
}

impl RhaiDraft {
    /// A copy of `state`: each table once, so that aliases and cycles stay inside of the copy; what refers to
    /// the state itself goes on referring to it.
    pub(crate) fn of(state: &Table) -> Self {
        let now = Table::of(Entries::new());
        let mut copies = Copies { known: BTreeMap::new(), todo: vec![(state.clone(), now.clone())] };
        copies.known.insert(state.cell().id(), state.clone());
        while let Some((from, to)) = copies.todo.pop() {
            let entries = from.cell().read(Entries::clone);
            let copied = entries.iter().map(|(key, value)| (key.clone(), copies.deep(value, 0)));
            let copied: Entries = copied.collect();
            to.cell().write(|entries| *entries = copied);
        }
        let was = now.cell().read(Entries::clone);
        Self { was, now }
    }

    /// What was recorded of a state.
    pub(crate) fn recorded(value: &Value) -> Result<Self, HookError> {
        let Value::Map(entries) = value else {
            return Err(format!("a state is a map, got {}", value.kind()).into());
        };
        let entries = entries.iter().map(|(key, value)| (key.as_str().into(), shared(value)));
        Ok(Self { was: Entries::new(), now: Table::of(entries.collect()) })
    }

    /// Copies of what it holds besides itself, as it is now.
    fn parts(&self) -> Reach {
        let mut reach = Reach::of(&self.now);
        let held = |table: &mut Table| *table = Table::of(table.cell().read(Entries::clone));
        reach.tables.values_mut().for_each(held);
        reach
    }

    /// As plain data.
    pub(crate) fn save(&self) -> Value {
        to_plain(&Dynamic::from(self.now.clone()))
    }

    /// Makes `state` what it is, and returns what brings it back. What a top level wrote to an entry that was
    /// changed is forgotten.
    pub(crate) fn pour(self, state: &Table, overlay: Option<Arc<Overlay>>) -> Copied {
        let next = self.now.cell().read(Entries::clone);
        if let Some(overlay) = overlay {
            let kept = |key: &str| match (self.was.get(key), next.get(key)) {
                (Some(was), Some(now)) => same(was, now),
                (None, None) => true,
                _ => false,
            };
            overlay.retain(state.cell(), kept);
        }
        let old = state.cell().write(|entries| std::mem::replace(entries, next));
        Copied::of_one(state, old)
    }

    /// A table or map that a step made and returned is the state from here on. In Rhai every function returns its
    /// last value, so any other kind of value is none that was meant, and what was in the state `before` may not be.
    fn took(self, mut returned: Dynamic, before: &Reach, unit: &Arc<Unit>) -> Result<Self, HookError> {
        let table = returned.read_lock::<Table>().map(|table| table.clone());
        let was_inside = match &table {
            Some(table) if table.is(&self.now) => return Ok(self),
            Some(table) => table.is(&unit.common.state) || before.tables.contains_key(&table.cell().id()),
            None if !returned.is_map() => return Ok(self),
            None => before.tables.values().any(|table| {
                table.cell().read(|entries| entries.values().any(|entry| same(entry, &returned)))
            }),
        };
        if was_inside {
            let message = "the last value of a step is its new state, and this one is a part of the old: end it \
                           with `()`, or with the state";
            return Err(message.into());
        }
        bind(&mut returned, unit, Going::Kept);
        let now = table.unwrap_or_else(|| {
            let entries = returned.cast::<Map>().into_iter();
            Table::of(entries.map(|(key, value)| (key.as_str().into(), value)).collect())
        });
        Ok(Self { now, ..self })
    }
}

/// Recorded data as it is in a state: maps have identity there.
fn shared(value: &Value) -> Dynamic {
    match value {
        Value::Map(entries) => {
            let entries = entries.iter().map(|(key, value)| (key.as_str().into(), shared(value)));
            Dynamic::from(Table::of(entries.collect()))
        }
        Value::List(items) => Dynamic::from_array(items.iter().map(shared).collect()),
        plain => from_value(plain.clone()),
    }
}

/// The tables that were copied already, by number, and those whose entries are still to be copied.
struct Copies {
    known: BTreeMap<u64, Table>,
    todo: Vec<(Table, Table)>,
}

impl Copies {
    fn table(&mut self, table: &Table) -> Table {
        let copy = self.known.entry(table.cell().id()).or_insert_with(|| {
            let copy = Table::of(Entries::new());
            self.todo.push((table.clone(), copy.clone()));
            copy
        });
        copy.clone()
    }

    fn deep(&mut self, value: &Dynamic, depth: usize) -> Dynamic {
        if value.is_shared() || depth > DEEPEST {
            return value.clone();
        }
        if let Some(table) = value.read_lock::<Table>() {
            return Dynamic::from(self.table(&table));
        }
        if let Some(object) = value.read_lock::<Object>() {
            let fields = self.table(&object.fields);
            return Dynamic::from(Object { class: object.class.clone(), fields });
        }
        if let Ok(items) = value.as_array_ref() {
            let items: Array = items.iter().map(|item| self.deep(item, depth + 1)).collect();
            return items.into();
        }
        if let Ok(entries) = value.as_map_ref() {
            let entries = entries.iter().map(|(key, value)| (key.clone(), self.deep(value, depth + 1)));
            return Dynamic::from_map(entries.collect::<Map>());
        }
        value.clone()
    }
}

impl Unit {
    /// Takes one step on a draft.
    pub(crate) async fn migrate(
        self: Arc<Self>,
        cx: &MigrationCx,
        draft: RhaiDraft,
    ) -> Result<RhaiDraft, HookError> {
        let function = self.registered().and_then(|registration| registration.steps.function(cx).cloned());
        let function = function.ok_or("the module declares no such step")?;
        let watch = Watch::call(Lease::current()).within(cx.budget);
        let world = self.runtime.world().map_err(|error| HookError::new(error.to_string()))?;
        let counted = self.common.hooks.count();
        let work = move || {
            let _counted = counted;
            let (before, state) = (draft.parts(), Dynamic::from(draft.now.clone()));
            let returned = self.call_pointer(None, &function, vec![state]);
            let returned = returned.map_err(|thrown| error::hook_error(thrown, &self.name, &*self))?;
            draft.took(returned, &before, &self)
        };
        off_thread(&*world.clock, watch, work).await?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_has_copies_of_its_own_and_goes_back_to_the_state() {
        let state = Table::state();
        let inner = Table::of(Entries::new());
        inner.set("up", Dynamic::from(state.clone()));
        state.set("a", Dynamic::from(inner.clone()));
        state.set("alias", Dynamic::from(inner.clone()));
        state.set("list", vec![Dynamic::from(inner.clone())].into());
        let draft = RhaiDraft::of(&state);
        let (a, alias) = (draft.now.get("a").cast::<Table>(), draft.now.get("alias").cast::<Table>());
        let listed = draft.now.get("list").cast::<Array>().remove(0).cast::<Table>();
        assert!(a.is(&alias) && a.is(&listed) && !a.is(&inner));
        assert!(a.get("up").cast::<Table>().is(&state));
        a.set("n", 1.into());
        draft.now.set("b", 2.into());
        assert!(inner.get("n").is_unit() && state.get("b").is_unit(), "the state is not touched");
        let overlay = Arc::<Overlay>::default();
        overlay.set(state.cell(), "b".into(), Some(0.into()));
        overlay.set(state.cell(), "c".into(), Some(0.into()));
        let before = draft.pour(&state, Some(overlay.clone()));
        assert_eq!(state.get("b").as_int(), Ok(2));
        assert_eq!(overlay.of(state.cell()).into_keys().collect::<Vec<_>>(), ["c"], "the rest waits");
        before.restore();
        assert!(state.get("b").is_unit() && state.get("a").cast::<Table>().is(&inner));
    }
}
