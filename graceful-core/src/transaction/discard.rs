//! Taking out again what was staged: what it had made is let go of, then it is dropped.

use super::Transaction;
use crate::crew::let_go;

impl Transaction {
    /// Drops what was staged, after everything it owns.
    pub(super) async fn discard(&mut self) {
        let Some(staging) = self.staging.take() else { return };
        // Handles into VMs go with the staging, and no later.
        let loads = self.changes.iter_mut().flat_map(|changes| changes.loads.values_mut());
        loads.for_each(|load| drop(load.staged.take()));
        for (owner, message) in let_go(&staging, self.base, self.engine.limits.hook).await {
            self.warn(Some(owner), message);
        }
        staging.discard();
    }
}
