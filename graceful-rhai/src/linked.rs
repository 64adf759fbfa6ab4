//! What a top level leaves behind for its functions, and letting go of long chains of that.

use std::cell::RefCell;
use std::collections::BTreeMap;

use rhai::{Dynamic, ImmutableString, Module, Shared};

/// What a top level left behind.
#[derive(Default)]
pub(crate) struct Linked {
    /// What it imported, under the names it gave.
    pub(crate) imports: Vec<(ImmutableString, Shared<Module>)>,
    /// Its variables and constants, which its functions may read.
    pub(crate) variables: BTreeMap<ImmutableString, Dynamic>,
}

thread_local! {
    /// What units that went away on this thread had linked, while that is being dropped.
    static LEFT: RefCell<Option<Vec<Linked>>> = const { RefCell::new(None) };
}

impl Linked {
    /// Drops it. A unit holds what it imported, which holds what that imported, and so on: dropped one after the
    /// other and not one inside the other, however long the chain is.
    pub(crate) fn leave(self) {
        let Ok(None) = LEFT.try_with(|left| push(left, self)) else { return };
        while let Some(next) = LEFT.with_borrow_mut(|left| left.as_mut().and_then(Vec::pop)) {
            drop(next);
        }
        LEFT.set(None);
    }
}

/// Leaves `linked` to whoever empties the list; nothing if nobody does so far.
fn push(left: &RefCell<Option<Vec<Linked>>>, linked: Linked) -> Option<()> {
    let mut left = left.borrow_mut();
    let emptied = left.is_some().then_some(());
    left.get_or_insert_default().push(linked);
    emptied
}
