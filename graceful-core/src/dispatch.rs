//! Calling an instance that was resolved, and finding what was registered: the lease a call runs under, and nothing else.

use std::sync::Arc;

use futures_util::future::select;

use crate::error::CallError;
use crate::gate::{Generation, LeaseKind, Waiting};
use crate::generation::{Instance, World};
use crate::lease::Lease;
use crate::module::Module;
use crate::scope::Registered;
use crate::source::Name;
use crate::value::Value;

/// Calls `function` of `instance`. Inside a lease the call is nested in it: same generation, never gated.
/// Outside of one it is a call of its own, and fails at once if the module is suspended.
pub async fn call(
    world: &World,
    instance: &Arc<Instance>,
    function: &str,
    args: Vec<Value>,
) -> Result<Value, CallError> {
    let lease = match Lease::current() {
        Some(lease) => nested(world, &lease, &instance.name).await?,
        None => outside(world, instance)?,
    };
    let module = loaded(instance)?;
    lease.scope(async move { module.call(function, args).await }).await?
}

/// The same, on this thread.
pub fn call_blocking(
    world: &World,
    instance: &Arc<Instance>,
    function: &str,
    args: Vec<Value>,
) -> Result<Value, CallError> {
    let lease = match Lease::current() {
        Some(lease) => lease.nested(&instance.name).map_err(|_| suspended(&instance.name))?,
        None => outside(world, instance)?,
    };
    let _entered = lease.enter();
    loaded(instance)?.call_blocking(function, args)
}

/// A lease nested in `lease`; waits while `module` is frozen, as long as calls wait.
pub(crate) async fn nested(world: &World, lease: &Lease, module: &Name) -> Result<Lease, CallError> {
    let until = world.clock.now() + world.call_wait;
    let mut counted = None;
    loop {
        let listener = world.gate.listen();
        if let Ok(nested) = lease.nested(module) {
            return Ok(nested);
        }
        counted.get_or_insert_with(|| Waiting::at(&world.gate, module));
        let left = until.saturating_sub(world.clock.now());
        if left.is_zero() {
            return Err(CallError::GateTimeout { module: module.to_string(), waited: world.call_wait });
        }
        select(listener, world.clock.sleep(left)).await;
    }
}

fn outside(world: &World, instance: &Instance) -> Result<Lease, CallError> {
    Lease::open(&world.gate, &instance.name, LeaseKind::Call).map_err(|_| match world.gate.is_closed() {
        true => CallError::Stopped,
        false => suspended(&instance.name),
    })
}

pub(crate) fn suspended(module: &Name) -> CallError {
    CallError::Suspended { module: module.to_string() }
}

fn loaded(instance: &Arc<Instance>) -> Result<&Arc<dyn Module>, CallError> {
    instance.module().ok_or_else(|| CallError::NoModule { module: instance.name.to_string() })
}

impl World {
    /// What `generation` sees registered at `at`; new code before its commit sees its own.
    pub(crate) fn registered(&self, at: &(String, String), generation: Generation) -> Option<Registered> {
        let entry = self.table.at(generation).get(at).cloned();
        if generation <= self.gate.live() {
            return entry;
        }
        let staged = self.instances().into_iter().filter(|instance| instance.born == generation);
        let own = staged.flat_map(|instance| instance.scope.registrations()).find(|(key, _)| key == at);
        let stays = |entry: &Registered| {
            self.instance_at(&entry.owner, generation).is_some_and(|instance| instance.born == entry.born)
        };
        own.map(|(_, entry)| entry).or_else(|| entry.filter(stays))
    }
}
