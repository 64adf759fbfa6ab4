//! Running one callback of a role: under a hook's lease, within its budget.

use std::sync::Arc;
use std::time::Duration;

use crate::error::Place;
use crate::event::EventKind;
use crate::gate::{Generation, LeaseKind};
use crate::generation::{Instance, World};
use crate::hook::bounded;
use crate::intent::Intents;
use crate::lease::Lease;
use crate::lifecycle::HookError;
use crate::role::{Callback, RoleError, RoleInfo};
use crate::value::Value;

/// One callback to be run.
pub(crate) struct CallbackRun<'a> {
    pub(crate) role: &'a RoleInfo,
    pub(crate) instance: &'a Arc<Instance>,
    pub(crate) callback: Callback,
    pub(crate) args: Vec<Value>,
    pub(crate) generation: Generation,
    pub(crate) budget: Duration,
}

impl CallbackRun<'_> {
    /// Runs it, if the role has it. With `intents`, what it starts waits for that transaction's commit.
    pub(crate) async fn run(
        self,
        world: &Arc<World>,
        intents: Option<Arc<Intents>>,
    ) -> Result<(), RoleError> {
        let CallbackRun { role, instance, callback, args, generation, budget } = self;
        let Some(module) = instance.module().filter(|_| role.callbacks.contains(&callback)).cloned() else {
            return Ok(());
        };
        let lease = Lease::open_at(&world.gate, &instance.name, LeaseKind::Hook, generation, intents);
        let began = world.clock.now();
        let call = lease.scope(async move { module.callback(callback.as_str(), args, budget).await });
        let flat = async move { call.await.unwrap_or_else(|cancelled| Err(cancelled.to_string().into())) };
        let watched = world.watch.over(&instance.name, callback.as_str(), budget, flat);
        let answer = bounded(world, budget, watched).await;
        let result = match answer {
            Err(HookError { timeout: true, place, .. }) => Err(timed_out(role, callback, budget, place)),
            Err(HookError { message, place, .. }) => Err(failed(role, callback, message, place)),
            Ok(values) => verdict(callback, values).map_err(|message| failed(role, callback, message, None)),
        };
        let took = world.clock.now().saturating_sub(began);
        let error = result.as_ref().err().map(|error: &RoleError| match error.place() {
            Some(place) => format!("{place}: {error}"),
            None => error.to_string(),
        });
        let (role, module) = (role.name.clone(), instance.name.clone());
        world.emit(EventKind::RoleCalled { role, module, callback, took, error });
        result
    }
}

fn timed_out(role: &RoleInfo, callback: Callback, budget: Duration, place: Option<Place>) -> RoleError {
    RoleError::Timeout { role: role.name.clone(), module: role.module.clone(), callback, budget, place }
}

fn failed(role: &RoleInfo, callback: Callback, message: String, place: Option<Place>) -> RoleError {
    let (role, module) = (role.name.clone(), role.module.clone());
    match callback {
        Callback::ValidateConfig => RoleError::Refused { role, module, message, place },
        callback => RoleError::Callback { role, module, callback, message, place },
    }
}

/// What the values say that it returned: `validate_config` fails with whatever is false, the others with an error
/// after their first value.
fn verdict(callback: Callback, values: Vec<Value>) -> Result<(), String> {
    let mut values = values.into_iter();
    let first = values.next().unwrap_or_default();
    if let Some(error) = values.next().filter(|error| *error != Value::Null) {
        return Err(text(&error));
    }
    match first {
        Value::Null | Value::Bool(false) if callback == Callback::ValidateConfig => {
            let returned = if first == Value::Null { "nothing" } else { "false" };
            Err(format!("validate_config returned {returned}"))
        }
        _ => Ok(()),
    }
}

/// An error value in words: scripts give text, or an object with a message.
fn text(error: &Value) -> String {
    let field = ["message", "err", "str"].into_iter().find_map(|key| error.get(key)?.as_str());
    field.map_or_else(|| error.to_string(), str::to_owned)
}
