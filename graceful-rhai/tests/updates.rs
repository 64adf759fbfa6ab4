//! A reload at every point of calls that nest, wait and count, and a failure at every step of a reload.

mod subject;

use std::time::Duration;

use graceful_core::Limits;
use graceful_testkit::ClockKind;
use graceful_testkit::faults::Way;
use graceful_testkit::sweep::graphs::{Cast, Edit, Graph};
use graceful_testkit::updates::shop;
use subject::RhaiSubject as Rhai;

#[test]
fn call_01_a_reload_at_every_turn_mixes_nothing_and_loses_nothing() {
    for hooks in [false, true] {
        let updated = shop::<Rhai>(ClockKind::Driven, hooks);
        updated.assert();
        assert!(updated.points > 20 && updated.old > 20 && updated.new > 20, "{updated:?}");
    }
}

#[test]
fn call_01_a_reload_at_every_wait_on_threads_mixes_nothing() {
    let updated = shop::<Rhai>(ClockKind::Tokio, true);
    updated.assert();
    assert!(updated.points >= 4, "{updated:?}");
}

#[test]
fn tx_04_every_step_fails_and_leaves_what_was() {
    let graph = &Graph::all(2)[1];
    graph.sweep::<Rhai>(Edit::All, Cast::Modules, 0).clock(ClockKind::Driven).on_one_app().run().assert();
    let roles = graph.sweep::<Rhai>(Edit::One(0), Cast::Roles, 0).clock(ClockKind::Driven);
    roles.undo([]).on_one_app().run().assert();
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
        let sweep = Graph::all(1)[0].sweep::<Rhai>(Edit::All, Cast::Modules, turn).clock(ClockKind::Driven);
        sweep.ways([Way::Spin, Way::Memory]).undo([]).limits(limits.clone()).run().assert();
    }
}
