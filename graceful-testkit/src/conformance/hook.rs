//! HOOK: the hooks of a module.

use std::time::Duration;

use graceful_core::{Limits, Outcome};

use super::{in_order, says, snapshot};
use crate::op::*;
use crate::{App, Script, Subject};

fn short() -> Limits {
    let ms = Duration::from_millis;
    Limits { hook: ms(500), exclusive: ms(1000), call_wait: ms(3000), ..Limits::default() }
}

/// A module whose reload hooks note their name and `tag`.
fn noted(name: &str, tag: &str) -> Script {
    let said = |hook: &str| [note(format!("{hook} {name} {tag}"))];
    Script::new(name).version("1.0.0").before_reload(said("before")).after_reload(said("after"))
}

/// HOOK-01: old `before_reload`, new `after_reload`, commit.
pub fn hook_01_old_before_reload_then_new_after_reload<S: Subject>() {
    needs!(S: hooks);
    let app = App::of::<S>().module(noted("web", "1")).start();
    app.trace().clear();
    app.edit(noted("web", "2"));
    app.must_reload();
    in_order(
        &app.trace().text(),
        &["staged web 1.0.0 -> 1.0.0", "- before web 1", "- after web 2", "commit"],
    );
    assert_eq!(app.take_notes(), ["before web 1", "after web 2"]);
}

/// HOOK-02: dependents first, then dependencies first.
pub fn hook_02_before_reload_dependents_first_after_reload_dependencies_first<S: Subject>() {
    needs!(S: hooks);
    let chain = |tag| {
        let cache = noted("cache", tag).requires("db");
        [noted("db", tag), cache, noted("web", tag).requires("cache").requires("db")]
    };
    let [db, cache, web] = chain("1");
    let app = App::of::<S>().module(web).module(cache).module(db).start();
    app.trace().clear();
    chain("2").into_iter().for_each(|script| app.edit(script));
    app.must_reload();
    snapshot::<S>(&app.trace().text(), include_str!("snapshots/hook_02.snap"), "hook_02");
    let before = ["before web 1", "before cache 1", "before db 1"];
    assert_eq!(app.take_notes(), [before, ["after db 2", "after cache 2", "after web 2"]].concat());
}

/// HOOK-03: a missing hook is skipped, and every hook gets the object with the state.
pub fn hook_03_hooks_get_the_module_object_and_a_missing_one_is_skipped<S: Subject>() {
    needs!(S: hooks);
    let said = note(list([Expr::Name, state("left")]));
    let hits = Script::new("hits").before_reload([set("left", 1)]);
    let app = App::of::<S>().module(hits.clone()).start();
    app.edit(hits.clone().after_reload([said.clone()]));
    app.must_reload();
    assert_eq!(app.take_notes(), ["hits 1"]);
    app.edit(Script::new("hits").after_reload([said]));
    app.must_reload();
    assert_eq!(app.take_notes(), ["hits 1"]);
}

/// HOOK-03: hooks may wait.
pub fn hook_03_hooks_may_wait<S: Subject>() {
    needs!(S: hooks, waits);
    let hits = Script::new("hits")
        .before_reload([note("before"), sleep(2), yield_now(), note("slept")])
        .after_reload([yield_now(), note("after")]);
    let app = App::of::<S>().module(hits.clone()).start();
    app.edit(hits.comment("again"));
    app.must_reload();
    assert_eq!(app.take_notes(), ["before", "slept", "after"]);
}

/// HOOK-04: in a hook it is refused at once, and the outer reload goes on.
pub fn hook_04_reload_in_a_hook_is_refused_and_the_outer_one_goes_on<S: Subject>() {
    needs!(S: hooks, reloads);
    let hits = Script::new("hits").after_reload([Op::Reload]);
    let app = App::of::<S>().module(hits.clone()).start();
    app.edit(hits.comment("again"));
    assert_eq!(app.must_reload().outcome, Outcome::Committed);
    assert_eq!(app.take_notes(), ["reload GR0116"]);
}

/// HOOK-04: in a call the caller is parked, so that drain does not wait for it, and goes on afterwards.
pub fn hook_04_reload_in_a_call_parks_the_caller<S: Subject>() {
    needs!(S: hooks, reloads, waits);
    let web = |tag: &str| {
        let deploy = [Op::Reload, ret(tag)];
        Script::new("web").before_reload([note("before")]).function("deploy", deploy)
    };
    let app = App::of::<S>().module(web("one")).start();
    app.edit(web("two"));
    assert_eq!(app.ask("web", "deploy"), "one".into(), "its own frames are old code");
    assert_eq!(app.take_notes(), ["before", "reload committed"]);
    assert_eq!(app.ask("web", "deploy"), "two".into());
}

