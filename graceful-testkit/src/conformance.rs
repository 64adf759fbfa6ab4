//! The conformance suite: for each promise of the contract the clauses that show it, run on any backend.
//!
//! Each clause is a function over a [`Subject`](crate::Subject), named by the promise's id and what it says.
//! [`conformance!`](crate::conformance) makes one `#[test]` of each.

use graceful_core::{ReloadError, Value};

use crate::scenario::because;

/// Ends a clause on a backend that cannot do what it needs.
macro_rules! needs {
    ($subject:ty: $($can:ident),+) => {
        let can = <$subject as $crate::Subject>::capabilities();
        $(if !can.$can {
            eprintln!("a limit of {}: {}", <$subject as $crate::Subject>::dialect().backend(), stringify!($can));
            return;
        })+
    };
}

pub mod reg;

/// Runs the whole suite on a [`Subject`](crate::Subject): one `#[test]` for each clause, where the macro stands.
#[macro_export]
macro_rules! conformance {
    ($subject:ty) => {
        $crate::clauses! { $subject;
            reg: reg_01_registering_gives_the_module_object,
                reg_01_a_registered_module_is_known_and_survives_reloads,
                reg_02_init_runs_once_and_before_the_registration_returns,
                reg_02_init_of_a_new_module_runs_in_activate_after_its_dependencies,
                reg_02_finalize_undoes_init_when_the_reload_fails,
                reg_03_registering_again_gives_this_generations_object_with_the_same_state,
                reg_03_the_old_object_keeps_its_version_until_it_is_retired,
                reg_04_a_failing_init_leaves_nothing_and_runs_again_later,
                reg_04_a_failing_init_in_a_reload_leaves_nothing_and_runs_again_later,
                reg_05_a_taken_name_is_an_error_naming_both_files,
                reg_06_the_registered_name_must_be_the_loaded_one,
                reg_07_an_unknown_option_names_the_nearest_one,
                reg_07_a_wrong_type_says_what_was_expected_and_what_came,
                reg_07_options_may_be_absent,
                reg_08_on_reload_is_after_reload,
                reg_08_both_spellings_are_an_error,
                reg_09_unregister_finalizes_then_releases_then_forgets,
                reg_09_an_unknown_name_is_an_error,
                reg_09_a_failing_finalize_is_reported_and_the_module_is_gone,
                reg_09_dependents_are_an_error_unless_forced,
                reg_09_a_script_unregisters_another_module,
                reg_11_a_native_module_takes_part_in_order_hooks_and_rollback;
        }
    };
}

/// One test for each named clause.
#[doc(hidden)]
#[macro_export]
macro_rules! clauses {
    ($subject:ty; $($group:ident: $($clause:ident),+;)+) => {
        $($(
            #[test]
            fn $clause() {
                $crate::conformance::$group::$clause::<$subject>();
            }
        )+)+
    };
}

/// A list of texts.
fn words<const N: usize>(words: [&str; N]) -> Value {
    Value::List(words.into_iter().map(Value::from).collect())
}

/// Asserts that `error` says each of `parts`.
#[track_caller]
fn says(error: &ReloadError, parts: &[&str]) {
    let text = because(error);
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

/// Asserts that these lines of `trace` stand in this order.
#[track_caller]
fn in_order(trace: &str, lines: &[&str]) {
    let mut rest = trace.lines();
    for line in lines {
        assert!(rest.any(|found| found == *line), "`{line}` is missing, or not in its place, in\n{trace}");
    }
}
