//! Renders the reference of all options for `docs/configuration.md`: rows of the table in groups, each with an example.

use super::{Kind, Row, rows};
use std::fmt::Write;

/// A group of options.
pub struct Group {
    /// The heading.
    pub title: &'static str,
    /// A sentence below the heading, or nothing.
    pub about: &'static str,
    /// The options, each with an example value.
    pub options: &'static [(&'static str, &'static str)],
}

/// All groups; each option is in exactly one.
pub const GROUPS: &[Group] = &[
    Group {
        title: "Destination",
        about: "Where items are sent. [Routing](routing.md) explains the order.",
        options: &[
            ("dsn", "https://0123456789abcdef0123456789abcdef@o1.ingest.us.sentry.io/2"),
            ("dsn_file", "/run/secrets/sentry/dsn"),
            ("dsn_dir", "/etc/sentry/namespaces"),
            ("dsn_annotation", "example.com/dsn"),
            ("dsn_allow_hosts", "sentry.example.com"),
        ],
    },
    Group {
        title: "What is sent",
        about: "[Volume](volume.md) explains thresholds and cost.",
        options: &[
            ("event_level", "warn"),
            ("logs_level", "warn"),
            ("environment", "production"),
            ("release", "shop@2.14.3"),
            ("server_name", "web-1"),
            ("tags", "team=checkout,region=eu"),
        ],
    },
    Group {
        title: "Fields of records",
        about: "Lists of field names: the first one that a record has is used, and a dotted name reaches nested fields. [Mapping](mapping.md) explains each part.",
        options: &[
            ("message_key", "event,message"),
            ("parse_message", "off"),
            ("level_key", "sev,level"),
            ("level_map", "notice=info,audit=warning"),
            ("default_level", "debug"),
            ("time_key", "when"),
            ("logger_key", "component"),
            ("stack_key", "error.trace"),
            ("environment_key", "stage"),
            ("release_key", "build.version"),
            ("server_name_key", "node"),
            ("tag_keys", "customer,region"),
            ("label_keys", "app,team"),
            ("user_id_key", "account.id"),
            ("trace_id_key", "request.trace"),
            ("span_id_key", "request.span"),
        ],
    },
    Group {
        title: "Stack traces and events",
        about: "",
        options: &[
            ("join_traces", "off"),
            ("trace_timeout", "500ms"),
            ("in_app_include", "com.example."),
            ("in_app_exclude", "com.example.vendored."),
            ("fingerprint", "{{ default }},$service"),
            ("breadcrumbs", "50"),
            ("sample_rate", "0.25"),
            ("storm_burst", "2"),
            ("event_rate", "60"),
        ],
    },
    Group {
        title: "Logs and their cost",
        about: "[Volume](volume.md#logs) explains what Sentry bills.",
        options: &[
            ("log_attributes", "lean,k8s.pod.label.team"),
            ("logs_sample_rate", "0.1"),
            ("logs_budget", "500M/d"),
            ("logs_budget_namespace", "50M/h"),
            ("logs_on_error", "50"),
            ("logs_on_error_size", "8M"),
        ],
    },
    Group {
        title: "Privacy",
        about: "[Privacy](privacy.md) lists what is removed.",
        options: &[
            ("scrub", "off"),
            ("scrub_keys", "iban,customer_no"),
            ("scrub_allow", "author"),
            ("send_pii", "on"),
            ("remove_keys", "request.body,$request['headers']"),
        ],
    },
    Group {
        title: "Kubernetes incidents and check-ins",
        about: "[Kubernetes incidents](incidents.md) explains them.",
        options: &[
            ("kube_events", "cluster"),
            ("kube_event_levels", "BackOff=error,Unhealthy=warning,Killing=off"),
            ("kernel_tags", "kernel.*"),
            ("monitor_slug", "edge-1"),
            ("monitor_interval", "10m"),
        ],
    },
    Group {
        title: "Delivery",
        about: "[Delivery](delivery.md) explains modes and guarantees.",
        options: &[
            ("delivery", "spool"),
            ("spool_path", "/var/lib/fluent-bit/sentry"),
            ("spool_max_size", "1G"),
            ("spool_sync", "full"),
            ("ack_timeout", "10s"),
            ("queue_max_size", "64M"),
            ("hold_events", "48h"),
            ("hold_logs", "1h"),
            ("dead_letter_path", "/var/lib/fluent-bit/sentry-dead"),
            ("dead_letter_max_size", "256M"),
            ("exit_timeout", "8s"),
        ],
    },
    Group {
        title: "Requests and network",
        about: "",
        options: &[
            ("senders", "8"),
            ("batch_max_items", "1000"),
            ("batch_timeout", "5s"),
            ("compress", "zstd"),
            ("retry_base", "2s"),
            ("retry_max", "5m"),
            ("timeout", "10s"),
            ("proxy", "http://proxy.example.com:3128"),
            ("tls_ca_file", "/etc/ssl/internal-ca.pem"),
            ("tls_crt_file", "/etc/sentry/client.crt"),
            ("tls_key_file", "/etc/sentry/client.key"),
            ("tls_verify", "off"),
        ],
    },
    Group { title: "Reports", about: "", options: &[("client_reports", "off"), ("summary_interval", "5m")] },
];

