//! Dependencies first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::places::Places;
use crate::source::Name;

/// Modules to be put in order: each has a rank among equals, and others that must come before it.
#[derive(Default)]
pub struct Order<'a> {
    names: Places<'a>,
    ranks: Vec<u64>,
    /// Who goes first, and who waits for it, as places.
    edges: Vec<(usize, usize)>,
}

impl<'a> Order<'a> {
    /// Of `nodes`, each with its rank: the order of the initial requires; the smaller goes first where dependencies leave a
    /// choice, and of two that are equal whichever came first here.
    pub fn of(nodes: impl IntoIterator<Item = (&'a Name, u64)>) -> Self {
        let (names, ranks): (Vec<&Name>, Vec<u64>) = nodes.into_iter().unzip();
        Self { names: Places::of(names), ranks, edges: Vec::new() }
    }

    /// What is at `place` comes after the module `before`. A name that is not in the set is ignored.
    pub fn after(&mut self, place: usize, before: &str) {
        self.edges.extend(self.names.find(before).map(|before| (before, place)));
    }

    /// The places in order. Without recursion, so depth costs no stack.
    ///
    /// # Errors
    /// The path of a cycle, its first module repeated at the end.
    pub fn places(mut self) -> Result<Vec<usize>, Vec<Name>> {
        self.edges.sort_unstable();
        let mut waits = vec![0_usize; self.ranks.len()];
        self.edges.iter().for_each(|(_, after)| waits[*after] += 1);
        let free = (0..waits.len()).filter(|place| waits[*place] == 0);
        let mut ready: BinaryHeap<_> = free.map(|place| Reverse((self.ranks[place], place))).collect();
        let mut ordered = Vec::with_capacity(waits.len());
        while let Some(Reverse((_, place))) = ready.pop() {
            ordered.push(place);
            let first = self.edges.partition_point(|(before, _)| *before < place);
            for (_, next) in self.edges[first..].iter().take_while(|(before, _)| *before == place) {
                waits[*next] -= 1;
                if waits[*next] == 0 {
                    ready.push(Reverse((self.ranks[*next], *next)));
                }
            }
        }
        if ordered.len() == waits.len() { Ok(ordered) } else { Err(self.cycle(&waits)) }
    }

    /// Whoever waits waits for somebody who waits, so following one dependency each must close a cycle.
    fn cycle(&self, waits: &[usize]) -> Vec<Name> {
        let waiting = |place: usize| waits[place] > 0;
        let mut before = vec![None; waits.len()];
        for (first, after) in self.edges.iter().filter(|(first, _)| waiting(*first)) {
            before[*after].get_or_insert(*first);
        }
        let mut last = (0..waits.len()).find(|place| waiting(*place)).expect("what is not in order waits");
        let (mut path, mut at) = (Vec::new(), vec![None; waits.len()]);
        while at[last].is_none() {
            at[last] = Some(path.len());
            path.push(last);
            last = before[last].expect("who waits waits for somebody who waits");
        }
        path.push(last);
        let begin = at[last].unwrap_or_default();
        path[begin..].iter().map(|place| self.names.at(*place).clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn ordered(edges: &[(&str, &[&str])]) -> Result<Vec<String>, Vec<String>> {
        let ranks = edges.iter().zip(0..).map(|((name, after), rank)| (Name::from(*name), (rank, *after)));
        let nodes: BTreeMap<Name, _> = ranks.collect();
        let names: Vec<Name> = nodes.keys().cloned().collect();
        let mut order = Order::of(nodes.iter().map(|(name, (rank, _))| (name, *rank)));
        for (place, (_, after)) in nodes.values().enumerate() {
            after.iter().for_each(|before| order.after(place, before));
        }
        let told = |name: &Name| name.to_string();
        match order.places() {
            Ok(places) => Ok(places.into_iter().map(|place| told(&names[place])).collect()),
            Err(path) => Err(path.iter().map(told).collect()),
        }
    }

    fn texts(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn order_is_rank_corrected_by_dependencies() {
        let given: &[(&str, &[&str])] =
            &[("web", &["db", "log"]), ("log", &[]), ("db", &["log", "log"]), ("z", &["gone"])];
        assert_eq!(ordered(given), Ok(texts(&["log", "db", "web", "z"])));
    }

    #[test]
    fn a_cycle_is_told_with_its_whole_path() {
        assert_eq!(ordered(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"])]), Err(texts(&["b", "c", "b"])));
        assert_eq!(ordered(&[("a", &["a"])]), Err(texts(&["a", "a"])));
        let two: &[(&str, &[&str])] = &[("a", &["d", "c"]), ("b", &[]), ("c", &["a", "b"]), ("d", &["b"])];
        assert_eq!(ordered(two), Err(texts(&["a", "c", "a"])));
    }
}
