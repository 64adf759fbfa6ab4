//! The simulation finds bugs that are planted in the engine.

use std::panic::{AssertUnwindSafe, catch_unwind};

use graceful_core::planted::{Bug, plant};
use graceful_testkit::sim::play;

#[test]
fn the_simulation_finds_planted_bugs() {
    for bug in [Bug::StateNotRestored, Bug::EarlyCommit] {
        assert!(plant(Some(bug)), "build with the feature `planted`");
        let fails = |seed: &u64| !matches!(catch_unwind(AssertUnwindSafe(|| play(*seed))), Ok(Ok(())));
        let found = (0..300).find(fails);
        plant(None);
        let seed = found.unwrap_or_else(|| panic!("{bug:?} is not found"));
        assert_eq!(play(seed), Ok(()), "without {bug:?} the same history is right");
        eprintln!("{bug:?} is found by seed {seed}");
    }
}
