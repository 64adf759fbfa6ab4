//! REG: registration.

use graceful_core::{Hooks, Lifecycle, Native, Outcome, lifecycle::HookResult};

use super::{in_order, says, words};
use crate::op::*;
use crate::{App, Script, Subject};

/// REG-01: the object has name, version and an empty state.
pub fn reg_01_registering_gives_the_module_object<S: Subject>() {
    needs!(S: registers);
    let look = list([Expr::Name, Expr::Version, state("anything")]);
    let app =
        App::of::<S>().module(Script::new("hits").version("1.2.3").function("look", [ret(look)])).start();
    assert_eq!(app.ask("hits", "look"), words(["hits", "1.2.3", "none"]));
}

/// REG-01: it is known process-wide, across reloads.
pub fn reg_01_a_registered_module_is_known_and_survives_reloads<S: Subject>() {
    needs!(S: registers);
    let hits = Script::new("hits").version("1.2.3").function("hit", [inc("n"), ret(state("n"))]);
    let app = App::of::<S>().module(hits.clone()).start();
    let known =
        || app.status().modules.iter().map(|m| (m.name.clone(), m.version.clone())).collect::<Vec<_>>();
    let before = known();
    assert!(before.iter().any(|(name, version)| name == "hits" && version.is_some()));
    assert_eq!(app.ask("hits", "hit"), 1.into());
    app.edit(hits.comment("again"));
    app.must_reload();
    assert_eq!(known(), before);
    assert_eq!(app.ask("hits", "hit"), 2.into());
}

/// REG-02: once, before the registration returns, and not on a reload.
pub fn reg_02_init_runs_once_and_before_the_registration_returns<S: Subject>() {
    needs!(S: hooks, registers_by_call);
    let hits = Script::new("hits")
        .init([set("ready", 1), note("init")])
        .top([note(list(["top".into(), state("ready")]))]);
    let app = App::of::<S>().module(hits.clone()).start();
    assert_eq!(app.take_notes(), ["init", "top 1"]);
    app.edit(hits.comment("again"));
    app.must_reload();
    assert_eq!(app.take_notes(), ["top 1"]);
}

/// REG-02: a module that a reload brings is initialised in *activate*, after its dependencies.
pub fn reg_02_init_of_a_new_module_runs_in_activate_after_its_dependencies<S: Subject>() {
    needs!(S: hooks);
    let app = App::of::<S>().module(Script::new("web").version("1.0.0")).start();
    app.trace().clear();
    app.edit(Script::new("db").init([note("init db")]));
    app.edit(Script::new("cache").requires("db").init([note("init cache")]));
    app.edit(Script::new("web").version("2.0.0").requires("cache").requires("db"));
    app.must_reload();
    let lines = [
        "staged web 1.0.0 -> 2.0.0",
        "- init db",
        "hook db init",
        "- init cache",
        "hook cache init",
        "commit",
    ];
    in_order(&app.trace().text(), &lines);
}

/// REG-02: `finalize` undoes `init` if the reload fails later.
pub fn reg_02_finalize_undoes_init_when_the_reload_fails<S: Subject>() {
    needs!(S: hooks);
    let app = App::of::<S>().module(Script::new("web")).start();
    app.trace().clear();
    app.edit(Script::new("db").init([note("init")]).finalize([note("finalize")]));
    app.edit(Script::new("web").requires("db").after_reload([throw("no")]));
    app.must_fail();
    assert_eq!(app.take_notes(), ["init", "finalize"]);
    assert!(app.call("db", "anything").is_err());
    app.edit(Script::new("web").requires("db"));
    app.must_reload();
    assert_eq!(app.take_notes(), ["init"]);
}

/// REG-03: this generation's version and hooks, the same state; hooks now missing are gone.
pub fn reg_03_registering_again_gives_this_generations_object_with_the_same_state<S: Subject>() {
    needs!(S: hooks);
    let look = [ret(list([Expr::Version, state("n")]))];
    let hits = Script::new("hits").function("look", look).top([]).function("hit", [inc("n")]);
    let first = hits.clone().version("1.0.0").before_reload([note("before of 1")]);
    let app = App::of::<S>().module(first).start();
    app.ask("hits", "hit");
    app.edit(hits.clone().version("2.0.0").after_reload([note("after of 2")]));
    app.must_reload();
    assert_eq!(app.take_notes(), ["before of 1", "after of 2"]);
    assert_eq!(app.ask("hits", "look"), vec!["2.0.0".into(), 1.into()].into());
    app.edit(hits.version("3.0.0"));
    app.must_reload();
    assert_eq!(app.take_notes(), [""; 0], "version 2 has no `before_reload`, version 3 no `after_reload`");
}

