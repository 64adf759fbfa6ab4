//! The point of no return.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Transaction;
use crate::event::{EventKind, Phase};
use crate::generation::Instance;
use crate::planted::{Bug, is_planted};
use crate::scope::Registrations;
use crate::staging::panic_text;

impl Transaction {
    /// The point of no return: every backend's part around one store of one number. What can be made ready is made
    /// before the phase, and what may wait is done after it.
    pub(super) fn commit(&mut self) {
        let staging = self.staging.as_ref().expect("something was staged");
        let generation = staging.generation;
        let changes = self.changes.as_ref().expect("a plan was made");
        let replaced = self.replaced();
        let leaving = changes.replaced();
        let offered = staging.staged.iter().flat_map(|instance| instance.scope.registrations());
        let mut offered = offered.collect::<Registrations>();
        // Where a live module took a key since that was checked, the staged one has it now.
        let mut hand_on = |table: &mut Registrations| {
            replaced.iter().for_each(|old| old.scope.set_replaced());
            table.retain(|_, entry| is_planted(Bug::RouteKept) || !leaving.contains(&entry.owner));
            table.append(&mut offered);
        };
        let first = staging.staged.first().map(|instance| &instance.name);
        let first = first.or_else(|| changes.leaving.keys().next()).cloned().unwrap_or_default();
        self.begin(Phase::Commit);
        let (base, world, mut dropped) = (self.base, &self.world, None);
        let mut swap = || {
            let mut in_flight = world.in_flight.write().unwrap();
            dropped = Some((std::mem::take(&mut in_flight.pending), std::mem::take(&mut in_flight.closing)));
            world.gate.commit(generation, || world.table.keep(base, world.table.swap(&mut hand_on)));
        };
        let holds = world.watch.hold(&first, "commit", self.engine.limits.stage);
        self.staging.as_ref().expect("something was staged").commit(&mut swap);
        drop(holds);
        world.gate.announce();
        self.commit_roles();
        self.open_gates();
        self.world.emit(EventKind::Committed { generation: generation.0 });
        let panics = self.staging.as_ref().expect("something was staged").intents.commit();
        for panic in panics {
            self.warn(None, format!("an effect of the commit failed: {}", panic_text(&panic)));
        }
        self.begin(Phase::Retire);
        drop(dropped);
        self.settle(replaced);
    }

    /// The instances that are seen no more once the next generation is live; from here on each says so.
    fn replaced(&self) -> Vec<Arc<Instance>> {
        let (changes, now) = (self.changes(), self.world.clock.now());
        let replaced = changes.loads.values().filter_map(|load| load.live.as_ref());
        let replaced: Vec<_> = replaced.chain(changes.leaving.values()).cloned().collect();
        for old in &replaced {
            old.last.store(self.base.0, Ordering::Release);
            let _ = old.replaced.set(now);
        }
        replaced
    }

    /// What the next reload reads, and no call.
    fn settle(&mut self, replaced: Vec<Arc<Instance>>) {
        let staging = self.staging.as_ref().expect("something was staged");
        let (changes, world) = (self.changes.as_ref().expect("a plan was made"), &self.world);
        let mut graph = world.graph.lock().unwrap();
        changes.leaving.keys().for_each(|name| graph.remove(name));
        staging.staged.iter().for_each(|instance| graph.replace(&instance.name, instance.edges()));
        drop(graph);
        let ranks = changes.loads.values().map(|load| load.rank + 1).max().unwrap_or(0);
        world.next_rank.fetch_max(ranks, Ordering::AcqRel);
        world.lingering.lock().unwrap().extend(replaced);
        self.engine.settled(&self.options, &changes.loads);
        self.settle_roles();
    }
}
