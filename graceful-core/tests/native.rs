//! The whole path of one reload, with nothing but native modules.

// The test stands in for a host, which has time and threads.
#![allow(clippy::disallowed_methods)]

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use graceful_core::{
    Clock, Engine, Event, EventKind, HookCx, HookError, Hooks, Lifecycle, Native, NativeCx, Observer,
    Outcome, ReloadOptions, Value,
};

struct Threads(Instant);

impl Clock for Threads {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let (done, ended) = futures_channel::oneshot::channel();
        std::thread::spawn(move || {
            std::thread::sleep(duration.min(Duration::from_secs(1)));
            let _ = done.send(());
        });
        Box::pin(async move { ended.await.unwrap_or_default() })
    }
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        std::thread::spawn(move || block_on(task));
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut cx = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        if let std::task::Poll::Ready(value) = future.as_mut().poll(&mut cx) {
            return value;
        }
        std::thread::park();
    }
}

#[derive(Clone, Default)]
struct Trace(Arc<Mutex<Vec<String>>>);

impl Observer for Trace {
    fn on_event(&self, event: &Event) {
        let line = match &event.kind {
            EventKind::HookRan { module, hook, error, .. } => {
                format!("{module}.{hook}{}", error.as_ref().map(|_| " failed").unwrap_or_default())
            }
            EventKind::Committed { generation } => format!("committed {generation}"),
            EventKind::Undone { module, step, .. } => format!("undone {module} {step}"),
            _ => return,
        };
        self.0.lock().unwrap().push(line);
    }
}

impl Trace {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

struct Hooked {
    cx: NativeCx,
    fail_after: bool,
}

#[async_trait]
impl Lifecycle for Hooked {
    async fn init(&self, _: &HookCx) -> Result<(), HookError> {
        self.cx.state.set("n", 1);
        Ok(())
    }
    async fn before_reload(&self, _: &HookCx) -> Result<(), HookError> {
        self.cx.state.set("n", 100);
        Ok(())
    }
    async fn after_reload(&self, _: &HookCx) -> Result<(), HookError> {
        if self.fail_after { Err("no".into()) } else { Ok(()) }
    }
}

fn counter(
    version: &'static str,
    fail_after: bool,
) -> impl Fn(&NativeCx) -> Result<Native, graceful_core::ScriptError> {
    move |cx| {
        let hooks = Hooks { init: true, before_reload: true, after_reload: true, ..Hooks::default() };
        let state = cx.state.clone();
        Ok(Native::new(version)
            .function("get", move |_| Ok(state.get("n")))
            .value("version", version)
            .lifecycle(hooks, Hooked { cx: cx.clone(), fail_after }))
    }
}

fn web(cx: &NativeCx) -> Result<Native, graceful_core::ScriptError> {
    let cx = cx.clone();
    Ok(Native::plain().async_function("show", move |_| {
        let cx = cx.clone();
        async move { cx.call("counter", "get", vec![]).await }
    }))
}

#[test]
fn reg_11_native_modules_start_reload_and_roll_back() {
    let trace = Trace::default();
    let engine = Engine::builder(Arc::new(Threads(Instant::now())))
        .native("counter", &[], counter("1.0.0", false))
        .native("web", &["counter"], web)
        .entry("web")
        .observer(Arc::new(trace.clone()))
        .build();
    let report = block_on(engine.reload(ReloadOptions::default())).unwrap();
    assert_eq!(report.outcome, Outcome::Committed);
    let order: Vec<_> = report.modules.iter().map(|module| module.module.to_string()).collect();
    assert_eq!(order, ["counter", "web"]);
    assert_eq!(block_on(engine.call("web", "show", vec![])).unwrap(), Value::Int(1));
    assert_eq!(trace.take(), ["counter.init", "committed 1"]);

    assert_eq!(block_on(engine.reload(ReloadOptions::default())).unwrap().outcome, Outcome::Unchanged);

    engine.natives().set("counter", &[], counter("2.0.0", true));
    let error = block_on(engine.reload(ReloadOptions::default())).unwrap_err();
    assert_eq!(error.code().0, "GR0105");
    assert_eq!(error.report.outcome, Outcome::RolledBack);
    assert_eq!(
        trace.take(),
        ["counter.before_reload", "counter.after_reload failed", "undone counter state"]
    );
    assert_eq!(block_on(engine.call("web", "show", vec![])).unwrap(), Value::Int(1));
    assert_eq!(engine.status().generation, 1);

    engine.natives().set("counter", &[], counter("2.0.0", false));
    let plan = block_on(engine.plan(ReloadOptions::default())).unwrap();
    let steps: Vec<_> = plan.steps.iter().map(|step| format!("{} {}", step.module, step.reason)).collect();
    assert_eq!(steps, ["counter changed", "web depends on counter"]);
    block_on(engine.reload(ReloadOptions { plan: Some(plan), ..Default::default() })).unwrap();
    assert_eq!(trace.take(), ["counter.before_reload", "counter.after_reload", "committed 2"]);
    assert_eq!(engine.call_blocking("counter", "get", vec![]).unwrap(), Value::Int(100));
    let status = engine.status();
    assert_eq!(status.generation, 2);
    assert!(status.modules.iter().all(|module| module.generation == 2 && module.held.is_empty()));
    assert_eq!(engine.world().instances().len(), 2);
}
