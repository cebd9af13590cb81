//! Headers of responses: the status, the wall time, `X-Sentry-Rate-Limits` and `Retry-After`, a line each.

use out_sentry::clock::WallTime;
use out_sentry::delivery::transport::response::{Limits, ResponseKind};
use out_sentry::ledger::Category;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

/// Runs the target on one input, and panics if something is wrong.
pub fn run(data: &[u8]) {
    let Some((head, text)) = data.split_first_chunk::<10>() else { return };
    let status = u16::from_be_bytes([head[0], head[1]]) % 600;
    let now = WallTime::from_millis(u64::from_be_bytes([0, 0, head[4], head[5], head[6], head[7], head[8], head[9]]));
    let text = String::from_utf8_lossy(text);
    let mut lines = text.split('\n').map(|line| Some(line).filter(|line| *line != "-"));
    let (rate_limits, retry_after) = (lines.next().flatten(), lines.next().flatten());
    let _ = ResponseKind::of_status(status);
    let limits = Limits::read(status, rate_limits, retry_after, now);
    within_a_day(&limits);
    as_the_twin_has_it(status, rate_limits, retry_after, &limits);
    more_never_ends_sooner(status, rate_limits, retry_after, now);
    dates_come_back(status, now);
}

fn within_a_day(limits: &Limits) {
    for category in Category::ALL {
        assert!(limits.of(*category).is_none_or(|span| span <= DAY));
        let refused = limits.with_refused(*category).of(*category);
        assert!(refused.is_none_or(|span| span <= DAY) || limits.of(*category).is_none(), "{refused:?}");
    }
    assert!(limits.of_everything().is_none_or(|span| span <= DAY));
}

/// The longest that any part says of a category, a part without categories of all.
fn as_the_twin_has_it(status: u16, rate_limits: Option<&str>, retry_after: Option<&str>, limits: &Limits) {
    let mut parts = Vec::new();
    for part in rate_limits.unwrap_or_default().split(',') {
        let fields: Vec<&str> = part.split(':').map(str::trim).collect();
        if let Some(span) = seconds(fields[0]) {
            parts
                .push((span, fields.get(1).copied().unwrap_or_default().split(';').map(str::trim).collect::<Vec<_>>()));
        }
    }
    let longest = |names: [&str; 2]| {
        let named = |of: &[&str]| of == [""] || of.iter().any(|name| names.contains(name));
        parts.iter().filter(|(_, of)| named(of)).map(|(span, _)| *span).max()
    };
    let (event, log) = (limits.of(Category::Event), limits.of(Category::Log));
    if !parts.is_empty() {
        assert_eq!((event, log), (longest(["error", "default"]), longest(["log_item", "log_byte"])));
    } else if status != 429 {
        assert_eq!(*limits, Limits::default());
    } else if let Some(span) = retry_after.and_then(|text| seconds(text.trim())) {
        assert_eq!((event, log, limits.of_everything()), (Some(span), Some(span), Some(span)));
    } else {
        assert!(event.is_some() && event == log && event == limits.of_everything());
    }
}

fn seconds(text: &str) -> Option<Duration> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| *seconds >= 0.0 && *seconds < f64::INFINITY)?;
    Some(if seconds > 86_400.0 { DAY } else { Duration::from_secs_f64(seconds) })
}

fn more_never_ends_sooner(status: u16, rate_limits: Option<&str>, retry_after: Option<&str>, now: WallTime) {
    let Some(header) = rate_limits else { return };
    let read = |header: &str| Limits::read(status, Some(header), retry_after, now);
    let (one, two) = (read(header), read(&format!("7:error;log_item:key,{header},0::key")));
    let either = read(&format!("0::key,{header},7:log_item;error:key"));
    assert_eq!(two, either, "the order makes no difference");
    if seconds(header.split([',', ':']).next().unwrap_or_default().trim()).is_some() {
        Category::ALL.iter().for_each(|category| assert!(two.of(*category) >= one.of(*category)));
    }
}

/// A moment written as a date of either kind is that moment again.
fn dates_come_back(status: u16, now: WallTime) {
    let at = WallTime::from_secs(now.as_secs() % 250_000_000_000);
    let (mut days, mut year) = (at.as_secs() / 86_400, 1970);
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    let (day, second) = (days + 1, at.as_secs() % 86_400);
    let clock = format!("{:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60);
    assert_eq!(at.rfc3339(), format!("{year:04}-{:02}-{day:02}T{clock}.000Z", month + 1));
    let name = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][month];
    let date = format!("Thu, {day:02} {name} {year:04} {clock} GMT");
    let before = Duration::from_secs(u64::from(status)).min(at.since(WallTime::EPOCH));
    let limits = Limits::read(429, None, Some(&date), at.saturating_sub(before));
    assert_eq!(limits.of(Category::Event), Some(before), "{date}");
}
