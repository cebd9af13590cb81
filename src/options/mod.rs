//! Defines every option of `[OUTPUT] Name sentry`, one row each.
//!
//! A default is text and passes the same setter as a value that a user writes, so it can never be invalid or differ from the
//! documents. The tables of `docs/configuration.md` are rendered from these rows (`reference`).

mod aliases;
mod cost;
mod dsn;
mod dsn_allowlist;
mod file;
mod proxy;
mod reference;
mod settings;
#[cfg(test)]
mod table;
mod tls;
mod value;

pub use aliases::{is_of_the_host, judge, nearest};
pub use cost::{Budget, LogAttributes, Period, Source};
pub use dsn::Dsn;
pub use dsn_allowlist::{Hosts, MAX_ANNOTATION, Refusal};
pub use file::{MAX_DSN_FILE, is_writable_by_all, machine_name, open_plain, read_file, read_plain};
pub use proxy::{Proxies, ProxyUrl};
pub use reference::{GROUPS, Group, to_markdown};
pub use settings::{
    Compress, Delivery, Destination, Incidents, KubeEvents, Mapping, Mode, Monitor, Network, Report, Settings,
    SpoolSync,
};
use std::fmt::{self, Write};
use std::path::{Path, PathBuf};
use value::Expected;

/// One option.
pub struct Row {
    /// Its name; Fluent Bit compares case-insensitively.
    pub name: &'static str,
    /// Its default, as a user would write it; `None` means unset.
    pub default: Option<&'static str>,
    /// Description of the option, for users.
    pub doc: &'static str,
    /// True if its value must never be printed as it is.
    pub secret: bool,
    set: fn(&mut Settings, &str) -> Result<(), Expected>,
}

/// An option that cannot work as it is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The option, or the name given instead of one.
    pub option: String,
    /// The given text, masked where it is a secret; empty where nothing was given, and then `expected` is the whole text.
    pub found: String,
    /// Description of a correct value.
    pub expected: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.found.as_str() {
            "" => f.write_str(&self.expected),
            found => write!(f, "{} = {found}: expected {}", self.option, self.expected),
        }
    }
}

macro_rules! rows {
    ($($name:literal, $default:expr, $doc:literal, $set:expr;)*) => {
        &[$(Row { name: $name, default: $default, doc: $doc, secret: false, set: $set }),*]
    };
}

