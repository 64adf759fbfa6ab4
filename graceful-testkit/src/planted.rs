//! Proof that the suite can fail: bugs planted in the engine, and for each the clause that must find it.

use std::panic::catch_unwind;

use graceful_core::planted::{Bug, plant};

use crate::conformance::{migrate_undo, ord, undo};
use crate::subject::Subject;

/// A bug, the clause that must find it, and the clause itself.
type Catch = (Bug, &'static str, fn());

/// Makes one `#[test]` that plants every bug and sees a clause of the suite fail. For a test program of its
/// own: a planted bug is there for the whole process. Needs the feature `planted` of `graceful-core`.
#[macro_export]
macro_rules! planted {
    ($subject:ty) => {
        #[test]
        fn every_planted_bug_is_found() {
            $crate::planted::every_planted_bug_is_found::<$subject>();
        }
    };
}

/// Which clause finds which bug.
fn catches<S: Subject>() -> Vec<Catch> {
    let mut catches: Vec<Catch> = vec![
        (
            Bug::RollbackOrder,
            "tx_04_the_undo_goes_in_reverse_order",
            undo::tx_04_the_undo_goes_in_reverse_order::<S>,
        ),
        (
            Bug::ShallowDependents,
            "ord_01_only_what_changed_and_its_dependents_are_reloaded",
            ord::ord_01_only_what_changed_and_its_dependents_are_reloaded::<S>,
        ),
        (
            Bug::StateNotRestored,
            "tx_04_a_failing_after_reload_puts_everything_back",
            undo::tx_04_a_failing_after_reload_puts_everything_back::<S>,
        ),
        (
            Bug::EarlyCommit,
            "tx_04_a_failing_after_reload_puts_everything_back",
            undo::tx_04_a_failing_after_reload_puts_everything_back::<S>,
        ),
    ];
    if S::capabilities().migrates {
        catches.push((
            Bug::MigrationKept,
            "ver_05_a_migration_is_undone_when_something_fails_after_it",
            migrate_undo::ver_05_a_migration_is_undone_when_something_fails_after_it::<S>,
        ));
    }
    if S::capabilities().globals {
        catches.push((
            Bug::GlobalVisible,
            "tx_05_nothing_is_visible_before_the_commit_and_everything_after",
            undo::tx_05_nothing_is_visible_before_the_commit_and_everything_after::<S>,
        ));
    }
    catches
}

/// Plants every bug in turn and sees its clause fail, after it was seen to pass without.
///
/// # Panics
/// If a bug is not found, or cannot be planted.
pub fn every_planted_bug_is_found<S: Subject>() {
    for (bug, name, clause) in catches::<S>() {
        clause();
        assert!(plant(Some(bug)), "build with the feature `planted` of graceful-core");
        let found = catch_unwind(clause).is_err();
        plant(None);
        assert!(found, "{name} passes with {bug:?} planted");
        eprintln!("{bug:?} is found by {name}");
    }
}
