//! Whether the ten-thousandth reload costs what the first one did.

#[path = "../../../../graceful-lua/tests/endurance/app.rs"]
mod app;

use std::sync::Arc;
use std::time::Duration;

use graceful_lua::LuaBackend;
use graceful_lua::mlua::Lua;
use graceful_testkit::Endurance;

use app::{text, used};

use crate::measure::{Size, median, time};
use crate::table::{Row, Table};

/// How many of the first and of the last are compared.
const COMPARED: usize = 100;

/// How many come before anything is measured: until then the collector's allowance fills up.
const WARM: usize = 300;

/// What the VM uses once the last generation is retired, too.
fn settled(lua: &Lua) -> f64 {
    std::thread::sleep(Duration::from_millis(300));
    used(lua) as f64
}

pub fn endurance(size: &Size, table: &mut Table) {
    let backend = Arc::new(LuaBackend::builder().build().unwrap());
    let lua = backend.lua().clone();
    let mut app = Endurance::start(backend, text);
    (0..WARM).for_each(|_| app.reload_all());
    let process = Endurance::process_memory();
    let before = settled(&lua);
    (0..WARM).for_each(|_| app.reload_all());
    let times: Vec<Duration> = (0..size.reloads).map(|_| time(|| app.reload_all())).collect();
    let first = median(times[..COMPARED].iter().copied());
    let last = median(times[times.len() - COMPARED..].iter().copied());
    let what = format!("{} reloads of 50 modules", size.reloads);
    table.add(Row::ratio(format!("{what}: the last 100 of the first 100"), last, first).at_most(1.1));
    let after = Endurance::process_memory();
    let vm = settled(&lua) / before;
    table.add(Row::new(format!("{what}: memory of the VM, after of before"), vm, "x").at_most(1.02));
    if let (Some(before), Some(after)) = (process, after) {
        let grown = after as f64 / before as f64;
        table.add(
            Row::new(format!("{what}: memory of the process, after of before"), grown, "x").at_most(1.1),
        );
    }
}
