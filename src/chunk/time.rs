//! Reads the times of a chunk: EventTime, integers and floats become one [`Timestamp`].

use super::msgpack::Value;

/// A point in time as the record states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Timestamp {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub secs: u64,
    /// Nanoseconds within the second, below 1,000,000,000.
    pub nanos: u32,
}

/// The value that stands where a record's time is expected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Stamp {
    At(Timestamp),
    GroupStart,
    GroupEnd,
}

/// Seconds value of a group's first marker; Fluent Bit 3.1 and later (flb_log_event.h).
const GROUP_START: u32 = u32::MAX;
const GROUP_END: u32 = u32::MAX - 1;

impl Timestamp {
    /// Microseconds since the epoch: the precision that Sentry keeps.
    #[must_use]
    pub fn micros(self) -> u64 {
        self.secs.saturating_mul(1_000_000).saturating_add(u64::from(self.nanos / 1_000))
    }

    /// From microseconds since the epoch.
    #[must_use]
    pub fn from_micros(micros: u64) -> Self {
        Self { secs: micros / 1_000_000, nanos: (micros % 1_000_000) as u32 * 1_000 }
    }
}

/// Reads a time. `None` for anything Fluent Bit never writes there.
pub(super) fn stamp(value: Value<'_>) -> Option<Stamp> {
    match value {
        Value::Ext(0, bytes) => event_time(bytes),
        Value::UInt(secs) => Some(Stamp::At(Timestamp { secs, nanos: 0 })),
        Value::Float(secs) if secs.is_finite() && secs >= 0.0 => {
            let micros = (secs * 1e6).round();
            Some(Stamp::At(Timestamp::from_micros(micros as u64)))
        }
        _ => None,
    }
}

/// EventTime: big-endian seconds and nanoseconds, 32 bits each (Fluentd forward protocol v1).
pub(super) fn event_time(bytes: &[u8]) -> Option<Stamp> {
    let (secs, nanos) = bytes.split_first_chunk::<4>()?;
    let secs = u32::from_be_bytes(*secs);
    let nanos = u32::from_be_bytes(nanos.try_into().ok()?);
    Some(match (secs, nanos) {
        (GROUP_START, 0) => Stamp::GroupStart,
        (GROUP_END, 0) => Stamp::GroupEnd,
        _ => Stamp::At(Timestamp { secs: u64::from(secs), nanos: nanos.min(999_999_999) }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_of_time_is_read() {
        let at = |secs, nanos| Some(Stamp::At(Timestamp { secs, nanos }));
        assert_eq!(stamp(Value::Ext(0, &[0, 0, 0, 9, 0, 0, 0, 5])), at(9, 5));
        assert_eq!(stamp(Value::UInt(9)), at(9, 0));
        assert_eq!(stamp(Value::Float(1.5)), at(1, 500_000_000));
        assert_eq!(stamp(Value::Ext(0, &[255, 255, 255, 255, 0, 0, 0, 0])), Some(Stamp::GroupStart));
        assert_eq!(stamp(Value::Ext(0, &[255, 255, 255, 254, 0, 0, 0, 0])), Some(Stamp::GroupEnd));
    }

    #[test]
    fn rejects_invalid_times() {
        for value in [
            Value::Nil,
            Value::Int(-1),
            Value::Float(f64::NAN),
            Value::Float(-1.0),
            Value::Ext(1, &[0; 8]),
            Value::Ext(0, &[0; 7]),
        ] {
            assert_eq!(stamp(value), None, "{value:?}");
        }
    }

    #[test]
    fn microseconds_survive_the_round_trip() {
        let time = Timestamp { secs: 1_795_161_600, nanos: 123_456_000 };
        assert_eq!(Timestamp::from_micros(time.micros()), time);
        assert_eq!(Timestamp { secs: u64::MAX, nanos: 1 }.micros(), u64::MAX);
    }
}
