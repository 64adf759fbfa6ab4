//! ORD: plan and order.

use std::sync::Arc;

use graceful_core::{Action, OnBusy, Outcome, ReloadOptions, Report};

use super::says;
use crate::op::*;
use crate::{App, Script, Subject};

/// A module that notes its name when its top level runs, and gives on what the first of `requires` gives.
fn link(name: &str, requires: &[&str]) -> Script {
    let script = Script::plain(name).top([note(name)]);
    let script = requires.iter().fold(script, |script, module| script.requires(module));
    match requires.first() {
        Some(first) => script.function("get", [ret(call(first, "get"))]),
        None => script.function("get", [ret("one")]),
    }
}

fn steps(report: &Report) -> Vec<String> {
    report.modules.iter().map(|module| format!("{} ({})", module.module, module.reason)).collect()
}

/// The same, where the order is free: a require inside a function does not order.
fn sorted(report: &Report) -> Vec<String> {
    let mut steps = steps(report);
    steps.sort();
    steps
}

/// ORD-01: what changed by hash, and what depends on it; the rest keeps its instance.
pub fn ord_01_only_what_changed_and_its_dependents_are_reloaded<S: Subject>() {
    needs!(S: plain);
    let app = App::of::<S>()
        .module(link("page", &["web"]))
        .module(link("web", &["cache", "logs"]))
        .module(link("cache", &["db"]))
        .module(link("db", &[]))
        .module(link("logs", &[]))
        .start();
    let live = |name: &str| app.engine().world().live(name).expect("it is live");
    let (db, log, web) = (live("db"), live("logs"), live("web"));
    app.take_notes();
    app.edit(link("cache", &["db"]).comment("again"));
    let report = app.must_reload();
    assert_eq!(steps(&report), ["cache (changed)", "web (depends on cache)", "page (depends on web)"]);
    assert_eq!(app.take_notes(), ["cache", "web", "page"]);
    assert!(Arc::ptr_eq(&db, &live("db")) && Arc::ptr_eq(&log, &live("logs")));
    assert!(!Arc::ptr_eq(&web, &live("web")));
}

/// ORD-01: a source that was written again with the same text has not changed.
pub fn ord_01_what_counts_is_the_text_not_that_it_was_written<S: Subject>() {
    needs!(S: plain, texts);
    let app = App::of::<S>().module(link("db", &[])).start();
    app.edit(link("db", &[]));
    assert_eq!(app.must_reload().outcome, Outcome::Unchanged);
    assert_eq!(app.take_notes(), ["db"]);
}

/// ORD-01: by force, everything.
pub fn ord_01_force_takes_everything<S: Subject>() {
    needs!(S: plain);
    let app = App::of::<S>().module(link("web", &["db"])).module(link("db", &[])).start();
    app.take_notes();
    app.reload_with(ReloadOptions { force: true, ..ReloadOptions::default() }).unwrap();
    assert_eq!(app.take_notes(), ["db", "web"]);
}

/// ORD-02: the order of the initial requires, corrected by the new code's graph; unloading reverses the old.
pub fn ord_02_load_order_follows_the_new_graph_unload_order_the_old<S: Subject>() {
    needs!(S: plain);
    let app =
        App::of::<S>().module(link("web", &["b", "a"])).module(link("a", &[])).module(link("b", &[])).start();
    assert_eq!(app.take_notes(), ["b", "a", "web"]);
    app.edit(link("a", &[]).comment("again"));
    app.edit(link("b", &["a"]));
    let plan = app.plan().unwrap();
    assert_eq!(plan.unload.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["web", "a", "b"]);
    app.must_reload();
    assert_eq!(app.take_notes(), ["a", "b", "web"]);
    app.edit(link("a", &[]));
    let plan = app.plan().unwrap();
    assert_eq!(plan.unload.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["web", "b", "a"]);
}

/// ORD-03: through any number of requires.
pub fn ord_03_nobody_holds_exports_of_a_dead_generation<S: Subject>() {
    needs!(S: plain);
    let app = App::of::<S>()
        .module(link("web", &["cache"]))
        .module(link("cache", &["db"]))
        .module(link("db", &[]).value("limit", 1))
        .module(Script::plain("shop").requires("db").function("get", [ret(export("db", "limit"))]))
        .start();
    assert_eq!((app.ask("web", "get"), app.ask("shop", "get")), ("one".into(), 1.into()));
    app.edit(Script::plain("db").function("get", [ret("two")]).value("limit", 2));
    app.must_reload();
    assert_eq!((app.ask("web", "get"), app.ask("shop", "get")), ("two".into(), 2.into()));
}

/// ORD-04: modules that never registered run again too, in their place.
pub fn ord_04_plain_modules_in_the_set_run_again_in_their_place<S: Subject>() {
    needs!(S: plain, registers);
    let web = Script::new("web").requires("mid").top([note("web")]);
    let db = Script::new("db").top([note("db")]).function("get", [ret("one")]);
    let app = App::of::<S>().module(web).module(link("mid", &["db"])).module(db.clone()).start();
    assert_eq!(app.take_notes(), ["db", "mid", "web"]);
    app.edit(db.comment("again"));
    app.must_reload();
    assert_eq!(app.take_notes(), ["db", "mid", "web"]);
}

