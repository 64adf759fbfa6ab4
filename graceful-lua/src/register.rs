//! `register_module(name, opts)`: checks the options and makes the module object.

use std::sync::Arc;

use graceful_core::error::ScriptErrorKind;
use graceful_core::manifest::HookSet;
use graceful_core::{CheckpointMode, Hook, HookCx, Migrations, ScriptError, Version, near};
use mlua::{Function, Lua, Table, UserDataRef, Value};

use crate::migration;
use crate::module::finalize;
use crate::record::{Identity, Record};
use crate::semver::{self, Semver};

/// What a module said of itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Registration {
    pub(crate) version: Option<Version>,
    pub(crate) hooks: HookSet,
    pub(crate) checkpoint: CheckpointMode,
    pub(crate) drain: bool,
    pub(crate) migrations: Migrations,
}

const HOOKS: [&str; 6] = ["init", "finalize", "before_reload", "after_reload", "on_reload", "rollback"];
const OTHERS: [&str; 4] = ["version", "checkpoint", "drain", "migrations"];

/// A function that makes the `register_module` of a record, made once in a VM.
pub(crate) fn maker(lua: &Lua) -> mlua::Result<Function> {
    let (begin, initialised) = (lua.create_function(begin)?, lua.create_function(initialised)?);
    let chunk = lua.load(include_str!("lua/register.lua")).set_name("=graceful");
    chunk.call((begin, initialised))
}

type Begun = (Option<String>, Option<Table>, Option<Function>);

/// Registers; returns what was wrong, or the module object and the `init` that is to run now.
fn begin(lua: &Lua, (record, name, opts): (UserDataRef<Identity>, Value, Value)) -> mlua::Result<Begun> {
    let record = &record.0;
    match register(lua, record, &name, &opts)? {
        Err(text) => {
            let error = ScriptError::new(ScriptErrorKind::Registration, text);
            Ok((Some(record.raise(error)), None, None))
        }
        Ok((module, init)) => Ok((None, Some(module), init)),
    }
}

type Checked = Result<(Table, Option<Function>), String>;

fn register(lua: &Lua, record: &Arc<Record>, name: &Value, opts: &Value) -> mlua::Result<Checked> {
    if let Err(text) = check_name(record, name) {
        return Ok(Err(text));
    }
    let vm = record.vm()?;
    if record.draft().is_none() {
        return Ok(Err("register_module is called while its module loads, not later".into()));
    }
    let (registration, hooks, steps) = match check(lua, opts)? {
        Err(text) => return Ok(Err(format!("module `{}`, {text}", record.source.name))),
        Ok(checked) => checked,
    };
    let own = vm.table(record.id)?;
    let state = match own.raw_get::<Option<Table>>("state")? {
        Some(state) => state,
        None => {
            let state = lua.create_table()?;
            vm.copier.border(&state)?;
            own.raw_set("state", &state)?;
            state
        }
    };
    let module: Table = own.raw_get::<Option<Table>>("mod")?.map_or_else(|| lua.create_table(), Ok)?;
    module.clear()?;
    for pair in hooks.pairs::<Value, Value>() {
        let (key, hook) = pair?;
        module.raw_set(key, hook)?;
    }
    module.raw_set("name", record.source.name.as_str())?;
    module.raw_set("version", registration.version.clone().map(Semver))?;
    module.raw_set("state", state)?;
    let init: Option<Function> = hooks.raw_get("init")?;
    own.raw_set("hooks", hooks)?;
    own.raw_set("steps", steps)?;
    own.raw_set("mod", &module)?;
    let mut draft = record.draft();
    let first =
        draft.as_mut().is_some_and(|draft| draft.registration.replace(registration).is_none() && draft.start);
    let init = init.filter(|_| first);
    if let (Some(draft), Some(_)) = (draft.as_ref(), &init) {
        draft.importer.initialising(&record.source.name);
    }
    drop(draft);
    Ok(Ok((module, init)))
}

fn check_name(record: &Record, name: &Value) -> Result<(), String> {
    let Value::String(given) = name else {
        return Err(format!("register_module expects the module's name, got {}", name.type_name()));
    };
    let (given, own) = (given.to_string_lossy(), record.source.name.as_str());
    if given == own {
        return Ok(());
    }
    let taken = record.vm().ok().and_then(|vm| vm.seen(&given.as_str().into()));
    let taken = taken.map(|other| format!("; `{given}` is {}", other.source.origin)).unwrap_or_default();
    Err(format!("{} is loaded as `{own}` but registers itself as `{given}`{taken}", record.source.origin))
}

