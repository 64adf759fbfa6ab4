//! A dry load of a whole app: everything is compiled, staged and validated, nothing is served, started or kept.

use std::path::Path;
use std::sync::{Arc, Mutex};

use graceful_core::{Event, EventKind, Observer, ReloadOptions};
use serde::{Deserialize, Serialize};

use crate::host::{Host, HostError};
use crate::options::HostOptions;
use crate::wire::{Failure, PlanStep, SCHEMA_VERSION, word_fields};

/// What a check found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CheckReply {
    /// See [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Whether the app loads.
    pub ok: bool,
    /// What would be loaded, in load order.
    pub modules: Vec<PlanStep>,
    /// What is worth knowing and failed nothing.
    pub warnings: Vec<String>,
    /// Why it does not load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

#[derive(Default)]
struct Seen {
    modules: Mutex<Vec<PlanStep>>,
    warnings: Mutex<Vec<String>>,
}

impl Observer for Seen {
    fn on_event(&self, event: &Event) {
        match &event.kind {
            EventKind::Planned { steps } => {
                *self.modules.lock().unwrap() = steps.iter().map(word_fields).collect();
            }
            EventKind::Warning { message, .. } => self.warnings.lock().unwrap().push(message.clone()),
            _ => {}
        }
    }
}

/// Loads the app in `folder` without serving it, as far as a start goes before its commit. Top levels run, and so does
/// `init` of what registers itself (and `finalize` after it); tasks and routes do not come to life.
///
/// # Errors
/// The manifest cannot be used. An app that does not load is a [`CheckReply`].
pub async fn check(folder: &Path, options: HostOptions) -> Result<CheckReply, HostError> {
    let seen: Arc<Seen> = Arc::default();
    let host = Host::open(folder, options.observer(seen.clone()))?;
    let result = host.engine().reload(ReloadOptions { check: true, ..ReloadOptions::default() }).await;
    let failure = result.err().map(|error| host.with_source(Failure::from(&error)));
    let modules = std::mem::take(&mut *seen.modules.lock().unwrap());
    let warnings = std::mem::take(&mut *seen.warnings.lock().unwrap());
    Ok(CheckReply { schema_version: SCHEMA_VERSION, ok: failure.is_none(), modules, warnings, failure })
}
