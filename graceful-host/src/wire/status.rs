//! What a host shows of itself.

use graceful_core::Status;
use serde::{Deserialize, Serialize};

use super::{RolesShown, SCHEMA_VERSION, word_fields};

/// What a host shows of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StatusReply {
    /// See [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The app's name.
    pub name: String,
    /// The app's folder.
    pub root: String,
    /// The host's process.
    pub pid: u32,
    /// The address it serves HTTP on.
    pub listen: Option<String>,
    /// `idle`, `reloading`, `stuck`, `stopping` or `stopped`.
    pub state: String,
    /// The live generation.
    pub generation: u64,
    /// How many generations have code in memory.
    pub generations: usize,
    /// How many calls have had to wait at a gate.
    pub calls_held: u64,
    /// The live modules, by name.
    pub modules: Vec<ModuleReply>,
    /// Old generations that outlive their reload.
    pub leaks: Vec<LeakReply>,
    /// Code that has kept an interpreter from everybody else for more than a second.
    #[serde(default)]
    pub kept: Vec<KeptReply>,
    /// How the last reload ended.
    pub last_reload: Option<LastReloadReply>,
    /// The roles.
    pub roles: RolesShown,
}

/// Code that keeps an interpreter which others wait for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeptReply {
    /// The backend whose interpreter it is.
    pub backend: String,
    /// The module whose code it is, if that is known.
    pub module: Option<String>,
    /// For how long, in milliseconds.
    pub lasts_ms: u64,
    /// The same in words.
    pub message: String,
}

/// One live module.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ModuleReply {
    /// Its name.
    pub name: String,
    /// Its backend.
    pub backend: String,
    /// Its version, if it registered one.
    pub version: Option<String>,
    /// The generation it was born in.
    pub generation: u64,
    /// Calls in flight that entered through it.
    pub in_flight: usize,
    /// Calls that wait at its gate.
    pub waiting: usize,
    /// Its tasks that have not ended.
    pub tasks: usize,
    /// How old its state is, in milliseconds.
    pub state_age_ms: u64,
    /// Older generations of it that are still in memory.
    pub held: Vec<HeldReply>,
}

/// An old generation and what holds it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HeldReply {
    /// The generation it was born in.
    pub born: u64,
    /// What holds it.
    pub by: Vec<String>,
}

/// An old generation that outlives its reload, and what holds it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LeakReply {
    /// The module; it may be live no more.
    pub module: String,
    /// The generation it was born in.
    pub born: u64,
    /// What holds it.
    pub by: Vec<String>,
}

/// How the last reload ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LastReloadReply {
    /// `committed`, `unchanged`, `refused`, `rolled_back` or `stuck`.
    pub result: String,
    /// The code of the error.
    pub code: Option<String>,
    /// The module at fault.
    pub module: Option<String>,
    /// The error in words.
    pub message: Option<String>,
}

impl StatusReply {
    pub(crate) fn new(name: &str, root: &str, listen: Option<String>, status: &Status) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            name: name.to_owned(),
            root: root.to_owned(),
            pid: std::process::id(),
            listen,
            state: word_fields(&status.state),
            generation: status.generation,
            generations: status.generations,
            calls_held: status.calls_held,
            modules: word_fields(&status.modules),
            leaks: word_fields(&status.leaks),
            kept: word_fields(&status.kept),
            last_reload: word_fields(&status.last_reload),
            roles: RolesShown::new(&status.roles),
        }
    }
}
