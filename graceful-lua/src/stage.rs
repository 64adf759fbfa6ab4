//! One transaction: stages the new top levels beside the live generation, then commits or drops them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use graceful_core::role::is_declared;
use graceful_core::{Export, Manifest, Module, Name, Place, ScriptError, StageCx, Txn, TxnCx};
use mlua::{Function, Table, Value};

use crate::compile::Chunk;
use crate::module::LuaModule;
use crate::overlay::{Open, Veil};
use crate::passage::{Exported, Passage};
use crate::record::{Draft, Kept, Record};
use crate::run::{How, Memory, Run, Watched};
use crate::value::from_lua;
use crate::vm::Vm;

/// How much of a table a module exports is copied out.
const EXPORTED: usize = 1000;

/// How much of what was dropped goes with each top level that is staged.
const BURIED: usize = 4;

/// This backend's part of one transaction.
pub(crate) struct LuaTxn {
    vm: Arc<Vm>,
    cx: TxnCx,
    /// Made when the first module is staged.
    open: Mutex<Option<Arc<Open>>>,
    /// It was committed and leaves behind what is worth collecting.
    litters: AtomicBool,
}

/// The Lua side of a module that is about to run.
struct Ready {
    kept: Arc<Kept>,
    require: Function,
    own: Table,
}

impl LuaTxn {
    pub(crate) fn begin(vm: &Arc<Vm>, cx: TxnCx) -> Self {
        vm.turns.watch();
        Self { vm: vm.clone(), cx, open: Mutex::default(), litters: AtomicBool::new(false) }
    }

    /// Called under the VM's lock.
    fn open(&self) -> mlua::Result<Arc<Open>> {
        let mut slot = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = &*slot {
            return Ok(open.clone());
        }
        // First, or making it would be charged with what the collector is behind.
        self.vm.collector.rest(&self.vm.lua, &self.vm.settings);
        let open =
            Open::new(&self.vm, self.cx.clone()).inspect_err(|_| self.vm.collector.wake(&self.vm.lua))?;
        self.vm.set_open(Some(open.clone()));
        Ok(slot.insert(open).clone())
    }

    /// Makes the Lua side of the record, with the state of the live version.
    fn prepare(&self, open: &Arc<Open>, cx: &StageCx, chunk: &Chunk) -> mlua::Result<Ready> {
        let vm = &self.vm;
        let draft = Draft {
            importer: cx.importer.clone(),
            start: open.cx.start,
            registration: None,
            raised: None,
            kept: std::sync::Weak::new(),
        };
        let record = Arc::new(Record::new(vm, cx.source.clone(), &cx.instance, draft));
        let kept = Arc::new(Kept { record: record.clone(), vm: vm.clone() });
        if let Some(draft) = &mut *record.draft() {
            draft.kept = Arc::downgrade(&kept);
        }
        let previous = cx.previous.as_ref().and_then(|module| module.as_any().downcast_ref::<LuaModule>());
        let previous = previous.filter(|previous| previous.is_in(vm));
        // The top level of the live version can be run again where the text is the same.
        let again =
            previous.is_some_and(|previous| previous.is_of(&cx.source)) && chunk.keeps_its_environment();
        let id = previous.map(LuaModule::id);
        let (require, own, state) = vm.imports.record(vm, &record, id, again)?;
        if again
            && let Some(main) = own.raw_get::<Option<Function>>("main")?
            && main.environment() != Some(vm.lua.globals())
        {
            own.raw_set("main", Value::Nil)?;
        }
        open.staged(vm, &record, state)?;
        Ok(Ready { kept, require, own })
    }

    fn manifest(&self, kept: &Kept, exported: &mut Exported) -> mlua::Result<Manifest> {
        let record = &kept.record;
        let draft = record.draft().take();
        let registered = draft.and_then(|draft| draft.registration);
        let mut manifest = Manifest::plain(record.source.name.clone());
        if let Some(registration) = registered {
            manifest.registered = true;
            manifest.version = registration.version;
            manifest.hooks = registration.hooks;
            manifest.checkpoint = registration.checkpoint;
            manifest.drain = registration.drain;
            manifest.migrations = registration.migrations;
        }
        manifest.exports = std::mem::take(&mut exported.plain);
        if manifest.exports.is_empty() && exported.deep.is_empty() {
            let own = || self.vm.table(record.id)?.raw_get::<Value>("exports");
            let exports = self.vm.hold(own)?;
            manifest.returned = (!exports.is_table()).then(|| exports.type_name());
            return Ok(manifest);
        }
        if exported.deep.is_empty() {
            return Ok(manifest);
        }
        self.vm.hold(|| {
            let exports: Table = self.vm.table(record.id)?.raw_get("exports")?;
            for name in exported.deep.drain(..) {
                let declared = is_declared(&name);
                let value = match exports.raw_get::<Value>(name.as_str())? {
                    Value::Nil => continue,
                    Value::Table(table) if !declared && !is_small(&table, &mut EXPORTED.clone()) => continue,
                    value => from_lua(&value),
                };
                match value {
                    Ok(value) => drop(manifest.exports.insert(name, Export::Value(value))),
                    Err(reason) if declared => drop(manifest.unfit.insert(name, reason)),
                    Err(_) => {}
                }
            }
            Ok(manifest)
        })
    }

