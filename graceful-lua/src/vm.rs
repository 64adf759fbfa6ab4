//! The live VM: one Lua that holds every generation, and what this backend keeps beside it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use graceful_core::error::ScriptErrorKind;
use graceful_core::gate::Gate;
use graceful_core::{CallError, Control, Instance, Lease, LeaseKind, Name, ScriptError, Source, World};
use mlua::{Function, Lua, Table, Value};

use crate::checkpoint::Copier;
use crate::collector::Collector;
use crate::error;
use crate::globals::Globals;
use crate::grave::Grave;
use crate::import::Imports;
use crate::interrupt::Interrupt;
use crate::module::LuaModule;
use crate::overlay::{Open, Overlay};
use crate::passage;
use crate::pauses::Paused;
use crate::queue::Queue;
use crate::turns::Turns;

/// What the host decides about its VM.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// How much the VM may grow while one top level or hook has its turn, in bytes.
    pub(crate) stage_memory: usize,
    /// How much the VM may take in all, in bytes, where it was told.
    pub(crate) memory: Option<usize>,
    /// How many entries a state may have that is copied before hooks run on it.
    pub(crate) checkpoint_entries: usize,
    /// How long staging keeps the VM before it lets others in between.
    pub(crate) stage_slice: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        let stage_slice = Duration::from_micros(300);
        Self { stage_memory: 64 << 20, memory: None, checkpoint_entries: 1_000_000, stage_slice }
    }
}

/// The engine as this backend holds it: weakly, because the engine owns the backend.
struct Engine {
    world: Weak<World>,
    control: Weak<dyn Control>,
    gate: Arc<Gate>,
}

/// The live VM. Its lock comes before any other, and no handle is dropped under another.
pub(crate) struct Vm {
    pub(crate) lua: Lua,
    pub(crate) settings: Settings,
    /// By record number: `{exports, state, mod, hooks, require, main}`. One handle for all of them, because LuaJIT
    /// has room for some thousand handles only.
    pub(crate) records: Table,
    pub(crate) grave: Grave,
    pub(crate) collector: Collector,
    pub(crate) paused: Paused,
    pub(crate) queue: Queue,
    /// What new top levels changed is in between two of their turns. Only touched under the VM's lock.
    pub(crate) veiled: AtomicBool,
    /// What the VM took after LuaJIT was last made to collect. Only touched under the VM's lock.
    pub(crate) relieved: AtomicUsize,
    pub(crate) interrupt: Arc<Interrupt>,
    pub(crate) turns: Arc<Turns>,
    pub(crate) overlay: Overlay,
    pub(crate) copier: Copier,
    pub(crate) imports: Imports,
    pub(crate) globals: Globals,
    /// See [`error::guard`].
    pub(crate) guard: Function,
    /// Runs a top level; see [`passage`].
    pub(crate) top_level: Function,
    /// The `require` that everybody sees.
    pub(crate) require: OnceLock<Function>,
    engine: OnceLock<Engine>,
    open: Mutex<Option<Arc<Open>>>,
}

impl Vm {
    pub(crate) fn new(lua: Lua, settings: Settings) -> mlua::Result<Arc<Self>> {
        let getmeta = lua.create_function(|_, table: Table| Ok(table.metatable()))?;
        let setmeta =
            lua.create_function(|_, (table, meta): (Table, Option<Table>)| table.set_metatable(meta))?;
        let turns = Turns::new(&lua);
        let turn = lua.create_table()?;
        let copier = Copier::load(&lua, &getmeta, &setmeta)?;
        let vm = Arc::new(Self {
            settings,
            records: lua.create_table()?,
            grave: Grave::default(),
            collector: Collector::load(&lua)?,
            paused: Paused::default(),
            queue: Queue::default(),
            veiled: AtomicBool::new(false),
            relieved: AtomicUsize::new(0),
            interrupt: Interrupt::new(&turns),
            turns,
            overlay: Overlay::load(&lua, &getmeta, &setmeta, &turn)?,
            top_level: passage::run(&lua, copier.borders(), &turn)?,
            copier,
            imports: Imports::new(&lua, &turn)?,
            globals: Globals::load(&lua)?,
            guard: error::guard(&lua)?,
            require: OnceLock::new(),
            engine: OnceLock::new(),
            open: Mutex::default(),
            lua,
        });
        crate::ground::lay(&vm)?;
        Ok(vm)
    }

    pub(crate) fn attach(&self, world: &Arc<World>, control: Weak<dyn Control>) {
        let (world, gate) = (Arc::downgrade(world), world.gate.clone());
        let _ = self.engine.set(Engine { world, control, gate });
    }

