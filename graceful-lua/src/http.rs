//! `require('http')`: routes. Who listens and how a request becomes a value is the host's business.

use std::sync::{Arc, Weak};

use async_trait::async_trait;
use graceful_core::{CallError, Callable, Name, ScriptError, Value};
use mlua::function::AsyncCallFuture as AsyncCall;
use mlua::{Error, Function, Lua, MultiValue, RegistryKey, UserDataRef};

use crate::caller::{Caller, Ties};
use crate::error::guard;
use crate::run::{How, Run, Watched};
use crate::value::{from_lua, to_lua};
use crate::vm::Vm;

/// A function `open(caller)` that makes the module `http` for one instance.
pub(crate) fn factory(lua: &Lua, _: &Ties) -> mlua::Result<Function> {
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
        return Err(Error::runtime(format!(
            "http.route: the path `{at}` does not begin with `/`: write `/{at}`"
        )));
    }
    let scope = caller.scope()?;
    let f = lua.create_registry_value(f)?;
    let route = Route { module: scope.owner().clone(), vm: Arc::downgrade(&caller.ties.vm()?), f };
    let registered = scope.register("route", &format!("{verb} {at}"), Arc::new(route));
    registered.map_err(|error| Error::external(ScriptError::from(error)))
}

/// A Lua function that is called by key.
struct Route {
    module: Name,
    vm: Weak<Vm>,
    f: RegistryKey,
}

#[async_trait]
impl Callable for Route {
    async fn call(&self, args: Vec<Value>) -> Result<Value, CallError> {
        let vm = self.vm.upgrade().ok_or(CallError::Stopped)?;
        let run = Run::new(&vm, How::call(&vm), || {
            let called = self.begin(&vm, &args).map_err(|error| vm.call_error(&self.module, &error));
            async {
                let answer = called?.await.map_err(|error| vm.call_error(&self.module, &error))?;
                let bad = |reason| CallError::BadValue { module: self.module.to_string(), reason };
                from_lua(&answer).map_err(bad)
            }
        });
        run.await.unwrap_or_else(|overrun| Err(CallError::Script(overrun.into_error(&vm))))
    }
}

impl Route {
    fn begin(&self, vm: &Arc<Vm>, args: &[Value]) -> mlua::Result<Watched<AsyncCall<mlua::Value>>> {
        let f: Function = vm.lua.registry_value(&self.f)?;
        let args = args.iter().map(|arg| to_lua(&vm.lua, arg)).collect::<mlua::Result<MultiValue>>()?;
        Ok(Watched::new(vm, guard(&vm.lua)?.call_async::<mlua::Value>((f, args))))
    }
}

#[cfg(test)]
mod tests;
