//! Prepares a VM for scripts: see `lua/ground.lua`.

use std::sync::{Arc, Weak};

use graceful_core::Resolved;
use mlua::{Function, Lua, Table, Value};

use crate::import::place;
use crate::vm::Vm;

/// Waits in place of the coroutine `co`. If the code that waits is ended meanwhile, so is `co`, and what it left
/// to be closed is closed.
#[cfg(feature = "lua54")]
const CLOSING: &str = "
    local coroutine = ...
    local close, yield, setmetatable = coroutine.close, coroutine.yield, setmetatable
    local leaving = setmetatable({}, { __mode = 'k' })
    return function(co, marker)
        local _ <close> = setmetatable({}, { __close = function() if leaving[co] then close(co) end end })
        leaving[co] = true
        local signal = yield(marker)
        leaving[co] = nil
        return signal
    end";

/// Gives `vm` its `require`, and coroutines that can wait, and message handlers that end; takes `os.exit` away.
pub(crate) fn lay(vm: &Arc<Vm>) -> mlua::Result<()> {
    let lua = &vm.lua;
    let globals = lua.globals();
    let weak = Arc::downgrade(vm);
    let asking = lua.create_function(move |lua, ()| asking(&weak, lua))?;
    let weak = Arc::downgrade(vm);
    let locate = lua.create_function(move |lua, name: Value| locate(&weak, lua, &name))?;
    let library = |name: &str| globals.raw_get::<Option<Table>>(name);
    let (package, coroutine, os) = (library("package")?, coroutine(lua)?, library("os")?);
    let weak = Arc::downgrade(vm);
    let over = lua.create_function(move |_, ()| Ok(weak.upgrade().is_none_or(|vm| vm.is_over())))?;
    let pending = Value::LightUserData(Lua::poll_pending());
    #[cfg(feature = "lua54")]
    let (resume, wait): (Option<Function>, _) = (Some(crate::turns::resume(lua)?), CLOSING);
    #[cfg(not(feature = "lua54"))]
    let (resume, wait): (Option<Function>, _) = (None, "return nil");
    let wait: Option<Function> = lua.load(wait).set_name("=graceful").call(&coroutine)?;
    let chunk = lua.load(include_str!("lua/ground.lua")).set_name("=graceful");
    let require: Function =
        chunk.call((&globals, package, coroutine, os, asking, locate, over, pending, resume, wait))?;
    let _ = vm.require.set(require);
    Ok(())
}

/// The library `coroutine`, without which nothing could wait.
pub(crate) fn coroutine(lua: &Lua) -> mlua::Result<Table> {
    #[cfg(feature = "lua54")]
    if lua.globals().raw_get::<Value>("coroutine")?.is_nil() {
        lua.load_std_libs(mlua::StdLib::COROUTINE)?;
    }
    lua.globals().raw_get("coroutine")
}

/// The `require` of the module whose code is running: the nearest on the stack, else the one this thread
/// entered.
fn asking(vm: &Weak<Vm>, lua: &Lua) -> mlua::Result<Option<Function>> {
    let Some(vm) = vm.upgrade() else { return Ok(None) };
    match record(&vm, lua) {
        Some(record) => vm.table(record)?.raw_get("require"),
        None => Ok(None),
    }
}

fn record(vm: &Arc<Vm>, lua: &Lua) -> Option<u64> {
    if let Some(place) = place(lua)
        && let Some(source) = vm.source(&place.file)
        && let Some(instance) = vm.seen(&source.name)
    {
        return vm.own(&instance);
    }
    let lease = graceful_core::Lease::current()?;
    vm.own(&*vm.seen(lease.root())?)
}

/// `package.loaded[name]`: what the code that looks there would get, or nothing; loads nothing.
fn locate(vm: &Weak<Vm>, lua: &Lua, name: &Value) -> mlua::Result<Value> {
    let (Some(vm), Value::String(name)) = (vm.upgrade(), name) else { return Ok(Value::Nil) };
    let name = graceful_core::Name::from(name.to_string_lossy());
    let (Some(world), Some(record)) = (vm.world(), record(&vm, lua)) else { return Ok(Value::Nil) };
    let from = world.instances().into_iter().find(|instance| vm.own(instance) == Some(record));
    let Some(from) = from else { return Ok(Value::Nil) };
    match world.resolve(&from, &name, || None) {
        Resolved::Settled(found) | Resolved::Pinned(found) => vm.exports(&found),
        Resolved::Pending | Resolved::Closing | Resolved::Absent => Ok(Value::Nil),
    }
}
