//! The exclusive part: drain, the old hooks, the new hooks. Each step is journaled before it runs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::{Either, select};

use super::{Failure, Transaction};
use crate::changes::Load;
use crate::event::{EventKind, Phase};
use crate::gate::{Generation, LeaseKind};
use crate::generation::Instance;
use crate::hook::{HookRun, bounded};
use crate::journal::Entry;
use crate::lifecycle::{Hook, HookError};
use crate::manifest::CheckpointMode;
use crate::module::Module;
use crate::planted::{Bug, is_planted};
use crate::report::DrainPolicy;
use crate::source::Name;

impl Transaction {
    pub(super) async fn drain(&mut self) -> Result<(), Failure> {
        self.begin(Phase::Drain);
        self.deadline = self.world.clock.now() + self.engine.limits.exclusive;
        let exclusive = self.changes().loads.iter().filter(|(_, load)| self.is_exclusive(load));
        let mut exclusive: BTreeSet<Name> = exclusive.map(|(name, _)| name.clone()).collect();
        exclusive.extend(self.roles.stop.iter().map(|member| member.instance.name.clone()));
        exclusive.extend(self.role_states().into_iter().map(|old| old.name.clone()));
        if exclusive.is_empty() {
            return Ok(());
        }
        let dependents = self.world.graph.lock().unwrap().affected(&exclusive);
        self.gated = exclusive.into_iter().chain(dependents.into_keys()).collect();
        self.shut_at = Some(self.world.clock.now());
        self.world.gate.shut(&self.gated);
        self.world.emit(EventKind::GatesShut { modules: self.gated.iter().cloned().collect() });
        let cancels = self.options.drain == DrainPolicy::Cancel;
        let cancelled = self.wait_idle(&[LeaseKind::Call, LeaseKind::Nested], cancels).await?;
        self.world.gate.freeze(&self.gated);
        // Calls again: one that was parked may have been on its way back.
        self.wait_idle(&[LeaseKind::Task, LeaseKind::Nested, LeaseKind::Call], false).await?;
        let txns = self.staging.iter().flat_map(|staging| staging.txns.clone());
        for (language, txn) in txns.collect::<Vec<_>>() {
            let late = self.world.clock.sleep(self.left());
            if let Either::Right(_) = select(txn.quiesce(&self.gated), late).await {
                let holders = vec![format!("{language} code that does not yield")];
                return Err(Failure::DrainTimeout { holders, deadline: self.engine.limits.exclusive });
            }
        }
        self.world.emit(EventKind::Drained { cancelled });
        Ok(())
    }

    async fn wait_idle(&mut self, kinds: &[LeaseKind], cancels: bool) -> Result<usize, Failure> {
        if is_planted(Bug::DrainDoesNotWait) {
            return Ok(0);
        }
        let limits = &self.engine.limits;
        // Half of the exclusive time is for calls to end by themselves, the rest for cancelled ones.
        let cancels = cancels.then_some(limits.exclusive / 2);
        let (gate, clock) = (&self.world.gate, &*self.world.clock);
        gate.idle(clock, &self.gated, kinds, self.deadline, cancels).await.map_err(|busy| {
            let holders =
                busy.iter().map(|lease| format!("{} (generation {})", lease.root, lease.generation));
            Failure::DrainTimeout { holders: holders.collect(), deadline: limits.exclusive }
        })
    }

    pub(super) async fn suspend(&mut self) -> Result<(), Failure> {
        self.begin(Phase::Suspend);
        let pairs = self.changes().plan.unload.iter().filter_map(|name| self.pair(name));
        let hooked =
            pairs.filter(|(old, new)| has_reload_hook(old, new) || self.chains.contains_key(&old.name));
        let hooked: Vec<Arc<Instance>> = hooked.map(|(old, _)| old.clone()).collect();
        // Every copy before the first hook, which may change the state of another module by calling it.
        for old in hooked.iter().filter(|_| !is_planted(Bug::LateCheckpoint)) {
            self.checkpoint(&old.name, old).await?;
        }
        for old in hooked {
            let before = old.module().is_some_and(|module| module.manifest().hooks.before_reload);
            if before {
                self.journal.began.insert(old.name.clone());
                if let Err(failure) = self.hook(&old, Hook::BeforeReload, self.base).await {
                    self.forgive(&old, failure).await?;
                }
            }
            if is_planted(Bug::LateCheckpoint) {
                self.checkpoint(&old.name, &old).await?;
            }
        }
        self.stop_roles().await?;
        // What `stop` did to a state stays; what the new roles do to it does not.
        for old in self.role_states() {
            self.checkpoint(&old.name, &old).await?;
        }
        Ok(())
    }

    /// The live modules whose state is copied, or whose `rollback` is owed, because a role is going to be started on that
    /// state, and for nothing else.
    fn role_states(&self) -> Vec<Arc<Instance>> {
        let members = self.roles.start.iter().filter(|member| member.starts_on_state());
        let live = members.filter_map(|member| match self.pair(&member.instance.name) {
            // It is the new code that writes, and a state too large to be copied must not be stuck with the old one.
            Some((old, new)) => Some(old.clone()).filter(|_| mode(new) != CheckpointMode::None),
            None => Some(member.instance.clone()).filter(|instance| instance.born <= self.base),
        });
        let hooked = |name: &Name| {
            self.pair(name).is_some_and(|(old, new)| has_reload_hook(old, new))
                || self.chains.contains_key(name)
        };
        live.filter(|old| mode(old) != CheckpointMode::None && !hooked(&old.name)).collect()
    }

