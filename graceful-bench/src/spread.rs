//! Many histories on all cores, those of one thread always on the same.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use graceful_testkit::sim::{Found, Simulation};

/// Plays `seeds` on `threads` threads; what went wrong, by seed. A history of a backend whose code blocks hands its
/// turn from thread to thread, which takes half as long where all of them share a core.
pub fn run(simulation: &Simulation, seeds: Range<u64>, threads: usize) -> Vec<Found> {
    let (next, found) = (AtomicU64::new(seeds.start), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for at in 0..threads.max(1) {
            let (next, found, end) = (&next, &found, seeds.end);
            scope.spawn(move || {
                stay_on_one_core(at);
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    if let Err(wrong) = simulation.seed(seed) {
                        found.lock().unwrap_or_else(PoisonError::into_inner).push(*wrong);
                    }
                }
            });
        }
    });
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.sort_by_key(|found| found.story.seed);
    found
}

/// Threads begun from here on stay there, too. Where that cannot be had, they run anywhere.
#[cfg(target_os = "linux")]
fn stay_on_one_core(at: usize) {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let Ok(all) = sched_getaffinity(None) else { return };
    let allowed: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| all.is_set(*cpu)).collect();
    let mut one = CpuSet::new();
    if let Some(cpu) = allowed.get(at % allowed.len().max(1)) {
        one.set(*cpu);
        // A refusal costs time only.
        let _refused = sched_setaffinity(None, &one);
    }
}

#[cfg(not(target_os = "linux"))]
fn stay_on_one_core(_: usize) {}
