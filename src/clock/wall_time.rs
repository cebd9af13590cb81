//! A point in time as people and servers name it.

use std::ops::Add;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A point of wall time, counted from 1970-01-01T00:00:00Z, without leap seconds. The wall clock may be set back or ahead,
/// so it serves for timestamps; waits and deadlines need a [`Monotonic`](super::Monotonic).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(Duration);

impl WallTime {
    /// 1970-01-01T00:00:00Z, the earliest point.
    pub const EPOCH: Self = Self(Duration::ZERO);

    /// Returns the point this many seconds after the epoch.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// Returns the point this many milliseconds after the epoch.
    #[must_use]
    pub const fn from_millis(milliseconds: u64) -> Self {
        Self(Duration::from_millis(milliseconds))
    }

    /// Returns the point this many microseconds after the epoch.
    #[must_use]
    pub const fn from_micros(microseconds: u64) -> Self {
        Self(Duration::from_micros(microseconds))
    }

    /// Returns the whole seconds since the epoch.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0.as_secs()
    }

    /// Returns the seconds since the epoch with their fraction.
    #[must_use]
    pub fn as_secs_f64(self) -> f64 {
        self.0.as_secs_f64()
    }

    /// Returns the whole microseconds since the epoch; `u64::MAX` at most.
    #[must_use]
    pub fn as_micros(self) -> u64 {
        u64::try_from(self.0.as_micros()).unwrap_or(u64::MAX)
    }

    /// Returns the nanoseconds since the epoch; `u64::MAX` at most, which is in the year 2554.
    #[must_use]
    pub fn as_nanos(self) -> u64 {
        u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX)
    }

    /// Returns the nanoseconds within the second, below 1,000,000,000.
    #[must_use]
    pub const fn subsec_nanos(self) -> u32 {
        self.0.subsec_nanos()
    }

    /// Returns the time from `earlier` to this point; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// Returns the point that much earlier, [`WallTime::EPOCH`] at least.
    #[must_use]
    pub fn saturating_sub(self, length: Duration) -> Self {
        Self(self.0.saturating_sub(length))
    }

    /// Returns the time as RFC 3339 text with milliseconds, in UTC.
    #[must_use]
    pub fn rfc3339(self) -> String {
        let secs = self.as_secs() % 86_400;
        let (year, month, day) = civil(self.as_secs() / 86_400);
        let (hour, minute, second) = (secs / 3_600, secs / 60 % 60, secs % 60);
        let milliseconds = self.0.subsec_millis();
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z")
    }

    /// Returns the date as RFC 3339 text, in UTC.
    #[must_use]
    pub fn date(self) -> String {
        let (year, month, day) = civil(self.as_secs() / 86_400);
        format!("{year:04}-{month:02}-{day:02}")
    }
}

impl Add<Duration> for WallTime {
    type Output = Self;

    /// Returns the point that much later. The last point is some 584 billion years away.
    fn add(self, length: Duration) -> Self {
        Self(self.0.saturating_add(length))
    }
}

impl From<SystemTime> for WallTime {
    /// A time before 1970 is read as 1970: edge nodes without a battery boot there.
    fn from(time: SystemTime) -> Self {
        Self(time.duration_since(UNIX_EPOCH).unwrap_or_default())
    }
}

/// Returns year, month and day of the Gregorian calendar for the days since 1970-01-01. The years of this calculation begin
/// in March, so that a leap day is the last of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year_of_era + carry, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_rfc_3339() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_161_600_007, "2026-11-20T08:00:00.007Z"),
            (4_102_444_799_999, "2099-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(WallTime::from_millis(millis).rfc3339(), text);
            assert_eq!(WallTime::from_millis(millis).date(), text[..10]);
        }
    }

    #[test]
    fn stays_within_its_bounds() {
        let hour = Duration::from_secs(3_600);
        let (early, late) = (WallTime::from_secs(5), WallTime::from_secs(3_605));
        assert_eq!((late.since(early), early.since(late)), (hour, Duration::ZERO));
        assert_eq!((early + hour, early.saturating_sub(hour)), (late, WallTime::EPOCH));
        let last = WallTime::EPOCH + Duration::MAX;
        assert_eq!(last + hour, last);
        assert_eq!((last.as_micros(), last.as_nanos()), (u64::MAX, u64::MAX));
    }

    #[test]
    fn reads_a_clock_before_1970_as_1970() {
        assert_eq!(WallTime::from(UNIX_EPOCH - Duration::from_secs(1)), WallTime::EPOCH);
        assert_eq!(WallTime::from(UNIX_EPOCH + Duration::from_micros(1_500_000)).as_micros(), 1_500_000);
    }
}
