//! Running module code where blocking is allowed, under the caller's lease, and stopping it when the caller
//! goes away.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use event_listener::Event;
use graceful_core::error::ScriptErrorKind;
use graceful_core::{Clock, Lease, ScriptError};

use crate::bulk;
use crate::wait::Slot;
use crate::watch::Watch;

/// Runs `work` on a thread that may block.
///
/// # Errors
/// It panicked, or the host dropped it.
pub(crate) async fn off_thread<T: Send + 'static>(
    clock: &dyn Clock,
    watch: Watch,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ScriptError> {
    let lease = Lease::current();
    let _dropped = AbortOnDrop(watch.abort.clone());
    let slot = Slot::default();
    let into = slot.clone();
    let job = move || {
        let _entered = lease.as_ref().map(Lease::enter);
        into.put(on_this_thread(watch, work));
    };
    clock.blocking(Box::new(job)).await;
    let lost = || Err(ScriptError::new(ScriptErrorKind::Panic, "the thread it ran on went away"));
    slot.take().unwrap_or_else(lost)
}

/// Runs `work` here, with enough room on the stack; a panic in it is an error like any other.
pub(crate) fn on_this_thread<T>(watch: Watch, work: impl FnOnce() -> T) -> Result<T, ScriptError> {
    bulk::roomy(|| guarded(|| watch.run(work)))
}

/// How many threads run something that nobody may wait for any more.
#[derive(Default)]
pub(crate) struct Tally {
    running: AtomicUsize,
    ended: Event,
}

/// One of them, until it drops.
pub(crate) struct Counted(Arc<Tally>);

impl Tally {
    pub(crate) fn count(self: &Arc<Self>) -> Counted {
        self.running.fetch_add(1, Ordering::AcqRel);
        Counted(self.clone())
    }

    /// Returns once none is left.
    pub(crate) async fn none(&self) {
        loop {
            let listener = self.ended.listen();
            if self.running.load(Ordering::Acquire) == 0 {
                return;
            }
            listener.await;
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::AcqRel);
        self.0.ended.notify(usize::MAX);
    }
}

/// Runs `work`; a panic in it is an error like any other.
pub(crate) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, ScriptError> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        let message = text
            .map_or_else(|| "native code panicked".into(), |text| format!("native code panicked: {text}"));
        ScriptError::new(ScriptErrorKind::Panic, message)
    })
}

struct AbortOnDrop(Arc<AtomicBool>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}
