//! Time, tasks and threads, as the host gives them: this crate has none.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use futures_channel::oneshot;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

/// The host's time, tasks and threads. `graceful-host` gives tokio's, the testkit a manual one.
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

    /// Runs `work` on a thread of its own, which may wait for as long as it likes, with so many bytes of stack. The default starts
    /// one of the system's.
    ///
    /// # Errors
    /// There is no thread to be had.
    fn thread(&self, name: String, stack: usize, work: Box<dyn FnOnce() + Send>) -> std::io::Result<()> {
        std::thread::Builder::new().name(name).stack_size(stack).spawn(work).map(drop)
    }
}

/// Whoever drives threads itself, one at a time: see [`driven`].
pub trait Driver: Send + Sync {
    /// Keeps this thread until `look`, which others ask meanwhile, says that it may go on.
    fn stand(&self, look: Box<dyn Fn() -> bool + Send>);
}

thread_local! {
    static DRIVER: RefCell<Option<Arc<dyn Driver>>> = const { RefCell::new(None) };
}

/// Does `work`, with every [`wait`] in it left to `driver`. For a clock that stands still: its threads wait for each other
/// instead of for the system, so that everything goes the same way every time.
pub fn driven<T>(driver: Arc<dyn Driver>, work: impl FnOnce() -> T) -> T {
    struct Before(Option<Arc<dyn Driver>>);
    impl Drop for Before {
        fn drop(&mut self) {
            let ended = DRIVER.replace(self.0.take());
            drop(ended);
        }
    }
    let _before = Before(DRIVER.replace(Some(driver)));
    work()
}

/// Whether somebody drives this thread, and with it every thread that it meets.
pub fn is_driven() -> bool {
    DRIVER.with_borrow(Option::is_some)
}

/// Keeps this thread: as `block` does, for a while or until it is woken, or until its driver finds that `look` is true. A
/// backend that blocks threads does it through this wherever it does, and then looks for itself. No lock may be held.
pub fn wait(look: impl Fn() -> bool + Send + 'static, block: impl FnOnce()) {
    match DRIVER.with_borrow(Clone::clone) {
        Some(driver) => driver.stand(Box::new(look)),
        None => block(),
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
