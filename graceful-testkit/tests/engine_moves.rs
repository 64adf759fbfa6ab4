//! Modules that change hands, leave with an error, or are asked for twice at once.

mod puppet;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use graceful_core::*;
use puppet::{Play, Theatre};

type Log = Arc<Mutex<Vec<String>>>;
type Finalize = fn() -> puppet::Work<Result<(), HookError>>;

struct Noted(Log, bool);

#[async_trait]
impl Lifecycle for Noted {
    async fn init(&self, _: &HookCx) -> Result<(), HookError> {
        self.0.lock().unwrap().push("native init".into());
        if self.1 { Err("no".into()) } else { Ok(()) }
    }
    async fn finalize(&self, _: &HookCx) -> Result<(), HookError> {
        self.0.lock().unwrap().push("native finalize".into());
        Ok(())
    }
}

fn native(theatre: &Theatre, log: &Log, fails: bool) {
    let hooks = Hooks { init: true, finalize: true, ..Hooks::default() };
    let log = log.clone();
    theatre
        .engine
        .natives()
        .set("m", &[], move |_| Ok(Native::new("2.0.0").lifecycle(hooks, Noted(log.clone(), fails))));
}

fn puppet(log: &Log) -> Play {
    let (up, down) = (log.clone(), log.clone());
    Play::new()
        .returns("v", 1)
        .hook("init", move |_| {
            up.lock().unwrap().push("puppet init".into());
            async { Ok(()) }
        })
        .hook("finalize", move |_| {
            down.lock().unwrap().push("puppet finalize".into());
            async { Ok(()) }
        })
}

fn take(log: &Log) -> Vec<String> {
    std::mem::take(&mut *log.lock().unwrap())
}

#[test]
fn reg_11_a_module_that_moves_to_another_language_begins_there_and_ends_here() {
    let (theatre, log) = (Theatre::new(&["main"]), Log::default());
    theatre.set("main", Play::plain().requires(&["m"])).set("m", Play::plain());
    theatre.reload().unwrap();
    theatre.set("m", puppet(&log));
    theatre.reload().unwrap();
    assert_eq!(take(&log), ["puppet init"]);
    native(&theatre, &log, true);
    let error = theatre.reload().unwrap_err();
    assert_eq!(error.code().0, "GR0101", "it is there twice: {error:?}");
    theatre.puppet.remove("m");
    let error = theatre.reload().unwrap_err();
    assert_eq!((error.code().0, error.report.outcome), ("GR0105", Outcome::RolledBack));
    assert_eq!(take(&log), ["native init"]);
    assert_eq!(theatre.call("m", "v").unwrap(), Value::Int(1));
    native(&theatre, &log, false);
    theatre.reload().unwrap();
    assert_eq!(take(&log), ["native init", "puppet finalize"]);
    assert_eq!((theatre.born("m"), theatre.born("main")), (Some(3), Some(3)));
    theatre.engine.natives().remove("m");
    theatre.set("main", Play::plain());
    theatre.reload().unwrap();
    assert_eq!(take(&log), ["native finalize"]);
}

#[test]
fn reg_09_a_finalize_that_fails_hangs_or_panics_is_told_and_the_module_is_gone() {
    let failing: [Finalize; 3] = [
        || Box::pin(async { Err("no".into()) }),
        || Box::pin(std::future::pending()),
        || Box::pin(async { panic!("no") }),
    ];
    for finalize in failing {
        let theatre = Theatre::new(&["main"]);
        theatre.set("main", Play::plain().requires(&["m"]));
        theatre.set("m", Play::new().hook("finalize", move |_| finalize()));
        theatre.reload().unwrap();
        let in_use = theatre.time.block_on(theatre.engine.unregister("m", false)).unwrap_err();
        assert_eq!((in_use.code().0, in_use.report.outcome), ("GR0112", Outcome::Refused));
        let unknown = theatre.time.block_on(theatre.engine.unregister("nobody", true)).unwrap_err();
        assert_eq!(unknown.code().0, "GR0113");
        let report = theatre.time.block_on(theatre.engine.unregister("m", true)).unwrap();
        assert!(report.warnings.iter().any(|w| w.starts_with("finalize of m failed")), "{report:?}");
        assert_eq!((theatre.born("m"), theatre.born("main")), (None, Some(1)));
        assert!(matches!(theatre.call("m", "v"), Err(CallError::NoModule { .. })));
        assert_eq!(theatre.engine.world().gate.leases().len(), 0);
    }
}

