//! Reads times as Kubernetes writes them: RFC 3339, with or without a fraction.

use crate::chunk::Timestamp;

/// Reads a time such as `2026-11-30T06:00:00.123456Z` or one with an offset from UTC. `None` for anything else and for times
/// before 1970.
pub(super) fn rfc3339(text: &[u8]) -> Option<Timestamp> {
    let number = |from: usize, to: usize| {
        let digits = text.get(from..to).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
        Some(digits.iter().fold(0_i64, |sum, digit| sum * 10 + i64::from(digit - b'0')))
    };
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let separated = text[4] == b'-' && text[7] == b'-' && matches!(text[10], b'T' | b't') && text[13] == b':';
    let in_range = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    if !separated || text[16] != b':' || !in_range {
        return None;
    }
    let mut at = 19;
    let mut nanos = 0;
    if text.get(at) == Some(&b'.') {
        let digits = text[at + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let kept = digits.min(9);
        nanos = number(at + 1, at + 1 + kept)? * 10_i64.pow(9 - kept as u32);
        at += 1 + digits;
    }
    let offset = match text.get(at)? {
        b'Z' | b'z' if text.len() == at + 1 => 0,
        sign @ (b'+' | b'-') if text.len() == at + 6 && text[at + 3] == b':' => {
            let minutes = number(at + 1, at + 3)? * 60 + number(at + 4, at + 6)?;
            if *sign == b'-' { -minutes } else { minutes }
        }
        _ => return None,
    };
    let secs = days_since_1970(year, month, day) * 86_400 + hour * 3_600 + (minute - offset) * 60 + second;
    Some(Timestamp { secs: u64::try_from(secs).ok()?, nanos: nanos as u32 })
}

/// Days from 1970-01-01 to a day of the Gregorian calendar, counted in years that begin in March.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_times_that_kubernetes_writes() {
        for (text, secs, nanos) in [
            ("1970-01-01T00:00:00Z", 0, 0),
            ("2026-11-30T06:00:00Z", 1_796_018_400, 0),
            ("2026-11-30T06:00:00.123456Z", 1_796_018_400, 123_456_000),
            ("2026-11-30T07:00:00+01:00", 1_796_018_400, 0),
            ("2024-02-29T23:59:59.1234567890Z", 1_709_251_199, 123_456_789),
            ("2026-11-30T01:30:00-04:30", 1_796_018_400, 0),
        ] {
            assert_eq!(rfc3339(text.as_bytes()), Some(Timestamp { secs, nanos }), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_time() {
        for text in [
            "",
            "Z",
            "2026-11-30",
            "2026-11-30T06:00:00",
            "2026-13-30T06:00:00Z",
            "2026-11-30T25:00:00Z",
            "1969-12-31T23:59:59Z",
            "2026/11/30T06:00:00Z",
            "2026-11-30T06:00:00.Zx",
            "2026-11-30T06:00:00+1:00",
        ] {
            assert_eq!(rfc3339(text.as_bytes()), None, "{text}");
        }
    }
}
