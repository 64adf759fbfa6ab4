//! What an engine shows of itself, filled in.

use crate::engine::Engine;
use crate::gate::LeaseKind;
use crate::status::{Held, ModuleStatus, Status};

impl Engine {
    /// What the engine shows of itself.
    pub fn status(&self) -> Status {
        let world = self.world();
        world.purge();
        let leases = world.gate.leases();
        let lingering = world.lingering.lock().unwrap().clone();
        let modules = world.live_all().into_iter().map(|live| {
            let calls = leases.iter().filter(|lease| {
                lease.root == live.name && matches!(lease.kind, LeaseKind::Call | LeaseKind::Nested)
            });
            let old = lingering.iter().filter(|old| old.name == live.name);
            let held = old.map(|old| Held { born: old.born.0, by: world.holders(old) });
            ModuleStatus {
                name: live.name.to_string(),
                backend: live.source.backend.clone(),
                version: live.module().and_then(|module| module.manifest().version.clone()),
                generation: live.born.0,
                in_flight: calls.count(),
                tasks: live.scope.count("task"),
                held: held.filter(|held| !held.by.is_empty()).collect(),
            }
        });
        let modules = modules.collect();
        let last_reload = self.0.last.lock().unwrap().clone();
        Status { state: self.0.state(), generation: world.gate.live().0, modules, last_reload }
    }
}
