//! VER-01, VER-03, VER-04 and VER-06: versions, and which migrations a reload takes.

use graceful_core::{MigrationStep, Outcome, Phase, ReloadOptions, Value, Version};

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
pub(super) fn look(count: Option<i64>, hits: Option<i64>, total: Option<i64>) -> Value {
    [count, hits, total].map(|entry| entry.map_or("none".into(), Value::from)).into()
}

pub(super) fn start<S: Subject>(script: Script) -> App {
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

/// VER-03: no way between two major versions is refused before anything is touched, and lists what there is.
pub fn ver_03_without_a_way_to_another_major_version_nothing_is_touched<S: Subject>() {
    needs!(S: registers, migrates);
    let app = start::<S>(counter(1).before_reload([note("touched")]));
    let before = app.digest();
    app.edit(counter(3).version("4.0.0"));
    let error = app.must_fail();
    // A text says it before it runs; what is no text, or computes its version, once it has run.
    let phase = if S::capabilities().texts { Phase::Plan } else { Phase::Validate };
    assert_eq!((error.code().0, error.phase, error.report.outcome), ("GR0123", phase, Outcome::Refused));
    says(&error, &["counter", "1.0.0", "4.0.0", "2.0.0 -> 3.0.0 (up and down)"]);
    if S::capabilities().texts {
        let planned = app.plan().expect_err("a plan finds it");
        assert_eq!(planned.code().0, "GR0123");
        says(&planned, &["counter", "1.0.0", "4.0.0", "2.0.0 -> 3.0.0 (up and down)"]);
    }
    assert_eq!((app.digest(), app.take_notes().len()), (before.clone(), 0));
    let forced = app.reload_with(ReloadOptions { force: true, ..ReloadOptions::default() });
    assert_eq!(forced.expect_err("force does not help").code().0, "GR0123");
    let checked = app.reload_with(ReloadOptions { check: true, ..ReloadOptions::default() });
    assert_eq!(checked.expect_err("a check finds it").code().0, "GR0123");
    app.edit(counter(3).version("4.0.0").computed());
    let error = app.must_fail();
    assert_eq!((error.code().0, error.phase), ("GR0123", Phase::Validate), "a version that nobody can read");
    assert_eq!((app.digest(), app.take_notes().len()), (before, 0));
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
    let phase = if S::capabilities().texts { Phase::Plan } else { Phase::Validate };
    assert_eq!((error.code().0, error.phase, error.report.outcome), ("GR0124", phase, Outcome::Refused));
    assert_eq!(app.plan().is_err(), S::capabilities().texts);
    says(&error, &["counter", "back from 2.0.0 to 1.0.0", "1.0.0 -> 2.0.0 (up only)", "force"]);
    assert_eq!(app.digest(), before);
    let report = app.reload_with(ReloadOptions { force: true, ..ReloadOptions::default() }).expect("forced");
    assert!(report.warnings.iter().any(|text| text.contains("2.0.0 -> 1.0.0")), "{:?}", report.warnings);
    assert_eq!(app.ask("counter", "look"), look(None, Some(2), None), "as it was");
}

/// VER-06: the chain in the report and in the events, in the order the steps were taken.
pub fn ver_06_reports_and_events_show_the_chain<S: Subject>() {
    needs!(S: registers, migrates);
    let app = start::<S>(counter(1));
    app.edit(counter(3));
    let plan = app.plan().expect("a plan");
    assert_eq!(plan.steps[0].live, Some(Version::new(1, 0, 0)), "what is new is known once it has run");
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
