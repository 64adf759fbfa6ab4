//! Many stories, on several threads.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::{Found, Simulation};

/// Plays `seeds`; stops soon after so many have gone wrong. Each thread begins with `begin`, and is told which one it is.
pub(super) fn run(
    simulation: &Simulation,
    seeds: std::ops::Range<u64>,
    threads: usize,
    most: usize,
    begin: &(dyn Fn(usize) + Sync),
) -> Vec<Found> {
    let (next, wrong) = (AtomicU64::new(seeds.start), AtomicUsize::new(0));
    let found = Mutex::new(Vec::new());
    let work = &|at| {
        begin(at);
        while wrong.load(Ordering::Relaxed) < most {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            if let Err(story) = simulation.seed(seed) {
                wrong.fetch_add(1, Ordering::Relaxed);
                found.lock().unwrap().push(*story);
            }
        }
    };
    std::thread::scope(|scope| {
        (0..threads.max(1)).for_each(|at| drop(scope.spawn(move || work(at))));
    });
    let mut found = found.into_inner().unwrap();
    found.sort_by_key(|found| found.story.seed);
    found
}
