//! The conformance suite: for each promise of the contract the clauses that show it, run on any backend.
//!
//! Each clause is a function over a [`Subject`](crate::Subject), named by the promise's id and what it says.
//! [`conformance!`](crate::conformance!) makes one `#[test]` of each.

use look::{in_order, says, snapshot, words};

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

mod look;
pub mod limits;
pub mod reg;
pub mod hook;
pub mod ord;
pub mod peers;
pub mod allowance;
pub mod tx;
pub mod undo;
pub mod offers;
pub mod call;
pub mod drain;
pub mod st;
pub mod objects;
pub mod codes;
pub mod scope;
pub mod told;
pub mod ver;
pub mod migrate;
pub mod migrate_undo;
pub mod shut;

/// Runs the whole suite on a [`Subject`](crate::Subject): one `#[test]` for each clause, where the macro stands.
#[macro_export]
macro_rules! conformance {
    ($subject:ty) => {
        $crate::clauses! { $subject;
            limits: limits_fit_together_and_are_told;
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
            hook: hook_01_old_before_reload_then_new_after_reload,
                hook_02_before_reload_dependents_first_after_reload_dependencies_first,
                hook_03_hooks_get_the_module_object_and_a_missing_one_is_skipped,
                hook_03_hooks_may_wait,
                hook_04_reload_in_a_hook_is_refused_and_the_outer_one_goes_on,
                hook_04_reload_in_a_call_parks_the_caller,
                hook_04_a_nested_caller_parks_the_whole_call,
                hook_04_after_its_reload_a_caller_sees_what_is_live,
                hook_04_a_second_caller_joins_the_running_reload,
                hook_04_where_nothing_can_wait_the_reload_is_queued,
                hook_05_a_hanging_hook_is_cancelled,
                hook_05_a_spinning_hook_is_stopped,
                hook_05_the_exclusive_part_has_one_budget,
                hook_06_finalize_runs_once_on_unregister_and_never_on_a_reload,
                hook_06_finalize_runs_once_on_removal,
                hook_06_finalize_runs_once_when_the_start_fails,
                hook_07_code_that_no_longer_registers_loses_its_hooks_and_keeps_its_state;
            peers: ord_01_a_hundred_modules_bring_five_new_ones_each,
                ord_03_a_chain_of_200_has_no_stale_link,
                tx_07_a_module_that_threw_at_load_and_its_dependent_are_mended;
            ord: ord_01_only_what_changed_and_its_dependents_are_reloaded,
                ord_01_what_counts_is_the_text_not_that_it_was_written,
                ord_01_force_takes_everything,
                ord_02_load_order_follows_the_new_graph_unload_order_the_old,
                ord_03_nobody_holds_exports_of_a_dead_generation,
                ord_04_plain_modules_in_the_set_run_again_in_their_place,
                ord_05_a_cycle_of_constant_requires_is_found_by_the_plan,
                ord_05_a_cycle_of_computed_requires_is_found_while_staging,
                ord_05_a_require_in_a_function_only_widens_the_set,
                ord_05_a_missing_module_says_who_requires_it_and_what_was_searched,
                ord_06_a_plan_is_a_dry_run_and_a_stale_one_is_refused,
                ord_07_a_deep_chain_and_a_wide_fan_reload_without_overflow,
                ord_08_a_second_reload_joins_waits_or_is_refused,
                ord_09_a_dependency_on_another_backend_is_an_edge_like_any_other,
                ord_10_edges_that_appear_or_disappear_are_tracked,
                ord_10_an_edge_born_while_staging_widens_the_plan,
                ord_11_a_module_nobody_requires_is_retired_and_reported;
            allowance: tx_03_a_top_level_is_charged_for_its_own_time_only;
            tx: tx_01_the_phases_run_in_order,
                tx_01_what_fails_after_the_commit_is_reported_only,
                tx_02_a_syntax_error_keeps_the_live_code_serving,
                tx_02_a_syntax_error_has_file_line_column_and_source_line,
                tx_03_a_throw_at_load_leaves_the_live_generation_untouched,
                tx_03_a_throw_at_load_says_where,
                tx_03_an_endless_loop_at_load_is_stopped,
                tx_03_a_memory_blow_up_at_load_is_stopped,
                tx_06_a_failing_rollback_is_stuck_and_a_later_reload_repairs_it,
                tx_07_after_any_failure_a_reload_with_good_sources_works,
                tx_08_going_back_to_an_earlier_text_is_a_reload_like_any_other,
                tx_09_a_panic_in_a_native_hook_is_a_failed_hook,
                tx_09_a_dropped_reload_is_undone_by_whoever_comes_next,
                tx_10_a_source_that_changes_while_it_is_read_is_read_once;
            offers: tx_01_a_check_touches_nothing_live,
                tx_01_a_check_finds_a_clash_of_routes,
                scope_04_two_spellings_of_a_key_are_one_key,
                scope_04_a_key_that_cannot_be_is_an_error_where_it_stands,
                tx_01_a_check_of_a_start_undoes_init_by_finalize,
                tx_07_a_failing_before_reload_can_be_forgiven,
                tx_07_a_forgiven_before_reload_is_undone_with_the_rest;
            undo: tx_04_a_failing_before_reload_puts_everything_back,
                tx_04_a_failing_after_reload_puts_everything_back,
                tx_04_a_failing_init_puts_everything_back,
                tx_04_the_undo_goes_in_reverse_order,
                tx_04_the_undo_goes_on_past_errors,
                tx_04_a_hook_that_changes_another_module_is_undone_there_too,
                tx_04_rollback_is_for_modules_whose_hooks_began,
                tx_05_nothing_is_visible_before_the_commit_and_everything_after,
                tx_05_nothing_is_left_of_a_reload_that_failed,
                tx_05_a_top_level_that_waits_is_isolated;
            call: call_01_a_call_in_flight_finishes_on_the_code_it_began_with,
                call_01_one_generation_from_entry_to_exit_across_backends,
                call_01_a_call_through_an_unchanged_module_is_pinned_too,
                call_02_a_call_after_the_commit_runs_new_code_in_every_module,
                call_03_no_call_is_lost_or_run_twice,
                call_03_a_call_that_waits_too_long_fails_with_a_retryable_code,
                call_03_a_blocking_call_waits_at_the_gate,
                call_06_a_handle_follows_the_live_generation,
                call_06_inside_a_call_a_handle_follows_the_calls_lease;
            drain: call_04_nested_calls_carry_the_callers_lease_past_a_shut_gate,
                call_04_a_module_may_ask_to_be_drained,
                call_04_past_the_drain_deadline_the_reload_is_rolled_back,
                call_04_or_the_calls_in_flight_are_cancelled_and_told_so,
                call_05_a_third_generation_is_refused_and_says_what_holds_the_first,
                call_05_or_what_holds_it_is_cancelled,
                call_04_a_call_is_cancelled_as_a_whole;
            st: st_01_state_has_the_same_identity_before_and_after,
                st_02_nested_and_shared_data_survive,
                st_02_aliases_stay_aliases,
                st_02_functions_survive_and_stay_the_code_they_are,
                st_02_a_function_sees_its_own_generation_whoever_calls_it,
                st_02_nothing_is_copied_without_a_reload_hook_or_where_the_module_says_so,
                st_03_the_module_is_frozen_while_hooks_run,
                st_03_a_rollback_loses_no_write_but_the_hooks,
                st_03_after_a_rollback_the_state_is_what_it_was,
                st_05_a_removed_module_starts_fresh_when_it_is_put_back,
                st_06_new_keys_of_a_top_level_show_at_the_commit,
                st_06_new_keys_of_a_top_level_are_gone_after_a_failed_reload;
            objects: st_04_what_is_too_deep_or_holds_itself_is_an_error_and_not_a_crash,
                st_07_objects_in_a_state_get_the_new_methods_with_the_commit,
                st_07_a_failed_reload_leaves_the_methods_as_they_were,
                st_07_staged_methods_are_not_seen_by_live_code;
            codes: obs_04_a_reload_that_fails_has_the_code_of_its_cause_in_every_language,
                obs_04_a_call_that_fails_has_the_code_of_its_cause_in_every_language;
            scope: scope_01_tasks_routes_and_globals_belong_to_their_module,
                scope_02_a_task_that_was_not_taken_over_is_cancelled_and_awaited,
                scope_02_a_task_that_swallows_errors_is_cancelled_too,
                scope_02_a_task_that_spins_is_cancelled_too,
                scope_02_tasks_do_not_pile_up,
                scope_02_routes_go_and_globals_get_their_earlier_value,
                scope_03_a_task_kept_in_the_state_is_taken_over,
                scope_03_a_taken_over_task_takes_a_new_lease_each_time,
                scope_03_a_cancel_in_a_reload_that_fails_did_not_happen,
                scope_04_a_route_is_replaced_without_a_gap,
                scope_04_a_route_of_another_module_is_a_clash,
                scope_02_old_code_starts_nothing_once_it_was_retired,
                scope_03_what_a_taken_over_task_starts_belongs_to_the_new_generation,
                scope_07_what_is_owned_is_released_with_its_generation,
                scope_07_what_a_failed_reload_made_is_released,
                scope_07_what_a_hook_made_is_released_if_its_reload_fails;
            ver: ver_01_what_is_no_version_is_an_error_when_the_module_registers,
                ver_01_a_text_and_a_list_are_the_same_version,
                ver_03_without_a_way_to_another_major_version_nothing_is_touched,
                ver_03_within_a_major_version_or_without_migrations_the_state_stays,
                ver_04_a_downgrade_takes_the_steps_down,
                ver_04_without_down_a_downgrade_is_refused_unless_forced,
                ver_06_reports_and_events_show_the_chain;
            migrate: ver_02_a_wrong_declaration_is_told_when_the_module_registers,
                ver_02_a_migration_takes_the_state_to_the_new_version,
                ver_02_the_shortest_chain_is_taken,
                ver_02_the_state_keeps_its_identity,
                ver_02_a_step_changes_the_copy_or_returns_a_new_state,
                ver_02_dependencies_migrate_first_and_before_their_after_reload,
                ver_02_the_migration_has_the_last_word_over_a_staged_top_level,
                ver_02_calls_wait_while_the_state_is_on_its_way,
                st_02_a_migration_keeps_aliases,
                scope_03_a_kept_task_goes_on_after_a_migration,
                ver_02_a_step_sees_what_its_code_sees,
                st_03_a_migration_loses_no_write_of_a_kept_task,
                ver_02_a_migration_begins_at_the_version_that_the_state_has,
                ver_02_a_round_trip_shows_what_a_migration_loses;
            migrate_undo: ver_05_a_failing_migration_rolls_everything_back,
                ver_05_a_migration_is_undone_when_something_fails_after_it,
                ver_05_a_failing_step_says_where,
                ver_05_a_migration_that_never_returns_is_stopped,
                tx_09_a_reload_that_is_dropped_in_a_migration_is_undone,
                st_03_a_failed_migration_restores_nested_data_and_identity;
            told: ver_06_reports_and_events_show_old_and_new_versions,
                obs_01_every_step_is_one_event_in_order,
                obs_01_steps_of_a_reload_carry_its_number,
                obs_01_what_takes_time_says_how_long,
                obs_02_the_status_counts_calls_that_wait_and_how_old_states_are,
                obs_03_a_report_says_what_was_done_and_why,
                obs_03_a_failure_says_whose_fault_where_and_what_was_undone,
                scope_05_after_many_reloads_nothing_has_piled_up,
                scope_06_what_holds_an_old_generation_is_named,
                scope_06_what_outlives_its_reload_for_long_is_a_leak,
                scope_06_what_goes_in_time_is_no_leak;
            shut: shut_01_nothing_new_is_let_in,
                shut_01_calls_in_flight_end_first,
                shut_01_a_call_that_outlasts_the_drain_is_cancelled,
                shut_01_a_call_that_spins_is_cancelled,
                shut_01_modules_are_finalized_dependents_first,
                shut_01_everything_is_attempted_past_errors,
                shut_01_a_finalize_that_hangs_has_a_deadline,
                shut_01_a_finalize_that_spins_has_a_deadline,
                shut_01_what_modules_own_is_released,
                shut_01_a_task_that_spins_is_cancelled,
                shut_01_a_second_shutdown_joins_the_first,
                shut_01_an_engine_that_never_started_is_shut_down,
                shut_02_a_running_reload_is_rolled_back_first,
                shut_02_a_reload_that_is_staging_is_dropped_first,
                shut_02_a_reload_that_has_committed_is_completed_first,
                shut_02_a_start_is_undone,
                hook_06_finalize_runs_once_at_the_shutdown,
                hook_06_what_was_unregistered_is_not_finalized_again;
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
