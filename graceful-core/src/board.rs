//! What the engine knows of its roles: which are registered, which run, on which configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use event_listener::{Event, EventListener};
use futures_util::lock::{Mutex as Turn, OwnedMutexGuard};
use serde::Serialize;

use crate::config::Config;
use crate::event::{EventKind, Phase};
use crate::generation::World;
use crate::role::{InstanceState, Operation, RoleError};
use crate::role_set::{Enabled, RoleSet};
use crate::source::Name;
use crate::value::Value;

/// What the last failure of the roles was.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trouble {
    /// The stable code.
    pub code: String,
    /// The error in words.
    pub message: String,
    /// The phase of the reload it failed in; none if a configuration was applied.
    pub phase: Option<Phase>,
    /// The generation that serves.
    pub generation: u64,
}

/// Things that live on although the roles are reloaded from a clean slate, by owner and name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keep(pub(crate) BTreeSet<(&'static str, Name, String)>);

impl Keep {
    pub(crate) fn has(&self, kind: &'static str, owner: &Name, name: String) -> bool {
        self.0.contains(&(kind, owner.clone(), name))
    }
}

/// Everything that is known, under one lock.
#[derive(Default)]
pub(crate) struct Desk {
    pub(crate) state: InstanceState,
    pub(crate) trouble: Option<Trouble>,
    /// The modules that were registered by name.
    pub(crate) modules: Vec<Name>,
    /// The modules that were live before the first of them.
    pub(crate) baseline: Option<BTreeSet<Name>>,
    pub(crate) set: Arc<RoleSet>,
    pub(crate) enabled: Enabled,
    /// The roles that run, with their modules.
    pub(crate) running: BTreeMap<String, Name>,
    /// Roles of new code that have begun in the reload that runs; live with its commit.
    pub(crate) coming: BTreeMap<String, Name>,
    /// The last configuration that was applied.
    pub(crate) config: Option<Config>,
    pub(crate) opts: Value,
    pub(crate) allowed: bool,
    pub(crate) forbidden: bool,
    pub(crate) keep: Keep,
    /// A role depends on fewer modules than before: some may have to leave.
    pub(crate) shrunk: bool,
}

/// The desk, whose turn it is at it, and a bell that rings when the state changes.
#[derive(Default)]
pub(crate) struct Board {
    desk: Mutex<Desk>,
    turn: Arc<Turn<()>>,
    changed: Event,
}

impl Board {
    pub(crate) fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until neither a reload nor an apply runs; none begins until the guard drops.
    pub(crate) async fn turn(&self) -> OwnedMutexGuard<()> {
        self.turn.clone().lock_owned().await
    }

    /// The turn, if nobody has it.
    pub(crate) fn turn_now(&self) -> Option<OwnedMutexGuard<()>> {
        self.turn.clone().try_lock_owned()
    }

    /// Goes on to the state that follows on `operation`.
    pub(crate) fn go(&self, world: &World, operation: Operation) -> Result<(), RoleError> {
        let mut desk = self.desk();
        let from = desk.state;
        let to = from.after(operation).ok_or(RoleError::State { operation, state: from })?;
        desk.state = to;
        if to == InstanceState::RolesConfigured {
            desk.trouble = None;
        }
        drop(desk);
        self.changed.notify(usize::MAX);
        world.emit(EventKind::StateChanged { from, to });
        Ok(())
    }

    /// Ends when the state changes.
    pub(crate) fn listen(&self) -> EventListener {
        self.changed.listen()
    }

    /// Whether the roles may be reloaded now: first whether they ever may, then whether it is forbidden at the moment,
    /// then the state.
    pub(crate) fn permits_reload(&self) -> Result<(), RoleError> {
        let desk = self.desk();
        if !desk.allowed {
            return Err(RoleError::Banned);
        }
        if desk.forbidden {
            return Err(RoleError::Forbidden);
        }
        match desk.state.after(Operation::Reload) {
            Some(_) => Ok(()),
            None => Err(RoleError::State { operation: Operation::Reload, state: desk.state }),
        }
    }
}
