//! The log texts about a destination. Pure.

use crate::delivery::report::host::Severity;
use crate::delivery::report::log_kind::LogKind;
use crate::delivery::transport::client::{SendResult, encoding_name};
use crate::ledger::{Category, Outcome, PerCategory};
use crate::options::{Compress, Delivery, Dsn, ResolvedMode};
use std::path::PathBuf;
use std::time::Duration;

/// A change of a destination's state, or a decision about an item, that the log has a line about.
#[derive(Clone, Debug, PartialEq)]
pub enum DestinationMessage {
    /// The destination accepted items for the first time, or for the first time after a failure.
    Recovered,
    /// The destination does not respond, or its server fails.
    Failing,
    /// The destination refuses everything.
    Misconfigured,
    /// A category is limited by a quota, for this time.
    Limited(Category, Duration),
    /// A single item was refused or is too large.
    Refused(Category, Outcome),
    /// The encoding was changed.
    Encoding(Compress),
}

/// A line for Fluent Bit's log.
#[derive(Debug)]
pub(in crate::delivery) struct LogLine {
    pub(in crate::delivery) severity: Severity,
    /// Lines of one kind about one subject are logged once a minute.
    pub(in crate::delivery) kind: LogKind,
    pub(in crate::delivery) text: String,
}

/// Settings that the texts depend on besides the response.
#[derive(Clone, Debug)]
pub(in crate::delivery) struct Keeping {
    /// The place where items wait, with a comma before it; empty while `auto` has not chosen yet.
    pub(in crate::delivery) place: String,
    /// `hold_events` and `hold_logs`.
    pub(in crate::delivery) hold: PerCategory<Duration>,
    /// `dead_letter_path`.
    pub(in crate::delivery) dead_letter_path: Option<PathBuf>,
}

impl Keeping {
    /// `mode` is `None` while `auto` has not chosen yet. `spool_path` matters in the mode `spool` alone.
    pub(in crate::delivery) fn of(mode: Option<ResolvedMode>, settings: &Delivery) -> Self {
        let place = match (mode, &settings.spool_path) {
            (Some(ResolvedMode::Spool), Some(path)) => format!(", items are kept in {}", path.display()),
            (Some(ResolvedMode::Ack), _) => ", Fluent Bit keeps the chunks".to_owned(),
            (Some(ResolvedMode::Memory), _) => ", items are held in memory and lost if Fluent Bit stops".to_owned(),
            (Some(ResolvedMode::Spool) | None, _) => String::new(),
        };
        let hold = PerCategory { event: settings.hold_events, log: settings.hold_logs };
        Self { place, hold, dead_letter_path: settings.dead_letter_path.clone() }
    }
}

/// Returns a time as an option is written: `24h`, `10m`, `90s`, `500ms`.
fn span(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{}ms", time.as_millis()),
        seconds if seconds % 3_600 == 0 => format!("{}h", seconds / 3_600),
        seconds if seconds % 60 == 0 => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}

