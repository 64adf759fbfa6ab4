//! How many instructions a few things take, and how many they may: CI counts them, and fails where one takes more.
//!
//! ```sh
//! cargo --config .ci/optimised.toml bench --profile dev -p graceful-bench -p graceful-counts --bench instructions
//! ```
//!
//! Needs valgrind, and `gungraun-runner` of the version of `gungraun`. Each figure is what was counted when it was
//! written down, and a tenth more is allowed, which is room for another
//! compiler. Whoever makes something slower for a reason, or faster, writes down the new figure in the same change.
//! What is counted is the thread that asks; texts that other threads parse are not in it. The clock stands still, so
//! that nothing depends on how fast the machine is.

#![allow(missing_docs, reason = "the macros of gungraun make public functions")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use graceful_core::{Backend, Engine, Handle, ReloadOptions};
use graceful_lua::LuaBackend;
use graceful_rhai::RhaiBackend;
use graceful_testkit::op::ret;
use graceful_testkit::{
    Capabilities, Dialect, FakeSubject, ManualClock, MemorySources, Script, Subject, dialect,
};
use gungraun::prelude::*;
use gungraun::{Callgrind, EventKind};

/// How much more than what was counted is let through, in per cent.
const ALLOWED: u64 = 10;
const CALLS: usize = 100;

/// What a bench may take: a little more than what was counted.
fn counted(instructions: u64) -> LibraryBenchmarkConfig {
    let most = instructions + instructions * ALLOWED / 100;
    let mut config = LibraryBenchmarkConfig::default();
    config.tool(Callgrind::with_args(["--cache-sim=no"]).hard_limits([(EventKind::Ir, most)]));
    config
}

/// Lua whose turns do not end by the machine's time.
struct SteadyLua;

impl Subject for SteadyLua {
    fn backend() -> Arc<dyn Backend> {
        Arc::new(LuaBackend::builder().stage_slice(Duration::from_secs(600)).build().expect("a VM"))
    }

    fn dialect() -> &'static dyn Dialect {
        &dialect::Lua
    }

    fn capabilities() -> Capabilities {
        Capabilities::ALL
    }
}

struct Rhai;

impl Subject for Rhai {
    fn backend() -> Arc<dyn Backend> {
        RhaiBackend::builder().build()
    }

    fn dialect() -> &'static dyn Dialect {
        &dialect::Rhai
    }

    fn capabilities() -> Capabilities {
        Capabilities::ALL
    }
}

/// A live app and what is asked of it.
struct App {
    clock: ManualClock,
    engine: Engine,
    options: ReloadOptions,
    handle: Handle,
}

fn name(at: usize) -> String {
    format!("m{at}")
}

/// A module that requires up to three of those before it.
fn module(at: usize) -> Script {
    let below = (1..=at % 4).filter_map(|step| at.checked_sub(step * step * 7 + step));
    let script = below.fold(Script::plain(&name(at)), |script, below| script.requires(&name(below)));
    script.function("answer", [ret(42)]).value("at", at as i64)
}

fn put<S: Subject>(sources: &MemorySources, script: &Script) {
    let dialect = S::dialect();
    sources.put(&script.name, dialect.backend(), dialect.extension(), dialect.render(script));
}

/// So many modules are there, of which none is loaded.
fn unloaded<S: Subject>(modules: usize) -> (App, Arc<MemorySources>) {
    let (clock, sources) = (ManualClock::new(), MemorySources::new());
    (0..modules).for_each(|at| put::<S>(&sources, &module(at)));
    put::<S>(&sources, &(0..modules).fold(Script::plain("main"), |main, at| main.requires(&name(at))));
    let builder = Engine::builder(Arc::new(clock.clone())).backend(S::backend());
    let engine = builder.sources(sources.clone()).entry("main").build();
    let handle = engine.handle("m0", "answer");
    (App { clock, engine, options: ReloadOptions::default(), handle }, sources)
}

/// Nothing of it is live yet.
fn new<S: Subject>(modules: usize) -> App {
    unloaded::<S>(modules).0
}

/// So many modules are live; `edited` of them have a new text, the last ones first.
fn app<S: Subject>(modules: usize, edited: usize, options: ReloadOptions) -> App {
    let (app, sources) = unloaded::<S>(modules);
    app.clock.block_on(app.engine.reload(ReloadOptions::default())).expect("it loads");
    (modules - edited..modules).for_each(|at| put::<S>(&sources, &module(at).comment("edited")));
    App { options, ..app }
}

/// All are reloaded, whether they changed or not.
fn all<S: Subject>(modules: usize) -> App {
    app::<S>(modules, 0, ReloadOptions { force: true, ..ReloadOptions::default() })
}

/// One that only the entry requires was edited, and it is known which.
fn leaf<S: Subject>(modules: usize) -> App {
    let changed = Some([name(modules - 1).as_str().into()].into());
    app::<S>(modules, 1, ReloadOptions { changed, ..ReloadOptions::default() })
}

#[library_benchmark]
#[bench::one_leaf_of_200_fake(args = (200), setup = leaf::<FakeSubject>, config = counted(1_368_000))]
#[bench::all_of_50_fake(args = (50), setup = all::<FakeSubject>, config = counted(2_317_000))]
#[bench::all_of_200_fake(args = (200), setup = all::<FakeSubject>, config = counted(10_180_000))]
#[bench::all_of_50_lua(args = (50), setup = all::<SteadyLua>, config = counted(6_037_000))]
#[bench::all_of_50_rhai(args = (50), setup = all::<Rhai>, config = counted(3_699_000))]
fn reload(app: App) -> App {
    black_box(app.clock.block_on(app.engine.reload(app.options.clone()))).expect("it reloads");
    app
}

// All of it is loaded for the first time. Thirty texts are not enough for another thread to help parsing.
#[library_benchmark]
#[bench::all_of_50_fake(args = (50), setup = new::<FakeSubject>, config = counted(2_746_000))]
#[bench::all_of_200_fake(args = (200), setup = new::<FakeSubject>, config = counted(12_646_000))]
#[bench::all_of_30_lua(args = (30), setup = new::<SteadyLua>, config = counted(7_673_000))]
#[bench::all_of_30_rhai(args = (30), setup = new::<Rhai>, config = counted(8_069_000))]
fn start(app: App) -> App {
    black_box(app.clock.block_on(app.engine.reload(app.options.clone()))).expect("it loads");
    app
}

#[library_benchmark]
#[bench::all_of_1000_fake(args = (1_000), setup = all::<FakeSubject>, config = counted(13_026_000))]
#[bench::all_of_4000_fake(args = (4_000), setup = all::<FakeSubject>, config = counted(59_320_000))]
fn plan(app: App) -> App {
    black_box(app.clock.block_on(app.engine.plan(app.options.clone()))).expect("it can be planned");
    app
}

#[library_benchmark]
#[bench::fake(args = (1), setup = all::<FakeSubject>, config = counted(386_000))]
#[bench::lua(args = (1), setup = all::<SteadyLua>, config = counted(898_000))]
#[bench::rhai(args = (1), setup = all::<Rhai>, config = counted(1_126_000))]
fn calls(app: App) -> App {
    for _ in 0..CALLS {
        black_box(app.handle.call_blocking(Vec::new())).expect("it is there");
    }
    app
}

library_benchmark_group!(name = instructions, benchmarks = [start, reload, plan, calls]);
main!(library_benchmark_groups = instructions);
