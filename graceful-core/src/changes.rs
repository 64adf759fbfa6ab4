//! From what is live and what the sources say now to a plan: pure, touches nothing.

mod draft;
mod order;
mod parse;
mod scan;
mod versions;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use crate::backend::Backend;
use crate::error::Place;
use crate::failure::ReloadErrorKind;
use crate::generation::{Instance, World};
use crate::graph::{Edge, Edges};
use crate::module::Compiled;
use crate::plan::{Action, Plan, Reason, Step};
use crate::report::ReloadOptions;
use crate::source::{Found, Name, Source, SourceError};
use draft::Draft;
pub(crate) use order::unload_order;
pub(crate) use versions::{Way, way};

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
    /// The modules that are roles by name.
    pub(crate) roles: Vec<Name>,
    /// What roles of the live world depend on besides what their modules require.
    pub(crate) role_edges: BTreeMap<Name, Vec<Name>>,
    /// The modules that were live before roles were registered: a reload of roles leaves them.
    pub(crate) baseline: BTreeSet<Name>,
    /// An entry of the live world is one no more.
    pub(crate) lost_entry: bool,
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
    /// What it was staged as.
    pub(crate) staged: OnceLock<Arc<Instance>>,
}

impl Load {
    /// The live and the staged instance, if one backend has both.
    pub(crate) fn pair(&self) -> Option<(&Arc<Instance>, &Arc<Instance>)> {
        let (old, new) = (self.live.as_ref()?, self.staged.get()?);
        (old.source.backend == new.source.backend).then_some((old, new))
    }
}

/// What a reload is going to do: the plan, and everything that was read to make it.
pub(crate) struct Changes {
    pub(crate) plan: Plan,
    pub(crate) loads: BTreeMap<Name, Load>,
    /// In load order.
    pub(crate) order: Vec<Name>,
    /// The live instances that leave without a successor.
    pub(crate) leaving: BTreeMap<Name, Arc<Instance>>,
    /// What would have been loaded, had anybody required it.
    spare: BTreeMap<Name, Load>,
    /// What is wrong with modules that leave, or would be loaded if anybody required them.
    wrong: BTreeMap<Name, Failure>,
}

/// What [`Changes::keep`] did.
#[derive(Default)]
pub(crate) struct Kept {
    /// It stays as it is.
    pub(crate) stays: Vec<Name>,
    /// It is loaded.
    pub(crate) loaded: Vec<Name>,
}

impl Changes {
    /// The live modules that are replaced or leave.
    pub(crate) fn replaced(&self) -> BTreeSet<Name> {
        let reloaded = self.loads.iter().filter(|(_, load)| load.live.is_some()).map(|(name, _)| name);
        reloaded.chain(self.leaving.keys()).cloned().collect()
    }

    /// Keeps `module` after all, with everything it requires that was to go for want of a dependent: a staged
    /// top level asked for it. Returns what is part of the plan no more, and what is now.
    pub(crate) fn keep(&mut self, module: &Name) -> Result<Kept, Failure> {
        let mut kept = Kept::default();
        let mut stack = vec![module.clone()];
        while let Some(name) = stack.pop() {
            let retired = self.plan.step(&name).is_some_and(|step| step.action == Action::Retire);
            if let Some(wrong) = self.wrong.remove(&name) {
                return Err(wrong);
            }
            if let Some(load) = self.spare.remove(&name) {
                self.leaving.remove(&name);
                stack.extend(next_edges(&load).keys().cloned());
                self.take_in(&name, load);
                kept.loaded.push(name);
            } else if retired && let Some(live) = self.leaving.remove(&name) {
                self.plan.steps.retain(|step| step.module != name);
                self.plan.unload.retain(|left| *left != name);
                stack.extend(live.edges().keys().cloned());
                kept.stays.push(name);
            }
        }
        Ok(kept)
    }

    /// Takes a module in that nobody could foresee.
    pub(crate) fn take_in(&mut self, name: &Name, load: Load) {
        let action = if load.live.is_some() { Action::Reload } else { Action::Load };
        let live = load.live.as_ref().and_then(|live| live.version());
        let step = Step::new(name, &load.source.backend, action, &load.reason, live);
        self.plan.steps.retain(|step| step.module != *name);
        let leaves = |step: &Step| matches!(step.action, Action::Remove | Action::Retire);
        let at = self.plan.steps.iter().position(leaves).unwrap_or(self.plan.steps.len());
        self.plan.steps.insert(at, step);
        self.order.push(name.clone());
        self.loads.insert(name.clone(), load);
    }

