//! What a reload costs beside what it replaces, as ratios within one run: `cargo bench -p graceful-lua`.

mod app;

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use graceful_core::event::Phase;
use graceful_core::{ReloadOptions, Report, Value};
use graceful_lua::LuaFunction;

use app::{AREA, App, Floor, Naive};

const RUNS: usize = 9;

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

/// The areas and the entry as well, dependencies first: what a forced reload takes.
fn names() -> Vec<String> {
    let areas = (0..1_000_usize.div_ceil(AREA)).map(|area| format!("area{area}"));
    let modules = (0..1_000).map(|at| format!("m{at}")).chain(areas);
    modules.chain(["main".to_owned()]).collect()
}

fn everything() {
    let app = App::new(1_000);
    let naive = Naive::new(&app.graph);
    let names = names();
    println!("\n1,000 modules of 40 lines, all of them");
    let force = || ReloadOptions { force: true, ..ReloadOptions::default() };
    let naively = || naive.reload(&names);
    let base = timed(naively);
    let of = "naive";
    line("naive: clear package.loaded, require again", base, of, base);
    let floor = Floor::new(&app.graph, &names);
    let floor = median((0..RUNS).map(|_| floor.time()).collect());
    line("floor: their bytecode loaded and run, nothing else", floor, of, base);
    let reloads = kept_in("forced, the texts as they were", &app, naively, |_| app.reload(force()));
    kept_in("every text edited", &app, naively, |run| {
        (0..1_000).for_each(|at| app.edit(at, run + 1));
        app.reload(ReloadOptions::default())
    });
    let quiet = median(reloads.iter().map(|(_, took)| *took).collect());
    waits("its longest wait with nothing going on", &app, of, base, || std::thread::sleep(quiet));
    waits("its longest wait during a forced reload", &app, of, base, || drop(app.reload(force())));
}

/// Reloads several times, in turn with the naive way: how long that takes, and how long it keeps the VM from others.
fn kept_in(
    what: &str,
    app: &App,
    naively: impl Fn(),
    reload: impl Fn(usize) -> (Report, Duration),
) -> Vec<(Report, Duration)> {
    let (mut base, mut reloads, mut kept, mut longest, mut slices) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), 0);
    let first = app.backend.pauses();
    for run in 0..RUNS {
        base.push(time(&naively));
        let before = app.backend.pauses();
        reloads.push(reload(run));
        let after = app.backend.pauses();
        kept.push(after.total - before.total);
        longest.push(after.longest);
        slices = after.count - before.count;
    }
    let (base, of) = (median(base), "naive, in turn with it");
    line(what, median(reloads.iter().map(|(_, took)| *took).collect()), of, base);
    phases(&reloads, of, base);
    line("  the VM kept from others, in all", median(kept), of, base);
    line("  the VM kept from others, longest at once so far", median(longest), of, base);
    let collecting = app.backend.pauses().collecting - first.collecting;
    line("  the VM kept by the collector's steps afterwards", collecting / RUNS as u32, of, base);
    println!("  in {slices} slices");
    reloads
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

/// Edits and reloads again and again, and as often the naive way, for a profiler to look at.
fn edited() {
    let app = App::new(1_000);
    let naive = Naive::new(&app.graph);
    let names = names();
    for run in 0..4 * RUNS {
        naive.reload(&names);
        (0..1_000).for_each(|at| app.edit(at, run + 1));
        app.reload(ReloadOptions::default());
    }
}

fn one_leaf() {
    let app = App::new(5_000);
    let naive = Naive::new(&app.graph);
    let leaf = app.leaf();
    let name = format!("m{leaf}");
    let above = [name.clone(), format!("area{}", leaf / AREA), "main".to_owned()];
    let base = timed(|| naive.reload(&above));
    let of = "naive";
    println!("\none changed leaf of 5,000, and the two modules above it");
    line("naive: clear and require the three", base, of, base);
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
    const CALLS: u32 = 100_000;
    let app = App::new(10);
    let naive = Naive::new(&app.graph);
    let fast = app.backend.function::<i64, i64>("m0", "twice");
    let handle = app.engine.handle("m0", "twice");
    let plain = || vec![Value::from(black_box(21_i64))];
    let mut best = [Duration::MAX; 4];
    // Turn by turn, and the best of each: what else the machine does falls on all of them.
    for _ in 0..5 * RUNS {
        let turns = [
            time(|| (0..CALLS).for_each(|_| assert_eq!(naive.call.call::<i64>(black_box(21)).unwrap(), 42))),
            time(|| (0..CALLS).for_each(|_| assert_eq!(fast.call(black_box(21)).unwrap(), 42))),
            time(|| {
                (0..CALLS / 10).for_each(|_| assert_eq!(handle.call_blocking(plain()).unwrap(), 42.into()))
            }) * 10,
            time(|| {
                app.clock.block_on(async {
                    for _ in 0..CALLS / 10 {
                        assert_eq!(handle.call(plain()).await.unwrap(), 42.into());
                    }
                })
            }) * 10,
        ];
        best.iter_mut().zip(turns).for_each(|(best, turn)| *best = turn.min(*best));
    }
    println!("\none call that doubles a number");
    let names = [
        "bare: mlua's Function::call",
        "LuaFunction::call",
        "Handle::call_blocking",
        "Handle::call, which may wait",
    ];
    names.iter().zip(best).for_each(|(name, took)| line(name, took / CALLS, "bare", best[0] / CALLS));
}

/// All of it but what is for profilers, or the parts that are named.
fn main() {
    let named: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let parts: [(&str, fn()); 4] =
        [("everything", everything), ("leaf", one_leaf), ("calls", calls), ("edited", edited)];
    let wanted = |name: &str| match named.as_slice() {
        [] => name != "edited",
        named => named.iter().any(|wanted| wanted == name),
    };
    parts.iter().filter(|(name, _)| wanted(name)).for_each(|(_, part)| part());
}
