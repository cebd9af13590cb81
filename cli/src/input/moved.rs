//! Counts records whose time Sentry would not keep. The plugin sends them with the time of the mapping.

use super::chunk_file::value_length;
use super::time::Time;
use rmp::decode::{read_f64, read_int};

/// Age in seconds beyond which the plugin replaces the time of a record.
pub(crate) const MAX_AGE: u64 = 29 * 86_400;
/// Seconds beyond which the plugin replaces a time that lies ahead.
pub(crate) const MAX_AHEAD: u64 = 60;

/// Returns the number of these whole records whose time the plugin would replace `now`. Bytes behind a broken record do not
/// count.
pub(crate) fn moved(mut records: &[u8], now: Time) -> u64 {
    let now = u64::from(now.seconds);
    let is_kept = |seconds: u64| seconds.saturating_add(MAX_AGE) >= now && seconds <= now.saturating_add(MAX_AHEAD);
    let mut count = 0;
    while let Ok(Some(length)) = value_length(records) {
        let (record, rest) = records.split_at(length.max(1));
        count += u64::from(seconds(record).is_some_and(|seconds| !is_kept(seconds)));
        records = rest;
    }
    count
}

/// Returns the time of a record in seconds since 1970; none for the head and the end of a group, and for what is no record.
fn seconds(record: &[u8]) -> Option<u64> {
    const FIRST_MARKER: u32 = 0xFFFF_FFFE;
    let inner = pair(record)?;
    // The newer format has metadata beside the time.
    let mut time = pair(inner).unwrap_or(inner);
    match time.first()? {
        0xd7 | 0xc7 => {
            let time = time.strip_prefix(b"\xd7\x00").or_else(|| time.strip_prefix(b"\xc7\x08\x00"))?;
            let seconds = u32::from_be_bytes(*time.first_chunk()?);
            (seconds < FIRST_MARKER).then_some(seconds.into())
        }
        0xcb => read_f64(&mut time).ok().filter(|seconds| *seconds >= 0.0).map(|seconds| seconds as u64),
        _ => read_int(&mut time).ok(),
    }
}

/// Returns the content of an array of two.
fn pair(bytes: &[u8]) -> Option<&[u8]> {
    let heads: [&[u8]; 3] = [b"\x92", b"\xdc\0\x02", b"\xdd\0\0\0\x02"];
    heads.into_iter().find_map(|head| bytes.strip_prefix(head))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: u32 = 0x6AFF_FE00;

    fn of(records: &[u8], seconds: u32) -> u64 {
        moved(records, Time { seconds, nanos: 0 })
    }

    #[test]
    fn records_that_are_too_old_or_ahead_are_counted_in_each_format() {
        let newer = b"\x92\x92\xd7\x00\x6a\xff\xfe\x00\x00\x15\x02\xca\x80\x81\xa3log\xa2hi";
        let older = b"\x92\xd7\x00\x6a\xff\xfe\x00\x00\x15\x02\xca\x80";
        let long = b"\x92\xc7\x08\x00\x6a\xff\xfe\x00\x00\x15\x02\xca\x80";
        let whole = b"\x92\xce\x6a\xff\xfe\x00\x80";
        let float = b"\x92\xcb\x41\xda\xbf\xff\x80\x00\x00\x00\x80";
        let all: [&[u8]; 5] = [newer, older, long, whole, float];
        let day = 86_400;
        for record in all {
            assert_eq!([AT, AT + 29 * day, AT - 60].map(|now| of(record, now)), [0; 3], "{record:x?}");
            assert_eq!([AT + 29 * day + 1, AT - 61].map(|now| of(record, now)), [1; 2], "{record:x?}");
        }
        assert_eq!(of(&all.concat(), 0), 5);
    }

    #[test]
    fn groups_and_garbage_have_no_time() {
        let head = b"\x92\x92\xd7\x00\xff\xff\xff\xff\0\0\0\0\x80\x80";
        let end = b"\x92\x92\xd7\x00\xff\xff\xff\xfe\0\0\0\0\x80\x80";
        for bytes in [&head[..], end, b"", b"\xc1", b"\x92\x92", b"\x01\x02", b"\x92\xa1x\x80", b"\x92\xff\x80"] {
            assert_eq!(of(bytes, AT), 0, "{bytes:x?}");
        }
    }
}