/// The table. The order is the order of the documents.
const PLAIN: &[Row] = rows! {
    "dsn_file", None, "file that holds the DSN, for example a mounted Secret; read again when it changes",
        |s, v| { s.destination.dsn_file = Some(path(v)?); Ok(()) };
    "spool_path", None, "directory where chunks wait until Sentry has accepted their records",
        |s, v| { s.delivery.spool_path = Some(path(v)?); Ok(()) };
    "event_level", Some("error"), "lowest severity that becomes an event (issue); `off`: none",
        |s, v| { s.mapping.event_level = value::threshold(v)?; Ok(()) };
    "logs_level", Some("info"), "lowest severity that becomes a log; `trace`: all, `off`: none",
        |s, v| { s.mapping.logs_level = value::threshold(v)?; Ok(()) };
    "environment", None, "environment of every item; otherwise taken from records (`environment_key`)",
        |s, v| { s.mapping.environment = Some(environment(v)?); Ok(()) };
    "release", None, "release of every item; otherwise taken from records (`release_key`)",
        |s, v| { s.mapping.release = Some(release(v)?); Ok(()) };
    "tags", None, "tags for every event and log",
        |s, v| { s.mapping.tags = value::pairs(v)?; Ok(()) };
    "compress", Some("gzip"), "`gzip`, `zstd` or `none`; if the server answers 415 or cannot read it, the plugin uses gzip, then none",
        |s, v| { s.network.compress = compress(v)?; Ok(()) };
    "proxy", None, "URL of the proxy; `none`: no proxy; unset: `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` of the environment",
        |s, v| { s.network.proxy = Some(Proxies::parse(v)?); Ok(()) };
    "tls_ca_file", None, "PEM file with certificates to trust, in addition to those of the system",
        |s, v| { s.network.tls_ca = tls::roots(v)?; Ok(()) };
    "dsn_dir", None,
        "directory with one file per Kubernetes namespace that holds the DSN for its records; changes take effect; names with dots are skipped; records of other namespaces use `dsn`",
        |s, v| { s.destination.dsn_dir = Some(path(v)?); Ok(()) };
    "dsn_annotation", Some("k8s.sentry.io/dsn"),
        "pod annotation that holds a DSN; used only if `dsn_allow_hosts` allows its host",
        |s, v| { s.mapping.dsn_annotation = annotation(v)?; Ok(()) };
    "dsn_allow_hosts", None,
        "hosts that an annotation may name, with `:port` if it is not the default port; unset: annotations are ignored",
        |s, v| { s.destination.allow_hosts = Hosts::parse(v)?; Ok(()) };
    "tls_crt_file", None, "PEM file with the client certificate, followed by its chain",
        |s, v| { s.network.tls_chain = tls::certificates(v)?; Ok(()) };
    "tls_key_file", None, "PEM file with the key of the client certificate (PKCS#8, PKCS#1 or SEC1, without passphrase)",
        |s, v| { s.network.tls_key = Some(tls::private_key(v)?); Ok(()) };
    "tls_verify", Some("on"), "`off`: accept any certificate, with a warning",
        |s, v| { s.network.tls_verify = value::switch(v)?; Ok(()) };
    "message_key", Some("message,msg,MESSAGE,body,log"), "fields that hold the message",
        |s, v| { s.mapping.message_key = value::list(v); Ok(()) };
    "parse_message", Some("on"),
        "read the fields of a message that is one JSON object or logfmt; the record's own fields take precedence",
        |s, v| { s.mapping.parse_message = value::switch(v)?; Ok(()) };
    "join_traces", Some("on"),
        "join consecutive lines of one stream that form one stack trace into one event and one log",
        |s, v| { s.mapping.join_traces = value::switch(v)?; Ok(()) };
    "trace_timeout", Some("1s"),
        "in `spool` and `memory`, how long lines at the end of a chunk that may be an unfinished stack trace wait for the next lines of their stream; `0`: not at all",
        |s, v| { s.delivery.trace_timeout = value::time(v)?; Ok(()) };
    "level_key", Some("level,severity,severity_text,severity_number,loglevel,log_level,lvl,PRIORITY,priority,pri"),
        "fields that hold the severity, in addition to those of known loggers",
        |s, v| { s.mapping.level_key = value::list(v); Ok(()) };
    "level_map", None, "severity words of your own",
        |s, v| { s.mapping.level_map = level_map(v)?; Ok(()) };
    "default_level", Some("info"), "severity of a record that states none",
        |s, v| { s.mapping.default_level = Some(value::level(v)?); Ok(()) };
    "time_key", Some("time,timestamp,@timestamp,ts,t"),
        "fields of a JSON or logfmt message that hold its time; used if the time has a zone (RFC 3339) or is an epoch within a day of the record's time",
        |s, v| { s.mapping.time_key = value::list(v); Ok(()) };
    "logger_key", Some("logger,logger_name,ident"), "fields that hold the logger's name, in addition to those of known loggers",
        |s, v| { s.mapping.logger_key = value::list(v); Ok(()) };
    "stack_key", Some("stack_trace,stacktrace,stack,exception.stacktrace,error.stack,error.stack_trace"),
        "fields that hold a stack trace: text, a list of lines, or an object with frames",
        |s, v| { s.mapping.stack_key = value::list(v); Ok(()) };
    "environment_key", Some("environment,env,deployment.environment.name"), "fields that hold the environment",
        |s, v| { s.mapping.environment_key = value::list(v); Ok(()) };
    "release_key", Some("release,service.version"),
        "fields that hold the release; otherwise `<image name>@<tag>` of the container, unless the tag is `latest`",
        |s, v| { s.mapping.release_key = value::list(v); Ok(()) };
    "server_name", None, "server name of every item",
        |s, v| { s.mapping.server_name = Some(v.to_owned()); Ok(()) };
    "server_name_key", Some("kubernetes.host,hostname,_HOSTNAME,host.name"),
        "fields that hold the server's name; otherwise the name of the machine, if a record has no Kubernetes metadata",
        |s, v| { s.mapping.server_name_key = value::list(v); Ok(()) };
    "tag_keys", None, "record fields to send as tags",
        |s, v| { s.mapping.tag_keys = value::list(v); Ok(()) };
    "label_keys", Some("app,app.kubernetes.io/*"), "pod labels to send, `*` at the end stands for any characters; annotations are never sent",
        |s, v| { s.mapping.label_keys = value::list(v); Ok(()) };
    "user_id_key", Some("user.id,user_id"), "fields that hold the user's id; used only with `send_pii on`",
        |s, v| { s.mapping.user_id_key = value::list(v); Ok(()) };
    "trace_id_key", Some("trace_id,traceId,traceID,otelTraceID,dd.trace_id,traceparent"), "fields that hold the trace id",
        |s, v| { s.mapping.trace_id_key = value::list(v); Ok(()) };
    "span_id_key", Some("span_id,spanId,spanID,otelSpanID,dd.span_id"), "fields that hold the span id",
        |s, v| { s.mapping.span_id_key = value::list(v); Ok(()) };
    "fingerprint", None, "parts of the fingerprint; `{{ default }}` is the default grouping, `$field` the value of a field; a part that a record lacks is left out",
        |s, v| { s.mapping.fingerprint = value::list(v); Ok(()) };
    "in_app_include", None, "prefixes of modules or paths whose frames belong to the application; checked before `in_app_exclude`",
        |s, v| { s.mapping.in_app_include = value::list(v); Ok(()) };
    "in_app_exclude", None, "prefixes of modules or paths whose frames do not belong to the application",
        |s, v| { s.mapping.in_app_exclude = value::list(v); Ok(()) };
    "remove_keys", None, "record fields that are never sent",
        |s, v| { s.mapping.remove_keys = value::list(v); Ok(()) };
    "breadcrumbs", Some("20"), "earlier lines of the stream to attach to an event (0 to 100); `0`: off",
        |s, v| { s.mapping.breadcrumbs = value::whole(v, 0, 100, "a number from 0 to 100")?; Ok(()) };
    "sample_rate", Some("1.0"), "part of the events to send; a stack trace is never split, and a retry makes the same choice",
        |s, v| { s.mapping.sample_rate = value::part(v)?; Ok(()) };
    "logs_sample_rate", Some("1.0"), "part of the logs to send; chosen as `sample_rate` does",
        |s, v| { s.mapping.logs_sample_rate = value::part(v)?; Ok(()) };
    "storm_burst", Some("10"),
        "events of one fingerprint to send at once; then one per interval, which doubles from 1 minute to 1 hour; `0`: off",
        |s, v| { s.mapping.storm_burst = value::whole(v, 0, 1_000_000, "a number from 0 up")? as u32; Ok(()) };
    "event_rate", Some("300"), "maximum number of events per minute and destination, all fingerprints together; `0`: off",
        |s, v| { s.mapping.event_rate = value::whole(v, 0, 1_000_000, "a number from 0 up")? as u32; Ok(()) };
    "send_pii", Some("off"), "`off`: no `user` from records, and e-mail addresses become `[Filtered]`",
        |s, v| { s.mapping.send_pii = value::switch(v)?; Ok(()) };
    "scrub", Some("on"), "replace values of sensitive keys and sensitive patterns by `[Filtered]` (see `docs/privacy.md`)",
        |s, v| { s.mapping.scrub = value::switch(v)?; Ok(()) };
    "scrub_keys", None, "more names of sensitive fields",
        |s, v| { s.mapping.scrub_keys = value::list(v); Ok(()) };
    "scrub_allow", None, "names of fields that are never filtered because of their name",
        |s, v| { s.mapping.scrub_allow = value::list(v); Ok(()) };
    "log_attributes", Some("lean"),
        "attributes of logs, which Sentry bills by size. `lean`: namespace, pod, container, node (outside Kubernetes `server.address`), `service.name` (the label `app.kubernetes.io/name`, else `app`), logger, environment, release, and the record's own fields. `full`: also image, all `label_keys`, SDK, origin, stream, server address. Or a list of names, in which `*` stands for any characters and `lean` may be one. `tags` are always sent; events have everything",
        |s, v| { s.mapping.log_attributes = LogAttributes::parse(v)?; Ok(()) };
    "logs_budget", None,
        "maximum billed bytes of logs for each destination in a UTC day (`/d`) or hour (`/h`); beyond it, logs at `warn` and above are sent up to 120 %, the others end as `over_budget`; `spool_path` keeps what is spent across restarts",
        |s, v| { s.delivery.logs_budget = Some(Budget::parse(v)?); Ok(()) };
    "logs_budget_namespace", None,
        "the same for each namespace; the pod annotation `k8s.sentry.io/logs-budget` can lower it for a workload",
        |s, v| { s.delivery.logs_budget_namespace = Some(Budget::parse(v)?); Ok(()) };
    "logs_on_error", Some("0"),
        "earlier lines of an event's stream below `logs_level` to send as logs of its trace (0 to 1000); the ledger counts them as `filtered`, and separately as recalled; `0`: off",
        |s, v| { s.mapping.logs_on_error = value::whole(v, 0, 1000, "a number from 0 to 1000")?; Ok(()) };
    "logs_on_error_size", Some("4M"), "memory for such lines, of all streams together; the oldest are dropped first",
        |s, v| { s.mapping.logs_on_error_size = usize::try_from(value::size(v)?).unwrap_or(usize::MAX); Ok(()) };
    "kube_events", Some("auto"),
        "which records of the input `kubernetes_events` become issues of their workload. `auto`: those of this node if the instance also reads container logs of one node, otherwise all; `node`, `cluster`, `off`",
        |s, v| { s.mapping.incidents.kube_events = kube_events(v)?; Ok(()) };
    "kube_event_levels", None,
        "levels by reason, instead of the built-in ones; below `warning` an event is a log and no issue",
        |s, v| { s.mapping.incidents.levels = kube_event_levels(v)?; Ok(()) };
    "kernel_tags", None,
        "tags, `*` at the end allowed, of text logs that the kernel writes; only the kernel's lines open an issue about an OOM kill, and records of `kmsg` and of journald's kernel transport count as such without this option",
        |s, v| { s.mapping.incidents.kernel_tags = value::list(v); Ok(()) };
    "monitor_slug", None,
        "Sentry monitor to check in to: ok, or error if the oldest pending item is older than 15 minutes or a destination is misconfigured; check-ins are not stored",
        |s, v| { s.monitor.slug = Some(monitor_slug(v)?); Ok(()) };
    "monitor_interval", Some("5m"), "time between two check-ins (1m to 24h)",
        |s, v| { s.monitor.interval = monitor_interval(v)?; Ok(()) };
    "delivery", Some("auto"),
        "when a flush is answered: `spool`, `ack` or `memory`; `auto`: `spool` if `spool_path` is set, `ack` on a worker thread, otherwise `memory`",
        |s, v| { s.delivery.mode = mode(v)?; Ok(()) };
    "spool_max_size", Some("256M"), "maximum size of the spool; if it is full, Fluent Bit is asked to retry",
        |s, v| { s.delivery.spool_max_size = value::size(v)?; Ok(()) };
    "spool_sync", Some("normal"),
        "`normal`: a flush is answered when its chunk is written, which survives a killed process; the plugin syncs at most every 200 ms, so that a power failure loses the chunks since the last sync. `full`: a flush is answered after the sync",
        |s, v| { s.delivery.spool_sync = spool_sync(v)?; Ok(()) };
    "ack_timeout", Some("4s"), "longest wait of a flush in `ack`; then Fluent Bit is asked to retry, and sending continues",
        |s, v| { s.delivery.ack_timeout = value::time(v)?; Ok(()) };
    "queue_max_size", Some("24M"),
        "memory for queued items; if it is full, Fluent Bit is asked to retry. An empty queue takes one chunk of any size. In `memory`, chunks of up to 4 MiB wait compressed when the queue fills",
        |s, v| { s.delivery.queue_max_size = value::size(v)?; Ok(()) };
    "senders", Some("4"), "concurrent requests (1 to 64)",
        |s, v| { s.delivery.senders = value::whole(v, 1, 64, "a number from 1 to 64")?; Ok(()) };
    "batch_max_items", Some("100"), "logs per envelope (1 to 1000), up to 1 MB uncompressed",
        |s, v| { s.delivery.batch_max_items = value::whole(v, 1, 1000, "a number from 1 to 1000")?; Ok(()) };
    "batch_timeout", Some("1s"), "how long an envelope waits for more logs",
        |s, v| { s.delivery.batch_timeout = value::time(v)?; Ok(()) };
    "hold_events", Some("24h"), "how long events wait for a rate limit or a misconfigured destination; `0`: not at all",
        |s, v| { s.delivery.hold_events = value::time(v)?; Ok(()) };
    "hold_logs", Some("10m"), "how long logs wait for the same",
        |s, v| { s.delivery.hold_logs = value::time(v)?; Ok(()) };
    "retry_base", Some("1s"), "first backoff, with full jitter",
        |s, v| { s.delivery.retry_base = value::time(v)?; Ok(()) };
    "retry_max", Some("60s"), "longest backoff",
        |s, v| { s.delivery.retry_max = value::time(v)?; Ok(()) };
    "timeout", Some("30s"), "longest duration of a request, including the connection",
        |s, v| { s.network.timeout = positive(v)?; Ok(()) };
    "exit_timeout", Some("4s"), "how long the plugin goes on sending at exit",
        |s, v| { s.delivery.exit_timeout = value::time(v)?; Ok(()) };
    "dead_letter_path", None,
        "directory for items that Sentry will never accept, with the reason; `flb-sentry replay` sends them again; default: `dead` in `spool_path`, otherwise they are only counted and logged",
        |s, v| { s.delivery.dead_letter_path = Some(path(v)?); Ok(()) };
    "dead_letter_max_size", Some("64M"), "maximum size of the dead letters; beyond it, items are only counted, as `overflow`",
        |s, v| { s.delivery.dead_letter_max_size = value::size(v)?; Ok(()) };
    "client_reports", Some("on"), "report to Sentry how many items were left out or dropped, and why",
        |s, v| { s.delivery.client_reports = value::switch(v)?; Ok(()) };
    "summary_interval", Some("60s"), "how often the ledger is logged if it has changed; `0`: only at exit",
        |s, v| { s.report.summary_interval = value::time(v)?; Ok(()) };
};

