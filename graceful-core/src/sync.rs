//! The locks, atomics and signals by which threads meet in gate, lease and world: with the feature `shuttle`, ones whose
//! schedule a test draws.

#[cfg(not(feature = "shuttle"))]
mod real {
    use std::time::Duration;

    pub use event_listener::{Event, EventListener};
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64};
    pub(crate) use std::sync::{Mutex, MutexGuard, RwLock};
    pub(crate) use std::thread_local;

    pub(crate) fn wait_timeout(listener: EventListener, timeout: Duration) {
        use event_listener::Listener;
        listener.wait_timeout(timeout);
    }
}

#[cfg(not(feature = "shuttle"))]
pub(crate) use real::*;

#[cfg(feature = "shuttle")]
mod drawn;

#[cfg(feature = "shuttle")]
pub(crate) use drawn::*;
