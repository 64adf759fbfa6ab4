//! What is staged besides code: who takes part, and how it all goes live.

use std::sync::Arc;

use super::Staging;
use crate::backend::Txn;
use crate::generation::Instance;

impl Staging {
    /// Live code of `instance` runs in this transaction.
    pub(crate) fn join(&self, instance: &Arc<Instance>) {
        if let (Some(txn), Some(module)) = (self.txns.get(&instance.source.backend), instance.module()) {
            txn.join(module);
        }
    }

    /// Every backend's part of the commit, around `swap`.
    pub(crate) fn commit(&self, swap: &mut dyn FnMut()) {
        let txns: Vec<_> = self.txns.values().collect();
        commit_nested(&txns, swap);
    }
}

fn commit_nested(txns: &[&Arc<dyn Txn>], swap: &mut dyn FnMut()) {
    match txns.split_first() {
        None => swap(),
        Some((first, rest)) => first.commit(&mut || commit_nested(rest, swap)),
    }
}
