//! From what is live and what the sources say now to a plan: pure, touches nothing.

mod order;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::backend::Backend;
use crate::error::Place;
use crate::failure::ReloadErrorKind;
use crate::gate::Generation;
use crate::generation::{Instance, World};
use crate::graph::{self, Edge, Edges, Node};
use crate::module::Compiled;
use crate::plan::{Action, Plan, Reason, Step};
use crate::report::ReloadOptions;
use crate::source::{Found, Hash, Name, Source, SourceError};

/// The languages, by name.
pub(crate) type Backends = BTreeMap<String, Arc<dyn Backend>>;

/// Reads the source of a name.
pub(crate) type Find = Arc<dyn Fn(&Name) -> Result<Found, SourceError> + Send + Sync>;

/// What the computation reads.
pub(crate) struct Inputs {
    pub(crate) world: Arc<World>,
    pub(crate) backends: Arc<Backends>,
    pub(crate) find: Find,
    pub(crate) entries: Vec<Name>,
    pub(crate) options: ReloadOptions,
    /// Modules that gained an edge into the set while it was staged, with that dependency.
    pub(crate) widened: BTreeMap<Name, Name>,
}

/// A module to be staged.
#[derive(Clone)]
pub(crate) struct Load {
    pub(crate) source: Arc<Source>,
    pub(crate) compiled: Compiled,
    pub(crate) live: Option<Arc<Instance>>,
    pub(crate) reason: Reason,
    pub(crate) rank: u64,
}

/// What a reload is going to do: the plan, and everything that was read to make it.
pub(crate) struct Changes {
    pub(crate) plan: Plan,
    pub(crate) loads: BTreeMap<Name, Load>,
    /// In load order.
    pub(crate) order: Vec<Name>,
    /// The live instances that leave without a successor.
    pub(crate) leaving: BTreeMap<Name, Arc<Instance>>,
}

impl Changes {
    /// The live modules that are replaced or leave.
    pub(crate) fn replaced(&self) -> BTreeSet<Name> {
        let reloaded = self.loads.iter().filter(|(_, load)| load.live.is_some()).map(|(name, _)| name);
        reloaded.chain(self.leaving.keys()).cloned().collect()
    }

    /// Keeps `module` live after all, with everything it requires that was to go for want of a dependent: a
    /// staged top level asked for it.
    pub(crate) fn keep(&mut self, module: &Name) -> Vec<Name> {
        let mut kept = Vec::new();
        let mut stack = vec![module.clone()];
        while let Some(name) = stack.pop() {
            if self.plan.step(&name).is_none_or(|step| step.action != Action::Retire) {
                continue;
            }
            self.plan.steps.retain(|step| step.module != name);
            self.plan.unload.retain(|left| *left != name);
            if let Some(live) = self.leaving.remove(&name) {
                stack.extend(live.edges().into_keys());
                kept.push(name);
            }
        }
        kept
    }

    /// Whether `module` is part of it.
    pub(crate) fn contains(&self, module: &Name) -> bool {
        self.loads.contains_key(module) || self.leaving.contains_key(module)
    }
}

type Failure = ReloadErrorKind;

/// Computes what a reload would do.
pub(crate) fn compute(inputs: &Inputs) -> Result<Changes, Failure> {
    let mut draft = Draft::new(inputs);
    draft.scan()?;
    draft.unregister()?;
    draft.widen();
    draft.close_over_requires()?;
    draft.retire();
    draft.finish()
}

/// Reads `name` and all it requires that is not live, for a top level that asked for it by a name no one
/// could have foreseen. The new loads come dependencies first.
pub(crate) fn discover(
    inputs: &Inputs,
    known: &Changes,
    name: &Name,
    by: (&Name, Option<Place>),
) -> Result<Vec<(Name, Load)>, Failure> {
    let mut draft = Draft::new(inputs);
    draft.loads = known.loads.clone();
    let gone = |(name, live): (&Name, &Arc<Instance>)| (name.clone(), (live.clone(), Reason::SourceGone));
    draft.leaving = known.leaving.iter().map(gone).collect();
    draft.next_rank = known.loads.values().map(|load| load.rank + 1).max().unwrap_or(0).max(draft.next_rank);
    draft.require(name, by.0, by.1, false)?;
    draft.close_over_requires()?;
    draft.rank_new();
    let fresh: Vec<Name> =
        draft.loads.keys().filter(|name| !known.loads.contains_key(*name)).cloned().collect();
    let mut fresh: Vec<(Name, Load)> =
        fresh.into_iter().filter_map(|name| draft.loads.remove_entry(&name)).collect();
    fresh.sort_by_key(|(_, load)| load.rank);
    Ok(fresh)
}

struct Draft<'a> {
    inputs: &'a Inputs,
    base: Generation,
    loads: BTreeMap<Name, Load>,
    leaving: BTreeMap<Name, (Arc<Instance>, Reason)>,
    queue: VecDeque<Name>,
    next_rank: u64,
}

