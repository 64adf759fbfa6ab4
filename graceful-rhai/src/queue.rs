//! What a channel holds: messages in their order, and who waits until one is taken.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use event_listener::Event;
use rhai::Dynamic;

#[derive(Default)]
pub(crate) struct Queue {
    pub(crate) messages: VecDeque<Message>,
    pub(crate) closed: bool,
    /// How many are put in by reloads that are not decided.
    pub(crate) promised: usize,
    next: u64,
}

pub(crate) struct Message {
    /// Its place among all that were ever put in.
    pub(crate) at: u64,
    pub(crate) value: Dynamic,
    /// Who waits until it is taken.
    pub(crate) by: Option<Arc<Handover>>,
}

#[derive(Default)]
pub(crate) struct Handover {
    pub(crate) taken: AtomicBool,
    /// Nobody waits any more.
    pub(crate) gone: AtomicBool,
    pub(crate) event: Event,
}

impl Queue {
    /// How much room is taken.
    pub(crate) fn taken(&self) -> usize {
        self.messages.len() + self.promised
    }

    pub(crate) fn push(&mut self, value: Dynamic, by: Option<Arc<Handover>>) {
        let at = self.next;
        self.next += 1;
        self.messages.push_back(Message { at, value, by });
    }

    pub(crate) fn remove(&mut self, by: &Arc<Handover>) -> Option<Message> {
        let is = |message: &Message| message.by.as_ref().is_some_and(|other| Arc::ptr_eq(by, other));
        let at = self.messages.iter().position(is)?;
        self.messages.remove(at)
    }
}
