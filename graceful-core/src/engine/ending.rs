//! The end of an engine: nothing new is let in, what runs ends, every module is finalized, dependents first.
//! Everything is attempted, whatever fails.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, Shared, join_all, select};

use super::{Engine, Inner, Running};
use crate::changes::unload_order;
use crate::clock::apart;
use crate::event::EventKind;
use crate::gate::{LeaseKind, LeaseRecord};
use crate::generation::Instance;
use crate::hook::{HookRun, bounded};
use crate::lease::Lease;
use crate::lifecycle::{Hook, HookResult};
use crate::role::Operation;
use crate::scope::Resource;
use crate::shutdown::{ShutdownOptions, ShutdownReport, Unfinished};
use crate::source::Name;
use crate::staging::panic_text;

/// How much longer than its budget a step is waited for: by then whatever can be stopped was stopped.
const LONGER: Duration = Duration::from_secs(1);

pub(crate) type Ending = Shared<BoxFuture<'static, ShutdownReport>>;

/// A shutdown under way. It goes on to its end whether or not anybody waits for it.
#[derive(Clone)]
pub struct Shutdown(Ending);

impl Future for Shutdown {
    type Output = ShutdownReport;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<ShutdownReport> {
        self.0.poll_unpin(cx)
    }
}

impl Engine {
    /// Shuts down: lets no call and no reload in any more, undoes a reload that runs (or lets it end, if it has
    /// committed), waits for calls in flight and cancels those that outlast the drain, then runs `finalize` of
    /// every module, dependents first, and releases what each owns. Each step has its own deadline, and all are
    /// attempted. Begins at once; a second call joins the first, whatever it asks for.
    ///
    /// Do not wait for it inside a call: it waits for that call to end.
    pub fn shutdown(&self, options: ShutdownOptions) -> Shutdown {
        Shutdown(self.0.end(options))
    }
}

impl Inner {
    pub(crate) fn end(self: &Arc<Self>, options: ShutdownOptions) -> Ending {
        // Under the lock in which reloads begin, so that none begins after this looked.
        let running = self.running.lock().unwrap();
        let mut slot = self.ending.lock().unwrap();
        if let Some(ending) = &*slot {
            return ending.clone();
        }
        self.world.gate.close();
        let steps = Steps {
            engine: self.clone(),
            options,
            failed: Vec::new(),
            finalized: Vec::new(),
            kept: BTreeMap::new(),
        };
        let ending: Ending = steps.run(running.clone()).boxed().shared();
        *slot = Some(ending.clone());
        let reload = running.clone();
        drop((slot, running));
        if let Some(reload) = reload {
            reload.ticket.give_up();
        }
        self.world.gate.announce();
        self.world.clock.spawn(Box::pin(ending.clone().map(drop)));
        ending
    }

    /// Whether it is shutting down, and whether it has.
    pub(crate) fn is_ending(&self) -> Option<bool> {
        self.ending.lock().unwrap().as_ref().map(|ending| ending.peek().is_some())
    }
}

struct Steps {
    engine: Arc<Inner>,
    options: ShutdownOptions,
    failed: Vec<Unfinished>,
    finalized: Vec<Name>,
    /// The backends whose interpreter is kept by code that nothing stops, and what is said of it.
    kept: BTreeMap<String, String>,
}

impl Steps {
    async fn run(mut self, reload: Option<Running>) -> ShutdownReport {
        let world = self.engine.world.clone();
        let began = world.clock.now();
        world.emit(EventKind::ShutdownStarted);
        let mut cancelled = 0;
        let steps = AssertUnwindSafe(self.steps(reload, &mut cancelled)).catch_unwind().await;
        if let Err(panic) = steps {
            self.fail(None, "the engine".into(), panic_text(&panic));
        }
        let took = world.clock.now().saturating_sub(began);
        let failed = self.failed.len();
        world.emit(EventKind::ShutdownEnded { cancelled, failed, took });
        world.gate.announce();
        let generation = world.gate.live().0;
        ShutdownReport { generation, finalized: self.finalized, cancelled, failed: self.failed, took }
    }

