//! Reads the time that a logger gives in its message, which replaces the time at which the line was read.

use crate::chunk::Timestamp;
use crate::chunk::msgpack::{Seq, Value};
use crate::clock::WallTime;

/// An epoch further away from the record's time than this is in another unit, or no time.
const NEAR_SECS: u64 = 86_400;

impl From<WallTime> for Timestamp {
    fn from(time: WallTime) -> Self {
        Self { secs: time.as_secs(), nanos: time.subsec_nanos() }
    }
}

/// The time in a field: a text that names its zone (RFC 3339, also with a blank for the `T`, a comma for the point, or `UTC`
/// for the offset), or seconds, milliseconds, microseconds or nanoseconds since 1970 that are within a day of the record's time.
pub(crate) fn read(value: Value<'_>, record: Timestamp) -> Option<Timestamp> {
    match value {
        Value::Str(text) => with_zone(text.trim_ascii()).or_else(|| near(decimal(text.trim_ascii())?, record)),
        Value::UInt(n) => near((n, 0), record),
        Value::Float(seconds) => near(split(seconds)?, record),
        Value::Map(map) => parts(map).and_then(|time| near((time.secs, time.nanos), record)),
        _ => None,
    }
}

/// Seconds and nanoseconds in fields of their own: Log4j's instant, Google Cloud's timestamp.
fn parts(map: Seq<'_>) -> Option<Timestamp> {
    let number = |names: [&str; 2]| {
        names.iter().find_map(|name| match map.get(name)? {
            Value::UInt(n) => Some(n),
            _ => None,
        })
    };
    let nanos = number(["nanoOfSecond", "nanos"]).unwrap_or_default();
    Some(Timestamp {
        secs: number(["epochSecond", "seconds"])?,
        nanos: u32::try_from(nanos).ok().filter(|n| *n < 1_000_000_000)?,
    })
}

/// A number in the unit in which it is within a day of the record's time: whole units, and billionths of one.
fn near((whole, billionths): (u64, u32), record: Timestamp) -> Option<Timestamp> {
    [1, 1_000, 1_000_000, 1_000_000_000].into_iter().find_map(|unit: u64| {
        let secs = whole / unit;
        let rest = u128::from(whole % unit) * 1_000_000_000 + u128::from(billionths);
        let nanos = u32::try_from(rest / u128::from(unit)).ok()?;
        (secs.abs_diff(record.secs) <= NEAR_SECS).then_some(Timestamp { secs, nanos })
    })
}

fn split(number: f64) -> Option<(u64, u32)> {
    // A float has no more than 53 bits: below a microsecond there is nothing in seconds of today.
    let whole = (0.0..1e19).contains(&number).then_some(number.trunc())?;
    Some((whole as u64, (((number - whole) * 1e6).round() as u32).min(999_999) * 1_000))
}

fn decimal(text: &[u8]) -> Option<(u64, u32)> {
    let (whole, rest) = text.split_at(digits(text));
    let rest = match rest {
        [] => 0,
        [b'.', rest @ ..] if digits(rest) == rest.len() => fraction(rest),
        _ => return None,
    };
    // Shorter numbers are years, counters and the like.
    (whole.len() >= 9).then_some((parse(whole)?, rest))
}

/// `2026-11-20T08:00:00.123+02:00`
fn with_zone(text: &[u8]) -> Option<Timestamp> {
    let (date, rest) = text.split_at_checked(10)?;
    let [year, month, day] = [&date[..4], &date[5..7], &date[8..]].map(parse);
    if date[4] != b'-' || date[7] != b'-' {
        return None;
    }
    let [b'T' | b't' | b' ', rest @ ..] = rest else { return None };
    let (clock, rest) = rest.split_at_checked(8)?;
    let [hour, minute, second] = [&clock[..2], &clock[3..5], &clock[6..]].map(parse);
    if clock[2] != b':' || clock[5] != b':' {
        return None;
    }
    let (nanos, zone) = match rest {
        [b'.' | b',', rest @ ..] => (fraction(&rest[..digits(rest)]), &rest[digits(rest)..]),
        rest => (0, rest),
    };
    let days = days(year?, month?, day?)?;
    let (hour, minute, second) = (hour?, minute?, second?);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let local = i64::try_from(days * 86_400 + hour * 3_600 + minute * 60 + second).ok()?;
    Some(Timestamp { secs: u64::try_from(local - offset(zone.trim_ascii_start())?).ok()?, nanos })
}