const DSN: Row = Row {
    name: "dsn",
    default: None,
    doc: "DSN of the project to send to; otherwise `dsn_file`, then the environment variable `SENTRY_DSN`; `dsn` and `dsn_file` together are an error",
    secret: true,
    set: |s, v| {
        s.destination.dsn = Some(Dsn::parse(v)?);
        Ok(())
    },
};

/// All rows, in the order of the documents.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    std::iter::once(&DSN).chain(PLAIN)
}

/// The default of an option that is a list of keys; empty for an unknown or unset one.
#[must_use]
pub fn default_keys(name: &str) -> Vec<String> {
    rows().find(|row| row.name == name).and_then(|row| row.default).map(value::list).unwrap_or_default()
}

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
) -> Result<Loaded, Vec<Problem>> {
    let mut settings = Settings::default();
    let mut problems = Vec::new();
    let (mut effective, mut mapping_options) = (String::new(), String::new());
    for row in rows() {
        let given = lookup(row.name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let Some(text) = given.as_deref().or(row.default) else { continue };
        if let Err(expected) = (row.set)(&mut settings, text) {
            problems.push(problem(row.name, row.show(text), expected.instead_of(text)));
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

/// The kind of value that an option takes. Fluent Bit names it in its help; the option's own setter checks the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Free text, or one of a few words.
    Text,
    /// A whole number.
    Number,
    /// `on` or `off`.
    Switch,
    /// A number with a fraction.
    Fraction,
    /// Bytes: `24M`.
    Size,
    /// A time span: `5s`.
    Time,
    /// Texts with commas between them.
    List,
}

impl Row {
    /// Returns the kind of value that the option takes, as its name and its default tell it. An option without a default
    /// whose name does not end in `_key` or `_keys` counts as text.
    #[must_use]
    pub fn kind(&self) -> Kind {
        let default = self.default.unwrap_or_default();
        let (last, digits) = (default.bytes().last(), default.trim_end_matches(|c: char| c.is_ascii_alphabetic()));
        let number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        match last {
            _ if self.name.ends_with("_key") || self.name.ends_with("_keys") || default.contains(',') => Kind::List,
            _ if matches!(default, "on" | "off") => Kind::Switch,
            Some(b'K' | b'M' | b'G') if number => Kind::Size,
            Some(b's' | b'm' | b'h' | b'd') if number => Kind::Time,
            Some(b'0'..=b'9') if number && default.contains('.') => Kind::Fraction,
            Some(b'0'..=b'9') if number => Kind::Number,
            _ => Kind::Text,
        }
    }

    /// A value as it may be shown.
    fn show(&self, text: &str) -> String {
        if self.secret {
            return Dsn::parse(text).map_or_else(|_| "***".to_owned(), |dsn| dsn.to_string());
        }
        match self.name {
            "proxy" => proxy::mask(text),
            // `@timestamp` is a field; a password in the wrong place has a colon before it.
            name if name.ends_with("_key") && !text.contains(':') => text.to_owned(),
            _ => mask_credentials(text),
        }
    }
}

/// Masks the text between `://` and `@`: a DSN or a password in the wrong place.
fn mask_credentials(text: &str) -> String {
    let start = text.find("://").map_or(0, |at| at + 3);
    match text.rfind('@') {
        Some(end) if start < end => format!("{}***{}", &text[..start], &text[end..]),
        _ => text.to_owned(),
    }
}

fn resolve_dsn(
    destination: &mut Destination,
    environment: impl Fn(&str) -> Option<String>,
    problems: &mut Vec<Problem>,
) -> String {
    let given_but_wrong = problems.iter().any(|problem| problem.option.starts_with("dsn"));
    let mut wrong = |option, found, expected| problems.push(problem(option, found, expected));
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
                Some(Err(expected)) => wrong("dsn", "*** (from environment SENTRY_DSN)", expected),
                None if given_but_wrong => {}
                None if destination.is_routed() => {
                    return "dsn: none; only records with a DSN of their own are sent".to_owned();
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
    network: &mut settings::Network,
    environment: impl Fn(&str) -> Option<String>,
    problems: &mut Vec<Problem>,
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
            problems.push(problem("proxy", found, proxy::EXPECTED));
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

fn check_together(settings: &Settings, problems: &mut Vec<Problem>) {
    if settings.delivery.mode == Mode::Spool && settings.delivery.spool_path.is_none() {
        problems.push(problem("spool_path", "nothing", "a directory, because delivery = spool"));
    }
    let wrong = |problem: &Problem| matches!(problem.option.as_str(), "tls_crt_file" | "tls_key_file");
    if !problems.iter().any(wrong)
        && let Err((found, expected)) = tls::check_together(&settings.network)
    {
        problems.push(problem("tls_key_file", found, expected));
    }
}

fn problem(option: &str, found: impl Into<String>, expected: impl Into<String>) -> Problem {
    Problem { option: option.to_owned(), found: found.into(), expected: expected.into() }
}

fn path(text: &str) -> Result<PathBuf, &'static str> {
    if Path::new(text).is_absolute() { Ok(text.into()) } else { Err("an absolute path") }
}

/// Relay's rules for environment names (facts: relay-event-normalization).
fn environment(text: &str) -> Result<String, &'static str> {
    let bad = text.len() > 64 || text.contains(['/', '\\']) || text.chars().any(char::is_control);
    if bad || matches!(text.to_ascii_lowercase().as_str(), "." | ".." | "none") {
        return Err("an environment of at most 64 bytes without slashes, not `none`");
    }
    Ok(text.to_owned())
}

fn release(text: &str) -> Result<String, &'static str> {
    let bad = text.len() > 200 || text.contains(['/', '\\']) || text.chars().any(char::is_control);
    if bad || matches!(text.to_ascii_lowercase().as_str(), "." | ".." | "latest") {
        return Err("a release of at most 200 bytes without slashes, not `latest`");
    }
    Ok(text.to_owned())
}

/// A qualified name (<https://kubernetes.io/docs/concepts/overview/working-with-objects/annotations/>).
fn annotation(text: &str) -> Result<String, &'static str> {
    let sound = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'/');
    let good = text.len() <= 317 && text.bytes().all(sound) && !text.starts_with('/') && !text.ends_with('/');
    if good { Ok(text.to_owned()) } else { Err("the name of a pod annotation, such as k8s.sentry.io/dsn") }
}

