//! `require`: resolves against the live world as the asking module sees it, and loads what is not loaded yet.

use std::sync::Arc;

use graceful_core::error::ScriptErrorKind;
use graceful_core::{Name, OnBusy, Place, ReloadOptions, Resolved, ScriptError, World};
use mlua::{Function, Lua, Table, UserDataRef, Value};

use crate::builtin::{self, FIXED};
use crate::foreign::Foreign;
use crate::ground::coroutine;
use crate::passage;
use crate::record::{Identity, Record};
use crate::vm::Vm;
use crate::waits::Waiting;

const SETTLED: u8 = 1;
const PINNED: u8 = 2;
const WAIT: u8 = 3;
const FAILED: u8 = 4;

/// What makes the `require` of each module.
pub(crate) struct Imports {
    make: Function,
    /// What the VM had loaded before it was given to us, by name.
    presets: Table,
    preload: Option<Table>,
    pub(crate) foreign: Foreign,
}

impl Imports {
    /// `turn` says whose top level has the turn.
    pub(crate) fn new(lua: &Lua, turn: &Table) -> mlua::Result<Self> {
        let globals = lua.globals();
        let isyieldable: Function = coroutine(lua)?.raw_get("isyieldable")?;
        let resolve = lua.create_function(|lua, (record, name): (UserDataRef<Identity>, Value)| {
            resolve(lua, &record.0, &name)
        })?;
        let wait = lua.create_async_function(|lua, (record, name): (UserDataRef<Identity>, String)| {
            let (record, place) = (record.0.clone(), place(&lua));
            Waiting::new(async move { wait(&lua, &record, &name.into(), place).await })
        })?;
        let chunk = lua.load(include_str!("lua/require.lua")).set_name("=graceful");
        let make = chunk.call((resolve, wait, &isyieldable, passage::knows(lua)?, turn))?;
        let package: Option<Table> = globals.raw_get("package")?;
        let presets = lua.create_table()?;
        let loaded =
            package.as_ref().map(|package| package.raw_get::<Option<Table>>("loaded")).transpose()?;
        if let Some(loaded) = loaded.flatten() {
            for entry in loaded.pairs::<Value, Value>() {
                let (name, value) = entry?;
                presets.raw_set(name, value)?;
            }
        }
        let preload = package.map(|package| package.raw_get("preload")).transpose()?.flatten();
        Ok(Self { make, presets, preload, foreign: Foreign::new(lua, isyieldable)? })
    }

    /// Makes the Lua side of `record`, with the state of the record `previous` and, if it is run `again`, its top
    /// level. Returns its `require`, the Lua side and the state.
    pub(crate) fn record(
        &self,
        vm: &Vm,
        record: &Arc<Record>,
        previous: Option<u64>,
        again: bool,
    ) -> mlua::Result<(Function, Table, Option<Table>)> {
        self.make.call((Identity(record.clone()), &vm.records, record.id, previous, again))
    }

    /// The names that `require` answers without the engine.
    pub(crate) fn presets(&self) -> mlua::Result<Vec<String>> {
        let mut names = Vec::new();
        for table in [Some(&self.presets), self.preload.as_ref()].into_iter().flatten() {
            for entry in table.pairs::<Value, Value>() {
                if let (Value::String(name), _) = entry? {
                    names.push(name.to_string_lossy());
                }
            }
        }
        Ok(names)
    }

    /// What the VM had under `name` before it was given to us.
    pub(crate) fn preset(&self, name: &str) -> mlua::Result<Option<Value>> {
        let loaded: Value = self.presets.raw_get(name)?;
        if !loaded.is_nil() {
            return Ok(Some(loaded));
        }
        let loader = self.preload.as_ref().map(|preload| preload.raw_get::<Option<Function>>(name));
        let Some(loader) = loader.transpose()?.flatten() else { return Ok(None) };
        let value = match loader.call((name, ":preload:"))? {
            Value::Nil => Value::Boolean(true),
            value => value,
        };
        self.presets.raw_set(name, &value)?;
        Ok(Some(value))
    }
}

