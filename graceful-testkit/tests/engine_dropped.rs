//! A reload that is dropped half-way, at every place where it waits.

mod puppet;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::{Either, select};
use graceful_core::*;
use graceful_testkit::{ClockKind, Time, Trace};
use puppet::{Play, Puppet, Script};

struct Stage {
    time: Time,
    puppet: Arc<Puppet>,
    engine: Engine,
    trace: Arc<Trace>,
    value: Arc<AtomicI64>,
    inits: Arc<AtomicI64>,
}

impl Stage {
    fn new(kind: ClockKind) -> Self {
        let (time, puppet, trace) = (Time::new(kind), Puppet::new(), Trace::new());
        let engine = Engine::builder(time.clock())
            .backend(puppet.clone())
            .sources(Arc::new(Script(puppet.clone())))
            .observer(trace.clone())
            .entry("main")
            .build();
        Self { time, puppet, engine, trace, value: Arc::default(), inits: Arc::default() }
    }

    fn sleep(&self) -> impl Fn() -> puppet::Work<()> + Clone + Send + Sync + 'static {
        let clock = self.time.clock();
        move || clock.sleep(Duration::from_millis(10))
    }

    /// A module whose state is one number, changed and restored by hooks that wait on the way.
    fn counter(&self, version: &'static str, step: i64) -> Play {
        let (value, copy) = (self.value.clone(), Arc::new(AtomicI64::new(0)));
        let hook = |to: i64| {
            let (value, sleep) = (value.clone(), self.sleep());
            move |_| {
                let (value, sleep) = (value.clone(), sleep.clone());
                async move {
                    value.fetch_add(to, Ordering::SeqCst);
                    sleep().await;
                    value.fetch_add(to, Ordering::SeqCst);
                    Ok(())
                }
            }
        };
        let (now, kept, back) = (value.clone(), copy.clone(), value.clone());
        let (sleep, read) = (self.sleep(), value.clone());
        Play::new()
            .version(version)
            .stage(move |_| {
                let sleep = sleep.clone();
                async move {
                    sleep().await;
                    Ok(())
                }
            })
            .hook("before_reload", hook(step))
            .hook("after_reload", hook(step * 10))
            .checkpoint(move || {
                kept.store(now.load(Ordering::SeqCst), Ordering::SeqCst);
                Ok(())
            })
            .restore(move || {
                back.store(copy.load(Ordering::SeqCst), Ordering::SeqCst);
                Ok(())
            })
            .function("get", move |_| {
                let now = read.load(Ordering::SeqCst);
                async move { Ok(Value::Int(now)) }
            })
    }

    fn fresh(&self) -> Play {
        let (up, down) = (self.inits.clone(), self.inits.clone());
        let sleep = self.sleep();
        Play::new()
            .hook("init", move |_| {
                let (up, sleep) = (up.clone(), sleep.clone());
                async move {
                    sleep().await;
                    up.fetch_add(1, Ordering::SeqCst);
                    Ok(())
                }
            })
            .hook("finalize", move |_| {
                down.fetch_add(-1, Ordering::SeqCst);
                async { Ok(()) }
            })
    }

    fn reload(&self) -> Result<Report, ReloadError> {
        self.time.block_on(self.engine.reload(ReloadOptions::default()))
    }

    /// Drops a reload after `wait`; whether it ended by itself before that.
    fn drop_after(&self, wait: Duration) -> bool {
        let (reload, late) = (self.engine.reload(ReloadOptions::default()), self.time.clock().sleep(wait));
        self.time.block_on(async { matches!(select(reload, late).await, Either::Left(_)) })
    }
}

/// Between two places where it waits: every step here takes ten milliseconds.
fn moment(n: u64) -> Duration {
    Duration::from_millis(10 * n + 5)
}

#[test]
fn tx_09_a_reload_dropped_at_any_wait_is_undone_before_the_next_call() {
    let mut places = 0;
    for n in 0.. {
        let stage = Stage::new(ClockKind::Manual);
        stage.puppet.set("main", Play::plain().requires(&["a"]));
        stage.puppet.set("a", stage.counter("1.0.0", 1));
        stage.reload().unwrap();
        stage.puppet.set("main", Play::plain().requires(&["a", "b", "c"]));
        stage.puppet.set("a", stage.counter("2.0.0", 1));
        stage.puppet.set("b", stage.fresh());
        stage.puppet.set("c", stage.fresh());
        let ended = stage.drop_after(moment(n));
        let seen = stage.time.block_on(stage.engine.call("a", "get", vec![])).unwrap();
        if ended || stage.engine.status().generation == 2 {
            assert_eq!(seen, Value::Int(22));
            break;
        }
        places += 1;
        assert_eq!(seen, Value::Int(0), "dropped at moment {n}\n{}", stage.trace.text());
        stage.time.settle();
        assert_eq!(stage.inits.load(Ordering::SeqCst), 0, "dropped at moment {n}");
        stage.reload().unwrap();
        let seen = stage.time.block_on(stage.engine.call("a", "get", vec![])).unwrap();
        assert_eq!((seen, stage.inits.load(Ordering::SeqCst)), (Value::Int(22), 2));
        assert_eq!(stage.engine.world().gate.leases().len(), 0);
    }
    assert!(places >= 5, "only {places} places to drop it at");
}

