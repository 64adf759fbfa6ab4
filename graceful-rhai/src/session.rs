//! A line of the console while it runs: its leases on the modules that it asked for, so that a reload that drains
//! one of them waits for the line.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use graceful_core::{Instance, Lease, Name, World};

use crate::wait::wait;
use crate::watch::Stop;

/// What a line is entered as.
pub(crate) const CONSOLE: &str = "console";

/// One line.
#[derive(Default)]
pub(crate) struct Session {
    leases: Mutex<Vec<Lease>>,
}

impl Session {
    /// The instance of `name` that the line sees; from now on whoever drains it waits for the line.
    pub(crate) fn find(&self, world: &World, name: &Name) -> Result<Option<Arc<Instance>>, Stop> {
        let seen = || {
            let generation = Lease::current_generation().unwrap_or_else(|| world.gate.live());
            world.instance_at(name, generation).filter(|instance| instance.module().is_some())
        };
        let (Some(_), Some(lease)) = (seen(), Lease::current()) else { return Ok(seen()) };
        loop {
            let changed = world.gate.listen();
            if let Ok(nested) = lease.nested(name) {
                self.lock().push(nested);
                return Ok(seen());
            }
            wait(changed)?;
        }
    }

    /// The line is over, or asks for a reload, which it must not hold up.
    pub(crate) fn let_go(&self) {
        let leases = std::mem::take(&mut *self.lock());
        drop(leases);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Lease>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
