//! What a story can break.

use std::fmt;

/// Something that must hold and does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which promise, in a few words: the same for every story that breaks it.
    pub promise: &'static str,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.promise, self.what)
    }
}

pub(super) type Told = Result<(), Violation>;

/// Fails with `promise` unless it holds.
pub(super) fn hold(promise: &'static str, holds: bool, what: impl FnOnce() -> String) -> Told {
    if holds { Ok(()) } else { Err(Violation { promise, what: what() }) }
}

/// Fails with `promise`.
pub(super) fn broken(promise: &'static str, what: impl Into<String>) -> Violation {
    Violation { promise, what: what.into() }
}
