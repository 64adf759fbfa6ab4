//! TX: all or nothing.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::select;
use graceful_core::{
    Event, EventKind, HookCx, Hooks, Lifecycle, Limits, Native, Observer, Outcome, Phase, ReloadErrorKind,
    ReloadOptions, lifecycle::HookResult, status::EngineState,
};

use super::{in_order, says};
use crate::op::*;
use crate::{App, Script, Subject};

fn serving(tag: &str) -> Script {
    Script::plain("web").function("page", [ret(tag)])
}

#[derive(Default)]
struct Phases(Mutex<Vec<Phase>>);

impl Observer for Phases {
    fn on_event(&self, event: &Event) {
        if let EventKind::PhaseStarted { phase } = event.kind {
            self.0.lock().unwrap().push(phase);
        }
    }
}

/// TX-01: the phases, in their order.
pub fn tx_01_the_phases_run_in_order<S: Subject>() {
    needs!(S: hooks);
    use Phase::*;
    let web = Script::new("web").after_reload([note("after")]);
    let app = App::of::<S>().module(web.clone()).start();
    let phases = Arc::new(Phases::default());
    app.engine().subscribe(phases.clone());
    app.edit(web.comment("again"));
    app.must_reload();
    let all = [Plan, Stage, Validate, Drain, Suspend, Activate, Commit, Retire];
    assert_eq!(*phases.0.lock().unwrap(), all);
}

/// TX-01: after the commit nothing fails the reload.
pub fn tx_01_what_fails_after_the_commit_is_reported_only<S: Subject>() {
    needs!(S: hooks, plain);
    let db = Script::new("db").finalize([throw("no")]);
    let app = App::of::<S>().module(serving("one").requires("db")).module(db).start();
    app.edit(serving("two"));
    app.remove("db");
    let report = app.must_reload();
    assert_eq!(report.outcome, Outcome::Committed);
    assert!(report.warnings.iter().any(|text| text.contains("db")), "{report:?}");
    assert_eq!(app.ask("web", "page"), "two".into());
}

/// TX-02: in any source of the set.
pub fn tx_02_a_syntax_error_keeps_the_live_code_serving<S: Subject>() {
    needs!(S: plain, syntax);
    let db = Script::plain("db");
    let app = App::of::<S>().module(serving("one").requires("db")).module(db.clone()).start();
    let before = app.digest();
    app.edit(serving("two").requires("db"));
    app.edit(db.clone().broken());
    let error = app.must_fail();
    assert_eq!((error.code().0, error.module().map(|m| m.as_str())), ("GR0301", Some("db")));
    assert_eq!(app.digest(), before);
    assert_eq!(app.ask("web", "page"), "one".into());
    app.edit(db);
    app.must_reload();
    assert_eq!(app.ask("web", "page"), "two".into());
}

/// TX-02: with file, line, column and the source line.
pub fn tx_02_a_syntax_error_has_file_line_column_and_source_line<S: Subject>() {
    needs!(S: plain, syntax);
    let app = App::of::<S>().module(serving("one")).start();
    app.edit(serving("two").broken());
    let error = app.must_fail();
    let ReloadErrorKind::Load { error, .. } = &*error.kind else { panic!("{error:?}") };
    let place = error.place.clone().expect("a place");
    assert_eq!(place.file, S::origin("web"));
    let text = app.sources().text("web").unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let line = place.line.expect("a line") as usize;
    assert!(line >= 1 && line <= lines.len(), "{place}");
    assert!(place.column.is_some(), "no column in {place}");
    assert_eq!(error.source_line.as_deref(), Some(lines[line - 1]));
}

fn fails_at_load<S: Subject>(op: Op, code: &str) {
    let limits = Limits { stage: Duration::from_millis(1000), ..Limits::default() };
    let app = App::of::<S>().module(serving("one")).limits(limits).start();
    let before = app.digest();
    app.edit(serving("two").top([op]));
    let error = app.must_fail();
    assert_eq!((error.code().0, error.module().map(|m| m.as_str())), (code, Some("web")), "{error:?}");
    assert_eq!(error.report.outcome, Outcome::Refused);
    assert_eq!(app.digest(), before);
    assert_eq!(app.ask("web", "page"), "one".into());
    app.edit(serving("three"));
    app.must_reload();
    assert_eq!(app.ask("web", "page"), "three".into());
}

