//! What the roles of an engine are doing, and which of it may follow which.

use std::fmt;

use serde::Serialize;

/// What the roles of an engine are doing. After the instance states of Cartridge, the Tarantool framework, with the
/// two that its drawing leaves out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum InstanceState {
    /// No configuration was applied yet.
    #[default]
    Unconfigured,
    /// A configuration is being applied.
    ConfiguringRoles,
    /// The last configuration was applied by every enabled role.
    RolesConfigured,
    /// Part of the roles failed while a configuration was applied. Apply and reload may be tried again.
    OperationError,
    /// The code of roles is being reloaded.
    ReloadingRoles,
    /// A reload of roles failed; the generation before it serves.
    ReloadError,
    /// A reload of roles failed and the roles before it could not all be started again.
    Stuck,
    /// The roles are being stopped for good.
    Stopping,
    /// They are stopped.
    Stopped,
}

/// What is done with roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// A configuration is applied.
    Apply,
    /// Every enabled role has applied it.
    Applied,
    /// A role failed to.
    ApplyFailed,
    /// The code of roles is reloaded.
    Reload,
    /// The new code is live and is told the configuration.
    Reloaded,
    /// It failed, and what was before serves.
    ReloadFailed,
    /// It failed, and so did part of its undo.
    ReloadStuck,
    /// The roles are stopped for good.
    Stop,
    /// That is done.
    StopEnded,
}

use InstanceState::*;
use Operation::*;

/// Every transition there is.
const TABLE: &[(InstanceState, Operation, InstanceState)] = &[
    (Unconfigured, Apply, ConfiguringRoles),
    (Unconfigured, Stop, Stopping),
    (ConfiguringRoles, Applied, RolesConfigured),
    (ConfiguringRoles, ApplyFailed, OperationError),
    (ConfiguringRoles, Stop, Stopping),
    (RolesConfigured, Apply, ConfiguringRoles),
    (RolesConfigured, Reload, ReloadingRoles),
    (RolesConfigured, Stop, Stopping),
    (OperationError, Apply, ConfiguringRoles),
    (OperationError, Reload, ReloadingRoles),
    (OperationError, Stop, Stopping),
    (ReloadingRoles, Reloaded, ConfiguringRoles),
    (ReloadingRoles, ReloadFailed, ReloadError),
    (ReloadingRoles, ReloadStuck, Stuck),
    (ReloadingRoles, Stop, Stopping),
    (ReloadError, Apply, ConfiguringRoles),
    (ReloadError, Reload, ReloadingRoles),
    (ReloadError, Stop, Stopping),
    (Stuck, Reload, ReloadingRoles),
    (Stuck, Stop, Stopping),
    (Stopping, StopEnded, Stopped),
];

impl InstanceState {
    /// Every state.
    pub const ALL: [InstanceState; 9] = [
        Unconfigured,
        ConfiguringRoles,
        RolesConfigured,
        OperationError,
        ReloadingRoles,
        ReloadError,
        Stuck,
        Stopping,
        Stopped,
    ];

    /// The state that follows on `operation`, if that is allowed.
    pub fn after(self, operation: Operation) -> Option<InstanceState> {
        TABLE.iter().find(|(from, by, _)| *from == self && *by == operation).map(|(_, _, to)| *to)
    }

    /// Its name, as it is written everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Unconfigured => "Unconfigured",
            ConfiguringRoles => "ConfiguringRoles",
            RolesConfigured => "RolesConfigured",
            OperationError => "OperationError",
            ReloadingRoles => "ReloadingRoles",
            ReloadError => "ReloadError",
            Stuck => "Stuck",
            Stopping => "Stopping",
            Stopped => "Stopped",
        }
    }

    /// The state of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

impl Operation {
    /// Every operation.
    pub const ALL: [Operation; 9] =
        [Apply, Applied, ApplyFailed, Reload, Reloaded, ReloadFailed, ReloadStuck, Stop, StopEnded];

    /// Its name in one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Apply => "apply",
            Applied => "applied",
            ApplyFailed => "apply_failed",
            Reload => "reload",
            Reloaded => "reloaded",
            ReloadFailed => "reload_failed",
            ReloadStuck => "reload_stuck",
            Stop => "stop",
            StopEnded => "stop_ended",
        }
    }
}

impl fmt::Display for InstanceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The transitions as a diagram in Mermaid's language, for the documentation.
pub fn diagram() -> String {
    let mut text = String::from("stateDiagram-v2\n    [*] --> Unconfigured\n");
    for (from, by, to) in TABLE {
        text.push_str(&format!("    {from} --> {to}: {by}\n"));
    }
    text.push_str("    Stopped --> [*]\n");
    text
}

#[cfg(test)]
mod tests {
    use super::{InstanceState, Operation, TABLE};

    /// Every state by every operation: what the table says, and an error where it says nothing.
    #[test]
    fn sm_01_every_operation_in_every_state_is_in_the_table_or_an_error() {
        let mut allowed = Vec::new();
        for state in InstanceState::ALL {
            assert_eq!(InstanceState::from_name(state.as_str()), Some(state));
            for operation in Operation::ALL {
                if let Some(to) = state.after(operation) {
                    allowed.push(format!("{state} {operation} {to}"));
                }
            }
        }
        let table: Vec<String> = TABLE.iter().map(|(from, by, to)| format!("{from} {by} {to}")).collect();
        let sort = |mut lines: Vec<String>| {
            lines.sort();
            lines
        };
        assert_eq!(sort(allowed), sort(table), "no state has two ways by one operation");
    }

    #[test]
    fn sm_02_a_reload_of_roles_begins_in_four_states_only() {
        let may = InstanceState::ALL.into_iter().filter(|state| state.after(Operation::Reload).is_some());
        use InstanceState::*;
        assert_eq!(may.collect::<Vec<_>>(), [RolesConfigured, OperationError, ReloadError, Stuck]);
    }
}
