//! `require('graceful.roles')`: the functions of roles, each with what the core makes of it.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use graceful_core::CallError;
use graceful_core::asked::roles::{Answer, Function, Refusal, Told};
use mlua::{Error, IntoLuaMulti, Lua, MultiValue, Table, UserData, UserDataRef, Value};

use crate::caller::{Caller, Ties};
use crate::control::{Parked, shape, ticket};
use crate::ground::coroutine;
use crate::import::place;
use crate::record::Record;
use crate::value::{from_lua, to_lua};
use crate::waits::Waiting;

/// The name in Lua's registry of what makes the table for a module.
const OPEN: &str = "graceful.roles";

/// The module as `record` sees it.
pub(crate) fn table(lua: &Lua, record: &Arc<Record>) -> mlua::Result<Value> {
    let vm = record.vm()?;
    let ties = Ties::new(&vm);
    let open: mlua::Function = match lua.named_registry_value(OPEN) {
        Ok(open) => open,
        Err(_) => {
            let open = opening(lua)?;
            lua.set_named_registry_value(OPEN, &open)?;
            open
        }
    };
    let own: Option<Table> = vm.records.raw_get(record.id)?;
    let require: mlua::Function = match own {
        Some(own) => own.raw_get("require")?,
        // The console asks for the module itself.
        None => lua.create_function(|_, module: String| Ok(module))?,
    };
    open.call((lua.create_userdata(Caller::of(&ties, record)?)?, require))
}

/// What is under way, from the function that asked for it to the one that waits.
struct Pending(Caller, Mutex<Option<BoxFuture<'static, Told>>>);

impl UserData for Pending {}

impl Pending {
    fn take(&self) -> mlua::Result<BoxFuture<'static, Told>> {
        let work = self.1.lock().unwrap_or_else(PoisonError::into_inner).take();
        work.ok_or_else(|| Error::external(CallError::Stopped))
    }
}

fn opening(lua: &Lua) -> mlua::Result<mlua::Function> {
    let ask = lua.create_function(|lua, (from, name, args): (UserDataRef<Caller>, String, MultiValue)| {
        ask(lua, &from, &name, args)
    })?;
    let wait = lua.create_async_function(|lua, pending: UserDataRef<Pending>| {
        let work = pending.take();
        Waiting::new(async move {
            let work = work?;
            let told = {
                let _parked = Parked::caller();
                work.await
            };
            answered(&lua, told)
        })
    })?;
    let queue = lua.create_function(|lua, pending: UserDataRef<Pending>| {
        let work = pending.take()?;
        ticket(lua, &pending.0.ties, async { Some(work.await) }, answered)
    })?;
    let cannot_wait =
        lua.create_function(|lua, name: String| refused(lua, &function(&name)?.cannot_wait().into()))?;
    let names: Vec<&str> = Function::ALL.iter().map(|function| function.as_str()).collect();
    let isyieldable: mlua::Function = coroutine(lua)?.raw_get("isyieldable")?;
    let chunk = lua.load(include_str!("lua/roles.lua")).set_name("=graceful");
    chunk.call((ask, wait, queue, cannot_wait, names, isyieldable))
}

fn function(name: &str) -> mlua::Result<Function> {
    Function::from_name(name).ok_or_else(|| Error::runtime(format!("roles have no function `{name}`")))
}

/// What is under way; or nothing and an answer, or nothing twice and an error.
fn ask(lua: &Lua, from: &Caller, name: &str, args: MultiValue) -> mlua::Result<MultiValue> {
    let function = function(name)?;
    let mut plain = Vec::with_capacity(args.len());
    for (index, arg) in args.iter().enumerate() {
        match from_lua(arg) {
            Ok(value) => plain.push(value),
            Err(reason) => {
                let wrong = function.wrong(format!("argument {}: {reason}", index + 1));
                return here(lua, wrong.into());
            }
        }
    }
    let control = from.ties.vm()?.control().ok_or_else(|| Error::external(CallError::Stopped))?;
    match control.roles(&from.module, function, plain) {
        Answer::Later(work) => Pending(from.clone(), Mutex::new(Some(work))).into_lua_multi(lua),
        Answer::Now(Ok(value)) => (Value::Nil, to_lua(lua, &value)?).into_lua_multi(lua),
        Answer::Now(Err(refusal)) => here(lua, refusal),
    }
}

/// An error of whoever called, unless it says where it is.
fn here(lua: &Lua, mut refusal: Refusal) -> mlua::Result<MultiValue> {
    if refusal.place.is_none() {
        refusal.place = place(lua);
    }
    (Value::Nil, Value::Nil, refused(lua, &refusal)?).into_lua_multi(lua)
}

/// The value, or nothing and the error.
fn answered(lua: &Lua, told: Told) -> mlua::Result<MultiValue> {
    match told {
        Ok(value) => to_lua(lua, &value)?.into_lua_multi(lua),
        Err(refusal) => (Value::Nil, refused(lua, &refusal)?).into_lua_multi(lua),
    }
}

/// `{class, code, message, module, file, line, column, retryable}`, which prints as code and message.
fn refused(lua: &Lua, refusal: &Refusal) -> mlua::Result<Table> {
    let fields = to_lua(lua, &refusal.fields())?;
    let Value::Table(fields) = fields else { return Err(Error::runtime("an error has fields")) };
    shape::told(lua, fields)
}

#[cfg(test)]
mod tests;
