//! VER: versions and migrations. VER-06 is in `told`.

use std::time::Duration;

use graceful_core::{Limits, MigrationStep, Outcome, Phase, ReloadOptions, Value, Version};

use super::{in_order, says};
use crate::op::*;
use crate::{App, Script, Subject};

/// A counter whose state has another form in each major version: `count`, `hits`, `total`.
pub(super) fn counter(major: u32) -> Script {
    let key = ["count", "hits", "total"][major as usize - 1];
    let renamed = |from: &str, to: &str| [set(to, state(from)), set(from, Value::Null)];
    Script::new("counter")
        .version(&format!("{major}.0.0"))
        .init([set(key, 0)])
        .function("hit", [inc(key), ret(state(key))])
        .function("look", [ret(list([state("count"), state("hits"), state("total")]))])
        .up("1.0.0", "2.0.0", renamed("count", "hits"))
        .down("1.0.0", "2.0.0", renamed("hits", "count"))
        .up("2.0.0", "3.0.0", renamed("hits", "total"))
        .down("2.0.0", "3.0.0", renamed("total", "hits"))
}

/// What each entry of the counter's state is.
fn look(count: Option<i64>, hits: Option<i64>, total: Option<i64>) -> Value {
    [count, hits, total].map(|entry| entry.map_or("none".into(), Value::from)).into()
}

fn start<S: Subject>(script: Script) -> App {
    let app = App::of::<S>().module(script).start();
    app.ask("counter", "hit");
    app.ask("counter", "hit");
    app.trace().clear();
    app
}

/// VER-01: a version in a form that is none of the three is an error when the module registers.
pub fn ver_01_what_is_no_version_is_an_error_when_the_module_registers<S: Subject>() {
    needs!(S: registers, options);
    let forms: [(Value, &str); 5] = [
        ("1.2".into(), "1.2"),
        ("one".into(), "one"),
        ([1, 2].into(), "1, 2"),
        (true.into(), "true"),
        ([1, 2, -3].into(), "1, 2, -3"),
    ];
    for (version, got) in forms {
        let app = App::of::<S>().module(Script::new("web").option("version", version)).build();
        says(&app.must_fail(), &["web", "version", got, "is not a version: expected `maj.min.patch`"]);
    }
}

/// VER-01: a text and a list are the same version, in a registration and in a step of a migration.
pub fn ver_01_a_text_and_a_list_are_the_same_version<S: Subject>() {
    needs!(S: registers);
    let hits = |version: Value| Script::new("hits").option("version", version);
    let app = App::of::<S>().module(hits("1.2.3".into())).start();
    app.edit(hits([1, 2, 3].into()).comment("a list"));
    let module = app.must_reload().modules.remove(0);
    assert_eq!(module.old, module.new);
    assert_eq!(module.new, Some(Version::new(1, 2, 3)));
    app.edit(hits("2.0.0".into()).up([1, 2, 3], [2, 0, 0], [set("n", 1)]));
    assert_eq!(app.must_reload().modules[0].migration.len(), 1);
}

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

/// VER-03: no way between two major versions is refused before anything is touched, and lists what there is.
pub fn ver_03_without_a_way_to_another_major_version_nothing_is_touched<S: Subject>() {
    needs!(S: registers, migrates);
    let app = start::<S>(counter(1).before_reload([note("touched")]));
    let before = app.digest();
    app.edit(counter(3).version("4.0.0"));
    let error = app.must_fail();
    assert_eq!(
        (error.code().0, error.phase, error.report.outcome),
        ("GR0123", Phase::Validate, Outcome::Refused)
    );
    says(&error, &["counter", "1.0.0", "4.0.0", "2.0.0 -> 3.0.0 (up and down)"]);
    assert_eq!((app.digest(), app.take_notes().len()), (before, 0));
    let forced = app.reload_with(ReloadOptions { force: true, ..ReloadOptions::default() });
    assert_eq!(forced.expect_err("force does not help").code().0, "GR0123");
    let checked = app.reload_with(ReloadOptions { check: true, ..ReloadOptions::default() });
    assert_eq!(checked.expect_err("a check finds it").code().0, "GR0123");
}

