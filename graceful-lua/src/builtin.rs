//! The modules that every script can require without a source: `graceful` and its likes.

use std::sync::Arc;

use mlua::{Lua, Table};

use crate::record::Record;

type Make = fn(&Lua, &Arc<Record>) -> mlua::Result<Table>;

/// By name, what makes the module's table for one script module.
const BUILTIN: [(&str, Make); 1] = [("graceful", crate::api::table)];

/// Their names.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    BUILTIN.iter().map(|(name, _)| *name)
}

/// The module `name` as `record` sees it, if it is one of them.
pub(crate) fn table(lua: &Lua, record: &Arc<Record>, name: &str) -> mlua::Result<Option<Table>> {
    let make = BUILTIN.iter().find(|(known, _)| *known == name);
    make.map(|(_, make)| make(lua, record)).transpose()
}
