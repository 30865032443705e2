"""The promises that need no time to pass: they are held on Temporal's development server, too, in real time.

All are held on its test server, whose time is moved, but those that need what it does not do.
"""

from __future__ import annotations

from typing import Final

REAL_TIME: Final = frozenset(
    {
        # promise_01_start
        "test_a_start_that_was_never_acknowledged_may_be_repeated",
        "test_the_same_id_returns_the_first_run",
        "test_the_same_id_started_twice_at_once_is_one_run",
        "test_the_id_of_another_run_is_refused",
        "test_equal_inputs_are_the_same_input",
        "test_a_run_without_an_id_gets_one_of_its_own",
        "test_an_id_that_cannot_be_typed_is_refused",
        "test_a_flow_that_nobody_knows_is_refused",
        "test_an_input_that_does_not_fit_is_refused",
        "test_an_input_is_completed_by_its_model",
        "test_a_large_input_comes_through",
        # promise_02_finished
        "test_a_kill_between_two_nodes_loses_nothing",
        "test_the_key_tells_every_node_of_every_run",
        "test_an_attempt_that_was_lost_does_not_count",
        # promise_02_parts
        "test_every_page_is_retried_by_itself",
        "test_a_list_that_goes_round_in_circles_fails",
        "test_what_a_failed_attempt_said_is_handed_on",
        # promise_03_memory
        "test_memory_is_written_with_the_output_or_not_at_all",
        "test_each_flow_has_a_memory_of_its_own",
        "test_a_cursor_goes_on_from_run_to_run",
        "test_a_cursor_never_moves_back",
        "test_what_a_node_read_of_a_cursor_is_recorded",
        "test_a_value_that_a_cursor_cannot_hold_fails_the_run",
        # promise_03_recorded_values
        "test_a_value_that_does_not_survive_fails_its_node_at_once",
        "test_an_output_is_a_copy",
        "test_a_secret_is_not_recorded",
        "test_a_secret_that_an_activity_puts_out_is_scrubbed",
        "test_a_result_is_what_returns_says",
        # promise_04_retries
        "test_a_node_is_tried_three_times_by_default",
        "test_some_errors_end_the_retries_at_once",
        "test_a_fallback_runs_when_the_last_attempt_has_failed",
        # promise_06_undo
        "test_what_succeeded_is_undone_in_reverse_order",
        "test_a_run_that_succeeds_undoes_nothing",
        "test_undo_goes_by_the_order_of_the_commits",
        "test_each_undo_sees_what_was_known_right_after_its_node",
        "test_each_undo_in_an_each_sees_its_own_item",
        "test_undo_is_repeated_as_its_retries_say",
        "test_an_undo_that_fails_is_told_while_the_others_still_run",
        "test_the_failure_node_hears_of_what_could_not_be_undone",
        "test_the_fallback_of_an_undo_runs_when_it_fails",
        "test_a_fallback_is_undone_by_its_own_undo",
        "test_a_run_that_waits_is_undone_when_it_is_cancelled",
        "test_a_page_is_undone_when_the_run_fails_later",
        "test_undo_is_complete_wherever_a_kill_cuts_it",
        "test_a_run_that_was_undone_cannot_be_taken_up_again",
        # promise_07_children
        "test_a_child_runs_for_each_input",
        "test_a_child_that_has_ended_is_not_started_again_by_its_parent",
        "test_all_children_end_and_all_errors_are_told",
        "test_a_parent_may_continue_with_the_errors_of_its_children",
        "test_children_are_cancelled_with_their_parent",
        "test_a_cancelled_child_undoes_what_it_did_before_its_parent_does",
        "test_children_may_have_children",
        "test_a_child_that_cannot_be_started_fails_its_step",
        # promise_07_items
        "test_an_each_does_its_body_for_every_item",
        "test_an_each_of_nothing_succeeds",
        "test_all_items_are_done_though_one_fails",
        "test_an_each_may_continue_with_its_errors",
        "test_an_each_may_stop_at_the_first_failure",
        "test_an_each_inside_an_each_knows_both",
        # promise_07_side_by_side
        "test_what_branches_put_out_is_known_after_the_join",
        "test_a_failed_branch_ends_at_its_failure",
        "test_a_kill_repeats_only_the_branches_that_were_not_finished",
        "test_parallels_nest",
        # promise_08_signals
        "test_an_answer_passes_the_gate",
        "test_an_answer_that_comes_while_no_worker_runs_is_kept_for_the_next_one",
        "test_answers_are_taken_in_the_order_in_which_they_came",
        "test_answers_that_come_together_are_all_kept",
        "test_gates_side_by_side_take_the_answers_meant_for_them",
        "test_a_rejection_fails_the_run",
        "test_a_flow_may_go_on_after_a_rejection",
        "test_signals_to_a_run_that_nobody_knows_are_refused",
        "test_signals_to_a_run_that_has_ended_are_refused",
        "test_signals_for_a_gate_that_the_flow_does_not_have_are_refused",
        "test_an_answer_that_makes_no_sense_is_refused",
        "test_a_gate_holds_no_slot",
        # promise_09_cancel
        "test_a_cancelled_run_stops_the_attempt_that_is_under_way",
        "test_a_run_that_waits_for_room_is_cancelled",
        "test_a_page_in_flight_settles_before_its_run_ends",
        "test_the_failure_node_does_not_run_for_a_cancelled_run",
        "test_a_run_that_nobody_knows_cannot_be_cancelled_or_retried",
        # promise_09_retry
        "test_a_retry_goes_on_from_the_failed_node",
        "test_a_retry_may_fail_again_and_be_retried_again",
        "test_a_page_is_sent_again_under_its_key_and_row",
        "test_a_loop_that_has_ended_goes_on_when_it_may",
        "test_a_loop_that_may_not_go_on_fails_again",
        "test_a_predicate_that_was_mended_is_asked_again",
        "test_only_the_items_that_failed_go_on",
        "test_an_item_that_was_continued_without_is_not_retried",
        "test_a_fallback_that_failed_is_retried_and_its_node_is_not",
        "test_a_child_that_failed_goes_on_with_its_parent",
        "test_a_parent_of_a_child_that_was_undone_cannot_be_retried",
        "test_the_failure_node_runs_after_each_failure",
        "test_a_result_that_could_not_be_made_is_made_again",
        "test_two_retries_at_once_take_the_run_up_once",
        "test_a_retry_is_refused_once_undo_has_begun",
        # promise_10_changed_flows
        "test_a_run_that_does_not_fit_is_parked_before_anything_executes",
        "test_a_run_at_a_gate_is_parked_when_another_step_stands_there",
        "test_an_output_that_fits_no_more_parks_its_run",
        "test_an_output_that_fits_no_more_parks_its_run_though_no_key_has_changed",
        "test_an_input_that_fits_no_more_parks_its_run",
        "test_a_failed_run_under_a_changed_flow_is_parked_when_it_is_retried",
        "test_a_run_that_was_undone_halfway_is_parked_when_its_undo_is_gone",
        # promise_10_parked_runs
        "test_a_parked_run_stays_parked_under_the_changed_flow",
        "test_a_parked_run_can_be_cancelled",
        "test_a_page_on_its_way_is_delivered_though_its_run_is_parked",
        "test_a_cancel_that_was_accepted_before_the_change_is_not_forgotten",
        # promise_11_faults_of_authors
        "test_what_was_done_is_undone_when_a_predicate_raises",
        "test_a_predicate_that_raises_for_an_item_fails_that_item",
        "test_no_content_costs_a_page",
        "test_an_error_that_a_failure_node_raises_does_not_hide_the_first",
        "test_an_activity_that_raises_more_than_an_error_fails_alone",
        "test_a_hook_that_takes_its_time_does_not_hold_up_the_run",
        "test_one_run_knows_nothing_of_the_failure_of_another",
        # promise_12_stop
        "test_a_worker_without_work_stops_at_once",
        "test_a_stop_is_no_loss",
        "test_an_undo_goes_on_with_the_next_worker",
    }
)