    /// The failure of a top level, with the kind it had before it became text in the script.
    fn failed(&self, record: &Record, error: &mlua::Error) -> ScriptError {
        let mut error = self.vm.script_error(error);
        let raised = record.draft().as_ref().and_then(|draft| draft.raised.clone());
        if let Some(raised) = raised.filter(|raised| error.message == raised.message) {
            error.kind = raised.kind;
        }
        if error.place.is_none() { error.at(Place::file(&record.source.origin)) } else { error }
    }
}

/// Whether `table` has few enough entries to be copied out.
fn is_small(table: &Table, left: &mut usize) -> bool {
    let mut todo = vec![table.clone()];
    while let Some(table) = todo.pop() {
        for entry in table.pairs::<Value, Value>() {
            let Some(less) = left.checked_sub(1) else { return false };
            *left = less;
            todo.extend(entry.ok().and_then(|(_, value)| value.as_table().cloned()));
        }
    }
    true
}

#[async_trait]
impl Txn for LuaTxn {
    async fn stage(&self, cx: StageCx) -> Result<Arc<dyn Module>, ScriptError> {
        let vm = &self.vm;
        vm.free(self.cx.stage_budget, self.cx.drain).await?;
        let chunk: Arc<Chunk> = cx.compiled.artifact.clone().downcast().expect("compiled by this backend");
        let prepared = vm.hold_soon(self.cx.stage_budget, self.cx.drain, || {
            let open = self.open()?;
            vm.grave.clear(&vm.records, BURIED);
            let ready = self.prepare(&open, &cx, &chunk)?;
            Ok::<_, mlua::Error>((open, ready))
        });
        let (open, Ready { kept, require, own }) = prepared.map_err(|error| vm.script_error(&error))?;
        let record = &kept.record;
        let how = How {
            veil: Some(Veil::staging(&open, record, require)),
            budget: Some(open.cx.stage_budget),
            staging: true,
            ..How::default()
        };
        let passage = Passage::new(chunk, cx.source.clone());
        let run = Run::new(vm, how, || {
            let args = (own, record.id, open.fresh(), passage.address());
            Watched::new(vm, vm.top_level.call_async::<()>(args))
        });
        match run.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(vm.hold(|| self.failed(record, &error))),
            Err(overrun) => return Err(overrun.into_error(vm)),
        }
        let manifest =
            self.manifest(&kept, &mut passage.exported()).map_err(|error| vm.script_error(&error))?;
        Ok(Arc::new(LuaModule::new(manifest, kept)))
    }

    fn slice(&self, work: &mut dyn FnMut() -> bool) {
        if self.vm.is_kept() {
            work();
            return;
        }
        let keep = || {
            let began = Instant::now();
            let more = &mut || began.elapsed() < self.vm.settings.stage_slice && work();
            match self.open() {
                Ok(open) => open.slice(&self.vm, || while more() {}),
                // The first stage tells.
                Err(_) => drop(work()),
            }
        };
        let (most, drain) = (self.cx.stage_budget, self.cx.drain);
        self.vm.queue.slices(true);
        self.vm.hold_soon(most, drain, || self.vm.paused.during(keep));
        self.vm.queue.let_in();
    }

    fn join(&self, module: &Arc<dyn Module>) {
        let module = module.as_any().downcast_ref::<LuaModule>().filter(|module| module.is_in(&self.vm));
        if let (Some(module), Ok(open)) = (module, self.vm.hold(|| self.open())) {
            open.join(module.record());
        }
    }

    /// A synchronous call that still runs holds the VM's lock.
    async fn quiesce(&self, _: &BTreeSet<Name>) {
        let (vm, Some(world)) = (self.vm.clone(), self.vm.world()) else { return };
        world.clock.blocking(Box::new(move || vm.hold(|| ()))).await;
    }

    fn commit(&self, swap: &mut dyn FnMut()) {
        let vm = &self.vm;
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut make_live = || {
            self.litters.store(vm.is_to_tidy_up(), Ordering::Release);
            let Some(open) = &open else {
                swap();
                return Vec::new();
            };
            let _unlimited = Memory::limit(&vm.lua, 0);
            let claims = vm.globals.claim(vm, open).unwrap_or_default();
            open.pour(vm).expect("tables of the VM are written raw");
            swap();
            vm.set_open(None);
            vm.collector.wake(&vm.lua);
            claims
        };
        let (most, drain) = (self.cx.stage_budget, self.cx.drain);
        let claims = vm.hold_at_last(most, drain, || vm.paused.during(&mut make_live));
        vm.queue.slices(false);
        let world = vm.world();
        for (owner, global) in claims {
            if let Some(instance) = world.as_ref().and_then(|world| world.live(&owner)) {
                // A reload that came in between has replaced the global with its owner.
                let _ = instance.scope.add(global);
            }
        }
    }

    /// Does not wait for the VM's lock: code that spins may hold it.
    fn rollback(&self) {
        self.vm.queue.slices(false);
        if self.open.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
            return;
        }
        self.vm.set_open(None);
        let (vm, Some(world)) = (self.vm.clone(), self.vm.world()) else { return };
        let wake = world.clock.blocking(Box::new(move || {
            let litters = vm.hold(|| {
                vm.collector.wake(&vm.lua);
                vm.is_to_tidy_up()
            });
            if litters {
                vm.tidy_up();
            }
        }));
        world.clock.spawn(wake);
    }
}

impl Drop for LuaTxn {
    /// Old code has been released. The commit itself does not wait for a thread to be there.
    fn drop(&mut self) {
        if *self.litters.get_mut() {
            self.vm.tidy_up();
        }
    }
}
