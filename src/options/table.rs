//! The table of options: a row each, in the order of the documents.

#[cfg(test)]
mod cases;
#[cfg(test)]
mod tests;

use super::cost::{Budget, LogAttributes};
use super::dsn::Dsn;
use super::dsn_allowlist::Hosts;
use super::proxy::{self, Proxies};
use super::setters::{
    annotation, compress, environment, kube_event_levels, kube_events, level_map, mode, monitor_interval, monitor_slug,
    path, positive, release, spool_sync,
};
use super::settings::Settings;
use super::value::Expected;
use super::{tls, value};

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
    pub(super) set: fn(&mut Settings, &str) -> Result<(), Expected>,
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
    "compress", Some("gzip"), "`gzip`, `zstd` or `none`; if the server answers 415 or cannot decode the request, the plugin uses gzip, then none",
        |s, v| { s.network.compress = compress(v)?; Ok(()) };
    "proxy", None, "URL of the proxy; `none`: no proxy; unset: `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` of the environment",
        |s, v| { s.network.proxy = Some(Proxies::parse(v)?); Ok(()) };
    "tls_ca_file", None, "PEM file with certificates to trust, in addition to those of the system",
        |s, v| { s.network.tls_ca = tls::roots(v)?; Ok(()) };
    "dsn_dir", None,
        "directory with one file per Kubernetes namespace that holds the DSN for its records, read again when it changes; names with dots are skipped; records of other namespaces use `dsn`",
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
        "in `spool` and `memory`, how long lines at the end of a chunk that may be an unfinished stack trace wait for the next lines of their stream, in addition to the time between two flushes of Fluent Bit (5 seconds of it at most); `0`: not at all",
        |s, v| { s.delivery.trace_timeout = value::time(v)?; Ok(()) };
    "level_key", Some("level,severity,severity_text,severity_number,loglevel,log_level,lvl,PRIORITY,priority,pri"),
        "fields that hold the severity, in addition to those of known loggers",
        |s, v| { s.mapping.level_key = value::list(v); Ok(()) };
    "level_map", None, "severity words of your own, and the level that each means",
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
    "sample_rate", Some("1.0"), "fraction of the events to send; a stack trace is never split, and a retry makes the same choice",
        |s, v| { s.mapping.sample_rate = value::part(v)?; Ok(()) };
    "logs_sample_rate", Some("1.0"), "fraction of the logs to send, chosen in the same way as for `sample_rate`",
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
    "scrub_keys", None, "names of further sensitive fields, whose values become `[Filtered]`",
        |s, v| { s.mapping.scrub_keys = value::list(v); Ok(()) };
    "scrub_allow", None, "names of fields that are never filtered because of their name",
        |s, v| { s.mapping.scrub_allow = value::list(v); Ok(()) };
    "log_attributes", Some("lean"),
        "attributes of logs, which Sentry bills by size: `lean`, `full`, or a list of names, in which `*` stands for any characters and `lean` may be one. `lean`: namespace, pod, container, node (outside Kubernetes `server.address`), `service.name` (the label `app.kubernetes.io/name`, else `app`), logger, environment, release, and the record's own fields. `full`: those of `lean`, and image, all `label_keys`, SDK, origin, stream, server address. `tags` are always sent; the option does not affect events",
        |s, v| { s.mapping.log_attributes = LogAttributes::parse(v)?; Ok(()) };
    "logs_budget", None,
        "maximum billed bytes of logs for each destination in a UTC day (`/d`) or hour (`/h`); beyond it, logs at `warn` and above are sent up to 120 %, the others end as `over_budget`; `spool_path` keeps what is spent across restarts",
        |s, v| { s.delivery.logs_budget = Some(Budget::parse(v)?); Ok(()) };
    "logs_budget_namespace", None,
        "maximum billed bytes of logs for each namespace, as `logs_budget` does for each destination; the pod annotation `k8s.sentry.io/logs-budget` can lower it for a workload",
        |s, v| { s.delivery.logs_budget_namespace = Some(Budget::parse(v)?); Ok(()) };
    "logs_on_error", Some("0"),
        "earlier lines of an event's stream below `logs_level` to send as logs of its trace (0 to 1000); the ledger counts them as `filtered`, and separately as recalled; `0`: off",
        |s, v| { s.mapping.logs_on_error = value::whole(v, 0, 1000, "a number from 0 to 1000")?; Ok(()) };
    "logs_on_error_size", Some("4M"), "memory for the lines that `logs_on_error` keeps, of all streams together; the oldest are dropped first",
        |s, v| { s.mapping.logs_on_error_size = usize::try_from(value::size(v)?).unwrap_or(usize::MAX); Ok(()) };
    "kube_events", Some("auto"),
        "which records of the input `kubernetes_events` become issues of their workload. `auto`: those of this node if the instance also reads container logs of one node, otherwise all; `node`, `cluster`, `off`",
        |s, v| { s.mapping.incidents.kube_events = kube_events(v)?; Ok(()) };
    "kube_event_levels", None,
        "levels by reason, instead of the built-in ones; below `warning` an event is a log and no issue",
        |s, v| { s.mapping.incidents.levels = kube_event_levels(v)?; Ok(()) };
    "kernel_tags", None,
        "tags of text logs that the kernel writes, `*` at the end stands for any characters: their lines can open an issue about an OOM kill; records of `kmsg` and of journald's kernel transport can do so without this option",
        |s, v| { s.mapping.incidents.kernel_tags = value::list(v); Ok(()) };
    "monitor_slug", None,
        "slug of the Sentry monitor to check in to, with `ok`, or `error` if the oldest pending item is older than 15 minutes or a destination is misconfigured; check-ins are not stored",
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
    "hold_logs", Some("10m"), "how long logs wait for a rate limit or a misconfigured destination; `0`: not at all",
        |s, v| { s.delivery.hold_logs = value::time(v)?; Ok(()) };
    "retry_base", Some("1s"), "longest wait before the first retry; it doubles with each failure, and the actual wait is random (full jitter)",
        |s, v| { s.delivery.retry_base = value::time(v)?; Ok(()) };
    "retry_max", Some("60s"), "longest wait between two retries",
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

pub(super) const DSN: Row = Row {
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
    pub(super) fn show(&self, text: &str) -> String {
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
