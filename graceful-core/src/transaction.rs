//! One reload, as its own table of contents: one phase, one call.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::{Either, select};

use crate::changes::{Changes, Inputs};
use crate::engine::{Inner, Ticket};
use crate::event::{EventKind, Phase};
use crate::gate::{Generation, LeaseKind};
use crate::generation::{Instance, World};
use crate::hook::HookRun;
use crate::journal::{Entry, Journal};
use crate::lifecycle::{Hook, HookError};
use crate::manifest::{CheckpointMode, Manifest};
use crate::plan::{Action, Plan};
use crate::report::{
    DrainPolicy, ModuleReport, Outcome, PhaseTime, ReloadError, ReloadErrorKind, ReloadOptions, Report,
};
use crate::scope::Registrations;
use crate::source::Name;
use crate::staging::Staging;
use crate::version::Version;

type Failure = ReloadErrorKind;

pub(crate) struct Transaction {
    pub(crate) engine: Arc<Inner>,
    pub(crate) world: Arc<World>,
    options: ReloadOptions,
    ticket: Arc<Ticket>,
    id: u64,
    pub(crate) base: Generation,
    started: Duration,
    phase: Option<(Phase, Duration)>,
    phases: Vec<PhaseTime>,
    pub(crate) warnings: Vec<String>,
    plan: Option<Plan>,
    versions: BTreeMap<Name, (Option<Version>, Option<Version>)>,
    pub(crate) changes: Option<Changes>,
    pub(crate) staging: Option<Staging>,
    journal: Journal,
    gated: BTreeSet<Name>,
    deadline: Duration,
    shut_at: Option<Duration>,
    pause: Duration,
}

impl Transaction {
    pub(crate) fn new(engine: Arc<Inner>, options: ReloadOptions, ticket: Arc<Ticket>) -> Self {
        let world = engine.world.clone();
        let id = world.reload.fetch_add(1, Ordering::Relaxed) + 1;
        let (base, started) = (world.gate.live(), world.clock.now());
        let (phases, warnings, versions, journal, gated) = Default::default();
        Self {
            engine,
            world,
            options,
            ticket,
            id,
            base,
            started,
            phase: None,
            phases,
            warnings,
            plan: None,
            versions,
            changes: None,
            staging: None,
            journal,
            gated,
            deadline: Duration::ZERO,
            shut_at: None,
            pause: Duration::ZERO,
        }
    }

    /// The whole reload. Forward until something fails or whoever drives it goes away, then either what is
    /// left to do after the commit, or back.
    pub(crate) async fn run(mut self) -> Result<Report, ReloadError> {
        self.world.emit(EventKind::ReloadStarted);
        let ticket = self.ticket.clone();
        let abandoned = ticket.abandoned();
        let forward = Box::pin(self.forward());
        let result = match select(abandoned, forward).await {
            Either::Left(((), forward)) => {
                drop(forward);
                Err(Failure::Abandoned)
            }
            Either::Right((result, _)) => result,
        };
        let result = match result {
            Ok(true) => {
                self.retire().await;
                Ok(self.report(Outcome::Committed))
            }
            Ok(false) => Ok(self.report(Outcome::Unchanged)),
            Err(failure) => Err(self.back(failure).await),
        };
        self.end_phase(result.is_ok());
        let (outcome, code) = match &result {
            Ok(report) => (report.outcome, None),
            Err(error) => (error.report.outcome, Some(error.code().to_string())),
        };
        let generation = self.world.gate.live().0;
        let took = self.world.clock.now().saturating_sub(self.started);
        let outcome = outcome.as_str().to_owned();
        self.world.emit(EventKind::ReloadEnded {
            outcome,
            generation,
            code,
            took,
        });
        result
    }

    async fn forward(&mut self) -> Result<bool, Failure> {
        let mut widened = BTreeMap::new();
        loop {
            let inputs = Arc::new(self.engine.inputs(self.options.clone(), widened.clone()));
            if !self.plan(&inputs).await? {
                return Ok(false);
            }
            self.make_room().await?;
            self.stage(&inputs).await?;
            let born = self.close();
            if born.is_empty() {
                break;
            }
            self.again(born, &mut widened)?;
        }
        self.validate()?;
        self.drain().await?;
        self.suspend().await?;
        self.activate().await?;
        self.commit();
        Ok(true)
    }

