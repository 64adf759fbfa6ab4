//! `require('strict')`: the code of the module that turns it on may neither read nor assign a global that
//! nobody declared.
//!
//! A top level declares a global by assigning to it, be it nil. The module's functions see the globals through a
//! table of their own from `on()` on, so that no other module and no other generation notices; `rawget(_G, name)`
//! and `_G.name` are not checked. Functions made before `on()` are not either: it belongs into the first line.

use mlua::{Function, Lua, Table};

use crate::caller::Ties;

/// A function `open(caller)` that makes the module `strict` for one instance.
pub(crate) fn factory(lua: &Lua, _: &Ties) -> mlua::Result<Function> {
    let assigns_at_top = lua.create_function(|lua, ()| {
        let kind = lua.inspect_stack(2, |frame| frame.source().what);
        Ok(kind.is_none_or(|kind| kind == "main" || kind == "C"))
    })?;
    let behind = lua.create_function(|lua, globals: Table| behind(lua, &globals))?;
    let chunk = lua.load(include_str!("lua/strict.lua")).set_name("=graceful");
    chunk.call((lua.globals(), assigns_at_top, behind))
}

/// Puts `globals` before the code that called `strict`: the function that did, and those around it up to the
/// top level of the same text. What they make from now on inherits it.
fn behind(lua: &Lua, globals: &Table) -> mlua::Result<()> {
    let mut text = None;
    for level in 2.. {
        let found = lua.inspect_stack(level, |frame| {
            let source = frame.source();
            (source.what, source.source.map(|name| name.into_owned()), frame.function())
        });
        let Some((kind, source, function)) = found else { return Ok(()) };
        if kind == "C" || text.as_ref().is_some_and(|text| *text != source) {
            continue;
        }
        text = Some(source);
        function.set_environment(globals.clone())?;
        if kind == "main" {
            return Ok(());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
