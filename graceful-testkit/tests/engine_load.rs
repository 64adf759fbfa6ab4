//! Many calls during many reloads.

mod puppet;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use graceful_core::*;
use graceful_testkit::{ClockKind, Time};
use puppet::{Play, Puppet, Script};

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