fn resolve(lua: &Lua, record: &Arc<Record>, name: &Value) -> mlua::Result<(u8, Value)> {
    let say = |how: u8, text: String| Ok((how, Value::String(lua.create_string(text)?)));
    let Value::String(name) = name else {
        return say(
            FAILED,
            format!("bad argument #1 to 'require' (string expected, got {})", name.type_name()),
        );
    };
    let name = Name::from(name.to_string_lossy());
    let vm = record.vm()?;
    let from = record.instance();
    // What it is known to require is a module of the engine.
    if from.as_ref().is_some_and(|from| from.requires(&name)) {
        if let Some(open) = vm.open().filter(|_| record.draft().is_some()) {
            let exports = open.exports(&name)?;
            if !exports.is_nil() {
                return Ok((SETTLED, exports));
            }
        }
    } else {
        if *name == *FIXED
            && let Some(value) = builtin::value(lua, record, &name)?
        {
            return Ok((SETTLED, value));
        }
        if let Some(value) = vm.imports.preset(&name)? {
            return Ok((SETTLED, value));
        }
    }
    let (Some(world), Some(from)) = (vm.world(), from) else {
        return say(FAILED, format!("module '{name}' cannot be had: its engine is gone"));
    };
    match world.resolve(&from, &name, || place(lua)) {
        Resolved::Settled(found) => Ok((SETTLED, vm.exports(&found)?)),
        Resolved::Pinned(found) => Ok((PINNED, vm.exports(&found)?)),
        Resolved::Closing => {
            say(WAIT, format!("module '{name}' is being replaced and nothing can wait here"))
        }
        Resolved::Absent => match builtin::value(lua, record, &name)? {
            Some(value) => Ok((SETTLED, value)),
            None => say(WAIT, unloaded(&name)),
        },
        Resolved::Pending => say(WAIT, unloaded(&name)),
    }
}

/// What is said of a module that is not there.
pub(crate) fn unloaded(name: &Name) -> String {
    format!("module '{name}' is not loaded and nothing can wait for it here")
}

type Waited = (Option<String>, Option<Value>);

/// Waits until `name` can be resolved. Returns what it failed with, or what there is in its place.
async fn wait(lua: &Lua, record: &Arc<Record>, name: &Name, place: Option<Place>) -> mlua::Result<Waited> {
    let vm = record.vm()?;
    let (Some(world), Some(from)) = (vm.world(), record.instance()) else { return Ok((None, None)) };
    let answer = match world.resolve(&from, name, || place.clone()) {
        Resolved::Settled(_) | Resolved::Pinned(_) => return Ok((None, None)),
        Resolved::Closing => {
            let late = world.settled(name).await.err();
            return Ok((late.map(|late| late.to_string()), None));
        }
        Resolved::Pending | Resolved::Absent => {
            let importer = record.draft().as_ref().map(|draft| draft.importer.clone());
            match importer {
                Some(importer) => importer.import(&from, name, place).await.map(|_| ()),
                None => load(&vm, &world, name).await,
            }
        }
    };
    let Err(error) = answer else { return Ok((None, None)) };
    // The app's own module of that name leaves with this reload.
    if error.message.starts_with(&format!("module `{name}` is missing"))
        && let Some(value) = builtin::value(lua, record, name)?
    {
        return Ok((None, Some(value)));
    }
    Ok((Some(record.raise(error)), None))
}

/// Loads a module that live code asks for by a name nobody could foresee: a reload of its own.
pub(crate) async fn load(vm: &Vm, world: &World, name: &Name) -> Result<(), ScriptError> {
    let failed = |text: String| ScriptError::new(ScriptErrorKind::Import, text);
    let control =
        vm.control().ok_or_else(|| failed(format!("module '{name}' cannot be had: the engine is gone")))?;
    if graceful_core::Lease::current().is_some_and(|lease| lease.is_transactional()) {
        return Err(failed(format!("module '{name}' is not loaded, and a hook cannot load it")));
    }
    let options = ReloadOptions {
        changed: Some(Default::default()),
        load: [name.clone()].into(),
        on_busy: OnBusy::Refuse,
        ..ReloadOptions::default()
    };
    let (done, answer) = tokio::sync::oneshot::channel();
    let reload = control.reload(options);
    world.clock.spawn(Box::pin(async move {
        let _ = done.send(reload.await);
    }));
    match answer.await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(failed(format!("module '{name}' cannot be loaded: {}", error.kind))),
        Err(_) => Err(failed(format!("module '{name}' cannot be loaded: the engine is gone"))),
    }
}

/// Where the nearest code of a module stands on the running stack.
pub(crate) fn place(lua: &Lua) -> Option<Place> {
    for level in 0..64 {
        let frame = lua.inspect_stack(level, |frame| {
            let source = frame.source().source?.strip_prefix('@')?.to_owned();
            let line = frame.current_line().and_then(|line| line.try_into().ok());
            Some(Place { file: source, line, column: None })
        })?;
        if frame.is_some() {
            return frame;
        }
    }
    None
}
