//! The example of a reloadable library and its app: `examples/dependency`, as it stands.

use std::sync::Arc;
use std::time::Duration;

use graceful_core::{Engine, Outcome, ReloadOptions, Report};
use graceful_lua::LuaBackend;
use graceful_testkit::{ManualClock, MemorySources};

const MAIN: &str = include_str!("../../examples/dependency/main.lua");
const LIBRARY: &str = include_str!("../../examples/dependency/my_dependency.lua");

struct App {
    clock: ManualClock,
    sources: Arc<MemorySources>,
    engine: Engine,
}

impl App {
    fn started() -> Self {
        let (clock, sources) = (ManualClock::new(), MemorySources::new());
        let engine = Engine::builder(Arc::new(clock.clone()))
            .backend(Arc::new(LuaBackend::builder().build().unwrap()))
            .sources(sources.clone())
            .entry("main")
            .build();
        let app = Self { clock, sources, engine };
        app.put("main", MAIN);
        assert_eq!(app.edit(LIBRARY).outcome, Outcome::Committed);
        app
    }

    fn put(&self, name: &str, text: &str) {
        self.sources.put(name, "lua", "lua", text);
    }

    /// Reloads with another text of the library.
    fn edit(&self, text: &str) -> Report {
        self.put("my_dependency", text);
        self.clock.block_on(self.engine.reload(ReloadOptions::default())).unwrap()
    }

    /// The numbers of the fibers that live, in every generation.
    fn fibers(&self) -> Vec<u64> {
        let instances = self.engine.world().instances();
        let owned = instances.iter().flat_map(|instance| instance.scope.resources());
        owned.filter(|owned| owned.kind() == "task" && !owned.is_done()).map(|task| task.id()).collect()
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

fn order(report: &Report) -> Vec<&str> {
    report.modules.iter().map(|module| module.module.as_str()).collect()
}

#[test]
fn reg_10_the_example_runs_as_it_stands_and_its_fiber_ends_by_itself() {
    let app = App::started();
    app.pass(9);
    assert_eq!(app.fibers().len(), 1);
    app.pass(2);
    assert_eq!(app.fibers().len(), 0);
    // A fiber that has ended is cancelled without ado.
    app.edit(&LIBRARY.replace("semver(1, 0, 0)", "semver(1, 1, 0)"));
    assert_eq!(app.fibers().len(), 1);
}

#[test]
fn reg_10_the_fiber_lives_on_while_the_version_is_the_same() {
    let app = App::started();
    let before = app.fibers();
    let report = app.edit(&format!("{LIBRARY}\n-- edited"));
    assert_eq!(order(&report), ["my_dependency", "main"]);
    assert_eq!((app.fibers(), before.len()), (before, 1));
    app.pass(11);
    assert_eq!(app.fibers().len(), 0);
}

#[test]
fn reg_10_the_fiber_is_restarted_by_the_new_code_when_the_version_changed() {
    let app = App::started();
    let before = app.fibers();
    app.pass(5);
    let newer = LIBRARY.replace("semver(1, 0, 0)", "semver(1, 1, 0)").replace("sleep(10)", "sleep(20)");
    let report = app.edit(&newer);
    let moved = report.modules.iter().find(|module| module.module.as_str() == "my_dependency").unwrap();
    let versions = [&moved.old, &moved.new].map(|version| version.as_ref().unwrap().to_string());
    assert_eq!(versions, ["1.0.0", "1.1.0"]);
    let after = app.fibers();
    assert_eq!(after.len(), 1);
    assert_ne!(after, before);
    // It runs the new function: that one sleeps longer.
    app.pass(19);
    assert_eq!(app.fibers(), after);
    app.pass(2);
    assert_eq!(app.fibers().len(), 0);
}

#[test]
fn reg_09_the_example_cleans_up_when_it_is_unregistered() {
    let app = App::started();
    app.clock.block_on(app.engine.unregister("my_dependency", true)).unwrap();
    app.pass(1);
    assert_eq!(app.fibers().len(), 0);
}

#[test]
fn reg_07_the_example_before_its_typo_was_mended_is_told_what_was_meant() {
    let app = App::started();
    let before = app.fibers();
    app.put("my_dependency", &LIBRARY.replace("finalize", "finilize"));
    let error = app.clock.block_on(app.engine.reload(ReloadOptions::default())).unwrap_err();
    let text = error.kind.place().map(ToString::to_string).unwrap_or_default();
    assert_eq!(text, "my_dependency.lua:11");
    let source = std::error::Error::source(&*error.kind).unwrap().to_string();
    assert_eq!(
        source,
        "my_dependency.lua:11: module `my_dependency`, unknown option `finilize`, did you mean `finalize`?"
    );
    assert_eq!(app.fibers(), before);
    app.put("my_dependency", &LIBRARY.replace("= mod.version\n", "= mod.version,\n"));
    let error = app.clock.block_on(app.engine.reload(ReloadOptions::default())).unwrap_err();
    assert_eq!(error.code().to_string(), "GR0301");
    assert_eq!(app.fibers(), before);
}
