//! The drain: waiting until nothing is left in what was shut.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::select;

use super::{Gate, LeaseKind, LeaseRecord};
use crate::clock::Clock;
use crate::source::Name;

impl Gate {
    /// Waits until nothing of `kinds` is in `modules`, and says how many were cancelled for that: with `cancels`, all that
    /// are left so long before `until`.
    ///
    /// # Errors
    /// What is still there at `until`.
    pub(crate) async fn idle(
        &self,
        clock: &dyn Clock,
        modules: &BTreeSet<Name>,
        kinds: &[LeaseKind],
        until: Duration,
        cancels: Option<Duration>,
    ) -> Result<usize, Vec<LeaseRecord>> {
        let mut cancelled = 0;
        loop {
            let listener = self.listen();
            let busy = self.busy(modules, kinds);
            if busy.is_empty() {
                return Ok(cancelled);
            }
            let mut left = until.saturating_sub(clock.now());
            if let Some(before) = cancels.filter(|_| cancelled == 0) {
                left = left.saturating_sub(before);
                if left.is_zero() {
                    busy.iter().for_each(|lease| lease.cancel.cancel());
                    cancelled = busy.len();
                    continue;
                }
            }
            if left.is_zero() {
                return Err(busy);
            }
            select(listener, clock.sleep(left)).await;
        }
    }
}
