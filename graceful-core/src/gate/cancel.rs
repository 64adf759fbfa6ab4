//! The cancellation of one lease.

use std::sync::atomic::{AtomicBool, Ordering};

use event_listener::{Event, EventListener};

/// The cancellation of one lease.
#[derive(Debug, Default)]
pub struct Cancel {
    cancelled: AtomicBool,
    event: Event,
}

impl Cancel {
    /// Cancels.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        self.event.notify(usize::MAX);
    }

    /// Whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    /// Is notified when it is cancelled.
    pub fn listen(&self) -> EventListener {
        self.event.listen()
    }
}
