//! Whether migrations lose anything: recorded states go up and back down, and are compared with what they were.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::error::Place;
use crate::gate::Generation;
use crate::generation::{Instance, World};
use crate::lease::Lease;
use crate::lifecycle::HookError;
use crate::migrating::StepRun;
use crate::migration::MigrationStep;
use crate::module::Module;
use crate::source::Name;
use crate::value::Value;
use crate::version::Version;

/// What came of taking one step up and back down.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Trip {
    /// The state is what it was.
    Same,
    /// It went up and back down, and the step is declared to lose something.
    Lossy,
    /// It went up, and there is no way back.
    OneWay,
    /// The state is another one.
    Differs {
        /// The entry that differs: `users.ada.age`, `list[2]`.
        at: String,
        /// What it was, if it was there.
        was: Option<Value>,
        /// What it is now, if it is there.
        now: Option<Value>,
    },
    /// A step failed.
    Failed {
        /// What it failed with.
        message: String,
        /// Where.
        place: Option<Place>,
        /// It was the way up that failed.
        up: bool,
    },
}

/// One step of a round trip.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepTrip {
    /// The step, upwards.
    #[serde(flatten)]
    pub step: MigrationStep,
    /// What came of it.
    #[serde(flatten)]
    pub trip: Trip,
}

impl StepTrip {
    /// Whether nothing is wrong with it.
    pub fn is_ok(&self) -> bool {
        matches!(self.trip, Trip::Same | Trip::Lossy | Trip::OneWay)
    }
}

impl fmt::Display for StepTrip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown =
            |value: &Option<Value>| value.as_ref().map_or("nothing".to_owned(), |value| format!("{value}"));
        match &self.trip {
            Trip::Same => write!(f, "{}: up and down give what was there", self.step),
            Trip::Lossy => write!(f, "{}: lossy, as declared", self.step),
            Trip::OneWay => write!(f, "{}: up only", self.step),
            Trip::Differs { at, was, now } => {
                write!(f, "{}: up and down make {} of {} at `{at}`", self.step, shown(now), shown(was))
            }
            Trip::Failed { message, place, up } => {
                let step = if *up { self.step.clone() } else { self.step.back() };
                let place = place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default();
                write!(f, "{step} failed: {place}{message}")
            }
        }
    }
}

/// What came of the round trip of one recorded state. It ends at the first step that fails.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RoundTrip {
    /// The module.
    pub module: Name,
    /// The version of the state.
    pub from: Version,
    /// The version of the module.
    pub to: Version,
    /// The steps from the one to the other; none if they have the same form.
    pub steps: Vec<StepTrip>,
}

impl RoundTrip {
    /// Whether nothing is wrong with any step.
    pub fn is_ok(&self) -> bool {
        self.steps.iter().all(StepTrip::is_ok)
    }
}

/// A recorded state that cannot be sent on a round trip.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoundTripError {
    /// The module is not loaded, or has no version.
    #[error("no module `{0}` with a version is loaded")]
    NoModule(Name),
    /// The state is of a later version than the module.
    #[error("the state is of version {0}, which is later than the module's {1}")]
    Later(Version, Version),
    /// No steps lead from the version of the state to that of the module.
    #[error("no migration leads from {0} to {1}")]
    NoWay(Version, Version),
    /// The module's language cannot make a state of it.
    #[error("it cannot be made a state: {0}")]
    Unusable(String),
}

/// Takes `state`, recorded of version `from`, up to the version of `instance`, step by step, and each step back
/// down. No state of a module is touched. A step may run for as long as `budget`.
///
/// # Errors
/// The state cannot be sent on its way. What goes wrong on it is in the [`RoundTrip`].
pub async fn round_trip(
    world: &Arc<World>,
    instance: &Arc<Instance>,
    from: &Version,
    state: &Value,
    budget: Duration,
) -> Result<RoundTrip, RoundTripError> {
    let none = || RoundTripError::NoModule(instance.name.clone());
    let module = instance.module().ok_or_else(none)?;
    let manifest = module.manifest();
    let (from, to) = (from.clone(), manifest.version.clone().ok_or_else(none)?);
    if from > to {
        return Err(RoundTripError::Later(from, to));
    }
    let chain = manifest.migrations.chain(&from, &to);
    let chain = chain.or_else(|| (from.major() == to.major()).then(Vec::new));
    let chain = chain.ok_or_else(|| RoundTripError::NoWay(from.clone(), to.clone()))?;
    let lease = Lease::current().filter(Lease::is_transactional);
    let generation = lease.as_ref().map_or_else(|| world.gate.live(), Lease::generation);
    let walk = Walk { world, instance, module: &**module, generation, budget };
    let mut state = walk.normal(state).await.map_err(|error| RoundTripError::Unusable(error.message))?;
    let mut steps = Vec::new();
    for step in chain {
        let (next, trip) = walk.there_and_back(&step, &state).await;
        steps.push(StepTrip { step, trip });
        match next {
            Some(next) => state = next,
            None => break,
        }
    }
    Ok(RoundTrip { module: instance.name.clone(), from, to, steps })
}

struct Walk<'a> {
    world: &'a Arc<World>,
    instance: &'a Arc<Instance>,
    module: &'a dyn Module,
    generation: Generation,
    budget: Duration,
}

