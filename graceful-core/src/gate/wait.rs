//! Who waits at a gate, counted: what a reload holds up.

use std::sync::Arc;

use super::Gate;
use crate::source::Name;

/// A call that waits at a gate; it is counted until this drops.
pub(crate) struct Waiting {
    gate: Arc<Gate>,
    module: Name,
}

impl Waiting {
    pub(crate) fn at(gate: &Arc<Gate>, module: &Name) -> Self {
        let mut inner = gate.lock();
        *inner.waiting.entry(module.clone()).or_default() += 1;
        inner.waited += 1;
        drop(inner);
        Self { gate: gate.clone(), module: module.clone() }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut inner = self.gate.lock();
        if let Some(waiting) = inner.waiting.get_mut(&self.module) {
            *waiting -= 1;
            if *waiting == 0 {
                inner.waiting.remove(&self.module);
            }
        }
    }
}

impl Gate {
    /// How many calls wait at the gate of `module`.
    pub fn waiting(&self, module: &Name) -> usize {
        self.lock().waiting.get(module).copied().unwrap_or_default()
    }

    /// How many calls ever had to wait at a gate.
    pub fn waited(&self) -> u64 {
        self.lock().waited
    }
}
