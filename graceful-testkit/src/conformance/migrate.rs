//! VER-02: what a migration makes of a state. With ST-02 and SCOPE-03, as far as they are about migrations.

use std::time::Duration;

use graceful_core::{Outcome, Value};

use super::ver::{counter, look, start};
use super::{in_order, says, words};
use crate::op::*;
use crate::{App, Script, Subject};

/// VER-02: a declaration that makes no sense is an error that says where.
pub fn ver_02_a_wrong_declaration_is_told_when_the_module_registers<S: Subject>() {
    needs!(S: registers, migrates);
    let web = || Script::new("web").version("2.0.0");
    let wrong = [
        (web().up("1.0", "2.0.0", []), "`1.0` is not a version"),
        (web().up("1.0.0", "two", []), "`two` is not a version"),
        (web().up("2.0.0", "1.0.0", []), "got 2.0.0 -> 1.0.0"),
        (web().up("1.0.0", "2.0.0", []).up([1, 0, 0], "2.0.0", []), "1.0.0 -> 2.0.0 is declared twice"),
        (Script::new("web").up("1.0.0", "2.0.0", []), "need the option `version`"),
        (web().lossy("1.0.0", "2.0.0"), "has neither `up` nor `down`"),
    ];
    for (script, told) in wrong {
        let app = App::of::<S>().module(script).build();
        says(&app.must_fail(), &["web", "option `migrations`", told]);
    }
    if S::capabilities().options {
        let app = App::of::<S>().module(web().option("migrations", 5)).build();
        says(&app.must_fail(), &["web", "option `migrations`", "expected", "got"]);
    }
}

/// VER-02: one step, on the state that calls made.
pub fn ver_02_a_migration_takes_the_state_to_the_new_version<S: Subject>() {
    needs!(S: registers, migrates);
    let app = start::<S>(counter(1));
    app.edit(counter(2));
    let report = app.must_reload();
    assert_eq!(report.outcome, Outcome::Committed);
    assert_eq!(app.ask("counter", "look"), look(None, Some(2), None));
    assert_eq!(app.ask("counter", "hit"), 3.into());
    app.edit(counter(2).comment("again"));
    assert!(app.must_reload().modules[0].migration.is_empty(), "the same version does not migrate");
    assert_eq!(app.ask("counter", "look"), look(None, Some(3), None));
}

/// VER-02: the shortest chain, and a version has the form of the last one that a step names.
pub fn ver_02_the_shortest_chain_is_taken<S: Subject>() {
    needs!(S: registers, migrates);
    let app = start::<S>(counter(1).version("1.4.2"));
    app.edit(counter(3).version("3.0.1"));
    let report = app.must_reload();
    let steps: Vec<String> = report.modules[0].migration.iter().map(ToString::to_string).collect();
    assert_eq!(steps, ["1.0.0 -> 2.0.0", "2.0.0 -> 3.0.0"]);
    assert_eq!(app.ask("counter", "look"), look(None, None, Some(2)));
    let direct =
        counter(3).version("3.0.1").up("1.0.0", "3.0.0", [set("total", 77), set("count", Value::Null)]);
    let app = start::<S>(counter(1));
    app.edit(direct);
    app.must_reload();
    assert_eq!(app.ask("counter", "look"), look(None, None, Some(77)), "one step is shorter than two");
}

/// VER-02: it is the same state afterwards: a function of old code that is kept in it sees the new entries.
pub fn ver_02_the_state_keeps_its_identity<S: Subject>() {
    needs!(S: registers, migrates, kept_functions);
    let app = start::<S>(counter(1).function("fill", [keep("old", [ret(state("hits"))])]));
    app.ask("counter", "fill");
    app.edit(counter(2).function("run", [ret(kept("old"))]));
    app.must_reload();
    assert_eq!(app.ask("counter", "run"), 2.into());
    app.ask("counter", "hit");
    assert_eq!(app.ask("counter", "run"), 3.into());
}

/// VER-02: a step may return a new state instead of changing the one it got.
pub fn ver_02_a_step_changes_the_copy_or_returns_a_new_state<S: Subject>() {
    needs!(S: registers, migrates);
    let fresh = [set("fresh", Value::map()), set("fresh.hits", state("count")), ret(state("fresh"))];
    let app = start::<S>(counter(1));
    let two = Script::new("counter")
        .version("2.0.0")
        .function("look", [ret(list([state("count"), state("hits"), state("fresh")]))])
        .up("1.0.0", "2.0.0", fresh);
    app.edit(two);
    app.must_reload();
    assert_eq!(app.ask("counter", "look"), look(None, Some(2), None), "nothing of the old one is left");
}