fn compress(text: &str) -> Result<Compress, Expected> {
    match text.to_ascii_lowercase().as_str() {
        "gzip" => Ok(Compress::Gzip),
        "zstd" => Ok(Compress::Zstd),
        "none" | "off" => Ok(Compress::None),
        _ => Err(Expected::one_of("gzip, zstd or none", &["gzip", "zstd", "none"])),
    }
}

fn mode(text: &str) -> Result<Mode, Expected> {
    [Mode::Auto, Mode::Spool, Mode::Ack, Mode::Memory]
        .into_iter()
        .find(|mode| mode.name().eq_ignore_ascii_case(text))
        .ok_or(Expected::one_of("auto, spool, ack or memory", &["auto", "spool", "ack", "memory"]))
}

fn spool_sync(text: &str) -> Result<SpoolSync, Expected> {
    match text.to_ascii_lowercase().as_str() {
        "normal" => Ok(SpoolSync::Normal),
        "full" => Ok(SpoolSync::Full),
        _ => Err(Expected::one_of("normal or full", &["normal", "full"])),
    }
}

/// Sentry makes a slug of anything, so that another name would be another monitor than the one that was meant.
fn monitor_slug(text: &str) -> Result<String, &'static str> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    let good = text.len() <= 50 && text.bytes().all(fits);
    if good { Ok(text.to_owned()) } else { Err("at most 50 lower-case letters, digits, dashes and underscores") }
}

