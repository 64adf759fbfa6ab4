//! What a shutdown is asked and what it answers.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::source::Name;

/// How an engine is shut down. What is not set follows from the engine's [`Limits`](crate::Limits).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShutdownOptions {
    /// How long calls in flight may take to end before they are cancelled; `Limits::exclusive` unless set.
    pub drain: Option<Duration>,
    /// How long one `finalize`, and the release of what one module owns, may take; `Limits::retire` unless set.
    pub finalize: Option<Duration>,
    /// How long a reload that runs may take to be undone; as long as a top level and the exclusive part of a
    /// reload may take together, unless set.
    pub reload: Option<Duration>,
}

/// Something that did not go as it should at a shutdown. Everything else was attempted all the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unfinished {
    /// The module, if it is about one.
    pub module: Option<Name>,
    /// What was attempted: `finalize`, or what kind of thing was to be released, with its key.
    pub what: String,
    /// Why it failed.
    pub error: String,
}

impl fmt::Display for Unfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.module {
            Some(module) => write!(f, "{} of {module}: {}", self.what, self.error),
            None => write!(f, "{}: {}", self.what, self.error),
        }
    }
}

/// What a shutdown did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ShutdownReport {
    /// The generation that was live.
    pub generation: u64,
    /// The modules whose `finalize` ran to its end, in that order.
    pub finalized: Vec<Name>,
    /// How many calls and tasks were cancelled because they outlasted the drain.
    pub cancelled: usize,
    /// What failed.
    pub failed: Vec<Unfinished>,
    /// How long it took.
    pub took: Duration,
}

impl ShutdownReport {
    /// Whether everything was finalized and released, and no call was cancelled.
    pub fn is_clean(&self) -> bool {
        self.failed.is_empty() && self.cancelled == 0
    }
}