/// VER-03: within a major version the state may stay as it is; what that leaves open is a warning. Where nobody
/// declares migrations, versions are names only.
pub fn ver_03_within_a_major_version_or_without_migrations_the_state_stays<S: Subject>() {
    needs!(S: registers, migrates);
    let app = start::<S>(counter(1));
    app.edit(counter(1).version("1.7.0"));
    let report = app.must_reload();
    assert!(report.modules[0].migration.is_empty() && report.warnings.is_empty(), "{report:?}");
    app.edit(counter(1).version("1.9.0").up("1.8.0", "1.9.0", [set("count", 0)]));
    let report = app.must_reload();
    let told = |text: &String| text.contains("1.7.0 -> 1.9.0") && text.contains("as it is");
    assert!(report.warnings.iter().any(told), "{:?}", report.warnings);
    assert_eq!(app.ask("counter", "look"), look(Some(2), None, None));
    let bare = |version: &str| Script::new("bare").version(version);
    let app = App::of::<S>().module(bare("1.0.0")).start();
    for version in ["3.0.0", "2.0.0"] {
        app.edit(bare(version));
        app.must_reload();
    }
}

/// VER-04: back by `down`, which the code that is left behind knows.
pub fn ver_04_a_downgrade_takes_the_steps_down<S: Subject>() {
    needs!(S: registers, migrates);
    let app = start::<S>(counter(3));
    let mut one = counter(1);
    one.migrations.clear();
    app.edit(one);
    let report = app.must_reload();
    let steps: Vec<String> = report.modules[0].migration.iter().map(ToString::to_string).collect();
    assert_eq!(steps, ["3.0.0 -> 2.0.0", "2.0.0 -> 1.0.0"]);
    assert_eq!(app.ask("counter", "look"), look(Some(2), None, None));
    app.edit(counter(3));
    app.must_reload();
    assert_eq!(app.ask("counter", "look"), look(None, None, Some(2)), "and up again");
}

/// VER-04: without `down` it is refused, unless forced: then the state stays as it is.
pub fn ver_04_without_down_a_downgrade_is_refused_unless_forced<S: Subject>() {
    needs!(S: registers, migrates);
    let mut two = counter(2);
    two.migrations.iter_mut().for_each(|step| step.down = None);
    let app = start::<S>(two.clone());
    let before = app.digest();
    let mut one = counter(1);
    one.migrations = two.migrations;
    app.edit(one);
    let error = app.must_fail();
    assert_eq!(
        (error.code().0, error.phase, error.report.outcome),
        ("GR0124", Phase::Validate, Outcome::Refused)
    );
    says(&error, &["counter", "back from 2.0.0 to 1.0.0", "1.0.0 -> 2.0.0 (up only)", "force"]);
    assert_eq!(app.digest(), before);
    let report = app.reload_with(ReloadOptions { force: true, ..ReloadOptions::default() }).expect("forced");
    assert!(report.warnings.iter().any(|text| text.contains("2.0.0 -> 1.0.0")), "{:?}", report.warnings);
    assert_eq!(app.ask("counter", "look"), look(None, Some(2), None), "as it was");
}

/// A counter whose second step throws, after it and its neighbour have changed things.
fn failing(checkpoint: &str) -> Script {
    let spoil = [set("hits", 99), set("list.a", 9), throw("cannot go on")];
    counter(3).checkpoint(checkpoint).up("2.0.0", "3.0.0", spoil)
}

