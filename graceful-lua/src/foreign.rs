//! Modules of other languages as tables: their functions call across, their values are copies.

use std::sync::{Arc, Weak};

use graceful_core::{CallError, Export, Instance, Name, World, dispatch};
use mlua::{Function, LightUserData, Lua, MultiValue, Table, UserData, UserDataRef, Value};

use crate::value::{from_lua, to_lua};
use crate::vm::Vm;
use crate::waits::Waiting;

/// The tables there are.
pub(crate) struct Foreign {
    /// By where their instance is in memory, while anybody has them. A number would not do: what a failed reload staged
    /// and what the next one stages have the same generation.
    tables: Table,
    /// What keeps the place of each of them, so that no other instance comes to it.
    held: Table,
    export: Function,
}

impl Foreign {
    pub(crate) fn new(lua: &Lua, isyieldable: Function) -> mlua::Result<Self> {
        Ok(Self { tables: weak(lua, "v")?, held: weak(lua, "k")?, export: export(lua, isyieldable)? })
    }

    /// A module of another language as a table: its functions, and copies of its values.
    pub(crate) fn table(&self, vm: &Arc<Vm>, instance: &Arc<Instance>) -> mlua::Result<Value> {
        let key = Value::LightUserData(LightUserData(Arc::as_ptr(instance) as *mut _));
        if let Some(table) = self.tables.raw_get::<Option<Table>>(&key)? {
            return Ok(Value::Table(table));
        }
        let module = instance.module().ok_or_else(|| mlua::Error::runtime("the module is not loaded"))?;
        let table = vm.lua.create_table()?;
        let (of, name) = (Arc::downgrade(instance), instance.name.clone());
        let callee = vm.lua.create_userdata(Callee { vm: Arc::downgrade(vm), instance: of, name })?;
        for (name, export) in &module.manifest().exports {
            let value = match export {
                Export::Function => self.export.call((&callee, name.as_str()))?,
                Export::Value(value) => to_lua(&vm.lua, value)?,
            };
            table.raw_set(name.as_str(), value)?;
        }
        self.held.raw_set(&table, callee)?;
        self.tables.raw_set(key, &table)?;
        Ok(Value::Table(table))
    }
}

/// A table that holds its keys or values no longer than somebody else does.
fn weak(lua: &Lua, mode: &str) -> mlua::Result<Table> {
    let (table, meta) = (lua.create_table()?, lua.create_table()?);
    meta.raw_set("__mode", mode)?;
    table.set_metatable(Some(meta))?;
    Ok(table)
}

/// A module of another language, as the functions know it that call it. Weak, because it may require a module of this VM,
/// which would keep the VM.
struct Callee {
    vm: Weak<Vm>,
    instance: Weak<Instance>,
    name: Name,
}

impl UserData for Callee {}

/// Makes the Lua function behind one export: it waits where its caller can, else it blocks.
fn export(lua: &Lua, isyieldable: Function) -> mlua::Result<Function> {
    type Args = (UserDataRef<Callee>, String, MultiValue);
    let call = lua.create_async_function(|lua, (callee, name, args): Args| {
        let taken = callee.take(args);
        Waiting::new(async move {
            let (world, instance, args) = taken?;
            let value =
                dispatch::call(&world, &instance, &name, args).await.map_err(mlua::Error::external)?;
            to_lua(&lua, &value)
        })
    })?;
    let call_blocking = lua.create_function(|lua, (callee, name, args): Args| {
        let (world, instance, args) = callee.take(args)?;
        let value = dispatch::call_blocking(&world, &instance, &name, args).map_err(mlua::Error::external)?;
        to_lua(lua, &value)
    })?;
    let chunk = lua.load(
        "local call, call_blocking, isyieldable = ...
        return function(callee, name)
            return function(...)
                if isyieldable() then return call(callee, name, ...) end
                return call_blocking(callee, name, ...)
            end
        end",
    );
    chunk.set_name("=graceful").call((call, call_blocking, isyieldable))
}

impl Callee {
    fn take(&self, args: MultiValue) -> mlua::Result<(Arc<World>, Arc<Instance>, Vec<graceful_core::Value>)> {
        let world = self.vm.upgrade().and_then(|vm| vm.world());
        let world = world.ok_or_else(|| mlua::Error::external(CallError::Stopped))?;
        let instance = self.instance.upgrade().or_else(|| world.live(&self.name));
        let gone = || mlua::Error::external(CallError::NoModule { module: self.name.to_string() });
        let instance = instance.ok_or_else(gone)?;
        let args: Result<Vec<_>, String> = args.iter().map(from_lua).collect();
        Ok((world, instance, args.map_err(mlua::Error::runtime)?))
    }
}