/// Returns one Markdown section with a table for each group.
#[must_use]
pub fn to_markdown() -> String {
    let mut text = String::new();
    for group in GROUPS {
        let _ = writeln!(text, "## {}\n", group.title);
        if !group.about.is_empty() {
            let _ = writeln!(text, "{}\n", group.about);
        }
        text.push_str("| option | type | default | example | meaning |\n|---|---|---|---|---|\n");
        for (name, example) in group.options {
            let Some(row) = rows().find(|row| row.name == *name) else { continue };
            let default = row.default.map(|text| format!("`{}`", text.replace(',', ", "))).unwrap_or_default();
            let _ = writeln!(text, "| `{name}` | {} | {default} | `{example}` | {} |", type_name(row), row.doc);
        }
        text.push('\n');
    }
    text
}

/// Returns the type of an option for people.
fn type_name(row: &Row) -> &'static str {
    match (row.name, row.kind()) {
        ("dsn", _) => "DSN",
        (name, Kind::Text) if name.ends_with("_file") => "path",
        (name, Kind::Text) if name.ends_with("_path") || name.ends_with("_dir") => "path",
        ("event_level" | "logs_level" | "default_level", _) => "level",
        ("tags" | "level_map" | "kube_event_levels", _) => "key=value list",
        (
            "dsn_allow_hosts" | "scrub_allow" | "in_app_include" | "in_app_exclude" | "kernel_tags" | "fingerprint"
            | "label_keys" | "log_attributes",
            _,
        ) => "list",
        ("compress" | "delivery" | "kube_events" | "spool_sync", _) => "word",
        ("proxy", _) => "URL",
        ("logs_budget" | "logs_budget_namespace", _) => "size per day or hour",
        (_, Kind::Text) => "text",
        (_, Kind::Number) => "number",
        (_, Kind::Switch) => "on or off",
        (_, Kind::Fraction) => "number from 0.0 to 1.0",
        (_, Kind::Size) => "size",
        (_, Kind::Time) => "time",
        (_, Kind::List) => "list",
    }
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::*;

    #[test]
    fn each_option_is_in_one_group() {
        for row in rows() {
            let groups = GROUPS.iter().flat_map(|group| group.options).filter(|(name, _)| *name == row.name).count();
            assert_eq!(groups, 1, "{}", row.name);
        }
        let known = |name: &str| rows().any(|row| row.name == name);
        let stranger = GROUPS.iter().flat_map(|group| group.options).find(|(name, _)| !known(name));
        assert_eq!(stranger, None);
    }

    /// Files of certificates and keys are read when they are set, and those of the examples are on no machine.
    #[test]
    fn each_example_is_accepted_and_is_not_the_default() {
        for (name, example) in GROUPS.iter().flat_map(|group| group.options) {
            let row = rows().find(|row| row.name == *name).expect("expected an option");
            assert_ne!(row.default, Some(*example), "{name}");
            if name.starts_with("tls_") && name.ends_with("_file") {
                continue;
            }
            let set = (row.set)(&mut Settings::default(), example);
            assert!(set.is_ok(), "{name} = {example}");
        }
    }
}
