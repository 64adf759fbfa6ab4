//! The simulation finds every bug that is planted in the engine, and each is gone when the bug is.

use graceful_core::planted::{Bug, plant};
use graceful_testkit::FakeSubject;
use graceful_testkit::sim::Simulation;

/// Within how many seeds every bug must be found.
const SEEDS: u64 = 10_000;

#[test]
fn the_simulation_finds_every_planted_bug() {
    std::panic::set_hook(Box::new(|_| {}));
    let simulation = Simulation::of::<FakeSubject>();
    let mut missed = Vec::new();
    for bug in Bug::ALL {
        assert!(plant(Some(bug)), "build with the feature `planted`");
        let found = simulation.first(0..SEEDS, 1);
        plant(None);
        let Some(found) = found else {
            missed.push(bug);
            continue;
        };
        let seed = found.story.seed;
        eprintln!("| `{bug:?}` | {} | {seed} |", found.violation.promise);
        assert!(simulation.seed(seed).is_ok(), "without {bug:?} seed {seed} goes wrong, too");
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}
