//! The app of fifty modules that is reloaded many times, here and by the program that measures.

use graceful_lua::mlua::Lua;

/// Has a global, a route, a task that the next version replaces, one that it takes over, a state, and a closure of
/// each version in it.
pub fn text(name: &str, requires: Option<&str>, edit: usize) -> String {
    let below = requires.map_or("nil".to_owned(), |below| format!("require('{below}')"));
    format!(
        "local graceful, fiber, http = require('graceful'), require('fiber'), require('http')
        local below = {below}
        local mod = graceful.register_module('{name}', {{
            version = '1.0.{edit}',
            init = function(mod)
                mod.state.n, mod.state.last = 0, {{}}
                mod.state.kept = fiber.create(function() while true do fiber.sleep(1) end end)
            end,
            before_reload = function(mod) mod.state.last = {{ mod.state.n }} end,
            after_reload = function(mod) mod.state.n = mod.state.n + 1 end,
        }})
        mod.state.ask = function() return {edit}, below end
        {name} = {{ {edit} }}
        http.route('GET', '/{name}', function() return mod.state.n end)
        graceful.own('thing', {{}}, function() end)
        fiber.create(function() while true do fiber.sleep(0.5) end end)
        return {{ get = function() return {edit} end }}"
    )
}

/// How many bytes the VM uses once everything is collected that can be.
pub fn used(lua: &Lua) -> usize {
    // LuaJIT's traces keep the code they were made from, until there are too many and all of them go.
    if cfg!(feature = "luajit") {
        lua.load("jit.flush()").exec().unwrap();
    }
    (0..3).for_each(|_| lua.gc_collect().unwrap());
    lua.used_memory()
}
