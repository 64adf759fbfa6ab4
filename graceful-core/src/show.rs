//! What an engine shows of itself, filled in.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::backend::Kept;
use crate::engine::Engine;
use crate::gate::{LeaseKind, LeaseRecord};
use crate::generation::{Instance, World};
use crate::role::RoleInfo;
use crate::status::{Held, KeptStatus, Leak, ModuleStatus, RoleStatus, RolesStatus, Status};

/// Code that keeps an interpreter for longer than this is shown.
const KEPT: Duration = Duration::from_secs(1);

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
            kept: self.kept(KEPT).into_iter().map(|(backend, kept)| shown(backend, &kept)).collect(),
            last_reload,
            roles: roles(self),
        }
    }
}

impl Engine {
    /// Code that has kept the interpreter of a backend for longer than `most`, with that backend's name. Where that is
    /// longer than any limit on calls, top levels and hooks, it is code that nothing interrupts.
    pub fn kept(&self, most: Duration) -> Vec<(String, Kept)> {
        let kept = self.0.backends.iter().filter_map(|(name, backend)| Some((name.clone(), backend.kept()?)));
        kept.filter(|(_, kept)| kept.lasts > most).collect()
    }
}

fn shown(backend: String, kept: &Kept) -> KeptStatus {
    let module = kept.by.as_ref().map(|(_, module)| module.to_string());
    let lasts_ms = kept.lasts.as_millis().try_into().unwrap_or(u64::MAX);
    KeptStatus { backend, module, lasts_ms, message: kept.to_string() }
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

/// All of it as it is at one moment.
fn roles(engine: &Engine) -> RolesStatus {
    let desk = engine.0.crew.board.desk();
    let (set, state, trouble) = (desk.set.clone(), desk.state, desk.trouble.clone());
    let reload_forbidden = desk.forbidden || !desk.allowed;
    let enabled: BTreeSet<String> =
        set.get_enabled_roles(&desk.enabled).unwrap_or_default().into_iter().collect();
    let running: BTreeSet<String> = desk.running.keys().cloned().collect();
    drop(desk);
    let show = |info: &RoleInfo| RoleStatus {
        backend: engine
            .world()
            .live(&info.module)
            .map(|live| live.source.backend.clone())
            .unwrap_or_default(),
        enabled: enabled.contains(&info.name),
        running: running.contains(&info.name),
        info: info.clone(),
    };
    RolesStatus { state, trouble, reload_forbidden, roles: set.all().iter().map(show).collect() }
}

fn leak(world: &World, old: &Arc<Instance>) -> Option<Leak> {
    old.leaked.get().map(|_| Leak { module: old.name.to_string(), born: old.born.0, by: world.keepers(old) })
}
