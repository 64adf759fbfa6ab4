//! Many stories of the simulation. `GRACEFUL_SEEDS=10000` plays that many, `GRACEFUL_SEED=7` only that one.

use std::thread;

use graceful_testkit::FakeSubject;
use graceful_testkit::sim::Simulation;

/// Seeds that once went wrong; they are always played.
const REGRESSIONS: [u64; 2] = [255, 1652];
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
    REGRESSIONS.into_iter().for_each(|seed| assert!(simulation.seed(seed).is_ok(), "seed {seed}"));
}

#[test]
fn a_story_goes_the_same_way_every_time() {
    let simulation = Simulation::of::<FakeSubject>();
    for seed in 0..15 {
        assert_eq!(simulation.seed(seed).ok(), simulation.seed(seed).ok(), "seed {seed}");
    }
}
