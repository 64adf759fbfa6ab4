//! Staging: runs the new top levels beside the live generation, dependencies first, and loads on demand what
//! could not be foreseen. Imports never nest on the native stack, however deep they are.

mod import;
mod effects;
mod schedule;
mod slices;

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, select};

use crate::backend::{Finalize, Importer, StageCx, Txn, TxnCx};
use crate::changes::{Backends, Changes, Inputs, next_edges};
use crate::error::{Place, ScriptError, ScriptErrorKind};
use crate::event::EventKind;
use crate::failure::ReloadErrorKind;
use crate::gate::{Generation, LeaseKind};
use crate::generation::{Instance, World};
use crate::intent::Intents;
use crate::lease::Lease;
use crate::lifecycle::Hook;
use crate::report::DrainPolicy;

use crate::scope::Scope;
use crate::source::Name;
use crate::sync;
use crate::version::Version;
use import::{Reply, Requests};

type Staged = Result<(), ScriptError>;

/// A top level that runs or is about to.
struct TopLevel {
    instance: Arc<Instance>,
    /// The version that is live.
    old: Option<Version>,
    work: BoxFuture<'static, Staged>,
}

/// A row of modules to stage one after the other, and who waits for the last of them.
#[derive(Default)]
struct Job {
    todo: VecDeque<Name>,
    /// The first of them, about to run.
    ready: VecDeque<TopLevel>,
    running: Option<TopLevel>,
    waiting: Option<(Name, Reply)>,
}

/// Everything that was staged by one reload, with each backend's part of the transaction.
pub(crate) struct Staging {
    pub(crate) world: Arc<World>,
    pub(crate) generation: Generation,
    pub(crate) intents: Arc<Intents>,
    pub(crate) txns: BTreeMap<String, Arc<dyn Txn>>,
    /// In the order in which they were staged.
    pub(crate) staged: Vec<Arc<Instance>>,
    /// Every one that was begun, so that what a top level that failed had made can still be let go of.
    begun: Mutex<Vec<Arc<Instance>>>,
    requests: Arc<Requests>,
    /// A top level imported what was to come later.
    imported: bool,
    budget: Duration,
    failure: Option<ReloadErrorKind>,
}

impl Staging {
    pub(crate) fn new(
        world: Arc<World>,
        generation: Generation,
        start: bool,
        backends: &Backends,
        budget: Duration,
        drain: DrainPolicy,
    ) -> Self {
        let intents: Arc<Intents> = Arc::default();
        let cx = TxnCx { generation, start, intents: intents.clone(), stage_budget: budget, drain };
        let txns = backends.iter().map(|(name, backend)| (name.clone(), backend.begin(cx.clone()).into()));
        let txns = txns.collect();
        let requests = Arc::new(Requests::new(world.clock.clone()));
        let (staged, begun, imported, failure) = Default::default();
        Self { world, generation, intents, txns, staged, begun, requests, imported, budget, failure }
    }

    /// Stages everything in `changes`, which grows by what top levels ask for.
    pub(crate) async fn run(
        &mut self,
        inputs: &Inputs,
        changes: &mut Changes,
    ) -> Result<(), ReloadErrorKind> {
        {
            let mut in_flight = self.world.in_flight.write().unwrap();
            in_flight.generation = self.generation.0;
            in_flight.pending = changes.loads.keys().chain(changes.leaving.keys()).cloned().collect();
        }
        let mut jobs = vec![Job { todo: changes.order.clone().into(), ..Job::default() }];
        poll_fn(|cx| self.advance(cx, inputs, changes, &mut jobs)).await
    }

    /// What ran its `init` while it registered, in that order.
    pub(crate) fn take_initialised(&self) -> Vec<(Name, Finalize)> {
        std::mem::take(&mut *self.requests.initialised.lock().unwrap())
    }

    /// Takes everything staged out of the world again.
    pub(crate) fn discard(mut self) {
        drop(self.intents.discard());
        let staged = std::mem::take(&mut self.staged);
        let mut dropped = Vec::new();
        {
            let mut modules = self.world.modules.write().unwrap();
            for name in staged.iter().map(|instance| &instance.name) {
                let Some(instances) = modules.get_mut(name) else {
                    continue;
                };
                dropped.extend(instances.extract_if(.., |instance| instance.born == self.generation));
                if instances.is_empty() {
                    modules.remove(name);
                }
            }
        }
        // Not under the lock of the modules: a require takes the two the other way round.
        self.world.in_flight.write().unwrap().pending.clear();
        // Handles into VMs go here, outside of every lock.
        drop(dropped);
        drop(staged);
        let begun = std::mem::take(self.begun.get_mut().unwrap());
        // What one registered and owns may know it in turn, and a task that never starts itself, by the state.
        let owned = begun.iter().flat_map(|instance| instance.scope.close());
        owned.for_each(|resource| resource.abandon());
        drop(begun);
        for txn in std::mem::take(&mut self.txns).into_values() {
            txn.rollback();
        }
    }

    fn base(&self) -> Generation {
        Generation(self.generation.0 - 1)
    }

    fn instance(&self, name: &Name) -> Option<Arc<Instance>> {
        self.world.instance_at(name, self.generation).filter(|instance| instance.born == self.generation)
    }

