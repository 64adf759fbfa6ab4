//! What the engine itself costs, without any language: `cargo bench -p graceful-core`. The modules are native, so
//! that nothing is parsed and a top level is a closure that returns.

#![allow(missing_docs, reason = "the macro of criterion makes a public function")]
// The bench stands in for a host, which has time and threads.
#![allow(clippy::disallowed_methods)]

use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use futures_util::future::{BoxFuture, pending};
use graceful_core::{Clock, Engine, Native, ReloadOptions, Value};

/// A host with a thread for each task. Nothing here waits long enough for a deadline.
struct Threads(Instant);

impl Clock for Threads {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }
    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(pending())
    }
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        thread::spawn(move || block_on(task));
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let (mut cx, mut future) = (Context::from_waker(&waker), pin!(future));
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut cx) {
            return value;
        }
        thread::park();
    }
}

/// Up to three modules before `at`, always the same ones.
fn requires(at: usize) -> Vec<String> {
    let below = (1..=at % 4).filter_map(|step| at.checked_sub(step * step * 7 + step));
    below.map(|at| format!("m{at}")).collect()
}

fn double(args: Vec<Value>) -> Result<Value, graceful_core::CallError> {
    Ok(Value::Int(args[0].as_int().unwrap_or_default() * 2))
}

fn edit(engine: &Engine, at: usize) {
    let (requires, name) = (requires(at), format!("m{at}"));
    let requires: Vec<&str> = requires.iter().map(String::as_str).collect();
    engine.natives().set(name, &requires, |_| Ok(Native::plain().function("double", double)));
}

/// An engine with so many modules, in areas of a hundred that the entry requires. All are live, and no module requires
/// the last one.
fn app(modules: usize) -> Engine {
    let engine = Engine::builder(Arc::new(Threads(Instant::now()))).entry("main").build();
    let require_all = |name: &str, below: &[String]| {
        let below: Vec<&str> = below.iter().map(String::as_str).collect();
        engine.natives().set(name, &below, |_| Ok(Native::plain()));
    };
    (0..modules).for_each(|at| edit(&engine, at));
    let names: Vec<String> = (0..modules).map(|at| format!("m{at}")).collect();
    let areas: Vec<String> = (0..names.len().div_ceil(100)).map(|at| format!("area{at}")).collect();
    areas.iter().zip(names.chunks(100)).for_each(|(area, below)| require_all(area, below));
    require_all("main", &areas);
    reload(&engine, ReloadOptions::default());
    engine
}

fn reload(engine: &Engine, options: ReloadOptions) -> usize {
    block_on(engine.reload(options)).expect("nothing in it can fail").modules.len()
}

fn forced() -> ReloadOptions {
    ReloadOptions { force: true, ..ReloadOptions::default() }
}

fn reloads(criterion: &mut Criterion) {
    for modules in [1_000, 10_000] {
        let (engine, leaf) = (app(modules), modules - 1);
        let mut group = criterion.benchmark_group("native modules");
        group.sample_size(10);
        group.bench_function(BenchmarkId::new("one leaf reloaded, told what changed", modules), |bench| {
            bench.iter(|| {
                edit(&engine, leaf);
                let changed = Some([format!("m{leaf}").into()].into());
                reload(&engine, ReloadOptions { changed, ..ReloadOptions::default() })
            });
        });
        group.bench_function(BenchmarkId::new("one leaf reloaded, all of them read", modules), |bench| {
            bench.iter(|| {
                edit(&engine, leaf);
                reload(&engine, ReloadOptions::default())
            });
        });
        group.bench_function(BenchmarkId::new("all reloaded", modules), |bench| {
            bench.iter(|| reload(&engine, forced()));
        });
        group.bench_function(BenchmarkId::new("plan of all", modules), |bench| {
            bench.iter(|| block_on(engine.plan(forced())).expect("nothing in it can fail"));
        });
    }
}

fn calls(criterion: &mut Criterion) {
    let engine = app(10);
    let handle = engine.handle("m0", "double");
    let mut group = criterion.benchmark_group("a call that doubles a number");
    group.bench_function("the closure", |bench| {
        bench.iter(|| double(black_box(vec![Value::Int(21)])).unwrap());
    });
    group.bench_function("Handle::call_blocking", |bench| {
        bench.iter(|| handle.call_blocking(black_box(vec![Value::Int(21)])).unwrap());
    });
    group.bench_function("Handle::call", |bench| {
        bench.iter(|| block_on(handle.call(black_box(vec![Value::Int(21)]))).unwrap());
    });
    group.finish();
}

criterion_group!(benches, reloads, calls);
criterion_main!(benches);
