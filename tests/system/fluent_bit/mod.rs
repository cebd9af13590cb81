//! The plugin in a real Fluent Bit, against a receiver that checks every item.
//!
//! Every record carries a number, so that a test knows which arrived, how often, and which did not. Without a
//! `fluent-bit` each test is listed as skipped.

mod addresses;
mod budget;
mod compatibility;
pub mod counters;
mod descriptors;
mod faults;
pub mod feed;
mod formats;
pub mod forward;
pub mod harness;
mod identity;
mod incidents;
mod kernel;
pub mod kills;
mod loading;
pub mod outage;
mod power;
pub mod received;
mod refusals;
mod reload;
mod removal;
mod restart;
pub mod slow_answers;
pub mod slow_disk;
mod traces;

use std::time::Duration;
use testkit::bugsink::{Bugsink, Options};
use testkit::fluent_bit::FluentBit;
use testkit::suite::Suite;

const TESTS: &[(&str, fn())] = &[
    ("no_workers_and_a_spool_deliver_each_record_once", loading::no_workers),
    ("one_worker_delivers_each_record_once_and_waits_for_sentry", loading::one_worker),
    ("four_workers_deliver_each_record_once_and_wait_for_sentry", loading::four_workers),
    ("two_outputs_with_two_projects_are_both_complete", loading::two_outputs),
    ("a_plugins_file_loads_the_plugin", loading::plugins_file),
    ("yaml_loads_the_plugin", loading::yaml),
    ("all_series_exist_from_the_start", loading::series_exist),
    ("ten_reloads_under_load_lose_and_double_nothing", reload::with_spool),
    ("a_stop_in_mid_stream_and_a_restart_lose_nothing_with_a_spool", restart::terminated_with_spool),
    ("a_stop_in_mid_stream_and_a_restart_lose_nothing_with_a_worker", restart::terminated_with_worker),
    ("kills_lose_nothing_with_a_spool", restart::killed_with_spool),
    ("kills_of_host_and_server_lose_nothing_with_a_spool", kills::with_spool),
    ("kills_of_host_and_server_lose_nothing_with_a_worker", kills::with_worker),
    ("what_cannot_work_ends_the_host_with_one_line_per_problem", refusals::wrong_options),
    ("backoff_is_one_issue_with_the_last_lines", incidents::backoff_is_one_issue_with_the_last_lines),
    ("refuses_unknown_options_at_the_start_and_in_a_dry_run", refusals::unknown_options),
    ("help_of_the_host_lists_every_option", refusals::help),
    ("check_reads_a_configuration_as_the_host_does", formats::read_alike),
    ("an_unreachable_server_is_told_once_and_gets_all_when_it_comes", refusals::unreachable),
    ("a_server_that_refuses_is_told_once_and_gets_all_when_it_takes", refusals::forbidden),
    ("failing_answers_and_cut_connections_lose_and_double_nothing", faults::failing),
    ("lines_without_tag_and_filter_choose_no_namespace", identity::without_filter_and_tag),
    ("lines_choose_no_namespace_where_the_tag_names_one", identity::with_the_tag),
    ("merged_lines_choose_no_namespace_beside_the_filter", identity::with_the_filter),
    ("lines_below_a_merge_key_choose_no_namespace_beside_the_filter", identity::with_a_merge_key),
    ("parsed_lines_choose_no_namespace_where_the_tag_names_one", identity::with_merged_fields),
    ("a_trace_cut_by_flushes_a_reload_or_a_kill_is_one_event", traces::cut_by_flushes),
    ("a_quota_is_waited_for", faults::quota),
    ("a_budget_holds_over_restarts_and_reloads", budget::holds_over_restarts_and_reloads),
    ("a_lost_answer_repeats_its_own_envelope_only", faults::lost_answers),
    ("a_worker_waits_through_faults", faults::worker),
    ("an_outage_with_few_descriptors_loses_and_doubles_nothing", outage::with_few_descriptors),
    ("an_outage_of_many_files_loses_and_doubles_nothing", outage::of_many_files),
    ("reloads_and_restarts_with_slow_answers_double_nothing", || slow_answers::run(Duration::from_millis(1_500), true)),
    ("a_reload_and_a_restart_under_load_with_slow_answers_double_nothing", || {
        slow_answers::run(Duration::from_millis(1_000), false);
    }),
    ("answers_beyond_the_exit_timeout_repeat_what_was_cut_at_most", || slow_answers::run(Duration::from_secs(6), true)),
    ("removed_files_and_directories_end_as_lost_and_the_spool_goes_on", removal::files_and_directory),
    ("a_directory_removed_under_load_is_created_again", removal::directory_under_load),
    ("unreadable_and_damaged_segments_are_named_and_the_others_sent", removal::unreadable_and_damaged_at_a_start),
    ("a_full_spool_blocks_no_reload_and_another_path_is_drained", outage::reload_with_a_full_spool_and_another_path),
    ("without_spool_and_workers_delivery_is_in_memory_with_one_warning", faults::memory),
];

pub fn add(suite: Suite) -> Suite {
    let host = FluentBit::find();
    let sources = host.clone().and_then(|_| slow_disk::sources());
    let addresses = host.clone().and_then(|_| addresses::parts());
    let both = host.clone().and_then(|_| Bugsink::start(Options::default()).map(|_| ()));
    let suite = TESTS.iter().fold(suite, |suite, (name, body)| suite.needing(&host, name, |_| body()));
    let suite = suite
        .needing(&sources, "a_slow_disk_delays_neither_flush_nor_stop", |root| slow_disk::run(&root, "20", 8))
        .needing(&sources, "a_power_failure_loses_what_was_not_synced_at_most", |root| power::fails(&root, "normal"))
        .needing(&sources, "a_power_failure_loses_nothing_taken_with_full_syncs", |root| power::fails(&root, "full"))
        .needing(&sources, "a_process_without_descriptors_sends_and_goes_on", |root| descriptors::none_left(&root))
        .needing(&addresses, "a_silent_address_costs_a_second_or_so", |root| addresses::one_is_silent(&root));
    let kernel = host.clone().and_then(|_| kernel::is_possible());
    let suite = suite.needing(&kernel, "a_process_that_the_kernel_kills_is_an_issue_of_its_container", |()| {
        kernel::a_killed_process_is_an_issue_of_its_container();
    });
    let old = FluentBit::find_1_9();
    let suite = compatibility::add(suite);
    let suite = suite.needing(&old, "two_outputs_of_fluent_bit_1_9_are_drained", loading::two_outputs_of_1_9);
    let freed = host.clone().and_then(|host| reload::keeps_freed_workers(&host));
    let suite = suite.needing(&freed, "reloads_with_workers_lose_nothing", |()| reload::with_workers());
    suite.needing(&both, "backoff_is_one_issue_in_bugsink", |()| incidents::backoff_is_one_issue_in_bugsink())
}
