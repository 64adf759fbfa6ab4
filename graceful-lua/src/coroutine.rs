//! Lets a script's own coroutines wait: an async native inside one passes its wait on to whoever drives the
//! code around it.

use mlua::{Lua, Table};

/// On 5.4 an end of the waiting code ends the coroutine it waits for as well, so that its `__close` run.
#[cfg(feature = "lua54")]
const WAIT: &str = "local function wait(co, first)
        local _ <close> = setmetatable({}, { __close = function() if leaving[co] then close(co) end end })
        leaving[co] = true
        local signal = yield(first)
        leaving[co] = nil
        return signal
    end";
#[cfg(not(feature = "lua54"))]
const WAIT: &str = "local function wait(_, first) return yield(first) end";

const RESUME: &str = "
    local function forward(co, ok, first, ...)
        if first == pending and ok then
            return forward(co, resume(co, wait(co, first)))
        end
        return ok, first, ...
    end
    local function results(co, ok, ...)
        if ok then return ... end
        if close then close(co) end
        error((...), 0)
    end
    coroutine.resume = function(co, ...) return forward(co, resume(co, ...)) end
    coroutine.wrap = function(f)
        local co = create(f)
        return function(...) return results(co, forward(co, resume(co, ...))) end
    end";

/// Replaces `coroutine.resume` and `coroutine.wrap` of this VM.
///
/// mlua suspends the coroutine an async native was called in with a marker for its own driver. A coroutine
/// that a script made has no such driver: its `resume` would hand the marker to the script.
pub(crate) fn install(lua: &Lua) -> mlua::Result<()> {
    let Some(coroutine) = lua.globals().get::<Option<Table>>("coroutine")? else { return Ok(()) };
    let text = format!(
        "local coroutine, pending = ...
        local resume, create, yield, close = coroutine.resume, coroutine.create, coroutine.yield, coroutine.close
        local error, setmetatable = error, setmetatable
        local leaving = setmetatable({{}}, {{ __mode = 'k' }})
        {WAIT}
        {RESUME}"
    );
    lua.load(text).set_name("=graceful").call((coroutine, Lua::poll_pending()))
}