/// Returns the line for a message. `sent` is the result that caused it.
pub(in crate::delivery) fn line(
    message: &DestinationMessage,
    dsn: &Dsn,
    sent: &SendResult,
    keeping: &Keeping,
) -> LogLine {
    let (detail, place) = (&sent.response.detail, &keeping.place);
    let (severity, kind, text) = match message {
        DestinationMessage::Recovered => {
            (Severity::Info, LogKind::Recovered, format!("{dsn} is reachable and accepts items"))
        }
        DestinationMessage::Failing if sent.is_permanent() => (
            Severity::Error,
            LogKind::FailingPermanently,
            format!("{dsn} is unreachable ({detail}); this needs a change and does not pass by itself{place}"),
        ),
        DestinationMessage::Failing => {
            (Severity::Warn, LogKind::Failing, format!("{dsn} is unreachable ({detail}); retrying with backoff{place}"))
        }
        DestinationMessage::Misconfigured => (
            Severity::Error,
            LogKind::Misconfigured,
            format!(
                "{dsn} rejects everything ({detail}): check that the DSN's key and project exist and are enabled. \
                 Items are held (events {}, logs {}), then dropped",
                span(keeping.hold.event),
                span(keeping.hold.log)
            ),
        ),
        DestinationMessage::Limited(category, time) => (
            Severity::Warn,
            match category {
                Category::Event => LogKind::LimitedEvents,
                Category::Log => LogKind::LimitedLogs,
            },
            format!(
                "{dsn} limits {}s for {} s (quota or spike protection); they are held for at most {}, then dropped",
                category.name(),
                time.as_secs(),
                span(keeping.hold[*category])
            ),
        ),
        DestinationMessage::Refused(category, outcome) => (
            Severity::Error,
            LogKind::Refused,
            format!(
                "{dsn} rejects a single {} as {} ({detail}); it is {}",
                category.name(),
                outcome.name(),
                match &keeping.dead_letter_path {
                    Some(path) => format!("written to the dead letters in {}", path.display()),
                    None => "dropped and only counted".to_owned(),
                },
            ),
        ),
        DestinationMessage::Encoding(encoding) => (
            Severity::Warn,
            LogKind::Encoding,
            format!(
                "{dsn} cannot decode the request ({detail}); using compress = {} instead",
                encoding_name(*encoding).unwrap_or("none")
            ),
        ),
    };
    LogLine { severity, kind, text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::transport::error::SendError;
    use crate::options::Mode;

    /// Returns an error that may pass, and one that lasts.
    fn errors() -> [SendError; 2] {
        let text = "its text".to_owned();
        [SendError::Other(text.clone()), SendError::Certificate(text)]
    }

    fn line_of(message: &DestinationMessage, error: &SendError, mode: Mode, spool: Option<&str>) -> LogLine {
        let dsn = Dsn::parse("https://0123456789abcdef0123456789abcdef@sentry.example/7").unwrap();
        let hold = (Duration::from_secs(86_400), Duration::from_secs(600));
        let settings = Delivery {
            mode,
            spool_path: spool.map(Into::into),
            dead_letter_path: spool.map(Into::into),
            hold_events: hold.0,
            hold_logs: hold.1,
            ..Delivery::default()
        };
        line(message, &dsn, &SendResult::failed(0, error.clone()), &Keeping::of(ResolvedMode::of(&settings), &settings))
    }

    #[test]
    fn lines_name_the_next_step_and_hide_the_key() {
        let refused = DestinationMessage::Refused(Category::Log, Outcome::TooLarge);
        let limited = DestinationMessage::Limited(Category::Event, Duration::from_secs(60));
        let [passing, lasting] = &errors();
        for (message, error, spool, severity, says) in [
            (DestinationMessage::Recovered, passing, None, Severity::Info, "accepts items"),
            (
                DestinationMessage::Failing,
                passing,
                Some("/spool"),
                Severity::Warn,
                "retrying with backoff, items are kept in /spool",
            ),
            (
                DestinationMessage::Failing,
                lasting,
                Some("/spool"),
                Severity::Error,
                "does not pass by itself, items are kept in /spool",
            ),
            (
                DestinationMessage::Misconfigured,
                passing,
                None,
                Severity::Error,
                "Items are held (events 24h, logs 10m), then dropped",
            ),
            (
                limited,
                passing,
                None,
                Severity::Warn,
                "limits events for 60 s (quota or spike protection); they are held",
            ),
            (refused.clone(), passing, None, Severity::Error, "it is dropped and only counted"),
            (refused, passing, Some("/spool"), Severity::Error, "it is written to the dead letters in /spool"),
            (
                DestinationMessage::Encoding(Compress::None),
                passing,
                None,
                Severity::Warn,
                "using compress = none instead",
            ),
            (
                DestinationMessage::Encoding(Compress::Gzip),
                passing,
                None,
                Severity::Warn,
                "using compress = gzip instead",
            ),
        ] {
            let line = line_of(&message, error, Mode::Auto, spool);
            assert_eq!(line.severity, severity, "{message:?}");
            assert!(line.text.contains(says), "{message:?}: {}", line.text);
            assert!(line.text.starts_with("https://***@sentry.example/7 "), "{}", line.text);
        }
    }

    #[test]
    fn lines_depend_on_the_delivery_mode() {
        for error in errors() {
            let text = |mode, spool| line_of(&DestinationMessage::Failing, &error, mode, spool).text;
            assert!(text(Mode::Spool, Some("/spool")).ends_with(", items are kept in /spool"));
            assert!(text(Mode::Ack, Some("/spool")).ends_with(", Fluent Bit keeps the chunks"));
            assert!(
                text(Mode::Memory, Some("/spool")).ends_with(", items are held in memory and lost if Fluent Bit stops")
            );
            assert!(!text(Mode::Auto, None).contains(", "));
        }
    }

    #[test]
    fn writes_durations_as_options_are_written() {
        let times = [0, 500, 1_000, 90_000, 600_000, 86_400_000].map(|ms| span(Duration::from_millis(ms)));
        assert_eq!(times, ["0ms", "500ms", "1s", "90s", "10m", "24h"]);
    }
}
