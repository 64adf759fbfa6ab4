//! Bugs planted on purpose, so that it can be proved that the conformance suite finds them. Without the
//! feature `planted`, which no release has, every one of them is absent at compile time.

/// A bug that can be planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// The journal is undone first to last.
    RollbackOrder,
    /// The reload set takes in direct dependents only.
    ShallowDependents,
    /// A checkpoint is taken and never restored.
    StateNotRestored,
    /// A global that staged code sets is seen by live code. Planted in the adapters.
    GlobalVisible,
    /// What a migration poured into a state stays there after a failed reload.
    MigrationKept,
    /// The new generation is live before its `after_reload` ran.
    EarlyCommit,
    /// `finalize` of what leaves runs twice.
    FinalizeTwice,
    /// `finalize` of what leaves does not run.
    RemovedNotFinalized,
    /// `init` runs at every reload.
    InitAtReload,
    /// What `init` did in a reload that fails is not undone.
    InitNotUndone,
    /// A checkpoint is taken after the old hook.
    LateCheckpoint,
    /// A task of old code is not cancelled.
    TaskKept,
    /// What old code owns is released twice.
    ReleasedTwice,
    /// A task that is kept in the state is not taken over.
    HandoverLost,
    /// A route of a module that left stays.
    RouteKept,
    /// A call in flight gets new code from what it requires.
    CallMoved,
    /// The drain waits for nobody.
    DrainDoesNotWait,
    /// Every step of a migration is taken twice.
    MigratedTwice,
    /// A failed reload forgets what it was to look at, so that the next one skips it.
    FailureForgotten,
    /// A reload of what changed does not ask whether its roles may be reloaded.
    ForbidIgnored,
    /// Only the first role gets the configuration in a reload.
    ConfigHalf,
    /// Roles are stopped dependencies first.
    RoleStopOrder,
    /// The roles that a failed reload has stopped are not started again.
    RolesStayStopped,
    /// A failed reload says twice that it ended.
    TwoEnds,
    /// A reload that was dropped leaves the gates shut.
    GateLeftShut,
}

impl Bug {
    /// Every one.
    pub const ALL: [Bug; 25] = [
        Bug::RollbackOrder,
        Bug::ShallowDependents,
        Bug::StateNotRestored,
        Bug::GlobalVisible,
        Bug::MigrationKept,
        Bug::EarlyCommit,
        Bug::FinalizeTwice,
        Bug::RemovedNotFinalized,
        Bug::InitAtReload,
        Bug::InitNotUndone,
        Bug::LateCheckpoint,
        Bug::TaskKept,
        Bug::ReleasedTwice,
        Bug::HandoverLost,
        Bug::RouteKept,
        Bug::CallMoved,
        Bug::DrainDoesNotWait,
        Bug::MigratedTwice,
        Bug::FailureForgotten,
        Bug::ForbidIgnored,
        Bug::ConfigHalf,
        Bug::RoleStopOrder,
        Bug::RolesStayStopped,
        Bug::TwoEnds,
        Bug::GateLeftShut,
    ];
}

/// Whether `bug` is planted in this process.
#[cfg(not(feature = "planted"))]
pub const fn is_planted(_: Bug) -> bool {
    false
}

/// Plants `bug`, or none. Says whether it could: not without the feature.
#[cfg(not(feature = "planted"))]
pub const fn plant(_: Option<Bug>) -> bool {
    false
}

#[cfg(feature = "planted")]
mod switch {
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::Bug;

    static PLANTED: AtomicU8 = AtomicU8::new(0);

    /// Whether `bug` is planted in this process.
    pub fn is_planted(bug: Bug) -> bool {
        PLANTED.load(Ordering::Relaxed) == bug as u8 + 1
    }

    /// Plants `bug`, or none. Says whether it could.
    pub fn plant(bug: Option<Bug>) -> bool {
        PLANTED.store(bug.map_or(0, |bug| bug as u8 + 1), Ordering::Relaxed);
        true
    }
}

#[cfg(feature = "planted")]
pub use switch::{is_planted, plant};
