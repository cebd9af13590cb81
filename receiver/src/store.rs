//! Keeps received requests and items in memory for tests and for the page.

use super::timestamp;
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// One HTTP request, with any outcome.
#[derive(Debug, Clone)]
pub struct Request {
    /// Number in order of arrival, from 0; items refer to it.
    pub index: u64,
    /// Number of the connection, from 0: equal for requests that shared one.
    pub connection: u64,
    /// `POST`, ...
    pub method: String,
    /// Path without the query.
    pub path: String,
    /// Names as they came.
    pub headers: Vec<(String, String)>,
    /// Project id in the path.
    pub project: Option<u64>,
    /// Status answered; `None`: no answer (or one that is not HTTP).
    pub status: Option<u16>,
    /// True if the items were accepted, even where the answer was lost.
    pub accepted: bool,
    /// The body after decoding; empty where it could not be decoded.
    pub body: Vec<u8>,
    /// Bytes of body on the wire, without chunk framing.
    pub raw_len: usize,
    /// Content encoding, `identity` where none was named.
    pub encoding: String,
    /// The time at which the head had arrived.
    pub arrival: Instant,
    /// Problems found in the request, also where a lenient receiver answered 200.
    pub problems: Vec<String>,
}

impl Request {
    /// First value of a header, its name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// An accepted event.
#[derive(Debug, Clone)]
pub struct Event {
    /// Project it was sent to.
    pub project: u64,
    /// Public key it was sent with.
    pub sentry_key: String,
    /// 32 lower-case hexadecimal digits; the envelope's header wins over the payload.
    pub event_id: String,
    /// The item's JSON.
    pub payload: Value,
    /// [`Request::index`] of the request that brought it.
    pub request: u64,
}

/// An accepted log: one entry of a container.
#[derive(Debug, Clone)]
pub struct Log {
    /// Project it was sent to.
    pub project: u64,
    /// Public key it was sent with.
    pub sentry_key: String,
    /// The entry's JSON.
    pub payload: Value,
    /// [`Request::index`] of the request that brought it.
    pub request: u64,
}

/// An accepted client report.
#[derive(Debug, Clone)]
pub struct ClientReport {
    /// Project it was sent to.
    pub project: u64,
    /// Public key it was sent with.
    pub sentry_key: String,
    /// The item's JSON.
    pub payload: Value,
    /// [`Request::index`] of the request that brought it.
    pub request: u64,
}

/// An accepted check-in.
#[derive(Debug, Clone)]
pub struct CheckIn {
    /// Project it was sent to.
    pub project: u64,
    /// Public key it was sent with.
    pub sentry_key: String,
    /// The item's JSON.
    pub payload: Value,
    /// [`Request::index`] of the request that brought it.
    pub request: u64,
}

/// A problem of a request.
#[derive(Debug, Clone)]
pub struct Problem {
    /// [`Request::index`] of the request that has it.
    pub request: u64,
    /// Seconds since 1970 at which the request was settled, by the receiver's clock.
    pub at: f64,
    /// Method of the request.
    pub method: String,
    /// Path of the request.
    pub path: String,
    /// The status that was answered; none where no answer was sent.
    pub status: Option<u16>,
    /// The problem in words.
    pub text: String,
}

/// One accepted item.
#[derive(Debug, Clone)]
pub enum Accepted {
    /// An issue-making event.
    Event(Arc<Event>),
    /// One log.
    Log(Arc<Log>),
    /// Losses, as the client counts them.
    ClientReport(Arc<ClientReport>),
    /// That a monitored job or service runs.
    CheckIn(Arc<CheckIn>),
}

/// The number of entries of each kind to keep. The oldest are dropped first. Totals go on counting.
#[derive(Debug, Clone)]
pub struct Keep {
    /// Requests with their bodies.
    pub requests: usize,
    /// Events.
    pub events: usize,
    /// Logs.
    pub logs: usize,
    /// Client reports.
    pub client_reports: usize,
    /// Check-ins.
    pub check_ins: usize,
    /// Problems.
    pub problems: usize,
}

impl Keep {
    /// For tests: all.
    pub const EVERYTHING: Keep = Keep {
        requests: usize::MAX,
        events: usize::MAX,
        logs: usize::MAX,
        client_reports: usize::MAX,
        check_ins: usize::MAX,
        problems: usize::MAX,
    };
    /// For a server that runs for days.
    pub const RECENT: Keep =
        Keep { requests: 0, events: 1000, logs: 10_000, client_reports: 1000, check_ins: 1000, problems: 1000 };
}

/// Counts since the start, including requests that are no longer kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Totals {
    /// HTTP requests, without those for the page.
    pub requests: u64,
    /// Requests whose items were taken.
    pub accepted: u64,
    /// Events taken.
    pub events: u64,
    /// Logs taken.
    pub logs: u64,
    /// Client reports taken.
    pub client_reports: u64,
    /// Check-ins taken.
    pub check_ins: u64,
    /// Problems found.
    pub problems: u64,
}

