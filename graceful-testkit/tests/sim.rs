//! Many seeds of the simulation. `GRACEFUL_SEEDS=10000` plays that many, `GRACEFUL_SEED=7` only that one.

use std::panic::{AssertUnwindSafe, catch_unwind};

use graceful_testkit::sim::play;

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
    match number("GRACEFUL_SEED") {
        Some(seed) => played(seed),
        None => (0..number("GRACEFUL_SEEDS").unwrap_or(500)).for_each(played),
    }
}
