//! A reload at every point of calls that nest, wait and count, and a failure at every step of a reload.

mod subject;

use std::sync::Arc;
use std::time::Duration;

use graceful_core::{Backend, Limits};
use graceful_testkit::faults::Way;
use graceful_testkit::sweep::graphs::{Cast, Edit, Graph};
use graceful_testkit::updates::shop;
use graceful_testkit::{Capabilities, ClockKind, Dialect, Subject};
use subject::RhaiSubject as Rhai;

// A call that waits keeps its thread in this language, so there are no turns of a single thread to count.
#[test]
fn call_01_a_reload_at_every_wait_on_threads_mixes_nothing() {
    let updated = shop::<Rhai>(ClockKind::Tokio, true);
    updated.assert();
    assert!(updated.points >= 4, "{updated:?}");
}

/// Without tasks, which are threads and take real time.
struct Alone;

impl Subject for Alone {
    fn backend() -> Arc<dyn Backend> {
        Rhai::backend()
    }
    fn dialect() -> &'static dyn Dialect {
        Rhai::dialect()
    }
    fn capabilities() -> Capabilities {
        Capabilities { tasks: false, handover: false, ..Rhai::capabilities() }
    }
}

#[test]
fn tx_04_every_step_fails_and_leaves_what_was() {
    let graph = &Graph::all(2)[1];
    graph.sweep::<Alone>(Edit::All, Cast::Modules, 0).on_one_app().run().assert();
    graph.sweep::<Alone>(Edit::One(0), Cast::Roles, 0).undo([]).on_one_app().run().assert();
}

#[test]
fn tx_04_with_tasks_in_real_time_some_steps_fail_and_leave_what_was() {
    let graph = &Graph::all(2)[1];
    let ms = Duration::from_millis;
    let limits = Limits { hook: ms(200), exclusive: ms(2_000), ..Limits::default() };
    let sweep = graph.sweep::<Rhai>(Edit::All, Cast::Modules, 0).limits(limits);
    sweep.ways([Way::Error, Way::Panic]).one_in(10, 1).run().assert();
}

#[test]
fn tx_03_code_that_loops_or_takes_memory_at_any_step_leaves_what_was() {
    let ms = Duration::from_millis;
    let limits =
        Limits { stage: ms(60), hook: ms(30), retire: ms(60), grace: ms(4_000), ..Limits::default() };
    for turn in 0..2 {
        let sweep = Graph::all(1)[0].sweep::<Alone>(Edit::All, Cast::Modules, turn);
        sweep.ways([Way::Spin, Way::Memory]).undo([]).limits(limits.clone()).run().assert();
    }
}
