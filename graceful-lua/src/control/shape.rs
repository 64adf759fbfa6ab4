//! Reports, plans and failures as Lua tables.

use graceful_core::failure::ReloadErrorKind;
use graceful_core::{Plan, ReloadError, Report, World};
use mlua::serde::LuaSerdeExt;
use mlua::serde::SerializeOptions as Options;
use mlua::{FromLua, Lua, Table};

/// `{reload, outcome, generation, modules = {{module, action, reason, old, new, migration}}, phases = {{phase, took}},
/// pause, warnings}`; times in seconds.
pub(super) fn report(lua: &Lua, report: &Report) -> mlua::Result<Table> {
    let table = Table::from_lua(lua.to_value_with(report, options())?, lua)?;
    table.raw_set("pause", report.pause.as_secs_f64())?;
    let phases = table.raw_get::<Table>("phases")?;
    for (index, phase) in report.phases.iter().enumerate() {
        phases.raw_get::<Table>(index + 1)?.raw_set("took", phase.took.as_secs_f64())?;
    }
    Ok(table)
}

/// `{base, steps = {{module, backend, action, reason, live}}, unload, fingerprint}`.
pub(super) fn plan(lua: &Lua, plan: &Plan) -> mlua::Result<Table> {
    Table::from_lua(lua.to_value_with(plan, options())?, lua)
}

fn options() -> Options {
    Options::new().serialize_none_to_null(false).serialize_unit_to_null(false).set_array_metatable(false)
}

/// `{code, message, module, place, phase, outcome, stuck, retryable, report}`, which prints as code and message.
pub(super) fn failure(lua: &Lua, error: &ReloadError) -> mlua::Result<Table> {
    let table = cause(lua, &error.kind)?;
    table.raw_set("code", error.code().to_string())?;
    table.raw_set("phase", error.phase.as_str())?;
    table.raw_set("outcome", error.report.outcome.as_str())?;
    table.raw_set("stuck", error.is_stuck())?;
    table.raw_set("retryable", error.is_retryable())?;
    table.raw_set("report", report(lua, &error.report)?)?;
    Ok(table)
}

/// The same for what was refused without asking the engine.
pub(super) fn refused(lua: &Lua, kind: &ReloadErrorKind) -> mlua::Result<Table> {
    cause(lua, kind)
}

fn cause(lua: &Lua, kind: &ReloadErrorKind) -> mlua::Result<Table> {
    let mut message = kind.to_string();
    let mut source = std::error::Error::source(kind);
    while let Some(cause) = source {
        message.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    let table = lua.create_table()?;
    table.raw_set("code", kind.code().to_string())?;
    table.raw_set("message", message)?;
    table.raw_set("module", kind.module().map(|module| module.to_string()))?;
    if let Some(place) = kind.place() {
        table.raw_set("place", lua.to_value_with(place, options())?)?;
    }
    told(lua, table)
}

/// A failure that prints as its code and its message.
pub(crate) fn told(lua: &Lua, table: Table) -> mlua::Result<Table> {
    let meta = lua.create_table()?;
    let text = |_: &Lua, failure: Table| {
        let (code, message): (String, String) = (failure.raw_get("code")?, failure.raw_get("message")?);
        Ok(format!("{code}: {message}"))
    };
    meta.raw_set("__tostring", lua.create_function(text)?)?;
    table.set_metatable(Some(meta))?;
    Ok(table)
}

/// `{{name, version, backend, generation, registered}}` of every live module, by name.
pub(super) fn modules(lua: &Lua, world: &World) -> mlua::Result<Vec<Table>> {
    let live = world.live_all();
    let modules = live.iter().map(|instance| {
        let manifest = instance.module().map(|module| module.manifest());
        let table = lua.create_table()?;
        table.raw_set("name", instance.name.as_str())?;
        table.raw_set("version", manifest.and_then(|m| m.version.as_ref()).map(ToString::to_string))?;
        table.raw_set("backend", instance.source.backend.as_str())?;
        table.raw_set("generation", instance.born.0)?;
        table.raw_set("registered", manifest.is_some_and(|manifest| manifest.registered))?;
        Ok(table)
    });
    modules.collect()
}