/// ORD-05: constant names: at plan time, with the whole path.
pub fn ord_05_a_cycle_of_constant_requires_is_found_by_the_plan<S: Subject>() {
    needs!(S: plain);
    let app = App::of::<S>().module(link("a", &[])).start();
    app.edit(link("a", &["b"]));
    app.edit(link("b", &["c"]));
    app.edit(link("c", &["b"]));
    app.take_notes();
    let error = app.must_fail();
    assert_eq!(error.code().0, "GR0104");
    says(&error, &["b -> c -> b"]);
    assert_eq!(app.take_notes(), [""; 0], "nothing was run");
    assert_eq!(app.ask("a", "get"), "one".into());
}

/// ORD-05: computed names: while staging.
pub fn ord_05_a_cycle_of_computed_requires_is_found_while_staging<S: Subject>() {
    needs!(S: plain, dynamic, waits_at_load);
    let app = App::of::<S>().module(link("a", &[])).start();
    app.edit(link("a", &["b"]));
    app.edit(Script::plain("b").top([require("a")]).function("get", [ret("b")]));
    let error = app.must_fail();
    assert_eq!(error.code().0, "GR0104", "{error:?}");
    says(&error, &["b -> a -> b"]);
    assert_eq!(app.ask("a", "get"), "one".into());
}

/// ORD-05: a require inside a function is no cycle, and widens the set.
pub fn ord_05_a_require_in_a_function_only_widens_the_set<S: Subject>() {
    needs!(S: plain, deferred);
    let a = Script::plain("a").function("get", [ret(call("b", "name"))]);
    let b = Script::plain("b").requires("a").function("name", [ret("b")]);
    let app = App::of::<S>().module(a).module(b.clone()).entry("b").start();
    assert_eq!(app.ask("a", "get"), "b".into());
    app.edit(Script::plain("b").requires("a").function("name", [ret("new b")]));
    assert_eq!(sorted(&app.must_reload()), ["a (depends on b)", "b (changed)"]);
    assert_eq!(app.ask("a", "get"), "new b".into());
}

/// ORD-05: who requires it, from where, and what was searched.
pub fn ord_05_a_missing_module_says_who_requires_it_and_what_was_searched<S: Subject>() {
    needs!(S: plain);
    let app = App::of::<S>().module(link("a", &[])).start();
    app.edit(link("a", &["nowhere"]));
    let error = app.must_fail();
    assert_eq!(error.code().0, "GR0103");
    says(&error, &["`nowhere` is missing", "required by a", &S::origin("a"), "memory:nowhere"]);
    assert_eq!(app.ask("a", "get"), "one".into());
}

/// ORD-06: no effect, serialisable, with reasons; stale ones are refused.
pub fn ord_06_a_plan_is_a_dry_run_and_a_stale_one_is_refused<S: Subject>() {
    needs!(S: plain);
    let app = App::of::<S>().module(link("web", &["db"])).module(link("db", &[])).start();
    app.take_notes();
    let before = app.digest();
    app.edit(link("db", &[]).comment("2"));
    let plan = app.plan().unwrap();
    let text = serde_json::to_string(&plan).unwrap();
    assert!(text.contains("\"changed\"") && text.contains("\"depends on db\""), "{text}");
    assert_eq!((app.take_notes(), app.digest()), (Vec::new(), before.clone()));
    app.edit(link("db", &[]).comment("3"));
    let apply = |plan| app.reload_with(ReloadOptions { plan: Some(plan), ..ReloadOptions::default() });
    assert_eq!(apply(plan).unwrap_err().code().0, "GR0114");
    assert_eq!(app.digest(), before);
    let report = apply(app.plan().unwrap()).unwrap();
    assert_eq!(steps(&report), ["db (changed)", "web (depends on db)"]);
}

/// ORD-07: as deep and as wide as the contract says.
pub fn ord_07_a_deep_chain_and_a_wide_fan_reload_without_overflow<S: Subject>() {
    needs!(S: plain);
    const MANY: usize = 2_000;
    let name = |n: usize| format!("m{n}");
    let mut app = App::of::<S>().entry("m0").entry("top");
    for n in 0..MANY {
        let module = Script::plain(&name(n));
        app = app.module(if n + 1 < MANY { module.requires(&name(n + 1)) } else { module });
        app = app.module(Script::plain(&format!("w{n}")).requires("hub"));
    }
    let top = (0..MANY).fold(Script::plain("top"), |top, n| top.requires(&format!("w{n}")));
    let app = app.module(Script::plain("hub")).module(top).start();
    app.edit(Script::plain(&name(MANY - 1)).comment("again"));
    assert_eq!(app.must_reload().modules.len(), MANY);
    app.edit(Script::plain("hub").comment("again"));
    assert_eq!(app.must_reload().modules.len(), MANY + 2);
}

