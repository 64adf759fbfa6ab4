//! SHUT: the end of an engine. And HOOK-06, as far as it is about that.

use std::time::Duration;

use graceful_core::status::EngineState;
use graceful_core::{Limits, ReloadOptions, ShutdownOptions, ShutdownReport};

use super::in_order;
use crate::op::*;
use crate::{App, Script, Subject};

const SHORT: Duration = Duration::from_millis(400);

fn short() -> ShutdownOptions {
    ShutdownOptions { drain: Some(SHORT), finalize: Some(SHORT), ..ShutdownOptions::default() }
}

fn end(app: &App) -> ShutdownReport {
    app.time().block_on(app.engine().shutdown(short()))
}

fn noted(name: &str) -> Script {
    Script::new(name).init([note(format!("init {name}"))]).finalize([note(format!("finalize {name}"))])
}

/// What of a report went wrong, in words, without the texts of errors.
fn wrong(report: &ShutdownReport) -> Vec<String> {
    let module = |module: &Option<graceful_core::Name>| module.as_ref().map(ToString::to_string);
    report
        .failed
        .iter()
        .map(|left| [module(&left.module).unwrap_or_default(), left.what.clone()].join(" "))
        .collect()
}

/// SHUT-01: calls and reloads that come later fail with codes of their own.
pub fn shut_01_nothing_new_is_let_in<S: Subject>() {
    let web = Script::plain("web").function("look", [ret("seen")]);
    let app = App::of::<S>().module(web.clone()).start();
    assert_eq!(app.ask("web", "look"), "seen".into());
    let report = end(&app);
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(app.status().state, EngineState::Stopped);
    assert_eq!(app.call("web", "look").unwrap_err().code().0, "GR0207");
    let blocking = app.engine().call_blocking("web", "look", Vec::new()).unwrap_err();
    assert_eq!(blocking.code().0, "GR0207");
    app.edit(web.comment("again"));
    assert_eq!(app.must_fail().code().0, "GR0119");
    assert_eq!(app.reload_with(ReloadOptions::default()).unwrap_err().code().0, "GR0119");
}

/// SHUT-01: a call in flight ends before its module is finalized.
pub fn shut_01_calls_in_flight_end_first<S: Subject>() {
    needs!(S: hooks, waits);
    let web = noted("web").function("slow", [note("in"), wait("go"), note("out"), ret("done")]);
    let app = App::of::<S>().module(web).start();
    let call = app.begin_call("web", "slow");
    app.until_noted("in");
    let options = ShutdownOptions { drain: Some(Duration::from_secs(20)), ..short() };
    let ending = app.time().spawn(app.engine().shutdown(options));
    app.until("stopping", || app.status().state == EngineState::Stopping);
    app.time().settle();
    assert!(!ending.is_done());
    app.open("go");
    assert_eq!(call.join(), Ok("done".into()));
    assert!(ending.join().is_clean());
    assert_eq!(app.take_notes(), ["init web", "in", "out", "finalize web"]);
}

/// SHUT-01: one that outlasts the drain is cancelled and told so, and the report counts it.
pub fn shut_01_a_call_that_outlasts_the_drain_is_cancelled<S: Subject>() {
    needs!(S: hooks, waits);
    let web = noted("web").function("slow", [note("in"), wait("never"), note("out")]);
    let app = App::of::<S>().module(web).start();
    let call = app.begin_call("web", "slow");
    app.until_noted("in");
    let report = end(&app);
    assert_eq!((report.cancelled, report.is_clean()), (1, false));
    assert_eq!(wrong(&report), [""; 0]);
    assert_eq!(call.join().unwrap_err().code().0, "GR0205");
    assert_eq!(app.take_notes(), ["init web", "in", "finalize web"]);
}

/// SHUT-01: also one that never yields again.
pub fn shut_01_a_call_that_spins_is_cancelled<S: Subject>() {
    needs!(S: hooks, stops_loops);
    if !S::clock().is_real() {
        // On one thread nobody could ask for the shutdown meanwhile.
        return;
    }
    let web = noted("web").function("spin", [note("in"), Op::Spin]);
    let app = App::of::<S>().module(web).start();
    let call = app.begin_call("web", "spin");
    app.until_noted("in");
    let report = end(&app);
    assert_eq!((report.cancelled, wrong(&report)), (1, Vec::new()));
    assert_eq!(call.join().unwrap_err().code().0, "GR0205");
    assert_eq!(app.take_notes(), ["init web", "in", "finalize web"]);
}

