//! How things are timed: in turn with their floor, so that what else the machine does falls on both.

use std::time::{Duration, Instant};

/// How much is measured.
pub struct Size {
    /// How often each thing is timed.
    pub runs: usize,
    /// The larger of the two apps whose leaf is edited.
    pub large: usize,
    /// How many calls are timed together.
    pub calls: u32,
    /// How many entries the large state has.
    pub entries: u32,
    /// How often the app of fifty modules is reloaded.
    pub reloads: usize,
    /// How many modules are planned.
    pub planned: usize,
}

impl Size {
    pub const WHOLE: Self =
        Self { runs: 9, large: 50_000, calls: 100_000, entries: 1_000_000, reloads: 10_000, planned: 50_000 };
    pub const QUICK: Self =
        Self { runs: 3, large: 10_000, calls: 20_000, entries: 100_000, reloads: 600, planned: 10_000 };
}

/// How long `work` takes.
pub fn time(work: impl FnOnce()) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}

/// The middle one.
pub fn median(times: impl IntoIterator<Item = Duration>) -> Duration {
    let mut times: Vec<_> = times.into_iter().collect();
    times.sort();
    times[times.len() / 2]
}

/// The best of many rounds of each, turn by turn. For work so short that whatever comes between only adds to it.
pub fn best<const N: usize>(rounds: usize, work: [&dyn Fn(); N]) -> [Duration; N] {
    let mut best = [Duration::MAX; N];
    for _ in 0..rounds {
        for (best, work) in best.iter_mut().zip(work) {
            *best = time(work).min(*best);
        }
    }
    best
}