#[test]
fn ord_08_a_second_reload_joins_waits_or_is_refused() {
    let theatre = Theatre::new(&["main"]);
    let slow = || {
        let sleep = theatre.sleeper(Duration::from_millis(100));
        Play::plain().stage(move |_| {
            let sleep = sleep();
            async move {
                sleep.await;
                Ok(())
            }
        })
    };
    theatre.set("main", slow());
    theatre.reload().unwrap();
    theatre.set("main", slow());
    let begin = |on_busy| {
        let options = ReloadOptions { on_busy, ..ReloadOptions::default() };
        theatre.time.spawn(theatre.engine.reload(options))
    };
    let first = begin(OnBusy::Wait);
    theatre.time.settle();
    theatre.set("main", slow());
    let (joins, waits, refused) = (begin(OnBusy::Join), begin(OnBusy::Wait), begin(OnBusy::Refuse));
    theatre.time.settle();
    assert_eq!(refused.join().unwrap_err().code().0, "GR0115");
    let (first, joined, waited) = (first.join().unwrap(), joins.join().unwrap(), waits.join().unwrap());
    assert_eq!((first.reload, joined.reload, joined.generation), (2, 2, 2));
    assert_eq!((waited.reload, waited.generation), (3, 3), "it sees the edit made meanwhile");
}

#[test]
fn tx_09_who_joined_keeps_a_reload_alive_whose_first_caller_went_away() {
    let theatre = Theatre::new(&["main"]);
    let sleep = theatre.sleeper(Duration::from_millis(100));
    theatre.set(
        "main",
        Play::plain().stage(move |_| {
            let sleep = sleep();
            async move {
                sleep.await;
                Ok(())
            }
        }),
    );
    let mut first = Box::pin(theatre.engine.reload(ReloadOptions::default()));
    theatre.time.block_on(std::future::poll_fn(|cx| {
        assert!(first.as_mut().poll(cx).is_pending());
        std::task::Poll::Ready(())
    }));
    let options = ReloadOptions { on_busy: OnBusy::Join, ..ReloadOptions::default() };
    let joined = theatre.time.spawn(theatre.engine.reload(options));
    theatre.time.settle();
    drop(first);
    assert_eq!(joined.join().unwrap().outcome, Outcome::Committed);
}

#[test]
fn ord_06_a_plan_is_applied_as_it_is_or_refused() {
    let theatre = Theatre::new(&["main"]);
    theatre.set("main", Play::plain().requires(&["a"])).set("a", Play::plain());
    theatre.reload().unwrap();
    let plan = || theatre.time.block_on(theatre.engine.plan(ReloadOptions::default())).unwrap();
    let apply = |plan: Plan| theatre.reload_with(ReloadOptions { plan: Some(plan), ..Default::default() });
    let empty = plan();
    assert_eq!(apply(empty.clone()).unwrap().outcome, Outcome::Unchanged);
    theatre.set("a", Play::plain());
    assert_eq!(apply(empty).unwrap_err().code().0, "GR0114");
    let made = plan();
    theatre.set("a", Play::plain());
    assert_eq!(apply(made).unwrap_err().code().0, "GR0114", "the same steps from another text");
    let made = plan();
    assert_eq!(apply(made.clone()).unwrap().outcome, Outcome::Committed);
    assert_eq!(apply(made).unwrap_err().code().0, "GR0114", "it was made for the generation before");
}
