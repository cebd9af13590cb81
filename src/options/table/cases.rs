//! Values that every option accepts and rejects: one case for each row.

use crate::options::{Proxies, ProxyUrl, Settings};
use std::fmt::Debug;

/// An option: how it is read back, its default, values with their meaning, values with the expected complaint.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) read: fn(&Settings) -> String,
    pub(super) default: &'static str,
    pub(super) good: &'static [(&'static str, &'static str)],
    pub(super) bad: &'static [(&'static str, &'static str)],
}

const fn case(
    name: &'static str,
    read: fn(&Settings) -> String,
    default: &'static str,
    good: &'static [(&'static str, &'static str)],
    bad: &'static [(&'static str, &'static str)],
) -> Case {
    Case { name, read, default, good, bad }
}

pub(super) const PEM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tls/client.pem");

pub(super) const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tls/client.key");

const CUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tls/cut.pem");

pub(super) const DSN: &str = "https://0123456789abcdef0123456789abcdef@h/1";

const SWITCH: &[(&str, &str)] =
    &[("On", "true"), ("true", "true"), ("YES", "true"), ("off", "false"), ("False", "false"), ("no", "false")];

const NO_SWITCH: &[(&str, &str)] = &[
    ("1", "on or off (also true, false, yes, no)"),
    ("enabled", "on or off (also true, false, yes, no)"),
    ("ture", "on or off (also true, false, yes, no)"),
    ("flase", "on or off (also true, false, yes, no); the nearest is false"),
    ("onn", "on or off (also true, false, yes, no); the nearest is on"),
];

const LIST: &[(&str, &str)] = &[("a", "a"), (" a , b.c,,$d['e'] ", "a|b.c|$d['e']")];

const LEVEL: &[(&str, &str)] =
    &[("warn", "Warn"), ("WARNING", "Warn"), ("Err", "Error"), ("critical", "Fatal"), ("trace", "Trace")];

const THRESHOLD: &[(&str, &str)] =
    &[("warn", "Some(Warn)"), ("WARNING", "Some(Warn)"), ("fatal", "Some(Fatal)"), ("off", "None"), ("False", "None")];

const NO_THRESHOLD: &[(&str, &str)] = &[
    ("loud", "a level (trace, debug, info, warn, error, fatal) or off"),
    ("erorr", "a level (trace, debug, info, warn, error, fatal) or off; the nearest is error"),
    ("offf", "a level (trace, debug, info, warn, error, fatal) or off; the nearest is off"),
    ("error,warn", "a level (trace, debug, info, warn, error, fatal) or off"),
];

const SIZE: &[(&str, &str)] = &[
    ("500", "500"),
    ("64K", "64000"),
    ("2k", "2000"),
    ("2M", "2000000"),
    ("2m", "2000000"),
    ("2MB", "2000000"),
    ("2G", "2000000000"),
];

const NO_SIZE: &[(&str, &str)] = &[
    ("much", "a size such as 500K, 24M or 1G"),
    ("-1", "a size such as 500K, 24M or 1G"),
    ("1.5M", "a size such as 500K, 24M or 1G"),
    ("64Mi", "a size such as 500K, 24M or 1G"),
];

const TIME: &[(&str, &str)] = &[
    ("5", "5s"),
    ("5s", "5s"),
    ("5m", "300s"),
    ("1h", "3600s"),
    ("1d", "86400s"),
    ("500ms", "500ms"),
    ("1.5S", "1.5s"),
];

const NO_TIME: &[(&str, &str)] = &[
    ("soon", "a time such as 500ms, 5s, 10m or 24h"),
    ("-5s", "a time such as 500ms, 5s, 10m or 24h"),
    ("5 s", "a time such as 500ms, 5s, 10m or 24h"),
    ("1w", "a time such as 500ms, 5s, 10m or 24h"),
];

const PART: &[(&str, &str)] = &[("0", "0"), ("0.25", "0.25"), ("1", "1")];

const NO_PART: &[(&str, &str)] = &[
    ("50%", "a number from 0.0 to 1.0"),
    ("1.1", "a number from 0.0 to 1.0"),
    ("-0.1", "a number from 0.0 to 1.0"),
    ("NaN", "a number from 0.0 to 1.0"),
];

