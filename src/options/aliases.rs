//! Finds names that are not options of this plugin: Fluent Bit's own keys, and names that people write instead of ours.
//!
//! A plugin cannot ask Fluent Bit for the keys of a section, only whether the section has a given key. The plugin therefore
//! asks for each key of [`ALIASES`] at startup; `flb-sentry check` sees a whole file and judges every name in it.

use super::{OptionError, rows};

/// Keys of an `[OUTPUT]` section that Fluent Bit keeps for itself.
const OF_THE_HOST: &[&str] = &[
    "name",
    "match",
    "match_regex",
    "alias",
    "log_level",
    "log_suppress_interval",
    "host",
    "port",
    "ipv6",
    "retry_limit",
    "workers",
    "processors",
    "tls",
    "storage.total_limit_size",
    "active",
    "condition",
];

/// Families of keys that Fluent Bit keeps for itself.
const FAMILIES_OF_THE_HOST: &[&str] = &["tls.", "net.", "oauth2", "_debug."];

/// Names that users write for an option of this plugin, each with the option, or with advice if there is none.
///
/// Peers' names are those of other outputs that reach Sentry, of its SDKs, and of Fluent Bit's own outputs.
const ALIASES: &[(&str, Instead)] = &[
    ("sentry_dsn", Use("dsn")),
    ("dns", Use("dsn")),
    ("dsn_url", Use("dsn")),
    ("dsn_key", Use("dsn_annotation")),
    ("endpoint", Use("dsn")),
    ("endpoint_url", Use("dsn")),
    ("url", Use("dsn")),
    ("uri", Use("dsn")),
    ("logs_uri", Use("dsn")),
    ("project_id", Use("dsn")),
    ("project", Use("dsn")),
    ("public_key", Use("dsn")),
    ("secret_key", Use("dsn")),
    ("key", Use("dsn")),
    ("secret", Use("dsn")),
    ("api_key", Use("dsn")),
    ("auth_token", Use("dsn")),
    ("token", Use("dsn")),
    ("dsn_path", Use("dsn_file")),
    ("dsn_directory", Use("dsn_dir")),
    ("dsn_map", Use("dsn_dir")),
    ("dsn_map_file", Use("dsn_dir")),
    ("dsn_allowed_hosts", Use("dsn_allow_hosts")),
    ("dsn_allow_host", Use("dsn_allow_hosts")),
    ("allow_hosts", Use("dsn_allow_hosts")),
    ("allowed_hosts", Use("dsn_allow_hosts")),
    ("annotation", Use("dsn_annotation")),
    ("env", Use("environment")),
    ("sentry_environment", Use("environment")),
    ("default_environment", Use("environment")),
    ("env_key", Use("environment_key")),
    ("version", Use("release")),
    ("sentry_release", Use("release")),
    ("level", Use("event_level or logs_level")),
    ("levels", Use("event_level or logs_level")),
    ("min_level", Use("event_level or logs_level")),
    ("minimum_level", Use("event_level or logs_level")),
    ("min_log_level", Use("logs_level")),
    ("loglevel", Use("logs_level")),
    ("logs_levels", Use("logs_level")),
    ("sentry_logs_level", Use("logs_level")),
    ("minimum_breadcrumb_level", Use("breadcrumbs")),
    ("breadcrumb_level", Use("breadcrumbs")),
    ("event_levels", Use("event_level")),
    ("events_level", Use("event_level")),
    ("report_levels", Use("event_level")),
    ("minimum_event_level", Use("event_level")),
    ("level_tag", Use("level_key")),
    ("level_keys", Use("level_key")),
    ("severity_key", Use("level_key")),
    ("severity", Use("level_key or default_level")),
    ("logs_severity_text_message_key", Use("level_key")),
    ("gelf_level_key", Use("level_key")),
    ("levels_map", Use("level_map")),
    ("log_key", Use("message_key")),
    ("msg_key", Use("message_key")),
    ("message_keys", Use("message_key")),
    ("logs_body_key", Use("message_key")),
    ("gelf_short_message_key", Use("message_key")),
    ("title", Use("message_key")),
    ("default_logger", Use("logger_key")),
    ("logger", Use("logger_key")),
    ("category", Use("logger_key")),
    ("stacktrace_key", Use("stack_key")),
    ("stack_trace_key", Use("stack_key")),
    ("exception_key", Use("stack_key")),
    ("stack_parse", Use("join_traces")),
    ("stack_lang", Use("join_traces")),
    ("multiline", Use("join_traces")),
    ("multiline.parser", Advice("it belongs to the [INPUT]; join_traces joins stack traces")),
    ("join_trace", Use("join_traces")),
    ("parse_json", Use("parse_message")),
    ("parse_messages", Use("parse_message")),
    ("hostname", Use("server_name")),
    ("hostname_command", Use("server_name")),
    ("event_host", Use("server_name")),
    ("gelf_host_key", Use("server_name_key")),
    ("hostname_key", Use("server_name_key")),
    ("tag", Use("tags")),
    ("default_tags", Use("tags")),
    ("add_label", Use("tags")),
    ("labels", Use("tags or label_keys")),
    ("tag_key", Use("tag_keys")),
    ("tags_key", Use("tag_keys")),
    ("fields_to_tags", Use("tag_keys")),
    ("in_app_includes", Use("in_app_include")),
    ("in_app_excludes", Use("in_app_exclude")),
    ("inapp_include", Use("in_app_include")),
    ("inapp_exclude", Use("in_app_exclude")),
    ("label_key", Use("label_keys")),
    ("auto_kubernetes_labels", Use("label_keys")),
    ("kubernetes_labels", Use("label_keys")),
    ("user_key", Use("user_id_key")),
    ("userid_key", Use("user_id_key")),
    ("user_keys", Use("user_id_key")),
    ("user_email_key", Use("user_id_key")),
    ("trace_key", Use("trace_id_key")),
    ("logs_trace_id_message_key", Use("trace_id_key")),
    ("span_key", Use("span_id_key")),
    ("logs_span_id_message_key", Use("span_id_key")),
    ("fingerprints", Use("fingerprint")),
    ("fingerprint_key", Use("fingerprint")),
    ("remove_key", Use("remove_keys")),
    ("exclude_keys", Use("remove_keys")),
    ("extras", Advice("fields without a meaning of their own are under extra already; remove_keys leaves fields out")),
    (
        "extra_keys",
        Advice("fields without a meaning of their own are under extra already; remove_keys leaves fields out"),
    ),
    ("attribute_keys", Advice("every field is an attribute already; remove_keys leaves fields out")),
    ("breadcrumb", Use("breadcrumbs")),
    ("max_breadcrumbs", Use("breadcrumbs")),
    ("samplerate", Use("sample_rate")),
    ("sampling_rate", Use("sample_rate")),
    ("sample", Use("sample_rate")),
    ("error_sample_rate", Use("sample_rate")),
    ("logs_samplerate", Use("logs_sample_rate")),
    ("log_sample_rate", Use("logs_sample_rate")),
    (
        "traces_sample_rate",
        Advice("the plugin sends no spans; use sample_rate for events and logs_sample_rate for logs"),
    ),
    (
        "profiles_sample_rate",
        Advice("the plugin sends no profiles; use sample_rate for events and logs_sample_rate for logs"),
    ),
    ("enable_logs", Use("logs_level")),
    ("storm", Use("storm_burst")),
    ("rate_limit", Use("event_rate")),
    ("events_rate", Use("event_rate")),
    ("pii", Use("send_pii")),
    ("send_default_pii", Use("send_pii")),
    ("scrubbing", Use("scrub")),
    ("scrub_key", Use("scrub_keys")),
    ("mode", Use("delivery")),
    ("delivery_mode", Use("delivery")),
    ("spool", Use("spool_path")),
    ("spool_dir", Use("spool_path")),
    ("spool_directory", Use("spool_path")),
    ("buffer", Use("spool_path")),
    ("buffer_path", Use("spool_path")),
    ("dque_dir", Use("spool_path")),
    ("cache_dir", Use("spool_path")),
    ("cache_dir_path", Use("spool_path")),
    ("store_dir", Use("spool_path")),
    ("storage.path", Advice("it belongs to [SERVICE]; spool_path is where chunks wait for Sentry")),
    ("storage.type", Advice("it belongs to each [INPUT]; spool_path is where chunks wait for Sentry")),
    ("spool_size", Use("spool_max_size")),
    ("spool_limit", Use("spool_max_size")),
    ("max_spool_size", Use("spool_max_size")),
    ("store_dir_limit_size", Use("spool_max_size")),
    ("total_limit_size", Use("spool_max_size")),
    ("max_cache_items", Use("spool_max_size")),
    ("queue_size", Use("queue_max_size")),
    ("max_queue_size", Use("queue_max_size")),
    ("buffer_size", Use("queue_max_size")),
    ("worker", Use("senders")),
    ("threads", Use("senders")),
    ("sender", Use("senders")),
    ("concurrency", Use("senders")),
    ("batch_size", Use("batch_max_items")),
    ("batch_items", Use("batch_max_items")),
    ("batch.max_events", Use("batch_max_items")),
    ("batch.timeout_secs", Use("batch_timeout")),
    ("batch_wait", Use("batch_timeout")),
    ("batch_max_bytes", Advice("an envelope ends at 1 MB; batch_max_items limits its number of logs")),
    ("flush_interval", Use("batch_timeout")),
    ("hold_event", Use("hold_events")),
    ("hold_log", Use("hold_logs")),
    ("retry_max_delay", Use("retry_max")),
    (
        "max_retries",
        Advice(
            "Fluent Bit's retry_limit limits the retries of chunks; hold_events and hold_logs limit how long items wait",
        ),
    ),
    (
        "retries",
        Advice(
            "Fluent Bit's retry_limit limits the retries of chunks; hold_events and hold_logs limit how long items wait",
        ),
    ),
    ("request_timeout", Use("timeout")),
    ("request.timeout_secs", Use("timeout")),
    ("connect_timeout", Use("timeout")),
    ("http.response_timeout", Use("timeout")),
    ("http_timeout", Use("timeout")),
    ("http_client_timeout", Use("timeout")),
    ("shutdown_timeout", Use("exit_timeout")),
    ("flush_timeout", Use("exit_timeout or ack_timeout")),
    ("summary", Use("summary_interval")),
    ("compression", Use("compress")),
    ("gzip", Use("compress")),
    ("zstd", Use("compress")),
    ("ca_file", Use("tls_ca_file")),
    ("ca_cert", Use("tls_ca_file")),
    ("ca_bundle_file", Use("tls_ca_file")),
    ("ca_certs", Use("tls_ca_file")),
    ("tls_ca", Use("tls_ca_file")),
    ("tls_ca_path", Use("tls_ca_file")),
    ("ssl_ca_file", Use("tls_ca_file")),
    ("cert_file", Use("tls_crt_file")),
    ("crt_file", Use("tls_crt_file")),
    ("tls_cert_file", Use("tls_crt_file")),
    ("tls_crt", Use("tls_crt_file")),
    ("client_cert", Use("tls_crt_file")),
    ("key_file", Use("tls_key_file")),
    ("tls_key", Use("tls_key_file")),
    ("client_key", Use("tls_key_file")),
    ("insecure", Use("tls_verify")),
    ("insecure_skip_verify", Use("tls_verify")),
    ("verify_ssl", Use("tls_verify")),
    ("ssl_verify", Use("tls_verify")),
    ("validate_proxy_certs", Use("tls_verify")),
    ("proxy_url", Use("proxy")),
    ("http_proxy", Use("proxy")),
    ("https_proxy", Use("proxy")),
    ("ignore_system_proxy", Advice("proxy none ignores the environment's proxies")),
    ("proxy_env_ignore", Advice("proxy none ignores the environment's proxies")),
];