    /// Whether what runs must end: its time is over, or it was cancelled.
    pub(crate) fn is_over(&self) -> bool {
        self.interrupt.is_over() || crate::turns::is_cancelled()
    }

    pub(crate) fn world(&self) -> Option<Arc<World>> {
        self.engine.get()?.world.upgrade()
    }

    pub(crate) fn control(&self) -> Option<Arc<dyn Control>> {
        self.engine.get()?.control.upgrade()
    }

    /// The gate's epoch.
    #[inline]
    pub(crate) fn epoch(&self) -> Option<u64> {
        self.engine.get().map(|engine| engine.gate.epoch())
    }

    /// The transaction that is open, if one is.
    pub(crate) fn open(&self) -> Option<Arc<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_open(&self, open: Option<Arc<Open>>) {
        let before = std::mem::replace(&mut *self.open.lock().unwrap_or_else(PoisonError::into_inner), open);
        if let Some(before) = before {
            before.end();
        }
    }

    /// Whether code of this thread would see what new top levels changed. Called under the VM's lock.
    #[inline]
    pub(crate) fn is_veiled(&self) -> bool {
        self.veiled.load(Ordering::Relaxed)
    }

    /// Holds the VM's lock, which is reentrant, while `work` runs.
    pub(crate) fn hold<R>(&self, work: impl FnOnce() -> R) -> R {
        let waits = self.queue.wait();
        self.lua.exec_raw_lua(|_| {
            drop(waits);
            work()
        })
    }

    /// The Lua side of a record. Called under the VM's lock.
    pub(crate) fn table(&self, record: u64) -> mlua::Result<Table> {
        self.records.raw_get(record)
    }

    /// What `require` gives for `instance`, which is loaded.
    pub(crate) fn exports(self: &Arc<Self>, instance: &Arc<Instance>) -> mlua::Result<Value> {
        match self.own(instance) {
            Some(id) => self.table(id)?.raw_get("exports"),
            None => self.imports.foreign.table(self, instance),
        }
    }

    /// The record number of `instance`, if this VM loaded it.
    pub(crate) fn own(&self, instance: &Instance) -> Option<u64> {
        let module = instance.module()?.as_any().downcast_ref::<LuaModule>()?;
        module.is_in(self).then(|| module.id())
    }

    /// The source a message means by `file`: that of the generation this thread sees, or of any other.
    pub(crate) fn source(&self, file: &str) -> Option<Arc<Source>> {
        let world = self.world()?;
        let generation = Lease::current_generation().unwrap_or_else(|| world.gate.live());
        let shown = |source: &Arc<Source>| error::shows(file, &source.origin);
        let staged = self.open().map(|open| open.records()).unwrap_or_default();
        if Lease::current().is_some_and(|lease| lease.kind() == LeaseKind::Stage)
            && let Some(record) = staged.iter().find(|record| shown(&record.source))
        {
            return Some(record.source.clone());
        }
        let mut found = world.instances();
        found.retain(|instance| shown(&instance.source));
        let seen = found.iter().find(|instance| instance.lives_at(generation)).or(found.first());
        seen.map(|instance| instance.source.clone())
    }

    /// `error` as the core speaks of it.
    pub(crate) fn script_error(&self, error: &mlua::Error) -> ScriptError {
        let error = error::script_error(error, |file| self.source(file));
        if cfg!(feature = "luajit") && error.kind == ScriptErrorKind::Memory {
            // LuaJIT fails every allocation from here on unless somebody collects.
            let _ = self.lua.gc_collect();
        }
        error
    }

    /// `error` as a failed call into `module`.
    pub(crate) fn call_error(&self, module: &Name, error: &mlua::Error) -> CallError {
        if let Some(lease) = Lease::current().filter(Lease::is_cancelled) {
            let Some(overrun) = lease.cancellation().overrun() else {
                return CallError::Cancelled { module: module.to_string() };
            };
            let ScriptError { place, source_line, traceback, .. } = self.script_error(error);
            return ScriptError { place, source_line, traceback, ..overrun }.into();
        }
        match error::call_error(error) {
            Some(CallError::Script(_)) | None => CallError::Script(self.script_error(error)),
            Some(thrown) => thrown.clone(),
        }
    }

    /// The instance of `name` that the code running on this thread sees.
    pub(crate) fn seen(&self, name: &Name) -> Option<Arc<Instance>> {
        let world = self.world()?;
        let generation = Lease::current_generation().unwrap_or_else(|| world.gate.live());
        world.instance_at(name, generation).or_else(|| world.live(name))
    }
}
