//! Why a reload failed.

mod told;

use std::time::Duration;

use crate::error::{Code, Place, ScriptError};
use crate::event::Phase;
use crate::lifecycle::Hook;
use crate::migration::{MigrationStep, Migrations};
use crate::report::{Outcome, Report};
use crate::role::RoleError;
use crate::source::Name;

/// Why a reload failed. Boxed causes keep the variants small.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReloadErrorKind {
    /// A source cannot be read.
    #[error("cannot read module `{module}`: {reason}")]
    Unreadable {
        /// The module.
        module: Name,
        /// Why.
        reason: String,
    },
    /// No backend of this name is there.
    #[error("module `{module}` ({origin}) wants backend `{backend}`, which this engine does not have")]
    NoBackend {
        /// The module.
        module: Name,
        /// Its source.
        origin: String,
        /// The backend asked for.
        backend: String,
    },
    /// Something required is nowhere.
    #[error("module `{module}` is missing: required by {by}; searched {}", .searched.join(", "))]
    Missing {
        /// The module that is missing.
        module: Name,
        /// Who requires it, with the place.
        by: String,
        /// The place of that require.
        place: Option<Place>,
        /// What was looked at.
        searched: Vec<String>,
    },
    /// Requires that run at load form a cycle.
    #[error("requires form a cycle: {}", .path.iter().map(|n| n.as_str()).collect::<Vec<_>>().join(" -> "))]
    Cycle {
        /// The cycle; first and last are the same module.
        path: Vec<Name>,
    },
    /// A source does not compile, or its top level failed.
    #[error("module `{module}` cannot be loaded")]
    Load {
        /// The module.
        module: Name,
        /// What the script failed with.
        #[source]
        error: ScriptError,
    },
    /// A hook failed.
    #[error("hook `{hook}` of module `{module}` failed: {message}{}", past(*hook))]
    Hook {
        /// The module.
        module: Name,
        /// Which hook.
        hook: Hook,
        /// What it failed with.
        message: String,
        /// Where.
        place: Option<Place>,
    },
    /// A hook took longer than its share.
    #[error("hook `{hook}` of module `{module}` ran longer than {budget:?}{}", past(*hook))]
    HookTimeout {
        /// The module.
        module: Name,
        /// Which hook.
        hook: Hook,
        /// How long it may run.
        budget: Duration,
        /// Where it was then, if that is known.
        place: Option<Place>,
    },
    /// A step of a migration failed.
    #[error("migration {step} of module `{module}` failed: {message}")]
    Migration {
        /// The module.
        module: Name,
        /// Which step, in the direction it was taken.
        step: Box<MigrationStep>,
        /// What it failed with.
        message: String,
        /// Where.
        place: Option<Place>,
    },
    /// A step of a migration took longer than a hook may.
    #[error("migration {step} of module `{module}` ran longer than {budget:?}")]
    MigrationTimeout {
        /// The module.
        module: Name,
        /// Which step, in the direction it was taken.
        step: Box<MigrationStep>,
        /// How long it may run.
        budget: Duration,
        /// Where it was then, if that is known.
        place: Option<Place>,
    },
    /// Migrations are declared, and none leads from the live version to the new one.
    #[error("no migration takes module `{module}` from {} to {}; declared: {declared}", .step.from, .step.to)]
    NoMigration {
        /// The module.
        module: Name,
        /// From which version to which.
        step: Box<MigrationStep>,
        /// What there is.
        declared: Migrations,
    },
    /// Migrations are declared, and none leads back to the lower version.
    #[error(
        "no migration takes module `{module}` back from {} to {}; declared: {declared}; \
         `force` takes the state as it is", .step.from, .step.to
    )]
    NoWayBack {
        /// The module.
        module: Name,
        /// From which version to which.
        step: Box<MigrationStep>,
        /// What there is.
        declared: Migrations,
    },
    /// A module's state could not be copied.
    #[error("the state of module `{module}` cannot be checkpointed: {reason}")]
    Checkpoint {
        /// The module.
        module: Name,
        /// Why.
        reason: String,
    },
    /// Calls in flight outlasted the drain deadline.
    #[error("calls in flight in {} outlasted the drain deadline of {deadline:?}", .holders.join(", "))]
    DrainTimeout {
        /// What still runs.
        holders: Vec<String>,
        /// The deadline.
        deadline: Duration,
    },
    /// An old generation of a module is still held, so a third may not be made.
    #[error("an old generation of module `{module}` is still held by {}", .holders.join(", "))]
    StillHeld {
        /// The module.
        module: Name,
        /// What holds it.
        holders: Vec<String>,
    },
    /// New edges into the set kept appearing while it was staged.
    #[error("module `{module}` keeps gaining dependents while it is being staged")]
    Unsettled {
        /// The module.
        module: Name,
    },
    /// Two modules register the same thing.
    #[error("{kind} `{}` is registered by both `{first}` and `{second}`{}", .keys.0, spelled(keys))]
    Clash {
        /// What kind of thing.
        kind: String,
        /// Its key, as each of them wrote it.
        keys: (String, String),
        /// One module.
        first: Name,
        /// The other.
        second: Name,
    },
    /// A module that is to leave is still required.
    #[error("module `{module}` is still required by {}", .dependents.iter().map(|n| n.as_str()).collect::<Vec<_>>().join(", "))]
    InUse {
        /// The module.
        module: Name,
        /// Who requires it.
        dependents: Vec<Name>,
    },
    /// A name that no live module has.
    #[error("no module `{module}` is loaded")]
    NoModule {
        /// The name.
        module: Name,
    },
    /// The plan to apply was made for other sources.
    #[error("the plan is stale: sources changed since it was made")]
    StalePlan,
    /// Another reload runs and this one was asked not to wait.
    #[error("another reload is running")]
    Busy,
    /// `reload` was called from inside a hook of a running reload.
    #[error("reload was called inside a reload's own hook; the running reload goes on")]
    Nested,
    /// The engine itself panicked: a bug of `graceful`.
    #[error("the engine panicked: {message}")]
    Internal {
        /// What the panic said.
        message: String,
    },
    /// The engine is shut down, or was while the reload ran.
    #[error("the engine is shut down")]
    Stopped,
    /// Code of a module keeps its thread, and nothing can interrupt it.
    #[error(
        "the {what} of module `{module}` runs code that cannot be interrupted: given up after {lasts:.1?}"
    )]
    Hung {
        /// The module.
        module: Name,
        /// What of it: `top level`, a hook's name.
        what: &'static str,
        /// For how long, when that was found.
        lasts: Duration,
    },
    /// Something is wrong with the roles in it.
    #[error("{0}")]
    Role(Box<RoleError>),
    /// Whoever drove the reload went away.
    #[error("the reload was dropped before it was done")]
    Abandoned,
}

