//! What a reload costs beside what it replaces: `cargo bench -p graceful-lua`. The program `scale` of the same
//! repository measures more of it, as ratios.

#![allow(missing_docs, reason = "the macro of criterion makes a public function")]

mod app;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use graceful_core::ReloadOptions;

use app::{App, Floor, Naive, dependents, names};

const ALL: usize = 1_000;
const SOME: usize = 5_000;

fn all(criterion: &mut Criterion) {
    let app = App::new(ALL);
    let (naive, all) = (Naive::new(&app.graph), names(ALL));
    let floor = Floor::new(&app.graph, &all);
    let mut group = criterion.benchmark_group("all of 1,000 modules");
    group.sample_size(20);
    group
        .bench_function("naive: clear package.loaded and require", |bench| bench.iter(|| naive.reload(&all)));
    group.bench_function("floor: bytecode loaded and run", |bench| {
        bench.iter_custom(|times| (0..times).map(|_| floor.time()).sum());
    });
    group.bench_function("floor: the same, each in a coroutine, globals compared", |bench| {
        bench.iter_custom(|times| (0..times).map(|_| floor.isolated()).sum());
    });
    group.bench_function("floor: texts parsed", |bench| {
        bench.iter_custom(|times| (0..times).map(|_| app.parse()).sum());
    });
    group.bench_function("reload of the same texts", |bench| {
        bench.iter(|| app.reload(ReloadOptions { force: true, ..ReloadOptions::default() }));
    });
    let mut edition = 0;
    group.bench_function("reload of edited texts", |bench| {
        bench.iter_custom(|times| {
            let edited = |_| {
                edition += 1;
                (0..ALL).for_each(|at| app.edit(at, edition));
                app.reload(ReloadOptions::default()).1
            };
            (0..times).map(edited).sum()
        });
    });
    group.finish();
}

fn leaf(criterion: &mut Criterion) {
    let app = App::new(SOME);
    let (leaf, naive) = (app.leaf(), Naive::new(&app.graph));
    let (name, above) = (format!("m{leaf}"), dependents(&app.graph, leaf));
    let mut edition = 0;
    let mut group = criterion.benchmark_group("one leaf of 5,000 modules");
    group.bench_function("naive: clear and require what depends on it", |bench| {
        bench.iter(|| naive.reload(&above));
    });
    group.bench_function("reload, told what changed", |bench| {
        bench.iter_custom(|times| {
            let edited = |_| {
                edition += 1;
                app.edit(leaf, edition);
                let changed = Some([name.as_str().into()].into());
                app.reload(ReloadOptions { changed, ..ReloadOptions::default() }).1
            };
            (0..times).map(edited).sum()
        });
    });
    group.finish();
}

fn calls(criterion: &mut Criterion) {
    let app = App::new(10);
    let naive = Naive::new(&app.graph);
    let fast = app.backend.function::<i64, i64>("m0", "twice");
    let handle = app.engine.handle("m0", "twice");
    let mut group = criterion.benchmark_group("a call that doubles a number");
    group.bench_function("mlua's Function::call", |bench| {
        bench.iter(|| naive.call.call::<i64>(black_box(21)).unwrap());
    });
    group.bench_function("LuaFunction::call", |bench| bench.iter(|| fast.call(black_box(21)).unwrap()));
    group.bench_function("Handle::call_blocking", |bench| {
        bench.iter(|| handle.call_blocking(vec![black_box(21).into()]).unwrap());
    });
    group.finish();
}

criterion_group!(benches, all, leaf, calls);
criterion_main!(benches);
