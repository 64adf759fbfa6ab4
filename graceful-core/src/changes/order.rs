//! The order of a plan: the place of new modules, and the order in which old ones go.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::draft::Draft;
use crate::generation::Instance;
use crate::graph::Order;
use crate::source::Name;

impl Draft<'_> {
    /// Gives new modules their place: the order in which the requires would first reach their end.
    pub(super) fn rank_new(&mut self) {
        // Where nothing is new, all have their places.
        if self.loads.values().all(|load| load.rank != u64::MAX) {
            return;
        }
        let mut roots: VecDeque<Name> = self.inputs.entries.iter().cloned().collect();
        let mut rest: Vec<(u64, Name)> =
            self.loads.iter().map(|(name, load)| (load.rank, name.clone())).collect();
        rest.sort();
        roots.extend(rest.into_iter().map(|(_, name)| name));
        self.rank_from(roots);
    }

    /// The same for what can be reached from `roots` and has no place yet.
    pub(super) fn rank_from(&mut self, mut roots: VecDeque<Name>) {
        let mut seen = BTreeSet::new();
        while let Some(root) = roots.pop_front() {
            let mut stack = vec![(root, 0)];
            while let Some((name, child)) = stack.pop() {
                let Some(load) = self.loads.get(&name) else {
                    continue;
                };
                if child == 0 && !seen.insert(name.clone()) {
                    continue;
                }
                match load.compiled.requires.get(child) {
                    Some(require) => {
                        let next = require.name.clone();
                        let deferred = require.deferred;
                        stack.push((name, child + 1));
                        if deferred {
                            roots.push_back(next);
                        } else if !seen.contains(&next) {
                            stack.push((next, 0));
                        }
                    }
                    None => self.settle_rank(&name),
                }
            }
        }
    }

    fn settle_rank(&mut self, name: &Name) {
        let load = self.loads.get_mut(name).expect("only modules of the set are ranked");
        if load.rank == u64::MAX {
            load.rank = self.next_rank;
            self.next_rank += 1;
        }
    }

    /// Dependents first, by what the live code required.
    pub(super) fn unload_order(&self) -> Vec<Name> {
        let reloaded = self.loads.values().filter_map(|load| load.live.as_ref());
        unload_order(reloaded.chain(self.leaving.values().map(|(instance, _)| instance)))
    }
}

/// The order in which `live` modules go: dependents first.
pub(crate) fn unload_order<'a>(live: impl Iterator<Item = &'a Arc<Instance>>) -> Vec<Name> {
    let live: Vec<&Arc<Instance>> = live.collect();
    let mut order = Order::of(live.iter().map(|instance| (&instance.name, instance.rank)));
    for (place, instance) in live.iter().enumerate() {
        let edges = instance.edges.lock().unwrap();
        let before = edges.iter().filter(|(_, edge)| !edge.deferred);
        before.for_each(|(name, _)| order.after(place, name));
    }
    let mut places = order.places().unwrap_or_else(|_| {
        let mut by_rank: Vec<usize> = (0..live.len()).collect();
        by_rank.sort_by_key(|place| live[*place].rank);
        by_rank
    });
    places.reverse();
    places.into_iter().map(|place| live[place].name.clone()).collect()
}