#[test]
fn tx_09_a_dropped_start_finalizes_what_was_initialised_while_it_registered() {
    struct Counted(Arc<AtomicI64>);
    #[async_trait]
    impl Lifecycle for Counted {
        async fn init(&self, _: &HookCx) -> Result<(), HookError> {
            self.0.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
        async fn finalize(&self, _: &HookCx) -> Result<(), HookError> {
            self.0.fetch_add(-1, Ordering::SeqCst);
            Ok(())
        }
    }
    let stage = Stage::new(ClockKind::Manual);
    let inits = stage.inits.clone();
    let hooks = Hooks { init: true, finalize: true, ..Hooks::default() };
    stage
        .engine
        .natives()
        .set("base", &[], move |_| Ok(Native::new("1.0.0").lifecycle(hooks, Counted(inits.clone()))));
    stage.puppet.set("main", stage.counter("1.0.0", 1).requires(&["base"]));
    assert!(!stage.drop_after(moment(0)));
    stage.puppet.set("main", Play::plain().requires(&["base"]));
    stage.reload().unwrap();
    assert_eq!(stage.inits.load(Ordering::SeqCst), 1);
}

#[test]
fn tx_09_after_a_drop_nothing_has_to_come_for_the_undo() {
    let stage = Stage::new(ClockKind::Manual);
    stage.puppet.set("main", stage.counter("1.0.0", 1));
    stage.reload().unwrap();
    stage.puppet.set("main", stage.counter("2.0.0", 1));
    let shut =
        (0..).find(|n| !stage.drop_after(moment(*n)) && stage.engine.world().gate.is_frozen(&"main".into()));
    assert!(shut.is_some());
    let world = stage.engine.world().clone();
    let settled = stage.time.spawn(async move { world.settled(&"main".into()).await });
    stage.time.settle();
    assert!(settled.is_done(), "a require that waits for the end of the reload waits for ever");
    assert!(!stage.engine.world().gate.is_frozen(&"main".into()), "its tasks stay frozen");
}

#[test]
fn tx_09_a_blocking_call_comes_through_after_a_drop() {
    let stage = Stage::new(ClockKind::Tokio);
    stage.puppet.set("main", stage.counter("1.0.0", 1));
    stage.reload().unwrap();
    let sleep = stage.time.clock();
    stage.puppet.set(
        "main",
        stage.counter("2.0.0", 1).hook("after_reload", move |_| {
            let sleep = sleep.sleep(Duration::from_secs(60));
            async move {
                sleep.await;
                Ok(())
            }
        }),
    );
    let reload = stage.engine.reload(ReloadOptions::default());
    let limit = stage.time.clock().sleep(Duration::from_millis(300));
    stage.time.block_on(async { drop(futures_util::future::select(reload, limit).await) });
    let called = stage.engine.call_blocking("main", "get", vec![]);
    assert!(!matches!(called, Err(CallError::GateTimeout { .. })), "{called:?}");
}

/// A task that notes its release.
struct Noted(Arc<Mutex<Vec<&'static str>>>);

#[async_trait]
impl Resource for Noted {
    fn kind(&self) -> &'static str {
        "task"
    }
    fn key(&self) -> String {
        "noted".into()
    }
    fn id(&self) -> u64 {
        u64::MAX - 1
    }
    fn activate(&self) {}
    async fn release(&self) -> Result<(), HookError> {
        self.0.lock().unwrap().push("released");
        Ok(())
    }
}

#[test]
fn tx_09_a_reload_dropped_after_its_commit_still_retires_what_it_replaced() {
    let stage = Stage::new(ClockKind::Manual);
    let log: Arc<Mutex<Vec<&'static str>>> = Arc::default();
    let (sleep, noted) = (stage.sleep(), log.clone());
    stage.puppet.set("main", Play::plain().requires(&["gone"]));
    stage.puppet.set(
        "gone",
        Play::new()
            .stage(move |cx| {
                cx.instance.scope.add(Arc::new(Noted(noted.clone()))).unwrap();
                async { Ok(()) }
            })
            .hook("finalize", move |_| {
                let wait = sleep();
                async move {
                    wait.await;
                    Ok(())
                }
            }),
    );
    stage.reload().unwrap();
    stage.puppet.set("main", Play::plain());
    assert!(!stage.drop_after(moment(0)), "it waits in finalize");
    assert_eq!(stage.engine.status().generation, 2);
    stage.time.pass(Duration::from_secs(1));
    assert_eq!(*log.lock().unwrap(), ["released"]);
    assert_eq!(stage.engine.status().state, status::EngineState::Idle);
}
