//! Migrations of the fake language: deep copies of states, the steps on them, and pouring them back in.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{Either, select};
use graceful_core::{HookError, Migration, MigrationCx, MigrationStep, Migrations, Value, Version};

use super::object::{Entries, ListRef, MapRef, Object, Snapshot};
use super::room::{Room, failed};
use super::store::Store;
use super::text::{Body, StepText};

/// A state on its way: what its first level was, and what it is now.
pub(crate) struct FakeDraft {
    was: Entries,
    now: MapRef,
}

impl FakeDraft {
    /// A copy of `state`; what refers to the state itself goes on referring to it.
    pub(crate) fn of(state: &MapRef) -> Self {
        let mut copies = Copies::default();
        copies.maps.insert(Arc::as_ptr(&state.0) as usize, state.clone());
        let entries = state.0.lock().unwrap().clone();
        let was: Entries = entries.iter().map(|(key, data)| (key.clone(), deep(data, &mut copies))).collect();
        let now = MapRef::default();
        now.0.lock().unwrap().clone_from(&was);
        Self { was, now }
    }

    /// The state that was recorded as plain data.
    pub(crate) fn recorded(value: &Value) -> Result<Self, HookError> {
        match Object::from(value.clone()) {
            Object::Map(now) => Ok(Self { was: Entries::new(), now }),
            _ => Err(format!("a state is a map, got {}", value.kind()).into()),
        }
    }

    /// As plain data.
    pub(crate) fn save(&self) -> Value {
        Object::Map(self.now.clone()).to_value().unwrap_or_default()
    }

    /// Makes `state` what the draft is. Gives out what it was, and what is held back for it no more.
    pub(crate) fn pour(self, state: &MapRef) -> (Snapshot, Vec<String>) {
        let next = self.now.0.lock().unwrap().clone();
        let old = std::mem::replace(&mut *state.0.lock().unwrap(), next.clone());
        let keys = self.was.keys().chain(next.keys()).cloned();
        let changed = keys.filter(|key| match (self.was.get(key), next.get(key)) {
            (Some(was), Some(now)) => !was.is(now),
            _ => true,
        });
        (Snapshot::of_one(state, old), changed.collect())
    }
}

/// What was copied already, by where it is: aliases stay aliases and a cycle ends.
#[derive(Default)]
struct Copies {
    maps: BTreeMap<usize, MapRef>,
    lists: BTreeMap<usize, ListRef>,
}

fn deep(object: &Object, copies: &mut Copies) -> Object {
    match object {
        Object::Map(map) => {
            let at = Arc::as_ptr(&map.0) as usize;
            if let Some(copy) = copies.maps.get(&at) {
                return Object::Map(copy.clone());
            }
            let copy = MapRef::default();
            copies.maps.insert(at, copy.clone());
            let entries = map.0.lock().unwrap().clone();
            let entries = entries.iter().map(|(key, data)| (key.clone(), deep(data, copies))).collect();
            *copy.0.lock().unwrap() = entries;
            Object::Map(copy)
        }
        Object::List(list) => {
            let at = Arc::as_ptr(&list.0) as usize;
            if let Some(copy) = copies.lists.get(&at) {
                return Object::List(copy.clone());
            }
            let copy = ListRef::default();
            copies.lists.insert(at, copy.clone());
            let items = list.0.lock().unwrap().clone();
            *copy.0.lock().unwrap() = items.iter().map(|data| deep(data, copies)).collect();
            Object::List(copy)
        }
        other => other.clone(),
    }
}

impl Room {
    /// The steps it declares, checked. `given` is the option, where it is not written as steps.
    pub(crate) fn migrations(&self, given: Option<&Value>) -> Result<Migrations, String> {
        let wrong = |text: String| format!("module `{}`, option `migrations`: {text}", self.name);
        if let Some(given) = given {
            return Err(wrong(format!("expected a map of steps, got {}", given.kind())));
        }
        let steps = &self.program.migrations;
        let read = |value: &Value| Version::from_value(value).map_err(|error| wrong(error.to_string()));
        let declared: Result<Vec<Migration>, String> = steps
            .iter()
            .map(|step| {
                let (up, down) = (step.up.is_some(), step.down.is_some());
                Ok(Migration { from: read(&step.from)?, to: read(&step.to)?, up, down, lossy: step.lossy })
            })
            .collect();
        Migrations::new(declared?).map_err(|error| wrong(error.to_string()))
    }

    /// Takes one step on a draft, at most as long as `cx` says.
    pub(crate) async fn migrate(
        self: &Arc<Self>,
        cx: &MigrationCx,
        draft: FakeDraft,
    ) -> Result<FakeDraft, HookError> {
        let body = self.declared(&cx.step).ok_or("the module declares no such step")?;
        let room = self.with(Store::Map(draft.now.clone()), Vec::new());
        let ran = room.run_body(body).boxed();
        let budget = self.vm.clock().map_err(failed)?.sleep(cx.budget);
        let returned = match select(ran, budget).await {
            Either::Left((ran, _)) => ran.map_err(HookError::from)?,
            Either::Right(_) => return Err(HookError { timeout: true, ..HookError::new("ran too long") }),
        };
        let now = match returned {
            Object::Map(now) => now,
            nothing if nothing.is_nothing() => draft.now,
            other => {
                let got = other.to_value().map_or("function", |value| value.kind());
                return Err(format!("a step returns the new state or nothing, got {got}").into());
            }
        };
        Ok(FakeDraft { was: draft.was, now })
    }

    /// What takes `step`.
    fn declared(&self, step: &MigrationStep) -> Option<&Body> {
        let (from, to) = step.declared();
        let same = |value: &Value, version: &Version| Version::from_value(value).is_ok_and(|v| v == *version);
        let found = |declared: &&StepText| same(&declared.from, from) && same(&declared.to, to);
        let declared = self.program.migrations.iter().find(found)?;
        if step.is_up() { declared.up.as_ref() } else { declared.down.as_ref() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_keeps_aliases_and_cycles_to_itself() {
        let (state, inner) = (MapRef::default(), MapRef::default());
        inner.set("up", Object::Map(state.clone()));
        state.set("a", Object::Map(inner.clone()));
        state.set("alias", Object::Map(inner.clone()));
        let draft = FakeDraft::of(&state);
        let (Object::Map(a), Object::Map(alias)) = (draft.now.get("a"), draft.now.get("alias")) else {
            panic!("two maps")
        };
        assert!(a.is(&alias) && !a.is(&inner));
        let Object::Map(up) = a.get("up") else { panic!("a map") };
        assert!(up.is(&state));
        a.set("n", Object::Plain(1.into()));
        draft.now.set("b", Object::Plain(2.into()));
        assert!(inner.get("n").is_nothing(), "the state is not touched");
        let (before, mut changed) = draft.pour(&state);
        changed.sort();
        assert_eq!(changed, ["b"], "the rest is what it was");
        assert!(!state.get("b").is_nothing());
        before.restore();
        assert!(state.get("b").is_nothing());
        let Object::Map(back) = state.get("a") else { panic!("a map") };
        assert!(back.is(&inner), "the very same map again");
    }
}
