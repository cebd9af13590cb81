//! Limits log lines: a problem that persists, or comes and goes, is logged once a minute, with the number of times that it
//! has occurred. No other module limits lines: with two limits in series, a line that passes the first may be suppressed by
//! the second, and the occurrences that the line has counted are lost. Pure; the caller passes the time in.

use crate::clock::Monotonic;
use crate::delivery::report::host::Severity;
use crate::delivery::report::log_kind::LogKind;
use crate::mapping::DestinationId;
use std::collections::HashMap;
use std::time::Duration;

/// Shortest interval between two log lines of the same kind about the same destination.
const INTERVAL: Duration = Duration::from_secs(60);

/// The instance, destination or server that a log line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::delivery) enum LogSubject {
    /// The instance.
    Instance,
    /// A destination.
    Destination(DestinationId),
    /// A server, by the hash of its host and port: when it is unreachable, one line is enough for all its projects.
    Server(u64),
}

/// The kind of a line, and the thing that it is about.
type Subject = (LogKind, LogSubject);

/// The lines that were logged, by kind and subject.
#[derive(Debug, Default)]
pub(in crate::delivery) struct LogThrottle(HashMap<Subject, Logged>);

#[derive(Debug)]
struct Logged {
    at: Monotonic,
    /// Occurrences since then that no line has counted.
    uncounted: u64,
    /// Line that is still to be logged when the minute is over.
    deferred: Option<(Severity, String)>,
}

impl LogThrottle {
    /// Returns the line to log for one occurrence; see [`LogThrottle::log_times`].
    pub(in crate::delivery) fn log(&mut self, subject: Subject, text: &str, now: Monotonic) -> Option<String> {
        self.log_times(subject, text, 1, now)
    }

    /// Returns the line to log for so many occurrences at once, with the number of those that no line has counted yet.
    /// Returns `None`, and counts them, if a line of this kind about this subject was logged less than a minute ago.
    pub(in crate::delivery) fn log_times(
        &mut self,
        subject: Subject,
        text: &str,
        times: u64,
        now: Monotonic,
    ) -> Option<String> {
        let Some(logged) = self.0.get_mut(&subject) else {
            self.0.insert(subject, Logged { at: now, uncounted: 0, deferred: None });
            return Some(if times > 1 { format!("{text} [{times} times]") } else { text.to_owned() });
        };
        if now < logged.at + INTERVAL {
            logged.uncounted += times;
            return None;
        }
        let before = std::mem::replace(logged, Logged { at: now, uncounted: 0, deferred: None }).uncounted;
        let again = before + times.saturating_sub(1);
        Some(if again == 0 {
            text.to_owned()
        } else {
            format!("{text} [and {again} more times since this was last logged]")
        })
    }

    /// Like [`LogThrottle::log`], for a line that does not come again by itself: if it is suppressed, it is [`LogThrottle::due`] when the
    /// minute is over, unless it is canceled before ([`LogThrottle::cancel`]).
    pub(in crate::delivery) fn log_or_defer(
        &mut self,
        subject: Subject,
        severity: Severity,
        text: &str,
        now: Monotonic,
    ) -> Option<String> {
        let line = self.log(subject, text, now);
        if line.is_none()
            && let Some(logged) = self.0.get_mut(&subject)
        {
            logged.deferred = Some((severity, text.to_owned()));
        }
        line
    }

    /// Removes a deferred line, because it is no longer true.
    pub(in crate::delivery) fn cancel(&mut self, subject: Subject) {
        if let Some(logged) = self.0.get_mut(&subject) {
            logged.deferred = None;
        }
    }

    /// Returns the deferred lines that may be logged now.
    pub(in crate::delivery) fn due(&mut self, now: Monotonic) -> Vec<(Severity, String)> {
        let ripe = |logged: &&mut Logged| logged.deferred.is_some() && now >= logged.at + INTERVAL;
        let take = |logged: &mut Logged| {
            (logged.at, logged.uncounted) = (now, 0);
            logged.deferred.take()
        };
        self.0.values_mut().filter(ripe).filter_map(take).collect()
    }

    /// Returns true if any line about `subject` was logged.
    pub(in crate::delivery) fn knows(&self, subject: LogSubject) -> bool {
        self.0.keys().any(|(_, other)| *other == subject)
    }

