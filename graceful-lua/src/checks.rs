//! `require('checks')`: a function says what it takes, and a wrong call is told where it was made.
//!
//! ```lua
//! local function total(item, quantity, opts)
//!     checks('string', '?number', { currency = '?string', rounding = 'up|down' })
//! end
//! ```
//!
//! The types are those of Lua, `integer`, `any`, and what a metatable's `__type` says. `?` before one allows nil,
//! `|` between several allows each of them, and a table stands for a table of options, which may be nested.

use graceful_core::near::nearest;
use mlua::{Function, Lua, Table};

use crate::caller::Ties;
use crate::frame::local_of;

/// A function `open(caller)` that gives the module `checks`, the same for every instance.
pub(crate) fn factory(lua: &Lua, _: &Ties) -> mlua::Result<Function> {
    let called = lua.create_function(|lua, level: usize| {
        let name = lua.inspect_stack(level, |frame| frame.names().name.map(|name| name.into_owned()));
        Ok(name.flatten())
    })?;
    let near = lua.create_function(|_, (name, known): (String, Vec<String>)| {
        Ok(nearest(&name, known.iter().map(String::as_str)).map(str::to_owned))
    })?;
    let getmeta = lua.create_function(|_, value: mlua::Value| match value {
        mlua::Value::Table(table) => Ok(table.metatable()),
        _ => Ok(None::<Table>),
    })?;
    let chunk = lua.load(include_str!("lua/checks.lua")).set_name("=graceful");
    let checks: Function = chunk.call((local_of(lua)?, called, near, getmeta))?;
    lua.create_function(move |_, _: mlua::Value| Ok(checks.clone()))
}

#[cfg(test)]
mod tests;