use Instead::{Advice, Use};

/// Replacement for a name that is no option.
#[derive(Clone, Copy, Debug)]
enum Instead {
    /// These options.
    Use(&'static str),
    /// There is none.
    Advice(&'static str),
}

/// Returns true if Fluent Bit keeps this key of an `[OUTPUT]` section for itself. Upper and lower case are equal.
#[must_use]
pub fn is_of_the_host(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    OF_THE_HOST.contains(&name.as_str()) || FAMILIES_OF_THE_HOST.iter().any(|family| name.starts_with(family))
}

/// Checks a name that a section has.
///
/// # Errors
/// The problem with a name that is neither an option nor one of Fluent Bit's, with the option that was meant if that is
/// clear.
pub fn judge(name: &str, value: &str) -> Result<(), OptionError> {
    let known = |known: &str| known.eq_ignore_ascii_case(name);
    if rows().any(|row| known(row.name)) || is_of_the_host(name) {
        return Ok(());
    }
    let foreign = ALIASES.iter().find(|(foreign, _)| known(foreign));
    let expected = match foreign {
        Some((_, instead)) => instead.words(),
        None => {
            let nearest = nearest(name).map_or(String::new(), |nearest| format!("; the nearest is {nearest}"));
            format!("the name of an option{nearest}")
        }
    };
    Err(OptionError::new(name, masked(name, value), expected))
}

/// Looks up each of the names that people write instead of the plugin's options.
pub(super) fn find_misnamed(lookup: impl Fn(&str) -> Option<String>) -> impl Iterator<Item = OptionError> {
    let given = ALIASES.iter().filter_map(move |(name, _)| Some((*name, lookup(name)?)));
    given.filter_map(|(name, value)| judge(name, &value).err())
}

impl Instead {
    fn words(self) -> String {
        match self {
            Use(option) => format!("the name of an option: use {option}"),
            Advice(advice) => format!("the name of an option: {advice}"),
        }
    }
}

/// Returns the value of an unknown name, masked if it may be a secret.
fn masked(name: &str, value: &str) -> String {
    const TELLING: &[&str] =
        &["dsn", "dns", "key", "secret", "token", "pass", "auth", "url", "uri", "endpoint", "proxy"];
    let name = name.to_ascii_lowercase();
    // A list of field names is a `*_key` too, and worth showing.
    let secret = TELLING.iter().any(|word| name.contains(word)) && !name.ends_with("_key") && !name.ends_with("_keys");
    let secret = secret || ["secret_key", "public_key", "api_key", "client_key"].contains(&name.as_str());
    let long = value.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word.len() >= 20);
    if secret || long || value.contains("://") || value.contains('@') { "***".to_owned() } else { value.to_owned() }
}

/// The option whose name takes the fewest changes, if they are few.
#[must_use]
pub fn nearest(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase().replace(['.', '-'], "_");
    nearest_of(&name, rows().map(|row| row.name), (name.len() / 3).max(2))
}

/// The value that is meant, if it is one or two letters away.
pub(super) fn nearest_value(text: &str, values: &'static [&'static str]) -> Option<&'static str> {
    let text = text.to_ascii_lowercase();
    nearest_of(&text, values.iter().copied(), if text.len() > 4 { 2 } else { 1 })
}

