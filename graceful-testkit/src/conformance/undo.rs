//! TX-04 and TX-05: what a failed reload puts back, and what live code cannot see of a running one.

use graceful_core::{Outcome, Value};

use super::in_order;
use super::sm::{reload, running};
use crate::op::*;
use crate::{App, Script, Subject};

/// A module with everything a reload could disturb.
fn rich<S: Subject>(tag: &str) -> Script {
    let can = S::capabilities();
    let nested = serde_json::from_str::<Value>("{\"name\": \"ada\", \"tags\": [1, 2]}").unwrap();
    let mut script = Script::new("db")
        .version(if tag == "one" { "1.0.0" } else { "2.0.0" })
        .init([set("n", 1), set("user", nested), push("log", "init")])
        .function("get", [ret(list([tag.into(), state("n")]))])
        .value("limit", tag);
    if can.globals {
        script = script.top([set_global("db_mode", tag)]);
    }
    if can.routes {
        script = script.route("GET /db", [ret(tag)]);
    }
    if can.tasks {
        script = script.top([spawn_loop([sleep(1000)])]);
    }
    script
}

/// What a hook could do before it fails.
fn damage<S: Subject>() -> Vec<Op> {
    let can = S::capabilities();
    let mut ops =
        vec![inc("n"), set("user.name", "eve"), push("user.tags", 3), push("log", "hook"), set("x", 1)];
    if can.globals {
        ops.push(set_global("db_mode", "damaged"));
    }
    if can.tasks {
        ops.push(spawn_loop([sleep(1000)]));
    }
    ops
}

/// A module outside of every reload here, which can see the globals.
fn watch<S: Subject>() -> Script {
    let look = if S::capabilities().globals { global("db_mode") } else { "none".into() };
    Script::plain("watch").function("look", [ret(list([look]))])
}

fn put_back<S: Subject>(first: Script, second: Script, hook: &str) {
    let app = App::of::<S>().module(watch::<S>()).module(first).start();
    app.time().settle();
    let (before, globals) = (app.digest(), app.ask("watch", "look"));
    app.edit(second);
    let error = app.must_fail();
    assert_eq!((error.code().0, error.report.outcome), ("GR0105", Outcome::RolledBack), "{error:?}");
    assert!(error.to_string().contains(hook), "{error}");
    assert_eq!(app.digest(), before);
    assert_eq!(app.ask("watch", "look"), globals);
    assert_eq!(app.ask("db", "get"), vec!["one".into(), 1.into()].into());
    if S::capabilities().routes {
        assert_eq!(app.call_route("GET /db"), Ok("one".into()));
    }
    app.edit(rich::<S>("two"));
    let repaired = app.reload();
    if hook == "before_reload" {
        // The hook that fails is still the live one.
        assert_eq!(repaired.unwrap_err().code().0, "GR0105");
    } else {
        repaired.unwrap();
        // Now the old hook's work counts.
        assert_eq!(app.ask("db", "get"), vec!["two".into(), 2.into()].into());
    }
}

fn failing<S: Subject>() -> Vec<Op> {
    let mut ops = damage::<S>();
    ops.push(throw("no"));
    ops
}

/// TX-04: the old hook fails.
pub fn tx_04_a_failing_before_reload_puts_everything_back<S: Subject>() {
    needs!(S: hooks, plain);
    put_back::<S>(rich::<S>("one").before_reload(failing::<S>()), rich::<S>("two"), "before_reload");
}

/// TX-04: the new hook fails.
pub fn tx_04_a_failing_after_reload_puts_everything_back<S: Subject>() {
    needs!(S: hooks, plain);
    let first = rich::<S>("one").before_reload(damage::<S>());
    put_back::<S>(first, rich::<S>("two").after_reload(failing::<S>()), "after_reload");
}

/// TX-04: the `init` of a module that came with it fails.
pub fn tx_04_a_failing_init_puts_everything_back<S: Subject>() {
    needs!(S: hooks, plain);
    let app = App::of::<S>().module(watch::<S>()).module(rich::<S>("one")).start();
    let (before, globals) = (app.digest(), app.ask("watch", "look"));
    app.edit(rich::<S>("two").requires("new").before_reload(damage::<S>()).after_reload(damage::<S>()));
    app.edit(
        Script::new("new")
            .init(failing::<S>().into_iter().filter(|op| !matches!(op, Op::Push { .. })).skip(2)),
    );
    let error = app.must_fail();
    assert_eq!((error.code().0, error.module().map(|m| m.as_str())), ("GR0105", Some("new")));
    assert_eq!((app.digest(), app.ask("watch", "look")), (before, globals));
}