    async fn plan(&mut self, inputs: &Arc<Inputs>) -> Result<bool, Failure> {
        self.begin(Phase::Plan);
        let changes = self.engine.compute(inputs.clone()).await?;
        if self
            .options
            .plan
            .as_ref()
            .is_some_and(|plan| plan.fingerprint != changes.plan.fingerprint)
        {
            return Err(Failure::StalePlan);
        }
        self.world.emit(EventKind::Planned {
            steps: changes.plan.steps.clone(),
        });
        self.plan = Some(changes.plan.clone());
        let empty = changes.plan.is_empty();
        self.changes = Some(changes);
        Ok(!empty)
    }

    /// At most two generations of a module live: waits for older ones that are still held.
    async fn make_room(&mut self) -> Result<(), Failure> {
        let until = self.world.clock.now() + self.engine.limits.held_wait;
        let replaced = self.changes().replaced();
        loop {
            let listener = self.world.gate.listen();
            self.world.purge();
            let lingering = self.world.lingering.lock().unwrap().clone();
            let Some(old) = lingering.into_iter().find(|old| replaced.contains(&old.name)) else {
                return Ok(());
            };
            if self.options.drain == DrainPolicy::Cancel {
                let leases = self.world.gate.leases().into_iter();
                leases
                    .filter(|lease| self.world.holds(lease, &old))
                    .for_each(|lease| lease.cancel.cancel());
            }
            let left = until.saturating_sub(self.world.clock.now());
            if left.is_zero() {
                let holders = self.world.holders(&old);
                return Err(Failure::StillHeld {
                    module: old.name.clone(),
                    holders,
                });
            }
            select(listener, self.world.clock.sleep(left)).await;
        }
    }

    async fn stage(&mut self, inputs: &Inputs) -> Result<(), Failure> {
        self.begin(Phase::Stage);
        let generation = Generation(self.base.0 + 1);
        let start = self.base == Generation::default();
        let backends = &self.engine.backends;
        let staging = Staging::new(
            self.world.clone(),
            generation,
            start,
            backends,
            self.engine.limits.stage,
        );
        let staging = self.staging.insert(staging);
        let changes = self.changes.as_mut().expect("a plan was made");
        let result = staging.run(inputs, changes).await;
        for (module, finalize) in staging.take_initialised() {
            self.journal.entries.push(Entry::Registered { module, finalize });
        }
        result?;
        for instance in &staging.staged {
            let live = changes.loads[&instance.name].live.as_ref();
            let version = |instance: &Arc<Instance>| instance.module()?.manifest().version.clone();
            self.versions
                .insert(instance.name.clone(), (live.and_then(version), version(instance)));
        }
        Ok(())
    }

    /// From here on nobody may begin to hold what is being replaced. Tells who began to while it was staged.
    fn close(&self) -> BTreeMap<Name, Name> {
        let changes = self.changes();
        let replaced = changes.replaced();
        self.world.in_flight.write().unwrap().closing = replaced.clone();
        let affected = self.world.graph.lock().unwrap().affected(&replaced);
        let gone_by_force = |through: &Name| self.options.remove.contains(through);
        affected
            .into_iter()
            .filter(|(name, through)| !changes.contains(name) && !gone_by_force(through))
            .collect()
    }

    /// Plans again with the modules that gained an edge into the set.
    fn again(
        &mut self,
        born: BTreeMap<Name, Name>,
        widened: &mut BTreeMap<Name, Name>,
    ) -> Result<(), Failure> {
        self.open_closing();
        let through = born.values().next().expect("an edge was born").clone();
        if widened.len() >= self.engine.limits.widen || self.options.plan.is_some() {
            return Err(Failure::Unsettled { module: through });
        }
        widened.extend(born);
        if let Some(staging) = self.staging.take() {
            staging.discard();
        }
        Ok(())
    }

    fn validate(&mut self) -> Result<(), Failure> {
        self.begin(Phase::Validate);
        self.registrations()?;
        let changes = self.changes();
        let mut warnings = Vec::new();
        for (name, load) in &changes.loads {
            let was = load
                .live
                .as_ref()
                .and_then(|live| live.module())
                .is_some_and(|m| m.manifest().registered);
            if was
                && !self
                    .staged_manifest(name)
                    .is_some_and(|manifest| manifest.registered)
            {
                warnings.push((
                    name.clone(),
                    format!("{name} no longer registers itself: its hooks are gone"),
                ));
            }
        }
        for (module, message) in warnings {
            self.warn(Some(module), message);
        }
        Ok(())
    }

