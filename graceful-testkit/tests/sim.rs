//! Many seeds of the simulation. `GRACEFUL_SEEDS=10000` plays that many, `GRACEFUL_SEED=7` only that one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use graceful_testkit::sim::play;

/// Seeds that once failed; they are always played.
const REGRESSIONS: [u64; 2] = [255, 1652];
/// How many are played where nobody asks for more.
const SEEDS: u64 = 300;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn played(seed: u64) {
    let result = catch_unwind(AssertUnwindSafe(|| play(seed)));
    match result {
        Ok(Ok(())) => {}
        Ok(Err(what)) => panic!("seed {seed}: {what}"),
        Err(panic) => {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(panic)
        }
    }
}

#[test]
fn every_history_keeps_the_promises() {
    if let Some(seed) = number("GRACEFUL_SEED") {
        return played(seed);
    }
    let seeds = number("GRACEFUL_SEEDS").unwrap_or(SEEDS);
    REGRESSIONS.into_iter().for_each(played);
    let threads = thread::available_parallelism().map_or(1, |many| many.get() as u64);
    thread::scope(|scope| {
        for first in 0..threads {
            scope.spawn(move || (first..seeds).step_by(threads as usize).for_each(played));
        }
    });
}