    async fn steps(&mut self, reload: Option<Running>, cancelled: &mut usize) {
        if let Some(reload) = reload {
            self.end_reload(reload).await;
        }
        self.drain(cancelled).await;
        self.stop_roles().await;
        let world = self.engine.world.clone();
        let mut live = world.live_all();
        for name in unload_order(live.iter()) {
            let at = live.iter().position(|instance| instance.name == name).expect("it is one of them");
            let instance = live.swap_remove(at);
            self.finalize(&instance).await;
            self.release(&instance).await;
        }
        // What old generations still own, and what was started under a scope that was closed already.
        for instance in world.instances() {
            self.release(&instance).await;
        }
        let table = world.table.swap(|table| table.clear());
        if self.kept.is_empty() {
            drop(table);
        } else {
            // Handles into an interpreter wait for it when they are dropped.
            std::mem::forget(table);
        }
    }

    /// Why nothing of this backend can run any more: calls and tasks have ended or were cancelled by now, so whoever
    /// keeps its interpreter cannot be stopped.
    fn kept(&mut self, instance: &Instance) -> Option<String> {
        let (name, least) = (&instance.source.backend, self.engine.limits.held_wait);
        let kept = || self.engine.backends.get(name)?.kept().filter(|kept| kept.lasts > least);
        if !self.kept.contains_key(name)
            && let Some(kept) = kept()
        {
            self.kept.insert(name.clone(), format!("{kept}, and nothing interrupts it"));
        }
        self.kept.get(name).cloned()
    }

    /// Dependents first, each with its deadline, before anything is finalized.
    async fn stop_roles(&mut self) {
        let crew = self.engine.crew.clone();
        if crew.board.desk().set.all().is_empty() || crew.board.go(&crew.world, Operation::Stop).is_err() {
            return;
        }
        let stopping = crew.clone();
        let ended = apart(&*crew.world.clock, async move { stopping.stop_all().await });
        let most = (self.budget() + LONGER) * u32::try_from(crew.running().len() + 1).unwrap_or(1);
        match select(ended, crew.world.clock.sleep(most)).await {
            Either::Left((Some(report), _)) => {
                for role in report.roles.into_iter().filter(|role| role.error.is_some()) {
                    let error = role.error.unwrap_or_default();
                    self.fail(Some(role.module), format!("stop of role {}", role.role), error);
                }
            }
            _ => self.fail(None, "the roles".into(), format!("they were not stopped within {most:?}")),
        }
        let _ = crew.board.go(&crew.world, Operation::StopEnded);
    }

    async fn end_reload(&mut self, reload: Running) {
        let limits = &self.engine.limits;
        let most = self.options.reload.unwrap_or(limits.stage + limits.exclusive);
        let late = self.engine.world.clock.sleep(most);
        if let Either::Right(_) = select(reload.outcome, late).await {
            self.fail(None, "the running reload".into(), format!("it was not undone within {most:?}"));
        }
    }

    /// Calls that were let in end, and the turns that tasks are in the middle of.
    async fn drain(&mut self, cancelled: &mut usize) {
        let world = self.engine.world.clone();
        let these = world.gate.under_way();
        let left = self.outlast(&these, self.options.drain.unwrap_or(self.engine.limits.exclusive)).await;
        if !left.is_empty() {
            *cancelled = left.len();
            self.engine.backends.values().for_each(|backend| backend.cancelling());
            left.iter().for_each(|lease| lease.cancel.cancel());
            for lease in self.outlast(&left, self.engine.limits.held_wait).await {
                let kind = if lease.kind == LeaseKind::Task { "a task" } else { "a call" };
                let live = world.instance_at(&lease.root, lease.generation);
                let why = live.and_then(|live| self.kept(&live));
                let why = why.map(|why| format!(": {why}")).unwrap_or_default();
                self.fail(Some(lease.root), kind.into(), format!("it was cancelled and does not end{why}"));
            }
        }
        world.emit(EventKind::Drained { cancelled: *cancelled });
    }

