//! What a top level leaves behind for its functions.

use std::collections::BTreeMap;

use rhai::{Dynamic, ImmutableString, Module, Shared};

use crate::chain::let_go;

/// What a top level left behind.
#[derive(Default)]
pub(crate) struct Linked {
    /// What it imported, under the names it gave.
    pub(crate) imports: Vec<(ImmutableString, Shared<Module>)>,
    /// Its variables and constants, which its functions may read.
    pub(crate) variables: BTreeMap<ImmutableString, Dynamic>,
}

impl Linked {
    /// Drops it: a unit holds what it imported, which holds what that imported.
    pub(crate) fn leave(self) {
        let_go(self);
    }
}
