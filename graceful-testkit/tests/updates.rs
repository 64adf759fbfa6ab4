//! A reload at every point of calls that nest, wait and count.

use graceful_testkit::updates::shop;
use graceful_testkit::{ClockKind, FakeSubject};

#[test]
fn call_01_a_reload_at_every_turn_mixes_nothing_and_loses_nothing() {
    for hooks in [false, true] {
        let updated = shop::<FakeSubject>(ClockKind::Manual, hooks);
        updated.assert();
        assert!(updated.points > 30 && updated.old > 20 && updated.new > 20, "{updated:?}");
    }
}

#[test]
fn call_01_a_reload_at_every_wait_on_a_real_clock_mixes_nothing() {
    for hooks in [false, true] {
        let updated = shop::<FakeSubject>(ClockKind::Tokio, hooks);
        updated.assert();
        assert!(updated.points >= 4, "{updated:?}");
    }
}
