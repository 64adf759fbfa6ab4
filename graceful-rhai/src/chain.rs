//! Letting go of long chains: what holds something that holds something, and so on, is dropped one after the
//! other and not one inside the other, however long the chain is.

use std::any::Any;
use std::cell::RefCell;

use rhai::Dynamic;

thread_local! {
    /// What went away on this thread, while that is being dropped.
    static LEFT: RefCell<Option<Vec<Box<dyn Any>>>> = const { RefCell::new(None) };
}

/// Drops `what`, once whatever is being dropped on this thread is gone.
pub(crate) fn let_go(what: impl Any) {
    let Ok(None) = LEFT.try_with(|left| push(left, Box::new(what))) else { return };
    while let Some(next) = LEFT.with_borrow_mut(|left| left.as_mut().and_then(Vec::pop)) {
        drop(next);
    }
    LEFT.set(None);
}

/// The same for values that scripts made, if there are any in which something else may be.
pub(crate) fn let_go_of(values: impl Iterator<Item = Dynamic>) {
    let holds = |value: &Dynamic| {
        value.is_variant() || value.is_shared() || value.is_array() || value.is_map() || value.is_fnptr()
    };
    let values: Vec<Dynamic> = values.filter(holds).collect();
    if !values.is_empty() {
        let_go(values);
    }
}

/// Leaves `what` to whoever empties the list; nothing if nobody does so far.
fn push(left: &RefCell<Option<Vec<Box<dyn Any>>>>, what: Box<dyn Any>) -> Option<()> {
    let mut left = left.borrow_mut();
    let emptied = left.is_some().then_some(());
    left.get_or_insert_default().push(what);
    emptied
}