/// REG-03: the old object keeps the old version.
pub fn reg_03_the_old_object_keeps_its_version_until_it_is_retired<S: Subject>() {
    needs!(S: registers, waits);
    let hits = Script::new("hits").function("slow", [note("in"), wait("go"), ret(Expr::Version)]);
    let app = App::of::<S>().module(hits.clone().version("1.0.0")).start();
    let old = app.begin_call("hits", "slow");
    app.until_noted("in");
    app.edit(hits.version("2.0.0"));
    app.must_reload();
    app.open("go");
    assert_eq!(old.join(), Ok("1.0.0".into()));
    assert_eq!(app.ask("hits", "slow"), "2.0.0".into());
}

/// REG-04: a failing `init` at the start.
pub fn reg_04_a_failing_init_leaves_nothing_and_runs_again_later<S: Subject>() {
    needs!(S: hooks);
    let hits = Script::new("hits").function("look", [ret(state("n"))]).finalize([note("finalize")]);
    let app = App::of::<S>().module(hits.clone().init([note("init"), set("n", 1), throw("no")])).build();
    says(&app.must_fail(), &["no"]);
    assert!(app.status().modules.is_empty());
    assert_eq!(app.digest(), "");
    assert_eq!(app.take_notes(), ["init"], "what never was initialised is not finalized");
    app.edit(hits.init([note("init"), inc("n")]));
    app.must_reload();
    assert_eq!(app.take_notes(), ["init"]);
    assert_eq!(app.ask("hits", "look"), 1.into(), "the state is a fresh one");
}

/// REG-04: the same for a module that a reload brings.
pub fn reg_04_a_failing_init_in_a_reload_leaves_nothing_and_runs_again_later<S: Subject>() {
    needs!(S: hooks);
    let hits = Script::new("hits").function("look", [ret(state("n"))]);
    let app = App::of::<S>().module(Script::new("web")).start();
    let before = app.digest();
    app.edit(Script::new("web").requires("hits"));
    app.edit(hits.clone().init([inc("n"), throw("no")]));
    let error = app.must_fail();
    assert_eq!((error.code().0, error.module().map(|m| m.as_str())), ("GR0105", Some("hits")));
    assert_eq!(app.digest(), before);
    app.edit(hits.init([inc("n")]));
    app.must_reload();
    assert_eq!(app.ask("hits", "look"), 1.into());
}

/// REG-05: two sources, one name.
pub fn reg_05_a_taken_name_is_an_error_naming_both_files<S: Subject>() {
    needs!(S: registers_by_call);
    let second = Script::new("second").registers_as("first").requires("first");
    let app = App::of::<S>().module(Script::new("first")).module(second).build();
    let error = app.must_fail();
    says(&error, &["first", &S::origin("first"), &S::origin("second")]);
    assert_eq!(error.code().0, "GR0305");
}

/// REG-06: the name that is registered is the one that is required.
pub fn reg_06_the_registered_name_must_be_the_loaded_one<S: Subject>() {
    needs!(S: registers_by_call);
    let app = App::of::<S>().module(Script::new("hits").registers_as("misses")).build();
    let error = app.must_fail();
    says(&error, &["hits", "misses"]);
    assert_eq!(error.code().0, "GR0305");
}

/// REG-07: an option nobody knows.
pub fn reg_07_an_unknown_option_names_the_nearest_one<S: Subject>() {
    needs!(S: hooks, options);
    let app = App::of::<S>().module(Script::new("hits").hook("finilize", [note("never")])).build();
    let error = app.must_fail();
    says(&error, &["hits", "unknown option `finilize`, did you mean `finalize`?"]);
    assert_eq!(error.code().0, "GR0305");
}

/// REG-07: an option of the wrong type.
pub fn reg_07_a_wrong_type_says_what_was_expected_and_what_came<S: Subject>() {
    needs!(S: registers, options);
    let app = App::of::<S>().module(Script::new("hits").option("drain", "yes")).build();
    says(&app.must_fail(), &["hits", "drain", "expected", "boolean", "got", "string"]);
    app.edit(Script::new("hits").option("version", "one"));
    says(&app.must_fail(), &["hits", "version", "one"]);
}

/// REG-07: no options at all.
pub fn reg_07_options_may_be_absent<S: Subject>() {
    needs!(S: registers);
    let app = App::of::<S>().module(Script::new("hits").function("look", [ret(Expr::Name)])).start();
    assert_eq!(app.ask("hits", "look"), "hits".into());
}

/// REG-08: two spellings of one hook.
pub fn reg_08_on_reload_is_after_reload<S: Subject>() {
    needs!(S: hooks);
    let hits = Script::new("hits").hook("on_reload", [note("after")]);
    let app = App::of::<S>().module(hits.clone()).start();
    app.edit(hits.comment("again"));
    app.must_reload();
    assert_eq!(app.take_notes(), ["after"]);
}

/// REG-08: not both.
pub fn reg_08_both_spellings_are_an_error<S: Subject>() {
    needs!(S: hooks, options);
    let both = Script::new("hits").hook("on_reload", [note("a")]).after_reload([note("b")]);
    let app = App::of::<S>().module(both).build();
    says(&app.must_fail(), &["hits", "on_reload", "after_reload"]);
}

