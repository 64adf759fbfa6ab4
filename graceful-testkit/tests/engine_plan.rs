//! What a plan takes in and lets go of.

mod puppet;

use std::collections::BTreeSet;
use std::sync::Arc;

use graceful_core::*;
use graceful_testkit::{ClockKind, Time};
use puppet::{Play, Puppet, Script};

struct Stage {
    time: Time,
    puppet: Arc<Puppet>,
    engine: Engine,
}

impl Stage {
    fn new(entries: &[&str]) -> Self {
        let (time, puppet) = (Time::new(ClockKind::Manual), Puppet::new());
        let engine = Engine::builder(time.clock())
            .backend(puppet.clone())
            .sources(Arc::new(Script(puppet.clone())))
            .build();
        engine.set_entries(entries.iter().copied());
        Self { time, puppet, engine }
    }
    fn set(&self, name: &str, play: Play) -> &Self {
        self.puppet.set(name, play);
        self
    }
    fn reload(&self) -> Result<Report, ReloadError> {
        self.reload_with(ReloadOptions::default())
    }
    fn reload_with(&self, options: ReloadOptions) -> Result<Report, ReloadError> {
        self.time.block_on(self.engine.reload(options))
    }
    fn hint(&self, names: &[&str]) -> Result<Report, ReloadError> {
        let changed = Some(names.iter().map(|name| Name::from(*name)).collect::<BTreeSet<_>>());
        self.reload_with(ReloadOptions { changed, ..ReloadOptions::default() })
    }
    fn born(&self, name: &str) -> Option<u64> {
        self.engine.world().live(name).map(|instance| instance.born.0)
    }
}

fn steps(report: &Report) -> Vec<String> {
    let line = |m: &ModuleReport| format!("{} {:?} ({})", m.module, m.action, m.reason);
    report.modules.iter().map(line).collect()
}

#[test]
fn st_05_a_module_that_was_removed_and_is_put_back_is_loaded_again() {
    let stage = Stage::new(&["main"]);
    stage.set("main", Play::plain().defers(&["b"])).set("b", Play::plain());
    stage.reload().unwrap();
    stage.puppet.remove("b");
    stage.reload().unwrap();
    assert_eq!(stage.born("b"), None);
    stage.set("b", Play::plain());
    stage.reload().unwrap();
    assert_eq!(stage.born("b"), Some(3), "main, which did not change, still requires it");
}

#[test]
fn ord_01_a_module_that_is_required_late_and_appears_later_is_loaded_by_a_hint_of_it() {
    let stage = Stage::new(&["main"]);
    stage.set("main", Play::plain().defers(&["b"]));
    stage.reload().unwrap();
    stage.set("b", Play::plain());
    stage.hint(&["b"]).unwrap();
    assert_eq!(stage.born("b"), Some(2));
}

#[test]
fn ord_01_dependents_are_taken_in_though_as_many_are_new_as_there_were() {
    let stage = Stage::new(&["main"]);
    stage.set("main", Play::plain().requires(&["b"])).set("b", Play::plain());
    stage.reload().unwrap();
    stage.engine.set_entries(["main", "new", "other"]);
    stage.set("new", Play::plain()).set("other", Play::plain()).set("b", Play::new());
    let report = stage.reload().unwrap();
    assert!(steps(&report).contains(&"main Reload (depends on b)".to_owned()), "{:?}", steps(&report));
}

#[test]
fn reg_09_a_module_unregistered_by_force_stays_away_while_nothing_changes() {
    let stage = Stage::new(&["main"]);
    stage.set("main", Play::plain().requires(&["b"])).set("b", Play::new());
    stage.reload().unwrap();
    stage.time.block_on(stage.engine.unregister("b", true)).unwrap();
    assert_eq!((stage.born("main"), stage.born("b")), (Some(1), None));
    assert_eq!(stage.reload().unwrap().outcome, Outcome::Unchanged);
    stage.set("main", Play::plain().requires(&["b"]));
    stage.reload().unwrap();
    assert_eq!(stage.born("b"), Some(3), "new code that requires it brings it back");
}

#[test]
fn reg_09_unregistering_does_not_read_what_failed_to_load_before() {
    let stage = Stage::new(&["main", "b"]);
    stage.set("main", Play::plain()).set("b", Play::new());
    stage.reload().unwrap();
    stage.set("main", Play::plain().broken());
    stage.hint(&["main"]).unwrap_err();
    stage.time.block_on(stage.engine.unregister("b", false)).unwrap();
    stage.set("main", Play::plain());
    stage.hint(&[]).unwrap();
    assert_eq!(stage.born("main"), Some(3), "what a failed reload was told is not forgotten by that");
}

#[test]
fn reg_09_an_entry_that_was_unregistered_comes_back_when_everything_is_looked_at() {
    let stage = Stage::new(&["main", "tool", "other"]);
    stage.set("main", Play::plain()).set("tool", Play::new().requires(&["part"])).set("part", Play::plain());
    stage.set("other", Play::new());
    stage.reload().unwrap();
    let unregister = |name: &str| stage.time.block_on(stage.engine.unregister(name, false)).unwrap();
    unregister("tool");
    unregister("other");
    stage.set("main", Play::plain().requires(&[]));
    stage.hint(&["main"]).unwrap();
    assert_eq!(
        (stage.born("tool"), stage.born("other")),
        (None, None),
        "an edit elsewhere brings nothing back"
    );
    stage.set("other", Play::new());
    stage.hint(&["other"]).unwrap();
    assert_eq!((stage.born("tool"), stage.born("other")), (None, Some(5)), "an edit of its own does");
    let report = stage.reload().unwrap();
    let back = ["part Load (required by tool)", "tool Load (entry that was unregistered)"];
    assert_eq!(steps(&report), back);
    assert_eq!(stage.reload().unwrap().outcome, Outcome::Unchanged);
}