    /// The table of registrations as it will be: what live modules that stay have, and what was staged.
    fn registrations(&self) -> Result<Registrations, Failure> {
        let replaced = self.changes().replaced();
        let mut next: Registrations = (*self.world.table.snapshot()).clone();
        next.retain(|_, entry| !replaced.contains(&entry.owner));
        for instance in self.staging.iter().flat_map(|staging| &staging.staged) {
            for ((kind, key), entry) in instance.scope.registrations() {
                let at = (kind, key);
                if let Some(first) = next.get(&at).filter(|first| first.owner != entry.owner) {
                    let ((kind, key), first, second) = (at, first.owner.clone(), entry.owner);
                    return Err(Failure::Clash {
                        kind,
                        key,
                        first,
                        second,
                    });
                }
                next.insert(at, entry);
            }
        }
        Ok(next)
    }

    async fn drain(&mut self) -> Result<(), Failure> {
        self.begin(Phase::Drain);
        self.deadline = self.world.clock.now() + self.engine.limits.exclusive;
        let exclusive: BTreeSet<Name> = self
            .changes()
            .loads
            .keys()
            .filter(|name| self.is_exclusive(name))
            .cloned()
            .collect();
        if exclusive.is_empty() {
            return Ok(());
        }
        let dependents = self.world.graph.lock().unwrap().affected(&exclusive);
        self.gated = exclusive.into_iter().chain(dependents.into_keys()).collect();
        self.shut_at = Some(self.world.clock.now());
        self.world.gate.shut(&self.gated);
        self.world.emit(EventKind::GatesShut {
            modules: self.gated.iter().cloned().collect(),
        });
        let cancelled = self.wait_idle(&[LeaseKind::Call, LeaseKind::Nested]).await?;
        self.world.gate.freeze(&self.gated);
        self.wait_idle(&[LeaseKind::Task, LeaseKind::Nested]).await?;
        for txn in self.staging.iter().flat_map(|staging| staging.txns.values()) {
            txn.quiesce(&self.gated).await;
        }
        self.world.emit(EventKind::Drained { cancelled });
        Ok(())
    }

    async fn wait_idle(&mut self, kinds: &[LeaseKind]) -> Result<usize, Failure> {
        let mut cancelled = 0;
        loop {
            let listener = self.world.gate.listen();
            let busy = self.world.gate.busy(&self.gated, kinds);
            if busy.is_empty() {
                return Ok(cancelled);
            }
            let mut left = self.deadline.saturating_sub(self.world.clock.now());
            if self.options.drain == DrainPolicy::Cancel && cancelled == 0 {
                // Half of the exclusive time is for calls to end by themselves, the rest for cancelled ones.
                left = left.saturating_sub(self.engine.limits.exclusive / 2);
                if left.is_zero() {
                    busy.iter().for_each(|lease| lease.cancel.cancel());
                    cancelled = busy.len();
                    continue;
                }
            }
            if left.is_zero() {
                let holders = busy
                    .iter()
                    .map(|lease| format!("{} (generation {})", lease.root, lease.generation));
                let deadline = self.engine.limits.exclusive;
                return Err(Failure::DrainTimeout {
                    holders: holders.collect(),
                    deadline,
                });
            }
            select(listener, self.world.clock.sleep(left)).await;
        }
    }

    async fn suspend(&mut self) -> Result<(), Failure> {
        self.begin(Phase::Suspend);
        for name in self.changes().plan.unload.clone() {
            let Some((old, _)) = self.pair(&name).filter(|_| self.has_reload_hook(&name)) else {
                continue;
            };
            self.checkpoint(&name, &old).await?;
            let before = old
                .module()
                .is_some_and(|module| module.manifest().hooks.before_reload);
            if before {
                self.hook(&old, Hook::BeforeReload, self.base).await?;
            }
        }
        Ok(())
    }

    /// Journals the module first, so that a hook that fails half-way is undone too.
    async fn checkpoint(&mut self, name: &Name, old: &Arc<Instance>) -> Result<(), Failure> {
        self.journal.entries.push(Entry::Suspended {
            old: old.clone(),
            checkpoint: None,
        });
        if self.mode(name) != CheckpointMode::Auto {
            return Ok(());
        }
        let module = old.module().expect("a live module is loaded").clone();
        let copied = crate::hook::bounded(&self.world, self.left(), module.checkpoint()).await;
        let failed = |error: HookError| Failure::Checkpoint {
            module: name.clone(),
            reason: error.message,
        };
        let copy = copied.map_err(failed)?;
        if let Some(Entry::Suspended { checkpoint, .. }) = self.journal.entries.last_mut() {
            *checkpoint = Some(copy);
        }
        self.world.emit(EventKind::Checkpointed { module: name.clone() });
        Ok(())
    }

