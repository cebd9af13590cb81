//! The server at the end: Bugsink with a page of its own, or the companion's receiver in this process.

use crate::progress::Progress;
use clap::ValueEnum;
use receiver::{Options, Receiver};
use serde_json::Value;
use testkit::bugsink::{self, Bugsink};
use testkit::envelope::Envelope;
use testkit::http;

/// The kind of server.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A real, Sentry-compatible server, from the Python package index.
    Bugsink,
    /// `flb-sentry receive`, in this process.
    Receive,
}

/// A running server.
pub enum Server {
    /// The real one.
    Bugsink(Box<Bugsink>),
    /// Ours.
    Receive(Receiver),
}

/// An issue that a server made of events that belong together.
pub struct Issue {
    pub title: String,
    pub level: String,
    pub count: u64,
}

/// Counts of the events and logs that have arrived at a server.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Arrived {
    pub events: u64,
    pub logs: u64,
}

impl Server {
    /// Starts the one asked for, else Bugsink, else, saying why, the receiver.
    pub fn start(kind: Option<Kind>, progress: &Progress) -> Result<Self, String> {
        if kind == Some(Kind::Receive) {
            return Self::receive(progress, "as asked for");
        }
        progress
            .say("server: starting Bugsink; the first time it is installed from the Python package index (20 s or so)");
        match Bugsink::start(bugsink::Options::default()) {
            Ok(server) => {
                progress.say(&format!("server: Bugsink, a real Sentry-compatible server, on port {}", server.port()));
                Ok(Self::Bugsink(Box::new(server)))
            }
            Err(why) if kind == Some(Kind::Bugsink) => Err(format!("no Bugsink: {why}")),
            Err(why) => Self::receive(progress, &format!("there is no Bugsink: {why}")),
        }
    }

    fn receive(progress: &Progress, why: &str) -> Result<Self, String> {
        let receiver = Receiver::start(Options::default()).map_err(|error| format!("flb-sentry receive: {error}"))?;
        progress.say(&format!("server: flb-sentry receive at http://{} ({why})", receiver.addr()));
        Ok(Self::Receive(receiver))
    }

    /// Returns the common name of the server.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Bugsink(_) => "Bugsink",
            Self::Receive(_) => "flb-sentry receive",
        }
    }

    /// Returns the DSN to send to.
    pub fn dsn(&self) -> String {
        match self {
            Self::Bugsink(server) => server.dsn(),
            Self::Receive(receiver) => receiver.dsn(),
        }
    }

    /// Returns the address of the page to look at, and how to log in.
    pub fn page(&self) -> String {
        match self {
            Self::Bugsink(server) => {
                format!("{} (log in as {} with {})", server.login_url(), bugsink::USER, bugsink::PASSWORD)
            }
            Self::Receive(receiver) => format!("http://{}/", receiver.addr()),
        }
    }

    /// Returns the counts of the events and logs that have been accepted so far.
    pub fn arrived(&self) -> Result<Arrived, String> {
        match self {
            Self::Bugsink(server) => server.accepted()?.iter().try_fold(Arrived::default(), add),
            Self::Receive(receiver) => {
                let totals = receiver.totals();
                Ok(Arrived { events: totals.events, logs: totals.logs })
            }
        }
    }

    /// The issues on its page.
    pub fn issues(&self) -> Result<Vec<Issue>, String> {
        match self {
            Self::Bugsink(server) => Ok(server.issues()?.into_iter().map(Issue::from).collect()),
            Self::Receive(receiver) => {
                let page = http::get(receiver.addr().port(), "/api/items.json", &[]);
                let page = page.map_err(|error| format!("the receiver's page: {error}"))?;
                let items: Value = serde_json::from_slice(&page.body).map_err(|error| error.to_string())?;
                Ok(items["issues"].as_array().into_iter().flatten().map(issue).collect())
            }
        }
    }

    /// Returns problems with data that a real server would have dropped or changed without a word.
    pub fn problems(&self) -> Vec<String> {
        match self {
            Self::Bugsink(_) => Vec::new(),
            Self::Receive(receiver) => receiver.problems(),
        }
    }
}

fn add(sum: Arrived, envelope: &Envelope) -> Result<Arrived, String> {
    let events = u64::from(envelope.event()?.is_some());
    Ok(Arrived { events: sum.events + events, logs: sum.logs + envelope.logs()?.len() as u64 })
}

impl From<bugsink::Issue> for Issue {
    fn from(issue: bugsink::Issue) -> Self {
        // What has no exception is called a log message there; here every issue is one.
        let title = issue.title.strip_prefix("Log Message: ").unwrap_or(&issue.title).to_owned();
        Self { title, level: issue.level, count: issue.count }
    }
}

fn issue(row: &Value) -> Issue {
    let text = |field: &str| row[field].as_str().unwrap_or_default().to_owned();
    Issue { title: text("title"), level: text("level"), count: row["count"].as_u64().unwrap_or_default() }
}