    /// Goes on past a failed `before_reload` of the live code, if that was asked for: what it did is undone as
    /// far as its own module goes.
    async fn forgive(&mut self, old: &Arc<Instance>, failure: Failure) -> Result<(), Failure> {
        if !self.options.forgive_before_reload {
            return Err(failure);
        }
        let (world, budget) = (self.world.clone(), self.engine.limits.hook.min(self.left()));
        if !self.journal.undo_hook(&world, old, self.base, budget).await {
            return Err(failure);
        }
        let why = match failure {
            Failure::Hook { message, .. } => message,
            late => late.to_string(),
        };
        self.warn(
            Some(old.name.clone()),
            format!("before_reload of {} failed and is forgiven: {why}", old.name),
        );
        Ok(())
    }

    /// Journals the module first, so that a hook that fails half-way is undone too.
    async fn checkpoint(&mut self, name: &Name, old: &Arc<Instance>) -> Result<(), Failure> {
        self.journal.entries.push(Entry::Suspended { old: old.clone(), checkpoint: None });
        if mode(old) != CheckpointMode::Auto {
            return Ok(());
        }
        let module = old.module().expect("a live module is loaded").clone();
        let began = self.world.clock.now();
        let copying = self.world.watch.over(name, "checkpoint", self.left(), module.checkpoint());
        let copied = bounded(&self.world, self.left(), copying).await;
        let failed = |error: HookError| Failure::Checkpoint { module: name.clone(), reason: error.message };
        let copy = copied.map_err(failed)?;
        let unrestorable = module.unrestorable(&copy);
        if let Some(Entry::Suspended { checkpoint, .. }) = self.journal.entries.last_mut() {
            *checkpoint = Some(copy);
        }
        for what in unrestorable {
            self.warn(
                Some(name.clone()),
                format!("a rollback would not restore {what} in the state of {name}"),
            );
        }
        let took = self.world.clock.now().saturating_sub(began);
        self.world.emit(EventKind::Checkpointed { module: name.clone(), took });
        Ok(())
    }

    pub(super) async fn activate(&mut self) -> Result<(), Failure> {
        self.begin(Phase::Activate);
        let generation = Generation(self.base.0 + 1);
        let mut drafts = self.drafts().await?;
        for new in self.all_staged() {
            if let Some(draft) = drafts.remove(&new.name) {
                self.migrate(&new.name, draft).await?;
            }
            let Some(module) = new.module().filter(|module| module.manifest().registered) else { continue };
            let hooks = module.manifest().hooks;
            let first = !new.initialised.swap(true, Ordering::AcqRel) || is_planted(Bug::InitAtReload);
            if first && self.base != Generation::default() {
                self.journal.entries.push(Entry::Initialised { new: new.clone(), done: false });
                if hooks.init {
                    self.hook(&new, Hook::Init, generation).await?;
                }
                if let Some(Entry::Initialised { done, .. }) = self.journal.entries.last_mut() {
                    *done = true;
                }
            } else if !first && hooks.after_reload {
                self.journal.began.insert(new.name.clone());
                self.hook(&new, Hook::AfterReload, generation).await?;
            }
        }
        self.start_roles().await
    }

    async fn hook(
        &self,
        instance: &Arc<Instance>,
        hook: Hook,
        generation: Generation,
    ) -> Result<(), Failure> {
        self.wanted()?;
        let budget = self.engine.limits.hook.min(self.left());
        let intents = self.staging.as_ref().map(|staging| staging.intents.clone());
        let run = HookRun { instance, hook, generation, budget };
        run.run(&self.world, intents).await.map_err(|error| error.blame(&instance.name, hook))
    }

    pub(super) fn left(&self) -> Duration {
        self.deadline.saturating_sub(self.world.clock.now())
    }

    /// What was staged, in load order: what the plan foresaw, then in the order it turned up.
    pub(super) fn all_staged(&self) -> Vec<Arc<Instance>> {
        self.staging.as_ref().map(|staging| staging.staged.clone()).unwrap_or_default()
    }

    /// The live and the staged instance of a module that is reloaded by the backend that has it.
    pub(super) fn pair(&self, name: &Name) -> Option<(&Arc<Instance>, &Arc<Instance>)> {
        self.changes().loads.get(name)?.pair()
    }

    /// The staged code of a module.
    pub(super) fn staged(&self, name: &Name) -> Option<Arc<dyn Module>> {
        self.changes().loads.get(name)?.staged.get()?.module().cloned()
    }

    fn is_exclusive(&self, load: &Load) -> bool {
        let Some((old, new)) = load.pair() else {
            return false;
        };
        let asks = |instance: &Arc<Instance>| instance.module().is_some_and(|module| module.manifest().drain);
        let migrates = self.chains.contains_key(&old.name);
        migrates || asks(old) || asks(new) || (has_reload_hook(old, new) && mode(old) != CheckpointMode::None)
    }
}

/// Whether the live code has a hook before it is replaced, or the staged code one after it.
fn has_reload_hook(old: &Instance, new: &Instance) -> bool {
    old.module().is_some_and(|module| module.manifest().hooks.before_reload)
        || new.module().is_some_and(|module| module.manifest().hooks.after_reload)
}

/// The live code says how its state is protected: it is what a rollback goes back to.
fn mode(old: &Instance) -> CheckpointMode {
    let registered = old.module().filter(|module| module.manifest().registered);
    registered.map_or(CheckpointMode::Auto, |module| module.manifest().checkpoint)
}
