//! Getting at the VM when code keeps it and does not yield: a reload must not hang for it.

use std::time::{Duration, Instant};

use graceful_core::error::ScriptErrorKind;
use graceful_core::{DrainPolicy, EventKind, Lease, LeaseKind, ScriptError};

use crate::vm::Vm;

/// How long a turn may last before a reload no longer blocks for it, and how often it looks again.
const PATIENCE: Duration = Duration::from_millis(20);
const LOOK: Duration = Duration::from_millis(5);

impl Vm {
    /// Whether a turn keeps the VM for so long that a reload does not wait for its lock.
    pub(crate) fn is_kept(&self) -> bool {
        self.turns.hog(PATIENCE).is_some()
    }

    /// Waits for a turn that does not end, without blocking the thread. A task is cancelled after half of
    /// `most`, for no reload could ever mend it, and so is a call where the reload's policy says so.
    ///
    /// # Errors
    /// A call keeps the VM.
    pub(crate) async fn free(&self, most: Duration, drain: DrainPolicy) -> Result<(), ScriptError> {
        let Some(world) = self.world() else { return Ok(()) };
        let began = Instant::now();
        while let Some((lease, lasts)) = self.turns.hog(PATIENCE) {
            if began.elapsed() > most / 2 {
                match lease {
                    // What was cancelled is stopped soon, unless it is code that nothing stops.
                    Some(lease) if may_cancel(&lease, drain) && began.elapsed() <= most => {
                        self.cancel_hog(&lease, lasts);
                    }
                    lease => {
                        return Err(ScriptError::new(ScriptErrorKind::Timeout, told(lease.as_ref(), lasts)));
                    }
                }
            }
            world.clock.sleep(LOOK).await;
        }
        Ok(())
    }

    /// Holds the VM's lock while `work` runs, where waiting for it cannot fail: what the policy lets be cancelled is
    /// cancelled after half of `most`, a call after all of it in any case.
    pub(crate) fn hold_at_last<R>(&self, most: Duration, drain: DrainPolicy, work: impl FnOnce() -> R) -> R {
        let began = Instant::now();
        while let Some((lease, lasts)) = self.turns.hog(PATIENCE) {
            if let Some(lease) = lease {
                let share = if may_cancel(&lease, drain) { most / 2 } else { most };
                if began.elapsed() > share {
                    self.cancel_hog(&lease, lasts);
                }
            }
            std::thread::sleep(LOOK);
        }
        let calls = if drain == DrainPolicy::Cancel { most / 2 } else { most };
        let wants = self.turns.want(most / 2, Some(calls));
        self.hold(|| {
            drop(wants);
            work()
        })
    }

    /// Holds the VM's lock while `work` runs, after it was seen that nobody keeps it: if somebody does since then, and
    /// the policy lets it be cancelled, it is after half of `most`.
    pub(crate) fn hold_soon<R>(&self, most: Duration, drain: DrainPolicy, work: impl FnOnce() -> R) -> R {
        let wants = self.turns.want(most / 2, (drain == DrainPolicy::Cancel).then_some(most / 2));
        self.hold(|| {
            drop(wants);
            work()
        })
    }

    fn cancel_hog(&self, lease: &Lease, lasts: Duration) {
        if lease.is_cancelled() {
            return;
        }
        self.turns.watch();
        lease.cancel();
        if let Some(world) = self.world() {
            let message = format!("{} and is cancelled", told(Some(lease), lasts));
            world.emit(EventKind::Warning { module: Some(lease.root().clone()), message });
        }
    }
}

fn may_cancel(lease: &Lease, drain: DrainPolicy) -> bool {
    lease.kind() == LeaseKind::Task || drain == DrainPolicy::Cancel
}

fn told(lease: Option<&Lease>, lasts: Duration) -> String {
    let by = match lease {
        Some(lease) if lease.kind() == LeaseKind::Task => format!("a task of `{}`", lease.root()),
        Some(lease) => format!("a call into `{}`", lease.root()),
        None => "the host".to_owned(),
    };
    format!("{by} has kept the VM for {lasts:.1?} without yielding")
}
