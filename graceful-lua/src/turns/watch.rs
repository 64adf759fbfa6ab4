//! The thread that looks, every now and then while there are reloads, who must be stopped.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::Turns;

/// How often cancelled calls are looked for, and how long after the last reload that goes on.
const TICK: Duration = Duration::from_millis(20);
const WATCH: Duration = Duration::from_secs(10);

impl Turns {
    /// Stops cancelled calls that spin, from now until a while after the last time this was called.
    pub(crate) fn watch(self: &Arc<Self>) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + WATCH);
        if self.watched.swap(true, Ordering::AcqRel) {
            return;
        }
        let turns = Arc::downgrade(self);
        let watch = std::thread::Builder::new().name("graceful-lua watch".into());
        if watch.spawn(move || watch_over(&turns)).is_err() {
            self.watched.store(false, Ordering::Release);
        }
    }

    /// Cancels turns that last longer than `most`, from now on.
    pub(crate) fn limit(self: &Arc<Self>, most: Duration) {
        let _ = self.limit.set(most);
        self.watch();
    }

    fn is_over(&self) -> bool {
        let until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        let late = until.is_none_or(|until| Instant::now() > until);
        let over = self.limit.get().is_none() && late && self.wanted().is_none();
        if over {
            self.watched.store(false, Ordering::Release);
        }
        over
    }
}

fn watch_over(turns: &Weak<Turns>) {
    loop {
        std::thread::sleep(TICK);
        let Some(turns) = turns.upgrade() else { return };
        turns.stop_cancelled();
        if turns.is_over() {
            return;
        }
    }
}