    /// Which of `these` are still under way after `most`.
    async fn outlast(&self, these: &[LeaseRecord], most: Duration) -> Vec<LeaseRecord> {
        let world = &self.engine.world;
        let until = world.clock.now() + most;
        loop {
            let listener = world.gate.listen();
            let still = world.gate.still(these);
            let left = until.saturating_sub(world.clock.now());
            if still.is_empty() || left.is_zero() {
                return still;
            }
            select(listener, world.clock.sleep(left)).await;
        }
    }

    async fn finalize(&mut self, instance: &Arc<Instance>) {
        let owed = instance.initialised.swap(false, Ordering::AcqRel);
        if !owed || !instance.module().is_some_and(|module| module.manifest().hooks.finalize) {
            return;
        }
        if let Some(why) = self.kept(instance) {
            return self.fail(Some(instance.name.clone()), "finalize".into(), why);
        }
        let (world, instance, budget) = (self.engine.world.clone(), instance.clone(), self.budget());
        let (name, generation) = (instance.name.clone(), world.gate.live());
        let hook = async move {
            let run = HookRun { instance: &instance, hook: Hook::Finalize, generation, budget };
            run.run(&world, None).await.map_err(|error| error.to_string())
        };
        match self.apart(hook.boxed()).await {
            Ok(()) => self.finalized.push(name),
            Err(error) => self.fail(Some(name), "finalize".into(), error),
        }
    }

    async fn release(&mut self, instance: &Arc<Instance>) {
        let resources = instance.scope.close();
        if let Some(why) = self.kept(instance).filter(|_| !resources.is_empty()) {
            let all = resources.iter();
            all.for_each(|one| self.released(&instance.name, &**one, Duration::ZERO, Some(why.clone())));
            return std::mem::forget(resources);
        }
        let released = resources.iter().map(|resource| {
            let (world, resource, budget) = (self.engine.world.clone(), resource.clone(), self.budget());
            // Nobody is let in any more: what a release calls comes in with this.
            let (gate, live) = (&world.gate, world.gate.live());
            let lease = Lease::open_at(gate, &instance.name, LeaseKind::Hook, live, None);
            let release = async move { lease.scope(bounded(&world, budget, resource.release())).await };
            let told = |released: HookResult| released.map_err(|error| error.message);
            self.apart(release.map(move |ran| ran.map_err(|gone| gone.to_string()).and_then(told)).boxed())
        });
        let began = self.engine.world.clock.now();
        let released = join_all(released).await;
        let took = self.engine.world.clock.now().saturating_sub(began);
        for (resource, result) in resources.iter().zip(released) {
            self.released(&instance.name, &**resource, took, result.err());
        }
    }

    fn released(&mut self, module: &Name, resource: &dyn Resource, took: Duration, error: Option<String>) {
        let (module, kind, key) = (module.clone(), resource.kind().to_owned(), resource.key());
        if let Some(error) = &error {
            self.fail(Some(module.clone()), format!("{kind} {key}"), error.clone());
        }
        self.engine.world.emit(EventKind::Released { module, kind, key, took, error });
    }

    /// Runs `step` as a task of its own: if it keeps its thread, that is not this one.
    async fn apart(&self, step: BoxFuture<'static, Result<(), String>>) -> Result<(), String> {
        let clock = &self.engine.world.clock;
        let budget = self.budget();
        match select(apart(&**clock, step), clock.sleep(budget + LONGER)).await {
            Either::Left((Some(result), _)) => result,
            Either::Left((None, _)) => Err("it was dropped before it ended".into()),
            Either::Right(_) => Err(format!("it keeps its thread and was not waited for after {budget:?}")),
        }
    }

    fn budget(&self) -> Duration {
        self.options.finalize.unwrap_or(self.engine.limits.retire)
    }

    fn fail(&mut self, module: Option<Name>, what: String, error: String) {
        self.failed.push(Unfinished { module, what, error });
    }
}
