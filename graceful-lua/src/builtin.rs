//! The modules that every script can require without a source: `graceful` and its likes. Each module that
//! requires one gets a table of its own, whose functions know who calls.
//!
//! All but `graceful` are there only as long as nobody else has that name: a source of the app, a native module, or
//! what the VM had loaded when it was handed over goes before them.

use std::sync::Arc;

use mlua::{Function, Lua, Value};

use crate::caller::{Caller, Ties};
use crate::record::Record;
use crate::{api, checks, clock, fiber, http, log, roles, strict};

type Make = fn(&Lua, &Arc<Record>) -> mlua::Result<Value>;
/// Makes, once in a VM, the function that makes a module's table for a caller.
type Factory = fn(&Lua, &Ties) -> mlua::Result<Function>;

/// By name, what makes the module's table for one script module.
const BUILTIN: [(&str, Make); 8] = [
    (FIXED, api::table),
    ("graceful.roles", roles::table),
    ("checks", |lua, record| opened(lua, record, "graceful.checks", checks::factory)),
    ("clock", |lua, record| opened(lua, record, "graceful.clock", clock::factory)),
    ("fiber", |lua, record| opened(lua, record, "graceful.fiber", fiber::factory)),
    ("http", |lua, record| opened(lua, record, "graceful.http", http::factory)),
    ("log", |lua, record| opened(lua, record, "graceful.log", log::factory)),
    ("strict", |lua, record| opened(lua, record, "graceful.strict", strict::factory)),
];

/// The one that nobody can replace.
pub(crate) const FIXED: &str = "graceful";

/// The names of those that give way.
pub(crate) fn replaceable() -> impl Iterator<Item = &'static str> {
    BUILTIN.iter().map(|(name, _)| *name).filter(|name| *name != FIXED)
}

/// The module `name` as `record` sees it, if it is one of them.
pub(crate) fn value(lua: &Lua, record: &Arc<Record>, name: &str) -> mlua::Result<Option<Value>> {
    let make = BUILTIN.iter().find(|(known, _)| *known == name);
    make.map(|(_, make)| make(lua, record)).transpose()
}

fn opened(lua: &Lua, record: &Arc<Record>, kept: &str, factory: Factory) -> mlua::Result<Value> {
    let ties = Ties::new(&record.vm()?);
    let open: Function = match lua.named_registry_value(kept) {
        Ok(open) => open,
        Err(_) => {
            let open = factory(lua, &ties)?;
            lua.set_named_registry_value(kept, &open)?;
            open
        }
    };
    open.call(lua.create_userdata(Caller::of(&ties, record)?)?)
}
