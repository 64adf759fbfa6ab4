//! Many stories of the simulation. `GRACEFUL_SEEDS=10000` plays that many, `GRACEFUL_SEED=7` only that one.

use std::thread;

use graceful_testkit::FakeSubject;
use graceful_testkit::sim::story::{Act, Function, How, MODULES, Part, Shape, Step, Story};
use graceful_testkit::sim::{Found, Simulation};

/// How many are played where nobody asks for more.
const SEEDS: u64 = 100;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn every_history_keeps_the_promises() {
    let simulation = Simulation::of::<FakeSubject>();
    let threads = thread::available_parallelism().map_or(1, |many| many.get());
    let found = match number("GRACEFUL_SEED") {
        Some(seed) => simulation.run(seed..seed + 1, 1),
        None => simulation.run(0..number("GRACEFUL_SEEDS").unwrap_or(SEEDS), threads),
    };
    let count = found.len();
    if let Some(found) = found.first() {
        let shrunk = simulation.shrunk(found);
        panic!("{count} went wrong, the first one:\n{shrunk}\n{}", shrunk.trace);
    }
}

#[test]
fn a_story_goes_the_same_way_every_time() {
    let simulation = Simulation::of::<FakeSubject>();
    let told = |result: Result<String, Box<Found>>| result.map_err(|found| found.trace);
    for seed in 0..15 {
        assert_eq!(told(simulation.seed(seed)), told(simulation.seed(seed)), "seed {seed}");
    }
}

/// A story of plain modules.
fn story(steps: impl IntoIterator<Item = (Act, u64)>) -> Story {
    let shape = Shape { form: 1, slow: 50, ..Shape::default() };
    let parts = vec![Part { shape, ..Part::default() }; MODULES];
    let steps = steps.into_iter().map(|(act, then)| Step { act, then }).collect();
    Story { seed: 1, parts, roles: Vec::new(), steps }
}

fn keeps_the_promises(story: &Story) {
    if let Err(found) = Simulation::of::<FakeSubject>().play(story) {
        panic!("{found}\n{}", found.trace);
    }
}

/// A module left while a call was in it, and was finalized before that call wrote.
#[test]
fn what_leaves_is_finalized_after_the_last_call() {
    keeps_the_promises(&story([
        (Act::Call(3, Function::Hit), 10),
        (Act::Remove(3), 0),
        (Act::Reload(How::default()), 200),
    ]));
}

/// At a shutdown nobody was let in any more, what releases called neither.
#[test]
fn what_is_owned_is_released_at_a_shutdown() {
    keeps_the_promises(&story([(Act::Shutdown, 0)]));
}

/// A configuration was applied while a reload that is a check waited for its turn: the model held what the one stopped
/// against what the other validated.
#[test]
fn a_configuration_is_told_from_the_reload_that_waits_for_it() {
    for text in [include_str!("stories/5899.json"), include_str!("stories/12902.json")] {
        keeps_the_promises(&serde_json::from_str(text).expect("a story"));
    }
}

/// A reload failed that had staged a task kept in a state: the two kept each other, and all that the module required.
#[test]
fn what_a_failed_reload_had_staged_is_gone() {
    for text in [include_str!("stories/39750.json"), include_str!("stories/67813.json")] {
        keeps_the_promises(&serde_json::from_str(text).expect("a story"));
    }
}
