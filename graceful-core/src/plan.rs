//! A plan: what a reload would do, in which order and why, as data.

use std::fmt;

use serde::Serialize;

use crate::gate::Generation;
use crate::source::Name;
use crate::version::Version;

/// What happens to a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is new and loaded.
    Load,
    /// It is live and loaded anew beside the live one.
    Reload,
    /// It leaves: its source is gone or it was unregistered.
    Remove,
    /// It leaves because no live module requires it any more.
    Retire,
}

/// Why it happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is an entry of the app.
    Entry,
    /// It is an entry of the app and was unregistered.
    EntryAgain,
    /// Its source changed.
    Changed,
    /// It is new and this module requires it.
    RequiredBy(Name),
    /// This module, which it requires, is in the plan.
    DependsOn(Name),
    /// It began to require this module while that was being staged.
    NewEdge(Name),
    /// Everything is reloaded by force.
    Forced,
    /// It is registered as a role.
    Role,
    /// The roles are reloaded from a clean slate.
    Roles,
    /// Its source is gone.
    SourceGone,
    /// It was unregistered.
    Unregistered,
    /// No live module requires it.
    NotRequired,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Entry => f.write_str("entry"),
            Reason::EntryAgain => f.write_str("entry that was unregistered"),
            Reason::Changed => f.write_str("changed"),
            Reason::RequiredBy(name) => write!(f, "required by {name}"),
            Reason::DependsOn(name) => write!(f, "depends on {name}"),
            Reason::NewEdge(name) => write!(f, "began to require {name}"),
            Reason::Forced => f.write_str("forced"),
            Reason::Role => f.write_str("role"),
            Reason::Roles => f.write_str("reload of roles"),
            Reason::SourceGone => f.write_str("source is gone"),
            Reason::Unregistered => f.write_str("unregistered"),
            Reason::NotRequired => f.write_str("no longer required"),
        }
    }
}

impl Serialize for Reason {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The module.
    pub module: Name,
    /// The backend that loads it, or had loaded it.
    pub backend: String,
    /// What happens.
    pub action: Action,
    /// Why.
    pub reason: Reason,
    /// The version that is live; the new one is known once the new code has run.
    pub live: Option<Version>,
}

impl Step {
    pub(crate) fn new(
        module: &Name,
        backend: &str,
        action: Action,
        reason: &Reason,
        live: Option<Version>,
    ) -> Self {
        Self { module: module.clone(), backend: backend.to_owned(), action, reason: reason.clone(), live }
    }
}

/// What a reload would do. Made without any effect; applying one whose sources changed since is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The generation it was made against.
    pub base: Generation,
    /// Modules in load order (dependencies first), those that leave at the end.
    pub steps: Vec<Step>,
    /// The modules that are unloaded, in that order (dependents first, by the old graph).
    pub unload: Vec<Name>,
    /// A hash over the base and every source in the plan.
    pub fingerprint: String,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The step of `module`.
    pub fn step(&self, module: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.module.as_str() == module)
    }
}
