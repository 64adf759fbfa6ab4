//! Names that are looked up in no order.

use std::hash::{DefaultHasher, Hasher};

use crate::source::Name;

/// Names, each at its place. One is looked up by its hash: comparing texts that lie all over the memory is most of what a
/// search among many names takes.
#[derive(Default)]
pub(crate) struct Places<'a> {
    names: Vec<&'a Name>,
    /// The hash of each name and its place, by hash.
    by_hash: Vec<(u64, usize)>,
}

impl<'a> Places<'a> {
    pub(crate) fn of(names: impl IntoIterator<Item = &'a Name>) -> Self {
        let names: Vec<&Name> = names.into_iter().collect();
        let hashes = names.iter().enumerate().map(|(place, name)| (hash(name), place));
        let mut by_hash: Vec<(u64, usize)> = hashes.collect();
        by_hash.sort_unstable();
        Self { names, by_hash }
    }

    /// Where `name` is.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        let hash = hash(name);
        let first = self.by_hash.partition_point(|(other, _)| *other < hash);
        let same = self.by_hash[first..].iter().take_while(|(other, _)| *other == hash);
        same.map(|(_, place)| *place).find(|place| self.names[*place].as_str() == name)
    }

    pub(crate) fn at(&self, place: usize) -> &'a Name {
        self.names[place]
    }
}

/// The same in every run.
fn hash(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(name.as_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_where_it_is_and_nowhere_else() {
        let names: Vec<Name> = (0..1_000).map(|at| format!("m{at}").into()).collect();
        let places = Places::of(&names);
        assert!(names.iter().enumerate().all(|(at, name)| places.find(name) == Some(at)));
        assert_eq!((places.find("m1000"), places.find("")), (None, None));
        assert_eq!(Places::default().find("m1"), None);
    }
}
