//! What an engine shows of itself.

use serde::Serialize;

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
    /// Its tasks that have not ended.
    pub tasks: usize,
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

/// What an engine shows of itself.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// What it is doing.
    pub state: EngineState,
    /// The live generation.
    pub generation: u64,
    /// The live modules, by name.
    pub modules: Vec<ModuleStatus>,
    /// How the last reload ended.
    pub last_reload: Option<LastReload>,
}