/// VER-02: dependencies first, each before its own `after_reload`, and a dependency's `after_reload` before the
/// dependent's migration.
pub fn ver_02_dependencies_migrate_first_and_before_their_after_reload<S: Subject>() {
    needs!(S: hooks, migrates);
    let module = |name: &str, version: &str| {
        let script = Script::new(name).version(version).init([set("n", 1)]);
        script.up("1.0.0", "2.0.0", [inc("n")]).before_reload([set("last", version)])
    };
    let after = |script: Script| script.after_reload([note(list([Expr::Name, state("n"), state("last")]))]);
    let app =
        App::of::<S>().module(module("web", "1.0.0").requires("db")).module(module("db", "1.0.0")).start();
    app.trace().clear();
    app.edit(after(module("db", "2.0.0")));
    app.edit(after(module("web", "2.0.0").requires("db")));
    app.must_reload();
    let lines = [
        "found db 1.0.0 -> 2.0.0",
        "found web 1.0.0 -> 2.0.0",
        "shut db web",
        "hook web before_reload",
        "hook db before_reload",
        "migration db 1.0.0 -> 2.0.0",
        "- db 2 1.0.0",
        "hook db after_reload",
        "migration web 1.0.0 -> 2.0.0",
        "- web 2 1.0.0",
        "hook web after_reload",
        "commit",
    ];
    in_order(&app.trace().text(), &lines);
}

/// VER-02: what a top level held back for an entry gives way to what the migration made of that entry.
pub fn ver_02_the_migration_has_the_last_word_over_a_staged_top_level<S: Subject>() {
    needs!(S: registers, migrates);
    for checkpoint in ["auto", "none"] {
        let app = start::<S>(counter(1).checkpoint(checkpoint));
        app.edit(counter(2).checkpoint(checkpoint).top([set("hits", 0), set("total", 9)]));
        app.must_reload();
        assert_eq!(app.ask("counter", "look"), look(None, Some(2), Some(9)), "checkpoint {checkpoint}");
    }
}

/// VER-02: whoever asks meanwhile waits, and then sees the new form.
pub fn ver_02_calls_wait_while_the_state_is_on_its_way<S: Subject>() {
    needs!(S: registers, migrates, waits, plain);
    let app = start::<S>(counter(1));
    let two = counter(2);
    let slow: Vec<Op> =
        [note("up"), wait("go")].into_iter().chain(two.migrations[0].up.clone().unwrap()).collect();
    app.edit(two.up("1.0.0", "2.0.0", slow));
    let reload = app.begin_reload();
    app.until_noted("up");
    let waiting = app.begin_call("counter", "look");
    app.time().settle();
    assert!(!waiting.is_done(), "nobody sees it half-way");
    app.open("go");
    reload.join().expect("it migrates");
    assert_eq!(waiting.join(), Ok(look(None, Some(2), None)));
}

