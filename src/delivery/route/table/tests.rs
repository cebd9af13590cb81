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

fn route_table(default: Option<Dsn>, dir: Option<&str>, hosts: &str) -> RouteTable {
    let settings = Destination {
        dsn: default.clone(),
        dsn_file: None,
        dsn_dir: dir.map(Into::into),
        allow_hosts: Hosts::parse(hosts).unwrap(),
    };
    let route_table = RouteTable::new(&settings);
    if let Some(dsn) = default {
        route_table.set_default(dsn);
    }
    route_table
}

/// The project that a record goes to; zero: pending.
fn project(route_table: &RouteTable, namespace: &str, annotation: Option<&str>) -> Option<u64> {
    match route_table.route(namespace, annotation, NOW).0.route {
        Route::To(id) => route_table.get(id).map(|target| target.dsn.project()),
        Route::Pending => Some(0),
        Route::Unrouted => None,
    }
}

#[test]
fn prefers_annotation_then_namespace_then_default() {
    let route_table = route_table(Some(dsn('a', 1)), Some("/dsn"), "sentry.example.com");
    route_table.set_namespaces(listing(&[("shop", Some(dsn('b', 2))), ("broken", None)]));
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
        assert_eq!(project(&route_table, namespace, annotation), Some(expected), "{namespace} {annotation:?}");
    }
    assert!(matches!(route_table.route("shop", Some(&bad), NOW).1, Some(Complaint::Refused(Refusal::Unlisted(_)))));
    assert_eq!(route_table.route("shop", Some(&good), NOW).1, None);
}

#[test]
fn ignores_annotations_without_allowed_hosts() {
    let route_table = route_table(Some(dsn('a', 1)), None, "");
    assert_eq!(route_table.route("shop", Some(&text('c', 3)), NOW).1, None);
    assert_eq!(project(&route_table, "shop", Some(&text('c', 3))), Some(1));
}

#[test]
fn route_is_pending_while_a_source_may_appear_else_unrouted() {
    let route_table = route_table(None, Some("/dsn"), "");
    assert!(
        route_table.is_ready(ResolvedMode::Spool)
            && route_table.is_ready(ResolvedMode::Ack)
            && !route_table.is_ready(ResolvedMode::Memory)
    );
    assert_eq!(project(&route_table, "shop", None), Some(0));
    route_table.set_namespaces(listing(&[("shop", Some(dsn('b', 2))), ("broken", None)]));
    assert!(route_table.is_ready(ResolvedMode::Memory));
    assert_eq!(project(&route_table, "shop", None), Some(2));
    assert_eq!(project(&route_table, "broken", None), Some(0));
    assert_eq!(route_table.route("other", None, NOW), (Routed::UNROUTED, Some(Complaint::Unrouted)));
}

#[test]
fn rotated_key_keeps_destination_and_identity() {
    let route_table = route_table(None, Some("/dsn"), "");
    route_table.set_namespaces(listing(&[("shop", Some(dsn('b', 2)))]));
    let before = route_table.route("shop", None, NOW).0;
    let changes = route_table.set_namespaces(listing(&[("shop", Some(dsn('c', 2)))]));
    assert_eq!((changes.renewed, changes.namespaces), (vec![DestinationId(0)], vec!["shop".to_owned()]));
    assert_eq!(route_table.route("shop", None, NOW).0, before);
    // Another project is another identity.
    route_table.set_namespaces(listing(&[("shop", Some(dsn('c', 3)))]));
    assert_ne!(route_table.route("shop", None, NOW).0, before);
    assert_eq!(route_table.set_namespaces(listing(&[("shop", Some(dsn('c', 3)))])), Changes::default());
}

#[test]
fn broken_file_keeps_last_value_and_removed_file_uses_default() {
    let route_table = route_table(Some(dsn('a', 1)), Some("/dsn"), "");
    route_table.set_namespaces(listing(&[("shop", Some(dsn('b', 2)))]));
    route_table.set_namespaces(listing(&[("shop", None)]));
    assert_eq!(project(&route_table, "shop", None), Some(2));
    route_table.set_namespaces(listing(&[]));
    assert_eq!(project(&route_table, "shop", None), Some(1));
}

#[test]
fn sources_with_equal_dsns_share_a_destination() {
    let route_table = route_table(None, Some("/dsn"), "");
    route_table.set_namespaces(listing(&[("a", Some(dsn('k', 2))), ("b", Some(dsn('k', 2)))]));
    assert_eq!(route_table.destinations(), [DestinationId(0)]);
    // Both move to a new key at once: one of them makes the new destination, the other takes the queue there.
    let changes = route_table.set_namespaces(listing(&[("a", Some(dsn('l', 2))), ("b", Some(dsn('l', 2)))]));
    assert_eq!(
        (changes.retired, changes.renewed),
        (vec![Retired { from: DestinationId(0), to: DestinationId(1) }], vec![])
    );
    assert_eq!(route_table.route("a", None, NOW).0, route_table.route("b", None, NOW).0);
    // Nothing leads back to a destination whose queue has gone elsewhere.
    let again = route_table.set_namespaces(listing(&[
        ("a", Some(dsn('l', 2))),
        ("b", Some(dsn('l', 2))),
        ("c", Some(dsn('k', 2))),
    ]));
    let route = route_table.route("c", None, NOW).0.route;
    assert_eq!((again.retired, route), (vec![], Route::To(DestinationId(2))));
    route_table.set_namespaces(listing(&[("a", Some(dsn('l', 2))), ("b", Some(dsn('m', 3)))]));
    assert_eq!((project(&route_table, "a", None), project(&route_table, "b", None)), (Some(2), Some(3)));
}

#[test]
fn forgets_unused_idle_destinations() {
    let route_table = route_table(Some(dsn('a', 1)), Some("/dsn"), "");
    route_table.set_namespaces(listing(&[("shop", Some(dsn('b', 2)))]));
    route_table.set_namespaces(listing(&[]));
    assert_eq!(route_table.sweep(NOW, |_| true), []);
    assert_eq!(route_table.sweep(NOW + IDLE, |_| false), []);
    assert_eq!(route_table.sweep(NOW + IDLE, |_| true), [DestinationId(1)]);
    assert_eq!(route_table.destinations(), [DestinationId(0)]);
}

#[test]
fn evicts_oldest_idle_annotation_at_the_limit() {
    let route_table = route_table(Some(dsn('a', 1)), None, "sentry.example.com");
    for project in 0..MAX_ANNOTATIONS as u32 {
        assert!(
            route_table.route("", Some(&text('c', project)), NOW + Duration::from_millis(project.into())).1.is_none()
        );
    }
    let one_more = text('c', 9_999);
    let (routed, complaint) = route_table.route("", Some(&one_more), NOW);
    assert_eq!((routed.route, complaint), (Route::To(DestinationId(0)), Some(Complaint::TooMany)));
    assert_eq!(route_table.route("", Some(&one_more), NOW + IDLE).1, None);
    assert_eq!(lock(&route_table.state).annotations.len(), MAX_ANNOTATIONS);
    assert!(!lock(&route_table.state).annotations.contains_key(&text('c', 0)));
}
