//! Who calls a builtin: the instance that required it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use graceful_core::{CallError, Control, Instance, Lease, LeaseKind, Name, Scope, Source, World};
use mlua::{Error, UserData};

use crate::error::shows;

/// The world as builtins reach it. All of it is weak: what lives inside the VM must not keep alive what owns
/// the VM.
#[derive(Clone)]
pub(crate) struct Ties {
    world: Weak<World>,
    control: Weak<dyn Control>,
}

impl Ties {
    pub(crate) fn new(world: &Arc<World>, control: Weak<dyn Control>) -> Self {
        Self { world: Arc::downgrade(world), control }
    }

    /// The world.
    pub(crate) fn world(&self) -> mlua::Result<Arc<World>> {
        self.world.upgrade().ok_or_else(|| Error::external(CallError::Stopped))
    }

    /// The engine.
    pub(crate) fn control(&self) -> mlua::Result<Arc<dyn Control>> {
        self.control.upgrade().ok_or_else(|| Error::external(CallError::Stopped))
    }
}

/// The instance that required a builtin.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) ties: Ties,
    pub(crate) module: Name,
    instance: Weak<Instance>,
}

impl Caller {
    pub(crate) fn new(ties: &Ties, instance: &Arc<Instance>) -> Self {
        Self { ties: ties.clone(), module: instance.name.clone(), instance: Arc::downgrade(instance) }
    }

    /// The scope that owns what is started now: that of the instance, or of the live one if old code, which
    /// is kept in a state or by a call in flight, goes on after its own time.
    pub(crate) fn scope(&self) -> mlua::Result<Arc<Scope>> {
        let own = self.instance.upgrade().filter(|instance| !instance.scope.is_closed());
        let gone = || Error::runtime(format!("module `{}` is no longer loaded", self.module));
        let found = match own {
            Some(own) => own,
            None => self.ties.world()?.live(&self.module).ok_or_else(gone)?,
        };
        Ok(found.scope.clone())
    }
}

impl UserData for Caller {}

/// A number for a task or an owned thing, unique in this process.
pub(crate) fn number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Runs `effect` now, or at commit if this thread runs in a reload; never if that reload fails.
pub(crate) fn defer(effect: impl FnOnce() + Send + 'static) {
    match Lease::current_intents() {
        Some(intents) => intents.defer(effect),
        None => effect(),
    }
}

/// What the code that runs now belongs to.
pub(crate) fn running_kind() -> Option<LeaseKind> {
    Lease::current().map(|lease| lease.kind())
}

/// The source that an error message means by `file`; of several generations the newest.
pub(crate) fn source_of(world: &World, file: &str) -> Option<Arc<Source>> {
    let instances = world.instances();
    let named = instances.iter().filter(|instance| shows(file, &instance.source.origin));
    named.max_by_key(|instance| instance.born).map(|instance| instance.source.clone())
}
