//! What an engine shows of itself, filled in.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::engine::Engine;
use crate::gate::{LeaseKind, LeaseRecord};
use crate::generation::{Instance, World};
use crate::status::{Held, Leak, ModuleStatus, Status};

impl Engine {
    /// What the engine shows of itself.
    pub fn status(&self) -> Status {
        let world = self.world();
        world.purge();
        let leases = world.gate.leases();
        let old = world.lingering.lock().unwrap().clone();
        let modules = world.live_all().into_iter().map(|live| module(world, &live, &leases, &old)).collect();
        let last_reload = self.0.last.lock().unwrap().clone();
        let times: BTreeSet<u64> = old.iter().map(|old| old.last().0).collect();
        let generation = world.gate.live().0;
        let mut leaks: Vec<Leak> = old.iter().filter_map(|old| leak(world, old)).collect();
        leaks.sort_by(|a, b| (&a.module, a.born).cmp(&(&b.module, b.born)));
        Status {
            state: self.0.state(),
            generation,
            generations: times.len() + usize::from(generation > 0),
            calls_held: world.gate.waited(),
            modules,
            leaks,
            last_reload,
        }
    }
}

fn module(
    world: &World,
    live: &Arc<Instance>,
    leases: &[LeaseRecord],
    lingering: &[Arc<Instance>],
) -> ModuleStatus {
    let entered = |lease: &&LeaseRecord| {
        lease.root == live.name && matches!(lease.kind, LeaseKind::Call | LeaseKind::Nested)
    };
    let old = lingering.iter().filter(|old| old.name == live.name);
    let held = old.map(|old| Held { born: old.born.0, by: world.holders(old) });
    let age = world.clock.now().saturating_sub(live.state_since);
    ModuleStatus {
        name: live.name.to_string(),
        backend: live.source.backend.clone(),
        version: live.module().and_then(|module| module.manifest().version.clone()),
        generation: live.born.0,
        in_flight: leases.iter().filter(entered).count(),
        waiting: world.gate.waiting(&live.name),
        tasks: live.scope.count("task"),
        state_age_ms: age.as_millis().try_into().unwrap_or(u64::MAX),
        held: held.filter(|held| !held.by.is_empty()).collect(),
    }
}

fn leak(world: &World, old: &Arc<Instance>) -> Option<Leak> {
    old.leaked.get().map(|_| Leak { module: old.name.to_string(), born: old.born.0, by: world.keepers(old) })
}