    async fn activate(&mut self) -> Result<(), Failure> {
        self.begin(Phase::Activate);
        let generation = Generation(self.base.0 + 1);
        for name in self.load_order() {
            let new = self.world.instance_at(&name, generation).expect("it was staged");
            let Some(manifest) = self.staged_manifest(&name).filter(|manifest| manifest.registered) else {
                continue;
            };
            let first = !new.initialised.swap(true, Ordering::AcqRel);
            if first && self.base != Generation::default() {
                self.journal.entries.push(Entry::Initialised {
                    new: new.clone(),
                    done: false,
                });
                if manifest.hooks.init {
                    self.hook(&new, Hook::Init, generation).await?;
                }
                if let Some(Entry::Initialised { done, .. }) = self.journal.entries.last_mut() {
                    *done = true;
                }
            } else if !first && manifest.hooks.after_reload {
                self.hook(&new, Hook::AfterReload, generation).await?;
            }
        }
        Ok(())
    }

    /// The point of no return: every backend's part around one store of one number.
    fn commit(&mut self) {
        self.begin(Phase::Commit);
        let staging = self.staging.as_ref().expect("something was staged");
        let generation = staging.generation;
        let next = self.registrations();
        let changes = self.changes.as_ref().expect("a plan was made");
        let replaced = changes
            .loads
            .values()
            .filter_map(|load| load.live.as_ref())
            .chain(changes.leaving.values());
        let replaced: Vec<Arc<Instance>> = replaced.cloned().collect();
        for old in &replaced {
            old.last.store(self.base.0, Ordering::Release);
        }
        let mut dropped = None;
        let world = &self.world;
        let table = Arc::new(next.unwrap_or_else(|_| (*world.table.snapshot()).clone()));
        let mut swap = || {
            let mut in_flight = world.in_flight.write().unwrap();
            in_flight.pending.clear();
            in_flight.closing.clear();
            world
                .gate
                .commit(generation, || dropped = Some(world.table.replace(table.clone())));
        };
        let txns: Vec<_> = staging.txns.values().collect();
        commit_nested(&txns, &mut swap);
        drop(dropped);
        world.gate.announce();
        let mut graph = world.graph.lock().unwrap();
        changes.leaving.keys().for_each(|name| graph.remove(name));
        staging
            .staged
            .iter()
            .for_each(|instance| graph.replace(&instance.name, instance.edges()));
        drop(graph);
        let ranks = changes
            .loads
            .values()
            .map(|load| load.rank + 1)
            .max()
            .unwrap_or(0);
        world.next_rank.fetch_max(ranks, Ordering::AcqRel);
        world.lingering.lock().unwrap().extend(replaced);
        self.engine.settled(&self.options, &changes.loads);
        self.open_gates();
        self.world.emit(EventKind::Committed {
            generation: generation.0,
        });
        self.staging
            .as_ref()
            .expect("something was staged")
            .intents
            .commit();
    }

    async fn retire(&mut self) {
        self.begin(Phase::Retire);
        crate::retire::retire(self).await;
    }

    /// Everything that was done is undone, in reverse, going on past errors.
    async fn back(&mut self, failure: Failure) -> ReloadError {
        let phase = self.phase.map_or(Phase::Plan, |(phase, _)| phase);
        self.end_phase(false);
        let (world, budget) = (self.world.clone(), self.engine.limits.hook);
        let undone = self.journal.undo(&world, self.base, budget).await;
        if let Some(staging) = self.staging.take() {
            staging.discard();
        }
        self.open_closing();
        self.open_gates();
        self.engine.unsettled(&self.options);
        let outcome = match (
            undone.left.is_empty(),
            undone.steps.is_empty() && phase < Phase::Suspend,
        ) {
            (false, _) => Outcome::Stuck,
            (true, true) => Outcome::Refused,
            (true, false) => Outcome::RolledBack,
        };
        let mut report = Box::new(self.report(outcome));
        report.rolled_back = undone.steps;
        ReloadError {
            kind: Box::new(failure),
            phase,
            report,
            left: undone.left,
        }
    }

    fn open_closing(&self) {
        self.world.in_flight.write().unwrap().closing.clear();
        self.world.gate.announce();
    }

    fn open_gates(&mut self) {
        if let Some(shut_at) = self.shut_at.take() {
            self.world.gate.open();
            self.pause = self.world.clock.now().saturating_sub(shut_at);
            self.world.emit(EventKind::GatesOpened {
                modules: self.gated.iter().cloned().collect(),
            });
        }
    }

    pub(crate) fn warn(&mut self, module: Option<Name>, message: String) {
        self.warnings.push(message.clone());
        self.world.emit(EventKind::Warning { module, message });
    }