/// HOOK-04: also where the call entered through another module and another language.
pub fn hook_04_a_nested_caller_parks_the_whole_call<S: Subject>() {
    needs!(S: hooks, plain, reloads, waits);
    let web = |tag: &str| {
        Script::new("web")
            .requires("admin")
            .before_reload([note("before")])
            .function("relay", [eval(call("admin", "deploy")), ret(tag)])
    };
    let admin = Script::plain("admin").function("deploy", [Op::Reload]);
    let app = App::of::<S>().module(web("one")).other(admin).limits(short()).start();
    app.edit(web("two"));
    assert_eq!(app.ask("web", "relay"), "one".into());
    assert_eq!(app.take_notes(), ["before", "reload committed"]);
    assert_eq!(app.ask("web", "relay"), "two".into());
}

/// HOOK-04: what the caller requires afterwards is live, if its own module is.
pub fn hook_04_after_its_reload_a_caller_sees_what_is_live<S: Subject>() {
    needs!(S: reloads, waits, dynamic);
    let db = |tag: &str| Script::plain("db").function("get", [ret(tag)]);
    let admin = Script::plain("admin").function("deploy", [Op::Reload, ret(call_dynamic("db", "get"))]);
    let app = App::of::<S>().module(admin).module(db("one")).start();
    app.edit(db("two"));
    assert_eq!(app.ask("admin", "deploy"), "two".into());
}

/// HOOK-04: a second caller joins the reload that runs.
pub fn hook_04_a_second_caller_joins_the_running_reload<S: Subject>() {
    needs!(S: hooks, reloads, waits);
    let db = Script::new("db").after_reload([note("in"), wait("go")]);
    let admin = Script::plain("admin").function("deploy", [note("asked"), Op::Reload]);
    let app = App::of::<S>().module(admin).module(db.clone()).start();
    app.edit(db.comment("again"));
    app.trace().clear();
    let first = app.begin_call("admin", "deploy");
    app.until_noted("in");
    let second = app.begin_call("admin", "deploy");
    app.until("two callers", || app.trace().notes().iter().filter(|note| *note == "asked").count() == 2);
    app.time().settle();
    app.open("go");
    first.join().unwrap();
    second.join().unwrap();
    let text = app.trace().text();
    assert_eq!(text.lines().filter(|line| *line == "- reload committed").count(), 2, "{text}");
    assert_eq!(text.lines().filter(|line| *line == "reload").count(), 1, "{text}");
}

/// HOOK-04: where nothing can wait the reload is queued and nothing blocks.
pub fn hook_04_where_nothing_can_wait_the_reload_is_queued<S: Subject>() {
    needs!(S: reloads, queues, blocking);
    let admin = |tag: &str| Script::plain("admin").function("deploy", [Op::Reload, ret(tag)]);
    let app = App::of::<S>().module(admin("one")).start();
    app.edit(admin("two"));
    assert_eq!(app.engine().call_blocking("admin", "deploy", Vec::new()), Ok("one".into()));
    assert_eq!(app.take_notes(), ["reload queued"]);
    app.until("queued reload", || app.status().generation == 2);
    assert_eq!(app.ask("admin", "deploy"), "two".into());
}

/// HOOK-05: a hook that hangs is cancelled and has failed.
pub fn hook_05_a_hanging_hook_is_cancelled<S: Subject>() {
    needs!(S: hooks, waits);
    stopped::<S>("after_reload", sleep(60_000));
    stopped::<S>("before_reload", sleep(60_000));
}

/// HOOK-05: a hook that loops without yielding as well.
pub fn hook_05_a_spinning_hook_is_stopped<S: Subject>() {
    needs!(S: hooks, stops_loops);
    stopped::<S>("after_reload", Op::Spin);
    stopped::<S>("after_reload", attempt([Op::Spin]));
}

fn stopped<S: Subject>(hook: &str, op: Op) {
    let hits = |tag: &str| Script::new("hits").function("look", [ret(list([tag.into(), state("n")]))]);
    let first = hits("one").init([set("n", 1)]);
    let first = if hook == "before_reload" { first.hook(hook, [set("n", 2), op.clone()]) } else { first };
    let app = App::of::<S>().module(first).limits(short()).start();
    let before = app.digest();
    let second = hits("two");
    app.edit(if hook == "before_reload" { second } else { second.hook(hook, [set("n", 2), op]) });
    let error = app.must_fail();
    assert_eq!(error.code().0, "GR0106", "{error}");
    says(&error, &["hits", hook]);
    assert_eq!(app.digest(), before);
    assert_eq!(app.ask("hits", "look"), vec!["one".into(), 1.into()].into());
}

