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

enum IntentState {
    Open(Vec<Effect>),
    Committed,
    Dropped,
}

impl Default for IntentState {
    fn default() -> Self {
        IntentState::Open(Vec::new())
    }
}

impl Intents {
    /// Runs `effect` at commit: at once if that has been, never if the transaction was rolled back.
    pub fn defer(&self, effect: impl FnOnce() + Send + 'static) {
        let mut state = self.state.lock().unwrap();
        match &mut *state {
            IntentState::Open(effects) => effects.push(Box::new(effect)),
            IntentState::Committed => {
                drop(state);
                effect();
            }
            IntentState::Dropped => {}
        }
    }

    /// Whether the transaction is still undecided.
    pub fn is_open(&self) -> bool {
        matches!(*self.state.lock().unwrap(), IntentState::Open(_))
    }

    /// Whether the transaction is live.
    pub(crate) fn is_committed(&self) -> bool {
        matches!(*self.state.lock().unwrap(), IntentState::Committed)
    }

    /// Runs the effects, each to its end or its panic, which fails nothing any more and is given back.
    pub(crate) fn commit(&self) -> Vec<Box<dyn Any + Send>> {
        let state = std::mem::replace(&mut *self.state.lock().unwrap(), IntentState::Committed);
        let IntentState::Open(effects) = state else { return Vec::new() };
        let run = |effect: Effect| catch_unwind(AssertUnwindSafe(effect)).err();
        effects.into_iter().filter_map(run).collect()
    }

    pub(crate) fn discard(&self) {
        // The effects hold handles into VMs, so they are dropped outside of the lock.
        let state = std::mem::replace(&mut *self.state.lock().unwrap(), IntentState::Dropped);
        drop(state);
    }
}
