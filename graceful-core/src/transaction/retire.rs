//! After the commit: what old code owned is handed over or released, removed modules are finalized, and what
//! nothing holds is dropped. Errors are reported, never undone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::select;

use super::Transaction;
use crate::event::EventKind;
use crate::generation::Instance;
use crate::hook::{HookRun, release};
use crate::lifecycle::Hook;
use crate::planted::{Bug, is_planted};
use crate::source::Name;

pub(crate) async fn retire(tx: &mut Transaction) {
    // All that leave wait for calls together: a call that does not end holds up a reload once.
    let until = tx.world.clock.now() + tx.engine.limits.exclusive;
    for name in tx.changes().plan.unload.clone() {
        let changes = tx.changes();
        let old = changes.loads.get(&name).and_then(|load| load.live.clone());
        let Some(old) = old.or_else(|| changes.leaving.get(&name).cloned()) else {
            continue;
        };
        let new = tx.pair(&name).map(|(_, new)| new.clone());
        match new {
            Some(new) if is_planted(Bug::HandoverLost) => drop(new),
            Some(new) => hand_over(tx, &old, &new),
            None if is_planted(Bug::RemovedNotFinalized) => {}
            None => finalize(tx, &old, until).await,
        }
        release_all(tx, &old).await;
    }
    let released: BTreeSet<Name> = tx.changes().plan.unload.iter().cloned().collect();
    tx.plan = tx.changes.take().map(|changes| changes.plan);
    tx.staging = None;
    if tx.world.purge() > 0 {
        name_leaks(tx, &released);
        tx.world.purge_later(tx.engine.limits.retire);
    }
}

/// Tasks that are kept in the state go on under the new generation.
fn hand_over(tx: &Transaction, old: &Arc<Instance>, new: &Arc<Instance>) {
    let ids: BTreeSet<u64> = old.scope.resources().iter().map(|resource| resource.id()).collect();
    let mut kept =
        old.module().filter(|_| !ids.is_empty()).map(|module| module.kept(&ids)).unwrap_or_default();
    for resource in old.scope.resources() {
        let by_name = tx.kept_by_name(&old.name, &*resource);
        if by_name {
            kept.insert(resource.id());
        } else if tx.is_clean() && resource.kind() == "task" {
            kept.remove(&resource.id());
        }
    }
    for resource in old.scope.hand_over(&kept, &new.scope) {
        let (kind, key) = (resource.kind().to_owned(), resource.key());
        tx.world.emit(EventKind::HandedOver { module: old.name.clone(), kind, key });
    }
}

async fn finalize(tx: &mut Transaction, old: &Arc<Instance>, until: Duration) {
    let owed = old.initialised.swap(false, Ordering::AcqRel);
    if !owed || !old.module().is_some_and(|module| module.manifest().hooks.finalize) {
        return;
    }
    outlast_calls(tx, old, until).await;
    let budget = tx.engine.limits.retire;
    let run = || HookRun { instance: old, hook: Hook::Finalize, generation: tx.base, budget };
    if is_planted(Bug::FinalizeTwice) {
        let _ = run().run(&tx.world.clone(), None).await;
    }
    if let Err(error) = run().run(&tx.world.clone(), None).await {
        tx.warn(Some(old.name.clone()), format!("finalize of {} failed: {error}", old.name));
    }
}

/// Calls in flight that may still come to what leaves end first, unless they take too long.
async fn outlast_calls(tx: &mut Transaction, old: &Arc<Instance>, until: Duration) {
    let world = tx.world.clone();
    loop {
        let listener = world.gate.listen();
        let leases = world.gate.leases().into_iter();
        let holders: Vec<String> =
            leases.filter(|lease| world.holds(lease, old)).map(|lease| lease.to_string()).collect();
        let left = until.saturating_sub(world.clock.now());
        if holders.is_empty() {
            return;
        }
        if left.is_zero() {
            let held = holders.join(", ");
            return tx
                .warn(Some(old.name.clone()), format!("finalize of {} does not wait for {held}", old.name));
        }
        select(listener, world.clock.sleep(left)).await;
    }
}

async fn release_all(tx: &mut Transaction, old: &Arc<Instance>) {
    let (world, budget) = (tx.world.clone(), tx.engine.limits.retire);
    for resource in old.scope.close() {
        if is_planted(Bug::TaskKept) && resource.kind() == "task" {
            old.scope.adopt(resource);
            continue;
        }
        if is_planted(Bug::ReleasedTwice) {
            let _ = resource.release().await;
        }
        release(&world, old, resource, budget, |warning| tx.warn(Some(old.name.clone()), warning)).await;
    }
}

fn name_leaks(tx: &mut Transaction, released: &BTreeSet<Name>) {
    let lingering = tx.world.lingering.lock().unwrap().clone();
    for old in lingering.into_iter().filter(|old| released.contains(&old.name)) {
        let holders = tx.world.holders(&old);
        if !holders.is_empty() {
            let message =
                format!("generation {} of {} is still held by {}", old.born, old.name, holders.join(", "));
            tx.warn(Some(old.name.clone()), message);
        }
    }
}
