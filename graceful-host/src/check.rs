//! A dry load of a whole app: everything is compiled, staged and validated, nothing is served, started or kept.

mod states;

use std::path::Path;
use std::sync::{Arc, Mutex};

use graceful_core::{Event, EventKind, Limits, Observer, ReloadOptions};
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::host::{Host, HostError};
use crate::options::HostOptions;
use crate::roles;
use crate::wire::{Failure, PlanStep, SCHEMA_VERSION, word_fields};
use states::States;

pub use states::StateReply;

/// The module that is staged after all others, where recorded states are to be looked at.
const LAST: &str = "graceful.check";

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
    /// What migrations made of recorded states.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub states: Vec<StateReply>,
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
                let steps = steps.iter().filter(|step| step.module.as_str() != LAST);
                *self.modules.lock().unwrap() = steps.map(word_fields).collect();
            }
            EventKind::Warning { message, .. } => self.warnings.lock().unwrap().push(message.clone()),
            _ => {}
        }
    }
}

/// Loads the app in `folder` without serving it, as far as a start goes before its commit. Top levels run, and so does
/// `init` of what registers itself (and `finalize` after it); tasks and routes do not come to life. The states that
/// were recorded in the folder `states`, as `module@version.json`, go up through the migrations and back down.
///
/// # Errors
/// The manifest cannot be used, or `states` cannot be read. An app that does not load is a [`CheckReply`].
pub async fn check(
    folder: &Path,
    options: HostOptions,
    states: Option<&Path>,
) -> Result<CheckReply, HostError> {
    let seen: Arc<Seen> = Arc::default();
    let mut options = options.observer(seen.clone());
    let app = App::read(folder)?;
    let unreadable =
        |path: &Path, error| HostError::Setting(format!("cannot read {}: {error}", path.display()));
    let states =
        states.map(|path| States::read(path).map_err(|error| unreadable(path, error))).transpose()?;
    let states = states.map(Arc::new);
    if let Some(states) = states.clone() {
        let requires: Vec<&str> = app.entry.iter().map(|name| name.as_str()).collect();
        let budget = app.reload.hook.unwrap_or(Limits::default().hook);
        options = options.native(LAST, &requires, move |cx| Ok(states.module(cx, budget)));
    }
    let host = Host::open(folder, options)?;
    if states.is_some() {
        host.engine().set_entries(app.entry.iter().map(|name| name.as_str()).chain([LAST]));
    }
    let mut asked = ReloadOptions { check: true, ..ReloadOptions::default() };
    if let Some(settings) = &app.roles {
        let first = roles::first(&roles::kept(folder, &app), &app, settings);
        seen.warnings.lock().unwrap().extend(first.warnings);
        let enabled = first.applied.enabled();
        asked.register = Some(roles::modules(settings, &host.0.options));
        asked.candidate = Some((first.applied.config, enabled));
    }
    let result = host.engine().reload(asked).await;
    let failure = result.err().map(|error| host.with_source(Failure::from(&error)));
    let modules = std::mem::take(&mut *seen.modules.lock().unwrap());
    let warnings = std::mem::take(&mut *seen.warnings.lock().unwrap());
    let states = states.map(|states| states.replies()).unwrap_or_default();
    let ok = failure.is_none() && states.iter().all(|state| state.ok);
    Ok(CheckReply { schema_version: SCHEMA_VERSION, ok, modules, warnings, states, failure })
}
