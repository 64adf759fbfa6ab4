//! Many reloads of an app of fifty modules: there is as much of everything afterwards as before.

use std::sync::Arc;
use std::time::Duration;

use graceful_lua::LuaBackend;
use graceful_testkit::Endurance;
use graceful_testkit::endurance::{grown, is_apart};

/// Has a global, a route, a task that the next version replaces, one that it takes over, a state, and a closure of
/// each version in it.
fn text(name: &str, requires: Option<&str>, edit: usize) -> String {
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

#[test]
fn scope_05_a_thousand_reloads_of_fifty_modules_leave_nothing_behind() {
    if !is_apart("scope_05_a_thousand_reloads_of_fifty_modules_leave_nothing_behind") {
        return;
    }
    let backend = Arc::new(LuaBackend::builder().build().unwrap());
    let lua = backend.lua().clone();
    let used = || {
        // LuaJIT's traces keep the code they were made from, until there are too many and all of them go.
        if cfg!(feature = "luajit") {
            lua.load("jit.flush()").exec().unwrap();
        }
        (0..3).for_each(|_| lua.gc_collect().unwrap());
        lua.used_memory()
    };
    let mut app = Endurance::start(backend, text);
    (0..3).for_each(|_| app.reload_all());
    let (count, memory) = (app.count(), used());
    assert_eq!(count.owned, [("global", 50), ("own", 50), ("task", 100)]);
    assert_eq!((count.registered, count.instances, count.generations, count.in_flight), (50, 50, 1, 0));
    // LuaJIT first fills its room for traces.
    let warm = if cfg!(feature = "luajit") { 397 } else { 97 };
    app.reloads(warm);
    used();
    let process = Endurance::process_memory();
    app.reloads(997 - warm);
    assert_eq!(app.count(), count);
    let (last, process_last) = (used(), Endurance::process_memory());
    println!("the VM: {memory} and {last} bytes; the process: {process:?} and {process_last:?}");
    // What was dropped last waits in the VM for the next reload, or until so much lies about that it is tidied up.
    let flat = |last| grown(memory, last) < 2.0;
    let again = |app: &mut Endurance| {
        lua.load("for n = 1, 100 do local _ = ('x'):rep(65536) .. n end").exec().unwrap();
        app.reloads(1);
        std::thread::sleep(Duration::from_millis(200));
        used()
    };
    assert!(flat(last) || (0..10).any(|_| flat(again(&mut app))), "the VM: {memory} and {last} bytes");
    if let (Some(first), Some(last)) = (process, process_last) {
        let settle = || {
            used();
        };
        assert!(app.is_flat(first, last, settle), "the process: {first} and {last} bytes, and more");
    }
}
