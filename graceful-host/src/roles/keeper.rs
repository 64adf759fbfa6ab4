//! Keeps every configuration that was applied, whoever applied it, and says in the log what roles do.

use std::sync::{Mutex, OnceLock, Weak};

use graceful_core::{Event, EventKind, InstanceState, Observer};

use super::kept::{Applied, Kept};
use crate::host::{Host, Inner};

/// Reads the engine's events.
pub(crate) struct Keeper {
    pub(crate) kept: Kept,
    host: OnceLock<Weak<Inner>>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// What is not to be kept any more: it is kept, or it is the manifest's.
    applied: Option<Applied>,
    /// It is kept.
    is_kept: bool,
    /// Why the last one is not kept.
    failed: Option<String>,
}

impl Keeper {
    pub(crate) fn new(kept: Kept) -> Self {
        Self { kept, host: OnceLock::new(), known: Mutex::default() }
    }

    pub(crate) fn serve(&self, host: Weak<Inner>) {
        let _ = self.host.set(host);
    }

    /// `applied` is going to be applied, and is not to be kept: because it is, or because it is the manifest's.
    pub(crate) fn expect(&self, applied: Applied, is_kept: bool) {
        *self.known.lock().unwrap() = Known { applied: Some(applied), is_kept, failed: None };
    }

    /// Why what is active is not kept, if that failed.
    pub(crate) fn failed(&self) -> Option<String> {
        self.known.lock().unwrap().failed.clone()
    }

    /// Forgets what is kept.
    pub(crate) fn forget(&self) {
        if let Err(error) = self.kept.forget() {
            let told = format!("{} cannot be removed: {error}", self.kept.path().display());
            self.known.lock().unwrap().failed = Some(told);
        }
    }

    fn keep(&self) {
        let Some(host) = self.host.get().and_then(Weak::upgrade) else { return };
        let Some(applied) = Host(host).active() else { return };
        let mut known = self.known.lock().unwrap();
        let removed = || known.is_kept && !self.kept.path().exists();
        if known.applied.as_ref() == Some(&applied) && !removed() {
            return;
        }
        match self.kept.put(&applied) {
            Ok(()) => *known = Known { applied: Some(applied), is_kept: true, failed: None },
            Err(error) => {
                let told = format!("cannot write {}: {error}", self.kept.path().display());
                tracing::error!("the configuration is applied and not kept: {told}");
                known.failed = Some(told);
            }
        }
    }
}

impl Observer for Keeper {
    fn on_event(&self, event: &Event) {
        match &event.kind {
            EventKind::StateChanged { from, to } => {
                tracing::info!("roles: {from} -> {to}");
                if *to == InstanceState::RolesConfigured {
                    self.keep();
                }
            }
            EventKind::RoleCalled { role, callback, error: Some(error), .. } => {
                tracing::warn!("{callback} of role `{role}`: {error}");
            }
            _ => {}
        }
    }
}
