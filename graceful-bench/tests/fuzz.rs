//! Mutated inputs for everything that reads: no panic, no hang. `GRACEFUL_INPUTS` says how many.

use graceful_bench::fuzz::{readers, requests};

fn inputs(unless_told: u64) -> u64 {
    std::env::var("GRACEFUL_INPUTS").ok().and_then(|n| n.parse().ok()).unwrap_or(unless_told)
}

#[test]
fn whatever_reads_takes_any_input() {
    for reader in readers() {
        reader.run(inputs(2_000), 7).assert();
    }
}

#[test]
fn the_admin_socket_takes_any_request() {
    requests::run(inputs(300).min(5_000), 7).assert();
}
