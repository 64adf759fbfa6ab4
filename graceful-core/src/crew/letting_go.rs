//! What was made in a transaction that failed, and never went live, is let go of.

use std::time::Duration;

use crate::event::EventKind;
use crate::gate::{Generation, LeaseKind};
use crate::hook::bounded;
use crate::lease::Lease;
use crate::lifecycle::HookError;
use crate::scope::Staged;
use crate::source::Name;
use crate::staging::Staging;

/// Lets go of everything that was made with what is `staged`, as whoever made it knows it. Gives back what is worth
/// knowing, with the module.
pub(crate) async fn let_go(staged: &Staging, base: Generation, budget: Duration) -> Vec<(Name, String)> {
    let mut warnings = Vec::new();
    for made in staged.intents.discard() {
        if let Ok(made) = made.downcast::<Staged>() {
            warnings.extend(one(staged, *made, base, budget).await);
        }
    }
    warnings
}

async fn one(staged: &Staging, made: Staged, base: Generation, budget: Duration) -> Option<(Name, String)> {
    let Staged { owner, born, resource } = made;
    let discard = resource.discard()?;
    // As a hook, because its module and others may be frozen still.
    let generation = if born == staged.generation { staged.generation } else { base };
    let began = staged.world.clock.now();
    let lease = Lease::open_at(&staged.world.gate, &owner, LeaseKind::Hook, generation, None);
    let scoped = lease.scope(discard);
    let flat = async move { scoped.await.unwrap_or_else(|cancelled| Err(cancelled.to_string().into())) };
    let watched = staged.world.watch.over(&owner, "release", budget, flat);
    let error = bounded(&staged.world, budget, watched).await.err().map(|error: HookError| error.message);
    let (kind, key) = (resource.kind().to_owned(), resource.key());
    let took = staged.world.clock.now().saturating_sub(began);
    let warning = error
        .as_ref()
        .map(|error| (owner.clone(), format!("{kind} {key} of {owner} was not released: {error}")));
    staged.world.emit(EventKind::Released { module: owner, kind, key, took, error });
    warning
}
