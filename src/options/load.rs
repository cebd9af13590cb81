//! Reads all options, finds the DSN and the proxies, and checks what options have to agree on.

use super::dsn::Dsn;
use super::error::OptionError;
use super::proxy::{self, Proxies};
use super::settings::{Destination, Mode, Network, Settings};
use super::table::rows;
use super::{aliases, tls};
use std::fmt::Write;

/// The settings and their source, for the start-up line.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// The options that differ from their defaults, masked; ` (all defaults)` if none does.
    pub effective: String,
    /// Description of the DSN's source.
    pub dsn_source: String,
    /// A line `name=text` for each option that may decide the items of a record, given or by default. It identifies them in
    /// files, so its form is part of their format.
    pub mapping_options: String,
}

/// Options that do not decide the items of a record, only where it waits and how it is sent.
const NOT_MAPPING: &[&str] = &[
    "dsn",
    "dsn_file",
    "spool_path",
    "compress",
    "proxy",
    "tls_ca_file",
    "tls_crt_file",
    "tls_key_file",
    "tls_verify",
    "log_attributes",
    "logs_budget",
    "logs_budget_namespace",
    "logs_on_error",
    "logs_on_error_size",
    "delivery",
    "spool_max_size",
    "spool_sync",
    "ack_timeout",
    "queue_max_size",
    "senders",
    "batch_max_items",
    "batch_timeout",
    "trace_timeout",
    "hold_events",
    "hold_logs",
    "retry_base",
    "retry_max",
    "timeout",
    "exit_timeout",
    "dead_letter_path",
    "dead_letter_max_size",
    "client_reports",
    "summary_interval",
];

/// Reads every option through `lookup` (Fluent Bit's property function) and `environment` (the process's).
///
/// # Errors
/// All problems at once.
pub fn load(
    lookup: impl Fn(&str) -> Option<String>,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Loaded, Vec<OptionError>> {
    let mut settings = Settings::default();
    let mut problems = Vec::new();
    let (mut effective, mut mapping_options) = (String::new(), String::new());
    for row in rows() {
        let given = lookup(row.name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let Some(text) = given.as_deref().or(row.default) else { continue };
        if let Err(expected) = (row.set)(&mut settings, text) {
            problems.push(OptionError::new(row.name, row.show(text), expected.instead_of(text)));
        }
        if given.as_deref().is_some_and(|given| Some(given) != row.default) {
            let _ = write!(effective, " {}={}", row.name, row.show(text));
        }
        if !NOT_MAPPING.contains(&row.name) {
            let _ = writeln!(mapping_options, "{}={text}", row.name);
        }
    }
    let delivery = &mut settings.delivery;
    if let (None, Some(spool)) = (&delivery.dead_letter_path, &delivery.spool_path) {
        delivery.dead_letter_path = Some(spool.join("dead"));
    }
    settings.mapping.incidents.node = node(&environment);
    let mut dsn_source = resolve_dsn(&mut settings.destination, &environment, &mut problems);
    if effective.is_empty() {
        effective.push_str(" (all defaults)");
    }
    effective.push_str(&resolve_proxy(&mut settings.network, &environment, &mut problems));
    if let Some(dir) = &settings.destination.dsn_dir {
        let _ = write!(dsn_source, "; by namespace from directory {}", dir.display());
    }
    if !settings.destination.allow_hosts.is_empty() {
        let _ = write!(dsn_source, "; by annotation {}", settings.mapping.dsn_annotation);
    }
    check_together(&settings, &mut problems);
    problems.extend(aliases::find_misnamed(lookup));
    if problems.is_empty() { Ok(Loaded { settings, effective, dsn_source, mapping_options }) } else { Err(problems) }
}

fn resolve_dsn(
    destination: &mut Destination,
    environment: impl Fn(&str) -> Option<String>,
    problems: &mut Vec<OptionError>,
) -> String {
    let given_but_wrong = problems.iter().any(|problem| problem.option.starts_with("dsn"));
    let mut wrong = |option, found, expected| problems.push(OptionError::new(option, found, expected));
    match (&destination.dsn, &destination.dsn_file) {
        (Some(_), Some(_)) => wrong("dsn", "***", "either dsn or dsn_file, not both"),
        (Some(dsn), None) => return format!("dsn: from option dsn, {dsn}"),
        (None, Some(file)) => return format!("dsn: from file {}", file.display()),
        (None, None) => {
            let variable = environment("SENTRY_DSN").map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
            match variable.as_deref().map(Dsn::parse) {
                Some(Ok(dsn)) => {
                    let source = format!("dsn: from environment SENTRY_DSN, {dsn}");
                    destination.dsn = Some(dsn);
                    return source;
                }
                Some(Err(error)) => wrong("dsn", "*** (from environment SENTRY_DSN)", error.expected()),
                None if given_but_wrong => {}
                None if destination.is_routed() => {
                    return "dsn: none; only records for which dsn_dir or an annotation names a DSN are sent"
                        .to_owned();
                }
                None => wrong(
                    "dsn",
                    "",
                    "no DSN: set dsn, dsn_file, dsn_dir or the environment variable SENTRY_DSN (in Sentry: Project Settings \
                     > Client Keys)",
                ),
            }
        }
    }
    String::new()
}

/// Takes the environment's proxies if the option is not set; returns the proxies found there, for the start-up line.
fn resolve_proxy(
    network: &mut Network,
    environment: impl Fn(&str) -> Option<String>,
    problems: &mut Vec<OptionError>,
) -> String {
    if network.proxy.is_some() || problems.iter().any(|problem| problem.option == "proxy") {
        return String::new();
    }
    match Proxies::from_environment(environment) {
        Ok((proxies, said)) => {
            network.proxy = Some(proxies);
            if said.is_empty() { said } else { format!("; from the environment:{said}") }
        }
        Err((variable, found)) => {
            let found = format!("{found} (from environment {variable})");
            problems.push(OptionError::new("proxy", found, proxy::EXPECTED));
            String::new()
        }
    }
}

/// Returns the name of this node, as manifests pass it from `spec.nodeName` in a variable of the environment.
fn node(environment: impl Fn(&str) -> Option<String>) -> Option<String> {
    const VARIABLES: [&str; 4] = ["NODE_NAME", "K8S_NODE_NAME", "KUBERNETES_NODE_NAME", "KUBE_NODE_NAME"];
    let given = VARIABLES.iter().filter_map(|variable| environment(variable));
    // Anything else is no name that Kubernetes gives a node (RFC 1123), and may be a secret.
    let is_name = |name: &String| {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
        !name.is_empty() && name.bytes().all(fits)
    };
    given.map(|name| name.trim().to_owned()).find(is_name)
}

fn check_together(settings: &Settings, problems: &mut Vec<OptionError>) {
    if settings.delivery.mode == Mode::Spool && settings.delivery.spool_path.is_none() {
        problems.push(OptionError::new("spool_path", "nothing", "a directory, because delivery = spool"));
    }
    let wrong = |problem: &OptionError| matches!(problem.option.as_str(), "tls_crt_file" | "tls_key_file");
    if !problems.iter().any(wrong)
        && let Err((found, expected)) = tls::check_together(&settings.network)
    {
        problems.push(OptionError::new("tls_key_file", found, expected));
    }
}
