//! Who is asking: the identity that the functions of one loaded version of a module carry.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use graceful_core::{Importer, Instance, Scope, ScriptError, Source};
use mlua::UserData;

use crate::register::Registration;
use crate::vm::Vm;

static NEXT: AtomicU64 = AtomicU64::new(1);

/// A number that nothing else in this process has.
pub(crate) fn next_id() -> u64 {
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The name of whoever types at the console. No module can have it.
pub(crate) const CONSOLE: &str = "the console";

/// One loaded version of a module, as its Lua functions know it. They may outlive it: a closure kept in the
/// state goes on being called after its generation was dropped.
pub(crate) struct Record {
    pub(crate) id: u64,
    pub(crate) source: Arc<Source>,
    vm: Weak<Vm>,
    instance: Weak<Instance>,
    draft: Mutex<Option<Draft>>,
}

/// What a module is told and says of itself while its top level runs.
pub(crate) struct Draft {
    pub(crate) importer: Arc<dyn Importer>,
    /// `init` runs while the module registers.
    pub(crate) start: bool,
    pub(crate) registration: Option<Registration>,
    /// The last failure that a script was given as text, so that it keeps its kind if it ends the top level.
    pub(crate) raised: Option<ScriptError>,
    /// For what must keep the Lua side although the top level may still fail.
    pub(crate) kept: Weak<Kept>,
}

impl Record {
    pub(crate) fn new(vm: &Arc<Vm>, source: Arc<Source>, instance: &Arc<Instance>, draft: Draft) -> Self {
        Self {
            id: next_id(),
            source,
            vm: Arc::downgrade(vm),
            instance: Arc::downgrade(instance),
            draft: Mutex::new(Some(draft)),
        }
    }

    /// What stands for a module where a person asks: it owns nothing.
    pub(crate) fn console(vm: &Arc<Vm>) -> Self {
        let source = Arc::new(Source::new(CONSOLE, "lua", CONSOLE, Vec::new()));
        let (instance, draft) = Default::default();
        Self { id: next_id(), source, vm: Arc::downgrade(vm), instance, draft }
    }

    pub(crate) fn vm(&self) -> mlua::Result<Arc<Vm>> {
        self.vm.upgrade().ok_or_else(|| mlua::Error::runtime("the Lua backend is gone"))
    }

    /// The instance it was loaded as; once that was dropped, the live one of the same name.
    pub(crate) fn instance(&self) -> Option<Arc<Instance>> {
        let own = self.instance.upgrade();
        own.or_else(|| self.vm.upgrade()?.world()?.live(&self.source.name))
    }

    /// What owns the things its code starts.
    pub(crate) fn scope(&self) -> Option<Arc<Scope>> {
        self.instance().map(|instance| instance.scope.clone())
    }

    /// Its draft, while its top level runs.
    pub(crate) fn draft(&self) -> MutexGuard<'_, Option<Draft>> {
        self.draft.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives `error` to the script as text; see [`Draft::raised`].
    pub(crate) fn raise(&self, error: ScriptError) -> String {
        let text = error.message.clone();
        if let Some(draft) = &mut *self.draft() {
            draft.raised = Some(error);
        }
        text
    }
}

/// A record as a Lua value. Scripts never hold one: it is an upvalue of the functions they are given.
#[derive(Clone)]
pub(crate) struct Identity(pub(crate) Arc<Record>);

impl UserData for Identity {}

/// Keeps the Lua side of a record: its exports, hooks and state. Dropped with the module, wherever that is,
/// so it only notes that they can go.
pub(crate) struct Kept {
    pub(crate) record: Arc<Record>,
    pub(crate) vm: Arc<Vm>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.vm.grave.bury(self.record.id);
    }
}
