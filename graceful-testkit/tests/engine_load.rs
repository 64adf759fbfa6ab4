//! Many calls during many reloads, and many modules in one.

mod puppet;

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use graceful_core::*;
use graceful_testkit::{ClockKind, Time};
use puppet::{Play, Puppet, Script, Theatre};

#[test]
fn call_01_no_call_sees_two_generations_or_half_a_hook_under_load() {
    let (time, puppet) = (Time::new(ClockKind::Tokio), Puppet::new());
    let engine = Engine::builder(time.clock())
        .backend(puppet.clone())
        .sources(Arc::new(Script(puppet.clone())))
        .entry("main")
        .build();
    let state = Arc::new(AtomicI64::new(0));
    let edit = |version: i64| {
        let (clock, control) = (time.clock(), puppet.clone());
        let ask = move |_| {
            let (sleep, control) = (clock.sleep(Duration::from_micros(200)), control.control());
            async move {
                sleep.await;
                let db = control.call("db".into(), "get".into(), vec![]).await?;
                Ok(Value::List(vec![Value::Int(version), db]))
            }
        };
        let (clock, kept, read) = (time.clock(), state.clone(), state.clone());
        let hook = move |_: HookCx| {
            let (sleep, kept) = (clock.sleep(Duration::from_micros(300)), kept.clone());
            async move {
                // Odd while the hook runs.
                kept.fetch_add(1, Ordering::SeqCst);
                sleep.await;
                kept.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }
        };
        puppet.set("main", Play::plain().requires(&["db"]).function("ask", ask));
        let get = move |_| {
            let whole = read.load(Ordering::SeqCst) % 2 == 0;
            async move { Ok(if whole { Value::Int(version) } else { Value::Null }) }
        };
        puppet.set("db", Play::new().hook("after_reload", hook).function("get", get));
    };
    edit(1);
    time.block_on(engine.reload(ReloadOptions::default())).unwrap();
    let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let callers = (0..4).map(|_| {
        let (stop, calls, engine, time) = (stop.clone(), calls.clone(), engine.clone(), time.clone());
        thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let Value::List(seen) = time.block_on(engine.call("main", "ask", vec![])).unwrap() else {
                    panic!()
                };
                assert_eq!(seen[0], seen[1], "a call saw two generations, or a hook half-way");
                calls.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    let callers: Vec<_> = callers.collect();
    for version in 2..150 {
        edit(version);
        let report = time.block_on(engine.reload(ReloadOptions::default())).unwrap();
        assert_eq!(report.generation, version as u64);
    }
    stop.store(true, Ordering::Relaxed);
    callers.into_iter().for_each(|caller| caller.join().unwrap());
    assert!(calls.load(Ordering::Relaxed) > 100);
    assert_eq!(engine.world().gate.leases().len(), 0);
    engine.status();
    assert_eq!(engine.world().instances().len(), 2);
}

/// For how long this thread has run, where that can be known: other tests run beside this one.
fn busy() -> Duration {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    let began = BEGAN.get_or_init(Instant::now);
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let ran = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
    ran.map_or_else(|| began.elapsed(), Duration::from_nanos)
}

/// How long a start, a plan and a reload of everything take with `count` modules in rows of ten.
fn took(count: usize) -> [Duration; 3] {
    let theatre = Theatre::new(&["main"]);
    let names: Vec<String> = (0..count).map(|n| format!("m{n:05}")).collect();
    for (at, name) in names.iter().enumerate() {
        let before: &[&str] = if at % 10 == 0 { &[] } else { &[&names[at - 1]] };
        theatre.set(name, Play::new().requires(before).hook("after_reload", |_| async { Ok(()) }));
    }
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    theatre.set("main", Play::plain().requires(&all));
    let time = |work: &dyn Fn()| {
        let began = busy();
        work();
        busy() - began
    };
    let force = ReloadOptions { force: true, ..ReloadOptions::default() };
    let start = time(&|| drop(theatre.reload().unwrap()));
    let plan = time(&|| {
        let plan = theatre.time.block_on(theatre.engine.plan(force.clone())).unwrap();
        assert_eq!(plan.steps.len(), count + 1);
    });
    let reload = time(&|| drop(theatre.reload_with(force.clone()).unwrap()));
    assert_eq!(theatre.engine.status().modules.len(), count + 1);
    [start, plan, reload]
}

#[test]
fn ord_07_four_times_the_modules_take_about_four_times_as_long() {
    let best = |count| {
        let runs = [took(count), took(count), took(count)];
        [0, 1, 2].map(|step| runs.iter().map(|run| run[step]).min().unwrap())
    };
    let (few, many) = (best(500), best(2_000));
    for (step, (few, many)) in ["start", "plan", "reload"].iter().zip(few.iter().zip(&many)) {
        let times = many.as_secs_f64() / few.as_secs_f64();
        println!("{step}: {few:?} and {many:?}, {times:.1} times");
        assert!(times < 11.0, "{step}: {few:?} and {many:?}: it grows like a square");
    }
}
