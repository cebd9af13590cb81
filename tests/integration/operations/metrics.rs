//! The metrics, in a host whose registry writes down every call.

use out_sentry::ledger::{Category, DURATION_BUCKETS, Outcome, Status};
use receiver::{Options, Receiver, Script};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use testkit::output::PATIENCE;
use testkit::shipping::Shipping;
use testkit::tempdir::TempDir;
use testkit::{chunk, wait};

const RECORDS: u64 = 300;
const PREFIX: &str = "fluentbit_sentry_";
/// The closed sets that docs/monitoring.md and contract name.
const OUTCOMES: &str = "accepted filtered joined sampled suppressed rate_limited too_large invalid rejected overflow \
                        over_budget abandoned lost";
const STATUSES: &str = "2xx 400 401 403 404 408 413 415 429 5xx other error";
const STATES: [&str; 4] = ["ok", "limited", "unreachable", "misconfigured"];

/// The registry's library, compiled.
#[derive(Clone)]
pub struct Registry(Arc<TempDir>);

impl Registry {
    /// # Errors
    /// Why there is none, for `skipped: ...`.
    pub fn build() -> Result<Self, String> {
        let dir = TempDir::new("registry").map_err(|error| error.to_string())?;
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/integration/operations/cmetrics.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-pthread", "-Wall", "-Werror", "-o"]).arg(dir.path().join("cmetrics.so"));
        let status = compiler.arg(source).status().map_err(|error| format!("no C compiler: {error}"))?;
        assert!(status.success(), "the registry does not compile");
        Ok(Self(Arc::new(dir)))
    }

    fn library(&self) -> PathBuf {
        self.0.path().join("cmetrics.so")
    }
}

/// The calls so far: series by name with every value it had, in order.
#[derive(Debug, Default)]
struct Calls {
    series: BTreeMap<String, Vec<f64>>,
    bounds: Vec<f64>,
    /// Series that were set before any record was counted.
    at_first: BTreeSet<String>,
}

impl Calls {
    fn read(text: &str) -> Self {
        let mut calls = Self::default();
        let mut began = false;
        // The last line may be half written.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        for line in whole.lines() {
            let (kind, rest) = line.split_once(' ').expect("expected a kind");
            if kind == "bound" {
                calls.bounds.push(rest.parse().expect("expected a number"));
                continue;
            }
            let (series, value) = rest.rsplit_once(' ').expect("expected a value");
            let value: f64 = value.parse().expect("expected a number");
            began |= series.starts_with("fluentbit_sentry_records_total") && value > 0.0;
            if !began {
                calls.at_first.insert(series.to_owned());
            }
            calls.series.entry(series.to_owned()).or_default().push(value);
        }
        calls
    }

    fn values(&self, metric: &str, labels: &[(&str, &str)]) -> &[f64] {
        self.series.get(&series(metric, labels)).map_or(&[], Vec::as_slice)
    }

    fn last(&self, metric: &str, labels: &[(&str, &str)]) -> f64 {
        *self.values(metric, labels).last().unwrap_or_else(|| panic!("no series {metric} {labels:?}"))
    }

    fn highest(&self, metric: &str) -> f64 {
        self.values(metric, &[]).iter().copied().fold(0.0, f64::max)
    }
}

fn series(metric: &str, labels: &[(&str, &str)]) -> String {
    let more: String = labels.iter().map(|(key, value)| format!(",{key}=\"{value}\"")).collect();
    format!("{PREFIX}{metric}{{name=\"shipped\"{more}}}")
}

/// Every series that the contract names, the histogram apart.
fn expected() -> BTreeSet<String> {
    let single = ["records_total", "sent_bytes_total", "pending_items", "pending_bytes", "spool_bytes"];
    let single = single
        .into_iter()
        .chain(["oldest_pending_seconds", "billed_bytes_total", "recalled_logs_total"])
        .map(|metric| series(metric, &[]));
    let items = Category::ALL.iter().flat_map(|category| {
        let ended = |outcome| [("category", category.name()), ("outcome", outcome)];
        OUTCOMES.split_whitespace().map(move |outcome| series("items_total", &ended(outcome)))
    });
    let requests = STATUSES.split(' ').map(|status| series("requests_total", &[("status", status)]));
    let states = STATES.iter().map(|state| series("destinations", &[("state", state)]));
    single.chain(items).chain(requests).chain(states).collect()
}