/// TX-03: a top level that throws.
pub fn tx_03_a_throw_at_load_leaves_the_live_generation_untouched<S: Subject>() {
    needs!(S: plain);
    fails_at_load::<S>(throw("no"), "GR0302");
}

/// TX-03: where it threw.
pub fn tx_03_a_throw_at_load_says_where<S: Subject>() {
    needs!(S: plain, texts);
    let app = App::of::<S>().module(serving("one")).start();
    app.edit(serving("two").top([throw("no")]));
    let error = app.must_fail();
    says(&error, &["web", "no"]);
    let place = error.kind.place().expect("a place");
    let text = app.sources().text("web").unwrap();
    let line = text.lines().nth(place.line.expect("a line") as usize - 1).expect("the line is in the source");
    assert!(line.contains("no"), "{line}");
}

/// TX-03: a top level that never ends.
pub fn tx_03_an_endless_loop_at_load_is_stopped<S: Subject>() {
    needs!(S: plain, stops_load);
    fails_at_load::<S>(Op::Spin, "GR0303");
}

/// TX-03: a top level that takes all memory.
pub fn tx_03_a_memory_blow_up_at_load_is_stopped<S: Subject>() {
    needs!(S: plain, stops_memory);
    fails_at_load::<S>(Op::Hog, "GR0304");
}

/// TX-06: an undo that fails is *stuck*, loud, and a later reload may repair it.
pub fn tx_06_a_failing_rollback_is_stuck_and_a_later_reload_repairs_it<S: Subject>() {
    needs!(S: hooks);
    let web =
        Script::new("web").checkpoint("own").rollback([throw("cannot")]).before_reload([note("before")]);
    let app = App::of::<S>().module(web).start();
    app.edit(Script::new("web").after_reload([throw("no")]));
    let error = app.must_fail();
    assert!(error.is_stuck());
    assert_eq!((error.code().0, error.report.outcome), ("GR0100", Outcome::Stuck));
    assert!(
        error.left.iter().any(|left| left.contains("web") && left.contains("cannot")),
        "{:?}",
        error.left
    );
    assert_eq!(app.status().state, EngineState::Stuck);
    app.edit(Script::new("web").function("page", [ret("mended")]));
    app.must_reload();
    assert_eq!(app.status().state, EngineState::Idle);
    assert_eq!(app.ask("web", "page"), "mended".into());
}

/// TX-07: whatever failed before.
pub fn tx_07_after_any_failure_a_reload_with_good_sources_works<S: Subject>() {
    needs!(S: hooks, syntax);
    let web = |tag: &str| Script::new("web").function("page", [ret(tag)]);
    let app = App::of::<S>().module(web("start")).start();
    let bad = [
        web("bad").broken(),
        web("bad").top([throw("no")]),
        web("bad").requires("nowhere"),
        web("bad").requires("web"),
        web("bad").after_reload([throw("no")]),
        web("bad").registers_as("other"),
    ];
    for (n, script) in bad.into_iter().enumerate() {
        let (before, served) = (app.digest(), app.ask("web", "page"));
        app.edit(script);
        app.must_fail();
        assert_eq!((app.digest(), app.ask("web", "page")), (before, served), "failure {n}");
        let good = format!("good {n}");
        app.edit(web(&good));
        app.must_reload();
        assert_eq!(app.ask("web", "page"), good.into());
    }
}

