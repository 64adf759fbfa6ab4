//! What the engine does and how the last reload ended, in the words of the status.

use std::sync::atomic::Ordering;

use super::{Inner, Outcomes};
use crate::source::Name;
use crate::status::{EngineState, LastReload};

pub(super) fn of(result: &Outcomes) -> LastReload {
    match result {
        Ok(report) => {
            LastReload { result: report.outcome.as_str().into(), code: None, module: None, message: None }
        }
        Err(error) => LastReload {
            result: error.report.outcome.as_str().into(),
            code: Some(error.code().to_string()),
            module: error.module().map(Name::to_string),
            message: Some(error.explain()),
        },
    }
}

impl Inner {
    pub(crate) fn state(&self) -> EngineState {
        if let Some(ended) = self.is_ending() {
            return if ended { EngineState::Stopped } else { EngineState::Stopping };
        }
        if let Some(running) = &*self.running.lock().unwrap() {
            let hangs = running.ticket.hangs().is_some();
            if hangs { EngineState::Stuck } else { EngineState::Reloading }
        } else if self.stuck.load(Ordering::Acquire) {
            EngineState::Stuck
        } else {
            EngineState::Idle
        }
    }
}
