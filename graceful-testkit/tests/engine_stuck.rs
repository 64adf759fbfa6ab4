//! Code that keeps the thread of a reload: nothing can interrupt it, and everybody is told so.

mod puppet;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use graceful_core::status::EngineState;
use graceful_core::*;
use graceful_testkit::{ClockKind, Time};
use puppet::{Play, Puppet, Script, Theatre};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

fn theatre() -> Theatre {
    let limits = Limits {
        stage: Duration::from_millis(200),
        hook: Duration::from_millis(200),
        grace: Duration::from_millis(200),
        ..Limits::default()
    };
    let (time, puppet) = (Time::new(ClockKind::Tokio), Puppet::new());
    let trace = graceful_testkit::Trace::new();
    let engine = Engine::builder(time.clock())
        .backend(puppet.clone())
        .sources(Arc::new(Script(puppet.clone())))
        .observer(trace.clone())
        .limits(limits)
        .entry("main")
        .build();
    Theatre { time, puppet, engine, trace }
}

/// Blocks the thread it is called on until the test lets go.
fn latch() -> (Sender<()>, impl Fn() + Clone + Send + Sync + 'static) {
    let (open, wait): (Sender<()>, Receiver<()>) = channel();
    let wait = Arc::new(Mutex::new(wait));
    let block = move || {
        let _ = wait.lock().unwrap().recv_timeout(PATIENCE);
    };
    (open, block)
}

fn is_told(error: &ReloadError, what: &str) {
    assert!(error.is_stuck(), "{error:?}");
    assert_eq!((error.code().0, error.kind.code().0), ("GR0100", "GR0120"));
    assert_eq!(error.module().map(Name::as_str), Some("main"));
    let text = error.to_string();
    assert!(text.contains(what) && text.contains("cannot be interrupted"), "{text}");
    assert!(error.left.iter().any(|left| left.contains("main")), "{:?}", error.left);
}

fn until(theatre: &Theatre, state: EngineState) {
    let began = Instant::now();
    while theatre.engine.status().state != state {
        assert!(began.elapsed() < PATIENCE, "{:?}", theatre.engine.status());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn tx_06_a_top_level_that_nothing_interrupts_is_told_as_stuck_and_undone_when_it_ends() {
    let theatre = theatre();
    theatre.set("main", Play::plain().returns("n", 1));
    theatre.reload().unwrap();
    let (open, wait) = latch();
    let stage = move |_| {
        wait();
        async { Ok(()) }
    };
    theatre.set("main", Play::plain().returns("n", 2).stage(stage));
    is_told(&theatre.reload().unwrap_err(), "top level");
    let status = theatre.engine.status();
    assert_eq!((status.state, status.generation), (EngineState::Stuck, 1));
    let last = status.last_reload.unwrap();
    assert_eq!((last.result.as_str(), last.module.as_deref()), ("stuck", Some("main")));
    for on_busy in [OnBusy::Wait, OnBusy::Join, OnBusy::Refuse] {
        let refused = theatre.reload_with(ReloadOptions { on_busy, ..ReloadOptions::default() }).unwrap_err();
        assert_eq!((refused.code().0, refused.report.outcome), ("GR0120", Outcome::Refused));
        assert!(refused.is_retryable());
    }
    assert_eq!(theatre.call("main", "n"), Ok(Value::Int(1)), "the old code serves");
    open.send(()).unwrap();
    until(&theatre, EngineState::Idle);
    let last = theatre.engine.status().last_reload.unwrap();
    assert_eq!((last.result.as_str(), last.code.as_deref()), ("refused", Some("GR0120")));
    assert_eq!(
        theatre.call("main", "n"),
        Ok(Value::Int(1)),
        "who was told that it is stuck is not surprised"
    );
    theatre.set("main", Play::plain().returns("n", 3));
    theatre.reload().unwrap();
    assert_eq!(theatre.call("main", "n"), Ok(Value::Int(3)));
}

#[test]
fn tx_06_a_hook_that_nothing_interrupts_is_told_as_stuck_and_undone_when_it_ends() {
    for hook in ["before_reload", "after_reload"] {
        let theatre = theatre();
        let (open, wait) = latch();
        let (value, restored) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(0)));
        let set = value.clone();
        let blocking = Play::new().returns("n", 1).hook(hook, move |_| {
            set.store(1, Ordering::SeqCst);
            wait();
            async { Ok(()) }
        });
        let (back, times) = (value.clone(), restored.clone());
        let mut plays = [Play::new().returns("n", 1).hook("rollback", |_| async { Ok(()) }), blocking];
        if hook == "before_reload" {
            plays.reverse();
        }
        let [old, new] = plays;
        let old = old.restore(move || {
            back.store(0, Ordering::SeqCst);
            times.fetch_add(1, Ordering::SeqCst);
            Ok(())
        });
        theatre.set("main", old);
        theatre.reload().unwrap();
        theatre.set("main", new);
        is_told(&theatre.reload().unwrap_err(), hook);
        assert_eq!(value.load(Ordering::SeqCst), 1);
        open.send(()).unwrap();
        until(&theatre, EngineState::Idle);
        assert_eq!((value.load(Ordering::SeqCst), restored.load(Ordering::SeqCst)), (0, 1), "{hook}");
        assert_eq!(theatre.engine.status().generation, 1, "{hook}");
        let last = theatre.engine.status().last_reload.unwrap();
        assert_eq!((last.result.as_str(), last.code.as_deref()), ("rolled_back", Some("GR0120")));
        assert_eq!(theatre.call("main", "n"), Ok(Value::Int(1)), "the gates are open");
    }
}

#[test]
fn tx_06_a_native_top_level_that_nothing_interrupts_is_told_as_stuck() {
    let theatre = theatre();
    let (open, wait) = latch();
    theatre.engine.natives().set("main", &[], move |_| {
        wait();
        Ok(Native::plain())
    });
    is_told(&theatre.reload().unwrap_err(), "top level");
    open.send(()).unwrap();
    until(&theatre, EngineState::Idle);
    assert_eq!(theatre.engine.status().generation, 0);
    theatre.engine.natives().set("main", &[], |_| Ok(Native::plain()));
    theatre.reload().unwrap();
}