fn monitor_interval(text: &str) -> Result<std::time::Duration, &'static str> {
    let interval = value::time(text).map_err(|_| "a time from 1m to 24h")?;
    if (60..=86_400).contains(&interval.as_secs()) { Ok(interval) } else { Err("a time from 1m to 24h") }
}

fn kube_events(text: &str) -> Result<KubeEvents, Expected> {
    const EXPECTED: &str = "auto, node, cluster or off";
    Ok(match text.to_ascii_lowercase().as_str() {
        "auto" => KubeEvents::Auto,
        "node" => KubeEvents::Node,
        "cluster" => KubeEvents::Cluster,
        "off" | "false" | "no" => KubeEvents::Off,
        _ => return Err(Expected::one_of(EXPECTED, &["auto", "node", "cluster", "off"])),
    })
}

fn kube_event_levels(text: &str) -> Result<Vec<(String, Option<crate::level::Level>)>, &'static str> {
    const EXPECTED: &str = "reason=level pairs, e.g. BackOff=error,Unhealthy=warning,Killing=off";
    let pairs = value::pairs(text).map_err(|_| EXPECTED)?;
    pairs.into_iter().map(|(reason, name)| Ok((reason, value::threshold(&name).map_err(|_| EXPECTED)?))).collect()
}

fn positive(text: &str) -> Result<std::time::Duration, &'static str> {
    value::time(text).and_then(|time| if time.is_zero() { Err("a time above zero") } else { Ok(time) })
}

