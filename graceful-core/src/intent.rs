//! Effects that wait for a commit.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

/// Effects that wait for a transaction's commit: run in order then, dropped if it fails.
#[derive(Default)]
pub struct Intents {
    state: Mutex<IntentState>,
}

type Effect = Box<dyn FnOnce() + Send>;
/// What must be let go of if the transaction fails, as whoever made it knows it.
pub(crate) type Made = Box<dyn Any + Send>;

enum IntentState {
    Open { effects: Vec<Effect>, made: Vec<Made> },
    Committed,
    Dropped,
}

impl Default for IntentState {
    fn default() -> Self {
        IntentState::Open { effects: Vec::new(), made: Vec::new() }
    }
}

impl Intents {
    /// Runs `effect` at commit: at once if that has been, never if the transaction was rolled back.
    pub fn defer(&self, effect: impl FnOnce() + Send + 'static) {
        let mut state = self.state.lock().unwrap();
        match &mut *state {
            IntentState::Open { effects, .. } => effects.push(Box::new(effect)),
            IntentState::Committed => {
                drop(state);
                effect();
            }
            IntentState::Dropped => {}
        }
    }

    /// Notes something that must be let go of if the transaction fails.
    pub(crate) fn note(&self, something: Made) {
        if let IntentState::Open { made, .. } = &mut *self.state.lock().unwrap() {
            made.push(something);
        }
    }

    /// Whether the transaction is still undecided.
    pub fn is_open(&self) -> bool {
        matches!(*self.state.lock().unwrap(), IntentState::Open { .. })
    }

    /// Whether the transaction is live.
    pub(crate) fn is_committed(&self) -> bool {
        matches!(*self.state.lock().unwrap(), IntentState::Committed)
    }

    /// Runs the effects, each to its end or its panic, which fails nothing any more and is given back.
    pub(crate) fn commit(&self) -> Vec<Box<dyn Any + Send>> {
        let state = std::mem::replace(&mut *self.state.lock().unwrap(), IntentState::Committed);
        let IntentState::Open { effects, made } = state else { return Vec::new() };
        drop(made);
        let run = |effect: Effect| catch_unwind(AssertUnwindSafe(effect)).err();
        effects.into_iter().filter_map(run).collect()
    }

    /// The transaction failed: what was made in it, last first.
    pub(crate) fn discard(&self) -> Vec<Made> {
        // The effects hold handles into VMs, so they are dropped outside of the lock.
        let state = std::mem::replace(&mut *self.state.lock().unwrap(), IntentState::Dropped);
        let IntentState::Open { mut made, .. } = state else { return Vec::new() };
        made.reverse();
        made
    }
}
