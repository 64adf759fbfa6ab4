//! TX: what a caller may ask of a reload beside being done: to be checked only, to go on past a hook.

use graceful_core::{Outcome, Phase, ReloadOptions};

use super::says;
use crate::op::*;
use crate::{App, Script, Subject};

fn check() -> ReloadOptions {
    ReloadOptions { check: true, ..ReloadOptions::default() }
}

/// TX-01: a check goes as far as *validate*, and leaves nothing.
pub fn tx_01_a_check_touches_nothing_live<S: Subject>() {
    needs!(S: hooks);
    let web = |tag: &str| Script::new("web").function("page", [ret(tag)]);
    let app = App::of::<S>().module(web("one").before_reload([note("before")])).start();
    app.time().settle();
    let before = app.digest();
    app.edit(web("two").requires("new").top([note("top")]).after_reload([note("after")]));
    app.edit(Script::new("new").init([note("init")]));
    let report = app.reload_with(check()).unwrap();
    assert_eq!((report.outcome, report.generation), (Outcome::Checked, 1));
    let modules: Vec<&str> = report.modules.iter().map(|module| module.module.as_str()).collect();
    assert_eq!(modules, ["new", "web"]);
    assert_eq!(app.take_notes(), ["top"]);
    assert_eq!((app.digest(), app.ask("web", "page")), (before, "one".into()));
    app.must_reload();
    assert_eq!(app.take_notes(), ["top", "before", "init", "after"]);
    assert_eq!(app.reload_with(check()).unwrap().outcome, Outcome::Unchanged);
}

/// TX-01: a check finds what only *validate* finds.
pub fn tx_01_a_check_finds_a_clash_of_routes<S: Subject>() {
    needs!(S: plain, routes);
    let route = |name: &str| Script::plain(name).route("GET /page", [ret(name)]);
    let app = App::of::<S>().module(route("a")).module(route("b")).build();
    let error = app.reload_with(check()).expect_err("both register one route");
    assert_eq!((error.code().0, error.report.outcome), ("GR0111", Outcome::Refused));
    assert_eq!(app.status().generation, 0);
}

/// A route's key in which a name after a colon stands for anything, and which begins with a slash.
fn path(key: &str) -> Result<String, String> {
    let (method, path) = key.split_once(" /").ok_or("the path does not begin with `/`: write `/there`")?;
    let segments = path.split('/').map(|segment| if segment.starts_with(':') { ":" } else { segment });
    Ok(format!("{method} /{}", segments.collect::<Vec<_>>().join("/")))
}

/// SCOPE-04: two spellings of one key are one key: another module may not have it, and its own next version may.
pub fn scope_04_two_spellings_of_a_key_are_one_key<S: Subject>() {
    needs!(S: plain, routes);
    let route = |name: &str, route: &str| Script::plain(name).route(route, [ret(route)]);
    let app = App::of::<S>().identity("route", path).module(route("a", "GET /u/:id"));
    let app = app.module(Script::plain("b")).start();
    app.edit(route("b", "GET /u/:name"));
    let error = app.must_fail();
    assert_eq!((error.code().0, error.report.outcome), ("GR0111", Outcome::Refused));
    says(&error, &["GET /u/:id", "`a`", "GET /u/:name", "`b`"]);
    assert_eq!(app.call_route("GET /u/:id").unwrap(), "GET /u/:id".into());
    app.edit(route("a", "GET /u/:name"));
    app.edit(route("b", "POST /u/:name"));
    app.must_reload();
    for key in ["GET /u/:name", "GET /u/:id"] {
        assert_eq!(app.call_route(key).unwrap(), "GET /u/:name".into());
    }
    assert_eq!(app.engine().world().table.snapshot().len(), 2);
}