fn level_map(text: &str) -> Result<Vec<(String, crate::level::Level)>, &'static str> {
    const EXPECTED: &str = "word=level pairs, e.g. notice=info,audit=warning";
    let pairs = value::pairs(text).map_err(|_| EXPECTED)?;
    pairs.into_iter().map(|(word, name)| Ok((word, value::level(&name).map_err(|_| EXPECTED)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::Level;
    use std::time::Duration;

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    fn given(options: &[(&str, &str)]) -> Result<Loaded, Vec<Problem>> {
        given_with(options, None)
    }

    fn given_with(options: &[(&str, &str)], variable: Option<&str>) -> Result<Loaded, Vec<Problem>> {
        let find = |name: &str| options.iter().find(|(k, _)| *k == name).map(|(_, v)| (*v).to_owned());
        load(find, |name| variable.filter(|_| name == "SENTRY_DSN").map(str::to_owned))
    }

    fn dsn() -> String {
        format!("https://{KEY}@h/1")
    }

    #[test]
    fn defaults_are_valid_and_mean_what_the_table_says() {
        let settings = given(&[("dsn", &dsn())]).unwrap().settings;
        assert_eq!(settings.mapping.event_level, Some(Level::Error));
        assert_eq!(settings.mapping.logs_level, Some(Level::Info));
        assert_eq!(settings.delivery.queue_max_size, 24_000_000);
        assert_eq!(settings.delivery.hold_events, Duration::from_secs(86_400));
        assert_eq!(settings.delivery.mode, Mode::Auto);
        assert!(settings.network.tls_verify);
    }

    #[test]
    fn all_problems_come_at_once_with_option_value_and_expectation() {
        let problems = given(&[("dsn", "nonsense"), ("event_level", "loud"), ("senders", "0")]).unwrap_err();
        let text = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert_eq!(problems.len(), 3, "{text}");
        assert!(text.contains("dsn = ***: expected a DSN that begins with https://"), "{text}");
        assert!(text.contains("event_level = loud: expected a level"), "{text}");
        assert!(text.contains("senders = 0: expected a number from 1 to 64"), "{text}");
    }

    #[test]
    fn a_dsn_is_asked_for_when_there_is_none_and_may_come_from_the_environment() {
        let problems = given(&[]).unwrap_err();
        assert!(problems[0].to_string().contains("SENTRY_DSN"), "{problems:?}");
        let loaded = given_with(&[], Some(&dsn())).unwrap();
        assert_eq!(loaded.dsn_source, "dsn: from environment SENTRY_DSN, https://***@h/1");
        let problems = given_with(&[], Some("x")).unwrap_err();
        assert!(problems[0].found.contains("SENTRY_DSN"), "{problems:?}");
        assert!(given(&[("dsn", &dsn()), ("dsn_file", "/f")]).unwrap_err()[0].expected.contains("not both"));
    }

    #[test]
    fn with_destinations_by_namespace_or_annotation_a_default_is_not_needed() {
        for option in [("dsn_dir", "/etc/dsn"), ("dsn_allow_hosts", "sentry.example.com")] {
            let loaded = given(&[option]).unwrap();
            assert!(loaded.dsn_source.starts_with("dsn: none"), "{}", loaded.dsn_source);
            assert!(loaded.settings.destination.is_routed());
        }
        let loaded = given(&[("dsn", &dsn()), ("dsn_dir", "/etc/dsn")]).unwrap();
        assert!(loaded.dsn_source.ends_with("; by namespace from directory /etc/dsn"), "{}", loaded.dsn_source);
        let problems = given(&[("dsn", &dsn()), ("dsn_allow_hosts", "*.ingest.sentry.io")]).unwrap_err();
        assert!(problems[0].to_string().starts_with("dsn_allow_hosts = *.ingest.sentry.io: expected"), "{problems:?}");
        assert!(!given(&[("dsn", &dsn())]).unwrap().settings.destination.is_routed());
    }

    #[test]
    fn secrets_are_masked_wherever_values_are_shown() {
        let loaded = given(&[("dsn", &dsn()), ("proxy", "http://user:hunter2@proxy:3128")]).unwrap();
        assert!(!loaded.effective.contains(KEY) && !loaded.effective.contains("hunter2"), "{}", loaded.effective);
        assert!(loaded.effective.contains(" dsn=https://***@h/1 "), "{}", loaded.effective);
        assert!(loaded.effective.contains(" proxy=http://***@proxy:3128"), "{}", loaded.effective);
        let printed = format!("{loaded:?} {loaded:#?}");
        assert!(!printed.contains(KEY) && !printed.contains("hunter2"), "{printed}");
    }

    #[test]
    fn the_environments_proxies_are_read_and_shown_without_their_passwords() {
        let load = |variable: &'static str, value: &'static str, option: &'static str| {
            let options = [("dsn", dsn()), ("proxy", option.to_owned())];
            let find = |name: &str| options.iter().find(|(k, _)| *k == name).map(|(_, v)| v.clone());
            super::load(find, |name| Some(value.to_owned()).filter(|_| name == variable))
        };
        let url = "http://user:hunter2@proxy:3128";
        let shown = load("https_proxy", url, "").unwrap().effective;
        assert!(shown.ends_with("; from the environment: HTTPS_PROXY=http://***@proxy:3128"), "{shown}");
        assert!(!load("https_proxy", url, "none").unwrap().effective.contains("from the environment"));
        let problem = load("HTTPS_PROXY", "socks5://user:hunter2@proxy", "").unwrap_err().remove(0).to_string();
        let expected = "proxy = socks5://***@proxy (from environment HTTPS_PROXY): expected none, or a proxy";
        assert!(problem.starts_with(expected), "{problem}");
        assert!(load("HTTPS_PROXY", "socks5://user:hunter2@proxy", "none").is_ok());
        for wrong in ["user:hunter2@proxy", "http:/user:hunter2@proxy", "socks5://user:hunter2@proxy"] {
            let problem = load("", "", wrong).unwrap_err().remove(0).to_string();
            assert!(problem.contains("***@proxy: expected") && !problem.contains("hunter2"), "{problem}");
        }
    }

    #[test]
    fn names_that_are_written_for_ours_are_asked_for() {
        let problems = given(&[("dsn", &dsn()), ("spool_dir", "/x"), ("senders", "0"), ("tag_key", "a")]).unwrap_err();
        let text = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert_eq!(problems.len(), 3, "{text}");
        assert!(text.contains("spool_dir = /x: expected the name of an option: use spool_path"), "{text}");
        assert!(text.contains("tag_key = a: expected the name of an option: use tag_keys"), "{text}");
    }

    #[test]
    fn a_password_is_masked_with_and_without_a_scheme() {
        for (text, shown) in [
            ("http://user:hunter2@proxy:3128", "http://***@proxy:3128"),
            ("user:hunter2@proxy", "***@proxy"),
            ("http://u:p@ss@proxy", "http://***@proxy"),
            ("http://proxy:3128", "http://proxy:3128"),
            ("plain", "plain"),
        ] {
            assert_eq!(mask_credentials(text), shown);
        }
    }

    #[test]
    fn spool_needs_a_directory() {
        let problems = given(&[("dsn", &dsn()), ("delivery", "spool")]).unwrap_err();
        assert!(problems[0].to_string().contains("spool_path"), "{problems:?}");
    }

    #[test]
    fn dead_letters_live_below_the_spool_unless_told_otherwise() {
        let path = |options: &[(&str, &str)]| {
            let dsn = dsn();
            let all: Vec<_> = options.iter().copied().chain([("dsn", dsn.as_str())]).collect();
            given(&all).unwrap().settings.delivery.dead_letter_path
        };
        assert_eq!(path(&[]), None);
        assert_eq!(path(&[("spool_path", "/s")]), Some("/s/dead".into()));
        assert_eq!(path(&[("spool_path", "/s"), ("dead_letter_path", "/d")]), Some("/d".into()));
    }

    /// The kind is told from the default; here each setter says whether it takes values of that kind, and only those.
    #[test]
    fn kinds_are_those_that_the_setters_take() {
        let takes = |row: &Row, text| (row.set)(&mut Settings::default(), text).is_ok();
        for row in rows() {
            let (good, bad): (&[&str], &[&str]) = match row.kind() {
                Kind::Switch => (&["yes", "no", "true", "false"], &["2", "x"]),
                Kind::Size => (&["64K", "3G"], &["5h", "x"]),
                Kind::Time => (&["3m", "2h"], &["5G", "x"]),
                Kind::Fraction => (&["0.25"], &["x"]),
                Kind::Number => (&["7"], &["0.25", "x"]),
                Kind::List => (&["a,b"], &[]),
                Kind::Text => (&[], &[]),
            };
            assert!(good.iter().all(|text| takes(row, text)), "{} is no {:?}", row.name, row.kind());
            assert!(!bad.iter().any(|text| takes(row, text)), "{} is no {:?}", row.name, row.kind());
        }
        let kind = |name| rows().find(|row| row.name == name).unwrap().kind();
        let known = ["dsn", "scrub", "senders", "sample_rate", "queue_max_size", "timeout", "message_key", "tag_keys"];
        let kinds = known.map(kind);
        use Kind::{Fraction, List, Number, Size, Switch, Text, Time};
        assert_eq!(kinds, [Text, Switch, Number, Fraction, Size, Time, List, List]);
    }

    /// Fluent Bit reads `${...}` in a default as a variable of its own, and shows a default to everybody.
    #[test]
    fn defaults_are_plain_and_secrets_have_none() {
        for row in rows() {
            assert!(!row.secret || row.default.is_none(), "{}", row.name);
            assert!(!row.default.unwrap_or_default().contains("${"), "{}", row.name);
            assert!(!row.name.contains('\0') && !row.doc.contains('\0'), "{}", row.name);
        }
    }

    #[test]
    fn settings_are_shown_where_they_differ_from_the_defaults() {
        let shown = given(&[("dsn", &dsn()), ("event_level", "error"), ("senders", "8")]).unwrap().effective;
        assert_eq!(shown, " dsn=https://***@h/1 senders=8");
        let shown = given_with(&[("event_level", "error")], Some(&dsn())).unwrap().effective;
        assert_eq!(shown, " (all defaults)");
    }

    #[test]
    fn names_of_fields_are_shown_as_they_are() {
        let shown = given(&[("dsn", &dsn()), ("time_key", "ts,@timestamp")]).unwrap().effective;
        assert!(shown.contains(" time_key=ts,@timestamp"), "{shown}");
        let url = format!("time,https://{KEY}@h/1");
        let shown = given(&[("dsn", &dsn()), ("time_key", &url)]).unwrap().effective;
        assert!(!shown.contains(KEY), "{shown}");
    }

    #[test]
    fn an_empty_value_is_no_value() {
        assert!(given(&[("dsn", &dsn()), ("environment", "  ")]).unwrap().settings.mapping.environment.is_none());
    }
}
