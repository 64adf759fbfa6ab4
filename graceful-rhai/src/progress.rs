//! What happens between two operations of a script: others are let in, and it is stopped if it must be.

use rhai::Dynamic;

use crate::{bulk, monitor, watch};

/// Rhai counts operations; a look at the clock is worth this many of them.
const EVERY: u64 = 64;

/// Called by Rhai after each operation. What it gives ends the script, which cannot catch it.
pub(crate) fn progress(operations: u64) -> Option<Dynamic> {
    if operations.is_multiple_of(bulk::FEW) {
        bulk::tick();
    }
    if !operations.is_multiple_of(EVERY) {
        return None;
    }
    bulk::count(EVERY);
    monitor::breathe();
    let stop = watch::current().and_then(|watch| watch.stop());
    stop.or_else(bulk::overlooked).map(Dynamic::from)
}
