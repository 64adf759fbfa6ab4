//! Whether the ten-thousandth reload costs what the first one did.

use std::sync::Arc;
use std::time::Duration;

use graceful_lua::LuaBackend;
use graceful_testkit::Endurance;

use crate::measure::{Size, median, time};
use crate::table::{Row, Table};

/// Has a global, a route, a task, a state, and a closure of each version in it.
fn text(name: &str, requires: Option<&str>, edit: usize) -> String {
    let below = requires.map_or("nil".to_owned(), |below| format!("require('{below}')"));
    format!(
        "local graceful, fiber, http = require('graceful'), require('fiber'), require('http')
        local below = {below}
        local mod = graceful.register_module('{name}', {{
            version = '1.0.{edit}',
            init = function(mod) mod.state.n = 0 end,
            after_reload = function(mod) mod.state.n = mod.state.n + 1 end,
        }})
        mod.state.ask = function() return {edit}, below end
        {name} = {{ {edit} }}
        http.route('GET', '/{name}', function() return mod.state.n end)
        fiber.create(function() while true do fiber.sleep(0.5) end end)
        return {{ get = function() return {edit} end }}"
    )
}

/// How many of the first and of the last are compared.
const COMPARED: usize = 100;

pub fn endurance(size: &Size, table: &mut Table) {
    let backend = Arc::new(LuaBackend::builder().build().unwrap());
    let lua = backend.lua().clone();
    let used = || {
        // LuaJIT's traces keep the code they were made from, until there are too many and all of them go.
        if cfg!(feature = "luajit") {
            lua.load("jit.flush()").exec().unwrap();
        }
        (0..3).for_each(|_| lua.gc_collect().unwrap());
        lua.used_memory() as f64
    };
    let mut app = Endurance::start(backend, text);
    (0..COMPARED).for_each(|_| app.reload_all());
    let before = used();
    let process = Endurance::process_memory();
    let times: Vec<Duration> = (0..size.reloads).map(|_| time(|| app.reload_all())).collect();
    let first = median(times[..COMPARED].iter().copied());
    let last = median(times[times.len() - COMPARED..].iter().copied());
    let what = format!("{} reloads of 50 modules", size.reloads);
    table.add(Row::ratio(format!("{what}: the last 100 of the first 100"), last, first).at_most(1.1));
    table.add(
        Row::new(format!("{what}: memory of the VM, after of before"), used() / before, "x").at_most(1.02),
    );
    if let (Some(before), Some(after)) = (process, Endurance::process_memory()) {
        let grown = after as f64 / before as f64;
        table.add(
            Row::new(format!("{what}: memory of the process, after of before"), grown, "x").at_most(1.1),
        );
    }
}
