//! Time and tasks for the engine, from tokio.

use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use graceful_core::Clock;
use tokio::runtime::Handle;

/// Tokio's time and tasks. Made inside a runtime; usable from any thread afterwards.
pub struct TokioClock {
    runtime: RwLock<Handle>,
    start: Instant,
}

impl TokioClock {
    /// The clock of the runtime this is called in.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn new() -> Self {
        Self { runtime: RwLock::new(Handle::current()), start: Instant::now() }
    }

    /// What begins from now on does so in `runtime`; returns where it did before.
    pub(crate) fn move_to(&self, runtime: Handle) -> Handle {
        std::mem::replace(&mut *self.runtime.write().unwrap_or_else(PoisonError::into_inner), runtime)
    }

    fn runtime(&self) -> Handle {
        self.runtime.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Default for TokioClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let runtime = self.runtime();
        // The timer is made at the first poll, inside the runtime: a caller may stand outside of it.
        Box::pin(async move {
            let sleep = {
                let _inside = runtime.enter();
                tokio::time::sleep(duration)
            };
            sleep.await;
        })
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.runtime().spawn(task);
    }

    fn blocking(&self, work: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()> {
        let task = self.runtime().spawn_blocking(work);
        Box::pin(async move {
            if let Err(error) = task.await
                && let Ok(panic) = error.try_into_panic()
            {
                std::panic::resume_unwind(panic);
            }
        })
    }
}
