//! What an engine shows of itself.

use serde::Serialize;

use crate::board::Trouble;
use crate::role::{InstanceState, RoleInfo};
use crate::version::Version;

/// What the engine is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineState {
    /// Serving; no reload runs.
    #[default]
    Idle,
    /// A reload runs.
    Reloading,
    /// A reload failed and part of its undo did too; what is live may have damaged state.
    Stuck,
    /// It shuts down: nothing new is let in.
    Stopping,
    /// It is shut down.
    Stopped,
}

/// One module.
#[derive(Clone, Debug, Serialize)]
pub struct ModuleStatus {
    /// Its name.
    pub name: String,
    /// Its backend.
    pub backend: String,
    /// Its version, if it registered one.
    pub version: Option<Version>,
    /// The generation it was born in.
    pub generation: u64,
    /// Calls in flight that entered through it, in any generation of it.
    pub in_flight: usize,
    /// Calls that wait at its gate.
    pub waiting: usize,
    /// Its tasks that have not ended.
    pub tasks: usize,
    /// How old its state is, in milliseconds: reloads carry it over.
    pub state_age_ms: u64,
    /// Older generations of it that are still in memory, and what holds each.
    pub held: Vec<Held>,
}

/// An old generation that outlives its reload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Held {
    /// The generation it was born in.
    pub born: u64,
    /// What holds it.
    pub by: Vec<String>,
}

/// The verdict on an old generation of a module that outlives its reload for longer than what old code owns may take
/// to be released ([`Limits::retire`](crate::Limits)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Leak {
    /// The module; it may be live no more.
    pub module: String,
    /// The generation it was born in.
    pub born: u64,
    /// What holds it now.
    pub by: Vec<String>,
}

/// How the last reload ended.
#[derive(Clone, Debug, Serialize)]
pub struct LastReload {
    /// `committed`, `unchanged`, `refused`, `rolled_back` or `stuck`.
    pub result: String,
    /// The code of the error.
    pub code: Option<String>,
    /// The module at fault.
    pub module: Option<String>,
    /// The error in words.
    pub message: Option<String>,
}

/// One registered role.
#[derive(Clone, Debug, Serialize)]
pub struct RoleStatus {
    /// What it declares.
    #[serde(flatten)]
    pub info: RoleInfo,
    /// The backend of its module.
    pub backend: String,
    /// It is to run: asked for, permanent, or depended on by one that is.
    pub enabled: bool,
    /// It runs.
    pub running: bool,
}

/// The roles of an engine.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RolesStatus {
    /// What they are doing.
    pub state: InstanceState,
    /// Why the state is one of failure.
    pub trouble: Option<Trouble>,
    /// Reloading them is forbidden, for ever or at the moment.
    pub reload_forbidden: bool,
    /// The roles, each after its dependencies.
    pub roles: Vec<RoleStatus>,
}

/// What an engine shows of itself.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// What it is doing.
    pub state: EngineState,
    /// The live generation.
    pub generation: u64,
    /// How many generations have code in memory: the live one, and those of which something is held.
    pub generations: usize,
    /// How many calls have had to wait at a gate since the engine was built.
    pub calls_held: u64,
    /// The live modules, by name.
    pub modules: Vec<ModuleStatus>,
    /// Old generations that outlive their reload, and what holds each.
    pub leaks: Vec<Leak>,
    /// Code that has kept an interpreter from everybody else for more than a second.
    pub kept: Vec<KeptStatus>,
    /// How the last reload ended.
    pub last_reload: Option<LastReload>,
    /// The roles.
    pub roles: RolesStatus,
}

/// Code that keeps an interpreter which others wait for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeptStatus {
    /// The backend whose interpreter it is.
    pub backend: String,
    /// The module whose code it is, if that is known.
    pub module: Option<String>,
    /// For how long, in milliseconds.
    pub lasts_ms: u64,
    /// The same in words.
    pub message: String,
}
