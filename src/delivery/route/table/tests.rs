//! Tests of the route table.

use super::*;
use crate::mapping::Route;

const NOW: Monotonic = Monotonic::from_secs(1_000);

fn dsn(key: char, project: u32) -> Dsn {
    Dsn::parse(&text(key, project)).unwrap()
}

fn text(key: char, project: u32) -> String {
    format!("https://{}@sentry.example.com/{project}", key.to_string().repeat(32))
}

fn listing(files: &[(&str, Option<Dsn>)]) -> Listing {
    files.iter().map(|(name, dsn)| ((*name).to_owned(), dsn.clone().ok_or_else(String::new))).collect()
}

fn targets(default: Option<Dsn>, dir: bool, hosts: &str) -> RouteTable {
    let settings = Destination {
        dsn: default.clone(),
        dsn_file: None,
        dsn_dir: dir.then(|| "/dsn".into()),
        allow_hosts: Hosts::parse(hosts).unwrap(),
    };
    let targets = RouteTable::new(&settings);
    if let Some(dsn) = default {
        targets.set_default(dsn);
    }
    targets
}

/// The project that a record goes to; zero: later.
fn project(targets: &RouteTable, namespace: &str, annotation: Option<&str>) -> Option<u64> {
    match targets.route(namespace, annotation, NOW).0.route {
        Route::To(DestinationId(number)) => targets.get(number).map(|target| target.dsn.project()),
        Route::Pending => Some(0),
        Route::Unrouted => None,
    }
}

#[test]
fn annotation_before_namespace_before_default() {
    let targets = targets(Some(dsn('a', 1)), true, "sentry.example.com");
    targets.set_namespaces(listing(&[("shop", Some(dsn('b', 2))), ("broken", None)]));
    let (good, bad) = (text('c', 3), text('c', 3).replace("sentry", "evil"));
    for (namespace, annotation, expected) in [
        ("", None, 1),
        ("other", None, 1),
        ("broken", None, 1),
        ("shop", None, 2),
        ("shop", Some(good.as_str()), 3),
        ("other", Some(good.as_str()), 3),
        ("shop", Some(bad.as_str()), 2),
        ("other", Some(bad.as_str()), 1),
    ] {
        assert_eq!(project(&targets, namespace, annotation), Some(expected), "{namespace} {annotation:?}");
    }
    assert!(matches!(targets.route("shop", Some(&bad), NOW).1, Some(Complaint::Refused(Refusal::Unlisted(_)))));
    assert_eq!(targets.route("shop", Some(&good), NOW).1, None);
}

#[test]
fn without_allowed_hosts_an_annotation_is_not_even_looked_at() {
    let targets = targets(Some(dsn('a', 1)), false, "");
    assert_eq!(targets.route("shop", Some(&text('c', 3)), NOW).1, None);
    assert_eq!(project(&targets, "shop", Some(&text('c', 3))), Some(1));
}

#[test]
fn what_has_no_destination_waits_while_one_may_still_come_and_goes_nowhere_otherwise() {
    let targets = targets(None, true, "");
    assert!(
        targets.is_ready(ResolvedMode::Spool)
            && targets.is_ready(ResolvedMode::Ack)
            && !targets.is_ready(ResolvedMode::Memory)
    );
    assert_eq!(project(&targets, "shop", None), Some(0));
    targets.set_namespaces(listing(&[("shop", Some(dsn('b', 2))), ("broken", None)]));
    assert!(targets.is_ready(ResolvedMode::Memory));
    assert_eq!(project(&targets, "shop", None), Some(2));
    assert_eq!(project(&targets, "broken", None), Some(0));
    assert_eq!(targets.route("other", None, NOW), (Routed::UNROUTED, Some(Complaint::Nowhere)));
}

