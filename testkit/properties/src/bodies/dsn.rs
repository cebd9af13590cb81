//! A DSN, and the same text as a pod's annotation under a list of hosts: the list on the first line, the DSN on the second.
//! `KEY` stands for a public key, which chance would take long to find.

use out_sentry::options::{Dsn, Hosts, Refusal};

const KEY: &str = "c0ffee00c0ffee00c0ffee00c0ffee00";

/// Runs the target on one input, and panics if something is wrong.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data).replace("KEY", KEY);
    let (list, text) = text.split_once('\n').unwrap_or(("sentry.example.com,*.shop.example:9000", &text));
    let dsn = Dsn::parse(text);
    if let Ok(dsn) = &dsn {
        comes_back(dsn);
    }
    let Ok(hosts) = Hosts::parse(list) else { return };
    match hosts.judge(text) {
        Ok(allowed) => {
            assert_eq!(Ok(&allowed), dsn.as_ref(), "an annotation is a DSN");
            assert_eq!(allowed.expose(), text, "spelled as Sentry spells it");
            assert!(is_listed(list, &allowed), "{text} is not in {list}");
            read_by_others(&allowed, text);
        }
        Err(refusal) => {
            assert!(text.matches(KEY).count() > 1 || !refusal.to_string().contains(KEY), "{refusal}");
            let unlisted = |found: &Dsn| !is_listed(list, found) && dsn.as_ref() == Ok(found);
            assert!(!matches!(&refusal, Refusal::Unlisted(found) if !unlisted(found)), "{text} is in {list}");
        }
    }
}

/// Checks that the DSN of an envelope parses as the same DSN, and that its printed form shows no key.
fn comes_back(dsn: &Dsn) {
    assert_eq!(Dsn::parse(&dsn.expose()).as_ref(), Ok(dsn));
    let place = dsn.identity();
    let hidden = place.replacen("://", "://***@", 1);
    assert_eq!((dsn.to_string(), format!("{dsn:?}")), (hidden.clone(), hidden));
    assert_eq!(dsn.expose(), place.replacen("://", &format!("://{}@", dsn.public_key()), 1));
    let (host, port) = dsn.host_and_port();
    assert!(!host.is_empty() && port > 0 && dsn.authority().starts_with(host));
    let url = dsn.envelope_url();
    let (before, project) = place.rsplit_once('/').expect("a project");
    assert_eq!(url, format!("{before}/api/{project}/envelope/"));
    assert_eq!(project, dsn.project().to_string());
}

/// By the obvious reading of the list.
fn is_listed(list: &str, dsn: &Dsn) -> bool {
    let (host, port) = dsn.host_and_port();
    list.to_ascii_lowercase().split(',').map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        let bracket = entry.find(']').unwrap_or(0);
        let (name, wanted) = match entry[bracket..].find(':') {
            Some(colon) => (&entry[..bracket + colon], entry[bracket + colon + 1..].parse().expect("a port")),
            None => (entry, if dsn.is_https() { 443 } else { 80 }),
        };
        let fits = match name.strip_prefix("*.") {
            Some(domain) => host.strip_suffix(domain).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
            None => host == name,
        };
        fits && port == wanted
    })
}

/// Sentry's own types find the same host, port, key and project: nothing goes where the list does not say.
fn read_by_others(dsn: &Dsn, text: &str) {
    let (host, port) = dsn.host_and_port();
    let other: sentry_types::Dsn = match text.parse() {
        Ok(other) => other,
        // They look into names in another alphabet.
        Err(_) if host.split('.').any(|label| label.starts_with("xn--")) => return,
        Err(error) => panic!("{text}: {error}"),
    };
    // A host that ends in a number is an address to others; who lists one means it.
    if host.rsplit('.').next().is_some_and(|last| last.starts_with(|c: char| c.is_ascii_alphabetic())) {
        assert_eq!(other.host(), host, "{text}");
    }
    assert_eq!((other.port(), other.public_key()), (port, dsn.public_key()), "{text}");
    assert_eq!(other.project_id().to_string(), dsn.project().to_string(), "{text}");
}
