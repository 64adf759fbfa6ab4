//! A simulation: calls, tasks, edits, reloads, faults, roles and shutdowns in an order drawn from a seed, held
//! against a small model of what a person would say must be true. One seed, one history.
//!
//! Time stands still unless the story says so, and which of the tasks that are ready runs next follows from the
//! seed: the same story goes the same way every time, so what goes wrong can be made smaller until it is short.
//!
//! ```
//! use graceful_testkit::FakeSubject; // yours: see `Subject`
//! use graceful_testkit::sim::Simulation;
//! let simulation = Simulation::of::<FakeSubject>();
//! let found = simulation.run(0..20, 1);
//! assert!(found.is_empty(), "{}", found[0]);
//! ```

mod asks;
mod cast;
mod check;
mod desk;
mod draw;
mod ledger;
mod play;
mod quiet;
mod rest;
mod runs;
mod shrink;
pub mod story;
mod violation;
mod words;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::subject::Subject;
use cast::Range;
use play::Play;
pub use story::Story;
pub use violation::Violation;

/// How many things happen in a story before everything is brought to an end, unless it is told otherwise.
const STEPS: usize = 40;

/// A story that went wrong.
#[derive(Clone, Debug)]
pub struct Found {
    /// What it breaks.
    pub violation: Violation,
    /// The story, which [`Simulation::play`] plays again.
    pub story: Story,
    /// What happened in it.
    pub trace: String,
}

/// Histories of one backend.
#[derive(Clone)]
pub struct Simulation {
    start: for<'a> fn(&'a Story, Range) -> Play<'a>,
    range: Range,
    steps: usize,
}

impl Simulation {
    /// Histories of modules in the language of `S`, and of some in the reference backend's. Always on a clock that
    /// stands still, with threads where the suite of `S` runs on tokio.
    pub fn of<S: Subject>() -> Self {
        let can = S::capabilities();
        let range = Range { waits: can.waits, tasks: can.tasks && can.handover, globals: can.globals };
        Self { start: |story, range| Play::new::<S>(story, range), range, steps: STEPS }
    }

    /// Histories of so many steps.
    pub fn steps(mut self, steps: usize) -> Self {
        self.steps = steps;
        self
    }

    /// The story of `seed`.
    pub fn story(&self, seed: u64) -> Story {
        draw::draw(seed, self.steps)
    }

    /// Plays a story and tells what happened in it.
    ///
    /// # Errors
    /// The first thing that does not hold.
    pub fn play(&self, story: &Story) -> Result<String, Box<Found>> {
        let started = catch_unwind(AssertUnwindSafe(|| (self.start)(story, self.range)));
        let mut play = match started {
            Ok(play) => play,
            Err(panic) => return Err(found(story, panicked(&*panic), String::new())),
        };
        let told = catch_unwind(AssertUnwindSafe(|| play.run()));
        let told = told.unwrap_or_else(|panic| Err(panicked(&*panic)));
        let (trace, remains) = (play.app.trace().text(), play.remains());
        // What is left of a story in which something panicked may panic once more.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(play)));
        match told.and_then(|()| remains.are_gone()) {
            Ok(()) => Ok(trace),
            Err(violation) => Err(found(story, violation, trace)),
        }
    }

    /// Plays the story of `seed`.
    ///
    /// # Errors
    /// As [`play`](Simulation::play).
    pub fn seed(&self, seed: u64) -> Result<String, Box<Found>> {
        self.play(&self.story(seed))
    }

    /// The shortest story that still breaks the same promise, as far as leaving steps out goes.
    pub fn shrunk(&self, found: &Found) -> Box<Found> {
        shrink::shrink(self, found)
    }

    /// Plays the stories of `seeds` on so many threads; those that went wrong, by seed.
    pub fn run(&self, seeds: std::ops::Range<u64>, threads: usize) -> Vec<Found> {
        self.run_on(seeds, threads, &|_| ())
    }

    /// The same, where each thread calls `begin` with its number first, as to stay on one core: a history of a backend
    /// whose code blocks hands its turn from thread to thread, which takes half as long where all of them share one.
    pub fn run_on(
        &self,
        seeds: std::ops::Range<u64>,
        threads: usize,
        begin: &(dyn Fn(usize) + Sync),
    ) -> Vec<Found> {
        runs::run(self, seeds, threads, usize::MAX, begin)
    }

    /// The same until one goes wrong.
    pub fn first(&self, seeds: std::ops::Range<u64>, threads: usize) -> Option<Found> {
        runs::run(self, seeds, threads, 1, &|_| ()).into_iter().next()
    }
}

fn found(story: &Story, violation: Violation, trace: String) -> Box<Found> {
    Box::new(Found { violation, story: story.clone(), trace })
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Violation {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    violation::broken("nothing panics", text.unwrap_or_default())
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.violation)?;
        write!(f, "{}", self.story)?;
        let replay = serde_json::to_string(&self.story).unwrap_or_default();
        writeln!(f, "to play it again, as data: {replay}")
    }
}
