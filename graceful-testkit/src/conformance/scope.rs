//! SCOPE: what a generation owns.

use std::sync::Arc;
use std::time::Duration;

use graceful_core::Value;

use super::{in_order, words};
use crate::op::*;
use crate::{App, Script, Subject};

const WHILE: Duration = Duration::from_millis(40);

/// Whether entry `n` of the state of `hits` stays as it is.
fn stays(app: &App) -> bool {
    let then = app.ask("hits", "n");
    app.time().pass(WHILE);
    app.ask("hits", "n") == then
}

/// Waits for entry `n` of the state of `hits` to grow.
fn grows(app: &App) {
    let then = app.ask("hits", "n");
    app.until("growth", || app.ask("hits", "n") != then);
}

fn hits() -> Script {
    Script::new("hits").function("n", [ret(state("n"))])
}

/// SCOPE-01: tasks, routes and globals belong to the module that made them.
pub fn scope_01_tasks_routes_and_globals_belong_to_their_module<S: Subject>() {
    needs!(S: hooks, plain, tasks, routes, globals);
    let look = Script::plain("watch").function("look", [ret(list([global("mode")]))]);
    let owner = hits()
        .top([spawn_loop([sleep(1)]), set_global("mode", "on")])
        .function("more", [spawn_loop([sleep(1)])])
        .route("GET /hits", [ret("served")]);
    let app = App::of::<S>().module(look).module(owner).start();
    let nothing = words(["none"]);
    assert_eq!(app.ask("watch", "look"), words(["on"]));
    app.ask("hits", "more");
    let live = app.engine().world().live("hits").unwrap();
    assert_eq!(live.scope.count("task"), 2);
    assert_eq!(live.scope.registrations().len(), 1);
    app.unregister("hits", false).unwrap();
    assert_eq!(app.ask("watch", "look"), nothing);
    assert_eq!(app.call_route("GET /hits").unwrap_err().code().0, "GR0201");
    assert_eq!(live.scope.count("task"), 0);
}

/// SCOPE-02: what was started ends with its engine, also where nobody shut that down, and nothing is kept of it.
pub fn scope_02_an_engine_that_is_dropped_leaves_nothing<S: Subject>() {
    needs!(S: hooks, plain, tasks, routes);
    let ticks = hits().top([spawn_loop([inc("n"), sleep(1)])]).route("GET /hits", [ret("served")]);
    let app = App::of::<S>().module(ticks).start();
    grows(&app);
    let (time, world) = (app.time().clone(), Arc::downgrade(app.engine().world()));
    let live = Arc::downgrade(&app.engine().world().live("hits").unwrap());
    drop(app);
    let held = || world.strong_count() + live.strong_count();
    assert!(time.until(Duration::from_secs(5), || held() == 0), "{} still hold it", held());
}

fn cancelled_and_awaited<S: Subject>(body: Vec<Op>) {
    let first = hits().top([spawn_loop(body)]);
    let app = App::of::<S>().module(first).start();
    app.until("tick", || app.ask("hits", "n") != Value::Null);
    app.trace().clear();
    let old = app.engine().world().live("hits").unwrap().scope.resources();
    app.edit(hits());
    app.must_reload();
    assert!(old.iter().all(|task| task.is_done()), "its end was not awaited");
    in_order(&app.trace().text(), &["commit", "released hits task", "end committed"]);
    assert!(stays(&app), "the task of the old generation still runs");
}

/// SCOPE-02: what the new generation did not take over is cancelled and awaited.
pub fn scope_02_a_task_that_was_not_taken_over_is_cancelled_and_awaited<S: Subject>() {
    needs!(S: registers, tasks);
    cancelled_and_awaited::<S>(vec![inc("n"), sleep(1)]);
}

/// SCOPE-02: also one that swallows errors.
pub fn scope_02_a_task_that_swallows_errors_is_cancelled_too<S: Subject>() {
    needs!(S: registers, tasks, catches);
    cancelled_and_awaited::<S>(vec![attempt([inc("n"), sleep(1), throw("no")])]);
}

/// SCOPE-02: also one that never yields again.
pub fn scope_02_a_task_that_spins_is_cancelled_too<S: Subject>() {
    needs!(S: registers, tasks, stops_loops);
    if !S::clock().is_real() {
        return cancelled_and_awaited::<S>(vec![inc("n"), Op::Spin]);
    }
    // It holds its language from the first turn on: only the reload itself can end it.
    let app = App::of::<S>().module(hits().top([spawn([inc("n"), sleep(30), Op::Spin])])).start();
    app.edit(hits());
    app.must_reload();
    assert!(stays(&app));
}

