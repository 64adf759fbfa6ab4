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
}

impl Bug {
    /// Every one.
    pub const ALL: [Bug; 6] = [
        Bug::RollbackOrder,
        Bug::ShallowDependents,
        Bug::StateNotRestored,
        Bug::GlobalVisible,
        Bug::MigrationKept,
        Bug::EarlyCommit,
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
