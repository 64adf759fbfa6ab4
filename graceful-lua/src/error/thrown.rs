//! Error objects: keeps what a script threw, where mlua alone would keep only `table: 0x...`.

use std::sync::Arc;

use mlua::{Error, Function, Lua, Value};

/// Something other than text that a script threw, in words.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Thrown {
    pub(super) message: String,
}

/// A Lua function `guard(f, ...)` that calls `f(...)` and rethrows what it throws in a form that
/// [`script_error`](super::script_error) can read whole. For calls that need not be the fastest: tasks,
/// routes, hooks, top levels. May yield.
pub(crate) fn guard(lua: &Lua) -> mlua::Result<Function> {
    if let Ok(guard) = lua.named_registry_value("graceful.guard") {
        return Ok(guard);
    }
    let thrown = thrown(lua)?;
    let guard: Function = lua
        .load(
            "local xpcall, error, thrown = ...
            local function finish(ok, ...)
                if ok then return ... end
                error((...), 0)
            end
            return function(f, ...) return finish(xpcall(f, thrown, ...)) end",
        )
        .set_name("=graceful")
        .call((lua.globals().get::<Function>("xpcall")?, lua.globals().get::<Function>("error")?, thrown))?;
    lua.set_named_registry_value("graceful.guard", &guard)?;
    Ok(guard)
}

/// What [`guard`] gives to `xpcall`.
pub(crate) fn thrown(lua: &Lua) -> mlua::Result<Function> {
    lua.create_function(|lua, error: Value| Ok(Value::Error(Box::new(describe(lua, error)?))))
}

/// Runs where the error was raised, while the stack still stands.
fn describe(lua: &Lua, error: Value) -> mlua::Result<Error> {
    let cause = match error {
        Value::Error(error) if matches!(*error, Error::CallbackError { .. }) => return Ok(*error),
        Value::Error(error) => *error,
        Value::String(text) => Error::RuntimeError(text.to_string_lossy()),
        other => Error::external(Thrown { message: in_words(&other) }),
    };
    let traceback = lua.traceback(None, 1)?.to_string_lossy();
    Ok(Error::CallbackError { traceback, cause: Arc::new(cause) })
}

fn in_words(error: &Value) -> String {
    let Value::Table(object) = error else {
        return error.to_string().unwrap_or_else(|_| format!("a {} was thrown", error.type_name()));
    };
    let own = object.metatable().is_some_and(|meta| meta.contains_key("__tostring").unwrap_or(false));
    if own && let Ok(text) = error.to_string() {
        return text;
    }
    let field = |key: &str| object.get::<Option<String>>(key).ok().flatten();
    let Some(message) = field("message").or_else(|| field("msg")).or_else(|| field("err")) else {
        return "a table was thrown".to_owned();
    };
    match field("code") {
        Some(code) => format!("{message} ({code})"),
        None => message,
    }
}
