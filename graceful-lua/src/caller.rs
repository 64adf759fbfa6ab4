//! Who calls a builtin: the instance that required it.

use std::sync::{Arc, Weak};

use graceful_core::{CallError, Instance, Lease, LeaseKind, Name, Scope, World};
use mlua::{Error, UserData};

use crate::record::{CONSOLE, Record};
use crate::vm::Vm;

/// The VM and its engine as builtins reach them. Weak: what lives inside the VM must not keep alive what owns
/// the VM.
#[derive(Clone)]
pub(crate) struct Ties(Weak<Vm>);

impl Ties {
    pub(crate) fn new(vm: &Arc<Vm>) -> Self {
        Self(Arc::downgrade(vm))
    }

    /// The VM.
    pub(crate) fn vm(&self) -> mlua::Result<Arc<Vm>> {
        self.0.upgrade().ok_or_else(|| Error::external(CallError::Stopped))
    }

    /// The world.
    pub(crate) fn world(&self) -> mlua::Result<Arc<World>> {
        self.vm()?.world().ok_or_else(|| Error::external(CallError::Stopped))
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

    /// Whoever `record` stands for.
    pub(crate) fn of(ties: &Ties, record: &Record) -> mlua::Result<Self> {
        let name = &record.source.name;
        match record.instance() {
            Some(instance) => Ok(Self::new(ties, &instance)),
            None if **name == *CONSOLE => Ok(Self::console(ties)),
            None => Err(Error::runtime(format!("module `{name}` is no longer loaded"))),
        }
    }

    /// Whoever types at the console.
    fn console(ties: &Ties) -> Self {
        Self { ties: ties.clone(), module: CONSOLE.into(), instance: Weak::new() }
    }

    /// The scope that owns what is started now: that of the instance, or of the live one if old code that is kept
    /// in a state goes on after its own time. A call in flight that began in that time stays in it.
    pub(crate) fn scope(&self) -> mlua::Result<Arc<Scope>> {
        let own = self.instance.upgrade().filter(|instance| !instance.scope.is_closed());
        let gone = || match &*self.module {
            CONSOLE => Error::runtime("the console owns nothing: let a module start it"),
            module => Error::runtime(format!("module `{module}` is no longer loaded")),
        };
        if let Some(own) = own {
            return Ok(own.scope.clone());
        }
        let live = self.ties.world()?.live(&self.module).ok_or_else(gone)?;
        let before = Lease::current_generation().is_some_and(|generation| generation < live.born);
        let old = self.instance.upgrade().filter(|_| before);
        Ok(old.unwrap_or(live).scope.clone())
    }
}

impl UserData for Caller {}

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