fn nearest_of(text: &str, among: impl Iterator<Item = &'static str>, most: usize) -> Option<&'static str> {
    let distances = among.map(|name| (strsim::levenshtein(text, name), name));
    let (distance, nearest) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= most && distance < text.len()).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_nearly_right() {
        for (name, expected) in [
            ("event_levle", Some("event_level")),
            ("Log_Levels", Some("logs_level")),
            ("tls.ca_file", Some("tls_ca_file")),
            ("sample-rate", Some("sample_rate")),
            ("something_else_entirely", None),
        ] {
            assert_eq!(nearest(name), expected, "{name}");
        }
    }

    #[test]
    fn foreign_names_are_neither_options_nor_the_hosts_and_lead_to_options() {
        for (at, (name, instead)) in ALIASES.iter().enumerate() {
            assert!(!rows().any(|row| row.name == *name) && !is_of_the_host(name), "{name}");
            assert!(!ALIASES[..at].iter().any(|(other, _)| other == name), "{name} twice");
            if let Use(options) = instead {
                let known = |option: &str| rows().any(|row| row.name == option);
                assert!(options.split(" or ").all(known), "{name} -> {options}");
            }
        }
    }

    #[test]
    fn no_option_is_the_hosts() {
        let taken = rows().find(|row| is_of_the_host(row.name));
        assert_eq!(taken.map(|row| row.name), None);
        for name in ["Match", "TLS", "tls.verify", "net.keepalive", "Retry_Limit", "oauth2.enable"] {
            assert_eq!(judge(name, "x"), Ok(()), "{name}");
        }
    }

    #[test]
    fn errors_about_names_show_no_secret() {
        for (name, value, expected) in [
            ("dns", "https://0123@h/1", "dns = ***: expected the name of an option: use dsn"),
            ("Spool_Dir", "/var/spool", "Spool_Dir = /var/spool: expected the name of an option: use spool_path"),
            ("tag_key", "app,team", "tag_key = app,team: expected the name of an option: use tag_keys"),
            ("token", "hunter2", "token = ***: expected the name of an option: use dsn"),
            ("secret_key", "hunter2", "secret_key = ***: expected the name of an option: use dsn"),
            ("proxy_url", "u:p@h", "proxy_url = ***: expected the name of an option: use proxy"),
            ("whatever", "0123456789abcdef0123456789abcdef", "whatever = ***: expected the name of an option"),
            ("sendres", "4", "sendres = 4: expected the name of an option; the nearest is senders"),
        ] {
            assert_eq!(judge(name, value).unwrap_err().to_string(), expected);
        }
        assert_eq!(judge("DSN", "x"), Ok(()));
    }
}
