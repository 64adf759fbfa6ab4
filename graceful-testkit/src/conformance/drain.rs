//! CALL-04 and CALL-05: who is waited for, and what an old generation is held by.

use std::time::Duration;

use graceful_core::{DrainPolicy, Limits, ReloadOptions};

use super::call::{db, slow};
use super::{says, words};
use crate::op::*;
use crate::{App, Script, Subject};

/// CALL-04: a call that is inside already goes on past a shut gate, and drain waits for it.
pub fn call_04_nested_calls_carry_the_callers_lease_past_a_shut_gate<S: Subject>() {
    needs!(S: hooks, waits);
    let db = |tag: &str| Script::new("db").function("get", [ret(tag)]).before_reload([note("before")]);
    let app = App::of::<S>().module(slow("web", "one")).module(db("one")).start();
    let old = app.begin_call("web", "slow");
    app.until_noted("in");
    app.edit(db("two"));
    let reload = app.begin_reload();
    app.time().settle();
    assert!(!reload.is_done(), "drain waits for the call");
    app.open("go");
    assert_eq!(old.join(), Ok(words(["one", "one"])));
    reload.join().unwrap();
    assert_eq!(app.take_notes(), ["in", "before"]);
    assert_eq!(app.ask("web", "quick"), words(["one", "two"]));
}

/// CALL-04: a module that asks for it is drained.
pub fn call_04_a_module_may_ask_to_be_drained<S: Subject>() {
    needs!(S: registers, waits);
    let web = |tag: &str| Script::new("web").drain().function("slow", [note("in"), wait("go"), ret(tag)]);
    let app = App::of::<S>().module(web("one")).start();
    let old = app.begin_call("web", "slow");
    app.until_noted("in");
    app.edit(web("two"));
    let reload = app.begin_reload();
    app.time().settle();
    assert!(!reload.is_done() && !old.is_done());
    app.open("go");
    reload.join().unwrap();
    assert_eq!(old.join(), Ok("one".into()));
}

fn drained_app<S: Subject>() -> App {
    let limits = Limits { exclusive: Duration::from_millis(800), ..Limits::default() };
    let web = |tag: &str| {
        let slow = [note("in"), wait("go"), ret(tag)];
        Script::new("web").function("slow", slow).function("quick", [ret(tag)]).before_reload([])
    };
    let app = App::of::<S>().module(web("one")).limits(limits).start();
    app.edit(web("two"));
    app
}

/// CALL-04: past the deadline the reload is rolled back.
pub fn call_04_past_the_drain_deadline_the_reload_is_rolled_back<S: Subject>() {
    needs!(S: hooks, waits);
    let app = drained_app::<S>();
    let old = app.begin_call("web", "slow");
    app.until_noted("in");
    let error = app.must_fail();
    assert_eq!((error.code().0, error.is_retryable()), ("GR0108", true));
    says(&error, &["web"]);
    assert_eq!(app.ask("web", "quick"), "one".into());
    app.open("go");
    assert_eq!(old.join(), Ok("one".into()), "the call goes on");
    app.must_reload();
    assert_eq!(app.ask("web", "quick"), "two".into());
}

/// CALL-04: or, where that is the policy, the calls are cancelled and told so.
pub fn call_04_or_the_calls_in_flight_are_cancelled_and_told_so<S: Subject>() {
    needs!(S: hooks, waits);
    let app = drained_app::<S>();
    let old = app.begin_call("web", "slow");
    app.until_noted("in");
    let cancel = ReloadOptions { drain: DrainPolicy::Cancel, ..ReloadOptions::default() };
    app.reload_with(cancel).unwrap();
    let error = old.join().unwrap_err();
    assert_eq!((error.code().0, error.is_retryable()), ("GR0205", true));
    assert_eq!(app.ask("web", "quick"), "two".into());
}

/// CALL-05: at most two generations, shown with what holds the old one; a third waits and is refused.
pub fn call_05_a_third_generation_is_refused_and_says_what_holds_the_first<S: Subject>() {
    needs!(S: plain, waits);
    let limits = Limits { held_wait: Duration::from_millis(200), ..Limits::default() };
    let app = App::of::<S>().module(slow("web", "1")).module(db("1")).limits(limits).start();
    let old = app.begin_call("web", "slow");
    app.until_noted("in");
    app.edit(db("2"));
    app.must_reload();
    let status = app.status();
    let held = |name: &str| status.modules.iter().find(|m| m.name == name).unwrap().held.clone();
    assert!(
        held("db").iter().any(|held| held.born == 1 && held.by.iter().any(|by| by.contains("web"))),
        "{status:?}"
    );
    app.edit(db("3"));
    let error = app.must_fail();
    assert_eq!((error.code().0, error.is_retryable()), ("GR0109", true));
    says(&error, &["db", "call in web"]);
    assert_eq!(app.ask("db", "get"), "2".into());
    app.open("go");
    assert_eq!(old.join(), Ok(words(["1", "1"])));
    app.must_reload();
    assert_eq!(app.ask("db", "get"), "3".into());
    assert!(app.status().modules.iter().all(|module| module.held.is_empty()));
}

/// CALL-05: or it is cancelled, where that is the policy.
pub fn call_05_or_what_holds_it_is_cancelled<S: Subject>() {
    needs!(S: plain, waits);
    let limits = Limits { held_wait: Duration::from_millis(500), ..Limits::default() };
    let app = App::of::<S>().module(slow("web", "1")).module(db("1")).limits(limits).start();
    let old = app.begin_call("web", "slow");
    app.until_noted("in");
    app.edit(db("2"));
    app.must_reload();
    app.edit(db("3"));
    app.reload_with(ReloadOptions { drain: DrainPolicy::Cancel, ..ReloadOptions::default() }).unwrap();
    assert_eq!(old.join().unwrap_err().code().0, "GR0205");
    assert_eq!(app.ask("db", "get"), "3".into());
}

/// CALL-04: whoever made a call that is cancelled is told so, however deep in it the module is that goes.
pub fn call_04_a_call_is_cancelled_as_a_whole<S: Subject>() {
    needs!(S: hooks, plain, waits, dynamic, catches);
    let limits = Limits { exclusive: Duration::from_millis(800), ..Limits::default() };
    let db = |tag: &str| {
        let slow = [note("in"), wait("go"), ret(tag)];
        Script::new("db").function("slow", slow).function("quick", [ret(tag)]).before_reload([])
    };
    let web =
        Script::plain("web").function("page", [attempt([eval(call_dynamic("db", "slow"))]), ret("page")]);
    let app = App::of::<S>().module(web).other(db("one")).limits(limits).start();
    let page = app.begin_call("web", "page");
    app.until_noted("in");
    app.unregister("web", false).unwrap();
    app.edit_other(db("two"));
    app.reload_with(ReloadOptions { drain: DrainPolicy::Cancel, ..ReloadOptions::default() }).unwrap();
    let error = page.join().unwrap_err();
    assert_eq!((error.code().0, error.is_retryable()), ("GR0205", true));
    assert_eq!(app.ask("db", "quick"), "two".into());
}
