//! `require('graceful')`: its functions, those that know who calls and those that do not.

use std::sync::Arc;

use mlua::{Lua, Table, Value};

use crate::record::Record;
use crate::{class, control, own, register, semver};

/// The module as `record` sees it.
pub(crate) fn table(lua: &Lua, record: &Arc<Record>) -> mlua::Result<Value> {
    let table = lua.create_table()?;
    table.raw_set("register_module", register::function(lua, record)?)?;
    table.raw_set("own", own::function(lua, record)?)?;
    table.raw_set("class", class::function(lua, record)?)?;
    let shared: Table = match lua.named_registry_value("graceful.api") {
        Ok(shared) => shared,
        Err(_) => {
            let shared = control::functions(lua, &record.vm()?)?;
            shared.raw_set("semver", lua.create_function(semver::make)?)?;
            lua.set_named_registry_value("graceful.api", &shared)?;
            shared
        }
    };
    for entry in shared.pairs::<Value, Value>() {
        let (name, function) = entry?;
        table.raw_set(name, function)?;
    }
    Ok(Value::Table(table))
}
