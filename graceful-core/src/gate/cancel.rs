//! The cancellation of one lease.

use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::error::{CallError, ScriptError, ScriptErrorKind};
use crate::source::Name;
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
    pub fn overrun(&self) -> Option<ScriptError> {
        let limit = self.overran.get()?;
        let message =
            format!("kept the interpreter for more than {limit:?} without yielding, and was stopped");
        Some(ScriptError::new(ScriptErrorKind::Timeout, message))
    }

    /// What a call into `module` that was cancelled ends with.
    pub(crate) fn told(&self, module: &Name) -> CallError {
        let overrun = self.overrun().map(CallError::from);
        overrun.unwrap_or_else(|| CallError::Cancelled { module: module.to_string() })
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
