//! `require('graceful')`: its functions, those that know who calls and those that do not.

use std::sync::Arc;

use mlua::{Function, Lua, Value};

use crate::record::{Identity, Record};
use crate::vm::Vm;
use crate::{class, control, own, register, semver};

const OPEN: &str = "graceful.api";

/// The module as `record` sees it.
pub(crate) fn table(lua: &Lua, record: &Arc<Record>) -> mlua::Result<Value> {
    let open: Function = match lua.named_registry_value(OPEN) {
        Ok(open) => open,
        Err(_) => {
            let open = opener(lua, &record.vm()?)?;
            lua.set_named_registry_value(OPEN, &open)?;
            open
        }
    };
    open.call(Identity(record.clone()))
}

/// Makes the function of `lua/api.lua`, once in a VM: nearly every module requires this one.
fn opener(lua: &Lua, vm: &Arc<Vm>) -> mlua::Result<Function> {
    let (own, class) = (lua.create_function(own::own)?, lua.create_function(class::class)?);
    let (control, semver) = (control::functions(lua, vm)?, lua.create_function(semver::make)?);
    let chunk = lua.load(include_str!("lua/api.lua")).set_name("=graceful");
    chunk.call((register::maker(lua)?, own, class, control, semver))
}
