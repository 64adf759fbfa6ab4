//! The turns of a task: it has a lease while it runs and none while it waits, and a reload comes in between.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use event_listener::Listener;
use graceful_core::clock;
use graceful_core::{Entered, Gate, Lease, LeaseKind, Name};

use super::Task;
use crate::monitor;
use crate::watch::{Stop, Turns};

/// How often a frozen task looks whether it is over.
const LOOK: Duration = Duration::from_millis(10);

/// The turn of the task that this thread runs.
struct Turn {
    lease: Lease,
    epoch: u64,
    // Before the lease in the order of drops: it is the thread's current one.
    entered: Option<Entered>,
}

thread_local! {
    static TURN: RefCell<Option<Turn>> = const { RefCell::new(None) };
}

impl Turns for Task {
    fn breathe(&self) -> Option<Stop> {
        if let Some(over) = self.over() {
            return Some(over);
        }
        // Without a turn it sleeps; with one it goes on until something changes.
        let epoch = TURN.with_borrow(|turn| turn.as_ref().map(|turn| turn.epoch))?;
        if self.world()?.gate.epoch() == epoch {
            return None;
        }
        monitor::paused(|| {
            self.pause();
            self.resume()
        })
    }

    fn over(&self) -> Option<Stop> {
        let over = self.cancelled.load(Ordering::Acquire) || self.world().is_none();
        over.then_some(Stop::Ended)
    }

    fn pause(&self) {
        if let Some(mut turn) = TURN.take() {
            drop(turn.entered.take());
            drop(turn.lease);
        }
    }

    fn resume(&self) -> Option<Stop> {
        let Some(world) = self.world() else { return Some(Stop::Ended) };
        loop {
            if let Some(over) = self.over() {
                return Some(over);
            }
            let listener = world.gate.listen();
            if let Some(turn) = turn(&world.gate, &self.unit.name) {
                TURN.set(Some(turn));
                return None;
            }
            let (me, gate) = (self.me.clone(), world.gate.clone());
            let may_go =
                move || me.upgrade().is_none_or(|me| me.over().is_some() || !gate.is_frozen(&me.unit.name));
            clock::wait(may_go, || {
                listener.wait_timeout(LOOK);
            });
        }
    }
}

fn turn(gate: &Arc<Gate>, module: &Name) -> Option<Turn> {
    let epoch = gate.epoch();
    let lease = Lease::open(gate, module, LeaseKind::Task).ok()?;
    let entered = Some(lease.enter());
    Some(Turn { lease, epoch, entered })
}
