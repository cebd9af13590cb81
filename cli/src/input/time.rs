//! Reads times of records from text, and keeps them in Fluent Bit's format.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds and nanoseconds since 1970, as MessagePack's event time has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Time {
    pub(crate) seconds: u32,
    pub(crate) nanos: u32,
}

/// The last second that Fluent Bit does not take for a group marker.
const LAST_SECOND: i64 = 0xFFFF_FFFD;

impl Time {
    pub(crate) fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { seconds: since.as_secs().min(LAST_SECOND as u64) as u32, nanos: since.subsec_nanos() }
    }

    fn new(seconds: i64, nanos: u32) -> Option<Self> {
        (0..=LAST_SECOND).contains(&seconds).then_some(Self { seconds: seconds as u32, nanos })
    }

    /// Reads RFC 3339, also with a space for the `T`, a comma for the point, and no offset, which means UTC.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (date, rest) = text.split_at_checked(10)?;
        let (clock, rest) = rest.split_at_checked(9)?;
        let days = day_of(date.as_bytes())?;
        let second = second_of(clock.as_bytes())?;
        let (nanos, offset) = fraction(rest)?;
        Self::new(days * 86_400 + second - offset_of(offset)?, nanos)
    }

    /// Reads a number since 1970, in seconds, milliseconds, microseconds or nanoseconds: its size tells which.
    pub(crate) fn from_number(text: &str) -> Option<Self> {
        if let Ok(whole) = text.parse::<u64>() {
            let scale = [(100_000_000_000, 1_000_000_000), (100_000_000_000_000, 1_000_000), (u64::MAX / 100, 1000)];
            let nanos_each = scale.iter().find(|(below, _)| whole < *below).map_or(1, |(_, each)| *each);
            let nanos = u128::from(whole) * u128::from(nanos_each as u64);
            return Self::new(i64::try_from(nanos / 1_000_000_000).ok()?, (nanos % 1_000_000_000) as u32);
        }
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0)?;
        let seconds = if number < 1e11 { number } else { number / 1e3 };
        Self::new(seconds as i64, (seconds.fract() * 1e9) as u32)
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    plain.then(|| digits.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0')))
}

/// Days from 1970-01-01 to `YYYY-MM-DD`.
fn day_of(date: &[u8]) -> Option<i64> {
    if date[4] != b'-' || date[7] != b'-' {
        return None;
    }
    let (year, month, day) = (number(&date[..4])?, number(&date[5..7])?, number(&date[8..])?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Counted in years that begin in March, so that leap days come last.
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    Some(
        year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + (153 * month + 2) / 5 + day
            - 719_469,
    )
}

/// Seconds of `THH:MM:SS`; a leap second is the next one's start.
fn second_of(clock: &[u8]) -> Option<i64> {
    if !matches!(clock[0], b'T' | b't' | b' ') || clock[3] != b':' || clock[6] != b':' {
        return None;
    }
    let (hour, minute, second) = (number(&clock[1..3])?, number(&clock[4..6])?, number(&clock[7..])?);
    (hour < 24 && minute < 60 && second <= 60).then_some(hour * 3600 + minute * 60 + second)
}

/// Returns the nanoseconds of `.123`, and the text after them.
fn fraction(rest: &str) -> Option<(u32, &str)> {
    let Some(rest) = rest.strip_prefix(['.', ',']) else { return Some((0, rest)) };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (kept, scale) = (digits.min(9), 10_u32.pow(9 - digits.min(9) as u32));
    Some((number(&rest.as_bytes()[..kept])? as u32 * scale, &rest[digits..]))
}

/// Seconds east of UTC of `Z`, `+01:00`, `+0100`, `+01` or nothing.
fn offset_of(text: &str) -> Option<i64> {
    if text.is_empty() || text.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (sign, digits) = match text.as_bytes().split_first()? {
        (b'+', digits) => (1, digits),
        (b'-', digits) => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = match digits {
        [h1, h2] => ([*h1, *h2], [b'0'; 2]),
        [h1, h2, m1, m2] | [h1, h2, b':', m1, m2] => ([*h1, *h2], [*m1, *m2]),
        _ => return None,
    };
    Some(sign * (number(&hours)? * 3600 + number(&minutes)? * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<(u32, u32)> {
        Time::parse(text).map(|time| (time.seconds, time.nanos))
    }

    #[test]
    fn times_in_text() {
        let table = [
            ("1970-01-01T00:00:00Z", Some((0, 0))),
            ("2026-11-20T08:00:00.001376970Z", Some((0x6AFF_FE00, 1_376_970))),
            ("2026-11-20T09:00:00.5+01:00", Some((0x6AFF_FE00, 500_000_000))),
            ("2026-11-20 02:30:00,25-0530", Some((0x6AFF_FE00, 250_000_000))),
            ("2026-11-20t08:00:00.1234567899z", Some((0x6AFF_FE00, 123_456_789))),
            ("2026-11-20T08:00:00", Some((0x6AFF_FE00, 0))),
            ("2024-02-29T23:59:60Z", Some((1_709_251_200, 0))),
            ("2000-03-01T00:00:00+00", Some((951_868_800, 0))),
            ("1969-12-31T23:59:59Z", None),
            ("2200-01-01T00:00:00Z", None),
            ("2026-13-20T08:00:00Z", None),
            ("2026-11-20T25:00:00Z", None),
            ("2026-11-20T08:00:00.Z", None),
            ("2026-11-20T08:00:00 CET", None),
            ("2026-11-20T08:00:00+1", None),
            ("2026-11-20", None),
            ("2026-11-2ö08:00:00Z", None),
            ("+026-11-20T08:00:00Z", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(parsed(text), expected, "{text}");
        }
    }

    #[test]
    fn times_as_numbers() {
        let table = [
            ("1795161600", Some((1_795_161_600, 0))),
            ("1795161600.25", Some((1_795_161_600, 250_000_000))),
            ("1795161600123", Some((1_795_161_600, 123_000_000))),
            ("1795161600123456", Some((1_795_161_600, 123_456_000))),
            ("1795161600123456789", Some((1_795_161_600, 123_456_789))),
            ("0", Some((0, 0))),
            ("-1", None),
            ("1e400", None),
            ("99999999999", None),
            ("x", None),
        ];
        for (text, expected) in table {
            assert_eq!(Time::from_number(text).map(|time| (time.seconds, time.nanos)), expected, "{text}");
        }
    }
}
