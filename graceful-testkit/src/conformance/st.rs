//! ST: state.

use std::time::Duration;

use graceful_core::Value;

use super::words;
use crate::op::*;
use crate::{App, Script, Subject};

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("plain data")
}

/// ST-01: old code in flight and new code hold the same state.
pub fn st_01_state_has_the_same_identity_before_and_after<S: Subject>() {
    needs!(S: registers, waits);
    let hits = |tag: &str| {
        let slow = [note("in"), wait("go"), set("by_old", tag), ret(state("by_new"))];
        Script::new("hits")
            .function("slow", slow)
            .function("write", [set("by_new", tag)])
            .function("read", [ret(state("by_old"))])
    };
    let app = App::of::<S>().module(hits("one")).start();
    let old = app.begin_call("hits", "slow");
    app.until_noted("in");
    app.edit(hits("two"));
    app.must_reload();
    app.ask("hits", "write");
    app.open("go");
    assert_eq!(old.join(), Ok("two".into()), "what new code writes, old code reads");
    assert_eq!(app.ask("hits", "read"), "one".into(), "and the other way round");
}

/// ST-02: plain data, nested and shared.
pub fn st_02_nested_and_shared_data_survive<S: Subject>() {
    needs!(S: registers);
    let look = list([state("user.name"), state("user.home.city"), state("list")]);
    let hits = Script::new("hits")
        .function(
            "fill",
            [set("user", json(r#"{"name": "ada", "home": {"city": "london"}}"#)), push("list", 1)],
        )
        .function("look", [ret(look)]);
    let app = App::of::<S>().module(hits.clone()).start();
    app.ask("hits", "fill");
    let before = app.ask("hits", "look");
    assert_eq!(before, vec!["ada".into(), "london".into(), vec![1.into()].into()].into());
    app.edit(hits.comment("again"));
    app.must_reload();
    assert_eq!(app.ask("hits", "look"), before);
}

/// ST-02: two names of one object stay that.
pub fn st_02_aliases_stay_aliases<S: Subject>() {
    needs!(S: registers, aliases);
    let hits = Script::new("hits")
        .function("fill", [set("a", json(r#"{"n": 1}"#)), set("b", state("a"))])
        .function("write", [set("b.n", 2), ret(state("a.n"))]);
    let app = App::of::<S>().module(hits.clone()).start();
    app.ask("hits", "fill");
    app.edit(hits.comment("again"));
    app.must_reload();
    assert_eq!(app.ask("hits", "write"), 2.into());
}

/// ST-02: functions, which stay the code they are.
pub fn st_02_functions_survive_and_stay_the_code_they_are<S: Subject>() {
    needs!(S: registers, kept_functions, deferred);
    let db = |tag: &str| Script::plain("db").function("get", [ret(tag)]);
    let hits = |tag: &str| {
        Script::new("hits")
            .function("fill", [keep("f", [ret(list([tag.into(), call("db", "get")]))])])
            .function("run", [ret(kept("f"))])
    };
    let app = App::of::<S>().module(hits("one")).module(db("one")).start();
    app.ask("hits", "fill");
    assert_eq!(app.ask("hits", "run"), words(["one", "one"]));
    app.edit(hits("two"));
    app.must_reload();
    let Value::List(parts) = app.ask("hits", "run") else { panic!("a list") };
    assert_eq!(parts[0], "one".into());
    app.ask("hits", "fill");
    assert_eq!(app.ask("hits", "run"), words(["two", "one"]));
}

/// ST-02: and see their own time, whoever calls them, as long as that is there.
pub fn st_02_a_function_sees_its_own_generation_whoever_calls_it<S: Subject>() {
    needs!(S: registers, kept_functions, dynamic, waits);
    let db = |tag: &str| Script::plain("db").function("get", [ret(tag)]);
    let hits = |tag: &str| {
        let both = || [ret(list([tag.into(), call_dynamic("db", "get")]))];
        Script::new("hits")
            .function("keep_old", [keep("old", both())])
            .function("keep_new", [keep("later", both())])
            .function("run_old", [ret(kept("old"))])
            .function("slow", [note("in"), wait("go"), ret(kept("later"))])
    };
    let app = App::of::<S>().module(hits("one")).module(db("one")).start();
    app.ask("hits", "keep_old");
    let old = app.begin_call("hits", "slow");
    app.until_noted("in");
    app.edit(hits("two"));
    app.edit(db("two"));
    app.must_reload();
    app.ask("hits", "keep_new");
    assert_eq!(app.ask("hits", "run_old"), words(["one", "one"]), "an old function in a new call");
    app.open("go");
    assert_eq!(old.join(), Ok(words(["two", "two"])), "a new function in an old call");
}

/// ST-02: nothing is copied without need.
pub fn st_02_nothing_is_copied_without_a_reload_hook_or_where_the_module_says_so<S: Subject>() {
    needs!(S: hooks);
    let hooked = |name: &str| Script::new(name).after_reload([]);
    let scripts = [
        Script::new("bare").init([]).finalize([]),
        hooked("auto"),
        hooked("own").checkpoint("own").rollback([]),
        hooked("none").checkpoint("none"),
    ];
    let mut app = App::of::<S>();
    for script in &scripts {
        app = app.module(script.clone());
    }
    let app = app.start();
    app.trace().clear();
    scripts.into_iter().for_each(|script| app.edit(script.comment("again")));
    app.must_reload();
    let text = app.trace().text();
    let copied: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("checkpoint ")).collect();
    assert_eq!(copied, ["auto"]);
}

fn ticking(tag: &str) -> Script {
    Script::new("hits")
        .init([keep_task("task", [inc("n"), sleep(1)])])
        .function("n", [ret(state("n"))])
        .function("tag", [ret(tag)])
}

/// ST-03: nobody but the hooks runs on a state between checkpoint and commit.
pub fn st_03_the_module_is_frozen_while_hooks_run<S: Subject>() {
    needs!(S: hooks, tasks, handover, waits);
    let app = App::of::<S>().module(ticking("one")).start();
    app.until("tick", || app.ask("hits", "n") != Value::Null);
    let after = [set("at", state("n")), sleep(30), note(list(["still".into(), state("n"), state("at")]))];
    app.edit(ticking("two").after_reload(after));
    app.must_reload();
    let notes = app.take_notes();
    let parts: Vec<&str> = notes[0].split(' ').collect();
    assert_eq!(parts[1], parts[2], "the task ran while the hook waited");
    let then = app.ask("hits", "n");
    app.until("task goes on", || app.ask("hits", "n") != then);
}

/// ST-03: and nobody loses a write to the rollback.
pub fn st_03_a_rollback_loses_no_write_but_the_hooks<S: Subject>() {
    needs!(S: hooks, waits);
    let hits = Script::new("hits").function("hit", [inc("n"), ret(state("n"))]);
    let app = App::of::<S>().module(hits.clone()).start();
    app.ask("hits", "hit");
    app.edit(hits.after_reload([set("n", 100), note("in"), wait("go"), throw("no")]));
    let reload = app.begin_reload();
    app.until_noted("in");
    let late = app.begin_call("hits", "hit");
    app.time().settle();
    assert!(!late.is_done());
    app.open("go");
    reload.join().unwrap_err();
    assert_eq!(late.join(), Ok(2.into()));
}

/// ST-03: equal, nested entries, lists and aliases included, and the same object.
pub fn st_03_after_a_rollback_the_state_is_what_it_was<S: Subject>() {
    needs!(S: hooks, plain);
    let aliases = S::capabilities().aliases;
    let fill =
        [set("user", json(r#"{"name": "ada", "tags": ["a"], "home": {"city": "london"}}"#)), set("n", 1)];
    let alias = if aliases { vec![set("same", state("user"))] } else { Vec::new() };
    let hits = Script::new("hits")
        .init(fill.into_iter().chain(alias))
        .function("rename", [set("user.name", "bob")])
        .function("same", [ret(state(if aliases { "same.name" } else { "user.name" }))]);
    let app = App::of::<S>().module(hits.clone()).start();
    let before = app.digest();
    let damage = [
        set("user.name", "eve"),
        push("user.tags", "b"),
        set("user.home.city", "paris"),
        set("n", Value::Null),
        set("new", 1),
        set("same", "gone"),
        throw("no"),
    ];
    app.edit(hits.after_reload(damage));
    app.must_fail();
    assert_eq!(app.digest(), before);
    app.ask("hits", "rename");
    assert_eq!(app.ask("hits", "same"), "bob".into());
}

/// ST-05: gone with its state, and fresh when it is put back.
pub fn st_05_a_removed_module_starts_fresh_when_it_is_put_back<S: Subject>() {
    needs!(S: hooks, plain);
    let hits = Script::new("hits").init([note("init")]).finalize([note("finalize")]);
    let hits = hits.function("hit", [inc("n"), ret(state("n"))]);
    let (with, without) = (Script::plain("web").requires("hits"), Script::plain("web"));
    let app = App::of::<S>().module(hits.clone()).module(with.clone()).entry("web").start();
    assert_eq!(app.ask("hits", "hit"), 1.into());
    app.remove("hits");
    app.edit(without);
    app.must_reload();
    assert_eq!(app.call("hits", "hit").unwrap_err().code().0, "GR0201");
    app.edit(hits);
    app.edit(with);
    app.must_reload();
    assert_eq!(app.take_notes(), ["init", "finalize", "init"]);
    assert_eq!(app.ask("hits", "hit"), 1.into());
}

fn filling(op: Op) -> Script {
    Script::new("hits")
        .function("look", [ret(list([state("cache"), state("n")]))])
        .top([set("cache", "filled"), op])
}

/// ST-06: new keys are there for the staged code at once, for live code at the commit.
pub fn st_06_new_keys_of_a_top_level_show_at_the_commit<S: Subject>() {
    needs!(S: registers, waits_at_load);
    let look = Script::new("hits").function("look", [ret(list([state("cache"), state("n")]))]);
    let app = App::of::<S>().module(look.function("hit", [inc("n")])).start();
    app.ask("hits", "hit");
    app.edit(filling(note(list(["staged sees".into(), state("cache")]))).top([wait("go")]));
    let reload = app.begin_reload();
    app.until_noted("staged sees filled");
    assert_eq!(app.ask("hits", "look"), vec!["none".into(), 1.into()].into());
    app.open("go");
    reload.join().unwrap();
    assert_eq!(app.ask("hits", "look"), vec!["filled".into(), 1.into()].into());
}

/// ST-06: and they are gone when the reload fails.
pub fn st_06_new_keys_of_a_top_level_are_gone_after_a_failed_reload<S: Subject>() {
    needs!(S: registers);
    let look = Script::new("hits").function("look", [ret(list([state("cache"), state("n")]))]);
    let app = App::of::<S>().module(look.clone().function("hit", [inc("n")])).start();
    app.ask("hits", "hit");
    let before = app.digest();
    app.edit(filling(throw("no")));
    app.must_fail();
    assert_eq!(app.digest(), before);
    assert_eq!(app.ask("hits", "look"), vec!["none".into(), 1.into()].into());
    app.edit(look);
    app.must_reload();
    app.time().pass(Duration::from_millis(1));
    assert_eq!(app.ask("hits", "look"), vec!["none".into(), 1.into()].into());
}

/// ST-06: hooks of the new code see them, and what they make of them is what the commit shows.
pub fn st_06_hooks_of_new_code_see_what_their_top_level_wrote<S: Subject>() {
    needs!(S: registers, hooks);
    let look = Script::new("hits").function("look", [ret(list([state("cache"), state("n")]))]);
    let app = App::of::<S>().module(look.clone().function("hit", [inc("n")])).start();
    app.ask("hits", "hit");
    let after =
        [note(state("cache")), set("cache", "changed"), inc("n"), note(list([state("cache"), state("n")]))];
    app.edit(look.clone().top([set("cache", "filled")]).after_reload(after));
    app.must_reload();
    assert_eq!(app.take_notes(), ["filled", "changed 2"]);
    assert_eq!(app.ask("hits", "look"), vec!["changed".into(), 2.into()].into());
    app.edit(look.top([set("cache", Value::Null), set("more", 1)]).after_reload([throw("no")]));
    app.must_fail();
    assert_eq!(app.ask("hits", "look"), vec!["changed".into(), 2.into()].into());
}
