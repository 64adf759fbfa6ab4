//! Migrations: the steps between versions that modules declare for their state, and the shortest chain of them.
//!
//! A *form* is what the state of a version looks like. It changes where a step is declared and nowhere else:
//! 1.2.3 has the form of 1.2.0 if that is the last version of its major number that a step leads to or from.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::source::Name;
use crate::version::Version;

/// One declared step: it takes a state of version `from` to the form of the higher version `to`, or back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Migration {
    /// The lower version.
    pub from: Version,
    /// The higher version.
    pub to: Version,
    /// There is a function that goes from `from` to `to`.
    pub up: bool,
    /// There is one that goes back.
    pub down: bool,
    /// Going up and back down does not give what was there before, and need not.
    pub lossy: bool,
}

impl Migration {
    fn has(&self, step: &MigrationStep) -> bool {
        let up = self.up && self.from == step.from && self.to == step.to;
        up || (self.down && self.to == step.from && self.from == step.to)
    }
}

impl fmt::Display for Migration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ways = match (self.up, self.down) {
            (true, true) => "up and down",
            (true, false) => "up only",
            _ => "down only",
        };
        write!(f, "{} -> {} ({ways})", self.from, self.to)
    }
}

/// A step that cannot be declared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MigrationError {
    /// It does not lead from a lower version to a higher one.
    #[error(
        "a step leads from a lower version to a higher one, got {from} -> {to}; the way back is its `down`"
    )]
    NotUp {
        /// Its `from`.
        from: Version,
        /// Its `to`.
        to: Version,
    },
    /// The same step again.
    #[error("the step {from} -> {to} is declared twice")]
    Twice {
        /// Its `from`.
        from: Version,
        /// Its `to`.
        to: Version,
    },
    /// It does nothing.
    #[error("the step {from} -> {to} has neither `up` nor `down`")]
    Empty {
        /// Its `from`.
        from: Version,
        /// Its `to`.
        to: Version,
    },
}

/// The steps that a module declares, by their versions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Migrations(Vec<Migration>);

/// One step of a chain, in the direction it is taken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct MigrationStep {
    /// The version that the state has.
    pub from: Version,
    /// The version that it gets.
    pub to: Version,
}

impl MigrationStep {
    /// Whether `up` takes it; else `down` does.
    pub fn is_up(&self) -> bool {
        self.from < self.to
    }

    /// The same step the other way.
    pub fn back(&self) -> Self {
        Self { from: self.to.clone(), to: self.from.clone() }
    }

    /// The lower of its two versions, and the higher: what names the step where it is declared.
    pub fn declared(&self) -> (&Version, &Version) {
        if self.is_up() { (&self.from, &self.to) } else { (&self.to, &self.from) }
    }
}

impl fmt::Display for MigrationStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.from, self.to)
    }
}

/// What one step of a running migration is told.
#[derive(Clone, Debug)]
pub struct MigrationCx {
    /// The module whose state it is.
    pub module: Name,
    /// Which step, in which direction.
    pub step: MigrationStep,
    /// How long it may run. Past it the future is dropped; code that spins must be stopped by its backend.
    pub budget: Duration,
}

impl Migrations {
    /// The steps, checked.
    ///
    /// # Errors
    /// One of them cannot be declared, or not beside the others.
    pub fn new(steps: impl IntoIterator<Item = Migration>) -> Result<Self, MigrationError> {
        let mut known: BTreeMap<(Version, Version), Migration> = BTreeMap::new();
        for step in steps {
            let (from, to) = (step.from.clone(), step.to.clone());
            if from >= to {
                return Err(MigrationError::NotUp { from, to });
            }
            if !step.up && !step.down {
                return Err(MigrationError::Empty { from, to });
            }
            if known.insert((from.clone(), to.clone()), step).is_some() {
                return Err(MigrationError::Twice { from, to });
            }
        }
        Ok(Self(known.into_values().collect()))
    }

    /// The steps, by their versions.
    pub fn steps(&self) -> &[Migration] {
        &self.0
    }

    /// Whether none is declared.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is a function for `step`.
    pub fn has(&self, step: &MigrationStep) -> bool {
        self.0.iter().any(|declared| declared.has(step))
    }

