//! The options of a reload, as Lua gives them.

use std::collections::BTreeMap;

use graceful_core::{ReloadOptions, ShutdownOptions, Value, asked};
use mlua::Error;

use crate::value::from_lua;

pub(super) fn reload(given: &mlua::Value) -> mlua::Result<ReloadOptions> {
    asked::reload(map("reload", given)?).map_err(Error::runtime)
}

pub(super) fn shutdown(given: &mlua::Value) -> mlua::Result<ShutdownOptions> {
    asked::shutdown(map("shutdown", given)?).map_err(Error::runtime)
}

pub(super) fn removal(given: &mlua::Value) -> mlua::Result<bool> {
    asked::removal(map("unregister_module", given)?).map_err(Error::runtime)
}

fn map(of: &str, given: &mlua::Value) -> mlua::Result<BTreeMap<String, Value>> {
    match from_lua(given).map_err(|reason| Error::runtime(format!("{of}: {reason}")))? {
        Value::Null => Ok(BTreeMap::new()),
        Value::List(list) if list.is_empty() => Ok(BTreeMap::new()),
        Value::Map(map) => Ok(map),
        other => Err(Error::runtime(format!("{of}: expected a table of options, got {}", other.kind()))),
    }
}
