//! Whether the ten-thousandth reload costs what the first one did.

#[path = "../../../../graceful-lua/tests/endurance/app.rs"]
mod app;

use std::sync::Arc;
use std::time::Duration;

use graceful_lua::LuaBackend;
use graceful_lua::mlua::{Function, Lua};
use graceful_testkit::Endurance;
use rustix::time::{ClockId, clock_gettime};

use app::{text, used};

use crate::measure::{Size, median, time};
use crate::table::{Row, Table};

/// How many of the first and of the last are compared.
const COMPARED: usize = 100;

/// How many come before anything is measured: until then the collector's allowance fills up.
const WARM: usize = 300;

/// Work that is the same each time: makes tables, texts and functions as a top level does, in a VM of its own.
const CONSTANT: &str = "return function()
    local kept = {}
    for at = 1, 2000 do
        local row = { at, name = 'row' .. at }
        function row.get() return row end
        kept[at % 100 + 1] = row
    end
    return #kept
end";

/// What the VM uses once the last generation is retired and what it left is let go of, which takes a busy machine
/// a while. Its tables grow and shrink by half of what they are, now or a reload later: the least of some looks.
fn settled(app: &mut Endurance, lua: &Lua) -> f64 {
    let looks = (0..5).map(|_| {
        app.reload_all();
        app.count();
        std::thread::sleep(Duration::from_millis(200));
        used(lua)
    });
    looks.min().unwrap_or_default() as f64
}

/// How long this process has been on the processor, all of its threads.
fn processor() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32)
}

/// What some reloads took, and the constant piece of work in turn with them.
#[derive(Default)]
struct Taken {
    reloads: Vec<Duration>,
    constant: Vec<Duration>,
    processor: Duration,
}

impl Taken {
    fn by(app: &mut Endurance, constant: &Function) -> Self {
        let mut taken = Self::default();
        for _ in 0..COMPARED {
            let before = processor();
            taken.reloads.push(time(|| app.reload_all()));
            taken.processor += processor().saturating_sub(before);
            taken.constant.push(time(|| assert_eq!(constant.call::<usize>(()).unwrap(), 100)));
        }
        taken
    }

    fn reload(&self) -> Duration {
        median(self.reloads.iter().copied())
    }

    fn constant(&self) -> Duration {
        median(self.constant.iter().copied())
    }

    /// A reload, of the constant piece of work.
    fn ratio(&self) -> f64 {
        self.reload().as_secs_f64() / self.constant().as_secs_f64()
    }

    /// The processor's time for a reload, of the constant piece of work.
    fn worked(&self) -> f64 {
        self.processor.as_secs_f64() / COMPARED as f64 / self.constant().as_secs_f64()
    }
}

pub fn endurance(size: &Size, table: &mut Table) {
    let backend = Arc::new(LuaBackend::builder().build().unwrap());
    let lua = backend.lua().clone();
    let bare = Lua::new();
    let constant: Function = bare.load(CONSTANT).eval().unwrap();
    let mut app = Endurance::start(backend, text);
    (0..WARM).for_each(|_| app.reload_all());
    let (count, begun) = (app.count(), Endurance::process_memory());
    let first = Taken::by(&mut app, &constant);
    (COMPARED..size.reloads / 2).for_each(|_| app.reload_all());
    let (vm, process) = (settled(&mut app, &lua), Endurance::process_memory());
    (size.reloads / 2..size.reloads - COMPARED).for_each(|_| app.reload_all());
    let last = Taken::by(&mut app, &constant);
    let what = format!("{} reloads of 50 modules", size.reloads);
    let x = |name: &str, value: f64| Row::new(format!("{what}: {name}"), value, "x");
    let of_first = "the last 100 of the first 100";
    table.add(x(&format!("{of_first}, beside constant work"), last.ratio() / first.ratio()).at_most(1.1));
    table.add(x("the same, the processor's time", last.worked() / first.worked()).at_most(1.1));
    table.add(Row::ratio(format!("{what}: {of_first}, by the clock"), last.reload(), first.reload()));
    let constant = Row::ratio("the constant work, the last of the first", last.constant(), first.constant());
    table.add(constant);
    assert_eq!(app.count(), count, "tasks, routes, globals, instances and leases are as many as before");
    let grown = settled(&mut app, &lua) / vm;
    table.add(x("memory of the VM, of half-way", grown).at_most(1.02));
    // Half-way beside the begin, because an allocator takes thousands of reloads until it has all that is needed at once.
    let after = Endurance::process_memory();
    for (of, before, most) in [("before", begun, 1.1), ("half-way", process, 1.02)] {
        if let (Some(before), Some(after)) = (before, after) {
            let name = format!("memory of the process, after of {of}");
            table.add(x(&name, after as f64 / before as f64).at_most(most));
        }
    }
}