/// Seconds east of Greenwich: `Z`, `UTC`, `+02:00`, `+0200`, `+02`.
fn offset(zone: &[u8]) -> Option<i64> {
    let (sign, rest) = match zone {
        b"Z" | b"z" | b"UTC" | b"GMT" => return Some(0),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = match rest {
        [hours @ .., b':', a, b] if hours.len() == 2 => (parse(hours)?, parse(&[*a, *b])?),
        [a, b, c, d] => (parse(&[*a, *b])?, parse(&[*c, *d])?),
        [a, b] => (parse(&[*a, *b])?, 0),
        _ => return None,
    };
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 3_600 + minutes * 60) as i64)
}

/// Days since 1970 in the Gregorian calendar.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    const BEFORE: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let before = BEFORE.get(usize::try_from(month).ok()?.checked_sub(1)?)?;
    if !(1970..=9999).contains(&year) || !(1..=31).contains(&day) {
        return None;
    }
    let leaps = |year: u64| year / 4 - year / 100 + year / 400;
    let years = (year - 1970) * 365 + leaps(year - 1) - leaps(1969);
    Some(years + before + u64::from(month > 2 && leap(year)) + day - 1)
}

fn digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// Digits behind a decimal point, in billionths.
fn fraction(digits: &[u8]) -> u32 {
    digits.iter().chain(b"000000000").take(9).fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'))
}

fn parse(digits: &[u8]) -> Option<u64> {
    let add = |number: u64, digit: &u8| {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 { None } else { number.checked_mul(10)?.checked_add(u64::from(digit)) }
    };
    if digits.is_empty() { None } else { digits.iter().try_fold(0, add) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: Timestamp = Timestamp { secs: 1_795_507_200, nanos: 0 };

    fn text(text: &str) -> Option<(u64, u32)> {
        read(Value::Str(text.as_bytes()), RECORD).map(|time| (time.secs, time.nanos))
    }

    #[test]
    fn reads_times_that_name_their_zone() {
        for (given, secs, nanos) in [
            ("2026-11-24T08:00:00Z", 1_795_507_200, 0),
            ("2026-11-24T08:00:00.123456789Z", 1_795_507_200, 123_456_789),
            ("2026-11-24T10:00:00.5+02:00", 1_795_507_200, 500_000_000),
            ("2026-11-24T10:00:00,5+0200", 1_795_507_200, 500_000_000),
            ("2026-11-24 03:00:00-05", 1_795_507_200, 0),
            ("2026-11-24 08:00:00.250 UTC", 1_795_507_200, 250_000_000),
            ("2000-02-29T23:59:59Z", 951_868_799, 0),
            ("1970-01-01T00:00:00Z", 0, 0),
        ] {
            assert_eq!(text(given), Some((secs, nanos)), "{given}");
        }
    }

    #[test]
    fn refuses_times_without_a_zone_and_what_is_no_time() {
        for given in [
            "2026-11-24T08:00:00",
            "2026-11-24 08:00:00,123",
            "2026-13-24T08:00:00Z",
            "2026-11-24T25:00:00Z",
            "2026-11-24T08:00:00+2",
            "2026-11-24T08:00:00 CET",
            "24/Nov/2026:08:00:00 +0000",
            "1969-12-31T23:00:00Z",
            "",
            "2026",
            "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}-11-24T08:00:00Z",
        ] {
            assert_eq!(text(given), None, "{given}");
        }
    }

    #[test]
    fn reads_epochs_in_the_unit_that_is_near_the_record() {
        for (value, secs, nanos) in [
            (Value::UInt(1_795_507_201), 1_795_507_201, 0),
            (Value::UInt(1_795_507_201_250), 1_795_507_201, 250_000_000),
            (Value::UInt(1_795_507_201_000_002), 1_795_507_201, 2_000),
            (Value::UInt(1_795_507_201_000_000_003), 1_795_507_201, 3),
            (Value::Float(1_795_507_201.25), 1_795_507_201, 250_000_000),
            (Value::Float(1_795_507_201_250.5), 1_795_507_201, 250_500_000),
            (Value::Str(b"1795507201.5"), 1_795_507_201, 500_000_000),
        ] {
            assert_eq!(read(value, RECORD), Some(Timestamp { secs, nanos }), "{value:?}");
        }
        for value in [
            Value::UInt(RECORD.secs + NEAR_SECS + 1),
            Value::UInt(17),
            Value::Int(-1),
            Value::Float(f64::NAN),
            Value::Float(-1.0),
            Value::Str(b"2026"),
            Value::Bool(true),
            Value::Nil,
        ] {
            assert_eq!(read(value, RECORD), None, "{value:?}");
        }
    }
}
