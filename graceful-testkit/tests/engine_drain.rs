//! Calls, tasks and hooks in flight while a reload drains, and what of the old generation they still reach.

mod puppet;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use graceful_core::*;
use puppet::{Play, Theatre};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// `main` requires `db`, which has a hook and so is drained.
fn theatre() -> Theatre {
    let theatre = Theatre::new(&["main", "aside"]);
    theatre.set("main", Play::plain().requires(&["db"]));
    theatre.set("aside", Play::plain());
    theatre.set("db", db());
    theatre.reload().unwrap();
    theatre.set("db", db());
    theatre
}

fn db() -> Play {
    Play::new().hook("after_reload", |_| async { Ok(()) }).returns("get", 1)
}

fn task(theatre: &Theatre, root: &str) -> Lease {
    Lease::open(&theatre.engine.world().gate, &root.into(), LeaseKind::Task).unwrap()
}

#[test]
fn hook_06_modules_that_leave_together_wait_together_for_a_call_that_does_not_end() {
    let theatre = Theatre::new(&["main"]);
    theatre.set("main", Play::plain().requires(&["one", "two"]));
    for name in ["one", "two"] {
        theatre.set(name, Play::new().hook("finalize", |_| async { Ok(()) }));
    }
    theatre.reload().unwrap();
    let call = Lease::open(&theatre.engine.world().gate, &"main".into(), LeaseKind::Call).unwrap();
    theatre.set("main", Play::plain());
    let report = theatre.reload().unwrap();
    let waits = report.warnings.iter().filter(|warning| warning.contains("does not wait for")).count();
    let retire = report.phases.iter().find(|phase| phase.phase == event::Phase::Retire).unwrap();
    let most = Limits::default().exclusive;
    assert_eq!((waits, retire.took), (2, most), "{report:?}");
    drop(call);
}

#[test]
fn st_03_a_task_that_the_freeze_waits_for_may_still_call_what_is_frozen() {
    let theatre = theatre();
    let turn = task(&theatre, "main");
    let reload = theatre.time.spawn(theatre.engine.reload(ReloadOptions::default()));
    theatre.time.settle();
    assert!(theatre.engine.world().gate.is_frozen(&"db".into()));
    let control = theatre.puppet.control();
    let called = {
        let turn = turn.clone();
        theatre.time.spawn(turn.scope(async move { control.call("db".into(), "get".into(), vec![]).await }))
    };
    theatre.time.settle();
    assert!(called.is_done(), "the freeze waits for the task, and the task for the freeze");
    assert_eq!(called.join().unwrap().unwrap(), Value::Int(1));
    drop(turn);
    assert_eq!(reload.join().unwrap().outcome, Outcome::Committed);
}

#[test]
fn st_03_a_call_that_no_drain_waits_for_waits_for_what_is_frozen() {
    let theatre = theatre();
    let sleep = theatre.sleeper(ms(100));
    theatre.set(
        "db",
        db().hook("after_reload", move |_| {
            let sleep = sleep();
            async move {
                sleep.await;
                Ok(())
            }
        }),
    );
    let call = Lease::open(&theatre.engine.world().gate, &"aside".into(), LeaseKind::Call).unwrap();
    let reload = theatre.time.spawn(theatre.engine.reload(ReloadOptions::default()));
    theatre.time.settle();
    let control = theatre.puppet.control();
    let called =
        theatre.time.spawn(call.scope(async move { control.call("db".into(), "get".into(), vec![]).await }));
    theatre.time.pass(ms(50));
    assert!(!called.is_done() && !reload.is_done());
    theatre.time.pass(ms(100));
    assert_eq!(called.join().unwrap().unwrap(), Value::Int(1));
    assert_eq!(reload.join().unwrap().outcome, Outcome::Committed);
}

#[test]
fn call_04_the_policy_cancel_cancels_calls_and_leaves_tasks_their_turn() {
    let theatre = theatre();
    let call = Lease::open(&theatre.engine.world().gate, &"main".into(), LeaseKind::Call).unwrap();
    let call = theatre.time.spawn(call.scope(std::future::pending::<()>()));
    let turn = task(&theatre, "main");
    let options = ReloadOptions { drain: DrainPolicy::Cancel, ..ReloadOptions::default() };
    let reload = theatre.time.spawn(theatre.engine.reload(options));
    theatre.time.pass(ms(2500));
    assert!(matches!(call.join(), Err(CallError::Cancelled { .. })));
    assert!(!turn.is_cancelled(), "a task is stopped at its next yield, and not cancelled");
    drop(turn);
    assert_eq!(reload.join().unwrap().outcome, Outcome::Committed);
}

