//! Determines the meaning of a server's response for an envelope and its destination. Pure. The table is both the contract
//! and its tests.

use crate::clock::WallTime;
use crate::ledger::{Category, PerCategory};
use std::time::Duration;

/// The response to a request, as far as it decides what is sent next.
#[derive(Clone, Debug)]
pub struct Response {
    /// Meaning of the status, or of the failure to get one.
    pub kind: ResponseKind,
    /// Limits that came with it.
    pub limits: Limits,
    /// HTTP status; zero if there was no response.
    pub status: u16,
    /// Text for the log: the status and the server's own text, or the error that prevented a response. Empty if the items
    /// were accepted.
    pub detail: String,
}

impl Response {
    /// Returns a response without a status or a text.
    #[must_use]
    pub fn new(kind: ResponseKind, limits: Limits) -> Self {
        Self { kind, limits, status: 0, detail: String::new() }
    }
}

/// The meaning of a response for an envelope and its destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseKind {
    /// Accepted.
    Accepted,
    /// The network or the server failed: the same envelope is sent again later.
    Failed,
    /// A quota is exhausted: the envelope is sent again after the limit.
    Limited,
    /// The envelope is too large: it is sent again in smaller parts.
    TooLarge,
    /// The envelope is malformed: one of its items is, or the destination rejects everything.
    Malformed,
    /// The encoding is not understood.
    Encoding,
    /// The destination rejects every envelope: its key, project or URL is wrong.
    Misconfigured,
}

/// The time for which each category is limited from now on, if it is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    per_category: PerCategory<Option<Duration>>,
    /// The limit of a 429 for a refused category that it does not name.
    refused: Option<Duration>,
    /// The limit of categories that have none of their own.
    everything: Option<Duration>,
    /// The limit of check-ins.
    monitors: Option<Duration>,
}

/// Length of a limit for which a 429 names no time (develop.sentry.dev, rate limiting).
const DEFAULT_LIMIT: Duration = Duration::from_secs(60);

/// Shortest time for which a refused category is deferred: with a limit of zero, the plugin would send again as fast as
/// responses come.
const SHORTEST_REFUSAL: Duration = Duration::from_secs(1);

/// Longest limit that is accepted from one response; the next response may renew it.
const LONGEST_LIMIT: Duration = Duration::from_secs(24 * 3_600);

impl ResponseKind {
    /// Returns the meaning of an HTTP status.
    #[must_use]
    pub fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Accepted,
            400 => Self::Malformed,
            408 | 500..=599 => Self::Failed,
            413 => Self::TooLarge,
            415 => Self::Encoding,
            429 => Self::Limited,
            _ => Self::Misconfigured,
        }
    }
}

impl Limits {
    /// The limit of a category.
    #[must_use]
    pub fn of(&self, category: Category) -> Option<Duration> {
        self.per_category[category]
    }

    /// Returns the limits with one for the refused category, even if they name only categories that the plugin does not
    /// send, or no time.
    #[must_use]
    pub fn with_refused(mut self, category: Category) -> Self {
        if let Some(span) = self.refused {
            self.add(category, self.of(category).unwrap_or(span).max(SHORTEST_REFUSAL));
        }
        self
    }

    /// The limit of everything, client reports included.
    #[must_use]
    pub fn of_everything(&self) -> Option<Duration> {
        self.everything
    }

    /// The limit of check-ins: their own, that of everything, or that of a refusal which names neither.
    #[must_use]
    pub fn of_monitors(&self) -> Option<Duration> {
        self.monitors.or(self.everything).or(self.refused)
    }

    fn add_all(&mut self, span: Duration) {
        Category::ALL.iter().for_each(|category| self.add(*category, span));
        self.everything = self.everything.max(Some(span.min(LONGEST_LIMIT)));
    }

    fn add(&mut self, category: Category, span: Duration) {
        let known = &mut self.per_category[category];
        *known = (*known).max(Some(span.min(LONGEST_LIMIT)));
    }

