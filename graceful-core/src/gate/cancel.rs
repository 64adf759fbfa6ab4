//! The cancellation of one lease.

use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::error::{CallError, ScriptError, ScriptErrorKind};
use crate::sync::{AtomicBool, Event, EventListener};

/// The cancellation of one lease.
#[derive(Debug, Default)]
pub struct Cancel {
    cancelled: AtomicBool,
    overran: OnceLock<Duration>,
    event: Event,
}

impl Cancel {
    /// Cancels.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        self.event.notify(usize::MAX);
    }

    /// Cancels because its code kept an interpreter for longer than `limit`: that is the code's own fault, and doing it
    /// again helps nobody.
    pub fn overran(&self, limit: Duration) {
        let _ = self.overran.set(limit);
        self.cancel();
    }

    /// What a call that [ran too long](Cancel::overran) ends with.
    pub fn overrun(&self) -> Option<CallError> {
        let limit = self.overran.get()?;
        let message =
            format!("kept the interpreter for more than {limit:?} without yielding, and was stopped");
        Some(ScriptError::new(ScriptErrorKind::Timeout, message).into())
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
