//! What top levels ask for while they are staged.

mod puppet;

use futures_util::FutureExt;
use graceful_core::*;
use puppet::{Play, Theatre};

fn cycle(error: ReloadError) -> String {
    let ReloadErrorKind::Cycle { path } = *error.kind else { panic!("{error:?}") };
    path.iter().map(Name::as_str).collect::<Vec<_>>().join(" -> ")
}

#[test]
fn ord_05_a_cycle_found_while_staging_is_told_with_its_constant_requires_too() {
    let theatre = Theatre::new(&["main"]);
    theatre.set("main", Play::plain().imports(&["a"])).set("a", Play::plain().imports(&["x"]));
    theatre.set("x", Play::plain().requires(&["y"])).set("y", Play::plain().requires(&["a"]));
    assert_eq!(cycle(theatre.reload().unwrap_err()), "a -> x -> y -> a");

    theatre.set("a", Play::plain().requires(&["b"])).set("b", Play::plain().requires(&["c"]));
    theatre.set("c", Play::plain().imports(&["main"]));
    assert_eq!(cycle(theatre.reload().unwrap_err()), "main -> a -> b -> c -> main");

    theatre.set("c", Play::plain().imports(&["c"]));
    assert_eq!(cycle(theatre.reload().unwrap_err()), "c -> c");
}

#[test]
fn obs_03_the_cause_is_what_failed_and_not_an_import_that_was_caught() {
    let theatre = Theatre::new(&["main"]);
    let caught = |failing: bool| {
        Play::plain().stage(move |cx| async move {
            cx.importer.import(&cx.instance, &"nowhere".into(), None).await.unwrap_err();
            if failing { Err(ScriptError::runtime("boom")) } else { Ok(()) }
        })
    };
    theatre.set("main", caught(true));
    let error = theatre.reload().unwrap_err();
    assert_eq!(error.code().0, "GR0302", "{error:?}");
    theatre.set("main", caught(false));
    theatre.reload().unwrap();
}

#[test]
fn tx_03_a_top_level_that_asks_and_does_not_wait_is_staged_all_the_same() {
    let theatre = Theatre::new(&["main", "other"]);
    theatre.set("late", Play::plain()).set("other", Play::plain());
    theatre.set(
        "main",
        Play::plain().stage(|cx| async move {
            let name = Name::from("late");
            let asked = cx.importer.import(&cx.instance, &name, None);
            assert!(asked.now_or_never().is_none());
            Ok(())
        }),
    );
    assert_eq!(theatre.reload().unwrap().outcome, Outcome::Committed);
    assert_eq!((theatre.born("main"), theatre.born("other")), (Some(1), Some(1)));
}

#[test]
fn tx_03_a_top_level_that_hangs_or_panics_leaves_no_lease_and_no_instance() {
    let theatre = Theatre::new(&["main"]);
    theatre.set("main", Play::plain().returns("v", 1));
    theatre.reload().unwrap();
    for (code, play) in [
        ("GR0303", Play::plain().stage(|_| std::future::pending())),
        ("GR0307", Play::plain().stage(|_| async { panic!("no") })),
    ] {
        theatre.set("main", play);
        let error = theatre.reload().unwrap_err();
        assert_eq!((error.code().0, error.report.outcome), (code, Outcome::Refused));
        assert_eq!(theatre.call("main", "v").unwrap(), Value::Int(1));
        assert_eq!(theatre.engine.world().gate.leases().len(), 0);
        assert_eq!(theatre.engine.world().instances().len(), 1);
    }
    theatre.set("main", Play::plain().returns("v", 2));
    theatre.reload().unwrap();
    assert_eq!(theatre.call("main", "v").unwrap(), Value::Int(2));
}

#[test]
fn ord_10_modules_that_gain_an_edge_while_the_set_is_staged_are_taken_in() {
    let theatre = Theatre::new(&["main", "one", "two"]);
    theatre.set("main", Play::plain().requires(&["db"])).set("db", Play::plain());
    theatre.set("one", Play::plain()).set("two", Play::plain());
    theatre.reload().unwrap();
    let world = theatre.engine.world().clone();
    let early = world.clone();
    theatre.set(
        "db",
        Play::plain().stage(move |_| {
            // Two modules outside of the set begin to require it: the second only when it is staged again.
            let again = early.live("one").unwrap().edges().contains_key("db");
            let from = early.live(if again { "two" } else { "one" }).unwrap();
            let outside = Lease::open(&early.gate, &from.name, LeaseKind::Call).unwrap();
            let _entered = outside.enter();
            assert!(matches!(early.resolve(&from, &"db".into(), || None), Resolved::Settled(_)));
            async { Ok(()) }
        }),
    );
    theatre.reload().unwrap();
    for name in ["one", "two", "main", "db"] {
        assert_eq!(theatre.born(name), Some(2), "{name}");
    }
}
