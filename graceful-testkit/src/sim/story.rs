//! A history as data: who is in it, and what happens, step by step. It is drawn from a seed, played, made smaller
//! when it goes wrong, and told in words.

use serde::{Deserialize, Serialize};

/// How many modules a story can have. A module requires only ones with a smaller number.
pub const MODULES: usize = 6;
/// How many of them are there from the start.
pub(super) const PRESENT: usize = 5;
/// How many roles a story can have. A role depends only on ones with a smaller number.
pub const ROLES: usize = 3;

/// The name of a module.
pub(super) fn name(at: usize) -> String {
    format!("m{at}")
}

/// The name of a role, and of its module.
pub(super) fn role_name(at: usize) -> String {
    format!("r{at}")
}

/// What is wrong with a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wrong {
    /// Nothing is.
    #[default]
    Nothing,
    /// It does not parse.
    Syntax,
    /// Its top level throws.
    Top,
    /// Its `init` throws.
    Init,
    /// Its `before_reload` throws.
    Before,
    /// Its `after_reload` throws.
    After,
    /// Its `after_reload` does not end.
    Hangs,
    /// It requires a module that does not exist.
    Missing,
    /// It wants the route of another module.
    Clash,
    /// One of its migrations is missing.
    NoStep,
    /// One of its migrations throws.
    Step,
}

/// How a module's state is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protect {
    /// By a checkpoint.
    #[default]
    Auto,
    /// By its own `rollback`.
    Own,
}

/// One version of one module.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    /// The modules it requires, by number.
    pub requires: Vec<usize>,
    /// It has `before_reload`.
    pub before: bool,
    /// It has `after_reload`.
    pub after: bool,
    /// How its state is protected.
    pub protect: Protect,
    /// It asks to be drained.
    pub drain: bool,
    /// The form of its state: its version is `form.0.0`.
    pub form: u64,
    /// How long its slow function takes, in milliseconds.
    pub slow: u64,
    /// What is wrong with it.
    pub wrong: Wrong,
}

/// What is wrong with a role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RoleWrong {
    /// Nothing is.
    #[default]
    Nothing,
    /// It does not parse.
    Syntax,
    /// It takes no configuration.
    Validate,
    /// Its `init` throws.
    Init,
    /// Its `apply_config` throws.
    Apply,
    /// Its `stop` throws.
    Stop,
}

/// One version of one role.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RoleShape {
    /// The roles it depends on, by number.
    pub depends: Vec<usize>,
    /// What is wrong with it.
    pub wrong: RoleWrong,
}

/// A function of a module that is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Function {
    /// Says which versions it and everything it calls are of, waiting in between.
    Slow,
    /// Writes to the state.
    Hit,
    /// Asks for a reload.
    Deploy,
    /// Calls another module that asks for one.
    Order,
    /// Starts a task.
    Spawn,
    /// Cancels the task that is kept in the state.
    Cancel,
}

/// How a reload is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct How {
    /// Everything, changed or not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
    /// Calls that outlast the drain are cancelled.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancel: bool,
    /// A failing `before_reload` is forgiven.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forgive: bool,
    /// As a check only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub check: bool,
    /// What changed is told, as a watcher does, and everything else is let be.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub told: bool,
    /// The roles, from a clean slate.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub roles: bool,
    /// Once everything under way has ended; then nothing else happens until it is over, and the model says how it
    /// must end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub quiet: bool,
    /// While another one runs: 0 waits, 1 joins, 2 is refused.
    #[serde(default)]
    pub busy: u8,
}

/// Where a fault comes, and at which passing from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Trouble {
    /// Staging fails.
    Stage,
    /// A copy of a state fails.
    Checkpoint,
    /// An `init` fails after it did its work.
    Init,
    /// A `before_reload` fails after it did its work.
    Before,
    /// An `after_reload` fails after it did its work.
    After,
    /// A step of a migration fails after it did its work.
    Migration,
    /// A migrated state cannot be poured in.
    Pour,
}

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Act {
    /// The source of a module is written; a module that is not there is added.
    Write(usize, Shape),
    /// Nothing is wrong with a module's source any more.
    Mend(usize),
    /// The text before the last one comes back.
    Revert(usize),
    /// A source is taken away.
    Remove(usize),
    /// A source comes under the name of a module that is not there.
    Rename(usize, usize),
    /// A module is unregistered; its source stays.
    Unregister(usize),
    /// A function is called.
    Call(usize, Function),
    /// A reload is asked for.
    Reload(How),
    /// Whoever waits for the oldest running reload goes away.
    Drop,
    /// The next faults.
    Fault(Trouble, u64),
    /// The source of a role is written.
    WriteRole(usize, RoleShape),
    /// The roles are registered.
    Cfg,
    /// A configuration is applied: its number, and which roles are enabled.
    Apply(u64, Vec<usize>),
    /// Reloading roles is forbidden.
    Forbid,
    /// Reloading roles is allowed.
    Allow,
    /// The engine shuts down. Nothing else happens afterwards.
    Shutdown,
    /// Nothing happens.
    Nothing,
}

/// One step of a story.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// What happens.
    pub act: Act,
    /// How long it is quiet afterwards, in milliseconds.
    pub then: u64,
}

/// A module as it is at the start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// It is in the second language.
    pub other: bool,
    /// It keeps a task in its state, from its `init` on.
    pub keeps: bool,
    /// Its state is not protected at all, and its hooks write nothing.
    #[serde(default)]
    pub bare: bool,
    /// Its first version.
    pub shape: Shape,
}

/// A history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Story {
    /// Decides in which order tasks that are ready run.
    pub seed: u64,
    /// The modules, some of which come later.
    pub parts: Vec<Part>,
    /// The roles, if it has any.
    pub roles: Vec<RoleShape>,
    /// What happens.
    pub steps: Vec<Step>,
}
