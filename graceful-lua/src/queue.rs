//! Who waits for the VM while a reload takes it slice by slice: its lock alone would mostly give it to the next slice.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long a reload stands back for whoever waits to come in. It is awake by then, unless the machine is busy.
const MOST: Duration = Duration::from_micros(500);

/// Counts only while a reload is under way, so that calls pay for one look at other times.
#[derive(Default)]
pub(crate) struct Queue {
    slices: AtomicBool,
    waiting: AtomicUsize,
}

impl Queue {
    /// A reload takes the VM slice by slice from now on, or no longer.
    pub(crate) fn slices(&self, now: bool) {
        self.slices.store(now, Ordering::Relaxed);
    }

    /// Somebody waits for the VM's lock until this is dropped.
    #[inline]
    pub(crate) fn wait(&self) -> Option<Waits<'_>> {
        self.slices.load(Ordering::Relaxed).then(|| {
            self.waiting.fetch_add(1, Ordering::Relaxed);
            Waits(self)
        })
    }

    /// Lets those in who wait. Called between two slices, without the VM's lock.
    pub(crate) fn let_in(&self) {
        if self.waiting.load(Ordering::Relaxed) == 0 {
            return;
        }
        let began = Instant::now();
        while self.waiting.load(Ordering::Relaxed) > 0 && began.elapsed() < MOST {
            thread::yield_now();
        }
    }
}

/// See [`Queue::wait`].
pub(crate) struct Waits<'a>(&'a Queue);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
