//! Taking out again what was staged: what it had made is let go of, then it is dropped.

use std::time::Duration;

use super::Transaction;
use crate::event::EventKind;
use crate::gate::{Generation, LeaseKind};
use crate::hook::bounded;
use crate::lease::Lease;
use crate::lifecycle::HookError;
use crate::scope::Staged;

impl Transaction {
    /// Drops what was staged, after everything it owns.
    pub(super) async fn discard(&mut self) {
        let Some(staging) = self.staging.take() else { return };
        let budget = self.engine.limits.hook;
        for made in staging.intents.discard() {
            if let Ok(made) = made.downcast::<Staged>() {
                self.let_go(*made, staging.generation, budget).await;
            }
        }
        staging.discard();
    }

    async fn let_go(&mut self, made: Staged, ahead: Generation, budget: Duration) {
        let Staged { owner, born, resource } = made;
        let Some(discard) = resource.discard() else { return };
        // As a hook, because its module and others may be frozen still.
        let generation = if born == ahead { ahead } else { self.base };
        let began = self.world.clock.now();
        let lease = Lease::open_at(&self.world.gate, &owner, LeaseKind::Hook, generation, None);
        let scoped = lease.scope(discard);
        let flat = async move { scoped.await.unwrap_or_else(|cancelled| Err(cancelled.to_string().into())) };
        let watched = self.world.watch.over(&owner, "release", budget, flat);
        let error = bounded(&self.world, budget, watched).await.err().map(|error: HookError| error.message);
        let (kind, key) = (resource.kind().to_owned(), resource.key());
        if let Some(error) = &error {
            self.warn(Some(owner.clone()), format!("{kind} {key} of {owner} was not released: {error}"));
        }
        let took = self.world.clock.now().saturating_sub(began);
        self.world.emit(EventKind::Released { module: owner, kind, key, took, error });
    }
}
