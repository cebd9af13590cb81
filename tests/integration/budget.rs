//! Budgets for logs through the C ABI: what Sentry bills stays below them over restarts and reloads, and the ledger closes.

use plugin_host::Instance;
use receiver::Receiver;
use serde_json::{Value, json};
use std::time::Duration;
use testkit::arrivals::{Setting, receive};
use testkit::billing::{self, notices, payloads, wait_for_the_day};
use testkit::output::{Ledger, PATIENCE, flush_all};
use testkit::suite::Suite;
use testkit::{chunk, wait};

const TAG: &str = "kube.app";

/// A chunk of 50 logs of about a kilobyte; every fifth is a warning.
fn logs(namespace: &str, budget: Option<&str>) -> Vec<u8> {
    let body = |n: u64| {
        let level = if n.is_multiple_of(5) { "warn" } else { "info" };
        let mut body = json!({"message": "x".repeat(960), "level": level, "kubernetes": {
            "namespace_name": namespace, "pod_name": "web-0", "container_name": "app"}});
        if let Some(budget) = budget {
            body["kubernetes"]["annotations"] = json!({"k8s.sentry.io/logs-budget": budget});
        }
        body
    };
    chunk::of(&(0..50).map(body).collect::<Vec<_>>())
}

/// Everything flushed so far has ended.
fn settle(receiver: &Receiver, instance: &Instance) {
    let mut last = u64::MAX;
    let quiet = wait::until_true(PATIENCE, || {
        std::thread::sleep(Duration::from_millis(400));
        std::mem::replace(&mut last, receiver.totals().logs) == receiver.totals().logs
    });
    assert!(quiet, "{:#?}", instance.log_lines());
}

fn a_budget_holds_over_restarts_and_reloads() {
    wait_for_the_day();
    let (receiver, setting) = (receive(""), Setting::new("spool"));
    let options = [("logs_budget", "1M/d"), ("batch_max_items", "20"), ("client_reports", "on")];
    let start = || setting.start(&receiver.dsn(), &options);
    let mut over = 0;
    let mut records = 0;
    let mut ends = |instance: Instance| {
        let ledger = Ledger::read(&instance.exit());
        ledger.assert_closed();
        assert_eq!(ledger.get("log.pending"), 0);
        over += ledger.get("log.over_budget");
        records += ledger.get("records");
    };
    let mut instance = start();
    // 10 MB in all; an instance ends after each part, twice only when the next one has begun.
    for part in 0..6 {
        flush_all(&instance, TAG, (0..32).map(|_| logs("shop", None)));
        settle(&receiver, &instance);
        setting.wait_until_settled();
        if part == 2 || part == 4 {
            let next = start();
            ends(std::mem::replace(&mut instance, next));
        } else {
            ends(instance);
            instance = start();
        }
    }
    ends(instance);
    let all: u64 = payloads(&receiver).iter().map(billing::billed).sum();
    assert!((1_100_000..=1_200_000).contains(&all), "expected at most 1.2 MB, found {all}");
    let notices = notices(&receiver);
    assert!(notices.len() == 1 && notices[0].starts_with("logs_budget 1M/d is spent: "), "{notices:?}");
    assert_eq!((records, records - over), (9_600, receiver.totals().logs - 1));
    let told = receiver.client_reports().iter().map(|report| report.payload.to_string()).collect::<String>();
    assert!(told.contains("backpressure") && told.contains("log_byte"), "{told}");
    assert_eq!(receiver.problems(), [""; 0]);
}

fn namespaces_and_annotations_have_budgets_of_their_own(delivery: &'static str) {
    wait_for_the_day();
    let (receiver, setting) = (receive(""), Setting::new(delivery));
    let instance = setting.start(&receiver.dsn(), &[("logs_budget_namespace", "100K/d"), ("ack_timeout", "10s")]);
    for _ in 0..4 {
        flush_all(
            &instance,
            TAG,
            [logs("a", None), logs("b", None), logs("c", Some("10K/d")), logs("d", Some("9G/d"))],
        );
    }
    settle(&receiver, &instance);
    let ledger = Ledger::read(&instance.exit());
    ledger.assert_closed();
    let of = |namespace: &str| {
        let logs = payloads(&receiver);
        let is_its = |log: &&Value| log["attributes"]["k8s.namespace.name"]["value"] == namespace;
        logs.iter().filter(is_its).map(billing::billed).sum::<u64>()
    };
    for (namespace, budget) in [("a", 100_000), ("b", 100_000), ("c", 10_000), ("d", 100_000)] {
        let spent = of(namespace);
        assert!(spent > budget * 8 / 10 && spent <= budget * 12 / 10, "{namespace}: {spent} of {budget}");
    }
    assert_eq!(notices(&receiver).len(), 4, "{:?}", notices(&receiver));
    let billed = ledger.get("billed_bytes");
    assert_eq!(billed, payloads(&receiver).iter().map(billing::billed).sum::<u64>());
}

pub fn add(suite: Suite) -> Suite {
    let mut suite = suite;
    suite = suite.test("a_budget_holds_over_restarts_and_reloads", a_budget_holds_over_restarts_and_reloads);
    for delivery in testkit::arrivals::DELIVERIES {
        let name = format!("{delivery}::namespaces_and_annotations_have_budgets_of_their_own");
        suite = suite.test(&name, move || namespaces_and_annotations_have_budgets_of_their_own(delivery));
    }
    suite
}