/// SHUT-01: dependents first, by the live graph.
pub fn shut_01_modules_are_finalized_dependents_first<S: Subject>() {
    needs!(S: hooks);
    let cache = noted("cache").requires("db");
    let web = noted("web").requires("cache").requires("db");
    let app = App::of::<S>().module(web).module(cache).module(noted("db")).start();
    app.edit(noted("db").requires("disk"));
    app.edit(noted("disk"));
    app.must_reload();
    app.take_notes();
    let report = end(&app);
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(app.take_notes(), ["finalize web", "finalize cache", "finalize db", "finalize disk"]);
    let finalized: Vec<_> = report.finalized.iter().map(|name| name.as_str()).collect();
    assert_eq!(finalized, ["web", "cache", "db", "disk"]);
}

/// SHUT-01: a hook that fails does not keep the others from running, and the report names it.
pub fn shut_01_everything_is_attempted_past_errors<S: Subject>() {
    needs!(S: hooks);
    let web = Script::new("web").requires("db").init([]).finalize([throw("no")]);
    let app = App::of::<S>().module(web).module(noted("db")).start();
    let report = end(&app);
    assert!(!report.is_clean());
    assert_eq!(wrong(&report), ["web finalize"]);
    assert!(report.failed[0].error.contains("no"), "{report:?}");
    assert_eq!(app.take_notes(), ["init db", "finalize db"]);
}

fn outlives<S: Subject>(ops: Vec<Op>) {
    let web = Script::new("web").requires("db").init([]).finalize(ops);
    let app = App::of::<S>().module(web).module(noted("db")).start();
    let report = end(&app);
    assert_eq!(wrong(&report), ["web finalize"]);
    assert_eq!(app.take_notes(), ["init db", "finalize db"]);
}

/// SHUT-01: nor does one that hangs.
pub fn shut_01_a_finalize_that_hangs_has_a_deadline<S: Subject>() {
    needs!(S: hooks, waits);
    outlives::<S>(vec![sleep(60_000)]);
}

/// SHUT-01: nor one that spins, also where it swallows what stops it.
pub fn shut_01_a_finalize_that_spins_has_a_deadline<S: Subject>() {
    needs!(S: hooks, stops_loops);
    outlives::<S>(vec![Op::Spin]);
    outlives::<S>(vec![attempt([Op::Spin])]);
}

/// SHUT-01: what a module owns is released, after its `finalize`: tasks end, routes are gone.
pub fn shut_01_what_modules_own_is_released<S: Subject>() {
    needs!(S: hooks, tasks, routes);
    let hits = noted("hits").top([spawn_loop([inc("n"), sleep(1)])]).route("GET /n", [ret(state("n"))]);
    let app = App::of::<S>().module(hits).start();
    let scope = app.engine().world().live("hits").unwrap().scope.clone();
    let tasks = scope.resources();
    assert_eq!(scope.count("task"), 1);
    app.trace().clear();
    let report = end(&app);
    assert!(report.is_clean(), "{report:?}");
    assert!(tasks.iter().all(|task| task.is_done()), "a task outlived the shutdown");
    assert!(app.engine().world().table.snapshot().is_empty());
    assert_eq!(scope.resources().len(), 0);
    let text = app.trace().text();
    in_order(&text, &["shutdown", "drained", "- finalize hits", "released hits task", "shut down"]);
}

/// SHUT-01: a task that keeps its language is stopped before anything is finalized.
pub fn shut_01_a_task_that_spins_is_cancelled<S: Subject>() {
    needs!(S: hooks, tasks, stops_loops);
    if !S::clock().is_real() {
        return;
    }
    let hits = noted("hits").top([spawn([note("in"), Op::Spin])]);
    let app = App::of::<S>().module(hits).start();
    app.until_noted("in");
    let report = end(&app);
    assert_eq!(wrong(&report), [""; 0], "{report:?}");
    let notes = app.take_notes();
    assert!(notes.contains(&"finalize hits".to_owned()), "{notes:?}");
}

/// SHUT-01: a second one joins the first.
pub fn shut_01_a_second_shutdown_joins_the_first<S: Subject>() {
    needs!(S: hooks, waits);
    let app = App::of::<S>().module(noted("web").finalize([note("finalize"), wait("go")])).start();
    let options = ShutdownOptions { finalize: Some(Duration::from_secs(20)), ..short() };
    let first = app.time().spawn(app.engine().shutdown(options));
    app.until_noted("finalize");
    let second = app.time().spawn(app.engine().shutdown(short()));
    app.time().settle();
    assert!(!first.is_done() && !second.is_done());
    app.open("go");
    assert_eq!(first.join(), second.join());
    assert_eq!(app.take_notes(), ["init web", "finalize"]);
    assert_eq!(end(&app).finalized.len(), 1, "nor does a third one begin anew");
}