#[test]
fn call_04_the_policy_abort_gives_up_at_the_deadline_and_opens_the_gates() {
    let theatre = theatre();
    let call = Lease::open(&theatre.engine.world().gate, &"main".into(), LeaseKind::Call).unwrap();
    let error = theatre.reload().unwrap_err();
    assert_eq!((error.code().0, error.is_retryable()), ("GR0108", true));
    assert!(!call.is_cancelled());
    assert_eq!(theatre.call("db", "get").unwrap(), Value::Int(1));
    drop(call);
    assert_eq!(theatre.reload().unwrap().outcome, Outcome::Committed);
}

#[test]
fn call_01_a_task_in_the_middle_of_its_turn_still_finds_the_generation_it_began_in() {
    let theatre = Theatre::new(&["main", "db"]);
    theatre.set("main", Play::plain()).set("db", Play::plain().returns("get", 1));
    theatre.reload().unwrap();
    let turn = task(&theatre, "main");
    theatre.set("db", Play::plain().returns("get", 2));
    theatre.reload().unwrap();
    theatre.engine.status();
    let control = theatre.puppet.control();
    let called = turn.scope(async move { control.call("db".into(), "get".into(), vec![]).await });
    assert_eq!(theatre.time.block_on(called).unwrap().unwrap(), Value::Int(1));
}

#[test]
fn hook_06_finalize_finds_what_leaves_with_its_module() {
    let theatre = Theatre::new(&["main"]);
    let found = Arc::new(AtomicBool::new(false));
    let (control, engine, seen) = (theatre.puppet.clone(), theatre.engine.clone(), found.clone());
    theatre.set("main", Play::plain().requires(&["gone"]));
    theatre.set("dep", Play::plain().returns("get", 1));
    theatre.set(
        "gone",
        Play::new().requires(&["dep"]).hook("finalize", move |_| {
            let (control, seen) = (control.control(), seen.clone());
            // Whoever reads the status meanwhile drops what nothing holds.
            engine.status();
            async move {
                let called = control.call("dep".into(), "get".into(), vec![]).await;
                seen.store(called.is_ok(), Ordering::SeqCst);
                Ok(())
            }
        }),
    );
    theatre.reload().unwrap();
    theatre.set("main", Play::plain());
    theatre.reload().unwrap();
    assert!(found.load(Ordering::SeqCst));
}

#[test]
fn scope_05_reloads_beside_a_long_call_leave_no_more_tasks_than_one() {
    let theatre = Theatre::new(&["main", "aside"]);
    theatre.set("main", Play::plain()).set("aside", Play::plain());
    theatre.reload().unwrap();
    let call = Lease::open(&theatre.engine.world().gate, &"aside".into(), LeaseKind::Call).unwrap();
    for _ in 0..20 {
        theatre.set("main", Play::plain());
        theatre.reload().unwrap();
    }
    let graceful_testkit::Time::Manual(clock) = &theatre.time else { unreachable!() };
    clock.run_until_stalled();
    assert!(clock.tasks() <= 1, "{} tasks wait to drop old generations", clock.tasks());
    drop(call);
    clock.run_until_stalled();
    assert_eq!((clock.tasks(), theatre.engine.world().instances().len()), (0, 2));
}

#[test]
fn call_01_a_lease_that_ends_with_its_turn_lets_the_thread_ask_for_its_lease() {
    struct Asks(Arc<AtomicBool>);
    impl Drop for Asks {
        fn drop(&mut self) {
            self.0.store(Lease::current().is_none(), Ordering::SeqCst);
        }
    }
    let theatre = Theatre::new(&["main"]);
    let asked = Arc::new(AtomicBool::new(false));
    let (intents, asks) = (Arc::new(Intents::default()), Asks(asked.clone()));
    intents.defer(move || drop(asks));
    let gate = &theatre.engine.world().gate;
    let lease = Lease::open_at(gate, &"main".into(), LeaseKind::Hook, gate.live(), Some(intents));
    let entered = lease.enter();
    drop(lease);
    drop(entered);
    assert!(asked.load(Ordering::SeqCst));
}

