//! What a reload costs beside what it replaces, as ratios within one run: `cargo bench -p graceful-lua`.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use graceful_core::event::Phase;
use graceful_core::{Engine, Found, Name, ReloadOptions, Report, Source, Sources};
use graceful_lua::mlua::{Function, Lua};
use graceful_lua::{LuaBackend, LuaFunction};
use graceful_testkit::TokioClock;

const RUNS: usize = 9;
/// How many modules one area requires; the entry requires the areas.
const AREA: usize = 70;

/// Which modules each requires: up to three of those before it, drawn once and for all.
fn graph(modules: usize) -> Vec<Vec<usize>> {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    let requires = (0..modules).map(|at| (0..draw(4).min(at)).map(|_| draw(at)).collect());
    requires.collect()
}

/// About forty lines, as modules are: constants, tables, functions that use each other.
fn text(at: usize, requires: &[usize], edition: usize) -> String {
    let mut text =
        format!("-- module {at}, edition {edition}\nlocal M = {{ name = 'm{at}', edition = {edition} }}\n");
    for other in requires {
        text += &format!("local m{other} = require 'm{other}'\n");
    }
    text += "local limits = { low = 1, high = 100, step = 5 }\nlocal names = { 'a', 'b', 'c', 'd' }\n";
    for function in 0..5 {
        text += &format!(
            "local function step_{function}(x, y)
    local sum = 0
    for i = limits.low, x % limits.high, limits.step do
        sum = sum + i * y
    end
    return sum + #names
end\n"
        );
    }
    text += "function M.run(x)\n    return step_0(x, 1) + step_1(x, 2) + step_4(x, 3)\nend\n";
    text += "function M.twice(x)\n    return x * 2\nend\nreturn M\n";
    text
}

#[derive(Default)]
struct Texts(Mutex<BTreeMap<Name, Source>>);

impl Texts {
    fn put(&self, name: &str, text: String) {
        let source = Source::new(name, "lua", format!("{name}.lua"), text.into_bytes());
        self.0.lock().unwrap().insert(name.into(), source);
    }
}

impl Sources for Texts {
    fn find(&self, name: &Name) -> Result<Found, graceful_core::source::SourceError> {
        let found = self.0.lock().unwrap().get(name).cloned();
        Ok(found.map_or(Found::Missing { searched: Vec::new() }, Found::Source))
    }
}

struct App {
    clock: Arc<TokioClock>,
    texts: Arc<Texts>,
    backend: Arc<LuaBackend>,
    engine: Engine,
    graph: Vec<Vec<usize>>,
}

impl App {
    fn new(modules: usize) -> Self {
        let (clock, texts, graph) = (TokioClock::new(), Arc::<Texts>::default(), graph(modules));
        for (at, requires) in graph.iter().enumerate() {
            texts.put(&format!("m{at}"), text(at, requires, 0));
        }
        let areas = modules.div_ceil(AREA);
        for area in 0..areas {
            let inside = (area * AREA..modules.min((area + 1) * AREA)).map(|at| format!("require 'm{at}'\n"));
            texts.put(&format!("area{area}"), inside.collect());
        }
        texts.put("main", (0..areas).map(|area| format!("require 'area{area}'\n")).collect());
        let backend = Arc::new(LuaBackend::builder().build().unwrap());
        let engine = Engine::builder(clock.clone())
            .backend(backend.clone())
            .sources(texts.clone())
            .entry("main")
            .build();
        let app = Self { clock, texts, backend, engine, graph };
        app.reload(ReloadOptions::default());
        app
    }

    fn reload(&self, options: ReloadOptions) -> (Report, Duration) {
        let began = Instant::now();
        let report = self.clock.block_on(self.engine.reload(options)).unwrap();
        (report, began.elapsed())
    }

    fn edit(&self, at: usize, edition: usize) {
        self.texts.put(&format!("m{at}"), text(at, &self.graph[at], edition));
    }

    fn leaf(&self) -> usize {
        let required = |at: &usize| self.graph.iter().any(|requires| requires.contains(at));
        (0..self.graph.len()).rev().find(|at| !required(at)).unwrap()
    }
}

/// What people do without: the same modules in a VM of their own, `package.loaded` cleared and all of them
/// required again.
struct Naive {
    reload: Function,
    one: Function,
    call: Function,
    _lua: Lua,
}

impl Naive {
    fn new(graph: &[Vec<usize>]) -> Self {
        let lua = Lua::new();
        let texts = lua.create_table().unwrap();
        for (at, requires) in graph.iter().enumerate() {
            texts.set(format!("m{at}"), text(at, requires, 0)).unwrap();
        }
        let chunk = lua.load(
            "local texts, count = ...
            table.insert(package.searchers or package.loaders, 2, function(name)
                local text = texts[name]
                return text and assert((loadstring or load)(text, '@' .. name .. '.lua'))
            end)
            local function reload()
                for i = 0, count - 1 do package.loaded['m' .. i] = nil end
                for i = 0, count - 1 do require('m' .. i) end
            end
            local function one(name)
                package.loaded[name] = nil
                require(name)
            end
            reload()
            return reload, one, require('m0').twice",
        );
        let (reload, one, call) = chunk.call((texts, graph.len())).unwrap();
        Self { reload, one, call, _lua: lua }
    }
}

/// A caller that comes a thousand times a second: how long it waited at most, and how often at all.
struct Caller {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(Duration, Duration)>,
}