/// TX-04: in reverse order.
pub fn tx_04_the_undo_goes_in_reverse_order<S: Subject>() {
    needs!(S: hooks);
    let module = |name: &str| {
        Script::new(name)
            .init([set("n", 1)])
            .before_reload([inc("n")])
            .rollback([note(list([name.into(), state("n")]))])
    };
    let web = || module("web").requires("db").requires("new");
    let new = Script::new("new").init([note("init")]).finalize([note("finalize new")]);
    let app = App::of::<S>().module(module("web").requires("db")).module(module("db")).start();
    app.trace().clear();
    app.edit(new);
    app.edit(module("db").comment("2"));
    app.edit(web().after_reload([throw("no")]));
    let error = app.must_fail();
    let undone = ["new: init", "db: state", "db: rollback hook", "web: state", "web: rollback hook"];
    assert_eq!(error.report.rolled_back, undone);
    assert_eq!(app.take_notes(), ["init", "finalize new", "db 1", "web 1"]);
}

/// TX-04: going on past errors.
pub fn tx_04_the_undo_goes_on_past_errors<S: Subject>() {
    needs!(S: hooks);
    let module = |name: &str| Script::new(name).init([set("n", 1)]).before_reload([inc("n")]);
    let db = module("db").rollback([throw("cannot")]).function("n", [ret(state("n"))]);
    let web = module("web").requires("db").function("n", [ret(state("n"))]);
    let app = App::of::<S>().module(web).module(db.clone()).start();
    app.edit(db.comment("2").after_reload([throw("no")]));
    let error = app.must_fail();
    assert!(error.is_stuck());
    assert_eq!((app.ask("db", "n"), app.ask("web", "n")), (1.into(), 1.into()));
}

/// TX-04: what a hook did to another module of the reload by calling it is undone too.
pub fn tx_04_a_hook_that_changes_another_module_is_undone_there_too<S: Subject>() {
    needs!(S: hooks);
    let db = Script::new("db").init([set("n", 1)]).before_reload([note("db")]).function("add", [inc("n")]);
    let web = Script::new("web").requires("db").before_reload([eval(call("db", "add"))]);
    let app = App::of::<S>().module(web.clone()).module(db.clone()).start();
    let before = app.digest();
    app.edit(db.comment("2"));
    app.edit(web.comment("2").after_reload([throw("no")]));
    assert_eq!(app.must_fail().code().0, "GR0105");
    assert_eq!(app.digest(), before);
}

/// TX-04: a module of which no hook began has nothing to take back.
pub fn tx_04_rollback_is_for_modules_whose_hooks_began<S: Subject>() {
    needs!(S: hooks);
    let own = |name: &str| Script::new(name).checkpoint("own").before_reload([note(name)]);
    let db = own("db").rollback([note("db back")]);
    let web = own("web").requires("db").hook("before_reload", [throw("no")]).rollback([note("web back")]);
    let app = App::of::<S>().module(web).module(db.clone()).start();
    app.take_notes();
    app.edit(db.comment("2"));
    assert_eq!(app.must_fail().code().0, "GR0105");
    assert_eq!(app.take_notes(), ["web back"]);
}

/// TX-05: what a top level, `init` and hooks did becomes visible at the commit, all of it at once.
pub fn tx_05_nothing_is_visible_before_the_commit_and_everything_after<S: Subject>() {
    needs!(S: hooks, plain, globals, routes, tasks, waits);
    let look = Script::plain("watch").function("look", [ret(list([global("top"), global("hook")]))]);
    let app = App::of::<S>().module(look).module(Script::new("db")).start();
    let (nothing, before) = (app.ask("watch", "look"), app.digest());
    let second = Script::new("db")
        .top([set_global("top", "top"), spawn_loop([note("tick"), sleep(1000)])])
        .route("GET /new", [ret("served")])
        .after_reload([set_global("hook", list([global("top"), "hook".into()])), note("in"), wait("go")]);
    app.edit(second);
    let reload = app.begin_reload();
    app.until_noted("in");
    app.time().settle();
    assert_eq!(app.ask("watch", "look"), nothing);
    assert_eq!(app.call_route("GET /new").unwrap_err().code().0, "GR0201");
    assert!(!app.trace().notes().contains(&"tick".into()), "its task runs already");
    assert_eq!(app.digest(), before);
    app.open("go");
    reload.join().unwrap();
    let hook = vec!["top".into(), "hook".into()];
    assert_eq!(app.ask("watch", "look"), vec!["top".into(), hook.into()].into());
    assert_eq!(app.call_route("GET /new"), Ok("served".into()));
    app.until_noted("tick");
    in_order(&app.trace().text(), &["commit", "- tick"]);
}

