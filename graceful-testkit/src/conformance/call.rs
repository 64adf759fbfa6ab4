//! CALL: calls during and after a reload.

use std::time::Duration;

use graceful_core::{CallError, Limits, Value};

use super::words;
use crate::op::*;
use crate::{App, Script, Subject};

pub(super) fn db(tag: &str) -> Script {
    Script::plain("db").function("get", [ret(tag)])
}

/// Calls `db` twice, with a wait between.
pub(super) fn slow(name: &str, tag: &str) -> Script {
    let twice = list([tag.into(), call("db", "get")]);
    Script::plain(name)
        .requires("db")
        .function("slow", [eval(call("db", "get")), note("in"), wait("go"), ret(twice.clone())])
        .function("quick", [ret(twice)])
}

/// CALL-01: a call in flight sees the code it began with, to its end.
pub fn call_01_a_call_in_flight_finishes_on_the_code_it_began_with<S: Subject>() {
    needs!(S: plain, waits);
    let app = App::of::<S>().module(slow("web", "one")).module(db("one")).start();
    let old = app.begin_call("web", "slow");
    app.until_noted("in");
    app.edit(slow("web", "two"));
    app.edit(db("two"));
    app.must_reload();
    assert_eq!(app.ask("web", "quick"), words(["two", "two"]));
    app.open("go");
    assert_eq!(old.join(), Ok(words(["one", "one"])));
}

/// CALL-01: in modules of other backends too, and through requires that are looked up late.
pub fn call_01_one_generation_from_entry_to_exit_across_backends<S: Subject>() {
    needs!(S: plain, waits, dynamic);
    let tail = |tag: &str| Script::plain("tail").function("get", [ret(tag)]);
    let db = |tag: &str| {
        Script::plain("db").requires("tail").function("get", [ret(list([tag.into(), call("tail", "get")]))])
    };
    let both = ret(list([call("db", "get"), call_dynamic("tail", "get")]));
    let web = Script::plain("web").requires("db").function("slow", [note("in"), wait("go"), both.clone()]);
    let app =
        App::of::<S>().module(web.function("quick", [both])).other(db("one")).module(tail("one")).start();
    let old = app.begin_call("web", "slow");
    app.until_noted("in");
    app.edit_other(db("two"));
    app.edit(tail("two"));
    app.must_reload();
    let all = |tag: &str| Value::from(vec![words([tag, tag]), tag.into()]);
    assert_eq!(app.ask("web", "quick"), all("two"));
    app.open("go");
    assert_eq!(old.join(), Ok(all("one")));
}

/// CALL-01: a call that enters through a module outside of the reload set is pinned as well.
pub fn call_01_a_call_through_an_unchanged_module_is_pinned_too<S: Subject>() {
    needs!(S: plain, waits, dynamic);
    let web = Script::plain("web").function("slow", [note("in"), wait("go"), ret(call_dynamic("db", "get"))]);
    let app = App::of::<S>().module(web).module(db("one")).start();
    let old = app.begin_call("web", "slow");
    app.until_noted("in");
    app.edit(db("two"));
    app.must_reload();
    app.open("go");
    assert_eq!(old.join(), Ok("one".into()));
    assert_eq!(app.ask("web", "slow"), "two".into());
}

/// CALL-02: a call that starts after the commit runs new code everywhere.
pub fn call_02_a_call_after_the_commit_runs_new_code_in_every_module<S: Subject>() {
    needs!(S: plain);
    let app = App::of::<S>().module(slow("web", "one")).module(db("one")).start();
    assert_eq!(app.ask("web", "quick"), words(["one", "one"]));
    app.edit(db("two"));
    app.must_reload();
    assert_eq!(app.ask("web", "quick"), words(["one", "two"]));
    app.edit(slow("web", "three"));
    app.must_reload();
    assert_eq!(app.ask("web", "quick"), words(["three", "two"]));
}

fn counting(tag: &str) -> Script {
    let hit = [inc("n"), ret(list([tag.into(), state("n")]))];
    Script::new("hits").function("hit", hit).function("n", [ret(state("n"))])
}

fn waiting(tag: &str) -> Script {
    counting(tag).before_reload([note("before"), wait("go")])
}