    /// Whether `module` is part of it.
    pub(crate) fn contains(&self, module: &Name) -> bool {
        self.loads.contains_key(module) || self.leaving.contains_key(module)
    }

    /// Whether all of the world is reloaded or leaves.
    pub(crate) fn takes_all(&self, world: &World) -> bool {
        takes_all(world, self.loads.len() + self.leaving.len(), |name| self.contains(name))
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
    draft.retire()?;
    let changes = draft.finish()?;
    changes.check_ways(inputs.options.force)?;
    Ok(changes)
}

/// Reads `name` and all it requires that is not live, for a top level that asked for it by a name no one
/// could have foreseen. The new loads come dependencies first.
pub(crate) fn discover(
    inputs: &Inputs,
    known: &mut Changes,
    name: &Name,
    by: (&Name, Option<Place>),
) -> Result<Vec<(Name, Load)>, Failure> {
    let mut draft = Draft::new(inputs);
    let gone = |(name, live): (&Name, &Arc<Instance>)| (name.clone(), (live.clone(), Reason::SourceGone));
    draft.leaving = known.leaving.iter().map(gone).collect();
    draft.next_rank = known.loads.values().map(|load| load.rank + 1).max().unwrap_or(0).max(draft.next_rank);
    // Lent, not copied: a top level may ask for a thousand modules, one after the other.
    let before: BTreeSet<Name> = known.loads.keys().cloned().collect();
    draft.loads = std::mem::take(&mut known.loads);
    let found = draft.follow(name, by);
    known.loads = std::mem::take(&mut draft.loads);
    let fresh: Vec<Name> = known.loads.keys().filter(|name| !before.contains(*name)).cloned().collect();
    let mut fresh: Vec<(Name, Load)> =
        fresh.into_iter().filter_map(|name| known.loads.remove_entry(&name)).collect();
    found?;
    fresh.sort_by_key(|(_, load)| load.rank);
    Ok(fresh)
}

impl Draft<'_> {
    /// Takes in `name` and what it requires, and gives them their places.
    fn follow(&mut self, name: &Name, by: (&Name, Option<Place>)) -> Result<(), Failure> {
        self.require(name, by.0, by.1, false)?;
        self.close_over_requires()?;
        if !self.wrong.is_empty() {
            return Err(self.wrong.swap_remove(0).1);
        }
        self.rank_from([name.clone()].into());
        Ok(())
    }
}

/// Whether nothing is in the world but a set of so many modules. Looks at none where there must be others: that must
/// not be what a small reload costs.
pub(crate) fn takes_all(world: &World, size: usize, contains: impl Fn(&Name) -> bool) -> bool {
    let modules = world.modules.read().unwrap();
    modules.len() <= size && modules.keys().all(contains)
}

/// What the next version requires, as far as is known before it runs: its constant requires, and those whose
/// name was not constant and which the live version has been seen to run.
pub(crate) fn next_edges(load: &Load) -> Arc<Edges> {
    let live = load.live.as_ref().map(|live| (live, live.edges()));
    // The same text requires the same. What its top level was seen to ask for only orders the version that asked.
    if let Some((live, edges)) = &live
        && Arc::ptr_eq(&live.source, &load.source)
        && edges.values().all(|edge| edge.deferred || !edge.dynamic)
    {
        return edges.clone();
    }
    let mut edges: Edges = Edges::new();
    for require in load.compiled.requires.iter() {
        let edge = Edge { place: Some(require.place.clone()), deferred: require.deferred, dynamic: false };
        let known = edges.entry(require.name.clone()).or_insert(edge);
        known.deferred &= require.deferred;
    }
    for (name, edge) in live.iter().flat_map(|(_, seen)| seen.iter()).filter(|(_, edge)| edge.dynamic) {
        edges.entry(name.clone()).or_insert(Edge { deferred: true, ..edge.clone() });
    }
    Arc::new(edges)
}
