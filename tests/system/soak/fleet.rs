//! A fleet of instances that send to one project: what the project's quota sees of an error on every node. The numbers are
//! in docs/scaling.md.

use plugin_host::{Instance, Plugin, Verdict};
use receiver::{Options, Receiver, Script};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use testkit::chunk;
use testkit::output::{Ledger, load};

/// Instances, one for each node.
const INSTANCES: u64 = 300;

/// Records of each instance.
const RECORDS: u64 = 100;

/// Events that the project may have, where it has a quota.
const QUOTA: u64 = 500;

/// What the nodes log.
#[derive(Clone, Copy)]
enum Errors {
    /// The same error on every node, again and again.
    Same,
    /// Errors that all differ.
    Different,
}

/// One row of the table.
struct Scenario {
    name: &'static str,
    errors: Errors,
    options: &'static [(&'static str, &'static str)],
    quota: Option<u64>,
    /// Events that each instance may send.
    each: u64,
}

const SCENARIOS: &[Scenario] = &[
    Scenario { name: "the same error", errors: Errors::Same, options: &[], quota: None, each: 10 },
    Scenario {
        name: "the same error, storm_burst 2",
        errors: Errors::Same,
        options: &[("storm_burst", "2")],
        quota: None,
        each: 2,
    },
    Scenario {
        name: "different errors, event_rate 20",
        errors: Errors::Different,
        options: &[("event_rate", "20")],
        quota: None,
        each: 20,
    },
    Scenario {
        name: "the same error, quota of 500 events",
        errors: Errors::Same,
        options: &[],
        quota: Some(QUOTA),
        each: 10,
    },
];

/// Runs every scenario and prints a table.
pub fn run() {
    let plugin = load();
    println!("{INSTANCES} instances with {RECORDS} records each");
    println!(
        "| scenario | errors | events at the project | held back by the instances | requests answered 429 | seconds |"
    );
    println!("|---|---|---|---|---|---|");
    for scenario in SCENARIOS {
        let row = simulate(&plugin, scenario);
        println!("{row}");
    }
}

fn simulate(plugin: &Plugin, scenario: &Scenario) -> String {
    let start = Instant::now();
    // A quota answers as Sentry does: 429, and the time for which the category is closed.
    let limited = "forever:event:429,x-sentry-rate-limits=60:error:organization";
    let faults = scenario.quota.map(|quota| format!("{quota}xevent:ok then {limited}")).unwrap_or_default();
    let faults: Script = faults.parse().unwrap_or_else(|error| panic!("{error}"));
    let receiver = Receiver::start(Options { faults, ..Options::default() }).expect("expected a receiver");
    let dsn = receiver.dsn();
    let fixed = [
        ("dsn", dsn.as_str()),
        ("proxy", "none"),
        ("delivery", "memory"),
        ("senders", "1"),
        ("batch_timeout", "100ms"),
    ];
    let exit = if scenario.quota.is_some() { "1s" } else { "60s" };
    let options: Vec<_> = scenario
        .options
        .iter()
        .copied()
        .chain(fixed)
        .chain([("exit_timeout", exit), ("client_reports", "off")])
        .collect();
    let instances: Vec<Instance> = (0..INSTANCES)
        .map(|node| plugin.instance(&format!("node-{node}"), &options).unwrap_or_else(|error| panic!("{error}")))
        .collect();
    for (node, instance) in instances.iter().enumerate() {
        let chunk = chunk::of(&records(scenario.errors, node as u64));
        assert_eq!(instance.flush("kube.app", &chunk), Verdict::Ok, "node {node}");
    }
    let expected = scenario.quota.unwrap_or(INSTANCES * scenario.each);
    receiver.wait_until(Duration::from_secs(120), |seen| seen.totals.events >= expected);
    let ledgers = end(instances);
    ledgers.iter().for_each(Ledger::assert_closed);
    let sum = |cell: &str| ledgers.iter().map(|ledger| ledger.get(cell)).sum::<u64>();
    let events = receiver.totals().events;
    let held = sum("event.suppressed") + sum("event.sampled") + sum("event.rate_limited");
    assert_eq!(receiver.problems(), [""; 0]);
    assert_eq!(sum("records"), INSTANCES * RECORDS);
    // The end of a storm may be told with one more event.
    let most = if scenario.quota.is_some() { expected } else { expected + INSTANCES };
    assert!((expected..=most).contains(&events), "expected {expected} to {most} events, found {events}");
    format!(
        "| {} | {} | {events} | {held} | {} | {:.0} |",
        scenario.name,
        INSTANCES * RECORDS,
        sum("requests.429"),
        start.elapsed().as_secs_f64()
    )
}

/// Ends the instances, many at the same time, because each waits for its threads.
fn end(instances: Vec<Instance>) -> Vec<Ledger> {
    std::thread::scope(|scope| {
        let exit = |instance: Instance| scope.spawn(move || Ledger::read(&instance.exit()));
        let ending: Vec<_> = instances.into_iter().map(exit).collect();
        ending.into_iter().map(|exit| exit.join().expect("expected an instance to end")).collect()
    })
}

fn records(errors: Errors, node: u64) -> Vec<Value> {
    let message = |n: u64| match errors {
        Errors::Same => "payment declined".to_owned(),
        // Words, because numbers do not make different issues.
        Errors::Different => format!("payment declined: {}", words(node * RECORDS + n)),
    };
    (0..RECORDS).map(|n| json!({"message": message(n), "level": "error"})).collect()
}

/// Returns a number in words of letters.
fn words(mut number: u64) -> String {
    let mut word = String::from("order ");
    for _ in 0..6 {
        word.push(char::from(b'a' + (number % 26) as u8));
        number /= 26;
    }
    word
}