/// VER-05: everything is as it was, whatever the module says of checkpoints, and the next good code migrates.
pub fn ver_05_a_failing_migration_rolls_everything_back<S: Subject>() {
    needs!(S: registers, migrates, hooks);
    for checkpoint in ["auto", "own", "none"] {
        let first = counter(1)
            .checkpoint(checkpoint)
            .rollback([])
            .init([set("count", 0), set("list", serde_json::from_str::<Value>(r#"{"a": 1}"#).unwrap())]);
        let db = |version: &str| {
            let script = Script::new("db").version(version).init([set("n", 1)]);
            script.checkpoint(checkpoint).rollback([]).up("1.0.0", "2.0.0", [inc("n")])
        };
        let app = App::of::<S>().module(first.requires("db")).module(db("1.0.0")).start();
        app.ask("counter", "hit");
        let before = app.digest();
        app.edit(db("2.0.0"));
        app.edit(failing(checkpoint).rollback([]).requires("db"));
        let error = app.must_fail();
        let told = (error.code().0, error.phase, error.report.outcome, error.module().map(|m| m.as_str()));
        assert_eq!(told, ("GR0121", Phase::Activate, Outcome::RolledBack, Some("counter")), "{error:?}");
        says(&error, &["counter", "2.0.0 -> 3.0.0", "cannot go on"]);
        assert_eq!(app.digest(), before, "checkpoint {checkpoint}");
        assert!(
            error.report.rolled_back.contains(&"db: migration".to_owned()),
            "{:?}",
            error.report.rolled_back
        );
        app.edit(counter(3).checkpoint(checkpoint).rollback([]).requires("db"));
        app.must_reload();
        assert_eq!(app.ask("counter", "look"), look(None, None, Some(1)), "checkpoint {checkpoint}");
    }
}

/// VER-05: a migration that went well is taken out again where something fails after it.
pub fn ver_05_a_migration_is_undone_when_something_fails_after_it<S: Subject>() {
    needs!(S: registers, migrates, hooks);
    for checkpoint in ["auto", "own", "none"] {
        let app = start::<S>(counter(1).checkpoint(checkpoint).rollback([note(state("count"))]));
        let before = app.digest();
        app.edit(counter(2).checkpoint(checkpoint).rollback([]).after_reload([throw("no")]));
        let error = app.must_fail();
        assert_eq!((error.code().0, error.report.outcome), ("GR0105", Outcome::RolledBack));
        assert_eq!(error.report.rolled_back[0], "counter: migration");
        assert_eq!(app.digest(), before, "checkpoint {checkpoint}");
        assert_eq!(app.take_notes(), ["2"], "`rollback` sees the old form");
    }
}

/// VER-05: where the fault is: the place of the throw.
pub fn ver_05_a_failing_step_says_where<S: Subject>() {
    needs!(S: registers, migrates, texts);
    let app = start::<S>(counter(1));
    app.edit(counter(2).up("1.0.0", "2.0.0", [set("hits", 1), throw("out of order")]));
    let error = app.must_fail();
    let place = error.kind.place().expect("a place");
    assert_eq!(place.file, S::origin("counter"));
    let text = app.sources().text("counter").unwrap();
    let line = text.lines().nth(place.line.expect("a line") as usize - 1).expect("it is in the source");
    assert!(line.contains("out of order"), "{line}");
}

/// VER-05: one that never returns is stopped like a hook.
pub fn ver_05_a_migration_that_never_returns_is_stopped<S: Subject>() {
    needs!(S: registers, migrates, waits);
    let mut endless = vec![[wait("never")]];
    if S::capabilities().stops_loops {
        endless.push([Op::Spin]);
    }
    for ops in endless {
        let limits = Limits { hook: Duration::from_millis(100), ..Limits::default() };
        let app = App::of::<S>().limits(limits).module(counter(1)).start();
        app.ask("counter", "hit");
        let before = app.digest();
        app.edit(counter(2).up("1.0.0", "2.0.0", ops));
        let error = app.must_fail();
        assert_eq!((error.code().0, error.report.outcome), ("GR0122", Outcome::RolledBack), "{error:?}");
        says(&error, &["counter", "1.0.0 -> 2.0.0", "100ms"]);
        assert_eq!(app.digest(), before);
        assert_eq!(app.ask("counter", "hit"), 2.into());
    }
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

/// ST-03: calls of old code that hold the state see it as it was while the copy changes, and after a failure.
pub fn st_03_a_failed_migration_restores_nested_data_and_identity<S: Subject>() {
    needs!(S: registers, migrates, aliases);
    let one = counter(1)
        .function(
            "fill",
            [set("a", serde_json::from_str::<Value>(r#"{"n": 1}"#).unwrap()), set("b", state("a"))],
        )
        .function("write", [inc("b.n"), ret(state("a.n"))]);
    let app = start::<S>(one);
    app.ask("counter", "fill");
    app.edit(counter(2).up("1.0.0", "2.0.0", [set("a.n", 50), set("b", Value::Null), throw("no")]));
    app.must_fail();
    assert_eq!(app.ask("counter", "write"), 2.into(), "the very same objects, with what was in them");
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

/// VER-06: the chain in the report and in the events, in the order the steps were taken.
pub fn ver_06_reports_and_events_show_the_chain<S: Subject>() {
    needs!(S: registers, migrates);
    let app = start::<S>(counter(1));
    app.edit(counter(3));
    let report = app.must_reload();
    let module = &report.modules[0];
    assert_eq!(
        (module.old.clone(), module.new.clone()),
        (Some(Version::new(1, 0, 0)), Some(Version::new(3, 0, 0)))
    );
    let step = |from, to| MigrationStep { from: Version::new(from, 0, 0), to: Version::new(to, 0, 0) };
    assert_eq!(module.migration, [step(1, 2), step(2, 3)]);
    let lines = [
        "staged counter 1.0.0 -> 3.0.0",
        "found counter 1.0.0 -> 2.0.0, 2.0.0 -> 3.0.0",
        "migration counter 1.0.0 -> 2.0.0",
        "migration counter 2.0.0 -> 3.0.0",
        "commit",
    ];
    in_order(&app.trace().text(), &lines);
    let checked = {
        app.edit(counter(1));
        app.reload_with(ReloadOptions { check: true, ..ReloadOptions::default() }).expect("it would go down")
    };
    assert_eq!(
        (checked.outcome, checked.modules[0].migration.clone()),
        (Outcome::Checked, vec![step(3, 2), step(2, 1)])
    );
}
