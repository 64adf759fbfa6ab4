//! Time and tasks, as the host gives them: this crate has neither.

use std::time::Duration;

use futures_channel::oneshot;
use futures_util::FutureExt;
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

/// Runs `work` as a task of its own, which begins now and goes on to its end whether or not anybody waits for what this
/// returns: what came of it, or nothing if it was dropped before its end.
pub fn apart<T: Send + 'static>(
    clock: &dyn Clock,
    work: impl Future<Output = T> + Send + 'static,
) -> BoxFuture<'static, Option<T>> {
    let (done, ended) = oneshot::channel();
    clock.spawn(Box::pin(async move { drop(done.send(work.await)) }));
    ended.map(Result::ok).boxed()
}
