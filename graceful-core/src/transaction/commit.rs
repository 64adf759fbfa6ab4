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
    /// The point of no return: every backend's part around one store of one number.
    pub(super) fn commit(&mut self) {
        self.begin(Phase::Commit);
        let staging = self.staging.as_ref().expect("something was staged");
        let generation = staging.generation;
        let changes = self.changes.as_ref().expect("a plan was made");
        let replaced =
            changes.loads.values().filter_map(|load| load.live.as_ref()).chain(changes.leaving.values());
        let replaced: Vec<Arc<Instance>> = replaced.cloned().collect();
        for old in &replaced {
            old.last.store(self.base.0, Ordering::Release);
            let _ = old.replaced.set(self.world.clock.now());
        }
        let leaving = changes.replaced();
        let offered = staging.staged.iter().flat_map(|instance| instance.scope.registrations());
        let mut offered = offered.collect::<Registrations>();
        // Where a live module took a key since that was checked, the staged one has it now.
        let mut hand_on = |table: &mut Registrations| {
            replaced.iter().for_each(|old| old.scope.set_replaced());
            table.retain(|_, entry| is_planted(Bug::RouteKept) || !leaving.contains(&entry.owner));
            table.append(&mut offered);
        };
        let (base, mut dropped) = (self.base, None);
        let world = &self.world;
        let mut swap = || {
            let mut in_flight = world.in_flight.write().unwrap();
            in_flight.pending.clear();
            in_flight.closing.clear();
            world.gate.commit(generation, || {
                let before = world.table.swap(&mut hand_on);
                world.table.keep(base, before.clone());
                dropped = Some(before);
            });
        };
        let first = staging.staged.first().map(|instance| &instance.name);
        let first = first.or_else(|| changes.leaving.keys().next()).cloned().unwrap_or_default();
        let _holds = world.watch.hold(&first, "commit", self.engine.limits.stage);
        staging.commit(&mut swap);
        drop(dropped);
        world.gate.announce();
        let mut graph = world.graph.lock().unwrap();
        changes.leaving.keys().for_each(|name| graph.remove(name));
        staging.staged.iter().for_each(|instance| graph.replace(&instance.name, instance.edges()));
        drop(graph);
        let ranks = changes.loads.values().map(|load| load.rank + 1).max().unwrap_or(0);
        world.next_rank.fetch_max(ranks, Ordering::AcqRel);
        world.lingering.lock().unwrap().extend(replaced);
        self.engine.settled(&self.options, &changes.loads);
        self.commit_roles();
        self.open_gates();
        self.world.emit(EventKind::Committed { generation: generation.0 });
        let panics = self.staging.as_ref().expect("something was staged").intents.commit();
        for panic in panics {
            self.warn(None, format!("an effect of the commit failed: {}", panic_text(&panic)));
        }
    }
}