/// TX-08: back to an earlier text, as any reload.
pub fn tx_08_going_back_to_an_earlier_text_is_a_reload_like_any_other<S: Subject>() {
    needs!(S: hooks);
    let web = |tag: &str| {
        let page = [inc("n"), ret(list([tag.into(), state("n")]))];
        Script::new("web").function("page", page).after_reload([note(tag)])
    };
    let app = App::of::<S>().module(web("one")).start();
    app.ask("web", "page");
    for tag in ["two", "one"] {
        app.edit(web(tag));
        assert_eq!(app.must_reload().outcome, Outcome::Committed);
    }
    assert_eq!(app.take_notes(), ["two", "one"]);
    assert_eq!(app.ask("web", "page"), vec!["one".into(), 2.into()].into());
}

struct Panicking;

#[async_trait::async_trait]
impl Lifecycle for Panicking {
    async fn after_reload(&self, _: &HookCx) -> HookResult {
        panic!("as expected by this test")
    }
}

/// TX-09: a panic in a native hook is a failed hook.
pub fn tx_09_a_panic_in_a_native_hook_is_a_failed_hook<S: Subject>() {
    needs!(S: hooks);
    let web = Script::new("web").requires("store").before_reload([inc("n")]).function("n", [ret(state("n"))]);
    let app = App::of::<S>().native("store", &[], |_| Ok(Native::new("1.0.0"))).module(web).start();
    let before = app.digest();
    let hooks = Hooks { after_reload: true, ..Hooks::default() };
    let natives = &app.shelf().natives;
    natives.set("store", &[], move |_| Ok(Native::new("2.0.0").lifecycle(hooks, Panicking)));
    let error = app.must_fail();
    assert_eq!((error.code().0, error.module().map(|m| m.as_str())), ("GR0105", Some("store")));
    assert_eq!(app.digest(), before);
    natives.set("store", &[], |_| Ok(Native::new("2.0.0")));
    app.must_reload();
    assert_eq!(app.ask("web", "n"), 1.into(), "only the hook of the reload that committed counts");
}

/// TX-09: whoever comes next drives the undo of a reload that was dropped.
pub fn tx_09_a_dropped_reload_is_undone_by_whoever_comes_next<S: Subject>() {
    needs!(S: hooks, waits);
    let web = |tag: &str| Script::new("web").function("page", [ret(list([tag.into(), state("n")]))]);
    let app = App::of::<S>().module(web("one").before_reload([set("n", 1)])).start();
    let before = app.digest();
    app.edit(web("two").after_reload([note("in"), sleep(60_000)]));
    let clock = app.time().clock();
    let trace = app.trace().clone();
    let engine = app.engine().clone();
    app.time().block_on(async move {
        let arrived = Box::pin(async move {
            while !trace.notes().contains(&"in".to_owned()) {
                clock.sleep(Duration::from_millis(1)).await;
            }
        });
        drop(select(engine.reload(ReloadOptions::default()), arrived).await);
    });
    assert_eq!(app.ask("web", "page"), vec!["one".into(), "none".into()].into());
    assert_eq!(app.digest(), before);
    in_order(
        &app.trace().text(),
        &["undone web state", &format!("end rolled_back {}", ReloadErrorKind::Abandoned.code())],
    );
    app.edit(web("three"));
    app.must_reload();
    assert_eq!(app.ask("web", "page"), vec!["three".into(), 1.into()].into());
}

/// TX-10: what was hashed is what is loaded.
pub fn tx_10_a_source_that_changes_while_it_is_read_is_read_once<S: Subject>() {
    needs!(S: plain, texts);
    let app = App::of::<S>().module(serving("one")).start();
    let (dialect, shelf) = (S::dialect(), app.shelf().clone());
    let reads = app.sources().reads("web");
    app.edit(serving("two"));
    app.sources().on_read(move |name| {
        if name.as_str() == "web" {
            let text = dialect.render(&serving("three"));
            shelf.sources.put("web", dialect.backend(), dialect.extension(), text);
        }
    });
    app.must_reload();
    assert_eq!(app.sources().reads("web"), reads + 1);
    assert_eq!(app.ask("web", "page"), "two".into());
    app.must_reload();
    assert_eq!(app.ask("web", "page"), "three".into());
}
