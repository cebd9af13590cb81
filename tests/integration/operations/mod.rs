//! Tests the plugin as its operators see it: metrics, log lines, threads and memory, and never a secret.

mod flapping;
mod footprint;
mod metrics;
mod rotation;
mod secrets;

use testkit::suite::Suite;

pub fn add(suite: Suite) -> Suite {
    let registry = metrics::Registry::build();
    suite
        .needing(&registry, "every_series_is_there_from_the_start_adds_up_and_comes_to_rest", metrics::all)
        .test("a_server_that_comes_and_goes_is_told_once", flapping::told_once)
        .test("an_outage_of_many_projects_is_told_once", flapping::one_outage_of_many_projects)
        .test("a_rotated_dsn_file_loses_and_doubles_nothing_with_spool", || rotation::under_load("spool"))
        .test("a_rotated_dsn_file_loses_and_doubles_nothing_with_ack", || rotation::under_load("ack"))
        .test("two_hundred_namespaces_keep_to_the_footprint", footprint::two_hundred_namespaces)
        .test("what_waits_on_disk_does_not_wait_in_memory", footprint::an_outage)
        .test("no_output_of_ship_shows_a_secret", secrets::shipping)
        .test("no_refused_option_shows_a_secret", secrets::refused)
        .test("no_output_of_explain_and_receive_shows_a_secret", secrets::explaining)
}
