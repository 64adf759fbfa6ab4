//! The stream itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Event, EventKind, Observer};

/// The stream: gives each event its number and hands it to every reader.
#[derive(Default)]
pub struct Events {
    seq: AtomicU64,
    observers: Mutex<Vec<Arc<dyn Observer>>>,
}

impl Events {
    /// Adds a reader.
    pub fn subscribe(&self, observer: Arc<dyn Observer>) {
        self.observers.lock().unwrap().push(observer);
    }

    /// Sends one event to every reader.
    pub fn emit(&self, reload: u64, at: Duration, kind: EventKind) {
        let event = Event { seq: self.seq.fetch_add(1, Ordering::Relaxed) + 1, reload, at, kind };
        let observers = self.observers.lock().unwrap().clone();
        for observer in observers {
            observer.on_event(&event);
        }
    }
}