/// The other spelling of a key that two modules register.
fn spelled(keys: &(String, String)) -> String {
    if keys.0 == keys.1 {
        String::new()
    } else {
        format!(", which writes it `{}`: both match the same", keys.1)
    }
}

/// The one hook that no edit mends, for it is the live code's.
fn past(hook: Hook) -> &'static str {
    match hook {
        Hook::BeforeReload => "; it is the live code's: reload with `forgive_before_reload` to go on past it",
        _ => "",
    }
}

/// A failed reload: why, in which phase, and the report of what was done and undone.
#[derive(Clone, Debug, thiserror::Error)]
#[error("reload failed in {}: {kind}", .phase.as_str())]
pub struct ReloadError {
    /// Why.
    #[source]
    pub kind: Box<ReloadErrorKind>,
    /// In which phase.
    pub phase: Phase,
    /// What was done and undone.
    pub report: Box<Report>,
    /// What could not be undone; empty unless the outcome is [`Outcome::Stuck`].
    pub left: Vec<String>,
}

impl ReloadError {
    /// The stable code: `GR0100` where the undo failed too, else that of the cause.
    pub fn code(&self) -> Code {
        if self.is_stuck() { Code("GR0100") } else { self.kind.code() }
    }

    /// Whose fault it was.
    pub fn module(&self) -> Option<&Name> {
        self.kind.module()
    }

    /// Whether part of the undo failed, so that the old code may serve with damaged state.
    pub fn is_stuck(&self) -> bool {
        self.report.outcome == Outcome::Stuck
    }

    /// Whether the same reload may succeed later without any source changing.
    pub fn is_retryable(&self) -> bool {
        use ReloadErrorKind::*;
        if let Role(error) = &*self.kind {
            return error.is_retryable();
        }
        matches!(
            *self.kind,
            DrainTimeout { .. }
                | StillHeld { .. }
                | Unsettled { .. }
                | Hung { .. }
                | Busy
                | Nested
                | Abandoned
        )
    }
}
