//! The live world: every module's instances, and which of them a call at a given generation sees.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::future::select;

use crate::clock::Clock;
use crate::error::{CallError, Place};
use crate::event::{EventKind, Events};
use crate::gate::{Gate, Generation};
use crate::graph::{Edge, Edges, Graph};
use crate::lease::Lease;
use crate::module::{Compiled, Module};
use crate::planted::{Bug, is_planted};
use crate::scope::{Identity, Scope, Table};
use crate::source::{Name, Source};
use crate::sync::{AtomicBool, AtomicU64, Mutex, RwLock};
use crate::version::Version;
use crate::watch::Watch;

/// One loaded version of a module, and the span of generations it is seen in: `born..=last`.
pub struct Instance {
    /// The module.
    pub name: Name,
    /// Its source, as it was read.
    pub source: Arc<Source>,
    /// What its backend made of the source.
    pub compiled: Compiled,
    /// The first generation that sees it.
    pub born: Generation,
    /// Its place in the order of the initial requires.
    pub rank: u64,
    /// What it owns.
    pub scope: Arc<Scope>,
    /// When the module's state began: with the first instance that had it.
    pub state_since: Duration,
    /// The last version that registered itself on its state: the form that the state has.
    pub(crate) state_version: OnceLock<Version>,
    pub(crate) edges: Mutex<Arc<Edges>>,
    pub(crate) last: AtomicU64,
    pub(crate) module: OnceLock<Arc<dyn Module>>,
    /// Its `init` ran, in this version or an earlier one, so that it is owed a `finalize`.
    pub(crate) initialised: AtomicBool,
    /// How long its top level took.
    pub(crate) staged_in: OnceLock<Duration>,
    /// When it was replaced.
    pub(crate) replaced: OnceLock<Duration>,
    /// It outlived that for too long, and was named for it.
    pub(crate) leaked: OnceLock<()>,
}

impl Instance {
    /// The loaded code; `None` while it is being staged.
    pub fn module(&self) -> Option<&Arc<dyn Module>> {
        self.module.get()
    }

    /// The version it registered with.
    pub fn version(&self) -> Option<Version> {
        self.module()?.manifest().version.clone()
    }

    /// The last generation that sees it, `u64::MAX` while it is live or staged.
    pub fn last(&self) -> Generation {
        Generation(self.last.load(Ordering::Acquire))
    }

    /// Whether a call at `generation` sees it.
    pub fn lives_at(&self, generation: Generation) -> bool {
        self.born <= generation && generation <= self.last()
    }

    /// Whether it is known to require `name`.
    pub fn requires(&self, name: &str) -> bool {
        self.edges.lock().unwrap().contains_key(name)
    }

    /// What it requires, as far as is known.
    pub fn edges(&self) -> Arc<Edges> {
        self.edges.lock().unwrap().clone()
    }
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.name, self.born)
    }
}

/// What a `require` finds.
#[derive(Clone, Debug)]
pub enum Resolved {
    /// What everybody who asks from there will see for as long as the asking instance lives: may be cached.
    Settled(Arc<Instance>),
    /// What this call sees because of the generation it is pinned to: not to be cached.
    Pinned(Arc<Instance>),
    /// It is part of the reload that stages the asking module and not loaded yet: import it.
    Pending,
    /// It is being replaced right now and the asking module would be left with the old one: wait for
    /// [`World::settled`] and ask again, or fail with a retryable error where waiting is impossible.
    Closing,
    /// There is no such module.
    Absent,
}

/// What a running reload shows to `require`.
#[derive(Default)]
pub(crate) struct InFlight {
    pub(crate) generation: u64,
    /// To be loaded by the reload and not loaded yet.
    pub(crate) pending: BTreeSet<Name>,
    /// Being replaced, from *drain* to commit.
    pub(crate) closing: BTreeSet<Name>,
}

/// The live world. Adapters resolve requires against it; the engine changes it.
pub struct World {
    /// Admission.
    pub gate: Arc<Gate>,
    /// The stream of events.
    pub events: Arc<Events>,
    /// The host's time and tasks.
    pub clock: Arc<dyn Clock>,
    /// What is registered by key.
    pub table: Arc<Table>,
    pub(crate) modules: RwLock<BTreeMap<Name, Vec<Arc<Instance>>>>,
    pub(crate) graph: Mutex<Graph>,
    pub(crate) in_flight: RwLock<InFlight>,
    pub(crate) reload: AtomicU64,
    pub(crate) watch: Arc<Watch>,
    /// The reload that runs; 0 outside of one.
    pub(crate) in_reload: AtomicU64,
    /// How long a call waits at a gate.
    pub(crate) call_wait: Duration,
    pub(crate) next_rank: AtomicU64,
    /// Replaced instances that are not dropped yet.
    pub(crate) lingering: Mutex<Vec<Arc<Instance>>>,
    /// A task is there that drops them.
    pub(crate) purging: AtomicBool,
    /// Modules that were loaded for their own sake: no entry requires them, and they stay.
    pub(crate) kept: Mutex<BTreeSet<Name>>,
    /// Modules that were unregistered although modules that stayed require them: those do not bring them back.
    pub(crate) unregistered: Mutex<BTreeSet<Name>>,
}