    /// Whether `step` is declared as one that loses something.
    pub fn is_lossy(&self, step: &MigrationStep) -> bool {
        let (from, to) = step.declared();
        self.0.iter().any(|declared| declared.lossy && declared.from == *from && declared.to == *to)
    }

    /// These steps and those of `other`: a step that both declare goes in every direction that one of them has.
    pub fn and(&self, other: &Migrations) -> Migrations {
        let mut all: BTreeMap<(Version, Version), Migration> = BTreeMap::new();
        for step in self.0.iter().chain(&other.0) {
            let known = all.entry((step.from.clone(), step.to.clone())).or_insert_with(|| step.clone());
            known.up |= step.up;
            known.down |= step.down;
            known.lossy |= step.lossy;
        }
        Migrations(all.into_values().collect())
    }

    /// The version whose form the state of `version` has: the last one up to it, with the same major number,
    /// that a step leads to or from; `version` itself if there is none.
    pub fn form(&self, version: &Version) -> Version {
        let named = self.0.iter().flat_map(|step| [&step.from, &step.to]);
        let before = named.filter(|named| named.major() == version.major() && *named <= version);
        before.max().unwrap_or(version).clone()
    }

    /// The shortest chain of steps between the forms of two versions, only up or only down; of several the
    /// one that comes first by its versions. Empty if the form is the same; `None` if there is no way.
    pub fn chain(&self, from: &Version, to: &Version) -> Option<Vec<MigrationStep>> {
        let (start, goal) = (self.form(from), self.form(to));
        let up = from <= to;
        let mut came: BTreeMap<Version, Version> = BTreeMap::new();
        let mut queue = VecDeque::from([start.clone()]);
        while let Some(version) = queue.pop_front().filter(|version| *version != goal) {
            for next in self.next(&version, up) {
                if next != start && !came.contains_key(&next) {
                    came.insert(next.clone(), version.clone());
                    queue.push_back(next);
                }
            }
        }
        let mut chain = Vec::new();
        let mut to = goal;
        while to != start {
            let from = came.get(&to)?.clone();
            chain.push(MigrationStep { from: from.clone(), to });
            to = from;
        }
        chain.reverse();
        Some(chain)
    }

    /// Where one step leads from `version`, lowest first.
    fn next(&self, version: &Version, up: bool) -> BTreeSet<Version> {
        let ups = self.0.iter().filter(|step| up && step.up && step.from == *version).map(|step| &step.to);
        let downs =
            self.0.iter().filter(|step| !up && step.down && step.to == *version).map(|step| &step.from);
        ups.chain(downs).cloned().collect()
    }
}

