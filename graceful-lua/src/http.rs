//! `require('http')`: routes. Who listens and how a request becomes a value is the host's business.

use std::sync::{Arc, Weak};

use async_trait::async_trait;
use graceful_core::{CallError, Callable, Name, Value, World};
use mlua::{Error, Function, Lua, MultiValue, RegistryKey, UserDataRef, WeakLua};

use crate::caller::{Caller, source_of};
use crate::error::{call_error, guard, script_error};
use crate::value::{from_lua, to_lua};

/// A function `open(caller)` that makes the module `http` for one instance.
pub(crate) fn factory(lua: &Lua) -> mlua::Result<Function> {
    let route =
        lua.create_function(|lua, args: (UserDataRef<Caller>, mlua::Value, mlua::Value, mlua::Value)| {
            route(lua, &args.0, &args.1, &args.2, &args.3)
        })?;
    let make = "local route = ...
        return function(caller)
            return { route = function(method, path, f) return route(caller, method, path, f) end }
        end";
    lua.load(make).set_name("=graceful").call(route)
}

fn route(
    lua: &Lua,
    caller: &Caller,
    method: &mlua::Value,
    path: &mlua::Value,
    f: &mlua::Value,
) -> mlua::Result<()> {
    let wrong = |wanted: &str, got: &mlua::Value| {
        Err(Error::runtime(format!("http.route: expected {wanted}, got {}", got.type_name())))
    };
    let mlua::Value::String(verb) = method else { return wrong("a method such as `GET`", method) };
    let mlua::Value::String(at) = path else { return wrong("a path such as `/price/:item`", path) };
    let mlua::Value::Function(f) = f else { return wrong("a function", f) };
    let (verb, at) = (verb.to_string_lossy().to_uppercase(), at.to_string_lossy());
    if !at.starts_with('/') {
        return Err(Error::runtime(format!("http.route: the path `{at}` does not begin with `/`")));
    }
    let scope = caller.scope()?;
    let route = Route {
        module: scope.owner().clone(),
        world: Arc::downgrade(&caller.ties.world()?),
        lua: lua.weak(),
        f: lua.create_registry_value(f)?,
    };
    scope.register("route", &format!("{verb} {at}"), Arc::new(route)).map_err(Error::external)
}

/// A Lua function that is called by key.
struct Route {
    module: Name,
    world: Weak<World>,
    lua: WeakLua,
    f: RegistryKey,
}

#[async_trait]
impl Callable for Route {
    async fn call(&self, args: Vec<Value>) -> Result<Value, CallError> {
        let lua = self.lua.try_upgrade().ok_or(CallError::Stopped)?;
        let failed = |error: Error| match call_error(&error) {
            Some(error) => error.clone(),
            None => script_error(&error, |file| source_of(self.world.upgrade()?.as_ref(), file)).into(),
        };
        let call = || {
            let f: Function = lua.registry_value(&self.f)?;
            let args = args.iter().map(|arg| to_lua(&lua, arg)).collect::<mlua::Result<MultiValue>>()?;
            Ok(guard(&lua)?.call_async::<mlua::Value>((f, args)))
        };
        let answer = call().map_err(failed)?.await.map_err(failed)?;
        from_lua(&answer).map_err(|reason| CallError::BadValue { module: self.module.to_string(), reason })
    }
}

#[cfg(test)]
mod tests;
