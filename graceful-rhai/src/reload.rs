//! A reload that a script asks for: in a task of its own, while the caller is parked.

use futures_util::future::BoxFuture;
use graceful_core::{Lease, LeaseKind, ReloadError, ReloadOptions, Report};

use crate::failure::{Thrown, fail};
use crate::unit::{Unit, stopped};
use crate::wait::spawned;
use crate::{monitor, watch};

/// Runs one reload and waits for it. The caller's lease is pinned to the live generation afterwards.
pub(crate) fn run(unit: &Unit, options: ReloadOptions) -> Thrown<Result<Report, ReloadError>> {
    let control = unit.runtime.control().map_err(fail)?;
    parked(unit, control.reload(options))
}

/// Waits for what may need a reload to end first.
pub(crate) fn parked<T: Send + 'static>(unit: &Unit, work: BoxFuture<'static, T>) -> Thrown<T> {
    unit.session.iter().for_each(|session| session.let_go());
    let world = unit.runtime.world().map_err(fail)?;
    let outcome = monitor::paused(|| {
        let _parked = Parked::now();
        spawned(&*world.clock, work)
    });
    outcome.map_err(stopped)
}

/// The caller, while it waits for a reload that must not wait for it.
struct Parked {
    lease: Option<Lease>,
    task: Option<std::sync::Arc<dyn watch::Turns>>,
}

impl Parked {
    fn now() -> Self {
        let task = watch::current().and_then(|watch| watch.task.clone());
        if let Some(task) = &task {
            task.pause();
        }
        let lease = Lease::current().filter(|lease| lease.kind() != LeaseKind::Task);
        if let Some(lease) = &lease {
            lease.set_parked(true);
        }
        Self { lease, task }
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        if let Some(lease) = &self.lease {
            lease.set_parked(false);
        }
        if let Some(task) = &self.task {
            // If it is over, the next operation finds that out.
            let _ = task.resume();
        }
    }
}
