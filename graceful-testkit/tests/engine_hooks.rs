//! What hooks do, and what is left of it after a failure.

mod puppet;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use graceful_core::*;
use puppet::{Play, Theatre};

type Run = fn(&NativeCx, &HookCx) -> Result<(), HookError>;

struct Hooked(NativeCx, Run);

#[async_trait]
impl Lifecycle for Hooked {
    async fn before_reload(&self, cx: &HookCx) -> Result<(), HookError> {
        (self.1)(&self.0, cx)
    }
    async fn after_reload(&self, cx: &HookCx) -> Result<(), HookError> {
        (self.1)(&self.0, cx)
    }
}

fn native(theatre: &Theatre, top: fn(&State), run: Run) {
    let hooks = Hooks { before_reload: true, after_reload: true, ..Hooks::default() };
    theatre.engine.natives().set("n", &[], move |cx| {
        top(&cx.state);
        let (get, cut) = (cx.state.clone(), cx.state.clone());
        let key = |args: Vec<Value>| args[0].as_str().unwrap().to_owned();
        Ok(Native::new("1.0.0")
            .function("get", move |args| Ok(get.get(&key(args))))
            .function("panic", move |args| Ok(cut.update(&key(args), |_| panic!("no"))))
            .lifecycle(hooks, Hooked(cx.clone(), run)))
    });
}

fn get(theatre: &Theatre, key: &str) -> Value {
    theatre.time.block_on(theatre.engine.call("n", "get", vec![key.into()])).unwrap()
}

use graceful_core::native::State;

#[test]
fn st_06_hooks_of_new_code_see_what_its_top_level_put_in_the_state_and_have_the_last_word() {
    let theatre = Theatre::new(&["n"]);
    native(&theatre, |_| {}, |_, _| Ok(()));
    theatre.reload().unwrap();
    native(
        &theatre,
        |state| state.set("cache", 1),
        |n, cx| {
            let seen = n.state.get("cache");
            match cx.hook {
                Hook::AfterReload if seen != Value::Int(1) => {
                    Err(format!("after_reload saw {seen:?}").into())
                }
                Hook::AfterReload => {
                    n.state.set("cache", 2);
                    n.state.update("cache", |old| Value::Int(old.as_int().unwrap() + 1));
                    Ok(())
                }
                _ => Ok(()),
            }
        },
    );
    theatre.reload().unwrap();
    assert_eq!(get(&theatre, "cache"), Value::Int(3));
}

#[test]
fn tx_09_a_panic_inside_of_a_change_of_the_state_is_a_failed_hook_and_the_state_is_as_before() {
    let theatre = Theatre::new(&["n"]);
    native(&theatre, |state| state.set("k", 1), |_, _| Ok(()));
    theatre.reload().unwrap();
    native(
        &theatre,
        |_| {},
        |n, cx| {
            if cx.hook == Hook::AfterReload {
                n.state.update("k", |_| panic!("half-way"));
            }
            Ok(())
        },
    );
    let error = theatre.reload().unwrap_err();
    assert_eq!((error.code().0, error.report.outcome), ("GR0105", Outcome::RolledBack), "{error:?}");
    assert_eq!(get(&theatre, "k"), Value::Int(1));
}

struct Task(Arc<AtomicU64>);

#[async_trait]
impl Resource for Task {
    fn kind(&self) -> &'static str {
        "task"
    }
    fn key(&self) -> String {
        "t".into()
    }
    fn id(&self) -> u64 {
        77
    }
    fn activate(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
    async fn release(&self) -> Result<(), HookError> {
        self.0.fetch_add(100, Ordering::SeqCst);
        Ok(())
    }
}

#[async_trait]
impl Callable for Task {
    async fn call(&self, _: Vec<Value>) -> Result<Value, CallError> {
        Ok(Value::Null)
    }
}

#[test]
fn tx_05_what_a_hook_starts_under_a_live_module_starts_at_the_commit_or_leaves_no_trace() {
    let theatre = Theatre::new(&["main", "other"]);
    theatre.set("main", Play::new()).set("other", Play::plain());
    theatre.reload().unwrap();
    let count = Arc::new(AtomicU64::new(0));
    let world = theatre.engine.world().clone();
    let play = |fails: bool| {
        let (count, world) = (count.clone(), world.clone());
        Play::new().hook("after_reload", move |_| {
            let scope = world.live("other").unwrap().scope.clone();
            scope.add(Arc::new(Task(count.clone()))).unwrap();
            scope.register("route", "GET /", Arc::new(Task(count.clone()))).unwrap();
            async move { if fails { Err("no".into()) } else { Ok(()) } }
        })
    };
    let seen = || {
        let scope = theatre.engine.world().live("other").unwrap().scope.clone();
        let routes = theatre.engine.world().table.snapshot().len();
        (scope.resources().len(), routes, scope.registrations().len(), count.load(Ordering::SeqCst))
    };
    theatre.set("main", play(true));
    theatre.reload().unwrap_err();
    assert_eq!(seen(), (0, 0, 0, 0));
    theatre.set("main", play(false));
    theatre.reload().unwrap();
    assert_eq!(seen(), (1, 1, 1, 1));
}

#[test]
fn tx_05_a_route_that_a_hook_takes_away_is_there_after_a_failure_and_can_be_taken_away_later() {
    let theatre = Theatre::new(&["main"]);
    let count = Arc::new(AtomicU64::new(0));
    let world = theatre.engine.world().clone();
    let (offered, live) = (count.clone(), world.clone());
    let play = Play::new()
        .stage(move |cx| {
            cx.instance.scope.register("route", "GET /", Arc::new(Task(offered.clone()))).unwrap();
            async { Ok(()) }
        })
        .hook("before_reload", move |_| {
            live.live("main").unwrap().scope.unregister("route", "GET /");
            async { Ok(()) }
        });
    theatre.set("main", play);
    theatre.reload().unwrap();
    theatre.set("main", Play::new().hook("after_reload", |_| async { Err("no".into()) }));
    theatre.reload().unwrap_err();
    assert_eq!(world.table.snapshot().len(), 1);
    world.live("main").unwrap().scope.unregister("route", "GET /");
    assert_eq!(world.table.snapshot().len(), 0);
}

#[test]
fn tx_01_an_effect_that_panics_at_the_commit_fails_nothing() {
    let theatre = Theatre::new(&["main"]);
    let count = Arc::new(AtomicU64::new(0));
    let after = count.clone();
    theatre.set(
        "main",
        Play::plain().stage(move |cx| {
            cx.instance.scope.defer(|| panic!("an effect"));
            cx.instance.scope.add(Arc::new(Task(after.clone()))).unwrap();
            async { Ok(()) }
        }),
    );
    let report = theatre.reload().unwrap();
    assert_eq!(report.outcome, Outcome::Committed);
    assert!(report.warnings.iter().any(|warning| warning.contains("an effect")), "{report:?}");
    assert_eq!(count.load(Ordering::SeqCst), 1, "what comes after it takes effect");
}