/// REG-09: in this order.
pub fn reg_09_unregister_finalizes_then_releases_then_forgets<S: Subject>() {
    needs!(S: hooks, tasks, routes);
    let hits = Script::new("hits")
        .init([])
        .top([spawn_loop([sleep(1)])])
        .route("GET /hits", [ret("served")])
        .finalize([note("finalize")]);
    let app = App::of::<S>().module(hits).start();
    assert_eq!(app.call_route("GET /hits"), Ok("served".into()));
    app.trace().clear();
    app.unregister("hits", false).unwrap();
    in_order(&app.trace().text(), &["- finalize", "hook hits finalize", "released hits task"]);
    assert_eq!(app.call("hits", "anything").unwrap_err().code().0, "GR0201");
    assert_eq!(app.call_route("GET /hits").unwrap_err().code().0, "GR0201");
    assert!(!app.digest().contains("hits"));
}

/// REG-09: nobody by that name.
pub fn reg_09_an_unknown_name_is_an_error<S: Subject>() {
    let app = App::of::<S>().module(Script::plain("web")).start();
    assert_eq!(app.unregister("nobody", false).unwrap_err().code().0, "GR0113");
}

/// REG-09: it is gone all the same.
pub fn reg_09_a_failing_finalize_is_reported_and_the_module_is_gone<S: Subject>() {
    needs!(S: hooks);
    let app = App::of::<S>().module(Script::new("hits").finalize([throw("no")])).start();
    let report = app.unregister("hits", false).unwrap();
    assert_eq!(report.outcome, Outcome::Committed);
    assert!(
        report.warnings.iter().any(|text| text.contains("finalize") && text.contains("no")),
        "{report:?}"
    );
    assert_eq!(app.call("hits", "anything").unwrap_err().code().0, "GR0201");
}

/// REG-09: who requires it is in the way, unless forced.
pub fn reg_09_dependents_are_an_error_unless_forced<S: Subject>() {
    let db = Script::plain("db").function("get", [ret("value")]);
    let web = Script::plain("web").requires("db").function("page", [ret("page")]);
    let app = App::of::<S>().module(db).module(web).start();
    let error = app.unregister("db", false).unwrap_err();
    assert_eq!(error.code().0, "GR0112");
    says(&error, &["db", "web"]);
    assert_eq!(app.ask("db", "get"), "value".into());
    app.unregister("db", true).unwrap();
    assert_eq!(app.call("db", "get").unwrap_err().code().0, "GR0201");
    assert_eq!(app.ask("web", "page"), "page".into());
}

/// REG-09: from a script.
pub fn reg_09_a_script_unregisters_another_module<S: Subject>() {
    needs!(S: hooks, unregisters, waits);
    let db = Script::new("db").finalize([note("finalize")]);
    let web = Script::new("web").function("drop_db", [unregister("db"), unregister("db"), ret("dropped")]);
    let app = App::of::<S>().module(db).module(web).start();
    assert_eq!(app.ask("web", "drop_db"), "dropped".into());
    assert_eq!(app.take_notes(), ["finalize", "unregister GR0113"]);
}

struct Failing;

#[async_trait::async_trait]
impl Lifecycle for Failing {
    async fn after_reload(&self, _: &graceful_core::HookCx) -> HookResult {
        Err("no".into())
    }
}

/// REG-11: one engine, one graph.
pub fn reg_11_a_native_module_takes_part_in_order_hooks_and_rollback<S: Subject>() {
    let web = Script::plain("web").requires("store").function("page", [ret(call("store", "get"))]);
    let answer = |text: &'static str| move |_: Vec<_>| Ok(text.into());
    let app =
        App::of::<S>().native("store", &[], move |_| Ok(Native::new("1.0.0").function("get", answer("one"))));
    let app = app.module(web).start();
    assert_eq!(app.ask("web", "page"), "one".into());
    let before = app.digest();
    let hooks = Hooks { after_reload: true, ..Hooks::default() };
    let natives = &app.shelf().natives;
    let broken = move || Native::new("2.0.0").function("get", answer("two")).lifecycle(hooks, Failing);
    natives.set("store", &[], move |_| Ok(broken()));
    let error = app.must_fail();
    assert_eq!((error.code().0, error.module().map(|m| m.as_str())), ("GR0105", Some("store")));
    assert_eq!(app.digest(), before);
    assert_eq!(app.ask("web", "page"), "one".into());
    natives.set("store", &[], move |_| Ok(Native::new("2.0.0").function("get", answer("two"))));
    app.trace().clear();
    app.must_reload();
    in_order(&app.trace().text(), &["staged store 1.0.0 -> 2.0.0", "staged web", "commit"]);
    assert_eq!(app.ask("web", "page"), "two".into());
}
