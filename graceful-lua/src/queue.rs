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
        self.let_in_within(MOST);
    }

    fn let_in_within(&self, most: Duration) {
        if self.waiting.load(Ordering::Relaxed) == 0 {
            return;
        }
        let began = Instant::now();
        while self.waiting.load(Ordering::Relaxed) > 0 && began.elapsed() < most {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Longer than any machine is busy.
    const AGES: Duration = Duration::from_secs(60);

    #[test]
    fn who_waits_is_let_in_before_the_next_slice() {
        let queue = Queue::default();
        queue.slices(true);
        let waits = [queue.wait(), queue.wait(), queue.wait()];
        assert!(waits.iter().all(Option::is_some));
        thread::scope(|threads| {
            for waits in waits {
                threads.spawn(move || {
                    // It has to be woken first, and the reload is back at its next slice sooner.
                    thread::sleep(Duration::from_millis(5));
                    drop(waits);
                });
            }
            let began = Instant::now();
            queue.let_in_within(AGES);
            assert_eq!(queue.waiting.load(Ordering::Relaxed), 0, "somebody waits still");
            assert!(began.elapsed() < AGES, "it did not notice that nobody waits any more");
        });
    }

    #[test]
    fn who_does_not_come_in_is_waited_for_only_so_long() {
        let queue = Queue::default();
        queue.slices(true);
        let never = queue.wait();
        let began = Instant::now();
        queue.let_in();
        let took = began.elapsed();
        assert!(took >= MOST, "{took:?}: nobody comes in within that");
        drop(never);
        assert_eq!(queue.waiting.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn nobody_is_counted_while_no_reload_is_under_way() {
        let queue = Queue::default();
        assert!(queue.wait().is_none());
        queue.slices(true);
        let waits = queue.wait();
        queue.slices(false);
        assert!(queue.wait().is_none());
        // Who was counted is no longer counted, though the reload ended meanwhile.
        drop(waits);
        assert_eq!(queue.waiting.load(Ordering::Relaxed), 0);
        let began = Instant::now();
        queue.let_in_within(AGES);
        assert!(began.elapsed() < AGES);
    }
}
