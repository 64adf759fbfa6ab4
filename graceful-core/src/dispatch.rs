//! Calling an instance that was resolved: the lease a call runs under, and nothing else.

use std::sync::Arc;

use crate::error::CallError;
use crate::gate::LeaseKind;
use crate::generation::{Instance, World};
use crate::lease::Lease;
use crate::module::Module;
use crate::value::Value;

/// Calls `function` of `instance`. Inside a lease the call is nested in it: same generation, never gated.
/// Outside of one it is a call of its own, and fails at once if the module is suspended.
pub async fn call(
    world: &World,
    instance: &Arc<Instance>,
    function: &str,
    args: Vec<Value>,
) -> Result<Value, CallError> {
    let lease = lease_for(world, instance)?;
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
    let lease = lease_for(world, instance)?;
    let _entered = lease.enter();
    loaded(instance)?.call_blocking(function, args)
}

fn lease_for(world: &World, instance: &Arc<Instance>) -> Result<Lease, CallError> {
    match Lease::current() {
        Some(lease) => Ok(lease.nested(&instance.name)),
        None => Lease::open(&world.gate, &instance.name, LeaseKind::Call)
            .map_err(|_| CallError::Suspended { module: instance.name.to_string() }),
    }
}

fn loaded(instance: &Arc<Instance>) -> Result<&Arc<dyn Module>, CallError> {
    instance.module().ok_or_else(|| CallError::NoModule { module: instance.name.to_string() })
}
