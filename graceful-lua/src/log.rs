//! `require('log')`: what scripts say, into the host's `tracing`, with the module and the place that said it.

use mlua::{Function, Lua, MultiValue, UserDataRef, Value};
use tracing::Level;

use crate::caller::{Caller, Ties};
use crate::show;

/// The target of the events.
const TARGET: &str = "graceful::script";

const MAKE: &str = "local say = ...
    return function(caller)
        local log = {}
        for _, level in ipairs{'error', 'warn', 'info', 'verbose', 'debug', 'trace'} do
            log[level] = function(...) say(caller, level, ...) end
        end
        return log
    end";

/// A function `open(caller)` that makes the module `log` for one instance.
pub(crate) fn factory(lua: &Lua, _: &Ties) -> mlua::Result<Function> {
    let format: Function = lua.globals().get::<mlua::Table>("string")?.get("format")?;
    let say =
        lua.create_function(move |lua, (caller, level, said): (UserDataRef<Caller>, String, MultiValue)| {
            let level = match level.as_str() {
                "error" => Level::ERROR,
                "warn" => Level::WARN,
                "info" => Level::INFO,
                "trace" => Level::TRACE,
                _ => Level::DEBUG,
            };
            say(lua, &caller, level, &format, said)
        })?;
    lua.load(MAKE).set_name("=graceful").call(say)
}

fn say(lua: &Lua, caller: &Caller, level: Level, format: &Function, said: MultiValue) -> mlua::Result<()> {
    macro_rules! at {
        ($level:expr) => {
            if tracing::enabled!(target: TARGET, $level) {
                let (module, place, text) = (&*caller.module, place(lua), text(format, said));
                tracing::event!(target: TARGET, $level, module, place, "{text}");
            }
        };
    }
    match level {
        Level::ERROR => at!(Level::ERROR),
        Level::WARN => at!(Level::WARN),
        Level::INFO => at!(Level::INFO),
        Level::DEBUG => at!(Level::DEBUG),
        _ => at!(Level::TRACE),
    }
    Ok(())
}

/// `log.info('%d items', n)` formats; anything else is said one after the other. What cannot be formatted is
/// said as it is: a line for the log does not end a program.
fn text(format: &Function, said: MultiValue) -> String {
    let formats = matches!(said.front(), Some(Value::String(text)) if text.as_bytes().contains(&b'%'));
    if said.len() > 1
        && formats
        && let Ok(text) = format.call::<mlua::LuaString>(said.clone())
    {
        return text.to_string_lossy();
    }
    let said = said.iter().map(|value| match value {
        Value::Table(_) => show::value(value),
        other => other.to_string().unwrap_or_else(|_| other.type_name().to_owned()),
    });
    said.collect::<Vec<_>>().join(" ")
}

/// Where the script called: two frames up, over the native and the function of its `log` table.
fn place(lua: &Lua) -> Option<String> {
    lua.inspect_stack(2, |frame| {
        let line = frame.current_line()?;
        let file = frame.source().short_src?.into_owned();
        Some(format!("{file}:{line}"))
    })?
}

#[cfg(test)]
mod tests;
