//! Reads times as Sentry writes them: seconds as a number, or RFC 3339 text.

use serde_json::Value;
use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970 by this machine's clock.
pub(super) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// A timestamp in a payload: number of seconds, RFC 3339, or the same without a zone (read as UTC).
pub fn of_value(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => rfc3339(text).or_else(|| naive(text)),
        _ => None,
    }
}

/// `2026-01-02T03:04:05.678Z`, or with an offset such as `+01:00`; a zone is needed.
pub(super) fn rfc3339(text: &str) -> Option<f64> {
    if let Some(local) = text.strip_suffix(['Z', 'z']) {
        return naive(local);
    }
    let cut = text.len().checked_sub(6)?;
    let (local, zone) = (text.get(..cut)?, text.get(cut..)?);
    let sign = match zone.as_bytes().first()? {
        b'+' => 1.0,
        b'-' => -1.0,
        _ => return None,
    };
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let (hours, minutes) = (digits(hours, 0..=23)?, digits(minutes, 0..=59)?);
    Some(naive(local)? - sign * (hours * 3600 + minutes * 60) as f64)
}

/// The calendar part alone, `2026-01-02T03:04:05[.678]`.
fn naive(text: &str) -> Option<f64> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let mut date = date.splitn(3, '-');
    let (year, month) = (digits(date.next()?, 0..=9999)?, digits(date.next()?, 1..=12)?);
    let day = digits(date.next()?, 1..=days_in_month(year, month))?;
    let (time, fraction) = time.split_once('.').map_or((time, None), |(time, fraction)| (time, Some(fraction)));
    let mut time = time.splitn(3, ':');
    let (hour, minute) = (digits(time.next()?, 0..=23)?, digits(time.next()?, 0..=59)?);
    let second = digits(time.next()?, 0..=60)?;
    let fraction = match fraction {
        None => 0.0,
        Some(text) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("0.{text}").parse().ok()?
        }
        Some(_) => return None,
    };
    let whole = days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some(whole as f64 + fraction)
}

/// A run of two digits (four where years are allowed) within a range.
fn digits(text: &str, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
    let width = if *range.end() > 99 { 4 } else { 2 };
    if text.len() != width || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|number| range.contains(number))
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar; years begin in March so that leap days come last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// `2026-01-02 03:04:05.678` (UTC) for people; empty where there is no such time.
pub fn display(seconds: f64) -> String {
    if !(0.0..253_402_300_800.0).contains(&seconds) {
        return String::new();
    }
    let millis = (seconds * 1000.0).round() as i64;
    let (days, rest) = (millis.div_euclid(86_400_000), millis.rem_euclid(86_400_000));
    let (year, month, day) = date_of(days);
    let (hour, minute, second) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1000 % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{:03}", rest % 1000)
}

/// The inverse of [`days_since_1970`].
fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let (day, month) = (day_of_year - (153 * shifted + 2) / 5 + 1, (shifted + 2) % 12 + 1);
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0.0)),
            ("2000-02-29T12:30:45.25Z", Some(951_827_445.25)),
            ("2026-11-23T23:20:34+02:30", Some(1_795_467_034.0)),
            ("1969-12-31T23:59:59-01:00", Some(3599.0)),
            ("2026-11-23t23:20:34z", Some(1_795_476_034.0)),
            ("2026-11-23T23:20:34", None),
            ("2026-02-29T00:00:00Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-11-23T24:00:00Z", None),
            ("2026-11-23T23:20:34.Z", None),
            ("2026-1-2T03:04:05Z", None),
            ("23 Nov 2026", None),
            ("\u{1F600}\u{1F600}", None),
            ("", None),
        ] {
            assert_eq!(rfc3339(text), expected, "{text}");
        }
    }

    #[test]
    fn values() {
        assert_eq!(of_value(&json!(1.5)), Some(1.5));
        assert_eq!(of_value(&json!("1970-01-01T00:01:00")), Some(60.0));
        assert_eq!(of_value(&json!("1.5")), None);
        assert_eq!(of_value(&json!(null)), None);
    }

    #[test]
    fn every_day_reads_back() {
        for day in (0..3_000_000).step_by(13) {
            let (year, month, date) = date_of(day);
            assert_eq!(days_since_1970(year, month, date), day, "{year}-{month}-{date}");
        }
        assert_eq!(display(951_827_445.25), "2000-02-29 12:30:45.250");
        assert_eq!(display(f64::NAN), "");
        assert_eq!(display(-1.0), "");
    }
}