#[test]
fn ord_11_what_is_no_entry_any_more_is_retired_by_the_next_reload() {
    let stage = Stage::new(&["main", "tool"]);
    stage
        .set("main", Play::plain())
        .set("tool", Play::plain().requires(&["part"]))
        .set("part", Play::plain());
    stage.reload().unwrap();
    stage.engine.set_entries(["main"]);
    let report = stage.reload().unwrap();
    assert_eq!(steps(&report), ["part Retire (no longer required)", "tool Retire (no longer required)"]);
    assert_eq!(stage.reload().unwrap().outcome, Outcome::Unchanged);
}

#[test]
fn ord_11_what_leaves_for_want_of_a_dependent_needs_not_be_right() {
    let stage = Stage::new(&["main"]);
    stage.set("main", Play::plain().requires(&["a"])).set("a", Play::plain().requires(&["b"]));
    stage.set("b", Play::plain());
    stage.reload().unwrap();
    stage.set("main", Play::plain());
    stage.puppet.remove("b");
    stage.reload().expect("nobody requires `a` any more, which still requires `b`");
    assert_eq!((stage.born("a"), stage.born("b")), (None, None));

    stage.set("main", Play::plain().requires(&["a"])).set("a", Play::plain());
    stage.reload().unwrap();
    stage.set("main", Play::plain()).set("a", Play::plain().broken());
    stage.reload().expect("nobody requires `a` any more, which is broken");
    assert_eq!(stage.born("a"), None);
}

#[test]
fn ord_11_what_only_a_retired_module_would_require_is_not_loaded() {
    let stage = Stage::new(&["main"]);
    stage.set("main", Play::plain().requires(&["a"])).set("a", Play::plain());
    stage.reload().unwrap();
    stage.set("main", Play::plain()).set("a", Play::plain().requires(&["fresh"])).set("fresh", Play::plain());
    let report = stage.reload().unwrap();
    assert_eq!(steps(&report), ["main Reload (changed)", "a Retire (no longer required)"]);
}

#[test]
fn ord_11_what_a_top_level_asks_for_stays_and_is_as_new_as_what_it_requires() {
    let stage = Stage::new(&["main", "other"]);
    stage.set("main", Play::plain().requires(&["a"])).set("a", Play::plain().requires(&["c"]));
    stage.set("c", Play::plain()).set("other", Play::plain().requires(&["c"]));
    stage.reload().unwrap();
    stage.set("main", Play::plain().imports(&["a"])).set("c", Play::plain());
    let report = stage.reload().unwrap();
    assert_eq!(stage.born("a"), Some(2), "it would hold the `c` of before");
    assert_eq!(
        steps(&report),
        [
            "c Reload (changed)",
            "a Reload (depends on c)",
            "main Reload (changed)",
            "other Reload (depends on c)"
        ]
    );
    stage.set("c", Play::plain());
    assert_eq!(steps(&stage.reload().unwrap()).len(), 4, "its edges are known");
}

#[test]
fn ord_11_what_a_top_level_asks_for_stays_as_it_is_where_nothing_of_it_changed() {
    let stage = Stage::new(&["main"]);
    stage.set("main", Play::plain().requires(&["a"])).set("a", Play::plain().requires(&["c"]));
    stage.set("c", Play::plain());
    stage.reload().unwrap();
    stage.set("main", Play::plain().imports(&["a"]));
    let report = stage.reload().unwrap();
    assert_eq!(steps(&report), ["main Reload (changed)"]);
    assert_eq!((stage.born("a"), stage.born("c")), (Some(1), Some(1)));
}

#[test]
fn obs_03_the_report_has_what_turned_up_while_staging_and_the_versions_of_what_left() {
    let stage = Stage::new(&["main"]);
    stage.set("main", Play::plain().requires(&["a"])).set("a", Play::new().version("1.2.3"));
    stage.reload().unwrap();
    stage.set("main", Play::plain().imports(&["x"])).set("x", Play::new().version("0.1.0"));
    let report = stage.reload().unwrap();
    assert_eq!(
        steps(&report),
        ["x Load (required by main)", "main Reload (changed)", "a Retire (no longer required)"]
    );
    let versions = report.modules.iter().map(|m| (m.old.clone(), m.new.clone())).collect::<Vec<_>>();
    let version = |text: &str| Some(Version::parse(text).unwrap());
    assert_eq!(versions, [(None, version("0.1.0")), (None, None), (version("1.2.3"), None)]);
}

#[test]
fn tx_07_a_full_reload_that_failed_is_made_up_for_by_the_next_hint() {
    let stage = Stage::new(&["a", "b"]);
    stage.set("a", Play::plain()).set("b", Play::plain());
    stage.reload().unwrap();
    stage.set("a", Play::plain()).set("b", Play::plain().broken());
    stage.reload().unwrap_err();
    stage.set("b", Play::plain());
    stage.hint(&["b"]).unwrap();
    assert_eq!((stage.born("a"), stage.born("b")), (Some(2), Some(2)));
}

#[test]
fn reg_11_a_native_source_taken_away_and_set_again_is_an_edit() {
    let stage = Stage::new(&["n"]);
    stage.engine.natives().set("n", &[], |_| Ok(Native::plain().value("v", 1)));
    stage.reload().unwrap();
    stage.engine.natives().remove("n");
    stage.engine.natives().set("n", &[], |_| Ok(Native::plain().value("v", 2)));
    assert_eq!(stage.reload().unwrap().outcome, Outcome::Committed);
}
