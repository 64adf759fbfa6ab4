//! Time and tasks, as the host gives them: this crate has neither.

use std::time::Duration;

use futures_util::future::BoxFuture;

/// The host's time and tasks. `graceful-host` gives tokio's, the testkit a manual one.
pub trait Clock: Send + Sync {
    /// Time since some fixed moment; never goes back.
    fn now(&self) -> Duration;

    /// Ends after `duration`.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;

    /// Runs `task` to its end in the background.
    fn spawn(&self, task: BoxFuture<'static, ()>);

    /// Runs `work` where blocking is allowed. The default runs it at once, on this thread.
    fn blocking(&self, work: Box<dyn FnOnce() + Send>) -> BoxFuture<'static, ()> {
        work();
        Box::pin(std::future::ready(()))
    }
}
