//! What loads, reloads and calls cost beside bare Rhai: `cargo bench -p graceful-rhai`.

#![allow(missing_docs, reason = "the macro of criterion makes a public function")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use graceful_core::{Engine, ReloadOptions};
use graceful_rhai::RhaiBackend;
use graceful_rhai::rhai::module_resolvers::FileModuleResolver;
use graceful_rhai::rhai::{self, Scope};
use graceful_testkit::{MemorySources, TokioClock};

mod text;

const ALL: usize = 300;

/// Imports up to three modules before it, always the same ones.
fn module(at: usize, edition: usize) -> String {
    let below = (1..=at % 4).filter_map(|step| at.checked_sub(step * step * 7 + step));
    format!("// edition {edition}\n{}", text::module(at, below))
}

struct App {
    clock: Arc<TokioClock>,
    sources: Arc<MemorySources>,
    engine: Engine,
}

impl App {
    fn new() -> Self {
        let (clock, sources) = (TokioClock::new(), MemorySources::new());
        let builder = Engine::builder(clock.clone()).backend(RhaiBackend::builder().build());
        let engine = builder.sources(sources.clone()).entry("main").build();
        let app = Self { clock, sources, engine };
        app.sources.put("main", "rhai", "rhai", text::imports(0..ALL));
        (0..ALL).for_each(|at| app.edit(at, 0));
        app
    }

    fn edit(&self, at: usize, edition: usize) {
        self.sources.put(&format!("m{at}"), "rhai", "rhai", module(at, edition));
    }

    fn reload(&self, options: ReloadOptions) {
        self.clock.block_on(self.engine.reload(options)).expect("it reloads");
    }
}

fn all(criterion: &mut Criterion) {
    let folder = std::env::temp_dir().join(format!("graceful-rhai-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    for at in 0..ALL {
        std::fs::write(folder.join(format!("m{at}.rhai")), module(at, 0)).expect("a file");
    }
    let mut group = criterion.benchmark_group(format!("{ALL} modules"));
    group.sample_size(10);
    group.bench_function("floor: the texts compiled by Rhai", |bench| {
        let engine = rhai::Engine::new();
        let texts: Vec<_> = (0..ALL).map(|at| module(at, 0)).collect();
        bench.iter(|| texts.iter().for_each(|text| drop(engine.compile(text).expect("it parses"))));
    });
    group.bench_function("naive: Rhai's file resolver", |bench| {
        bench.iter(|| {
            let mut engine = rhai::Engine::new();
            engine.set_module_resolver(FileModuleResolver::new_with_path(&folder));
            engine.set_max_modules(ALL * ALL);
            let main = engine.compile(text::imports(0..ALL)).expect("it parses");
            engine.run_ast_with_scope(&mut Scope::new(), &main).expect("it runs");
        });
    });
    group.bench_function("load", |bench| {
        bench.iter_with_large_drop(|| {
            let app = App::new();
            app.reload(ReloadOptions::default());
            app
        });
    });
    let app = App::new();
    app.reload(ReloadOptions::default());
    group.bench_function("reload of the same texts", |bench| {
        bench.iter(|| app.reload(ReloadOptions { force: true, ..ReloadOptions::default() }));
    });
    let mut edition = 0;
    group.bench_function("reload of edited texts", |bench| {
        bench.iter(|| {
            edition += 1;
            (0..ALL).for_each(|at| app.edit(at, edition));
            app.reload(ReloadOptions::default());
        });
    });
    group.bench_function("reload of one leaf, told what changed", |bench| {
        bench.iter(|| {
            edition += 1;
            app.edit(ALL - 1, edition);
            let changed = Some([format!("m{}", ALL - 1).into()].into());
            app.reload(ReloadOptions { changed, ..ReloadOptions::default() });
        });
    });
    group.finish();
    let _ = std::fs::remove_dir_all(folder);
}

fn calls(criterion: &mut Criterion) {
    let app = App::new();
    app.reload(ReloadOptions::default());
    let handle = app.engine.handle("m0", "twice");
    let bare = rhai::Engine::new();
    let tree = bare.compile(module(0, 0)).expect("it parses");
    let mut group = criterion.benchmark_group("a call that doubles a number");
    group.bench_function("Rhai's call_fn", |bench| {
        bench.iter(|| bare.call_fn::<i64>(&mut Scope::new(), &tree, "twice", (black_box(21_i64),)).unwrap());
    });
    group.bench_function("Handle::call_blocking", |bench| {
        bench.iter(|| handle.call_blocking(vec![black_box(21).into()]).unwrap());
    });
    group.finish();
}

criterion_group!(benches, all, calls);
criterion_main!(benches);