/// SHUT-01: an engine that was never started has nothing to finalize.
pub fn shut_01_an_engine_that_never_started_is_shut_down<S: Subject>() {
    let app = App::of::<S>().module(Script::plain("web")).build();
    assert!(end(&app).is_clean());
    assert_eq!(app.must_fail().code().0, "GR0119");
}

fn limits() -> Limits {
    let ms = Duration::from_millis;
    Limits { hook: ms(2000), exclusive: ms(4000), ..Limits::default() }
}

/// SHUT-02: a reload in the middle of its hooks is rolled back; then the old code is finalized.
pub fn shut_02_a_running_reload_is_rolled_back_first<S: Subject>() {
    needs!(S: hooks, waits);
    let hits = |tag: &str| {
        Script::new("hits")
            .init([set("n", 1)])
            .finalize([note(list([format!("finalize {tag}").into(), state("n")]))])
    };
    let new = Script::new("new").init([note("init new")]).finalize([note("finalize new")]);
    let app = App::of::<S>().module(hits("old")).limits(limits()).start();
    app.edit(new);
    app.edit(hits("new").requires("new").after_reload([set("n", 2), note("in"), sleep(60_000)]));
    let reload = app.begin_reload();
    app.until_noted("in");
    let report = end(&app);
    assert!(report.is_clean(), "{report:?}");
    let error = reload.join().unwrap_err();
    assert_eq!((error.kind.code().0, error.is_stuck()), ("GR0119", false));
    assert_eq!(app.take_notes(), ["init new", "in", "finalize new", "finalize old 1"]);
}

/// SHUT-02: one that is still being staged leaves no trace.
pub fn shut_02_a_reload_that_is_staging_is_dropped_first<S: Subject>() {
    needs!(S: hooks, waits, waits_at_load);
    let app = App::of::<S>().module(noted("hits")).limits(limits()).start();
    app.edit(noted("hits").top([note("top"), sleep(60_000)]));
    let reload = app.begin_reload();
    app.until_noted("top");
    assert!(end(&app).is_clean());
    assert_eq!(reload.join().unwrap_err().code().0, "GR0119");
    assert_eq!(app.take_notes(), ["init hits", "top", "finalize hits"]);
}

/// SHUT-02: one that has committed ends first, and what is live then is finalized.
pub fn shut_02_a_reload_that_has_committed_is_completed_first<S: Subject>() {
    needs!(S: hooks, plain, waits);
    let gone = Script::new("gone").init([]).finalize([note("in"), sleep(50), note("finalize gone")]);
    let app = App::of::<S>().module(noted("hits").requires("gone")).module(gone).start();
    app.edit(noted("hits"));
    app.remove("gone");
    app.take_notes();
    let reload = app.begin_reload();
    app.until_noted("in");
    let report = end(&app);
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(report.generation, 2);
    assert_eq!(reload.join().unwrap().generation, 2);
    assert_eq!(app.take_notes(), ["in", "finalize gone", "finalize hits"]);
}

/// SHUT-02: a start that is shut down undoes its `init`s.
pub fn shut_02_a_start_is_undone<S: Subject>() {
    needs!(S: hooks, waits, waits_at_load);
    let app = App::of::<S>()
        .module(Script::plain("web").requires("db").top([note("top"), sleep(60_000)]))
        .module(noted("db"));
    let app = app.limits(limits()).build();
    let start = app.begin_reload();
    app.until_noted("top");
    assert!(end(&app).is_clean());
    assert_eq!(start.join().unwrap_err().code().0, "GR0119");
    assert_eq!(app.take_notes(), ["init db", "top", "finalize db"]);
}

/// HOOK-06: once at the shutdown, after any number of reloads, and never again.
pub fn hook_06_finalize_runs_once_at_the_shutdown<S: Subject>() {
    needs!(S: hooks);
    let app = App::of::<S>().module(noted("hits")).start();
    for n in 0..3 {
        app.edit(noted("hits").comment(&n.to_string()));
        app.must_reload();
    }
    end(&app);
    end(&app);
    assert_eq!(app.take_notes(), ["init hits", "finalize hits"]);
}

/// HOOK-06: not at the shutdown where it ran before.
pub fn hook_06_what_was_unregistered_is_not_finalized_again<S: Subject>() {
    needs!(S: hooks);
    let app = App::of::<S>().module(noted("hits")).start();
    app.unregister("hits", false).unwrap();
    let report = end(&app);
    assert_eq!(report.finalized, []);
    assert_eq!(app.take_notes(), ["init hits", "finalize hits"]);
}
