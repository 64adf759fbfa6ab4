//! How long reloads keep the VM from everybody else.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long reloads have kept a VM from everybody else since it was made: slices of top levels and commits.
/// Hooks are not in it, whose length is the scripts' own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pauses {
    /// How often.
    pub count: u64,
    /// How long in all.
    pub total: Duration,
    /// How long at most at once.
    pub longest: Duration,
    /// How long the collector has kept it since, in short steps after the reloads. Not in the others.
    pub collecting: Duration,
}

/// The pauses of one VM.
#[derive(Default)]
pub(crate) struct Paused(Mutex<Pauses>);

impl Paused {
    /// Runs `work`, which keeps the VM.
    pub(crate) fn during<R>(&self, work: impl FnOnce() -> R) -> R {
        let began = Instant::now();
        let done = work();
        let lasted = began.elapsed();
        let mut pauses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pauses.count += 1;
        pauses.total += lasted;
        pauses.longest = pauses.longest.max(lasted);
        done
    }

    /// Runs a step of the collector.
    pub(crate) fn collecting<R>(&self, work: impl FnOnce() -> R) -> R {
        let began = Instant::now();
        let done = work();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).collecting += began.elapsed();
        done
    }

    pub(crate) fn so_far(&self) -> Pauses {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
