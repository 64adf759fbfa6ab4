//! What came of applying a configuration, or of stopping roles.

use std::time::Duration;

use serde::Serialize;

use super::InstanceState;
use crate::source::Name;

/// What was done with a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Did {
    /// It was started and told the configuration.
    Started,
    /// It ran and was told the configuration.
    Applied,
    /// It was stopped, because it is not enabled any more or everything is.
    Stopped,
    /// It failed; see the error.
    Failed,
    /// It was not started, because a role it depends on failed.
    Skipped,
}

impl Did {
    /// Its name in one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Did::Started => "started",
            Did::Applied => "applied",
            Did::Stopped => "stopped",
            Did::Failed => "failed",
            Did::Skipped => "skipped",
        }
    }
}

/// What became of one role.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RoleReport {
    /// The role.
    pub role: String,
    /// Its module.
    pub module: Name,
    /// What was done.
    pub did: Did,
    /// Whether it runs now.
    pub running: bool,
    /// What it failed with, or which role it was skipped for.
    pub error: Option<String>,
    /// The code of that.
    pub code: Option<String>,
    /// How long it took.
    pub took: Duration,
}

/// What came of applying a configuration.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ApplyReport {
    /// What the roles came to: `RolesConfigured` or `OperationError`.
    pub state: InstanceState,
    /// The roles, in the order in which it was their turn.
    pub roles: Vec<RoleReport>,
    /// What is worth knowing and failed nothing.
    pub warnings: Vec<String>,
}

impl ApplyReport {
    /// The failures in one line.
    pub fn failures(&self) -> String {
        let failed = self.roles.iter().filter(|role| matches!(role.did, Did::Failed | Did::Skipped));
        let told = failed.map(|role| {
            let why = role.error.as_deref().unwrap_or("it failed");
            format!("{}: {why}", role.role)
        });
        told.collect::<Vec<_>>().join("; ")
    }
}

/// What came of stopping every role.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct StopReport {
    /// The roles, in the order in which they were stopped: dependents first.
    pub roles: Vec<RoleReport>,
}
