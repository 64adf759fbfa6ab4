//! What happens before anything live is touched: plan, room, stage, validate.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::select;

use super::{Failure, Transaction};
use crate::changes::Inputs;
use crate::event::{EventKind, Phase};
use crate::gate::Generation;
use crate::generation::Instance;
use crate::hook::bounded;
use crate::journal::Entry;
use crate::report::DrainPolicy;
use crate::scope::Registrations;
use crate::source::Name;
use crate::staging::Staging;

impl Transaction {
    pub(super) async fn plan(&mut self, inputs: &Arc<Inputs>) -> Result<bool, Failure> {
        self.begin(Phase::Plan);
        let changes = self.engine.compute(inputs.clone()).await?;
        if self.options.plan.as_ref().is_some_and(|plan| plan.fingerprint != changes.plan.fingerprint) {
            return Err(Failure::StalePlan);
        }
        self.world.emit(EventKind::Planned { steps: changes.plan.steps.clone() });
        self.plan = Some(changes.plan.clone());
        let empty = changes.plan.is_empty();
        self.changes = Some(changes);
        Ok(!empty)
    }

    /// At most two generations of a module live: waits for older ones that are still held.
    pub(super) async fn make_room(&mut self) -> Result<(), Failure> {
        let until = self.world.clock.now() + self.engine.limits.held_wait;
        let replaced = self.changes().replaced();
        self.release_late().await;
        loop {
            let listener = self.world.gate.listen();
            self.world.purge();
            let lingering = self.world.lingering.lock().unwrap().clone();
            let held =
                |old: &Arc<Instance>| replaced.contains(&old.name) && !self.world.holders(old).is_empty();
            let Some(old) = lingering.into_iter().find(held) else { return Ok(()) };
            if self.options.drain == DrainPolicy::Cancel {
                let leases = self.world.gate.leases().into_iter();
                leases.filter(|lease| self.world.holds(lease, &old)).for_each(|lease| lease.cancel.cancel());
            }
            let left = until.saturating_sub(self.world.clock.now());
            if left.is_zero() {
                let holders = self.world.holders(&old);
                return Err(Failure::StillHeld { module: old.name.clone(), holders });
            }
            select(listener, self.world.clock.sleep(left)).await;
        }
    }

    /// What calls in flight started under a scope that was closed already ends here.
    async fn release_late(&self) {
        let lingering = self.world.lingering.lock().unwrap().clone();
        for resource in lingering.iter().flat_map(|old| old.scope.close()) {
            let _ = bounded(&self.world, self.engine.limits.held_wait, resource.release()).await;
        }
    }

    pub(super) async fn stage(&mut self, inputs: &Inputs) -> Result<(), Failure> {
        self.begin(Phase::Stage);
        let generation = Generation(self.base.0 + 1);
        let start = self.base == Generation::default();
        let backends = &self.engine.backends;
        let (world, budget) = (self.world.clone(), self.engine.limits.stage);
        let staging = Staging::new(world, generation, start, backends, budget, self.options.drain);
        let staging = self.staging.insert(staging);
        let changes = self.changes.as_mut().expect("a plan was made");
        staging.run(inputs, changes).await?;
        self.stage_dependencies(inputs).await?;
        let (staging, changes) =
            (self.staging.as_ref().expect("it staged"), self.changes.as_mut().expect("a plan was made"));
        let place = staging.staged.iter().enumerate().map(|(at, instance)| (instance.name.clone(), at));
        let place: BTreeMap<Name, usize> = place.collect();
        changes.plan.steps.sort_by_key(|step| place.get(&step.module).copied().unwrap_or(usize::MAX));
        for (name, live) in &changes.leaving {
            let old = live.module().and_then(|module| module.manifest().version.clone());
            self.versions.insert(name.clone(), (old, None));
        }
        for instance in &staging.staged {
            let live = changes.loads[&instance.name].live.as_ref();
            let version = |instance: &Arc<Instance>| instance.module()?.manifest().version.clone();
            self.versions.insert(instance.name.clone(), (live.and_then(version), version(instance)));
        }
        Ok(())
    }

    /// Journals what ran its `init` while it was staged, however staging ended.
    pub(super) fn note_initialised(&mut self) {
        let initialised = self.staging.iter().flat_map(Staging::take_initialised);
        let entries = initialised.map(|(module, finalize)| Entry::Registered { module, finalize });
        self.journal.entries.extend(entries);
    }

    /// From here on nobody may begin to hold what is being replaced. Tells who began to while it was staged.
    pub(super) fn close(&self) -> BTreeMap<Name, Name> {
        let changes = self.changes();
        let replaced = changes.replaced();
        self.world.in_flight.write().unwrap().closing = replaced.clone();
        // Where all of the world is in the set, nobody is left who could have gained an edge into it.
        if changes.takes_all(&self.world) {
            return BTreeMap::new();
        }
        let affected = self.world.graph.lock().unwrap().affected(&replaced);
        let gone_by_force = |through: &Name| self.options.remove.contains(through);
        affected
            .into_iter()
            .filter(|(name, through)| !changes.contains(name) && !gone_by_force(through))
            .collect()
    }

    /// Plans again with the modules that gained an edge into the set.
    pub(super) async fn again(
        &mut self,
        born: BTreeMap<Name, Name>,
        widened: &mut BTreeMap<Name, Name>,
    ) -> Result<(), Failure> {
        self.open_closing();
        let through = born.values().next().expect("an edge was born").clone();
        self.widenings += 1;
        if self.widenings > self.engine.limits.widen || self.options.plan.is_some() {
            return Err(Failure::Unsettled { module: through });
        }
        widened.extend(born);
        self.discard().await;
        Ok(())
    }

    pub(super) fn validate(&mut self) -> Result<(), Failure> {
        self.begin(Phase::Validate);
        let mut clash = None;
        self.registrations(&mut clash);
        if let Some(clash) = clash {
            return Err(clash);
        }
        self.find_migrations()?;
        let changes = self.changes();
        let mut warnings = Vec::new();
        for (name, load) in &changes.loads {
            let was =
                load.live.as_ref().and_then(|live| live.module()).is_some_and(|m| m.manifest().registered);
            if was && !self.staged(name).is_some_and(|module| module.manifest().registered) {
                warnings
                    .push((name.clone(), format!("{name} no longer registers itself: its hooks are gone")));
            }
        }
        for (module, message) in warnings {
            self.warn(Some(module), message);
        }
        Ok(())
    }

    /// The table of registrations as it will be: what live modules that stay have, and what was staged.
    pub(super) fn registrations(&self, clash: &mut Option<Failure>) -> Registrations {
        let replaced = self.changes().replaced();
        let mut next: Registrations = (*self.world.table.snapshot()).clone();
        next.retain(|_, entry| !replaced.contains(&entry.owner));
        for instance in self.staging.iter().flat_map(|staging| &staging.staged) {
            for (at, entry) in instance.scope.registrations() {
                let (second, key, kind) = (entry.owner.clone(), entry.key.clone(), at.0.clone());
                let taken = next.insert(at, entry);
                if let Some(taken) = taken.filter(|taken| taken.owner != second) {
                    let (first, keys) = (taken.owner, (taken.key, key));
                    clash.get_or_insert(Failure::Clash { kind, keys, first, second });
                }
            }
        }
        next
    }
}