/// CALL-03: calls to a suspended module wait, none is lost, none runs twice.
pub fn call_03_no_call_is_lost_or_run_twice<S: Subject>() {
    needs!(S: hooks, waits);
    let app = App::of::<S>().module(waiting("one")).start();
    app.ask("hits", "hit");
    app.edit(waiting("two"));
    let reload = app.begin_reload();
    app.until_noted("before");
    let calls: Vec<_> = (0..20).map(|_| app.begin_call("hits", "hit")).collect();
    app.time().settle();
    assert!(calls.iter().all(|call| !call.is_done()), "they wait at the gate");
    app.open("go");
    reload.join().unwrap();
    let mut counts = Vec::new();
    for call in calls {
        let Ok(Value::List(parts)) = call.join() else { panic!("a call failed") };
        assert_eq!(parts[0], "two".into());
        counts.push(parts[1].as_int().unwrap());
    }
    counts.sort();
    assert_eq!(counts, (2..22).collect::<Vec<_>>());
    assert_eq!(app.ask("hits", "n"), 21.into());
}

/// CALL-03: bounded, with a stable code that says it may be sent again.
pub fn call_03_a_call_that_waits_too_long_fails_with_a_retryable_code<S: Subject>() {
    needs!(S: hooks, waits);
    let limits = Limits { call_wait: Duration::from_millis(100), ..Limits::default() };
    let app = App::of::<S>().module(waiting("one")).limits(limits).start();
    app.edit(waiting("two"));
    let reload = app.begin_reload();
    app.until_noted("before");
    let error = app.call("hits", "hit").unwrap_err();
    assert_eq!((error.code().0, error.is_retryable()), ("GR0203", true));
    app.open("go");
    reload.join().unwrap();
    assert_eq!(app.ask("hits", "hit"), vec!["two".into(), 1.into()].into());
}

/// CALL-03: a synchronous call waits as well, on its own thread.
pub fn call_03_a_blocking_call_waits_at_the_gate<S: Subject>() {
    needs!(S: hooks, waits, blocking);
    if !S::clock().is_real() {
        // A thread that blocks would stop the manual clock's only one.
        return;
    }
    let app = App::of::<S>().module(waiting("one")).start();
    app.edit(waiting("two"));
    let reload = app.begin_reload();
    app.until_noted("before");
    let engine = app.engine().clone();
    let call = std::thread::spawn(move || engine.call_blocking("hits", "hit", Vec::new()));
    std::thread::sleep(Duration::from_millis(30));
    assert!(!call.is_finished());
    app.open("go");
    reload.join().unwrap();
    assert_eq!(call.join().unwrap(), Ok(vec!["two".into(), 1.into()].into()));
}

/// CALL-06: a handle follows the live generation; an export that is gone is a clear error.
pub fn call_06_a_handle_follows_the_live_generation<S: Subject>() {
    needs!(S: plain);
    let app = App::of::<S>().module(db("one")).start();
    let handle = app.engine().handle("db", "get");
    let ask = || app.time().block_on(handle.call(Vec::new()));
    assert_eq!(ask(), Ok("one".into()));
    app.edit(db("two"));
    app.must_reload();
    assert_eq!(ask(), Ok("two".into()));
    app.edit(Script::plain("db").function("other", [ret("three")]));
    app.must_reload();
    let error = ask().unwrap_err();
    assert_eq!(error.code().0, "GR0202");
    let CallError::NoExport { module, export, .. } = &error else { panic!("{error:?}") };
    assert_eq!((module.as_str(), export.as_str()), ("db", "get"));
}

/// CALL-06: inside a call it follows that call.
pub fn call_06_inside_a_call_a_handle_follows_the_calls_lease<S: Subject>() {
    needs!(S: plain, waits);
    let engine = std::sync::Arc::new(std::sync::OnceLock::<graceful_core::Engine>::new());
    let inside = engine.clone();
    let ask = move |_| {
        let handle = inside.get().expect("set by the test").handle("db", "get");
        async move { handle.call(Vec::new()).await }
    };
    let bridge = move |_: &_| Ok(graceful_core::Native::plain().async_function("ask", ask.clone()));
    let web = Script::plain("web").requires("bridge");
    let web = web.function("slow", [note("in"), wait("go"), ret(call("bridge", "ask"))]);
    let app = App::of::<S>().native("bridge", &[], bridge).module(web).module(db("one")).start();
    engine.set(app.engine().clone()).ok();
    let old = app.begin_call("web", "slow");
    app.until_noted("in");
    app.edit(db("two"));
    app.must_reload();
    app.open("go");
    assert_eq!(old.join(), Ok("one".into()));
    assert_eq!(app.ask("web", "slow"), "two".into());
}
