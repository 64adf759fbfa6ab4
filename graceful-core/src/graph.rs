//! Who requires whom: order, affected set, cycle path. Pure; knows names only.

mod order;
mod places;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::error::Place;
use crate::planted::{Bug, is_planted};
use crate::source::Name;
pub use order::Order;
pub(crate) use places::Places;

/// One require of a module: where it stands, and whether it runs while the module loads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    /// Where the require stands.
    pub place: Option<Place>,
    /// It stands inside a function (Lua's own way out of cycles): it widens the reload set and does not order.
    pub deferred: bool,
    /// Its name was not constant: it was seen when it ran. It is carried over to the next version, which may
    /// run it too.
    pub dynamic: bool,
}

/// The requires of one module, by the required module's name.
pub type Edges = BTreeMap<Name, Edge>;

/// The graph of the live modules, kept up to date edge by edge.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    requires: BTreeMap<Name, Arc<Edges>>,
    dependents: BTreeMap<Name, BTreeSet<Name>>,
}

impl Graph {
    /// Adds one edge; keeps an edge that is there, except that a load-time one replaces a deferred one.
    pub fn add(&mut self, from: &Name, to: &Name, edge: Edge) {
        let edges = Arc::make_mut(self.requires.entry(from.clone()).or_default());
        let known = edges.entry(to.clone()).or_insert_with(|| edge.clone());
        known.deferred &= edge.deferred;
        self.dependents.entry(to.clone()).or_default().insert(from.clone());
    }

    /// Adds what the role in module `from` depends on. Nothing of it is required while it loads.
    pub(crate) fn add_role(&mut self, from: &Name, modules: &[Name]) {
        let edge = Edge { place: None, deferred: true, dynamic: false };
        modules.iter().for_each(|module| self.add(from, module, edge.clone()));
    }

    /// Replaces everything `from` requires.
    pub fn replace(&mut self, from: &Name, edges: Arc<Edges>) {
        // Most edits leave the requires as they are, and those who are required with them.
        if let Some(known) = self.requires.get_mut(from).filter(|known| known.keys().eq(edges.keys())) {
            *known = edges;
            return;
        }
        self.remove(from);
        for to in edges.keys() {
            self.dependents.entry(to.clone()).or_default().insert(from.clone());
        }
        self.requires.insert(from.clone(), edges);
    }

    /// Forgets what `from` requires; edges to it stay.
    pub fn remove(&mut self, from: &Name) {
        for to in self.requires.remove(from).iter().flat_map(|edges| edges.keys()) {
            let empty = self.dependents.get_mut(to).is_some_and(|set| {
                set.remove(from);
                set.is_empty()
            });
            if empty {
                self.dependents.remove(to);
            }
        }
    }

    /// What `from` requires.
    pub fn requires(&self, from: &str) -> impl Iterator<Item = (&Name, &Edge)> {
        self.requires.get(from).into_iter().flat_map(|edges| edges.iter())
    }

    /// Who requires `to`, directly.
    pub fn dependents(&self, to: &str) -> impl Iterator<Item = &Name> {
        self.dependents.get(to).into_iter().flatten()
    }

    /// Every module that is required, there or not, each with one that requires it.
    pub fn required(&self) -> impl Iterator<Item = (&Name, &Name)> {
        self.dependents.iter().filter_map(|(to, by)| Some((to, by.first()?)))
    }

    /// Everything that reaches one of `seeds`, each with the dependency through which it was reached first.
    /// The seeds themselves are not in the answer.
    pub fn affected(&self, seeds: &BTreeSet<Name>) -> BTreeMap<Name, Name> {
        let mut queue: VecDeque<&Name> = seeds.iter().collect();
        let mut reached = BTreeMap::new();
        while let Some(name) = queue.pop_front() {
            for dependent in self.dependents(name) {
                if !seeds.contains(dependent) && !reached.contains_key(dependent) {
                    reached.insert(dependent.clone(), name.clone());
                    if !is_planted(Bug::ShallowDependents) {
                        queue.push_back(dependent);
                    }
                }
            }
        }
        reached
    }

    /// Everything that one of `roots` requires, directly or not, the roots included.
    pub fn reachable<'a>(&self, roots: impl IntoIterator<Item = &'a Name>) -> BTreeSet<Name> {
        let mut stack: Vec<Name> = roots.into_iter().cloned().collect();
        let mut seen = BTreeSet::new();
        while let Some(name) = stack.pop() {
            if seen.insert(name.clone()) {
                stack.extend(self.requires(&name).map(|(to, _)| to.clone()));
            }
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn affected_is_transitive_and_names_the_way() {
        let mut graph = Graph::default();
        graph.add(&"b".into(), &"a".into(), Edge::default());
        graph.add(&"c".into(), &"b".into(), Edge::default());
        graph.add(&"d".into(), &"x".into(), Edge::default());
        let affected = graph.affected(&["a".into()].into());
        assert_eq!(affected, BTreeMap::from([("b".into(), "a".into()), ("c".into(), "b".into())]));
        graph.replace(&"b".into(), Arc::default());
        assert!(graph.affected(&["a".into()].into()).is_empty());
    }
}