impl Walk<'_> {
    /// The state as its language gives it back: numbers and empty tables may look another way there.
    async fn normal(&self, state: &Value) -> Result<Value, HookError> {
        Ok(self.module.save_draft(&self.module.draft(Some(state)).await?))
    }

    async fn there_and_back(&self, step: &MigrationStep, state: &Value) -> (Option<Value>, Trip) {
        let failed = |HookError { message, place, .. }, up| Trip::Failed { message, place, up };
        let above = match self.take(step, state).await {
            Ok(above) => above,
            Err(error) => return (None, failed(error, true)),
        };
        let migrations = &self.module.manifest().migrations;
        if !migrations.has(&step.back()) {
            return (Some(above), Trip::OneWay);
        }
        let trip = match self.take(&step.back(), &above).await {
            Err(error) => failed(error, false),
            Ok(_) if migrations.is_lossy(step) => Trip::Lossy,
            Ok(back) => difference(state, &back).unwrap_or(Trip::Same),
        };
        (Some(above), trip)
    }

    async fn take(&self, step: &MigrationStep, state: &Value) -> Result<Value, HookError> {
        let draft = self.module.draft(Some(state)).await?;
        let run = StepRun { instance: self.instance, step, generation: self.generation, budget: self.budget };
        let draft = run.run(self.world, Lease::current_intents(), draft).await?;
        Ok(self.module.save_draft(&draft))
    }
}

/// The first entry in which two states differ.
fn difference(was: &Value, now: &Value) -> Option<Trip> {
    let mut at = String::new();
    let (was, now) = differs(Some(was), Some(now), &mut at)?;
    Some(Trip::Differs { at, was: was.cloned(), now: now.cloned() })
}

type Pair<'a> = (Option<&'a Value>, Option<&'a Value>);

fn differs<'a>(was: Option<&'a Value>, now: Option<&'a Value>, at: &mut String) -> Option<Pair<'a>> {
    let present = |value: Option<&'a Value>| value.filter(|value| **value != Value::Null);
    let (was, now) = (present(was), present(now));
    let length = at.len();
    match (was, now) {
        (None, None) => None,
        (Some(Value::Map(one)), Some(Value::Map(other))) => {
            let keys = one.keys().chain(other.keys().filter(|key| !one.contains_key(*key)));
            keys.into_iter().find_map(|key| {
                at.push_str(if at.is_empty() { "" } else { "." });
                at.push_str(key);
                let found = differs(one.get(key), other.get(key), at);
                at.truncate(if found.is_some() { at.len() } else { length });
                found
            })
        }
        (Some(Value::List(one)), Some(Value::List(other))) => {
            (0..one.len().max(other.len())).find_map(|index| {
                at.push_str(&format!("[{}]", index + 1));
                let found = differs(one.get(index), other.get(index), at);
                at.truncate(if found.is_some() { at.len() } else { length });
                found
            })
        }
        (Some(one), Some(other)) if is_same(one, other) => None,
        different => Some(different),
    }
}

/// Languages without lists give an empty one as an empty map, those without whole numbers give floats.
fn is_same(one: &Value, other: &Value) -> bool {
    let empty = |value: &Value| match value {
        Value::List(items) => items.is_empty(),
        Value::Map(entries) => entries.is_empty(),
        _ => false,
    };
    let number = |value: &Value| match value {
        Value::Int(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        _ => None,
    };
    one == other || (empty(one) && empty(other)) || (number(one).is_some() && number(one) == number(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
        Value::Map(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    fn found(was: Value, now: Value) -> Option<String> {
        difference(&was, &now).map(|trip| {
            let Trip::Differs { at, was, now } = trip else { unreachable!() };
            format!("{at}: {was:?} {now:?}")
        })
    }

    #[test]
    fn the_first_difference_is_told_with_its_place() {
        let ada = |age: Value| map([("users", map([("ada", map([("age", age)])), ("bob", true.into())]))]);
        assert_eq!(found(ada(36.into()), ada(36.into())), None);
        let told = found(ada(36.into()), ada("36".into()));
        assert_eq!(told.as_deref(), Some("users.ada.age: Some(Int(36)) Some(Str(\"36\"))"));
        let list = |items: &[i64]| map([("list", Value::List(items.iter().map(|n| (*n).into()).collect()))]);
        assert_eq!(
            found(list(&[1, 2]), list(&[1, 3])).as_deref(),
            Some("list[2]: Some(Int(2)) Some(Int(3))")
        );
        assert_eq!(found(list(&[1]), list(&[1, 3])).as_deref(), Some("list[2]: None Some(Int(3))"));
        let more = found(map([("a", 1.into())]), map([("a", 1.into()), ("b", 2.into())]));
        assert_eq!(more.as_deref(), Some("b: None Some(Int(2))"));
    }

    #[test]
    fn what_languages_cannot_tell_apart_is_no_difference() {
        assert_eq!(found(map([("n", 1.into())]), map([("n", Value::Float(1.0))])), None);
        assert_eq!(found(map([("n", Value::map())]), map([("n", Value::List(Vec::new()))])), None);
        assert_eq!(found(map([("n", Value::Null)]), map([])), None);
        assert!(found(map([("n", 1.into())]), map([("n", Value::Float(1.5))])).is_some());
    }
}