    fn all(span: Duration) -> Self {
        let mut limits = Self::default();
        limits.add_all(span);
        limits
    }

    /// Reads the limits of a response: `X-Sentry-Rate-Limits` on any status, else on 429 `Retry-After`, else a minute.
    #[must_use]
    pub fn read(status: u16, rate_limits: Option<&str>, retry_after: Option<&str>, now: WallTime) -> Self {
        let refused =
            (status == 429).then(|| retry_after.and_then(|text| parse_retry_after(text, now)).unwrap_or(DEFAULT_LIMIT));
        if let Some(limits) = rate_limits.and_then(parse_rate_limits) {
            return Self { refused, ..limits };
        }
        refused.map_or_else(Self::default, |span| Self { refused, ..Self::all(span) })
    }
}

/// `<seconds>:<categories>:<scope>...`, comma-separated. `None` when no part could be read.
fn parse_rate_limits(header: &str) -> Option<Limits> {
    let mut limits = None;
    for part in header.split(',') {
        let mut fields = part.trim().split(':');
        let Some(span) = fields.next().and_then(parse_seconds) else { continue };
        let limits = limits.get_or_insert_with(Limits::default);
        let categories = fields.next().unwrap_or_default().trim();
        if categories.is_empty() {
            limits.add_all(span);
        }
        for name in categories.split(';') {
            match name.trim() {
                "error" | "default" => limits.add(Category::Event, span),
                "log_item" | "log_byte" => limits.add(Category::Log, span),
                "monitor" => limits.monitors = limits.monitors.max(Some(span.min(LONGEST_LIMIT))),
                // The plugin sends no items of other categories.
                _ => {}
            }
        }
    }
    limits
}

fn parse_seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.trim().parse().ok()?;
    (seconds.is_finite() && seconds >= 0.0).then(|| Duration::from_secs_f64(seconds.min(LONGEST_LIMIT.as_secs_f64())))
}

/// Seconds, or an HTTP date (RFC 9110 section 10.2.3).
fn parse_retry_after(text: &str, now: WallTime) -> Option<Duration> {
    parse_seconds(text).or_else(|| Some(parse_http_date(text.trim())?.since(now)))
}

/// Reads an HTTP date: `Sun, 06 Nov 1994 08:49:37 GMT`.
fn parse_http_date(text: &str) -> Option<WallTime> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut parts = text.split_once(", ")?.1.split(' ');
    let day: u64 = parts.next()?.parse().ok()?;
    let month = parts.next().and_then(|name| MONTHS.iter().position(|month| *month == name))? as u64 + 1;
    let year: u64 = parts.next()?.parse().ok()?;
    let mut clock = parts.next()?.split(':').map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let sound = (1970..=9999).contains(&year) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 61;
    if !sound || parts.next() != Some("GMT") {
        return None;
    }
    let days = days_since_1970(year, month, day);
    Some(WallTime::from_secs(((days * 24 + hour) * 60 + minute) * 60 + second))
}