/// SCOPE-02: a task the new code starts anew is not the old one.
pub fn scope_02_tasks_do_not_pile_up<S: Subject>() {
    needs!(S: registers, tasks);
    let ticking = || hits().top([spawn_loop([inc("n"), sleep(1)])]);
    let app = App::of::<S>().module(ticking()).start();
    for n in 0..5 {
        app.edit(ticking().comment(&n.to_string()));
        app.must_reload();
        assert_eq!(app.engine().world().live("hits").unwrap().scope.count("task"), 1);
    }
    grows(&app);
}

/// SCOPE-02: routes go, globals get their earlier value back.
pub fn scope_02_routes_go_and_globals_get_their_earlier_value<S: Subject>() {
    needs!(S: plain, routes, globals);
    let base = Script::plain("base").top([set_global("mode", "base")]);
    let watch = Script::plain("watch")
        .requires("base")
        .function("look", [ret(list([global("mode"), global("own")]))]);
    let owner =
        Script::plain("owner").requires("base").top([set_global("mode", "owner"), set_global("own", "own")]);
    let app = App::of::<S>().module(base).module(watch).module(owner.route("GET /old", [ret("old")])).start();
    assert_eq!(app.ask("watch", "look"), words(["owner", "own"]));
    app.edit(Script::plain("owner").requires("base").route("GET /new", [ret("new")]));
    app.must_reload();
    assert_eq!(app.ask("watch", "look"), words(["base", "none"]));
    assert_eq!(app.call_route("GET /old").unwrap_err().code().0, "GR0201");
    assert_eq!(app.call_route("GET /new"), Ok("new".into()));
}

/// SCOPE-03: as in the seed's example: a task whose handle is in the state goes on, across many reloads.
pub fn scope_03_a_task_kept_in_the_state_is_taken_over<S: Subject>() {
    needs!(S: hooks, tasks, handover);
    let ticking =
        || hits().init([keep_task("task", [inc("n"), sleep(1)])]).function("stop", [cancel("task")]);
    let app = App::of::<S>().module(ticking()).start();
    for n in 0..4 {
        app.trace().clear();
        app.edit(ticking().comment(&n.to_string()));
        app.must_reload();
        in_order(&app.trace().text(), &["commit", "handed over hits task"]);
        grows(&app);
        assert_eq!(app.engine().world().live("hits").unwrap().scope.count("task"), 1);
    }
    app.ask("hits", "stop");
    app.until("end of the task", || app.engine().world().live("hits").unwrap().scope.count("task") == 0);
    assert!(stays(&app));
    assert_eq!(app.call("hits", "stop"), Ok(Value::Null), "cancelling a finished task is no error");
}

/// SCOPE-03: each time it resumes it takes a new lease: between two turns it holds no generation.
pub fn scope_03_a_taken_over_task_takes_a_new_lease_each_time<S: Subject>() {
    needs!(S: hooks, tasks, handover, dynamic);
    let db = |tag: &str| Script::plain("db").function("get", [ret(tag)]);
    let turn = [inc("n"), set("seen", call_dynamic("db", "get")), sleep(1)];
    let hits = hits().init([keep_task("task", turn)]).function("seen", [ret(state("seen"))]);
    let app = App::of::<S>().module(hits).module(db("one")).start();
    app.until("first turn", || app.ask("hits", "seen") == "one".into());
    for tag in ["two", "three", "four"] {
        app.edit(db(tag));
        app.must_reload();
        grows(&app);
        let mut held = Vec::new();
        app.until("nothing held", || {
            held = app.status().modules.into_iter().flat_map(|module| module.held).collect();
            held.is_empty()
        });
    }
}

/// SCOPE-03: a handle that was cancelled in a reload that fails is not cancelled.
pub fn scope_03_a_cancel_in_a_reload_that_fails_did_not_happen<S: Subject>() {
    needs!(S: hooks, tasks, handover);
    let ticking = || hits().init([keep_task("task", [inc("n"), sleep(1)])]);
    let app = App::of::<S>().module(ticking()).start();
    app.edit(ticking().after_reload([cancel("task"), throw("no")]));
    app.must_fail();
    grows(&app);
    app.edit(ticking().after_reload([cancel("task")]));
    app.must_reload();
    app.until("end of the task", || app.engine().world().live("hits").unwrap().scope.count("task") == 0);
}

/// SCOPE-04: the same route in the new generation takes its place without a moment in which it is missing.
pub fn scope_04_a_route_is_replaced_without_a_gap<S: Subject>() {
    needs!(S: plain, routes, waits);
    let web = |tag: &str| Script::plain("web").route("GET /page", [yield_now(), ret(tag)]);
    let app = App::of::<S>().module(web("0")).start();
    for n in 1..6 {
        app.edit(web(&n.to_string()));
        let reload = app.begin_reload();
        let mut answers = Vec::new();
        while !reload.is_done() {
            answers.push(app.call_route("GET /page"));
        }
        reload.join().unwrap();
        answers.push(app.call_route("GET /page"));
        let fits = |answer: &Value| *answer == n.to_string().into() || *answer == (n - 1).to_string().into();
        assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(fits)), "{answers:?}");
        assert_eq!(answers.last(), Some(&Ok(n.to_string().into())));
    }
}