    async fn hook(
        &self,
        instance: &Arc<Instance>,
        hook: Hook,
        generation: Generation,
    ) -> Result<(), Failure> {
        let budget = self.engine.limits.hook.min(self.left());
        let intents = self.staging.as_ref().map(|staging| staging.intents.clone());
        let run = HookRun {
            instance,
            hook,
            generation,
            budget,
        };
        run.run(&self.world, intents)
            .await
            .map_err(|error| error.blame(&instance.name, hook))
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_sub(self.world.clock.now())
    }

    /// The modules that were staged, in load order: what the plan foresaw, then in the order it turned up.
    fn load_order(&self) -> Vec<Name> {
        let staged = self.staging.iter().flat_map(|staging| &staging.staged);
        staged.map(|instance| instance.name.clone()).collect()
    }

    pub(crate) fn changes(&self) -> &Changes {
        self.changes.as_ref().expect("a plan was made")
    }

    /// The live and the staged instance of a module that is reloaded by the backend that has it.
    fn pair(&self, name: &Name) -> Option<(Arc<Instance>, Arc<Instance>)> {
        let old = self.changes().loads.get(name)?.live.clone()?;
        let new = self
            .world
            .instance_at(name, Generation(self.base.0 + 1))
            .filter(|new| new.born > old.born)?;
        (old.source.backend == new.source.backend).then_some((old, new))
    }

    fn staged_manifest(&self, name: &Name) -> Option<Manifest> {
        let staged = self
            .staging
            .as_ref()?
            .staged
            .iter()
            .find(|instance| instance.name == *name)?;
        Some(staged.module()?.manifest().clone())
    }

    fn has_reload_hook(&self, name: &Name) -> bool {
        let Some((old, new)) = self.pair(name) else {
            return false;
        };
        let before = old
            .module()
            .is_some_and(|module| module.manifest().hooks.before_reload);
        before
            || new
                .module()
                .is_some_and(|module| module.manifest().hooks.after_reload)
    }

    /// The live code says how its state is protected: it is what a rollback goes back to.
    fn mode(&self, name: &Name) -> CheckpointMode {
        let old = self
            .pair(name)
            .and_then(|(old, _)| Some(old.module()?.manifest().clone()));
        old.filter(|manifest| manifest.registered)
            .map_or(CheckpointMode::Auto, |manifest| manifest.checkpoint)
    }

    fn is_exclusive(&self, name: &Name) -> bool {
        let Some((old, new)) = self.pair(name) else {
            return false;
        };
        let asks = |instance: &Arc<Instance>| instance.module().is_some_and(|module| module.manifest().drain);
        asks(&old) || asks(&new) || (self.has_reload_hook(name) && self.mode(name) != CheckpointMode::None)
    }

    fn begin(&mut self, phase: Phase) {
        if self.phase.is_some_and(|(current, _)| current == phase) {
            return;
        }
        self.end_phase(true);
        self.phase = Some((phase, self.world.clock.now()));
        self.world.emit(EventKind::PhaseStarted { phase });
    }

    fn end_phase(&mut self, ok: bool) {
        if let Some((phase, began)) = self.phase.take() {
            let took = self.world.clock.now().saturating_sub(began);
            self.phases.push(PhaseTime { phase, took });
            self.world.emit(EventKind::PhaseEnded { phase, took, ok });
        }
    }

    fn report(&mut self, outcome: Outcome) -> Report {
        self.end_phase(true);
        let steps = self.plan.take().map(|plan| plan.steps).unwrap_or_default();
        let steps = self
            .changes
            .as_ref()
            .map_or(steps, |changes| changes.plan.steps.clone());
        let modules = steps.into_iter().map(|step| {
            let leaving = matches!(step.action, Action::Remove | Action::Retire);
            let (old, new) = self.versions.get(&step.module).cloned().unwrap_or_default();
            let old = if leaving {
                self.live_version(&step.module)
            } else {
                old
            };
            ModuleReport {
                module: step.module,
                action: step.action,
                reason: step.reason,
                old,
                new,
            }
        });
        Report {
            reload: self.id,
            outcome,
            generation: self.world.gate.live().0,
            modules: modules.collect(),
            phases: self.phases.clone(),
            pause: self.pause,
            warnings: self.warnings.clone(),
            rolled_back: Vec::new(),
        }
    }

    fn live_version(&self, name: &Name) -> Option<Version> {
        let leaving = self.changes.as_ref()?.leaving.get(name)?;
        leaving.module()?.manifest().version.clone()
    }
}

fn commit_nested(txns: &[&Arc<dyn crate::backend::Txn>], swap: &mut dyn FnMut()) {
    match txns.split_first() {
        None => swap(),
        Some((first, rest)) => first.commit(&mut || commit_nested(rest, swap)),
    }
}