#[test]
fn a_rotated_key_renews_its_destination_and_keeps_its_number_and_identity() {
    let targets = targets(None, true, "");
    targets.set_namespaces(listing(&[("shop", Some(dsn('b', 2)))]));
    let before = targets.route("shop", None, NOW).0;
    let changes = targets.set_namespaces(listing(&[("shop", Some(dsn('c', 2)))]));
    assert_eq!((changes.renewed, changes.namespaces), (vec![0], vec!["shop".to_owned()]));
    assert_eq!(targets.route("shop", None, NOW).0, before);
    // Another project is another identity.
    targets.set_namespaces(listing(&[("shop", Some(dsn('c', 3)))]));
    assert_ne!(targets.route("shop", None, NOW).0, before);
    assert_eq!(targets.set_namespaces(listing(&[("shop", Some(dsn('c', 3)))])), Changes::default());
}

#[test]
fn a_broken_file_keeps_its_last_good_value_and_a_removed_one_leads_to_the_default() {
    let targets = targets(Some(dsn('a', 1)), true, "");
    targets.set_namespaces(listing(&[("shop", Some(dsn('b', 2)))]));
    targets.set_namespaces(listing(&[("shop", None)]));
    assert_eq!(project(&targets, "shop", None), Some(2));
    targets.set_namespaces(listing(&[]));
    assert_eq!(project(&targets, "shop", None), Some(1));
}

#[test]
fn sources_with_the_same_dsn_are_one_destination_until_they_differ() {
    let targets = targets(None, true, "");
    targets.set_namespaces(listing(&[("a", Some(dsn('k', 2))), ("b", Some(dsn('k', 2)))]));
    assert_eq!(targets.numbers(), [0]);
    // Both move to a new key at once: one of them makes the new destination, the other takes the queue there.
    let changes = targets.set_namespaces(listing(&[("a", Some(dsn('l', 2))), ("b", Some(dsn('l', 2)))]));
    assert_eq!((changes.retired, changes.renewed), (vec![(0, 1)], vec![]));
    assert_eq!(targets.route("a", None, NOW).0, targets.route("b", None, NOW).0);
    // Nothing leads back to a destination whose queue has gone elsewhere.
    let again = targets.set_namespaces(listing(&[
        ("a", Some(dsn('l', 2))),
        ("b", Some(dsn('l', 2))),
        ("c", Some(dsn('k', 2))),
    ]));
    let route = targets.route("c", None, NOW).0.route;
    assert_eq!((again.retired, route), (vec![], Route::To(DestinationId(2))));
    targets.set_namespaces(listing(&[("a", Some(dsn('l', 2))), ("b", Some(dsn('m', 3)))]));
    assert_eq!((project(&targets, "a", None), project(&targets, "b", None)), (Some(2), Some(3)));
}

#[test]
fn destinations_that_nobody_leads_to_are_forgotten_when_they_may_go() {
    let targets = targets(Some(dsn('a', 1)), true, "");
    targets.set_namespaces(listing(&[("shop", Some(dsn('b', 2)))]));
    targets.set_namespaces(listing(&[]));
    assert_eq!(targets.sweep(NOW, |_| true), [0_u32; 0]);
    assert_eq!(targets.sweep(NOW + IDLE, |_| false), [0_u32; 0]);
    assert_eq!(targets.sweep(NOW + IDLE, |_| true), [1]);
    assert_eq!(targets.numbers(), [0]);
}

#[test]
fn annotations_are_bounded_and_the_oldest_idle_one_makes_room() {
    let targets = targets(Some(dsn('a', 1)), false, "sentry.example.com");
    for project in 0..MAX_ANNOTATIONS as u32 {
        assert!(targets.route("", Some(&text('c', project)), NOW + Duration::from_millis(project.into())).1.is_none());
    }
    let one_more = text('c', 9_999);
    let (routed, complaint) = targets.route("", Some(&one_more), NOW);
    assert_eq!((routed.route, complaint), (Route::To(DestinationId(0)), Some(Complaint::TooMany)));
    assert_eq!(targets.route("", Some(&one_more), NOW + IDLE).1, None);
    assert_eq!(lock(&targets.state).annotations.len(), MAX_ANNOTATIONS);
    assert!(!lock(&targets.state).annotations.contains_key(&text('c', 0)));
}