/// TX-05: or nothing of it.
pub fn tx_05_nothing_is_left_of_a_reload_that_failed<S: Subject>() {
    needs!(S: hooks, plain, globals, routes, tasks);
    let look =
        Script::plain("watch").function("look", [ret(list([global("top"), global("hook"), global("kept")]))]);
    let first = Script::new("db").top([set_global("kept", "kept")]);
    let app = App::of::<S>().module(look).module(first).start();
    let (seen, before) = (app.ask("watch", "look"), app.digest());
    let second = Script::new("db")
        .top([set_global("top", "top"), set_global("kept", "other"), spawn_loop([note("tick"), sleep(1)])])
        .route("GET /new", [ret("served")])
        .after_reload([set_global("hook", "hook"), throw("no")]);
    app.edit(second);
    app.must_fail();
    app.time().pass(std::time::Duration::from_millis(20));
    assert_eq!((app.ask("watch", "look"), app.digest()), (seen, before));
    assert_eq!(app.call_route("GET /new").unwrap_err().code().0, "GR0201");
    assert_eq!(app.take_notes(), [""; 0]);
}

/// TX-05: a top level that sleeps is isolated while it does.
pub fn tx_05_a_top_level_that_waits_is_isolated<S: Subject>() {
    needs!(S: plain, globals, waits_at_load);
    let look = Script::plain("watch").function("look", [ret(list([global("top")]))]);
    let app = App::of::<S>().module(look).module(Script::plain("db")).start();
    let nothing = app.ask("watch", "look");
    let said = note(list([global("top")]));
    app.edit(Script::plain("db").top([set_global("top", "top"), note("in"), wait("go"), said]));
    let reload = app.begin_reload();
    app.until_noted("in");
    assert_eq!(app.ask("watch", "look"), nothing);
    app.open("go");
    reload.join().unwrap();
    assert_eq!(app.take_notes(), ["in", "top"]);
    assert_eq!(app.ask("watch", "look"), vec!["top".into()].into());
}

/// SM-04, TX-04: what the new roles did to the state of their modules is undone before the old ones start again, by a
/// copy or by the module's own `rollback`; what the old `stop` did stays done.
pub fn sm_04_what_the_new_roles_did_to_a_state_is_undone<S: Subject>() {
    needs!(S: hooks);
    let keeps = |name: &str| {
        let needs: &[&str] = match name {
            "web" => &["store"],
            "store" => &["log"],
            _ => &[],
        };
        let script = Script::new(name)
            .value("dependencies", needs.iter().map(|name| Value::from(*name)).collect::<Vec<_>>())
            .init([set("list", Value::List(vec![1.into()]))])
            .function("apply_config", [set("conf", "old"), ret(true)])
            .function("stop", [set("stopped", true), ret(true)])
            .function("look", [ret(list(["list", "junk", "conf", "stopped"].map(state)))]);
        let restores = [set("list", Value::List(vec![1.into()])), set("junk", Value::Null)];
        if name == "log" { script.checkpoint("own").rollback(restores) } else { script }
    };
    let spoils = |name: &str, last: Op| {
        keeps(name)
            .function("init", [set("junk", 1), push("list", 2), ret(true)])
            .function("apply_config", [set("conf", "new"), last])
    };
    let app = App::of::<S>().module(keeps("web")).module(keeps("store")).module(keeps("log"));
    let app = running(app, &["web"]);
    let Value::List(mut wanted) = app.ask("store", "look") else { panic!("it shows nothing") };
    app.edit(spoils("log", ret(true)));
    app.edit(spoils("store", ret(true)));
    app.edit(spoils("web", throw("no")));
    let error = reload(&app).unwrap_err();
    assert_eq!((error.code().0, error.module().unwrap().as_str()), ("GR0508", "web"));
    let roles = ["log: role log", "store: role store", "web: role web"];
    let undone = [&["web: state", "store: state", "log: rollback hook"][..], &roles].concat();
    assert_eq!(error.report.rolled_back, undone);
    *wanted.last_mut().unwrap() = true.into();
    for name in ["web", "store", "log"] {
        assert_eq!(app.ask(name, "look"), Value::List(wanted.clone()), "{name}");
        app.edit(keeps(name));
    }
    reload(&app).unwrap();
}
