//! The plugin's own counters as the host exports them, and what always holds of them.

use out_sentry::ledger::{Category, DURATION_BUCKETS, Outcome, Status};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use testkit::fluent_bit::FluentBit;
use testkit::{http, wait};

const PREFIX: &str = "fluentbit_sentry_";

/// Longest time until the counters show what has happened: they are published once a second.
const SHOWN_WITHIN: Duration = Duration::from_secs(15);

/// One reading of the metrics of the instance called `name`.
#[derive(Debug)]
pub struct Counters {
    name: String,
    lines: Vec<String>,
}

impl Counters {
    /// Reads them.
    pub fn of(host: &FluentBit, name: &str) -> Self {
        Self::parse(&host.metrics().expect("expected metrics"), name)
    }

    fn parse(text: &str, name: &str) -> Self {
        let instance = format!("name=\"{name}\"");
        let ours = |line: &&str| line.starts_with(PREFIX) && line.contains(&instance);
        Self { name: name.to_owned(), lines: text.lines().filter(ours).map(str::to_owned).collect() }
    }

    /// The value of the series with exactly these labels besides the instance's name.
    pub fn get(&self, metric: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut all = vec![("name", self.name.as_str())];
        all.extend(labels);
        let all: Vec<String> = all.iter().map(|(key, value)| format!("{key}=\"{value}\"")).collect();
        let series = format!("{PREFIX}{metric}{{{}}} ", all.join(","));
        self.lines.iter().find_map(|line| line.strip_prefix(&series)?.parse().ok())
    }

    /// A series that must be there.
    pub fn value(&self, metric: &str, labels: &[(&str, &str)]) -> f64 {
        self.get(metric, labels).unwrap_or_else(|| panic!("no series {metric} {labels:?} in {:#?}", self.lines))
    }

    /// Records that ended this way in this category.
    pub fn ended(&self, category: Category, outcome: Outcome) -> f64 {
        self.value("items_total", &[("category", category.name()), ("outcome", outcome.name())])
    }

    /// Records that have not ended, both categories together.
    pub fn pending(&self) -> f64 {
        self.value("pending_items", &[])
    }

    fn ended_in(&self, category: Category) -> f64 {
        Outcome::ALL.iter().map(|outcome| self.ended(category, *outcome)).sum()
    }

    /// Every record is in one outcome per category, or pending.
    fn add_up(&self) -> bool {
        let records = self.value("records_total", &[]);
        let ended: Vec<f64> = Category::ALL.iter().map(|category| self.ended_in(*category)).collect();
        let rest: f64 = ended.iter().map(|ended| records - ended).sum();
        ended.iter().all(|ended| *ended <= records) && rest == self.pending()
    }

    /// Panics unless every series of the contract is there.
    pub fn assert_all_series(&self) {
        for metric in [
            "records_total",
            "sent_bytes_total",
            "pending_items",
            "pending_bytes",
            "spool_bytes",
            "oldest_pending_seconds",
        ] {
            self.value(metric, &[]);
        }
        for category in Category::ALL {
            Outcome::ALL.iter().for_each(|outcome| _ = self.ended(*category, *outcome));
        }
        Status::ALL.iter().for_each(|status| _ = self.value("requests_total", &[("status", status.name())]));
        for state in ["ok", "limited", "unreachable", "misconfigured"] {
            self.value("destinations", &[("state", state)]);
        }
        self.value("request_duration_seconds_count", &[]);
        let buckets = self.lines.iter().filter(|line| line.contains("request_duration_seconds_bucket")).count();
        assert_eq!(buckets, DURATION_BUCKETS.len() + 1, "{:#?}", self.lines);
    }
}

impl Counters {
    /// The values of the histogram's buckets, in the order of the page.
    fn buckets(&self) -> Vec<(&str, f64)> {
        let lines = self.lines.iter().filter(|line| line.contains("request_duration_seconds_bucket"));
        let read = lines.filter_map(|line| {
            let (bound, _) = line.split_once("le=\"")?.1.split_once('"')?;
            Some((bound, line.rsplit_once(' ')?.1.parse().ok()?))
        });
        read.collect()
    }

