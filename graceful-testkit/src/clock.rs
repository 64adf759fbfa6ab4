//! Time for tests: a manual clock with an executor of its own, and tokio's for adapters that need threads.

mod executor;
mod manual;
mod real;
mod relay;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::{Either, select};
use graceful_core::Clock;
use tokio::sync::oneshot;

pub use manual::ManualClock;
pub(crate) use real::IDLE;
pub use real::TokioClock;

/// Which clock a subject runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockKind {
    /// [`ManualClock`]: one thread, no real time, the same order every time.
    Manual,
    /// [`ManualClock::with_threads`]: the same for backends that block, on threads of which one runs at a time.
    Driven,
    /// [`TokioClock`]: real time and threads, for backends that block.
    Tokio,
}

/// The clock of one test and what runs its futures.
#[derive(Clone)]
pub enum Time {
    /// See [`ManualClock`].
    Manual(ManualClock),
    /// See [`TokioClock`].
    Tokio(Arc<TokioClock>),
}

impl ClockKind {
    /// Whether time passes by itself, on threads that run beside each other.
    pub fn is_real(self) -> bool {
        self == ClockKind::Tokio
    }
}

impl Time {
    /// A new clock of `kind`.
    pub fn new(kind: ClockKind) -> Self {
        match kind {
            ClockKind::Manual => Time::Manual(ManualClock::new()),
            ClockKind::Driven => Time::Manual(ManualClock::new().with_threads()),
            ClockKind::Tokio => Time::Tokio(TokioClock::new()),
        }
    }

    /// The clock, as the engine takes it.
    pub fn clock(&self) -> Arc<dyn Clock> {
        match self {
            Time::Manual(clock) => Arc::new(clock.clone()),
            Time::Tokio(clock) => clock.clone(),
        }
    }

    /// Runs `future` to its end.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        match self {
            Time::Manual(clock) => clock.block_on(future),
            Time::Tokio(clock) => clock.block_on(future),
        }
    }

    /// Starts `future` and returns; it runs while the test waits for something.
    pub fn spawn<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> Pending<T> {
        let (sender, result) = oneshot::channel();
        let done = Arc::new(AtomicBool::new(false));
        let told = done.clone();
        self.clock().spawn(Box::pin(async move {
            let value = future.await;
            told.store(true, Ordering::Release);
            let _ = sender.send(value);
        }));
        Pending { result, done, time: self.clone() }
    }

    /// Lets everything that can run do so. Time passes only on the real clock, and there a little.
    pub fn settle(&self) {
        match self {
            Time::Manual(clock) => clock.run_until_stalled(),
            Time::Tokio(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }

    /// Lets `duration` pass.
    pub fn pass(&self, duration: Duration) {
        match self {
            Time::Manual(clock) => clock.advance(duration),
            Time::Tokio(_) => std::thread::sleep(duration),
        }
    }

    /// Lets time pass in small steps until `reached`, at most `limit` of it; whether it was reached.
    pub fn until(&self, limit: Duration, mut reached: impl FnMut() -> bool) -> bool {
        let step = Duration::from_millis(1);
        let end = self.clock().now() + limit;
        self.settle_shortly();
        loop {
            if reached() {
                return true;
            }
            if self.clock().now() >= end {
                return false;
            }
            self.pass(step);
        }
    }

    /// Drops every task that is left, so that nothing keeps the engine alive.
    pub fn clear(&self) {
        if let Time::Manual(clock) = self {
            clock.clear();
        }
    }

    fn settle_shortly(&self) {
        if let Time::Manual(clock) = self {
            clock.run_until_stalled();
        }
    }
}

/// Something that was started and may still run.
pub struct Pending<T> {
    result: oneshot::Receiver<T>,
    done: Arc<AtomicBool>,
    time: Time,
}

impl<T> Pending<T> {
    /// Whether it has ended.
    pub fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }

    /// Waits for its end, at most so long by the clock it runs on; `None` if that was not enough.
    ///
    /// # Panics
    /// If it was dropped before.
    pub fn within(self, limit: Duration) -> Option<T> {
        let late = self.time.clock().sleep(limit);
        match self.time.block_on(select(self.result, late)) {
            Either::Left((result, _)) => Some(result.expect("it ran to its end")),
            Either::Right(_) => None,
        }
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If it was dropped before.
    pub fn join(self) -> T {
        self.time.block_on(self.result).expect("it ran to its end")
    }
}