/// Everything that is kept, oldest first.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Counts since the start.
    pub totals: Totals,
    /// Every request that was read, also those that were refused or cut.
    pub requests: VecDeque<Arc<Request>>,
    /// Accepted events.
    pub events: VecDeque<Arc<Event>>,
    /// Accepted logs.
    pub logs: VecDeque<Arc<Log>>,
    /// Accepted client reports.
    pub client_reports: VecDeque<Arc<ClientReport>>,
    /// Accepted check-ins.
    pub check_ins: VecDeque<Arc<CheckIn>>,
    /// Problems of all requests.
    pub problems: VecDeque<Arc<Problem>>,
}

/// The snapshot of now, and a bell for those who wait for a change.
pub(super) struct Store {
    state: Mutex<Snapshot>,
    changed: Condvar,
    keep: Keep,
}

impl Store {
    pub fn new(keep: Keep) -> Store {
        Store { state: Mutex::default(), changed: Condvar::new(), keep }
    }

    /// Adds a request and its accepted items at once, so that nobody sees one without the other.
    pub fn record(&self, request: Arc<Request>, items: &[Accepted]) {
        let mut state = self.lock();
        state.totals.requests += 1;
        state.totals.accepted += u64::from(request.accepted);
        state.totals.problems += request.problems.len() as u64;
        let at = timestamp::now();
        for text in &request.problems {
            let (method, path) = (request.method.clone(), request.path.clone());
            let problem =
                Problem { request: request.index, at, method, path, status: request.status, text: text.clone() };
            push(&mut state.problems, Arc::new(problem), self.keep.problems);
        }
        push(&mut state.requests, request, self.keep.requests);
        for item in items {
            match item {
                Accepted::Event(event) => {
                    state.totals.events += 1;
                    push(&mut state.events, event.clone(), self.keep.events);
                }
                Accepted::Log(log) => {
                    state.totals.logs += 1;
                    push(&mut state.logs, log.clone(), self.keep.logs);
                }
                Accepted::CheckIn(check_in) => {
                    state.totals.check_ins += 1;
                    push(&mut state.check_ins, check_in.clone(), self.keep.check_ins);
                }
                Accepted::ClientReport(report) => {
                    state.totals.client_reports += 1;
                    push(&mut state.client_reports, report.clone(), self.keep.client_reports);
                }
            }
        }
        self.changed.notify_all();
    }

    /// Passes the kept data to a function, without copying it.
    pub fn with<T>(&self, look: impl FnOnce(&Snapshot) -> T) -> T {
        look(&self.lock())
    }

    /// Waits until the condition holds; `false` when the time is up before.
    pub fn wait_until(&self, timeout: Duration, mut condition: impl FnMut(&Snapshot) -> bool) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), timeout, |state| !condition(state));
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// A condition that panics (a test's assertion) leaves the state as good as it was.
    fn lock(&self) -> MutexGuard<'_, Snapshot> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn push<T>(queue: &mut VecDeque<T>, item: T, keep: usize) {
    queue.push_back(item);
    while queue.len() > keep {
        queue.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(index: u64) -> Arc<Request> {
        Arc::new(Request {
            index,
            connection: 0,
            method: "POST".into(),
            path: "/".into(),
            headers: vec![("A".into(), "b".into())],
            project: None,
            status: Some(200),
            accepted: true,
            body: Vec::new(),
            raw_len: 0,
            encoding: "identity".into(),
            arrival: Instant::now(),
            problems: vec!["p".into()],
        })
    }

    fn log(request: u64) -> Accepted {
        Accepted::Log(Arc::new(Log { project: 1, sentry_key: String::new(), payload: Value::Null, request }))
    }

    #[test]
    fn the_oldest_go_and_totals_stay() {
        let store = Store::new(Keep { requests: 1, logs: 2, problems: 1, ..Keep::EVERYTHING });
        (0..3).for_each(|index| store.record(request(index), &[log(index)]));
        store.with(|state| {
            assert_eq!((state.totals.requests, state.totals.logs, state.totals.problems), (3, 3, 3));
            assert_eq!(state.requests.iter().map(|request| request.index).collect::<Vec<_>>(), [2]);
            assert_eq!(state.logs.iter().map(|log| log.request).collect::<Vec<_>>(), [1, 2]);
            assert_eq!(state.requests[0].header("a"), Some("b"));
            assert_eq!(state.problems.iter().map(|problem| problem.request).collect::<Vec<_>>(), [2]);
        });
    }

    #[test]
    fn waiting_ends_with_the_condition_or_the_time() {
        let store = Store::new(Keep::EVERYTHING);
        assert!(!store.wait_until(Duration::from_millis(10), |state| state.totals.requests > 0));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| store.wait_until(Duration::from_secs(20), |state| state.requests.len() == 2));
            (0..2).for_each(|index| store.record(request(index), &[]));
            assert!(waiting.join().unwrap());
        });
    }
}