const NO_COUNT: &[(&str, &str)] =
    &[("-1", "a number from 0 up"), ("2k", "a number from 0 up"), ("all", "a number from 0 up")];

const PATH: &[(&str, &str)] = &[("/var/lib/sentry", "Some(\"/var/lib/sentry\")")];

const NO_PATH: &[(&str, &str)] = &[("var/lib", "an absolute path"), ("~/sentry", "an absolute path")];

const NO_FILE: &str = "a file that exists and can be read";

pub(super) const CASES: &[Case] = &[
    case(
        "dsn",
        |s| debug(&s.destination.dsn),
        "None",
        &[(DSN, "Some(https://***@h/1)")],
        &[
            ("sentry.io", "a DSN that begins with https:// or http://, as Sentry's project settings show it"),
            ("https://short@h/1", "a DSN whose public key has 32 letters and digits"),
        ],
    ),
    case("dsn_file", |s| debug(&s.destination.dsn_file), "None", PATH, NO_PATH),
    case("spool_path", |s| debug(&s.delivery.spool_path), "None", PATH, NO_PATH),
    case("event_level", |s| debug(&s.mapping.event_level), "Some(Error)", THRESHOLD, NO_THRESHOLD),
    case("logs_level", |s| debug(&s.mapping.logs_level), "Some(Info)", THRESHOLD, NO_THRESHOLD),
    case(
        "environment",
        |s| debug(&s.mapping.environment),
        "None",
        &[("prod eu", "Some(\"prod eu\")")],
        &[
            ("a/b", "an environment of at most 64 bytes without slashes, not `none`"),
            ("None", "an environment of at most 64 bytes without slashes, not `none`"),
        ],
    ),
    case(
        "release",
        |s| debug(&s.mapping.release),
        "None",
        &[("shop@1.2", "Some(\"shop@1.2\")")],
        &[
            ("a\\b", "a release of at most 200 bytes without slashes, not `latest`"),
            ("latest", "a release of at most 200 bytes without slashes, not `latest`"),
        ],
    ),
    case(
        "tags",
        |s| debug(&s.mapping.tags),
        "[]",
        &[("a=1, b = 2", "[(\"a\", \"1\"), (\"b\", \"2\")]")],
        &[
            ("a", "key=value pairs with commas between them, each key once"),
            ("a=1,a=2", "key=value pairs with commas between them, each key once"),
        ],
    ),
    case(
        "compress",
        |s| debug(&s.network.compress),
        "Gzip",
        &[("ZSTD", "Zstd"), ("none", "None"), ("off", "None")],
        &[("gzipp", "gzip, zstd or none; the nearest is gzip"), ("snappy", "gzip, zstd or none")],
    ),
    case(
        "proxy",
        |s| s.network.proxy.iter().flat_map(Proxies::all).map(ProxyUrl::expose).collect::<Vec<_>>().join("|"),
        "",
        &[("NONE", ""), ("http://u:p@proxy:3128", "http://u:p@proxy:3128")],
        &[
            ("proxy:3128", "none, or a proxy such as http://user:password@host:3128"),
            ("ftp://proxy", "none, or a proxy such as http://user:password@host:3128"),
        ],
    ),
    case(
        "tls_ca_file",
        |s| debug(&!s.network.tls_ca.is_empty()),
        "false",
        &[(PEM, "true")],
        &[
            ("/no/such/file", NO_FILE),
            (KEY, "a PEM file with at least one certificate"),
            (CUT, "a whole PEM file; this one is cut or damaged"),
        ],
    ),
    case("dsn_dir", |s| debug(&s.destination.dsn_dir), "None", PATH, NO_PATH),
    case(
        "dsn_annotation",
        |s| s.mapping.dsn_annotation.clone(),
        "k8s.sentry.io/dsn",
        &[("a.b/c-d", "a.b/c-d")],
        &[
            ("a b", "the name of a pod annotation, such as k8s.sentry.io/dsn"),
            ("/a", "the name of a pod annotation, such as k8s.sentry.io/dsn"),
        ],
    ),
    case(
        "dsn_allow_hosts",
        |s| debug(&!s.destination.allow_hosts.is_empty()),
        "false",
        &[("sentry.example.com", "true"), ("*.example.com, h:9000", "true")],
        &[("https://h", "host names with commas between them"), ("*.ingest.sentry.io", "hosts of your own")],
    ),
    case(
        "tls_crt_file",
        |s| debug(&!s.network.tls_chain.is_empty()),
        "false",
        &[(PEM, "true")],
        &[("/no/such/file", NO_FILE), (KEY, "a PEM file with at least one certificate")],
    ),
    case(
        "tls_key_file",
        |s| debug(&s.network.tls_key.is_some()),
        "false",
        &[(KEY, "true")],
        &[("/no/such/file", NO_FILE), (PEM, "a PEM file with a private key")],
    ),
    case("tls_verify", |s| debug(&s.network.tls_verify), "true", SWITCH, NO_SWITCH),
    case("message_key", |s| s.mapping.message_key.join("|"), "message|msg|MESSAGE|body|log", LIST, &[]),
    case("parse_message", |s| debug(&s.mapping.parse_message), "true", SWITCH, NO_SWITCH),
    case("join_traces", |s| debug(&s.mapping.join_traces), "true", SWITCH, NO_SWITCH),
    case("trace_timeout", |s| debug(&s.delivery.trace_timeout), "1s", TIME, NO_TIME),
    case(
        "level_key",
        |s| s.mapping.level_key.join("|"),
        "level|severity|severity_text|severity_number|loglevel|log_level|lvl|PRIORITY|priority|pri",
        LIST,
        &[],
    ),
    case(
        "level_map",
        |s| debug(&s.mapping.level_map),
        "[]",
        &[("audit = warning", "[(\"audit\", Warn)]")],
        &[
            ("audit", "word=level pairs, e.g. notice=info,audit=warning"),
            ("audit=loud", "word=level pairs, e.g. notice=info,audit=warning"),
        ],
    ),
    case(
        "default_level",
        |s| s.mapping.default_level.map_or(String::new(), |level| debug(&level)),
        "Info",
        LEVEL,
        &[
            ("off", "a level: trace, debug, info, warn, error or fatal"),
            ("wran", "a level: trace, debug, info, warn, error or fatal"),
            ("inffo", "a level: trace, debug, info, warn, error or fatal; the nearest is info"),
        ],
    ),
    case("time_key", |s| s.mapping.time_key.join("|"), "time|timestamp|@timestamp|ts|t", LIST, &[]),
    case("logger_key", |s| s.mapping.logger_key.join("|"), "logger|logger_name|ident", LIST, &[]),
    case(
        "stack_key",
        |s| s.mapping.stack_key.join("|"),
        "stack_trace|stacktrace|stack|exception.stacktrace|error.stack|error.stack_trace",
        LIST,
        &[],
    ),
    case(
        "environment_key",
        |s| s.mapping.environment_key.join("|"),
        "environment|env|deployment.environment.name",
        LIST,
        &[],
    ),
    case("release_key", |s| s.mapping.release_key.join("|"), "release|service.version", LIST, &[]),
    case("server_name", |s| debug(&s.mapping.server_name), "None", &[("edge 7", "Some(\"edge 7\")")], &[]),
    case(
        "server_name_key",
        |s| s.mapping.server_name_key.join("|"),
        "kubernetes.host|hostname|_HOSTNAME|host.name",
        LIST,
        &[],
    ),
    case("tag_keys", |s| s.mapping.tag_keys.join("|"), "", LIST, &[]),
    case("label_keys", |s| s.mapping.label_keys.join("|"), "app|app.kubernetes.io/*", LIST, &[]),
    case("user_id_key", |s| s.mapping.user_id_key.join("|"), "user.id|user_id", LIST, &[]),
    case(
        "trace_id_key",
        |s| s.mapping.trace_id_key.join("|"),
        "trace_id|traceId|traceID|otelTraceID|dd.trace_id|traceparent",
        LIST,
        &[],
    ),
    case("span_id_key", |s| s.mapping.span_id_key.join("|"), "span_id|spanId|spanID|otelSpanID|dd.span_id", LIST, &[]),
    case("fingerprint", |s| s.mapping.fingerprint.join("|"), "", LIST, &[]),
    case("in_app_include", |s| s.mapping.in_app_include.join("|"), "", LIST, &[]),
    case("in_app_exclude", |s| s.mapping.in_app_exclude.join("|"), "", LIST, &[]),
    case("remove_keys", |s| s.mapping.remove_keys.join("|"), "", LIST, &[]),
    case(
        "breadcrumbs",
        |s| debug(&s.mapping.breadcrumbs),
        "20",
        &[("0", "0"), ("100", "100")],
        &[("101", "a number from 0 to 100"), ("off", "a number from 0 to 100")],
    ),
    case("sample_rate", |s| s.mapping.sample_rate.to_string(), "1", PART, NO_PART),
    case("logs_sample_rate", |s| s.mapping.logs_sample_rate.to_string(), "1", PART, NO_PART),
    case("storm_burst", |s| debug(&s.mapping.storm_burst), "10", &[("0", "0"), ("500", "500")], NO_COUNT),
    case("event_rate", |s| debug(&s.mapping.event_rate), "300", &[("0", "0"), ("500", "500")], NO_COUNT),
    case("send_pii", |s| debug(&s.mapping.send_pii), "false", SWITCH, NO_SWITCH),
    case("scrub", |s| debug(&s.mapping.scrub), "true", SWITCH, NO_SWITCH),
    case("scrub_keys", |s| s.mapping.scrub_keys.join("|"), "", LIST, &[]),
    case("scrub_allow", |s| s.mapping.scrub_allow.join("|"), "", LIST, &[]),
    case(
        "log_attributes",
        |s| s.mapping.log_attributes.to_string(),
        "lean",
        &[("FULL", "full"), ("lean, k8s.pod.label.*", "lean,k8s.pod.label.*"), ("a,,b.c", "a,b.c")],
        &[("a b", "lean, full, or attribute names with commas between them, in which * stands for any characters")],
    ),
    case(
        "logs_budget",
        |s| s.delivery.logs_budget.map_or(String::new(), |budget| budget.to_string()),
        "",
        &[("50M/h", "50M/h"), ("500m/D", "500M/d"), ("1500/day", "1500/d")],
        &[
            ("500M", "a size for each day or hour, such as 500M/d or 50M/h"),
            ("0/d", "a size for each day or hour, such as 500M/d or 50M/h"),
            ("500M/w", "a size for each day or hour, such as 500M/d or 50M/h"),
        ],
    ),
    case(
        "logs_budget_namespace",
        |s| s.delivery.logs_budget_namespace.map_or(String::new(), |budget| budget.to_string()),
        "",
        &[("50M/h", "50M/h"), ("500m/D", "500M/d"), ("1500/day", "1500/d")],
        &[
            ("500M", "a size for each day or hour, such as 500M/d or 50M/h"),
            ("0/d", "a size for each day or hour, such as 500M/d or 50M/h"),
            ("500M/w", "a size for each day or hour, such as 500M/d or 50M/h"),
        ],
    ),
    case(
        "logs_on_error",
        |s| s.mapping.logs_on_error.to_string(),
        "0",
        &[("0", "0"), ("50", "50"), ("1000", "1000")],
        &[("1001", "a number from 0 to 1000"), ("-1", "a number from 0 to 1000"), ("many", "a number from 0 to 1000")],
    ),
    case("logs_on_error_size", |s| s.mapping.logs_on_error_size.to_string(), "4000000", SIZE, NO_SIZE),
    case(
        "kube_events",
        |s| debug(&s.mapping.incidents.kube_events),
        "Auto",
        &[("Node", "Node"), ("cluster", "Cluster"), ("OFF", "Off"), ("auto", "Auto"), ("no", "Off")],
        &[
            ("all", "auto, node, cluster or off"),
            ("nodes", "auto, node, cluster or off; the nearest is node"),
            ("on", "auto, node, cluster or off"),
        ],
    ),
    case(
        "kube_event_levels",
        |s| debug(&s.mapping.incidents.levels),
        "[]",
        &[("BackOff=error, Unhealthy=off", "[(\"BackOff\", Some(Error)), (\"Unhealthy\", None)]")],
        &[
            ("BackOff", "reason=level pairs, e.g. BackOff=error,Unhealthy=warning,Killing=off"),
            ("BackOff=loud", "reason=level pairs, e.g. BackOff=error,Unhealthy=warning,Killing=off"),
        ],
    ),
    case("kernel_tags", |s| s.mapping.incidents.kernel_tags.join("|"), "", LIST, &[]),
    case(
        "monitor_slug",
        |s| debug(&s.monitor.slug),
        "None",
        &[("edge-1_a", "Some(\"edge-1_a\")")],
        &[
            ("Edge 1", "at most 50 lower-case letters, digits, dashes and underscores"),
            ("a/b", "at most 50 lower-case letters, digits, dashes and underscores"),
        ],
    ),
    case(
        "monitor_interval",
        |s| debug(&s.monitor.interval),
        "300s",
        &[("1m", "60s"), ("24h", "86400s"), ("90", "90s")],
        &[("30s", "a time from 1m to 24h"), ("2d", "a time from 1m to 24h"), ("often", "a time from 1m to 24h")],
    ),
    case(
        "delivery",
        |s| s.delivery.mode.name().to_owned(),
        "auto",
        &[("ACK", "ack"), ("memory", "memory")],
        &[("spoool", "auto, spool, ack or memory; the nearest is spool"), ("disk", "auto, spool, ack or memory")],
    ),
    case("spool_max_size", |s| debug(&s.delivery.spool_max_size), "256000000", SIZE, NO_SIZE),
    case(
        "spool_sync",
        |s| debug(&s.delivery.spool_sync),
        "Normal",
        &[("FULL", "Full"), ("normal", "Normal")],
        &[("on", "normal or full"), ("ful", "normal or full; the nearest is full")],
    ),
    case("ack_timeout", |s| debug(&s.delivery.ack_timeout), "4s", TIME, NO_TIME),
    case("queue_max_size", |s| debug(&s.delivery.queue_max_size), "24000000", SIZE, NO_SIZE),
    case(
        "senders",
        |s| debug(&s.delivery.senders),
        "4",
        &[("1", "1"), ("64", "64")],
        &[("0", "a number from 1 to 64"), ("65", "a number from 1 to 64"), ("four", "a number from 1 to 64")],
    ),
    case(
        "batch_max_items",
        |s| debug(&s.delivery.batch_max_items),
        "100",
        &[("1", "1"), ("1000", "1000")],
        &[("0", "a number from 1 to 1000"), ("1001", "a number from 1 to 1000")],
    ),
    case("batch_timeout", |s| debug(&s.delivery.batch_timeout), "1s", TIME, NO_TIME),
    case("hold_events", |s| debug(&s.delivery.hold_events), "86400s", TIME, NO_TIME),
    case("hold_logs", |s| debug(&s.delivery.hold_logs), "600s", TIME, NO_TIME),
    case("retry_base", |s| debug(&s.delivery.retry_base), "1s", TIME, NO_TIME),
    case("retry_max", |s| debug(&s.delivery.retry_max), "60s", TIME, NO_TIME),
    case(
        "timeout",
        |s| debug(&s.network.timeout),
        "30s",
        TIME,
        &[("0", "a time above zero"), ("soon", "a time such as 500ms, 5s, 10m or 24h")],
    ),
    case("exit_timeout", |s| debug(&s.delivery.exit_timeout), "4s", TIME, NO_TIME),
    case("dead_letter_path", |s| debug(&s.delivery.dead_letter_path), "None", PATH, NO_PATH),
    case("dead_letter_max_size", |s| debug(&s.delivery.dead_letter_max_size), "64000000", SIZE, NO_SIZE),
    case("client_reports", |s| debug(&s.delivery.client_reports), "true", SWITCH, NO_SWITCH),
    case("summary_interval", |s| debug(&s.report.summary_interval), "60s", TIME, NO_TIME),
];

fn debug(value: &dyn Debug) -> String {
    format!("{value:?}")
}
