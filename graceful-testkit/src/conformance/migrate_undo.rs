//! VER-05: migrations that fail, and what fails after them. With ST-03, as far as it is about migrations.

use std::time::Duration;

use futures_util::future::select;
use graceful_core::{Limits, Outcome, Phase, ReloadOptions, Value};

use super::ver::{counter, look, start};
use super::{in_order, says};
use crate::op::*;
use crate::{App, Script, Subject};

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

/// TX-09: a reload that is dropped in the middle of a migration is undone, and so are the migrations before it.
pub fn tx_09_a_reload_that_is_dropped_in_a_migration_is_undone<S: Subject>() {
    needs!(S: registers, migrates, waits);
    let db = |version: &str| {
        Script::new("db").version(version).init([set("n", 1)]).up("1.0.0", "2.0.0", [inc("n")])
    };
    let app = App::of::<S>().module(counter(1).requires("db")).module(db("1.0.0")).start();
    app.ask("counter", "hit");
    let before = app.digest();
    app.trace().clear();
    app.edit(db("2.0.0"));
    let slow = [set("hits", 9), note("up"), sleep(60_000)];
    app.edit(counter(2).requires("db").up("1.0.0", "2.0.0", slow));
    let (clock, trace, engine) = (app.time().clock(), app.trace().clone(), app.engine().clone());
    app.time().block_on(async move {
        let arrived = Box::pin(async move {
            while !trace.notes().contains(&"up".to_owned()) {
                clock.sleep(Duration::from_millis(1)).await;
            }
        });
        drop(select(engine.reload(ReloadOptions::default()), arrived).await);
    });
    assert_eq!(app.ask("counter", "look"), look(Some(1), None, None), "whoever calls waits for the undo");
    assert_eq!(app.digest(), before);
    in_order(&app.trace().text(), &["migration db 1.0.0 -> 2.0.0", "undone db migration"]);
}
