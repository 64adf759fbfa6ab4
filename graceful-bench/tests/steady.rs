//! A simulated history goes the same way every time on an interpreter, too.

use graceful_bench::subjects::{Rhai, SteadyLua};
use graceful_testkit::sim::{Found, Simulation};

fn goes_the_same_way(simulation: &Simulation) {
    let told = |result: Result<String, Box<Found>>| result.map_err(|found| found.trace);
    for seed in 0..8 {
        let first = told(simulation.seed(seed));
        assert!(first.is_ok(), "seed {seed}: {first:?}");
        assert_eq!(first, told(simulation.seed(seed)), "seed {seed}");
    }
}

#[test]
fn a_story_goes_the_same_way_every_time_in_lua() {
    goes_the_same_way(&Simulation::of::<SteadyLua>());
}

#[test]
fn a_story_goes_the_same_way_every_time_in_rhai() {
    goes_the_same_way(&Simulation::of::<Rhai>());
}
