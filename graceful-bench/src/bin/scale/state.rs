//! What a large state adds to a reload of the module that has it.

use std::time::Duration;

use graceful_lua::LuaBackend;
use graceful_lua::mlua::{Function, Lua};

use crate::app::App;
use crate::measure::{Size, median, time};
use crate::table::{Row, Table};

/// How a module's state is protected, and whether it has a hook that could spoil it.
const WAYS: [(&str, &str); 4] = [
    ("no hook", ""),
    ("a hook, checkpoint none", "checkpoint = 'none', after_reload = function() end,"),
    (
        "a hook, checkpoint own",
        "checkpoint = 'own', after_reload = function() end, rollback = function() end,",
    ),
    ("a hook, its state copied", "after_reload = function() end,"),
];

fn text(options: &str, entries: u32, edition: usize) -> String {
    format!(
        "require('graceful').register_module('main', {{ {options}
            init = function(mod)
                local entries = {{}}
                for at = 1, {entries} do entries[at] = at end
                mod.state.entries = entries
            end }}) -- {edition}"
    )
}

/// An app whose state has so many entries.
struct Stateful {
    app: App,
    options: &'static str,
    entries: u32,
}

impl Stateful {
    fn new(options: &'static str, entries: u32) -> Self {
        let backend = LuaBackend::builder().checkpoint_entries(10_000_000).build().unwrap();
        let app = App::on(backend, &[("main", &text(options, entries, 0))]);
        Self { app, options, entries }
    }

    fn reload(&self, edition: usize) -> Duration {
        self.app.put("main", text(self.options, self.entries, edition));
        self.app.reload(Default::default()).1
    }
}

/// What it takes to copy as many entries in bare Lua.
fn copied(entries: u32, runs: usize) -> Duration {
    let lua = Lua::new();
    let copy = "local from = {} for at = 1, ... do from[at] = at end
        return function() local to = {} for key, value in pairs(from) do to[key] = value end end";
    let copy: Function = lua.load(copy).call(entries).unwrap();
    median((0..runs).map(|_| time(|| copy.call::<()>(()).unwrap())))
}

pub fn state(size: &Size, table: &mut Table) {
    let runs = 5 * size.runs;
    for (what, options) in WAYS {
        let (small, large) = (Stateful::new(options, 10), Stateful::new(options, size.entries));
        // In turn, so that what else the machine does falls on both.
        let both: Vec<_> = (1..=runs).map(|run| (small.reload(run), large.reload(run))).collect();
        let [few, many] = [median(both.iter().map(|both| both.0)), median(both.iter().map(|both| both.1))];
        if options.contains("after_reload") && !options.contains("checkpoint") {
            let copied = copied(size.entries, size.runs);
            table.add(Row::ratio(
                format!("{} entries, {what}: of a copy in bare Lua", size.entries),
                many,
                copied,
            ));
        } else {
            let name = format!("{} entries, {what}: of ten entries", size.entries);
            table.add(Row::ratio(name, many, few).at_most(1.05));
        }
    }
}