    fn stage(&self, changes: &Changes, name: &Name) -> TopLevel {
        let load = &changes.loads[name];
        let backend = &load.source.backend;
        let same_backend = load.live.as_ref().filter(|live| live.source.backend == *backend);
        let instance = Arc::new(Instance {
            name: name.clone(),
            source: load.source.clone(),
            compiled: load.compiled.clone(),
            born: self.generation,
            rank: load.rank,
            scope: Scope::new(name.clone(), self.generation, self.intents.clone(), self.world.table.clone()),
            state_since: same_backend.map_or_else(|| self.world.clock.now(), |live| live.state_since),
            state_version: OnceLock::new(),
            edges: sync::Mutex::new(next_edges(load)),
            last: u64::MAX.into(),
            module: OnceLock::new(),
            staged_in: OnceLock::new(),
            replaced: OnceLock::new(),
            leaked: OnceLock::new(),
            initialised: same_backend.is_some_and(|live| live.initialised.load(Ordering::Acquire)).into(),
        });
        self.begun.lock().unwrap().push(instance.clone());
        let cx = StageCx {
            source: load.source.clone(),
            compiled: load.compiled.clone(),
            instance: instance.clone(),
            previous: same_backend.and_then(|live| live.module().cloned()),
            importer: self.requests.clone(),
        };
        let state_version = same_backend.and_then(|live| live.state_version.get().cloned());
        let old = load.live.as_ref().and_then(|live| live.version());
        let (txn, intents) = (self.txns[backend].clone(), self.intents.clone());
        let (world, generation, budget) = (self.world.clone(), self.generation, self.budget);
        let (staged, importer) = (instance.clone(), self.requests.clone());
        let work = async move {
            // From its first poll on: it may be made ready long before.
            let began = world.clock.now();
            let (kind, name) = (LeaseKind::Stage, &instance.name);
            let lease = Lease::open_at(&world.gate, name, kind, generation, Some(intents));
            let work = lease.scope(async move { txn.stage(cx).await });
            let work = AssertUnwindSafe(world.watch.over(name, "top level", budget, work)).catch_unwind();
            let module = match ended(work, || importer.over(&*world.clock, name, budget)).await {
                Some(Ok(Ok(result))) => result?,
                Some(Ok(Err(cancelled))) => return Err(ScriptError::runtime(cancelled.to_string())),
                Some(Err(panic)) => {
                    return Err(ScriptError::new(ScriptErrorKind::Panic, panic_text(&panic)));
                }
                None => {
                    let message = format!("the top level ran longer than {budget:?}");
                    return Err(ScriptError::new(ScriptErrorKind::Timeout, message));
                }
            };
            if let Some(version) = module.manifest().version.clone().or(state_version) {
                let _ = instance.state_version.set(version);
            }
            let _ = instance.module.set(module.clone());
            let _ = instance.staged_in.set(world.clock.now().saturating_sub(began));
            let mut modules = world.modules.write().unwrap();
            modules.entry(instance.name.clone()).or_default().push(instance.clone());
            drop(modules);
            world.in_flight.write().unwrap().pending.remove(&instance.name);
            Ok(())
        };
        TopLevel { instance: staged, old, work: Box::pin(work) }
    }

    fn done(
        &mut self,
        changes: &Changes,
        instance: Arc<Instance>,
        old: Option<Version>,
        result: Staged,
    ) -> Result<(), ReloadErrorKind> {
        if let Some((took, ended)) = self.requests.took_init(&instance.name) {
            let error = result.as_ref().err().filter(|_| !ended).map(ToString::to_string);
            self.world.emit(EventKind::HookRan {
                module: instance.name.clone(),
                hook: Hook::Init,
                took,
                error,
            });
        }
        result.map_err(|error| {
            // An import that failed is the cause, unless it was caught and something else failed later.
            let import = self.failure.take().filter(|failure| {
                error.kind == ScriptErrorKind::Import || error.message.contains(&failure.to_string())
            });
            import.unwrap_or_else(|| {
                let source = &changes.loads[&instance.name].source;
                let place = error.place.clone().unwrap_or_else(|| Place::file(&source.origin));
                let mut error = error.at(place);
                let here = error.place.as_ref().is_some_and(|place| place.file == source.origin);
                if here && error.source_line.is_none() {
                    error = error.with_source(&source.text);
                }
                ReloadErrorKind::Load { module: instance.name.clone(), error }
            })
        })?;
        // A top level may catch a failed import and go on: then it was no failure of the reload.
        self.failure = None;
        let (module, new) = (instance.name.clone(), instance.version());
        let took = instance.staged_in.get().copied().unwrap_or_default();
        let _ = changes.loads[&instance.name].staged.set(instance.clone());
        self.staged.push(instance);
        self.world.emit(EventKind::Staged { module, old, new, took });
        Ok(())
    }

    fn answer(&self, job: Job) {
        if let Some((name, reply)) = job.waiting {
            let pending = self.world.in_flight.read().unwrap().pending.contains(&name);
            let found = self.world.instance_at(&name, self.generation).filter(|_| !pending);
            let missing =
                || ScriptError::new(ScriptErrorKind::Import, format!("module `{name}` was not staged"));
            let _ = reply.send(found.ok_or_else(missing));
        }
    }
}

/// What `work` ends with, unless the deadline comes first. Most ends at once and needs none.
async fn ended<F: Future, D: Future<Output = ()> + Unpin>(
    work: F,
    deadline: impl FnOnce() -> D,
) -> Option<F::Output> {
    let mut work = pin!(work);
    if let Poll::Ready(ended) = poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await {
        return Some(ended);
    }
    match select(work, deadline()).await {
        Either::Left((ended, _)) => Some(ended),
        Either::Right(_) => None,
    }
}

/// What a panic said.
pub(crate) fn panic_text(panic: &Box<dyn std::any::Any + Send>) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.map_or_else(|| "native code panicked".to_owned(), |text| format!("native code panicked: {text}"))
}
