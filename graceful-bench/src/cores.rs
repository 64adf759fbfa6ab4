//! Which core a thread runs on.

/// The `at`-th thread stays on one core, and threads begun by it, too. Where that cannot be had, they run anywhere.
#[cfg(target_os = "linux")]
pub fn stay_on_one_core(at: usize) {
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

/// Threads run anywhere here.
#[cfg(not(target_os = "linux"))]
pub fn stay_on_one_core(_: usize) {}