    /// Nothing waits, and what goes up and down says so.
    fn are_at_rest(&self) -> bool {
        let at_rest = |metric: &&str| self.value(metric, &[]) == 0.0;
        let gauges = ["pending_items", "pending_bytes", "spool_bytes", "oldest_pending_seconds"];
        gauges.iter().all(at_rest)
            && self.value("destinations", &[("state", "ok")]) == 1.0
            && ["limited", "unreachable", "misconfigured"]
                .iter()
                .all(|state| self.value("destinations", &[("state", state)]) == 0.0)
    }

    /// Buckets include the smaller ones, and the last of them has every request.
    fn assert_histogram(&self) {
        let buckets = self.buckets();
        assert!(buckets.is_sorted_by(|one, next| one.1 <= next.1), "{buckets:?}");
        let requests: f64 =
            Status::ALL.iter().map(|status| self.value("requests_total", &[("status", status.name())])).sum();
        let count = self.value("request_duration_seconds_count", &[]);
        assert_eq!((count, buckets.last()), (requests, Some(&("+Inf", requests))), "{buckets:?}");
        let sum = self.value("request_duration_seconds_sum", &[]);
        assert!(sum > 0.0 && sum < 60.0 * count, "{sum} s in {count} requests");
    }
}

/// After all has been delivered the gauges come back to zero, and the histogram has counted each request.
pub fn assert_at_rest(host: &FluentBit, name: &str) {
    wait_for(host, name, "at rest", Counters::are_at_rest).assert_histogram();
}

/// Waits until the counters are as expected.
pub fn wait_for(host: &FluentBit, name: &str, what: &str, expected: impl Fn(&Counters) -> bool) -> Counters {
    let mut last = Counters::of(host, name);
    let found = wait::until_true(SHOWN_WITHIN, || {
        last = Counters::of(host, name);
        expected(&last)
    });
    assert!(found, "never: {what}: {:#?}", last.lines);
    last
}

/// The counters add up. Series are exported one by one while they change, so one reading may catch them in between.
pub fn assert_add_up(host: &FluentBit, name: &str) {
    wait_for(host, name, "records = outcomes + pending", Counters::add_up);
}

/// Reads the counters of an instance again and again, from Fluent Bit's web server, until it is finished. A reading without
/// counters says nothing: the host is starting, or is down.
pub struct Watch {
    stop: mpsc::Sender<()>,
    reader: JoinHandle<(usize, Vec<Counters>)>,
}

impl Watch {
    /// Readings of the same moment: Fluent Bit exports the series one by one while they change.
    const READINGS: usize = 3;

    /// Starts it.
    pub fn start(host: &FluentBit, name: &str) -> Self {
        let (port, name, (stop, stopped)) = (host.http_port(), name.to_owned(), mpsc::channel());
        let read = move || {
            let answer =
                http::get(port, "/api/v2/metrics/prometheus", &[]).ok().filter(|answer| answer.status == 200)?;
            let counters = Counters::parse(&answer.text(), &name);
            (!counters.lines.is_empty()).then_some(counters)
        };
        let reader = thread::spawn(move || {
            let (mut readings, mut open) = (0, Vec::new());
            while stopped.recv_timeout(Duration::from_millis(200)) == Err(RecvTimeoutError::Timeout) {
                let mut last = None;
                let closes = (0..Self::READINGS).any(|_| {
                    last = read();
                    last.as_ref().is_none_or(Counters::add_up)
                });
                readings += usize::from(last.is_some());
                open.extend(last.filter(|_| !closes));
            }
            (readings, open)
        });
        Self { stop, reader }
    }

    /// Ends it; panics unless the ledger was closed in each reading.
    pub fn finish(self) {
        drop(self.stop);
        let (readings, open) = self.reader.join().expect("expected the reader to end");
        assert!(readings > 0, "expected counters");
        assert!(open.is_empty(), "the ledger was open in {} of {readings} readings: {:#?}", open.len(), open[0].lines);
    }
}
