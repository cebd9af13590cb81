//! Holds the settings, split into one struct per stage, so that no stage can read settings that do not concern it.

use super::cost::{Budget, LogAttributes};
use super::dsn::Dsn;
use super::dsn_allowlist::Hosts;
use super::proxy::Proxies;
use crate::level::Level;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use ureq::tls::{Certificate, PrivateKey};

/// All that can be configured.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Settings for the destinations of items.
    pub destination: Destination,
    /// Settings for the mapping from records to items.
    pub mapping: Mapping,
    /// Settings for queueing, batching and retrying items.
    pub delivery: Delivery,
    /// Settings for access to the network.
    pub network: Network,
    /// Settings for the summary in the log.
    pub report: Report,
    /// Settings for check-ins, which tell Sentry the state of the output itself.
    pub monitor: Monitor,
}

/// Settings for check-ins, which tell Sentry the state of the output itself.
#[derive(Clone, Debug, Default)]
pub struct Monitor {
    /// `monitor_slug`
    pub slug: Option<String>,
    /// `monitor_interval`
    pub interval: Duration,
}

/// Settings for the destinations of items.
#[derive(Clone, Debug, Default)]
pub struct Destination {
    /// `dsn`
    pub dsn: Option<Dsn>,
    /// `dsn_file`
    pub dsn_file: Option<PathBuf>,
    /// Directory of DSNs by namespace.
    pub dsn_dir: Option<PathBuf>,
    /// Hosts that a pod's annotation may name; none: annotations are not looked at.
    pub allow_hosts: Hosts,
}

impl Destination {
    /// Returns true if a record's namespace or annotation may choose another destination than the default.
    #[must_use]
    pub fn is_routed(&self) -> bool {
        self.dsn_dir.is_some() || !self.allow_hosts.is_empty()
    }
}

/// Settings for the mapping from records to items.
#[derive(Clone, Debug, Default)]
pub struct Mapping {
    /// Name of the instance, as Fluent Bit's log uses it.
    pub output: String,
    /// Lowest level that becomes an event; `None` is off.
    pub event_level: Option<Level>,
    /// Lowest level that becomes a log; `None` is off.
    pub logs_level: Option<Level>,
    /// Fixed environment.
    pub environment: Option<String>,
    /// Fixed release.
    pub release: Option<String>,
    /// Fixed server name.
    pub server_name: Option<String>,
    /// Name of this machine: the server name of records without Kubernetes metadata that name none.
    pub machine: Option<String>,
    /// Tags added to everything.
    pub tags: Vec<(String, String)>,
    /// Keys that are tried for the message, in order.
    pub message_key: Vec<String>,
    /// Keys that are tried for the level, in order.
    pub level_key: Vec<String>,
    /// Level words of one's own.
    pub level_map: Vec<(String, Level)>,
    /// Level of a record that says nothing about it.
    pub default_level: Option<Level>,
    /// Keys that are tried for the time that a logger gives, in order.
    pub time_key: Vec<String>,
    /// Keys that are tried for the logger's name, in order.
    pub logger_key: Vec<String>,
    /// Keys that are tried for a stack trace, in order.
    pub stack_key: Vec<String>,
    /// Keys that are tried for the environment, in order.
    pub environment_key: Vec<String>,
    /// Keys that are tried for the release, in order.
    pub release_key: Vec<String>,
    /// Keys that are tried for the server's name, in order.
    pub server_name_key: Vec<String>,
    /// Fields promoted to tags.
    pub tag_keys: Vec<String>,
    /// Pod labels to send.
    pub label_keys: Vec<String>,
    /// Keys that are tried for the trace id, in order.
    pub trace_id_key: Vec<String>,
    /// Keys that are tried for the span id, in order.
    pub span_id_key: Vec<String>,
    /// Prefixes of modules and paths whose frames are the application's.
    pub in_app_include: Vec<String>,
    /// Prefixes of modules and paths whose frames are not.
    pub in_app_exclude: Vec<String>,
    /// Fields never sent.
    pub remove_keys: Vec<String>,
    /// True if a message that holds fields is read as fields.
    pub parse_message: bool,
    /// True if lines that form one stack trace become one event.
    pub join_traces: bool,
    /// Keys that are tried for the user's id, in order.
    pub user_id_key: Vec<String>,
    /// Template of the fingerprint.
    pub fingerprint: Vec<String>,
    /// Earlier lines attached to an event.
    pub breadcrumbs: usize,
    /// Part of the events that is sent.
    pub sample_rate: f64,
    /// Part of the logs that is sent.
    pub logs_sample_rate: f64,
    /// Events of a fingerprint before a storm is believed; zero is off.
    pub storm_burst: u32,
    /// Events a minute; zero is off.
    pub event_rate: u32,
    /// True if personal data is sent.
    pub send_pii: bool,
    /// True if secrets are filtered.
    pub scrub: bool,
    /// More names of sensitive fields.
    pub scrub_keys: Vec<String>,
    /// Names of fields that are never filtered by their names.
    pub scrub_allow: Vec<String>,
    /// Pod annotation that names a DSN.
    pub dsn_annotation: String,
    /// Most filtered lines that are sent as logs with an event; zero is off.
    pub logs_on_error: usize,
    /// Most bytes of filtered lines that are kept for that.
    pub logs_on_error_size: usize,
    /// Attributes of logs.
    pub log_attributes: LogAttributes,
    /// Settings for Kubernetes events and kernel OOM kills.
    pub incidents: Incidents,
}

