//! Taking the steps of migrations: in a reload, and on recorded states for a check.

use std::sync::Arc;
use std::time::Duration;

use crate::event::EventKind;
use crate::gate::{Generation, LeaseKind};
use crate::generation::{Instance, World};
use crate::hook::bounded;
use crate::intent::Intents;
use crate::lease::Lease;
use crate::lifecycle::HookError;
use crate::migration::{MigrationCx, MigrationStep};
use crate::module::Draft;

/// One step to be taken.
pub(crate) struct StepRun<'a> {
    /// Whose function takes it.
    pub(crate) instance: &'a Arc<Instance>,
    pub(crate) step: &'a MigrationStep,
    pub(crate) generation: Generation,
    pub(crate) budget: Duration,
}

impl StepRun<'_> {
    /// Takes it, as a hook runs: under a lease of its own, within its budget, a panic being an error like any
    /// other. With `intents`, what it starts waits for that transaction's commit.
    pub(crate) async fn run(
        self,
        world: &Arc<World>,
        intents: Option<Arc<Intents>>,
        draft: Draft,
    ) -> Result<Draft, HookError> {
        let StepRun { instance, step, generation, budget } = self;
        let module = instance.module().cloned().ok_or("the module is not loaded")?;
        let cx = MigrationCx { module: instance.name.clone(), step: step.clone(), budget };
        let lease = Lease::open_at(&world.gate, &instance.name, LeaseKind::Hook, generation, intents);
        let started = world.clock.now();
        let call = lease.scope(async move { module.migrate(&cx, draft).await });
        let flat = async move { call.await.unwrap_or_else(|cancelled| Err(cancelled.to_string().into())) };
        let watched = world.watch.over(&instance.name, "migration", budget, flat);
        let result = bounded(world, budget, watched).await;
        let took = world.clock.now().saturating_sub(started);
        let error = result.as_ref().err().map(|error| match &error.place {
            Some(place) => format!("{place}: {error}"),
            None => error.to_string(),
        });
        world.emit(EventKind::Migrated { module: instance.name.clone(), step: step.clone(), took, error });
        result
    }
}
