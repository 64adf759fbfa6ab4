//! Migrations in a reload: found before anything live is touched, taken on copies, poured into the state.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Failure, Transaction};
use crate::changes::{Way, way};
use crate::event::EventKind;
use crate::gate::Generation;
use crate::generation::Instance;
use crate::hook::bounded;
use crate::journal::Entry;
use crate::lifecycle::HookError;
use crate::manifest::Manifest;
use crate::migrating::StepRun;
use crate::migration::MigrationStep;
use crate::module::Draft;
use crate::planted::{Bug, is_planted};
use crate::source::Name;

/// The steps that a module's state takes, none of them empty.
pub(super) type Chains = BTreeMap<Name, Vec<MigrationStep>>;

impl Transaction {
    /// Finds the chain of every module whose version changes. Refuses what has none and needs one.
    pub(super) fn find_migrations(&mut self) -> Result<(), Failure> {
        self.chains.clear();
        for new in self.all_staged() {
            let name = new.name.clone();
            let Some((old, _)) = self.pair(&name) else { continue };
            let (Some(before), Some(new)) = (old.module(), registered(&new)) else { continue };
            let state = old.state_version.get();
            if state.is_none() && !before.manifest().registered {
                continue;
            }
            let next = (new.version.as_ref(), &new.migrations);
            match way(&name, before.manifest(), state, next, self.options.force)? {
                Way::Stay => {}
                Way::Unsure(message) => self.warn(Some(name), message),
                Way::Chain(steps) => {
                    self.world.emit(EventKind::MigrationFound { module: name.clone(), steps: steps.clone() });
                    self.chains.insert(name, steps);
                }
            }
        }
        Ok(())
    }

    /// Copies of the states that migrate, before any new hook has run on them.
    pub(super) async fn drafts(&self) -> Result<BTreeMap<Name, Draft>, Failure> {
        let mut drafts = BTreeMap::new();
        for name in self.chains.keys() {
            let module = self.staged(name).expect("it was staged");
            let copied = bounded(&self.world, self.left(), module.draft(None)).await;
            let failed =
                |error: HookError| Failure::Checkpoint { module: name.clone(), reason: error.message };
            drafts.insert(name.clone(), copied.map_err(failed)?);
        }
        Ok(drafts)
    }

    /// Takes the chain of one module and pours what comes of it into its state.
    pub(super) async fn migrate(&mut self, name: &Name, mut draft: Draft) -> Result<(), Failure> {
        let (old, new) = self.pair(name).expect("a module that migrates was live");
        let (old, new) = (old.clone(), new.clone());
        let mut last = None;
        let again = self.chains[name].iter().filter(|_| is_planted(Bug::MigratedTwice));
        for step in self.chains[name].iter().chain(again) {
            draft = self.step(&old, &new, step, draft).await?;
            last = Some(step.clone());
        }
        let (Some(module), Some(last)) = (new.module(), last) else { return Ok(()) };
        let poured = module.pour(draft);
        let before = poured.map_err(|error| blame(name, &last, error))?;
        // It is one step that either happens or does not, so this is as good as having noted it before.
        self.journal.entries.push(Entry::Migrated { new: new.clone(), before });
        Ok(())
    }

    async fn step(
        &self,
        old: &Arc<Instance>,
        new: &Arc<Instance>,
        step: &MigrationStep,
        draft: Draft,
    ) -> Result<Draft, Failure> {
        let next = Generation(self.base.0 + 1);
        let has =
            |instance: &Arc<Instance>| instance.module().is_some_and(|m| m.manifest().migrations.has(step));
        // The newer version knows both forms, so its functions come first.
        let by_new = if step.is_up() { has(new) } else { !has(old) };
        let (instance, generation) = if by_new { (new, next) } else { (old, self.base) };
        let budget = self.engine.limits.hook.min(self.left());
        let intents = self.staging.as_ref().map(|staging| staging.intents.clone());
        let ran = StepRun { instance, step, generation, budget }.run(&self.world, intents, draft).await;
        ran.map_err(|error| match error.timeout {
            true => {
                let (module, step, place) = (new.name.clone(), Box::new(step.clone()), error.place);
                Failure::MigrationTimeout { module, step, budget, place }
            }
            false => blame(&new.name, step, error),
        })
    }
}

fn blame(module: &Name, step: &MigrationStep, error: HookError) -> Failure {
    let HookError { message, place, .. } = error;
    Failure::Migration { module: module.clone(), step: Box::new(step.clone()), message, place }
}

fn registered(instance: &Arc<Instance>) -> Option<&Manifest> {
    instance.module().map(|module| module.manifest()).filter(|manifest| manifest.registered)
}
