//! The one stream of events: log lines, metrics, history, reports and test traces are readers of it.

mod stream;

use std::time::Duration;

use serde::Serialize;

use crate::lifecycle::Hook;
use crate::migration::MigrationStep;
use crate::plan::Step;
use crate::role::{Callback, InstanceState};
use crate::source::Name;
use crate::version::Version;
pub use stream::Events;

/// The phases of a reload, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Hash the sources, widen to dependents, order both ways. Touches nothing.
    Plan,
    /// Compile, and run the new top levels beside the live generation. Touches nothing live.
    Stage,
    /// Check what was staged. Touches nothing live.
    Validate,
    /// Shut the gates of the modules that need it and wait for calls in flight.
    Drain,
    /// Checkpoints, and the old `before_reload`, dependents first.
    Suspend,
    /// The new `init` and `after_reload`, dependencies first.
    Activate,
    /// One store of one number: the point of no return.
    Commit,
    /// Release what old code owned. Reported, never undone.
    Retire,
}

impl Phase {
    /// The phase as one lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Plan => "plan",
            Phase::Stage => "stage",
            Phase::Validate => "validate",
            Phase::Drain => "drain",
            Phase::Suspend => "suspend",
            Phase::Activate => "activate",
            Phase::Commit => "commit",
            Phase::Retire => "retire",
        }
    }
}

/// What a reload was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// To make what the sources say live.
    #[default]
    Reload,
    /// To say whether it would be refused, only.
    Check,
    /// To load modules that a call requires, and to read no other source.
    Load,
    /// To unregister modules, and to read no source.
    Unregister,
}

/// What happened.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// A reload began.
    ReloadStarted,
    /// The plan is made.
    Planned {
        /// Its steps.
        steps: Vec<Step>,
    },
    /// A phase began.
    PhaseStarted {
        /// Which.
        phase: Phase,
    },
    /// A phase ended, well or not.
    PhaseEnded {
        /// Which.
        phase: Phase,
        /// How long it took.
        took: Duration,
        /// Whether the reload goes on.
        ok: bool,
    },
    /// A module's new code ran beside the live one.
    Staged {
        /// The module.
        module: Name,
        /// The live version, if it is live.
        old: Option<Version>,
        /// The new version.
        new: Option<Version>,
        /// How long its top level took, with what it waited for.
        took: Duration,
    },
    /// The gates of these modules are shut: calls that start now wait.
    GatesShut {
        /// The modules.
        modules: Vec<Name>,
    },
    /// The gates are open again.
    GatesOpened {
        /// The modules.
        modules: Vec<Name>,
    },
    /// No call is in flight in the gated modules any more.
    Drained {
        /// How many calls were cancelled for it.
        cancelled: usize,
    },
    /// A copy of the module's state was taken.
    Checkpointed {
        /// The module.
        module: Name,
        /// How long it took.
        took: Duration,
    },
    /// A hook returned.
    HookRan {
        /// The module.
        module: Name,
        /// Which hook.
        hook: Hook,
        /// How long it took.
        took: Duration,
        /// What it failed with.
        error: Option<String>,
    },
    /// A module's state has to take these steps to get from the live version to the new one. Nothing live is
    /// touched yet.
    MigrationFound {
        /// The module.
        module: Name,
        /// The steps.
        steps: Vec<MigrationStep>,
    },
    /// A step of a migration returned.
    Migrated {
        /// The module.
        module: Name,
        /// Which step, in the direction it was taken.
        #[serde(flatten)]
        step: MigrationStep,
        /// How long it took.
        took: Duration,
        /// What it failed with.
        error: Option<String>,
    },
    /// A callback of a role returned.
    RoleCalled {
        /// The role.
        role: String,
        /// Its module.
        module: Name,
        /// Which callback.
        callback: Callback,
        /// How long it took.
        took: Duration,
        /// What it failed with.
        error: Option<String>,
    },
    /// The roles went from one state to another.
    StateChanged {
        /// The state before.
        from: InstanceState,
        /// The state now.
        to: InstanceState,
    },
    /// One journaled step was undone.
    Undone {
        /// The module.
        module: Name,
        /// What was undone.
        step: String,
        /// What the undo failed with.
        error: Option<String>,
    },
    /// The new generation is live.
    Committed {
        /// Its number.
        generation: u64,
    },
    /// Something a generation owned was given to the next one.
    HandedOver {
        /// The module.
        module: Name,
        /// What kind of thing.
        kind: String,
        /// Its key.
        key: String,
    },
    /// Something a generation owned was released.
    Released {
        /// The module.
        module: Name,
        /// What kind of thing.
        kind: String,
        /// Its key.
        key: String,
        /// How long it took.
        took: Duration,
        /// What the release failed with.
        error: Option<String>,
    },
    /// An old generation of a module was dropped.
    Purged {
        /// The module.
        module: Name,
        /// The generation it was born in.
        born: u64,
    },
    /// An old generation of a module outlives its reload for longer than what old code owns may take to be
    /// released. Once for each; [`EventKind::Purged`] follows if it goes after all.
    Leaked {
        /// The module.
        module: Name,
        /// The generation it was born in.
        born: u64,
        /// What holds it.
        by: Vec<String>,
    },
    /// Something worth knowing that fails nothing.
    Warning {
        /// The module, if it is about one.
        module: Option<Name>,
        /// The text.
        message: String,
    },
    /// The engine shuts down.
    ShutdownStarted,
    /// The engine is shut down.
    ShutdownEnded {
        /// How many calls and tasks were cancelled.
        cancelled: usize,
        /// How many steps failed.
        failed: usize,
        /// How long it took.
        took: Duration,
    },
    /// The reload ended. Exactly one for each [`EventKind::ReloadStarted`].
    ReloadEnded {
        /// `committed`, `unchanged`, `checked`, `refused`, `rolled_back` or `stuck`.
        outcome: String,
        /// The live generation now.
        generation: u64,
        /// What it was asked for: a check or a load that failed leaves nothing to be mended in what is live.
        purpose: Purpose,
        /// The module whose code asked for it, if a script did; `console` for a line that a person typed.
        by: Option<Name>,
        /// The code of the error, if it failed.
        code: Option<String>,
        /// The error in words, with its causes.
        message: Option<String>,
        /// How long it took.
        took: Duration,
    },
}

/// One event: when, in which reload, what.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// Counts every event of this engine, from 1.
    pub seq: u64,
    /// Which reload, from 1; 0 outside of one.
    pub reload: u64,
    /// The engine's clock.
    pub at: Duration,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// Reads the events, in order. Called by whoever drives the reload: be quick, do not block, call no module.
pub trait Observer: Send + Sync {
    /// One event.
    fn on_event(&self, event: &Event);
}
