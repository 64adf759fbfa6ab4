//! What is in a scope's care: taken in, handed on to the next generation, given up at the end.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, Weak};

use super::{Resource, Scope};
use crate::lease::Lease;

/// The scope of the generation that has the place of older ones now. All of them share one, so that none keeps another
/// in memory.
#[derive(Default)]
pub(super) struct Heir(Mutex<Weak<Scope>>);

impl Scope {
    /// Takes `resource` in unless it is closed; then it gives the scope that has its place, if the code runs in its
    /// time: a task's turn does, and a function that was kept in a state; a call that began before does not.
    pub(super) fn admit(&self, resource: &Arc<dyn Resource>) -> Result<(), Option<Arc<Scope>>> {
        self.sweep();
        let mut owned = self.lock();
        if !owned.closed {
            owned.take_in(resource.clone());
            return Ok(());
        }
        let heir = owned.heir.0.lock().unwrap().upgrade();
        let in_time = |heir: &Scope| Lease::current_generation().is_none_or(|now| now >= heir.born);
        // Itself where the module has left.
        Err(heir.filter(|heir| !std::ptr::eq(&**heir, self) && in_time(heir)))
    }

    /// Takes `resource` in without starting it.
    pub(crate) fn adopt(&self, resource: Arc<dyn Resource>) {
        self.sweep();
        self.lock().take_in(resource);
    }

    /// Gives the resources with these ids to `next`, which has its place from now on.
    pub(crate) fn hand_over(&self, ids: &BTreeSet<u64>, next: &Arc<Scope>) -> Vec<Arc<dyn Resource>> {
        let mut owned = self.lock();
        let kept: Vec<_> = owned.resources.extract_if(.., |r| ids.contains(&r.id())).collect();
        let heir = owned.heir.clone();
        drop(owned);
        *heir.0.lock().unwrap() = Arc::downgrade(next);
        next.lock().heir = heir;
        for resource in &kept {
            next.adopt(resource.clone());
            resource.moved(next);
        }
        kept
    }

    /// Closes the scope and gives out everything that is left, last started first.
    pub(crate) fn close(&self) -> Vec<Arc<dyn Resource>> {
        let mut owned = self.lock();
        owned.closed = true;
        owned.run = None;
        let registrations = std::mem::take(&mut owned.registrations);
        let mut left = std::mem::take(&mut owned.resources);
        drop(owned);
        drop(registrations);
        left.reverse();
        left
    }

    /// Whether it was closed: nothing may be started under it any more.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    pub(super) fn sweep(&self) {
        let mut owned = self.lock();
        let done: Vec<_> = owned.resources.extract_if(.., |r| r.is_done()).collect();
        if let Some(run) = &mut owned.run {
            done.iter().for_each(|resource| {
                run.resources.remove(&resource.id());
            });
        }
        drop(owned);
        // Dropping a handle may take a VM's lock: not under ours.
        drop(done);
    }
}