impl<'a> Draft<'a> {
    fn new(inputs: &'a Inputs) -> Self {
        let world = &inputs.world;
        let next_rank = world.next_rank.load(std::sync::atomic::Ordering::Acquire);
        let base = world.gate.live();
        let (loads, leaving, queue) = Default::default();
        Self { inputs, base, loads, leaving, queue, next_rank }
    }

    fn live(&self, name: &Name) -> Option<Arc<Instance>> {
        self.inputs.world.instance_at(name, self.base)
    }

    /// Finds what changed: by hash, never by time.
    fn scan(&mut self) -> Result<(), Failure> {
        let scanned: Vec<Arc<Instance>> = match &self.inputs.options.changed {
            Some(names) if !self.inputs.options.force => {
                names.iter().filter_map(|name| self.live(name)).collect()
            }
            _ => self.inputs.world.live_all(),
        };
        for live in scanned {
            match self.read(&live.name)? {
                Found::Source(source)
                    if source.hash != live.source.hash || source.backend != live.source.backend =>
                {
                    self.load(source, Some(live), Reason::Changed)?;
                }
                Found::Source(_) if self.inputs.options.force => self.again(live, Reason::Forced),
                Found::Source(_) => {}
                Found::Missing { .. } => {
                    self.leaving.insert(live.name.clone(), (live, Reason::SourceGone));
                }
            }
        }
        for name in self.inputs.entries.iter().chain(&self.inputs.options.load) {
            if self.live(name).is_none() && !self.loads.contains_key(name) {
                self.entry(name)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, name: &Name) -> Result<(), Failure> {
        match self.read(name)? {
            Found::Source(source) => self.load(source, None, Reason::Entry),
            Found::Missing { searched } => {
                let by = "the app's entries".to_owned();
                Err(Failure::Missing { module: name.clone(), by, place: None, searched })
            }
        }
    }

    fn unregister(&mut self) -> Result<(), Failure> {
        for name in &self.inputs.options.remove {
            let live = self.live(name).ok_or_else(|| Failure::NoModule { module: name.clone() })?;
            let graph = self.inputs.world.graph.lock().unwrap();
            let staying = |name: &&Name| !self.inputs.options.remove.contains(*name);
            let dependents: Vec<Name> = graph.dependents(name).filter(staying).cloned().collect();
            drop(graph);
            if !dependents.is_empty() && !self.inputs.options.leave_dependents {
                return Err(Failure::InUse { module: name.clone(), dependents });
            }
            self.loads.remove(name);
            self.queue.retain(|queued| queued != name);
            self.leaving.insert(name.clone(), (live, Reason::Unregistered));
        }
        Ok(())
    }

    /// Takes in everything that depends, directly or not, on what changed.
    fn widen(&mut self) {
        for (name, dependency) in self.inputs.widened.clone() {
            if let Some(live) = self.live(&name) {
                self.again(live, Reason::NewEdge(dependency));
            }
        }
        let gone = self.leaving.iter().filter(|(_, (_, reason))| *reason == Reason::SourceGone);
        let seeds: Vec<Name> = self.loads.keys().chain(gone.map(|(name, _)| name)).cloned().collect();
        let affected = self.inputs.world.graph.lock().unwrap().affected(&seeds);
        for (name, through) in affected {
            if let Some(live) = self.live(&name).filter(|_| !self.leaving.contains_key(&name)) {
                self.again(live, Reason::DependsOn(through));
            }
        }
    }

    /// Reloads a live module from the source it has.
    fn again(&mut self, live: Arc<Instance>, reason: Reason) {
        let name = live.name.clone();
        let (source, compiled, rank) = (live.source.clone(), live.compiled.clone(), live.rank);
        let load = Load { source, compiled, live: Some(live), reason, rank };
        if let std::collections::btree_map::Entry::Vacant(entry) = self.loads.entry(name.clone()) {
            entry.insert(load);
            self.queue.push_back(name);
        }
    }

    fn load(&mut self, source: Source, live: Option<Arc<Instance>>, reason: Reason) -> Result<(), Failure> {
        let name = source.name.clone();
        let Some(backend) = self.inputs.backends.get(&source.backend) else {
            return Err(Failure::NoBackend { module: name, origin: source.origin, backend: source.backend });
        };
        let compiled =
            backend.compile(&source).map_err(|error| Failure::Load { module: name.clone(), error })?;
        let rank = live.as_ref().map_or(u64::MAX, |live| live.rank);
        self.loads.insert(name.clone(), Load { source: Arc::new(source), compiled, live, reason, rank });
        self.queue.push_back(name);
        Ok(())
    }

    /// Follows the requires of everything in the set, and reads what is new.
    fn close_over_requires(&mut self) -> Result<(), Failure> {
        while let Some(name) = self.queue.pop_front() {
            let requires = self.loads[&name].compiled.requires.clone();
            for require in requires {
                self.require(&require.name, &name, Some(require.place), require.deferred)?;
            }
        }
        Ok(())
    }

    fn require(
        &mut self,
        name: &Name,
        by: &Name,
        place: Option<Place>,
        deferred: bool,
    ) -> Result<(), Failure> {
        let leaving = self.leaving.contains_key(name);
        if self.loads.contains_key(name) || (!leaving && self.live(name).is_some()) {
            return Ok(());
        }
        let searched = match self.read(name)? {
            Found::Source(source) if !leaving => {
                return self.load(source, None, Reason::RequiredBy(by.clone()));
            }
            // Unregistered by force: its dependents keep what they hold.
            Found::Source(_) => return Ok(()),
            Found::Missing { searched } => searched,
        };
        if deferred {
            // It may never run; if it does, it fails there and then.
            return Ok(());
        }
        let by = place.as_ref().map_or(by.to_string(), |place| format!("{by} at {place}"));
        Err(Failure::Missing { module: name.clone(), by, place, searched })
    }

    fn read(&self, name: &Name) -> Result<Found, Failure> {
        (self.inputs.find)(name)
            .map_err(|error| Failure::Unreadable { module: name.clone(), reason: error.reason })
    }

    /// Lets go of what no entry reaches any more. Only where an edge or a module went away, so that a reload
    /// that removes nothing costs nothing here.
    fn retire(&mut self) {
        let lost_edge = |load: &Load| {
            let live = load.live.as_ref();
            live.is_some_and(|live| live.edges().keys().any(|to| !next_edges(load).contains_key(to)))
        };
        if self.leaving.is_empty() && !self.loads.values().any(lost_edge) {
            return;
        }
        let mut graph = self.inputs.world.graph.lock().unwrap().clone();
        for (name, load) in &self.loads {
            graph.replace(name, next_edges(load));
        }
        for name in self.leaving.keys() {
            graph.remove(name);
        }
        let kept = self.inputs.world.kept.lock().unwrap().clone();
        let roots = self.inputs.entries.iter().chain(&self.inputs.options.load).chain(&kept);
        let reachable = graph.reachable(roots);
        for live in self.inputs.world.live_all() {
            if !reachable.contains(&live.name) && !self.leaving.contains_key(&live.name) {
                self.loads.remove(&live.name);
                self.leaving.insert(live.name.clone(), (live, Reason::NotRequired));
            }
        }
    }

    fn finish(mut self) -> Result<Changes, Failure> {
        self.rank_new();
        let nodes = self.loads.iter().map(|(name, load)| {
            let after = load.compiled.requires.iter().filter(|require| !require.deferred);
            (
                name.clone(),
                Node { rank: load.rank, after: after.map(|require| require.name.clone()).collect() },
            )
        });
        let order = graph::order(&nodes.collect()).map_err(|path| Failure::Cycle { path })?;
        let plan = Plan {
            base: self.base,
            steps: self.steps(&order),
            unload: self.unload_order(),
            fingerprint: self.fingerprint(),
        };
        let leaving = self.leaving.into_iter().map(|(name, (instance, _))| (name, instance)).collect();
        Ok(Changes { plan, loads: self.loads, order, leaving })
    }

    fn steps(&self, order: &[Name]) -> Vec<Step> {
        let loads = order.iter().map(|name| {
            let load = &self.loads[name];
            let action = if load.live.is_some() { Action::Reload } else { Action::Load };
            let backend = load.source.backend.clone();
            Step { module: name.clone(), backend, action, reason: load.reason.clone() }
        });
        let leaving = self.leaving.iter().map(|(name, (instance, reason))| {
            let action = if *reason == Reason::NotRequired { Action::Retire } else { Action::Remove };
            let backend = instance.source.backend.clone();
            Step { module: name.clone(), backend, action, reason: reason.clone() }
        });
        loads.chain(leaving).collect()
    }

    fn fingerprint(&self) -> String {
        let mut text = format!("{}\n", self.base);
        for (name, load) in &self.loads {
            text.push_str(&format!("{name} {}\n", load.source.hash));
        }
        for name in self.leaving.keys() {
            text.push_str(&format!("{name} leaves\n"));
        }
        Hash::of(text.as_bytes()).to_string()
    }
}

/// What the next version requires, as far as is known before it runs: its constant requires, and those whose
/// name was not constant and which the live version has been seen to run.
pub(crate) fn next_edges(load: &Load) -> Edges {
    let mut edges: Edges = Edges::new();
    for require in &load.compiled.requires {
        let edge = Edge { place: Some(require.place.clone()), deferred: require.deferred, dynamic: false };
        let known = edges.entry(require.name.clone()).or_insert(edge);
        known.deferred &= require.deferred;
    }
    if let Some(live) = &load.live {
        for (name, edge) in live.edges().into_iter().filter(|(_, edge)| edge.dynamic) {
            edges.entry(name).or_insert(Edge { deferred: true, ..edge });
        }
    }
    edges
}
