//! A fault at every point of a reload, one after the other: each leaves what was, and the next reload works.

use std::sync::{Arc, OnceLock};

use graceful_core::{Backend, Outcome};
use graceful_testkit::faults::{Faults, Faulty, POINTS, Point};
use graceful_testkit::op::*;
use graceful_testkit::{App, Capabilities, Dialect, Fake, FakeBackend, Script, Subject};

struct WithFaults;

fn faults() -> &'static Arc<Faults> {
    static FAULTS: OnceLock<Arc<Faults>> = OnceLock::new();
    FAULTS.get_or_init(Faults::new)
}

impl Subject for WithFaults {
    fn backend() -> Arc<dyn Backend> {
        Faulty::new(FakeBackend::new(), faults().clone())
    }
    fn dialect() -> &'static dyn Dialect {
        const { &Fake::named("fake") }
    }
    fn capabilities() -> Capabilities {
        Capabilities::ALL
    }
}

/// Its second version migrates: `n` lies where it did, and there is an entry more.
fn module(name: &str, tag: &str) -> Script {
    Script::new(name)
        .version(if tag == "one" { "1.0.0" } else { "2.0.0" })
        .up("1.0.0", "2.0.0", [set("migrated", true)])
        .init([set("n", 1)])
        .before_reload([inc("n")])
        .after_reload([inc("n")])
        .rollback([])
        .finalize([])
        .function("get", [ret(list([tag.into(), state("n")]))])
        .route(&format!("GET /{name}"), [ret(tag)])
}

/// The app after the edit: `db` and its dependents change, `new` comes.
fn edit(app: &App) {
    app.edit(module("new", "two"));
    app.edit(module("db", "two"));
    app.edit(module("cache", "two").requires("db").requires("new"));
    app.edit(module("web", "two").requires("cache").after_reload([inc("n")]));
}

fn start() -> App {
    App::of::<WithFaults>()
        .module(module("web", "one").requires("cache"))
        .module(module("cache", "one").requires("db"))
        .module(module("db", "one"))
        .start()
}

/// What comes back from a failure, with a failing last hook so that the undo has work to do.
fn spoiled(app: &App) {
    app.edit(module("web", "two").requires("cache").after_reload([throw("no")]));
}

#[test]
fn tx_04_a_fault_at_any_point_leaves_what_was() {
    for point in POINTS {
        let undoing = matches!(point, Point::Restore | Point::Hook("rollback" | "finalize"));
        for nth in 1.. {
            faults().clear();
            let app = start();
            let before = app.digest();
            edit(&app);
            if undoing {
                spoiled(&app);
            }
            faults().clear();
            faults().arm(point, nth);
            let result = app.reload();
            if !faults().have_come() {
                assert!(nth > 1, "{point:?} is never passed");
                break;
            }
            let error = result.expect_err("the fault fails the reload");
            let at = format!("{point:?} {nth}");
            assert_eq!(error.is_stuck(), undoing, "{at}: {error:?}");
            assert_eq!(app.digest(), before, "{at}");
            faults().clear();
            edit(&app);
            let report = app.must_reload();
            assert_eq!(report.outcome, Outcome::Committed, "{at}");
            assert_eq!(app.ask("web", "get"), vec!["two".into(), 3.into()].into(), "{at}");
        }
    }
}