    /// Forgets the lines about a destination that was forgotten.
    pub(in crate::delivery) fn forget(&mut self, destination: DestinationId) {
        self.0.retain(|(_, other), _| *other != LogSubject::Destination(destination));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILING: Subject = (LogKind::Failing, LogSubject::Server(1));
    const RECOVERED: Subject = (LogKind::Recovered, LogSubject::Server(1));
    const REFUSING: Subject = (LogKind::Misconfigured, LogSubject::Destination(DestinationId(1)));

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_secs(seconds)
    }

    fn recovered(throttle: &mut LogThrottle, now: Monotonic) -> Option<String> {
        throttle.log_or_defer(RECOVERED, Severity::Info, "up", now)
    }

    #[test]
    fn logs_each_kind_once_a_minute_with_a_count() {
        let mut throttle = LogThrottle::default();
        let times: Vec<_> = (0..180).filter_map(|now| Some((now, throttle.log(FAILING, "down", at(now))?))).collect();
        let again = "down [and 59 more times since this was last logged]".to_owned();
        assert_eq!(times, [(0, "down".to_owned()), (60, again.clone()), (120, again)]);
        let another = [
            (LogKind::Failing, LogSubject::Server(2)),
            (LogKind::Failing, LogSubject::Instance),
            (LogKind::LimitedLogs, LogSubject::Server(1)),
        ];
        another.into_iter().for_each(|subject| assert!(throttle.log(subject, "down", at(1)).is_some(), "{subject:?}"));
    }

    #[test]
    fn counts_occurrences_reported_together() {
        let mut throttle = LogThrottle::default();
        let mut log = |times, now| throttle.log_times(FAILING, "down", times, at(now));
        assert_eq!(log(3, 0), Some("down [3 times]".to_owned()));
        assert_eq!((log(5, 20), log(2, 59)), (None, None));
        assert_eq!(log(4, 60), Some("down [and 10 more times since this was last logged]".to_owned()));
        assert_eq!(log(1, 120), Some("down".to_owned()));
    }

    #[test]
    fn logs_flapping_server_once_a_minute_in_each_direction() {
        let mut throttle = LogThrottle::default();
        let mut lines = Vec::new();
        // Down in even seconds and up in odd ones, for five minutes; then it stays up.
        for now in 0..420 {
            if now < 300 && now % 2 == 0 {
                throttle.cancel(RECOVERED);
                lines.extend(throttle.log(FAILING, "down", at(now)).map(|line| (now, line)));
            } else if now < 300 {
                lines.extend(recovered(&mut throttle, at(now)).map(|line| (now, line)));
            }
            lines.extend(throttle.due(at(now)).into_iter().map(|(_, line)| (now, line)));
        }
        for kind in ["down", "up"] {
            let times: Vec<u64> =
                lines.iter().filter(|(_, line)| line.starts_with(kind)).map(|(now, _)| *now).collect();
            assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 60), "{kind}: {times:?}");
            assert!(times.len() >= 5, "{kind}: {times:?}");
        }
        assert!(lines.iter().filter(|(now, _)| *now > 1).all(|(now, line)| line.contains("[and ") || *now > 300));
        assert_eq!(lines.last(), Some(&(301, "up".to_owned())), "the last word is how it ended: {lines:?}");
    }

    #[test]
    fn logs_deferred_recovery_after_a_minute() {
        let mut throttle = LogThrottle::default();
        assert!(recovered(&mut throttle, at(0)).is_some());
        assert!(throttle.log(FAILING, "down", at(10)).is_some());
        assert!(recovered(&mut throttle, at(20)).is_none());
        assert_eq!(throttle.due(at(59)), []);
        assert_eq!(throttle.due(at(60)), [(Severity::Info, "up".to_owned())]);
        assert_eq!(throttle.due(at(200)), [], "once");
        assert!(recovered(&mut throttle, at(70)).is_none());
        throttle.cancel(RECOVERED);
        assert_eq!(throttle.due(at(130)), [], "it is down again");
    }

    #[test]
    fn forgets_removed_destinations() {
        let mut throttle = LogThrottle::default();
        assert!(throttle.log(REFUSING, "rejects everything", at(0)).is_some());
        assert!(throttle.log(FAILING, "down", at(0)).is_some());
        throttle.forget(DestinationId(1));
        assert!(throttle.log(REFUSING, "rejects everything", at(1)).is_some());
        assert!(throttle.log(FAILING, "down", at(1)).is_none());
    }
}
