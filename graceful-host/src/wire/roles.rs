//! The roles of an app and their configuration.

use graceful_core::role::ApplyReport;
use graceful_core::status::RolesStatus;
use graceful_core::{ConfigChange, RoleError, Value};
use serde::{Deserialize, Serialize};

use super::{Failure, SCHEMA_VERSION, word_fields};
use crate::roles::kept::Applied;

/// The registered roles.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RolesReply {
    /// See [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The roles.
    #[serde(flatten)]
    pub roles: RolesShown,
}

/// What roles there are and what they do.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RolesShown {
    /// `Unconfigured`, `ConfiguringRoles`, `RolesConfigured`, `OperationError`, `ReloadingRoles`, `ReloadError`,
    /// `Stuck`, `Stopping` or `Stopped`.
    pub state: String,
    /// Why the state is one of failure.
    pub trouble: Option<TroubleReply>,
    /// Reloading roles is forbidden, for ever or at the moment.
    pub reload_forbidden: bool,
    /// Each after its dependencies.
    pub roles: Vec<RoleReply>,
}

/// What the last failure of the roles was.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TroubleReply {
    /// The stable code.
    pub code: String,
    /// The error in words.
    pub message: String,
    /// The phase of the reload it failed in; none if a configuration was applied.
    pub phase: Option<String>,
    /// The generation that serves.
    pub generation: u64,
}

/// One registered role.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RoleReply {
    /// Its name.
    pub name: String,
    /// Its module.
    pub module: String,
    /// The backend of that.
    pub backend: String,
    /// The modules of the roles it depends on.
    pub dependencies: Vec<String>,
    /// It is on everywhere, and hidden.
    pub permanent: bool,
    /// It is not listed.
    pub hidden: bool,
    /// A JSON Schema of its section of the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_schema: Option<Value>,
    /// What it is called back for.
    pub callbacks: Vec<String>,
    /// It is to run.
    pub enabled: bool,
    /// It runs.
    pub running: bool,
}

/// The names of roles.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamesRequest {
    /// The names.
    pub names: Vec<String>,
}

/// A configuration to be looked at or applied.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigRequest {
    /// The document.
    pub config: Value,
    /// Whether this instance is the one that writes; it stays what it is unless this is said.
    #[serde(default)]
    pub master: Option<bool>,
}

/// The configuration that is active.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConfigReply {
    /// See [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The document.
    pub config: Value,
    /// The roles that were asked for.
    pub enabled: Vec<String>,
    /// What roles are told besides.
    pub opts: Value,
    /// `applied` if it is kept and the next start applies it, else `manifest`.
    pub source: String,
    /// What is worth knowing.
    pub warnings: Vec<String>,
}

/// What is different in another configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DiffReply {
    /// See [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The differences, by path.
    pub changes: Vec<ChangeReply>,
}

/// One difference.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChangeReply {
    /// Where: the keys, with dots between them.
    pub path: String,
    /// What is active.
    pub old: Option<Value>,
    /// What would be.
    pub new: Option<Value>,
}

/// What came of a configuration that was checked or applied.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ApplyReply {
    /// See [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Whether nothing failed.
    pub ok: bool,
    /// The state of the roles now.
    pub state: String,
    /// What was done with each role, in order; nothing if it was only checked.
    pub roles: Vec<RoleDone>,
    /// What is worth knowing and failed nothing.
    pub warnings: Vec<String>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// What became of one role.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RoleDone {
    /// The role.
    pub role: String,
    /// Its module.
    pub module: String,
    /// `started`, `applied`, `stopped`, `failed` or `skipped`.
    pub did: String,
    /// Whether it runs now.
    pub running: bool,
    /// What it failed with, or which role it was skipped for.
    pub error: Option<String>,
    /// The code of that.
    pub code: Option<String>,
}

impl RolesShown {
    pub(crate) fn new(status: &RolesStatus) -> Self {
        word_fields(status)
    }
}

impl RolesReply {
    pub(crate) fn new(status: &RolesStatus) -> Self {
        Self { schema_version: SCHEMA_VERSION, roles: RolesShown::new(status) }
    }
}

impl ConfigReply {
    pub(crate) fn new(active: Applied, kept: bool, warnings: Vec<String>) -> Self {
        let Applied { config, enabled, opts } = active;
        let source = if kept { "applied" } else { "manifest" }.to_owned();
        let config = config.document().clone();
        Self { schema_version: SCHEMA_VERSION, config, enabled, opts, source, warnings }
    }
}

impl DiffReply {
    pub(crate) fn new(changes: &[ConfigChange]) -> Self {
        Self { schema_version: SCHEMA_VERSION, changes: word_fields(&changes) }
    }
}

impl ApplyReply {
    pub(crate) fn new(
        result: Result<Option<ApplyReport>, RoleError>,
        status: &RolesStatus,
        failure: impl FnOnce(&RoleError) -> Failure,
    ) -> Self {
        let told = result.as_ref().err().map(failure);
        let report = match result {
            Ok(report) => report,
            Err(RoleError::Partly { report }) => Some(*report),
            Err(_) => None,
        };
        Self {
            schema_version: SCHEMA_VERSION,
            ok: told.is_none(),
            state: status.state.to_string(),
            roles: report.as_ref().map(|report| word_fields(&report.roles)).unwrap_or_default(),
            warnings: report.map(|report| report.warnings).unwrap_or_default(),
            failure: told,
        }
    }

    /// It was not even tried.
    pub(crate) fn refused(failure: Failure, status: &RolesStatus) -> Self {
        let mut reply = Self::new(Ok(None), status, |_| unreachable!("nothing failed"));
        reply.failed(failure);
        reply
    }

    pub(crate) fn failed(&mut self, failure: Failure) {
        (self.ok, self.failure) = (false, Some(failure));
    }
}

impl Failure {
    /// A configuration or an operation that roles refused, or that part of them failed at.
    pub(crate) fn role(error: &RoleError, generation: u64) -> Self {
        let outcome = if matches!(error, RoleError::Partly { .. }) { "failed" } else { "refused" };
        Self {
            outcome: outcome.to_owned(),
            module: error.module().map(ToString::to_string),
            place: error.place().cloned().map(Box::new),
            retryable: error.is_retryable(),
            ..Self::refused(&error.code().to_string(), error.to_string(), generation)
        }
    }
}
