//! What came of a sweep.

use std::fmt;

use crate::faults::{Passed, Way};

/// Something that did not hold.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The step that failed.
    pub at: Passed,
    /// How.
    pub way: Way,
    /// The step of the undo that failed as well, counted from the first one of the reload, and how.
    pub undo: Option<(usize, Way)>,
    /// What did not hold.
    pub what: String,
    /// What happened.
    pub trace: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {}", self.way, self.at)?;
        if let Some((at, way)) = self.undo {
            write!(f, ", and {way:?} at step {at} of the undo")?;
        }
        write!(f, ": {}\n{}", self.what, self.trace)
    }
}

/// What came of a sweep, or of several.
#[derive(Clone, Debug, Default)]
pub struct Swept {
    /// How many steps the reload has.
    pub steps: u64,
    /// How many faults were played.
    pub faults: u64,
    /// In how many of these a step of the undo failed as well.
    pub undo: u64,
    /// How many ended stuck, as they must.
    pub stuck: u64,
    /// What did not hold.
    pub violations: Vec<Violation>,
}

impl Swept {
    /// Adds what came of another one.
    pub fn add(&mut self, other: Swept) {
        self.steps += other.steps;
        self.faults += other.faults;
        self.undo += other.undo;
        self.stuck += other.stuck;
        self.violations.extend(other.violations);
    }

    /// Everything held.
    ///
    /// # Panics
    /// If not, with the first thing that did not.
    pub fn assert(&self) {
        let all = self.violations.len();
        if let Some(first) = self.violations.first() {
            panic!("{all} of {} faults left something behind; the first: {first}", self.faults);
        }
    }
}