/// SCOPE-04: the same key of another module is an error before anything is touched.
pub fn scope_04_a_route_of_another_module_is_a_clash<S: Subject>() {
    needs!(S: plain, routes);
    let route = |name: &str| Script::plain(name).route("GET /page", [ret(name)]);
    let app = App::of::<S>().module(route("a")).module(Script::plain("b")).start();
    app.edit(route("b"));
    let error = app.must_fail();
    assert_eq!(error.code().0, "GR0111");
    super::says(&error, &["GET /page", "`a`", "`b`"]);
    assert_eq!(app.call_route("GET /page"), Ok("a".into()));
}

/// SCOPE-07: anything is released with its generation.
pub fn scope_07_what_is_owned_is_released_with_its_generation<S: Subject>() {
    needs!(S: plain, owns);
    let web = |tag: &str| Script::plain("web").top([own("socket", [note(format!("closed {tag}"))])]);
    let app = App::of::<S>().module(web("one")).start();
    assert!(app.take_notes().is_empty());
    app.edit(web("two"));
    app.must_reload();
    assert_eq!(app.take_notes(), ["closed one"]);
}

/// SCOPE-07: or with the reload that failed, as far as the new code had got.
pub fn scope_07_what_a_failed_reload_made_is_released<S: Subject>() {
    needs!(S: plain, owns);
    let db = |tag: &str| Script::plain("db").top([own("file", [note(format!("closed db {tag}"))])]);
    let web = |tag: &str| {
        let top = [own("socket", [note(format!("closed web {tag}"))]), own("lock", [note("opened")])];
        Script::plain("web").requires("db").top(top)
    };
    let app = App::of::<S>().module(web("one")).module(db("one")).start();
    app.edit(db("two"));
    app.edit(web("two").top([throw("no")]));
    app.must_fail();
    app.until("release", || app.trace().notes().len() >= 3);
    assert_eq!(app.take_notes(), ["opened", "closed web two", "closed db two"]);
    app.edit(web("three"));
    app.must_reload();
    let mut notes = app.take_notes();
    notes.sort();
    assert_eq!(notes, ["closed db one", "closed web one", "opened"]);
}

/// SCOPE-07: what a hook of live code put there, if its reload fails; a `release` that fails is a warning.
pub fn scope_07_what_a_hook_made_is_released_if_its_reload_fails<S: Subject>() {
    needs!(S: hooks, owns);
    let web = Script::new("web").before_reload([own("backup", [note("gone"), throw("cannot")])]);
    let app = App::of::<S>().module(web).start();
    app.edit(Script::new("web").after_reload([throw("no")]));
    let error = app.must_fail();
    assert_eq!(app.take_notes(), ["gone"]);
    let told = |text: &String| text.contains("own backup of web") && text.contains("cannot");
    assert!(error.report.warnings.iter().any(told), "{:?}", error.report.warnings);
}

/// SCOPE-02: a call that outlives its generation may finish, and start nothing that would outlive it.
pub fn scope_02_old_code_starts_nothing_once_it_was_retired<S: Subject>() {
    needs!(S: plain, tasks, waits);
    let web = |tag: &str| {
        let begin = [note("in"), wait("latch"), spawn([note("started")]), ret(tag)];
        Script::plain("web").function("begin", begin).function("tag", [ret(tag)])
    };
    let app = App::of::<S>().module(web("one")).start();
    let call = app.begin_call("web", "begin");
    app.until_noted("in");
    app.edit(web("two"));
    app.must_reload();
    app.open("latch");
    let error = call.join().unwrap_err();
    assert!(error.to_string().contains("was replaced"), "{error}");
    app.time().settle();
    assert!(!app.trace().notes().contains(&"started".to_owned()));
    assert_eq!(app.ask("web", "tag"), "two".into());
}

/// SCOPE-03: what a task starts that was taken over belongs to who has the task.
pub fn scope_03_what_a_taken_over_task_starts_belongs_to_the_new_generation<S: Subject>() {
    needs!(S: hooks, handover);
    let body = [wait("go"), spawn([note("inner"), sleep(1_000_000)]), sleep(1_000_000)];
    let hits = Script::new("hits").init([keep_task("task", body)]);
    let app = App::of::<S>().module(hits.clone()).start();
    app.edit(hits.clone().comment("2"));
    app.must_reload();
    app.edit(hits.comment("3"));
    app.must_reload();
    app.open("go");
    app.until_noted("inner");
    let live = app.engine().world().live("hits").unwrap();
    assert_eq!((live.born.0, live.scope.count("task")), (3, 2));
}