/// Selection of the records of the `kubernetes_events` input that become issues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KubeEvents {
    /// Those of this node where container logs of exactly one node come too, else all.
    #[default]
    Auto,
    /// Those of this node.
    Node,
    /// All.
    Cluster,
    /// None.
    Off,
}

/// Settings for Kubernetes events and kernel OOM kills.
#[derive(Clone, Debug, Default)]
pub struct Incidents {
    /// `kube_events`
    pub kube_events: KubeEvents,
    /// `kube_event_levels`: reasons with their levels; `None` is off.
    pub levels: Vec<(String, Option<Level>)>,
    /// `kernel_tags`: tags, `*` at the end stands for anything.
    pub kernel_tags: Vec<String>,
    /// The name of this node, if the environment tells it.
    pub node: Option<String>,
}

/// Condition for answering a flush.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Chosen at the first flush.
    #[default]
    Auto,
    /// The flush is answered once the chunk is safely on disk.
    Spool,
    /// The flush is answered once Sentry has the chunk.
    Ack,
    /// The flush is answered once the chunk is queued.
    Memory,
}

impl Mode {
    /// The option's value.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Mode::Auto => "auto",
            Mode::Spool => "spool",
            Mode::Ack => "ack",
            Mode::Memory => "memory",
        }
    }
}

/// Settings for queueing, batching and retrying items.
#[derive(Clone, Debug, Default)]
pub struct Delivery {
    /// `delivery`
    pub mode: Mode,
    /// The time for which lines at the end of a chunk that may be an unfinished stack trace wait for the next line.
    pub trace_timeout: Duration,
    /// Directory where chunks wait.
    pub spool_path: Option<PathBuf>,
    /// Bytes on disk.
    pub spool_max_size: u64,
    /// Condition for answering a flush into the spool.
    pub spool_sync: SpoolSync,
    /// Longest wait of an `ack` flush.
    pub ack_timeout: Duration,
    /// Bytes in memory.
    pub queue_max_size: u64,
    /// Concurrent requests.
    pub senders: usize,
    /// Logs per envelope.
    pub batch_max_items: usize,
    /// Oldest age of an open envelope.
    pub batch_timeout: Duration,
    /// The time for which events wait for a quota or a misconfigured destination.
    pub hold_events: Duration,
    /// The time for which logs wait for a quota or a misconfigured destination.
    pub hold_logs: Duration,
    /// First backoff.
    pub retry_base: Duration,
    /// Longest backoff.
    pub retry_max: Duration,
    /// Directory of the dead letters: records that Sentry will never take.
    pub dead_letter_path: Option<PathBuf>,
    /// Bytes of it.
    pub dead_letter_max_size: u64,
    /// True if the plugin reports to Sentry the items that Sentry will never receive.
    pub client_reports: bool,
    /// Most billed bytes of logs for each destination.
    pub logs_budget: Option<Budget>,
    /// Most billed bytes of logs for each namespace.
    pub logs_budget_namespace: Option<Budget>,
    /// Longest drain at exit.
    pub exit_timeout: Duration,
}

/// Condition for answering a flush into the spool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SpoolSync {
    /// The flush is answered once the chunk is written: a killed process loses nothing, a power failure loses the chunks
    /// since the last sync.
    #[default]
    Normal,
    /// The flush is answered once the chunk is synced to the disk.
    Full,
}

/// A `Content-Encoding`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compress {
    /// RFC 1952.
    #[default]
    Gzip,
    /// RFC 8878; Relay 24.10 and later.
    Zstd,
    /// As it is.
    None,
}

/// Settings for access to the network.
#[derive(Clone, Debug, Default)]
pub struct Network {
    /// Encoding of requests.
    pub compress: Compress,
    /// `proxy`, else the proxies of the environment; `None` only before both were looked at.
    pub proxy: Option<Proxies>,
    /// Certificates added to the system's roots: those in `tls_ca_file`.
    pub tls_ca: Vec<Certificate<'static>>,
    /// Client certificate chain, the client's own first: those in `tls_crt_file`.
    pub tls_chain: Vec<Certificate<'static>>,
    /// The client's key, from `tls_key_file`.
    pub tls_key: Option<Arc<PrivateKey<'static>>>,
    /// True if the server's certificate is checked.
    pub tls_verify: bool,
    /// One request, connecting included.
    pub timeout: Duration,
}

/// Settings for the summary in the log.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Interval between summary lines if something changed; zero: only at exit.
    pub summary_interval: Duration,
}
