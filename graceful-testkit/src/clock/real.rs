//! Real time and threads, for adapters that block.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use graceful_core::Clock;
use tokio::runtime::{Builder, Runtime};

/// How long a thread for work that blocks stays when there is none.
pub(crate) const IDLE: Duration = Duration::from_millis(500);

/// A clock on a tokio runtime of its own.
pub struct TokioClock {
    start: Instant,
    runtime: Option<Runtime>,
}

impl TokioClock {
    /// A clock at zero, with two workers.
    ///
    /// # Panics
    /// If the runtime cannot be built.
    pub fn new() -> Arc<Self> {
        let mut runtime = Builder::new_multi_thread();
        runtime.worker_threads(2).enable_all().thread_keep_alive(IDLE);
        let runtime = runtime.build();
        Arc::new(Self { start: Instant::now(), runtime: Some(runtime.expect("a runtime can be built")) })
    }

    /// Runs `future` to its end.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime().block_on(future)
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("there until dropped")
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        // The timer is made at the first poll, which happens inside the runtime.
        Box::pin(async move { tokio::time::sleep(duration).await })
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.runtime().spawn(task);
    }

    fn blocking(&self, work: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()> {
        let job = self.runtime().spawn_blocking(work);
        Box::pin(async move {
            let _ = job.await;
        })
    }
}

impl Drop for TokioClock {
    /// The last owner may be one of the runtime's own tasks, where waiting for the others is not allowed.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