/// A call into `main` that asks for a reload and waits for it, parked, and for `tries`.
fn asks(
    theatre: &Theatre,
    tries: &Arc<AtomicBool>,
    went_on: &Arc<AtomicBool>,
) -> graceful_testkit::Pending<Result<u64, CallError>> {
    let (tries, went_on) = (tries.clone(), went_on.clone());
    let call = Lease::open(&theatre.engine.world().gate, &"main".into(), LeaseKind::Call).unwrap();
    let reload = theatre.time.spawn(theatre.engine.reload(ReloadOptions::default()));
    let inner = call.clone();
    inner.set_parked(true);
    let asked = async move {
        futures_util::future::poll_fn(|cx| {
            cx.waker().wake_by_ref();
            if reload.is_done() && tries.load(Ordering::SeqCst) {
                std::task::Poll::Ready(())
            } else {
                std::task::Poll::Pending
            }
        })
        .await;
        inner.set_parked(false);
        went_on.store(true, Ordering::SeqCst);
        inner.generation().0
    };
    theatre.time.spawn(call.scope(asked))
}

#[test]
fn hook_04_a_caller_does_not_go_on_in_the_middle_of_the_next_reload() {
    let theatre = theatre();
    let went_on = Arc::new(AtomicBool::new(false));
    let tries = Arc::new(AtomicBool::new(false));
    let caller = asks(&theatre, &tries, &went_on);
    let (sleep, seen) = (theatre.sleeper(ms(50)), went_on.clone());
    let runs = Arc::new(AtomicUsize::new(0));
    let during = Arc::new(AtomicBool::new(false));
    let note = during.clone();
    theatre.set("main", Play::plain().requires(&["db"]));
    theatre.set(
        "db",
        db().hook("after_reload", move |_| {
            let (sleep, seen, note) = (sleep(), seen.clone(), note.clone());
            // In the middle of the second reload.
            tries.fetch_or(runs.fetch_add(1, Ordering::SeqCst) == 1, Ordering::SeqCst);
            async move {
                let before = seen.load(Ordering::SeqCst);
                sleep.await;
                note.fetch_or(!before && seen.load(Ordering::SeqCst), Ordering::SeqCst);
                Ok(())
            }
        }),
    );
    let force = ReloadOptions { force: true, ..ReloadOptions::default() };
    let next = theatre.time.spawn(theatre.engine.reload(force));
    theatre.time.pass(ms(200));
    assert_eq!(next.join().unwrap().generation, 3);
    assert!(!during.load(Ordering::SeqCst), "it went on while its modules were frozen");
    assert_eq!(caller.join().unwrap(), 3);
}

#[test]
fn hook_04_a_parked_caller_may_wait_for_the_reload_itself() {
    let theatre = theatre();
    let call = Lease::open(&theatre.engine.world().gate, &"main".into(), LeaseKind::Call).unwrap();
    let sleep = theatre.sleeper(ms(50));
    theatre.set(
        "db",
        db().hook("after_reload", move |_| {
            let sleep = sleep();
            async move {
                sleep.await;
                Ok(())
            }
        }),
    );
    let (lease, reload) = (call.clone(), theatre.puppet.control().reload(ReloadOptions::default()));
    let asked = call.scope(async move {
        lease.set_parked(true);
        let report = reload.await;
        lease.set_parked(false);
        (report.unwrap().generation, lease.generation().0)
    });
    assert_eq!(theatre.time.block_on(asked).unwrap(), (2, 2));
}

#[test]
fn hook_05_code_that_holds_its_vm_for_ever_fails_the_reload_at_its_deadline() {
    let theatre = theatre();
    theatre.puppet.held.store(true, Ordering::SeqCst);
    let reload = theatre.time.spawn(theatre.engine.reload(ReloadOptions::default()));
    theatre.time.pass(ms(4100));
    assert!(reload.is_done(), "its gates stay shut for ever");
    let error = reload.join().unwrap_err();
    assert_eq!((error.code().0, error.report.outcome), ("GR0108", Outcome::Refused));
    assert_eq!(theatre.call("db", "get").unwrap(), Value::Int(1));
}
