//! The journal: what was done to live modules, written down before it is done, and undone in reverse.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::backend::Finalize;
use crate::event::EventKind;
use crate::gate::{Generation, LeaseKind};
use crate::generation::{Instance, World};
use crate::hook::{HookRun, bounded};
use crate::lease::Lease;
use crate::lifecycle::{Hook, HookError};
use crate::module::Checkpoint;
use crate::planted::{Bug, is_planted};
use crate::source::Name;

/// One step that has an undo.
pub(crate) enum Entry {
    /// A live module's hooks, or new code of its role, are about to run on its state. Undo: restore the checkpoint, then `rollback` if
    /// one of them began.
    Suspended { old: Arc<Instance>, checkpoint: Option<Checkpoint> },
    /// What migrations made of a state was poured into it. Undo: take it out again.
    Migrated { new: Arc<Instance>, before: Checkpoint },
    /// A new module's `init` is about to run. Undo, once it ran to its end: `finalize`.
    Initialised { new: Arc<Instance>, done: bool },
    /// A module ran its `init` while it registered. Undo: `finalize`.
    Registered { module: Name, finalize: Finalize },
}

/// What was done and not yet committed.
#[derive(Default)]
pub(crate) struct Journal {
    pub(crate) entries: Vec<Entry>,
    /// The suspended modules of which a hook, or a role on their state, began to run: those are owed a `rollback`.
    pub(crate) began: BTreeSet<Name>,
}

/// What came of undoing.
#[derive(Default)]
pub(crate) struct Undone {
    /// What was undone, in order.
    pub(crate) steps: Vec<String>,
    /// What could not be undone.
    pub(crate) left: Vec<String>,
    /// The first of that: whose, and why.
    pub(crate) blame: Option<(Name, String)>,
}

impl Journal {
    /// Undoes everything, last first, going on past errors.
    pub(crate) async fn undo(&mut self, world: &Arc<World>, old: Generation, budget: Duration) -> Undone {
        let mut undone = Undone::default();
        if is_planted(Bug::RollbackOrder) {
            self.entries.reverse();
        }
        while let Some(entry) = self.entries.pop() {
            match entry {
                Entry::Suspended { old: instance, checkpoint } => {
                    let began = self.began.contains(&instance.name);
                    undo_suspend(world, &instance, checkpoint.as_ref(), (old, began), budget, &mut undone)
                        .await;
                }
                Entry::Migrated { new, before } => {
                    undo_migration(world, &new, &before, budget, &mut undone).await;
                }
                Entry::Initialised { done: false, .. } => {}
                Entry::Initialised { .. } if is_planted(Bug::InitNotUndone) => {}
                Entry::Initialised { new, done: true } => {
                    let run = HookRun { instance: &new, hook: Hook::Finalize, generation: new.born, budget };
                    let result = run.run(world, Some(new.scope.intents().clone())).await;
                    undone.note(world, &new.name, "init", result.map_err(|error| error.to_string()));
                }
                Entry::Registered { module, finalize } => {
                    let finalizing = registered(world, &module, old, finalize);
                    let finalizing = world.watch.over(&module, "finalize", budget, finalizing);
                    let result = bounded(world, budget, finalizing).await;
                    undone.note(world, &module, "init", result.map_err(|error| error.to_string()));
                }
            }
        }
        undone
    }

    /// Undoes what a hook did that failed, and keeps the module's entry. Says whether it could.
    pub(crate) async fn undo_hook(
        &mut self,
        world: &Arc<World>,
        module: &Arc<Instance>,
        generation: Generation,
        budget: Duration,
    ) -> bool {
        let mut undone = Undone::default();
        let own = self.entries.iter().find_map(|entry| match entry {
            Entry::Suspended { old, checkpoint } if Arc::ptr_eq(old, module) => Some(checkpoint.as_ref()),
            _ => None,
        });
        undo_suspend(world, module, own.flatten(), (generation, true), budget, &mut undone).await;
        let done = undone.left.is_empty();
        if done {
            self.began.remove(&module.name);
        }
        done
    }
}

/// Runs `finalize` under a lease, as every other hook, at the generation that was being made.
async fn registered(
    world: &Arc<World>,
    module: &Name,
    old: Generation,
    finalize: Finalize,
) -> Result<(), HookError> {
    let generation = Generation(old.0 + 1);
    let lease = Lease::open_at(&world.gate, module, LeaseKind::Hook, generation, None);
    lease.scope(finalize()).await.unwrap_or_else(|cancelled| Err(cancelled.to_string().into()))
}

async fn undo_suspend(
    world: &Arc<World>,
    old: &Arc<Instance>,
    checkpoint: Option<&Checkpoint>,
    (generation, began): (Generation, bool),
    budget: Duration,
    undone: &mut Undone,
) {
    let Some(module) = old.module() else { return };
    if let Some(checkpoint) = checkpoint.filter(|_| !is_planted(Bug::StateNotRestored)) {
        let restoring = world.watch.over(&old.name, "restore", budget, module.restore(checkpoint));
        let result = bounded(world, budget, restoring).await;
        undone.note(world, &old.name, "state", result.map_err(|error| error.to_string()));
    }
    if began && module.manifest().hooks.rollback {
        let run = HookRun { instance: old, hook: Hook::Rollback, generation, budget };
        let result = run.run(world, None).await;
        undone.note(world, &old.name, "rollback hook", result.map_err(|error| error.to_string()));
    }
}

async fn undo_migration(
    world: &Arc<World>,
    new: &Arc<Instance>,
    before: &Checkpoint,
    budget: Duration,
    undone: &mut Undone,
) {
    let Some(module) = new.module().filter(|_| !is_planted(Bug::MigrationKept)) else { return };
    let result = bounded(world, budget, module.restore(before)).await;
    undone.note(world, &new.name, "migration", result.map_err(|error| error.to_string()));
}

impl Undone {
    pub(crate) fn note(&mut self, world: &World, module: &Name, step: &str, result: Result<(), String>) {
        let error = result.err();
        let text = format!("{module}: {step}");
        match &error {
            None => self.steps.push(text),
            Some(error) => {
                self.left.push(format!("{text}: {error}"));
                self.blame.get_or_insert_with(|| (module.clone(), error.clone()));
            }
        }
        world.emit(EventKind::Undone { module: module.clone(), step: step.to_owned(), error });
    }
}