/// ST-02: what can be reached twice in a state is copied once, and stays one thing afterwards.
pub fn st_02_a_migration_keeps_aliases<S: Subject>() {
    needs!(S: registers, migrates, aliases);
    let one = counter(1).function(
        "fill",
        [set("a", serde_json::from_str::<Value>(r#"{"n": 1}"#).unwrap()), set("b", state("a"))],
    );
    let app = start::<S>(one);
    app.ask("counter", "fill");
    app.edit(counter(2).function("write", [set("b.n", 2), ret(state("a.n"))]));
    app.must_reload();
    assert_eq!(app.ask("counter", "write"), 2.into());
}

/// SCOPE-03: a task whose handle is in the state stays with it through a migration.
pub fn scope_03_a_kept_task_goes_on_after_a_migration<S: Subject>() {
    needs!(S: registers, migrates, tasks, handover);
    let ticking = |script: Script| script.function("ticks", [ret(state("ticks"))]);
    let first = ticking(counter(1)).top([keep_task("task", [sleep(10), inc("ticks")])]);
    let app = start::<S>(first);
    app.edit(ticking(counter(2)));
    app.must_reload();
    in_order(
        &app.trace().text(),
        &["migration counter 1.0.0 -> 2.0.0", "commit", "handed over counter task"],
    );
    let now = app.ask("counter", "ticks").as_int().unwrap_or_default();
    app.until("tick of the task", || app.ask("counter", "ticks").as_int().unwrap_or_default() > now);
}

/// VER-02: recorded states go up and back down; what gets lost on the way is told, with the entry, unless the
/// step is declared to lose it.
pub fn ver_02_a_round_trip_shows_what_a_migration_loses<S: Subject>() {
    needs!(S: registers, migrates);
    let recorded = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let record = recorded(r#"{"count": 3, "list": [1, 2], "user": {"name": "ada", "age": 36}, "empty": {}}"#);
    let app = App::of::<S>().module(counter(3)).start();
    let before = app.digest();
    let told = |app: &App, version: &str, record: &Value| -> Vec<String> {
        let trip = app.round_trip("counter", version, record).expect("it can go");
        trip.steps.iter().map(ToString::to_string).collect()
    };
    let same = |step: &str| format!("{step}: up and down give what was there");
    assert_eq!(told(&app, "1.3.0", &record), [same("1.0.0 -> 2.0.0"), same("2.0.0 -> 3.0.0")]);
    assert_eq!(app.digest(), before, "no state of a module is touched");
    let loses = [set("hits", state("count")), set("count", Value::Null), set("user.age", "old")];
    app.edit(counter(3).up("1.0.0", "2.0.0", loses.clone()));
    app.must_reload();
    let trip = app.round_trip("counter", "1.0.0", &record).expect("it can go");
    assert!(!trip.is_ok() && trip.steps[1].is_ok(), "{trip:?}");
    assert_eq!(trip.steps[0].to_string(), "1.0.0 -> 2.0.0: up and down make old of 36 at `user.age`");
    app.edit(counter(3).up("1.0.0", "2.0.0", loses).lossy("1.0.0", "2.0.0").up(
        "2.0.0",
        "3.0.0",
        [throw("no")],
    ));
    app.must_reload();
    let trip = app.round_trip("counter", "1.0.0", &record).expect("it can go");
    assert_eq!(trip.steps[0].to_string(), "1.0.0 -> 2.0.0: lossy, as declared");
    let failed = trip.steps[1].to_string();
    assert!(
        !trip.is_ok() && failed.starts_with("2.0.0 -> 3.0.0 failed: ") && failed.ends_with("no"),
        "{failed}"
    );
    let refused = |version: &str| app.round_trip("counter", version, &record).unwrap_err().to_string();
    assert!(refused("4.0.0").contains("later than the module's 3.0.0"), "{}", refused("4.0.0"));
    assert!(refused("0.9.0").contains("no migration leads from 0.9.0 to 3.0.0"), "{}", refused("0.9.0"));
}

/// VER-02: a step is code of its module and runs like a hook: up sees the new modules, down the old ones, and a
/// reload that it asks for is refused.
pub fn ver_02_a_step_sees_what_its_code_sees<S: Subject>() {
    needs!(S: registers, migrates, plain, deferred);
    let db = |tag: &str| Script::plain("db").function("get", [ret(tag)]);
    let asks = [set("seen", call("db", "get"))];
    let web = |version: &str| {
        let script = Script::new("web").version(version).function("look", [ret(list([state("seen")]))]);
        script.up("1.0.0", "2.0.0", asks.clone()).down("1.0.0", "2.0.0", asks.clone())
    };
    let app = App::of::<S>().module(web("1.0.0")).module(db("one")).start();
    app.edit(db("two"));
    app.edit(web("2.0.0"));
    app.must_reload();
    assert_eq!(app.ask("web", "look"), words(["two"]));
    app.edit(db("three"));
    app.edit(web("1.0.0"));
    app.must_reload();
    assert_eq!(app.ask("web", "look"), words(["two"]), "the way down is code of the version that is left");
    if S::capabilities().reloads {
        app.edit(web("2.0.0").up("1.0.0", "2.0.0", [Op::Reload]));
        app.must_reload();
        assert!(app.take_notes().contains(&"reload GR0116".to_owned()));
    }
}

/// ST-03: the module stands still while its state is on its way, so that no write is lost.
pub fn st_03_a_migration_loses_no_write_of_a_kept_task<S: Subject>() {
    needs!(S: registers, migrates, tasks, handover, waits);
    let ticks = |script: Script| script.function("ticks", [ret(state("ticks"))]);
    let first = ticks(counter(1)).top([keep_task("task", [sleep(1), inc("ticks"), note("tick")])]);
    let app = start::<S>(first);
    app.until_noted("tick");
    let two = ticks(counter(2)).up("1.0.0", "2.0.0", [note("up"), wait("go"), set("frozen", state("ticks"))]);
    app.edit(two.function("frozen", [ret(state("frozen"))]));
    let reload = app.begin_reload();
    app.until_noted("up");
    let ticked = || app.trace().notes().iter().filter(|note| *note == "tick").count();
    let before = ticked();
    app.time().pass(Duration::from_millis(30));
    assert_eq!(ticked(), before, "the task stands still");
    app.open("go");
    reload.join().expect("it migrates");
    let frozen = app.ask("counter", "frozen").as_int().unwrap_or_default();
    app.until("tick of the task", || app.ask("counter", "ticks").as_int().unwrap_or_default() > frozen);
}

/// VER-02: the form of a state is the one that its last registered version gave it, whatever code came between.
pub fn ver_02_a_migration_begins_at_the_version_that_the_state_has<S: Subject>() {
    needs!(S: migrates, plain);
    let app = start::<S>(counter(1));
    app.edit(Script::plain("counter").function("look", [ret("plain")]));
    app.must_reload();
    app.edit(Script::plain("counter").function("look", [ret("plain again")]));
    app.must_reload();
    app.edit(counter(3));
    let report = app.must_reload();
    assert_eq!(report.modules[0].migration.len(), 2, "{report:?}");
    assert_eq!(app.ask("counter", "look"), look(None, None, Some(2)));
    app.edit(Script::plain("counter"));
    app.must_reload();
    app.edit(counter(3).comment("the same version"));
    assert!(app.must_reload().modules[0].migration.is_empty());
    app.edit(Script::plain("counter"));
    app.must_reload();
    app.edit(counter(2));
    app.must_reload();
    assert_eq!(app.ask("counter", "look"), look(None, Some(2), None));
}
