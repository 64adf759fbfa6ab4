//! The end of an engine, where modules written in Rust do what no language lets its scripts do.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use graceful_core::lifecycle::HookResult;
use graceful_core::*;
use graceful_testkit::op::{note, ret, set, sleep, state};
use graceful_testkit::{App, FakeSubject, Script, TokioClock};

/// How it ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Well,
    Panics,
    KeepsItsThread,
}

const LONG: Duration = Duration::from_secs(4);

fn ends(how: End) {
    match how {
        End::Well => {}
        End::Panics => panic!("not today"),
        End::KeepsItsThread => std::thread::sleep(LONG),
    }
}

type Said = Arc<Mutex<Vec<String>>>;

struct Ending(String, End, Said);

#[async_trait]
impl Lifecycle for Ending {
    async fn finalize(&self, _: &HookCx) -> HookResult {
        self.2.lock().unwrap().push(self.0.clone());
        ends(self.1);
        Ok(())
    }
}

/// Something owned.
struct Thing(End);

#[async_trait]
impl Resource for Thing {
    fn kind(&self) -> &'static str {
        "thing"
    }
    fn key(&self) -> String {
        format!("{:?}", self.0)
    }
    fn id(&self) -> u64 {
        self.0 as u64
    }
    fn activate(&self) {}
    async fn release(&self) -> Result<(), HookError> {
        ends(self.0);
        Ok(())
    }
}

fn module(
    name: &'static str,
    how: End,
    said: &Said,
) -> impl Fn(&NativeCx) -> Result<Native, ScriptError> + use<> {
    let said = said.clone();
    move |_| {
        let hooks = Hooks { init: true, finalize: true, ..Hooks::default() };
        Ok(Native::new("1.0.0").lifecycle(hooks, Ending(name.into(), how, said.clone())))
    }
}

fn short() -> ShutdownOptions {
    let most = Some(Duration::from_millis(150));
    ShutdownOptions { drain: most, finalize: most, reload: None }
}

#[test]
fn shut_01_a_finalize_that_panics_or_keeps_its_thread_holds_up_no_other() {
    let (clock, said) = (TokioClock::new(), Said::default());
    let engine = Engine::builder(clock.clone())
        .native("low", &[], module("low", End::Well, &said))
        .native("keeps", &["low"], module("keeps", End::KeepsItsThread, &said))
        .native("panics", &["keeps"], module("panics", End::Panics, &said))
        .native("top", &["panics"], module("top", End::Well, &said))
        .entry("top")
        .build();
    clock.block_on(engine.reload(ReloadOptions::default())).unwrap();
    let began = Instant::now();
    let report = clock.block_on(engine.shutdown(short()));
    assert!(began.elapsed() < LONG, "{:?}", began.elapsed());
    assert_eq!(*said.lock().unwrap(), ["top", "panics", "keeps", "low"]);
    let failed: Vec<String> = report.failed.iter().map(ToString::to_string).collect();
    assert_eq!(failed.len(), 2, "{failed:?}");
    assert_eq!(failed[0], "finalize of panics: native code panicked: not today");
    assert!(failed[1].starts_with("finalize of keeps: it keeps its thread"), "{failed:?}");
    assert_eq!(report.finalized, [Name::from("top"), Name::from("low")]);
    assert!(!report.is_clean());
}

#[test]
fn shut_01_a_release_that_panics_or_keeps_its_thread_holds_up_no_other() {
    let (clock, said) = (TokioClock::new(), Said::default());
    let low = module("low", End::Well, &said);
    let engine = Engine::builder(clock.clone()).native("low", &[], low).entry("low").build();
    clock.block_on(engine.reload(ReloadOptions::default())).unwrap();
    let scope = engine.world().live("low").unwrap().scope.clone();
    [End::Panics, End::KeepsItsThread, End::Well]
        .into_iter()
        .for_each(|how| scope.add(Arc::new(Thing(how))).unwrap());
    let began = Instant::now();
    let report = clock.block_on(engine.shutdown(short()));
    assert!(began.elapsed() < LONG, "{:?}", began.elapsed());
    let mut failed: Vec<String> = report.failed.iter().map(|left| left.what.clone()).collect();
    failed.sort();
    assert_eq!(failed, ["thing KeepsItsThread", "thing Panics"]);
    assert_eq!(scope.resources().len(), 0);
}

