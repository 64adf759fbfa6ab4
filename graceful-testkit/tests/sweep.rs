//! A reload that fails at each of its steps: every graph of a few modules, modules and roles.

use graceful_core::lifecycle::HookResult;
use graceful_core::{HookCx, Hooks, Lifecycle, Native};
use graceful_testkit::faults::Way;
use graceful_testkit::sweep::graphs::{Cast, Edit, Graph};
use graceful_testkit::sweep::{Sweep, Swept};
use graceful_testkit::{App, FakeSubject, Script};

fn swept(modules: usize, cast: Cast, edits: &[Edit]) -> Swept {
    let mut swept = Swept::default();
    for (turn, graph) in Graph::all(modules).iter().enumerate() {
        for edit in edits {
            swept.add(graph.sweep::<FakeSubject>(*edit, cast, turn).on_one_app().run());
        }
    }
    swept
}

#[test]
fn tx_04_every_step_of_every_graph_fails_and_leaves_what_was() {
    swept(1, Cast::Modules, &[Edit::All]).assert();
    swept(2, Cast::Modules, &[Edit::One(0), Edit::One(1), Edit::All]).assert();
}

/// A reload that is dropped while a role stops lets the stop come to its end before it starts the role again.
#[test]
fn sm_04_every_step_of_every_graph_of_roles_fails_and_leaves_what_was() {
    swept(1, Cast::Roles, &[Edit::All]).assert();
    let linked = &Graph::all(2)[1];
    linked.sweep::<FakeSubject>(Edit::One(0), Cast::Roles, 0).undo([]).run().assert();
}

#[test]
fn tx_03_code_that_loops_or_takes_memory_at_any_step_leaves_what_was() {
    let graph = &Graph::all(2)[1];
    for cast in [Cast::Modules, Cast::Roles] {
        let sweep = graph.sweep::<FakeSubject>(Edit::All, cast, 0);
        sweep.ways([Way::Spin, Way::Memory]).undo([Way::Panic]).run().assert();
    }
}

/// Hooks of a native module that count themselves.
struct Counted(std::sync::Arc<graceful_core::native::State>);

#[async_trait::async_trait]
impl Lifecycle for Counted {
    async fn init(&self, _: &HookCx) -> HookResult {
        self.0.set("n", 1);
        Ok(())
    }
    async fn before_reload(&self, _: &HookCx) -> HookResult {
        self.0.set("n", 2);
        Ok(())
    }
    async fn after_reload(&self, _: &HookCx) -> HookResult {
        self.0.set("n", 3);
        Ok(())
    }
    async fn rollback(&self, _: &HookCx) -> HookResult {
        Ok(())
    }
}

#[test]
fn tx_09_native_hooks_panic_in_a_graph_with_scripts() {
    let script = |tag: &str| Script::new("web").requires("counter").before_reload([]).comment(tag);
    let swept = Sweep::of::<FakeSubject>()
        .app(move |app| {
            let faults = app.faults().expect("a sweep has some").clone();
            let counter = move |cx: &graceful_core::NativeCx| {
                let hooks = Hooks {
                    init: true,
                    before_reload: true,
                    after_reload: true,
                    rollback: true,
                    ..Hooks::default()
                };
                Ok(Native::new("1.0.0").lifecycle(hooks, faults.around(Counted(cx.state.clone()))))
            };
            app.native("counter", &[], counter).module(script("one"))
        })
        .edit(move |app: &App| app.edit(script("two")))
        .by(|engine| engine.reload(graceful_core::ReloadOptions { force: true, ..Default::default() }))
        .run();
    swept.assert();
    assert!(swept.stuck > 0, "rollback of the native module fails");
}