/// ORD-08: joins, waits or is refused, never interleaves.
pub fn ord_08_a_second_reload_joins_waits_or_is_refused<S: Subject>() {
    needs!(S: hooks, waits);
    let db = Script::new("db").after_reload([note("in"), wait("go"), note("out")]);
    let second = |on_busy| ReloadOptions { on_busy, force: true, ..ReloadOptions::default() };
    for on_busy in [OnBusy::Join, OnBusy::Wait, OnBusy::Refuse] {
        let app = App::of::<S>().module(db.clone()).start();
        app.edit(db.clone().comment("again"));
        let first = app.begin_reload();
        app.until_noted("in");
        let second = app.begin_reload_with(second(on_busy));
        app.time().settle();
        assert_eq!(second.is_done(), on_busy == OnBusy::Refuse);
        app.open("go");
        let (first, second) = (first.join().unwrap(), second.join());
        assert_eq!(first.generation, 2);
        match on_busy {
            OnBusy::Join => assert_eq!(second.unwrap().reload, first.reload),
            OnBusy::Wait => assert_eq!(second.unwrap().generation, 3),
            OnBusy::Refuse => assert_eq!(second.unwrap_err().code().0, "GR0115"),
        }
        let both: &[&str] =
            if on_busy == OnBusy::Wait { &["in", "out", "in", "out"] } else { &["in", "out"] };
        assert_eq!(app.take_notes(), both);
    }
}

/// ORD-09: in both directions.
pub fn ord_09_a_dependency_on_another_backend_is_an_edge_like_any_other<S: Subject>() {
    needs!(S: plain);
    let app = App::of::<S>()
        .other(link("web", &["mid"]))
        .module(link("mid", &["db"]))
        .other(link("db", &[]))
        .start();
    assert_eq!(app.take_notes(), ["db", "mid", "web"]);
    app.edit_other(Script::plain("db").function("get", [ret("two")]));
    let report = app.must_reload();
    assert_eq!(steps(&report), ["db (changed)", "mid (depends on db)", "web (depends on mid)"]);
    assert_eq!(app.ask("web", "get"), "two".into());
}

/// ORD-10: a require that nobody could read is an edge once it ran, and one that went away is none.
pub fn ord_10_edges_that_appear_or_disappear_are_tracked<S: Subject>() {
    needs!(S: plain, dynamic);
    let web = Script::plain("web").function("get", [ret(call_dynamic("db", "get"))]);
    let app = App::of::<S>().module(web).module(link("db", &[])).start();
    app.edit(link("db", &[]).comment("2"));
    assert_eq!(steps(&app.must_reload()), ["db (changed)"]);
    assert_eq!(app.ask("web", "get"), "one".into());
    app.edit(link("db", &[]).comment("3"));
    assert_eq!(sorted(&app.must_reload()), ["db (changed)", "web (depends on db)"]);
    app.edit(Script::plain("web").requires("db").function("get", [ret("web")]));
    app.must_reload();
    app.edit(Script::plain("web").requires("logs"));
    app.edit(link("logs", &[]));
    app.must_reload();
    app.edit(link("logs", &[]).comment("2"));
    assert_eq!(steps(&app.must_reload()), ["logs (changed)", "web (depends on logs)"]);
}

/// ORD-10: an edge into the set that is born while the set is staged widens the plan.
pub fn ord_10_an_edge_born_while_staging_widens_the_plan<S: Subject>() {
    needs!(S: plain, dynamic, waits_at_load);
    let web = Script::plain("web").function("get", [ret(call_dynamic("db", "get"))]);
    let app = App::of::<S>().module(web).module(link("db", &[])).start();
    app.edit(Script::plain("db").top([note("staging"), wait("go")]).function("get", [ret("two")]));
    let reload = app.begin_reload();
    app.until_noted("staging");
    assert_eq!(app.ask("web", "get"), "one".into());
    app.open("go");
    let report = reload.join().unwrap();
    assert_eq!(sorted(&report), ["db (changed)", "web (began to require db)"]);
    assert_eq!(app.ask("web", "get"), "two".into());
}

/// ORD-11: what nobody requires any more goes, and the report says so.
pub fn ord_11_a_module_nobody_requires_is_retired_and_reported<S: Subject>() {
    needs!(S: plain);
    let app = App::of::<S>()
        .module(link("web", &["db"]))
        .module(link("db", &["disk"]))
        .module(link("disk", &[]))
        .module(link("tool", &[]))
        .entry("web")
        .entry("tool")
        .start();
    app.edit(link("web", &[]));
    let report = app.must_reload();
    let retired = report.modules.iter().filter(|module| module.action == Action::Retire);
    assert_eq!(retired.map(|module| module.module.as_str()).collect::<Vec<_>>(), ["db", "disk"]);
    assert_eq!(app.call("db", "get").unwrap_err().code().0, "GR0201");
    assert_eq!(app.ask("tool", "get"), "one".into(), "an entry stays");
}
