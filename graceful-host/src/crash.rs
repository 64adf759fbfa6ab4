//! A host that kills itself at a given step, to prove that what is kept outlives it. Without the feature `crash`, which no
//! release has, all of this is absent at compile time.
//!
//! `GRACEFUL_CRASH_AT=serving:12` in its surroundings: the process gets a KILL at the twelfth step after its start. With
//! `start:12` steps are counted from its beginning.

/// A step that the process may end before.
#[cfg(not(feature = "crash"))]
pub(crate) const fn step(_: &str) {}

/// The host serves from now on.
#[cfg(not(feature = "crash"))]
pub(crate) const fn serving() {}

#[cfg(feature = "crash")]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    use graceful_core::{Event, Observer};

    static SERVING: AtomicBool = AtomicBool::new(false);
    static STEPS: AtomicU64 = AtomicU64::new(0);
    static AT: OnceLock<Option<(bool, u64)>> = OnceLock::new();

    /// Whether it counts from the start, and the step.
    fn at() -> Option<(bool, u64)> {
        *AT.get_or_init(|| {
            let wanted = std::env::var("GRACEFUL_CRASH_AT").ok()?;
            let (from, step) = wanted.split_once(':')?;
            Some((from == "start", step.parse().ok()?))
        })
    }

    /// A step that the process may end before.
    pub(crate) fn step(name: &str) {
        let Some((from_start, last)) = at() else { return };
        if !from_start && !SERVING.load(Ordering::SeqCst) {
            return;
        }
        if STEPS.fetch_add(1, Ordering::SeqCst) + 1 == last {
            eprintln!("killed at step {last}: {name}");
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
            loop {
                std::thread::park();
            }
        }
    }

    /// The host serves from now on.
    pub(crate) fn serving() {
        SERVING.store(true, Ordering::SeqCst);
    }

    /// Every event is a step.
    pub(crate) struct Steps;

    impl Observer for Steps {
        fn on_event(&self, event: &Event) {
            let name = format!("{:?}", event.kind);
            step(name.split([' ', '{']).next().unwrap_or_default());
        }
    }
}

#[cfg(feature = "crash")]
pub(crate) use armed::{Steps, serving, step};
