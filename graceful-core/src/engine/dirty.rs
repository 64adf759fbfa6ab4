//! What failed reloads were to look at: the next one looks at it too.

use std::collections::BTreeSet;

use crate::event::Purpose;
use crate::planted::{Bug, is_planted};
use crate::report::ReloadOptions;
use crate::source::Name;

/// What failed reloads were to look at.
#[derive(Default)]
pub(super) struct Dirty {
    names: BTreeSet<Name>,
    all: bool,
}

impl Dirty {
    pub(super) fn add_to(&self, options: &mut ReloadOptions) {
        if only_unregisters(options) {
            return;
        }
        if self.all {
            options.changed = None;
        } else if let Some(changed) = &mut options.changed {
            changed.extend(self.names.iter().cloned());
        }
    }

    pub(super) fn settle(&mut self, options: &ReloadOptions) {
        if !only_unregisters(options) {
            *self = Self::default();
        }
    }

    pub(super) fn fail(&mut self, options: &ReloadOptions) {
        if is_planted(Bug::FailureForgotten) {
            return;
        }
        match &options.changed {
            Some(changed) => self.names.extend(changed.iter().cloned()),
            None => self.all = true,
        }
    }
}

/// It reads no source, so that a broken one does not stop it.
fn only_unregisters(options: &ReloadOptions) -> bool {
    options.purpose() == Purpose::Unregister
}