impl fmt::Display for Migrations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&steps.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    /// Steps as text: `a > b` goes up only, `a < b` down only, `a = b` both ways.
    fn declare(steps: &[&str]) -> Result<Migrations, MigrationError> {
        Migrations::new(steps.iter().map(|text| {
            let at = text.find(['<', '>', '=']).unwrap();
            let way = &text[at..=at];
            let (from, to) = (version(text[..at].trim()), version(text[at + 1..].trim()));
            Migration { from, to, up: way != "<", down: way != ">", lossy: false }
        }))
    }

    fn chain(steps: &[&str], from: &str, to: &str) -> Option<String> {
        let steps = declare(steps).unwrap().chain(&version(from), &version(to))?;
        Some(steps.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
    }

    #[test]
    fn ver_02_the_chain_is_the_shortest_one() {
        let all = ["1.0.0 > 1.1.0", "1.1.0 > 2.0.0", "1.0.0 > 1.2.0", "2.0.0 > 3.0.0", "1.1.0 > 3.0.0"];
        assert_eq!(chain(&all, "1.0.0", "3.0.0").as_deref(), Some("1.0.0 -> 1.1.0, 1.1.0 -> 3.0.0"));
        assert_eq!(chain(&all, "1.0.0", "2.0.0").as_deref(), Some("1.0.0 -> 1.1.0, 1.1.0 -> 2.0.0"));
        assert_eq!(chain(&all, "1.2.0", "3.0.0"), None);
    }

    #[test]
    fn ver_02_of_two_shortest_chains_the_first_by_version_is_taken() {
        let two = ["1.10.0 > 2.0.0", "1.0.0 > 1.10.0", "1.9.0 > 2.0.0", "1.0.0 > 1.9.0"];
        let mut turned = two;
        turned.reverse();
        for steps in [two, turned] {
            let found = chain(&steps, "1.0.0", "2.0.0");
            assert_eq!(found.as_deref(), Some("1.0.0 -> 1.9.0, 1.9.0 -> 2.0.0"));
        }
    }

    #[test]
    fn ver_02_a_version_has_the_form_of_the_last_one_that_a_step_names() {
        let steps = ["1.0.0 = 1.1.0", "1.1.0 = 2.0.0"];
        assert_eq!(chain(&steps, "1.1.7", "2.3.0").as_deref(), Some("1.1.0 -> 2.0.0"));
        assert_eq!(chain(&steps, "1.0.9", "2.0.0").as_deref(), Some("1.0.0 -> 1.1.0, 1.1.0 -> 2.0.0"));
        assert_eq!(chain(&steps, "2.0.0", "2.9.0").as_deref(), Some(""), "nothing is named between them");
        assert_eq!(chain(&steps, "2.3.0", "1.1.7").as_deref(), Some("2.0.0 -> 1.1.0"));
        assert_eq!(
            chain(&steps, "2.0.0-rc.1", "2.0.0"),
            None,
            "before the first of its major: a form of its own"
        );
    }

    #[test]
    fn ver_04_down_goes_by_down_only_and_never_up_first() {
        let steps = ["1.0.0 > 2.0.0", "2.0.0 = 3.0.0", "1.0.0 < 4.0.0"];
        assert_eq!(chain(&steps, "3.0.0", "2.0.0").as_deref(), Some("3.0.0 -> 2.0.0"));
        assert_eq!(chain(&steps, "3.0.0", "1.0.0"), None);
        assert_eq!(chain(&steps, "4.0.0", "1.0.0").as_deref(), Some("4.0.0 -> 1.0.0"));
        assert_eq!(chain(&steps, "1.0.0", "4.0.0"), None);
    }

    #[test]
    fn ver_03_without_a_way_there_is_none() {
        assert_eq!(chain(&["1.0.0 > 2.0.0"], "1.0.0", "3.0.0"), None);
        assert_eq!(
            chain(&["1.5.0 > 2.0.0"], "1.0.0", "2.0.0"),
            None,
            "1.0.0 may have another form than 1.5.0"
        );
        assert_eq!(chain(&[], "1.0.0", "2.0.0"), None);
        assert_eq!(chain(&[], "1.0.0", "1.0.0").as_deref(), Some(""));
    }

    #[test]
    fn what_cannot_be_declared_is_told() {
        let told = |steps: &[&str]| declare(steps).unwrap_err().to_string();
        assert!(told(&["2.0.0 > 1.0.0"]).contains("got 2.0.0 -> 1.0.0"));
        assert!(told(&["1.0.0 > 1.0.0"]).contains("got 1.0.0 -> 1.0.0"));
        assert_eq!(told(&["1.0.0 > 2.0.0", "1.0.0 < 2.0.0"]), "the step 1.0.0 -> 2.0.0 is declared twice");
        let step =
            Migration { from: version("1.0.0"), to: version("2.0.0"), up: false, down: false, lossy: false };
        let empty = Migrations::new([step]).unwrap_err().to_string();
        assert_eq!(empty, "the step 1.0.0 -> 2.0.0 has neither `up` nor `down`");
    }

    #[test]
    fn the_steps_of_two_versions_of_a_module_go_together() {
        let (old, new) = (declare(&["1.0.0 < 2.0.0"]).unwrap(), declare(&["1.0.0 > 2.0.0"]).unwrap());
        let both = new.and(&old);
        assert_eq!(both.to_string(), "1.0.0 -> 2.0.0 (up and down)");
        assert!(both.chain(&version("2.0.0"), &version("1.0.0")).is_some());
        let step = MigrationStep { from: version("2.0.0"), to: version("1.0.0") };
        assert!(old.has(&step) && !new.has(&step) && new.has(&step.back()));
    }
}
