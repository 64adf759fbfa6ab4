//! What goes wrong with roles.

use std::time::Duration;

use super::{ApplyReport, Callback, InstanceState, Operation};
use crate::error::{Code, Place};
use crate::near::meant;
use crate::source::Name;

/// Why something could not be done with roles.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RoleError {
    /// A module does not declare a role as it should.
    #[error("module `{module}` is no role: {reason}")]
    Declaration {
        /// The module.
        module: Name,
        /// What is wrong.
        reason: String,
    },
    /// Two modules have one role name.
    #[error("role `{role}`: modules `{first}` and `{second}` both have this name")]
    NameClash {
        /// The name.
        role: String,
        /// One module.
        first: Name,
        /// The other.
        second: Name,
    },
    /// Roles depend on each other in a ring.
    #[error("roles depend on each other in a ring: {}", .path.iter().map(|n| n.as_str()).collect::<Vec<_>>().join(" -> "))]
    Cycle {
        /// The ring, of modules; first and last are the same.
        path: Vec<Name>,
    },
    /// No role has this name.
    #[error("there is no role `{role}`{}", .near.as_deref().map(meant).unwrap_or_default())]
    Unknown {
        /// The name.
        role: String,
        /// The one that may have been meant.
        near: Option<String>,
    },
    /// The names of roles were not given as names of roles.
    #[error("the names of roles are a list of strings, or a map of names to booleans; got {got}")]
    Names {
        /// What was given.
        got: String,
    },
    /// The configuration is no document.
    #[error("a configuration is a table of sections; got {got}")]
    NoDocument {
        /// What was given.
        got: String,
    },
    /// A configuration holds what cannot be kept and read again.
    #[error("a configuration cannot hold `{path}`: {reason}")]
    Unfit {
        /// Where in the document: the keys, with dots between them.
        path: String,
        /// Why.
        reason: String,
    },
    /// The new code has no role of a name that is enabled.
    #[error("role `{role}` is enabled and the new code has no such role; module `{module}` had it")]
    Gone {
        /// The role.
        role: String,
        /// The module that had it.
        module: Name,
    },
    /// A role refuses a configuration.
    #[error("role `{role}` refuses the configuration: {message}")]
    Refused {
        /// The role.
        role: String,
        /// Its module.
        module: Name,
        /// Why.
        message: String,
        /// Where.
        place: Option<Place>,
    },
    /// A role's section of a configuration is not what its schema says.
    #[error("role `{role}` refuses the configuration: `{path}`: {expected}")]
    Schema {
        /// The role.
        role: String,
        /// Its module.
        module: Name,
        /// Where in the document: the keys, with dots between them.
        path: String,
        /// What was expected there.
        expected: String,
    },
    /// A callback failed.
    #[error("{callback} of role `{role}` failed: {message}")]
    Callback {
        /// The role.
        role: String,
        /// Its module.
        module: Name,
        /// Which callback.
        callback: Callback,
        /// What it failed with.
        message: String,
        /// Where.
        place: Option<Place>,
    },
    /// A callback took longer than it may.
    #[error("{callback} of role `{role}` ran longer than {budget:?}")]
    Timeout {
        /// The role.
        role: String,
        /// Its module.
        module: Name,
        /// Which callback.
        callback: Callback,
        /// How long it may run.
        budget: Duration,
        /// Where the script was, where it was stopped as it computed.
        place: Option<Place>,
    },
    /// Part of the roles failed; the others run.
    #[error("the configuration was applied in part: {}", .report.failures())]
    Partly {
        /// What became of each.
        report: Box<ApplyReport>,
    },
    /// The application never allows its roles to be reloaded.
    #[error(
        "this application does not allow its roles to be reloaded: set `reload_allowed = true` under `[roles]` in graceful.toml, or call `roles().set_reload_allowed(true)` in Rust"
    )]
    Banned,
    /// `forbid_reload` was called.
    #[error("reloading roles is forbidden at the moment; `allow_reload` allows it again")]
    Forbidden,
    /// It cannot be done in this state.
    #[error("{operation} is not possible in state {state}")]
    State {
        /// What was asked for.
        operation: Operation,
        /// What the roles are doing.
        state: InstanceState,
    },
    /// A script called a function of roles wrongly.
    #[error("{function}: {reason}")]
    Use {
        /// The function.
        function: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A state that was waited for did not come.
    #[error("the state is {state}, and was not {wanted} within {timeout:?}")]
    Awaited {
        /// What was waited for.
        wanted: InstanceState,
        /// What the state was then.
        state: InstanceState,
        /// For how long.
        timeout: Duration,
    },
    /// It was asked for inside of a callback or a hook.
    #[error("this was called inside a callback of a role, or a hook; what runs goes on")]
    Nested,
    /// A reload or another apply took too long to wait for.
    #[error("a reload, or another configuration being applied, took too long to wait for")]
    Busy,
    /// Nothing came of it: the engine is gone.
    #[error("the engine is shut down")]
    Stopped,
}

impl RoleError {
    /// The stable code.
    pub fn code(&self) -> Code {
        use RoleError::*;
        Code(match self {
            Declaration { .. } => "GR0501",
            NameClash { .. } => "GR0502",
            Cycle { .. } => "GR0503",
            Unknown { .. } => "GR0504",
            Names { .. } => "GR0505",
            NoDocument { .. } => "GR0516",
            Unfit { .. } => "GR0520",
            Schema { .. } => "GR0517",
            Gone { .. } => "GR0506",
            Refused { .. } => "GR0507",
            Callback { .. } => "GR0508",
            Timeout { .. } => "GR0509",
            Partly { .. } => "GR0510",
            Banned => "GR0511",
            Forbidden => "GR0512",
            State { .. } => "GR0513",
            Nested => "GR0514",
            Busy => "GR0515",
            Use { .. } => "GR0518",
            Awaited { .. } => "GR0519",
            Stopped => "GR0119",
        })
    }

    /// The class of the error as the roles of Cartridge have it.
    pub fn class(&self) -> &'static str {
        use RoleError::*;
        match self {
            Declaration { .. } | NameClash { .. } | Cycle { .. } => "RegisterRoleError",
            Unknown { .. } | Names { .. } | Use { .. } => "RoleError",
            NoDocument { .. } | Unfit { .. } | Refused { .. } | Schema { .. } => "ValidateConfigError",
            Callback { .. } | Timeout { .. } | Partly { .. } => "ApplyConfigError",
            Gone { .. } | Banned | Forbidden | Nested | Stopped => "HotReloadError",
            State { .. } | Busy | Awaited { .. } => "StateError",
        }
    }

    /// The module at fault.
    pub fn module(&self) -> Option<&Name> {
        use RoleError::*;
        match self {
            Declaration { module, .. }
            | Gone { module, .. }
            | Refused { module, .. }
            | Schema { module, .. }
            | Callback { module, .. }
            | Timeout { module, .. } => Some(module),
            NameClash { second, .. } => Some(second),
            Cycle { path } => path.first(),
            _ => None,
        }
    }

    /// Where a script failed.
    pub fn place(&self) -> Option<&Place> {
        match self {
            RoleError::Refused { place, .. }
            | RoleError::Callback { place, .. }
            | RoleError::Timeout { place, .. } => place.as_ref(),
            _ => None,
        }
    }

    /// Whether the same may succeed later without any source or configuration changing.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            RoleError::Forbidden
                | RoleError::State { .. }
                | RoleError::Busy
                | RoleError::Awaited { .. }
                | RoleError::Partly { .. }
        )
    }
}