type Options = Result<(Registration, Table, Table), String>;

/// The options; the hooks among them by their first names, and the functions of the migrations' steps.
fn check(lua: &Lua, opts: &Value) -> mlua::Result<Options> {
    let (hooks, steps) = (lua.create_table()?, lua.create_table()?);
    let mut registration = Registration::default();
    let opts = match opts {
        Value::Nil => return Ok(Ok((registration, hooks, steps))),
        Value::Table(opts) => opts,
        other => return Ok(Err(format!("expected a table of options, got {}", other.type_name()))),
    };
    for pair in opts.pairs::<Value, Value>() {
        let (key, value) = pair?;
        let Value::String(key) = &key else {
            return Ok(Err(format!("options have names, got {}", key.type_name())));
        };
        let key = key.to_string_lossy();
        if key == "migrations" {
            match migration::read(lua, &value, &steps)? {
                Ok(migrations) => registration.migrations = migrations,
                Err(text) => return Ok(Err(text)),
            }
            continue;
        }
        if let Err(text) = option(&key, &value, &mut registration, &hooks)? {
            return Ok(Err(text));
        }
    }
    if registration.checkpoint == CheckpointMode::Own && !registration.hooks.rollback {
        return Ok(Err("option `checkpoint`: 'own' needs a `rollback` hook".into()));
    }
    if registration.version.is_none() && !registration.migrations.is_empty() {
        return Ok(Err("option `migrations`: they need the option `version`".into()));
    }
    Ok(Ok((registration, hooks, steps)))
}

fn option(
    key: &str,
    value: &Value,
    registration: &mut Registration,
    hooks: &Table,
) -> mlua::Result<Result<(), String>> {
    let wrong =
        |expected: &str| Ok(Err(format!("option `{key}`: expected {expected}, got {}", value.type_name())));
    match key {
        "version" => match semver::read(value) {
            Ok(version) => registration.version = Some(version),
            Err(text) => return Ok(Err(format!("option `version`: {text}"))),
        },
        "drain" => match value {
            Value::Boolean(drain) => registration.drain = *drain,
            _ => return wrong("a boolean"),
        },
        "checkpoint" => match value.as_string().map(|mode| mode.to_string_lossy()).as_deref() {
            Some("auto") => registration.checkpoint = CheckpointMode::Auto,
            Some("own") => registration.checkpoint = CheckpointMode::Own,
            Some("none") => registration.checkpoint = CheckpointMode::None,
            Some(other) => {
                return Ok(Err(format!(
                    "option `checkpoint`: expected 'auto', 'own' or 'none', got '{other}'"
                )));
            }
            None => return wrong("'auto', 'own' or 'none'"),
        },
        hook if HOOKS.contains(&hook) => {
            let Value::Function(function) = value else { return wrong("a function") };
            let name = if hook == "on_reload" { "after_reload" } else { hook };
            if hooks.contains_key(name)? {
                return Ok(Err("`after_reload` and `on_reload` are the same hook: give one".into()));
            }
            hooks.raw_set(name, function)?;
            let set = &mut registration.hooks;
            match name {
                "init" => set.init = true,
                "finalize" => set.finalize = true,
                "before_reload" => set.before_reload = true,
                "after_reload" => set.after_reload = true,
                _ => set.rollback = true,
            }
        }
        unknown => {
            let all = || HOOKS.iter().chain(&OTHERS).copied();
            let known = || format!("; there are: {}", all().collect::<Vec<_>>().join(", "));
            let near = near::nearest(unknown, all()).map_or_else(known, near::meant);
            return Ok(Err(format!("unknown option `{unknown}`{near}")));
        }
    }
    Ok(Ok(()))
}

/// `init` ran to its end: if the start fails after this, `finalize` undoes it.
fn initialised(_: &Lua, record: UserDataRef<Identity>) -> mlua::Result<()> {
    let record = record.0.clone();
    let told = record.draft().as_ref().map(|draft| (draft.importer.clone(), draft.kept.upgrade()));
    let (Some((importer, Some(kept))), Some(open)) = (told, record.vm()?.open()) else { return Ok(()) };
    let cx = HookCx {
        module: record.source.name.clone(),
        hook: Hook::Finalize,
        generation: open.cx.generation,
        budget: open.cx.stage_budget,
    };
    let name = record.source.name.clone();
    importer.initialised(&name, Box::new(move || Box::pin(finalize(kept, open, cx))));
    Ok(())
}
