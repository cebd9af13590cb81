//! Tests that options are read, checked together, masked and shown.

use super::*;
use crate::level::Level;
use std::time::Duration;

const KEY: &str = "0123456789abcdef0123456789abcdef";

fn given(options: &[(&str, &str)]) -> Result<Loaded, Vec<OptionError>> {
    given_with(options, None)
}

fn given_with(options: &[(&str, &str)], variable: Option<&str>) -> Result<Loaded, Vec<OptionError>> {
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
fn reports_names_that_stand_for_an_option() {
    let problems = given(&[("dsn", &dsn()), ("spool_dir", "/x"), ("senders", "0"), ("tag_key", "a")]).unwrap_err();
    let text = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert_eq!(problems.len(), 3, "{text}");
    assert!(text.contains("spool_dir = /x: expected the name of an option: use spool_path"), "{text}");
    assert!(text.contains("tag_key = a: expected the name of an option: use tag_keys"), "{text}");
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