/// HOOK-05: each hook within its share, all of them together not.
pub fn hook_05_the_exclusive_part_has_one_budget<S: Subject>() {
    needs!(S: hooks, waits);
    let slow = |name: &str| Script::new(name).after_reload([sleep(400)]);
    let mut app = App::of::<S>().limits(short());
    for name in ["a", "b", "c", "d"] {
        app = app.module(slow(name));
    }
    let app = app.start();
    for name in ["a", "b", "c", "d"] {
        app.edit(slow(name).comment("again"));
    }
    let (before, error) = (app.digest(), app.must_fail());
    assert_eq!(error.code().0, "GR0106", "{error}");
    assert!(error.report.pause >= Duration::from_millis(900), "{:?}", error.report.pause);
    assert_eq!(app.digest(), before);
}

/// HOOK-06: never on a reload, once at the end.
pub fn hook_06_finalize_runs_once_on_unregister_and_never_on_a_reload<S: Subject>() {
    needs!(S: hooks);
    let hits = Script::new("hits").init([note("init")]).finalize([note("finalize")]);
    let app = App::of::<S>().module(hits.clone()).start();
    for n in 0..3 {
        app.edit(hits.clone().comment(&n.to_string()));
        app.must_reload();
    }
    assert_eq!(app.take_notes(), ["init"]);
    app.unregister("hits", false).unwrap();
    assert_eq!(app.take_notes(), ["finalize"]);
}

/// HOOK-06: once when the module is removed.
pub fn hook_06_finalize_runs_once_on_removal<S: Subject>() {
    needs!(S: hooks);
    let hits = Script::new("hits").init([note("init")]).finalize([note("finalize")]);
    let app = App::of::<S>().module(hits).module(Script::plain("web").requires("hits")).entry("web").start();
    app.edit(Script::plain("web"));
    app.remove("hits");
    app.must_reload();
    app.edit(Script::plain("web").comment("again"));
    app.must_reload();
    assert_eq!(app.take_notes(), ["init", "finalize"]);
}

/// HOOK-06: a call that is in the module when it leaves comes to its end first.
pub fn hook_06_finalize_waits_for_calls_in_flight<S: Subject>() {
    needs!(S: hooks, waits);
    let slow = [note("begins"), wait("go"), note("ends")];
    let hits = Script::new("hits").finalize([note("finalize")]).function("slow", slow);
    let app = App::of::<S>().module(hits).module(Script::plain("web")).start();
    let call = app.begin_call("hits", "slow");
    app.until_noted("begins");
    let engine = app.engine().clone();
    let leaving = app.time().spawn(async move { engine.unregister("hits", false).await });
    app.time().settle();
    app.open("go");
    assert!(call.join().is_ok());
    leaving.join().expect("nobody requires it");
    assert_eq!(app.take_notes(), ["begins", "ends", "finalize"]);
}

/// HOOK-06: once when the start that initialised it fails.
pub fn hook_06_finalize_runs_once_when_the_start_fails<S: Subject>() {
    needs!(S: hooks);
    let db = Script::new("db").init([note("init")]).finalize([note("finalize")]);
    let web = Script::new("web").requires("db");
    let app = App::of::<S>().module(db).module(web.clone().top([throw("no")])).build();
    app.must_fail();
    assert_eq!(app.take_notes(), ["init", "finalize"]);
    app.edit(web);
    app.must_reload();
    assert_eq!(app.take_notes(), ["init"]);
}

/// HOOK-07: hooks gone, state kept, and the report says so.
pub fn hook_07_code_that_no_longer_registers_loses_its_hooks_and_keeps_its_state<S: Subject>() {
    needs!(S: hooks, plain);
    let hits = noted("hits", "1").init([set("n", 1)]).function("look", [ret(state("n"))]);
    let app = App::of::<S>().module(hits.clone()).start();
    app.edit(Script::plain("hits").function("look", [ret("plain")]));
    let report = app.must_reload();
    assert!(report.warnings.iter().any(|text| text.contains("hits")), "{report:?}");
    app.take_notes();
    app.edit(Script::plain("hits").function("look", [ret("plain again")]));
    app.must_reload();
    assert_eq!(app.take_notes(), [""; 0]);
    app.edit(hits);
    app.must_reload();
    assert_eq!(app.ask("hits", "look"), 1.into());
}
