//! How long things may take.

use std::time::Duration;

/// How long things may take. What a call waits must be longer than the exclusive part of a reload, so that a
/// reload that fails in time loses no call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The top level of one module, while it is staged.
    pub stage: Duration,
    /// From the shutting of the gates to the commit.
    pub exclusive: Duration,
    /// One hook; less if the exclusive part has less left.
    pub hook: Duration,
    /// A call at a shut gate.
    pub call_wait: Duration,
    /// How long a reload waits for an old generation of its modules that is still held.
    pub held_wait: Duration,
    /// The release of one resource and one `finalize`, after the commit.
    pub retire: Duration,
    /// One callback of a role outside of a reload: its `init`, `apply_config`, `stop`.
    pub role: Duration,
    /// How often a plan is widened because an edge into it was born while it was staged.
    pub widen: usize,
    /// How much longer than it may a top level or a hook can keep its thread before the reload is said to be stuck:
    /// it runs code that nothing interrupts.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            stage: Duration::from_secs(5),
            exclusive: Duration::from_secs(4),
            hook: Duration::from_secs(2),
            call_wait: Duration::from_secs(5),
            held_wait: Duration::from_secs(1),
            retire: Duration::from_secs(5),
            role: Duration::from_secs(10),
            widen: 3,
            grace: Duration::from_secs(1),
        }
    }
}