pub fn all(registry: Registry) {
    let faults = "forever:503".parse().expect("expected faults");
    let receiver = Receiver::start(Options { faults, ..Options::default() }).expect("expected a receiver");
    let shipping = Shipping::of(&chunk::numbered(0..RECORDS));
    let file = shipping.dir().join("metrics");
    let (library, log) = (registry.library(), file.display().to_string());
    let env = [("LD_PRELOAD", library.to_str().expect("expected a plain path")), ("CMETRICS_LOG", &log)];
    let dsn = format!("dsn={}", receiver.dsn());
    let mut ship = shipping.start(&["exit_timeout=20s", &dsn], &env, &[]);
    let calls = || Calls::read(&std::fs::read_to_string(&file).unwrap_or_default());
    let in_trouble = || {
        let calls = calls();
        let shown = |metric: &str| calls.highest(metric) > 0.0;
        calls.values("destinations", &[("state", "unreachable")]).contains(&1.0)
            && ["pending_items", "pending_bytes", "spool_bytes", "oldest_pending_seconds"].into_iter().all(shown)
    };
    assert!(wait::until_true(PATIENCE, in_trouble), "{:#?}\n{}", calls(), shipping.log());
    receiver.script(Script::default());
    let status = ship.wait(PATIENCE);
    assert!(status.is_some_and(|status| status.success()), "{status:?}: {}", shipping.log());
    let calls = calls();
    assert_closed(&calls);
    assert_adds_up(&calls, &receiver);
    assert_at_rest(&calls);
    assert_histogram(&calls);
}

/// All series are there before the first record, and no other ever comes.
fn assert_closed(calls: &Calls) {
    let durations = series("request_duration_seconds", &[]);
    assert_eq!(calls.at_first, expected(), "at the start");
    let later: BTreeSet<_> = calls.series.keys().filter(|name| **name != durations).cloned().collect();
    assert_eq!(later, expected(), "at the end");
}

fn assert_adds_up(calls: &Calls, receiver: &Receiver) {
    let ended = |category: Category, outcome: Outcome| {
        calls.last("items_total", &[("category", category.name()), ("outcome", outcome.name())])
    };
    assert_eq!(calls.last("records_total", &[]), RECORDS as f64);
    for category in Category::ALL {
        assert_eq!(Outcome::ALL.iter().map(|outcome| ended(*category, *outcome)).sum::<f64>(), RECORDS as f64);
    }
    assert_eq!(ended(Category::Log, Outcome::Accepted), RECORDS as f64);
    assert_eq!(ended(Category::Event, Outcome::Accepted), (RECORDS / 10) as f64);
    let requests = receiver.requests();
    let answered =
        |class: u16| requests.iter().filter(|request| request.status.is_some_and(|s| s / 100 == class)).count();
    for (name, class) in [("2xx", 2), ("5xx", 5)] {
        assert_eq!(calls.last("requests_total", &[("status", name)]), answered(class) as f64, "{name}");
    }
    for (name, values) in calls.series.iter().filter(|(name, _)| name.contains("_total{")) {
        assert!(values.is_sorted(), "{name} went down: {values:?}");
    }
    assert!(calls.last("sent_bytes_total", &[]) > 0.0);
}

fn assert_at_rest(calls: &Calls) {
    for metric in ["pending_items", "pending_bytes", "spool_bytes", "oldest_pending_seconds"] {
        assert_eq!(calls.last(metric, &[]), 0.0, "{metric}");
    }
    assert_eq!(STATES.map(|state| calls.last("destinations", &[("state", state)])), [1.0, 0.0, 0.0, 0.0]);
}

fn assert_histogram(calls: &Calls) {
    assert_eq!(calls.bounds, DURATION_BUCKETS);
    assert!(calls.bounds.is_sorted_by(|one, next| one < next), "{:?}", calls.bounds);
    // From a server in the same rack to the default `timeout`.
    assert!(calls.bounds[0] <= 0.01 && calls.bounds.last() == Some(&30.0), "{:?}", calls.bounds);
    let observed = calls.values("request_duration_seconds", &[]);
    let requests: f64 =
        Status::ALL.iter().map(|status| calls.last("requests_total", &[("status", status.name())])).sum();
    assert_eq!(observed.len() as f64, requests);
    assert!(observed.iter().all(|seconds| (0.0..30.0).contains(seconds)), "{observed:?}");
}