impl Caller {
    fn start(call: LuaFunction<i64, i64>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let (mut longest, mut all) = (Duration::ZERO, Duration::ZERO);
            let mut next = Instant::now();
            while !stopped.load(Ordering::Relaxed) {
                next += Duration::from_millis(1);
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
                let began = Instant::now();
                call.call_wait(1, Duration::from_secs(5)).unwrap();
                let took = began.elapsed();
                longest = longest.max(took);
                all += took;
            }
            (longest, all)
        });
        Self { stop, thread }
    }

    fn stop(self) -> (Duration, Duration) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn timed(work: impl Fn()) -> Duration {
    median((0..RUNS).map(|_| time(&work)).collect())
}

fn time(work: impl Fn()) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}

fn phase(report: &Report, phase: Phase) -> Duration {
    report.phases.iter().filter(|time| time.phase == phase).map(|time| time.took).sum()
}

fn line(what: &str, took: Duration, of: &str, base: Duration) {
    println!("{what:<58} {took:>12.1?}   {:>8.3} of {of}", took.as_secs_f64() / base.as_secs_f64());
}

fn phases(reloads: &[(Report, Duration)], of: &str, base: Duration) {
    for which in reloads[0].0.phases.iter().map(|time| time.phase) {
        let took = median(reloads.iter().map(|(report, _)| phase(report, which)).collect());
        line(&format!("  {}", which.as_str()), took, of, base);
    }
}

fn everything() {
    let app = App::new(1_000);
    let naive = Naive::new(&app.graph);
    let base = timed(|| naive.reload.call(()).unwrap());
    let of = "naive";
    println!("\n1,000 modules of 40 lines, all of them");
    line("naive: clear package.loaded, require again", base, of, base);
    let force = || ReloadOptions { force: true, ..ReloadOptions::default() };
    let reloads: Vec<_> = (0..RUNS).map(|_| app.reload(force())).collect();
    line("a forced reload, all phases", median(reloads.iter().map(|(_, took)| *took).collect()), of, base);
    phases(&reloads, of, base);
    let quiet = median(reloads.iter().map(|(_, took)| *took).collect());
    waits("its longest wait with nothing going on", &app, of, base, || std::thread::sleep(quiet));
    waits("its longest wait during a forced reload", &app, of, base, || drop(app.reload(force())));
}

/// What a caller at 1 kHz meets during `work`.
fn waits(what: &str, app: &App, of: &str, base: Duration, work: impl Fn()) {
    let waits = (0..RUNS).map(|_| {
        let caller = Caller::start(app.backend.function("m0", "twice"));
        work();
        caller.stop()
    });
    let waits: Vec<_> = waits.collect();
    println!("a caller at 1 kHz:");
    line(&format!("  {what}"), median(waits.iter().map(|wait| wait.0).collect()), of, base);
    line("  the sum of its waits", median(waits.iter().map(|wait| wait.1).collect()), of, base);
}

fn one_leaf() {
    let app = App::new(5_000);
    let naive = Naive::new(&app.graph);
    let leaf = app.leaf();
    let name = format!("m{leaf}");
    let base = timed(|| naive.one.call(name.as_str()).unwrap());
    let of = "naive one";
    println!("\none changed leaf of 5,000, and the two modules above it");
    line("naive: clear and require the one", base, of, base);
    let changed =
        || ReloadOptions { changed: Some([name.as_str().into()].into()), ..ReloadOptions::default() };
    let all = ReloadOptions::default;
    let ways: [(&str, &dyn Fn() -> _); 2] =
        [("told what changed", &changed), ("all 5,000 read and hashed", &all)];
    for (way, (what, options)) in ways.into_iter().enumerate() {
        let edited = |run| {
            app.edit(leaf, way * RUNS + run + 1);
            app.reload(options())
        };
        let reloads: Vec<_> = (0..RUNS).map(edited).collect();
        // The module, its area and the entry.
        assert!(reloads.iter().all(|(report, _)| report.modules.len() == 3));
        line(what, median(reloads.iter().map(|(_, took)| *took).collect()), of, base);
        phases(&reloads, of, base);
    }
}

fn calls() {
    const CALLS: u32 = 200_000;
    let app = App::new(10);
    let naive = Naive::new(&app.graph);
    let bare =
        timed(|| (0..CALLS).for_each(|_| assert_eq!(naive.call.call::<i64>(black_box(21)).unwrap(), 42)))
            / CALLS;
    let of = "bare";
    println!("\none call that doubles a number");
    line("bare: mlua's Function::call", bare, of, bare);
    let fast = app.backend.function::<i64, i64>("m0", "twice");
    let took = timed(|| (0..CALLS).for_each(|_| assert_eq!(fast.call(black_box(21)).unwrap(), 42))) / CALLS;
    line("LuaFunction::call", took, of, bare);
    let handle = app.engine.handle("m0", "twice");
    let slow =
        || (0..CALLS / 10).for_each(|_| drop(black_box(handle.call_blocking(vec![21.into()]).unwrap())));
    line("Handle::call_blocking, plain values", timed(slow) / (CALLS / 10), of, bare);
    let waits = || {
        app.clock.block_on(async {
            for _ in 0..CALLS / 10 {
                black_box(handle.call(vec![21.into()]).await.unwrap());
            }
        });
    };
    line("Handle::call, plain values, may wait", timed(waits) / (CALLS / 10), of, bare);
}

/// All of it, or the parts that are named: `everything`, `leaf`, `calls`.
fn main() {
    let named: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let parts: [(&str, fn()); 3] = [("everything", everything), ("leaf", one_leaf), ("calls", calls)];
    let wanted = |name: &str| named.is_empty() || named.iter().any(|wanted| wanted == name);
    parts.iter().filter(|(name, _)| wanted(name)).for_each(|(_, part)| part());
}