impl World {
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        identities: BTreeMap<String, Identity>,
        call_wait: Duration,
        grace: Duration,
    ) -> Arc<Self> {
        Arc::new(Self {
            gate: Arc::default(),
            events: Arc::default(),
            watch: Watch::new(clock.clone(), grace),
            clock,
            table: Arc::new(Table::new(identities)),
            modules: RwLock::default(),
            graph: Mutex::default(),
            in_flight: RwLock::default(),
            reload: AtomicU64::new(0),
            in_reload: AtomicU64::new(0),
            call_wait,
            next_rank: AtomicU64::new(0),
            lingering: Mutex::default(),
            purging: AtomicBool::new(false),
            kept: Mutex::default(),
            unregistered: Mutex::default(),
        })
    }

    /// The instance of `name` that `generation` sees.
    pub fn instance_at(&self, name: &str, generation: Generation) -> Option<Arc<Instance>> {
        let modules = self.modules.read().unwrap();
        let instances = modules.get(name)?;
        instances.iter().rev().find(|instance| instance.lives_at(generation)).cloned()
    }

    /// The live instance of `name`.
    pub fn live(&self, name: &str) -> Option<Arc<Instance>> {
        self.instance_at(name, self.gate.live())
    }

    /// Every live instance, by name.
    pub fn live_all(&self) -> Vec<Arc<Instance>> {
        let live = self.gate.live();
        let modules = self.modules.read().unwrap();
        modules.values().filter_map(|all| all.iter().rev().find(|i| i.lives_at(live)).cloned()).collect()
    }

    /// Every instance that is still held in memory, old ones too.
    pub fn instances(&self) -> Vec<Arc<Instance>> {
        self.modules.read().unwrap().values().flatten().cloned().collect()
    }

    /// What `from` gets when it requires `name` now; records the edge. `place` is asked where that stands if
    /// the edge is a new one; it must not call back into the world.
    ///
    /// The generation is that of the thread's lease (the live one without), *clamped* to the span of `from`:
    /// a closure of a replaced module that is still called goes on seeing its own time, and a call that began
    /// before a commit goes on seeing what it began with.
    pub fn resolve(
        &self,
        from: &Arc<Instance>,
        name: &Name,
        place: impl FnOnce() -> Option<Place>,
    ) -> Resolved {
        let lease = Lease::current_generation().unwrap_or_else(|| self.gate.live());
        let moved = is_planted(Bug::CallMoved).then(|| self.gate.live());
        let generation = moved.unwrap_or(lease.clamp(from.born, from.last()));
        // Held until the edge is noted, so that a reload that begins to close `name` sees the edge.
        let in_flight = self.in_flight.read().unwrap();
        if in_flight.generation == generation.0 && in_flight.pending.contains(name) {
            self.note_edge(from, name, place);
            return Resolved::Pending;
        }
        let outside = generation.0 < in_flight.generation && !in_flight.closing.contains(&from.name);
        if outside && in_flight.closing.contains(name) && !self.in_hook() && !from.requires(name) {
            return Resolved::Closing;
        }
        let Some(found) = self.visible(name, generation) else {
            return Resolved::Absent;
        };
        self.note_edge(from, name, place);
        let live = self.gate.live();
        let settled = found.last().0 == u64::MAX && (found.born <= live || found.born <= from.born);
        if settled { Resolved::Settled(found) } else { Resolved::Pinned(found) }
    }

    /// Ends when no module is being replaced any more, for whoever waits to require `module`.
    ///
    /// # Errors
    /// [`CallError::GateTimeout`]: it took longer than calls wait.
    pub async fn settled(&self, module: &Name) -> Result<(), CallError> {
        let until = self.clock.now() + self.call_wait;
        loop {
            let listener = self.gate.listen();
            if self.in_flight.read().unwrap().closing.is_empty() {
                return Ok(());
            }
            let left = until.saturating_sub(self.clock.now());
            if left.is_zero() {
                return Err(CallError::GateTimeout { module: module.to_string(), waited: self.call_wait });
            }
            select(listener, self.clock.sleep(left)).await;
        }
    }

    /// A module that did not exist at `generation` but does now has no other time to be seen in.
    fn visible(&self, name: &Name, generation: Generation) -> Option<Arc<Instance>> {
        if let Some(found) = self.instance_at(name, generation) {
            return Some(found);
        }
        let live = self.gate.live();
        let modules = self.modules.read().unwrap();
        let first = modules.get(name)?.first()?;
        (first.born > generation && first.born <= live).then(|| first.clone())
    }

    fn in_hook(&self) -> bool {
        Lease::current().is_some_and(|lease| lease.is_of_reload())
    }

    fn note_edge(&self, from: &Arc<Instance>, to: &Name, place: impl FnOnce() -> Option<Place>) {
        if from.requires(to) {
            return;
        }
        let edge = Edge { place: place(), deferred: from.module().is_some(), dynamic: true };
        let mut edges = from.edges.lock().unwrap();
        Arc::make_mut(&mut edges).entry(to.clone()).or_insert_with(|| edge.clone());
        drop(edges);
        let live = self.gate.live();
        if from.lives_at(live) && from.last().0 == u64::MAX {
            self.graph.lock().unwrap().add(&from.name, to, edge);
        }
    }

    /// Takes out whatever is newer than the live generation, and opens every gate: the last resort after a
    /// panic of the engine itself.
    pub(crate) fn scrub(&self) {
        let live = self.gate.live();
        let mut dropped = Vec::new();
        for instances in self.modules.write().unwrap().values_mut() {
            dropped.extend(instances.extract_if(.., |instance| instance.born > live));
        }
        *self.in_flight.write().unwrap() = InFlight::default();
        self.gate.open();
        drop(dropped);
    }

    /// Sends an event, of the running reload if one runs.
    pub fn emit(&self, kind: EventKind) {
        self.events.emit(self.in_reload.load(Ordering::Relaxed), self.clock.now(), kind);
    }
}