#[test]
fn shut_01_a_shutdown_that_nobody_waits_for_goes_on() {
    let (clock, said) = (TokioClock::new(), Said::default());
    let engine =
        Engine::builder(clock.clone()).native("low", &[], module("low", End::Well, &said)).entry("low");
    let engine = engine.build();
    clock.block_on(engine.reload(ReloadOptions::default())).unwrap();
    drop(engine.shutdown(short()));
    let began = Instant::now();
    while engine.status().state != status::EngineState::Stopped {
        assert!(began.elapsed() < LONG, "{:?}", engine.status());
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(*said.lock().unwrap(), ["low"]);
}

#[test]
fn shut_01_a_call_that_waits_at_a_gate_is_told() {
    let (clock, said) = (TokioClock::new(), Said::default());
    let native = |said: &Said| {
        let said = said.clone();
        move |_: &NativeCx| {
            let hooks = Hooks { after_reload: true, ..Hooks::default() };
            Ok(Native::new("1.0.0")
                .function("look", |_| Ok(Value::Null))
                .lifecycle(hooks, Hanging(said.clone())))
        }
    };
    let engine = Engine::builder(clock.clone()).native("low", &[], native(&said)).entry("low").build();
    clock.block_on(engine.reload(ReloadOptions::default())).unwrap();
    engine.natives().set("low", &[], native(&said));
    let reload = engine.reload(ReloadOptions::default());
    let (sender, ended) = std::sync::mpsc::channel();
    clock.spawn(Box::pin(async move { drop(sender.send(reload.await)) }));
    let began = Instant::now();
    while said.lock().unwrap().is_empty() {
        assert!(began.elapsed() < LONG);
        std::thread::sleep(Duration::from_millis(5));
    }
    let (asking, handle) = (clock.clone(), engine.handle("low", "look"));
    let call = std::thread::spawn(move || asking.block_on(handle.call(Vec::new())));
    while engine.status().modules.iter().all(|module| module.waiting == 0) {
        assert!(began.elapsed() < LONG);
        std::thread::sleep(Duration::from_millis(5));
    }
    let report = clock.block_on(engine.shutdown(short()));
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(call.join().unwrap(), Err(CallError::Stopped));
    assert_eq!(ended.recv_timeout(LONG).unwrap().unwrap_err().code().0, "GR0119");
}

/// Its `after_reload` waits for ever.
struct Hanging(Said);

#[async_trait]
impl Lifecycle for Hanging {
    async fn after_reload(&self, _: &HookCx) -> HookResult {
        self.0.lock().unwrap().push("in".into());
        std::future::pending().await
    }
}

/// A reload that waits at every place: one module is replaced, one comes, one goes.
fn eventful() -> App {
    let noted = |name: &str| {
        let init = [sleep(3), note(format!("init {name}"))];
        Script::new(name).init(init).finalize([sleep(3), note(format!("finalize {name}"))])
    };
    let web = || noted("web").before_reload([sleep(3)]).after_reload([sleep(3), set("n", 2)]);
    let app = App::of::<FakeSubject>().module(web().requires("gone").function("n", [ret(state("n"))]));
    let app = app.module(noted("gone")).start();
    app.edit(web().requires("new").top([sleep(3)]).function("n", [ret(state("n"))]));
    app.edit(noted("new").top([sleep(3)]));
    app.remove("gone");
    app
}

#[test]
fn shut_02_at_any_moment_of_a_reload_each_init_has_one_finalize() {
    let mut outcomes = std::collections::BTreeSet::new();
    for moment in 0..40 {
        let app = eventful();
        let reload = app.begin_reload();
        app.time().pass(Duration::from_millis(moment));
        let report = app.time().block_on(app.engine().shutdown(ShutdownOptions::default()));
        assert!(report.is_clean(), "at {moment} ms: {report:?}");
        let reloaded = reload.join();
        outcomes
            .insert(reloaded.as_ref().map_or_else(|error| error.code().0, |report| report.outcome.as_str()));
        let notes = app.trace().notes();
        for name in ["web", "gone", "new"] {
            let count = |what: &str| notes.iter().filter(|note| **note == format!("{what} {name}")).count();
            assert_eq!(count("init"), count("finalize"), "{name} at {moment} ms: {notes:?}");
            assert!(count("init") <= 1, "{name} at {moment} ms: {notes:?}");
        }
        assert_eq!(app.engine().world().gate.leases().len(), 0, "at {moment} ms");
        // What left in a reload that committed was finalized by it, and not once more.
        let gone_first = notes.iter().position(|note| note == "finalize gone")
            < notes.iter().position(|note| note == "finalize web");
        assert_eq!(gone_first, reloaded.is_ok(), "at {moment} ms: {notes:?}");
    }
    assert_eq!(
        outcomes.into_iter().collect::<Vec<_>>(),
        ["GR0119", "committed"],
        "moments of both kinds are in it"
    );
}
