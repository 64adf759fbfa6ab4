//! A plan while it is being made: what changed, what that takes in, what it lets go of.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, OnceLock};

use super::parse::Unparsed;
use super::{Changes, Failure, Inputs, Load, next_edges, takes_all};
use crate::error::Place;
use crate::gate::Generation;
use crate::generation::Instance;
use crate::graph::{Order, Places};
use crate::module::Require;
use crate::plan::{Action, Plan, Reason, Step};
use crate::source::{Found, Hash, Name};

/// So many modules whose requires are followed are few.
const FEW: usize = 64;

pub(super) struct Draft<'a> {
    pub(super) inputs: &'a Inputs,
    pub(super) base: Generation,
    pub(super) loads: BTreeMap<Name, Load>,
    pub(super) leaving: BTreeMap<Name, (Arc<Instance>, Reason)>,
    pub(super) queue: VecDeque<Name>,
    /// What was read and is parsed together with what else is read meanwhile.
    pub(super) unparsed: Vec<Unparsed>,
    pub(super) awaited: BTreeSet<Name>,
    pub(super) next_rank: u64,
    /// What is wrong with which module: fatal if that one is going to be live.
    pub(super) wrong: Vec<(Name, Failure)>,
    /// What would have been loaded, had anybody required it.
    pub(super) spare: BTreeMap<Name, Load>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(inputs: &'a Inputs) -> Self {
        let world = &inputs.world;
        let next_rank = world.next_rank.load(std::sync::atomic::Ordering::Acquire);
        let base = world.gate.live();
        let (loads, leaving, queue, unparsed, awaited, wrong, spare) = Default::default();
        Self { inputs, base, loads, leaving, queue, unparsed, awaited, next_rank, wrong, spare }
    }

    pub(super) fn live(&self, name: &Name) -> Option<Arc<Instance>> {
        self.inputs.world.instance_at(name, self.base)
    }

    pub(super) fn unregister(&mut self) -> Result<(), Failure> {
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
    pub(super) fn widen(&mut self) {
        for (name, dependency) in self.inputs.widened.clone() {
            if let Some(live) = self.live(&name) {
                self.again(live, Reason::NewEdge(dependency));
            }
        }
        if self.takes_all() {
            return;
        }
        let gone = self.leaving.iter().filter(|(_, (_, reason))| *reason == Reason::SourceGone);
        let seeds: BTreeSet<Name> = self.loads.keys().chain(gone.map(|(name, _)| name)).cloned().collect();
        let affected = self.inputs.world.graph.lock().unwrap().affected(&seeds);
        for (name, through) in affected {
            if let Some(live) = self.live(&name).filter(|_| !self.leaving.contains_key(&name)) {
                self.again(live, Reason::DependsOn(through));
            }
        }
    }

    /// Whether everything that is live is in the set or leaves: then nothing is left to take in.
    fn takes_all(&self) -> bool {
        let contains = |name: &Name| self.loads.contains_key(name) || self.leaving.contains_key(name);
        takes_all(&self.inputs.world, self.loads.len() + self.leaving.len(), contains)
    }

    /// Reloads a live module from the source it has.
    pub(super) fn again(&mut self, live: Arc<Instance>, reason: Reason) {
        let name = live.name.clone();
        let (source, compiled, rank) = (live.source.clone(), live.compiled.clone(), live.rank);
        let load = Load { source, compiled, live: Some(live), reason, rank, staged: OnceLock::new() };
        if let Entry::Vacant(entry) = self.loads.entry(name.clone()) {
            entry.insert(load);
            self.queue.push_back(name);
        }
    }

    /// Follows the requires of everything in the set, and reads what is new.
    pub(super) fn close_over_requires(&mut self) -> Result<(), Failure> {
        loop {
            self.parse();
            if self.queue.is_empty() {
                return Ok(());
            }
            for (by, require) in self.unknown() {
                self.require(&require.name, &by, Some(require.place), require.deferred)?;
            }
        }
    }

    /// Takes what is queued, and says what it requires that is not in the set.
    fn unknown(&mut self) -> Vec<(Name, Require)> {
        let queue = std::mem::take(&mut self.queue);
        // Where few are queued, they are not worth an index of the set.
        let set = if queue.len() > FEW { Places::of(self.loads.keys()) } else { Places::default() };
        let is_known = |name: &Name| set.find(name).is_some() || self.is_loaded(name);
        let mut unknown = Vec::new();
        for by in queue {
            let requires = self.loads[&by].compiled.requires.iter();
            let new = requires.filter(|require| !is_known(&require.name));
            unknown.extend(new.map(|require| (by.clone(), require.clone())));
        }
        unknown
    }

    pub(super) fn require(
        &mut self,
        name: &Name,
        by: &Name,
        place: Option<Place>,
        deferred: bool,
    ) -> Result<(), Failure> {
        let leaving = self.leaving.contains_key(name);
        if self.is_loaded(name) || (!leaving && self.live(name).is_some()) {
            return Ok(());
        }
        let searched = match self.read(name)? {
            Found::Source(source) if !leaving => {
                self.load(source, None, Reason::RequiredBy(by.clone()));
                return Ok(());
            }
            // Unregistered by force: its dependents keep what they hold.
            Found::Source(_) => return Ok(()),
            Found::Missing { searched } => searched,
        };
        if deferred {
            // It may never run; if it does, it fails there and then.
            return Ok(());
        }
        let who = place.as_ref().map_or(by.to_string(), |place| format!("{by} at {place}"));
        self.wrong.push((by.clone(), Failure::Missing { module: name.clone(), by: who, place, searched }));
        Ok(())
    }

    pub(super) fn read(&self, name: &Name) -> Result<Found, Failure> {
        (self.inputs.find)(name)
            .map_err(|error| Failure::Unreadable { module: name.clone(), reason: error.reason })
    }

    /// Lets go of what no entry reaches any more, wrong or not. Only where an edge, an entry or a module went
    /// away, so that a reload that removes nothing costs nothing here.
    pub(super) fn retire(&mut self) -> Result<(), Failure> {
        let lost_edge = |load: &Load| {
            // What the same text requires it required before.
            let live = load.live.as_ref().filter(|live| !Arc::ptr_eq(&live.source, &load.source));
            let Some(live) = live else { return false };
            let next = next_edges(load);
            live.edges.lock().unwrap().keys().any(|to| !next.contains_key(to))
        };
        let nothing_went = self.leaving.is_empty() && self.wrong.is_empty() && !self.inputs.lost_entry;
        if nothing_went && !self.loads.values().any(lost_edge) {
            return Ok(());
        }
        let mut graph = self.inputs.world.graph.lock().unwrap().clone();
        for (name, load) in &self.loads {
            graph.replace(name, next_edges(load));
        }
        for (name, modules) in &self.inputs.role_edges {
            // Until it is staged a role is taken to depend on what it did.
            graph.add_role(name, modules);
        }
        for name in self.leaving.keys() {
            graph.remove(name);
        }
        let kept = self.inputs.world.kept.lock().unwrap().clone();
        let roots = self.inputs.entries.iter().chain(&self.inputs.options.load).chain(&kept);
        let roots = roots.chain(&self.inputs.roles);
        let reachable = graph.reachable(roots);
        for live in self.inputs.world.live_all() {
            if !reachable.contains(&live.name) && !self.leaving.contains_key(&live.name) {
                self.leaving.insert(live.name.clone(), (live, Reason::NotRequired));
            }
        }
        if let Some(at) = self.wrong.iter().position(|(name, _)| reachable.contains(name)) {
            return Err(self.wrong.swap_remove(at).1);
        }
        let loads = std::mem::take(&mut self.loads).into_iter();
        (self.loads, self.spare) = loads.partition(|(name, _)| reachable.contains(name));
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<Changes, Failure> {
        self.rank_new();
        let mut order = Order::of(self.loads.iter().map(|(name, load)| (name, load.rank)));
        for (place, load) in self.loads.values().enumerate() {
            let before = load.compiled.requires.iter().filter(|require| !require.deferred);
            before.for_each(|require| order.after(place, &require.name));
        }
        let places = order.places().map_err(|path| Failure::Cycle { path })?;
        let loads: Vec<(&Name, &Load)> = self.loads.iter().collect();
        let ordered: Vec<(&Name, &Load)> = places.into_iter().map(|place| loads[place]).collect();
        let order = ordered.iter().map(|(name, _)| (*name).clone()).collect();
        let plan = Plan {
            base: self.base,
            steps: self.steps(&ordered),
            unload: self.unload_order(),
            fingerprint: self.fingerprint(),
        };
        let leaving = self.leaving.into_iter().map(|(name, (instance, _))| (name, instance)).collect();
        let (loads, spare, wrong) = (self.loads, self.spare, self.wrong.into_iter().collect());
        Ok(Changes { plan, loads, order, leaving, spare, wrong })
    }

    fn steps(&self, ordered: &[(&Name, &Load)]) -> Vec<Step> {
        let loads = ordered.iter().map(|(name, load)| {
            let action = if load.live.is_some() { Action::Reload } else { Action::Load };
            let live = load.live.as_ref().and_then(|live| live.version());
            Step::new(name, &load.source.backend, action, &load.reason, live)
        });
        let leaving = self.leaving.iter().map(|(name, (instance, reason))| {
            let action = if *reason == Reason::NotRequired { Action::Retire } else { Action::Remove };
            Step::new(name, &instance.source.backend, action, reason, instance.version())
        });
        loads.chain(leaving).collect()
    }

    fn fingerprint(&self) -> String {
        let mut told = self.base.0.to_le_bytes().to_vec();
        let mut tell = |name: &Name, what: &[u8]| {
            told.extend_from_slice(name.as_bytes());
            // No name has it in it, so nothing reads like something else.
            told.push(0);
            told.extend_from_slice(what);
        };
        self.loads.iter().for_each(|(name, load)| tell(name, load.source.hash.as_bytes()));
        self.leaving.keys().for_each(|name| tell(name, b"leaves"));
        Hash::of(&told).to_string()
    }
}
