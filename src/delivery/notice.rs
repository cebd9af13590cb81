//! What a person is told of a destination, in words that say what to do. Pure.

use super::destination::Notice;
use super::host::Severity;
use super::http::{Sent, encoding_name};
use crate::ledger::Category;
use crate::options::Dsn;

/// The kind of the line that ends trouble.
pub(super) const ANSWERS: &str = "answers";

/// A line for the host's log.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) severity: Severity,
    /// Lines of one kind about one thing are told once a minute.
    pub(super) kind: &'static str,
    pub(super) text: String,
}

/// `sent` is what brought the notice about; `buries` is whether there are dead letters.
pub(super) fn line(notice: &Notice, dsn: &Dsn, sent: &Sent, buries: bool) -> Line {
    let detail = &sent.detail;
    let (severity, kind, text) = match notice {
        Notice::Answers => (Severity::Info, ANSWERS, format!("{dsn} accepts what is sent")),
        Notice::Failing if sent.lasting => (
            Severity::Error,
            "failing for good",
            format!("{dsn} cannot be reached ({detail}); nothing is lost, but it stays so until this is mended"),
        ),
        Notice::Failing => (
            Severity::Warn,
            "failing",
            format!("{dsn} cannot be reached ({detail}); nothing is lost, sending again with growing pauses"),
        ),
        Notice::Misconfigured => (
            Severity::Error,
            "misconfigured",
            format!(
                "{dsn} refuses what is sent ({detail}): check that the DSN's key and project exist and are enabled; \
                 items wait and are given up after hold_events and hold_logs"
            ),
        ),
        Notice::Limited(category, span) => (
            Severity::Warn,
            match category {
                Category::Event => "limited events",
                Category::Log => "limited logs",
            },
            format!(
                "{dsn} limits {}s for {} s (quota or spike protection); they wait",
                category.name(),
                span.as_secs()
            ),
        ),
        Notice::Refused(category, outcome) => (
            Severity::Error,
            "refused",
            format!(
                "{dsn} refuses a single {} as {} ({detail}); it is given up and {}",
                category.name(),
                outcome.name(),
                if buries { "put to the dead letters" } else { "only counted" },
            ),
        ),
        Notice::Encoding(encoding) => (
            Severity::Warn,
            "encoding",
            format!(
                "{dsn} cannot read what is sent ({detail}); trying compress = {} instead",
                encoding_name(*encoding).unwrap_or("none")
            ),
        ),
    };
    Line { severity, kind, text }
}

#[cfg(test)]
mod tests {
    use super::super::failure::Failure;
    use super::*;
    use crate::ledger::Outcome;
    use crate::options::Compress;
    use std::time::Duration;

    fn told(notice: &Notice, lasting: bool, buries: bool) -> Line {
        let dsn = Dsn::parse("https://0123456789abcdef0123456789abcdef@sentry.example/7").unwrap();
        let failure = Failure { words: "its words".to_owned(), lasting };
        line(notice, &dsn, &Sent::failed(0, failure), buries)
    }

    #[test]
    fn what_to_do_is_in_the_line_and_the_key_is_not() {
        let refused = Notice::Refused(Category::Log, Outcome::TooLarge);
        for (notice, lasting, buries, severity, says) in [
            (Notice::Answers, false, false, Severity::Info, "accepts what is sent"),
            (Notice::Failing, false, false, Severity::Warn, "(its words); nothing is lost, sending again"),
            (Notice::Failing, true, false, Severity::Error, "until this is mended"),
            (Notice::Misconfigured, false, false, Severity::Error, "check that the DSN's key and project exist"),
            (
                Notice::Limited(Category::Event, Duration::from_secs(60)),
                false,
                false,
                Severity::Warn,
                "limits events for 60 s",
            ),
            (refused.clone(), false, false, Severity::Error, "only counted"),
            (refused, false, true, Severity::Error, "put to the dead letters"),
            (Notice::Encoding(Compress::None), false, false, Severity::Warn, "trying compress = none instead"),
            (Notice::Encoding(Compress::Gzip), false, false, Severity::Warn, "trying compress = gzip instead"),
        ] {
            let line = told(&notice, lasting, buries);
            assert_eq!(line.severity, severity, "{notice:?}");
            assert!(line.text.contains(says), "{notice:?}: {}", line.text);
            assert!(line.text.starts_with("https://***@sentry.example/7 "), "{}", line.text);
        }
    }
}