/// SCOPE-04: a key that there cannot be is an error of the module that writes it, which says what to write.
pub fn scope_04_a_key_that_cannot_be_is_an_error_where_it_stands<S: Subject>() {
    needs!(S: plain, routes);
    let app = App::of::<S>().identity("route", path).module(Script::plain("a")).start();
    app.edit(Script::plain("a").route("GET there", [ret("never")]));
    let error = app.must_fail();
    assert_eq!((error.report.outcome, error.phase), (Outcome::Refused, Phase::Stage));
    assert_eq!(error.module().map(|module| module.as_str()), Some("a"));
    says(&error, &["there", "does not begin with `/`", "write `/there`"]);
    let place = error.kind.place().expect("a place");
    assert_eq!(place.file, S::origin("a"));
    assert_eq!(app.call_route("GET there").unwrap_err().code().0, "GR0201");
}

/// TX-01: what a start initialises while it registers is finalized by a check.
pub fn tx_01_a_check_of_a_start_undoes_init_by_finalize<S: Subject>() {
    needs!(S: hooks);
    let db = Script::new("db").init([note("init db")]).finalize([note("finalize db")]);
    let app = App::of::<S>().module(Script::new("web").requires("db")).module(db.clone()).build();
    let report = app.reload_with(check()).unwrap();
    assert_eq!((report.outcome, report.generation), (Outcome::Checked, 0));
    assert_eq!(report.rolled_back, ["db: init"]);
    assert_eq!(app.take_notes(), ["init db", "finalize db"]);
    app.edit(db.finalize([throw("no")]));
    let error = app.reload_with(check()).expect_err("it cannot be finalized");
    assert!(error.is_stuck(), "{error:?}");
    says(&error, &["finalize", "db", "no"]);
}

/// TX-07: an old `before_reload` that always fails is told how to go on past it, and does not stop who asks so.
pub fn tx_07_a_failing_before_reload_can_be_forgiven<S: Subject>() {
    needs!(S: hooks);
    let db = |tag: &str| {
        Script::new("db").init([set("n", 1)]).function("get", [ret(list([tag.into(), state("n")]))])
    };
    let web = || Script::new("web").requires("db").before_reload([note("before web")]);
    let app = App::of::<S>().module(web()).module(db("one").before_reload([inc("n"), throw("no")])).start();
    app.edit(db("two").after_reload([inc("n")]));
    let error = app.must_fail();
    says(&error, &["before_reload", "`db`", "no", "forgive_before_reload"]);
    app.take_notes();
    let forgive = ReloadOptions { forgive_before_reload: true, ..ReloadOptions::default() };
    let report = app.reload_with(forgive).unwrap();
    assert_eq!(report.outcome, Outcome::Committed);
    let told = |text: &String| text.contains("before_reload of db") && text.contains("no");
    assert!(report.warnings.iter().any(told), "{:?}", report.warnings);
    assert_eq!(app.take_notes(), ["before web"]);
    assert_eq!(app.ask("db", "get"), vec!["two".into(), 2.into()].into(), "only after_reload counted");
    app.edit(db("three"));
    app.must_reload();
    assert_eq!(app.ask("db", "get"), vec!["three".into(), 2.into()].into());
}

/// TX-07: who goes on past a hook can still go back.
pub fn tx_07_a_forgiven_before_reload_is_undone_with_the_rest<S: Subject>() {
    needs!(S: hooks);
    let db = |tag: &str| {
        let get = [ret(list([tag.into(), state("n")]))];
        Script::new("db").init([set("n", 1)]).function("get", get).rollback([note("rollback")])
    };
    let app = App::of::<S>().module(db("one").before_reload([inc("n"), throw("no")])).start();
    let before = app.digest();
    app.edit(db("two").after_reload([inc("n"), throw("no")]));
    let forgive = ReloadOptions { forgive_before_reload: true, ..ReloadOptions::default() };
    let error = app.reload_with(forgive).expect_err("the new hook fails, too");
    assert_eq!((error.code().0, error.report.outcome), ("GR0105", Outcome::RolledBack));
    assert_eq!(app.take_notes(), ["rollback", "rollback"], "one for each hook that began");
    assert_eq!((app.digest(), app.ask("db", "get")), (before, vec!["one".into(), 1.into()].into()));
}