/// Days from 1970-01-01 to a date of the Gregorian calendar (Fliegel and Van Flandern's formula, shifted).
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let century_days = year / 400 * 146_097 + year % 400 * 365 + year % 400 / 4 - year % 400 / 100;
    century_days + (month * 153 + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(status: u16, header: Option<&str>, retry_after: Option<&str>) -> [Option<u64>; 2] {
        let limits = Limits::read(status, header, retry_after, WallTime::from_secs(784_111_770));
        [Category::Event, Category::Log].map(|category| limits.of(category).map(|span| span.as_secs()))
    }

    #[test]
    fn classifies_each_status() {
        for (status, meaning) in [
            (200, ResponseKind::Accepted),
            (202, ResponseKind::Accepted),
            (301, ResponseKind::Misconfigured),
            (400, ResponseKind::Malformed),
            (401, ResponseKind::Misconfigured),
            (403, ResponseKind::Misconfigured),
            (404, ResponseKind::Misconfigured),
            (408, ResponseKind::Failed),
            (413, ResponseKind::TooLarge),
            (415, ResponseKind::Encoding),
            (418, ResponseKind::Misconfigured),
            (429, ResponseKind::Limited),
            (500, ResponseKind::Failed),
            (503, ResponseKind::Failed),
        ] {
            assert_eq!(ResponseKind::of_status(status), meaning, "{status}");
        }
    }

    #[test]
    fn parses_limits_in_every_form() {
        for (status, header, retry_after, expected) in [
            (200, None, None, [None, None]),
            (200, Some("60:log_item:organization"), None, [None, Some(60)]),
            (200, Some("60:log_byte:organization"), None, [None, Some(60)]),
            (429, Some("60:error;default:key"), None, [Some(60), None]),
            (429, Some("60::key, 86400:transaction;span:organization"), None, [Some(60), Some(60)]),
            (200, Some("86400:transaction;span:organization"), None, [None, None]),
            (429, Some("5:error:key,9:error:key,2.5:log_item:key"), Some("1"), [Some(9), Some(2)]),
            (429, None, Some("7"), [Some(7), Some(7)]),
            (429, None, Some("Sun, 06 Nov 1994 08:49:37 GMT"), [Some(7), Some(7)]),
            (429, None, Some("soon"), [Some(60), Some(60)]),
            (429, None, None, [Some(60), Some(60)]),
            (429, Some("x:error:key"), None, [Some(60), Some(60)]),
            (429, Some("99999999999:error:key"), None, [Some(86_400), None]),
            (503, None, Some("7"), [None, None]),
            // Values that no real server sends count as a minute, or as a day at most.
            (429, None, Some("-1"), [Some(60), Some(60)]),
            (429, None, Some("NaN"), [Some(60), Some(60)]),
            (429, None, Some("inf"), [Some(60), Some(60)]),
            (429, None, Some("1e400"), [Some(60), Some(60)]),
            (429, None, Some("1e30"), [Some(86_400), Some(86_400)]),
            (429, None, Some("Sun, 06 Nov 9999 08:49:37 GMT"), [Some(86_400), Some(86_400)]),
            (429, None, Some("Sun, 06 Nov 99999999999999999999 08:49:37 GMT"), [Some(60), Some(60)]),
            (429, None, Some("Sun, 06 Nov 1970 08:49:37 GMT"), [Some(0), Some(0)]),
            (429, Some("-1:log_item:key"), None, [Some(60), Some(60)]),
            (429, Some("NaN::key, inf:error:key, 1e400:log_item:key"), None, [Some(60), Some(60)]),
            (429, Some("1e30::key"), None, [Some(86_400), Some(86_400)]),
            (429, Some(":,;:;,,:::"), None, [Some(60), Some(60)]),
        ] {
            assert_eq!(limits(status, header, retry_after), expected, "{status} {header:?} {retry_after:?}");
        }
    }

    #[test]
    fn limits_refused_category_that_a_429_does_not_name() {
        for (status, header, retry_after, expected) in [
            (429, "9:span:key", Some("7"), [None, Some(7)]),
            (429, "9:span:key", None, [None, Some(60)]),
            (429, "9:error:key", Some("7"), [Some(9), Some(7)]),
            (429, "9:log_item:key", Some("7"), [None, Some(9)]),
            (200, "9:span:key", Some("7"), [None, None]),
            (429, "x", Some("0"), [Some(0), Some(1)]),
            (429, "0.01:log_item;error:key", None, [Some(0), Some(1)]),
            (200, "0.01:log_item;error:key", None, [Some(0), Some(0)]),
        ] {
            let limits = Limits::read(status, Some(header), retry_after, WallTime::EPOCH).with_refused(Category::Log);
            let seconds =
                [Category::Event, Category::Log].map(|category| limits.of(category).map(|span| span.as_secs()));
            assert_eq!(seconds, expected, "{status} {header} {retry_after:?}");
        }
    }
}
