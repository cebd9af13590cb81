//! Reads the group marker before a dead letter or a spooled chunk, which describes the bytes after it.

use crate::input::chunk_file::value_length;
use rmp::decode::{read_int, read_map_len, read_str_len};

/// A marker of the plugin's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marker<'a> {
    /// Bytes of the marker itself.
    pub(super) size: usize,
    /// Bytes behind it that belong to it.
    pub(super) length: usize,
    /// Records among them.
    pub(super) records: u64,
    /// Their tag.
    pub(super) tag: &'a [u8],
    /// The outcome of the records. It is present in a dead letter and absent in a spooled chunk.
    pub(super) outcome: Option<&'a [u8]>,
    /// True if the records are one item. Otherwise they are bytes that were no record.
    pub(super) is_item: bool,
}

/// `[[EventTime of a group's start, {...`
const HEAD: &[u8] = b"\x92\x92\xd7\x00\xff\xff\xff\xff\0\0\0\0";

/// The newest version that is understood.
const VERSION: u64 = 1;

/// Reads the marker at the start; `None` if there is none, or one of a version to come.
pub(super) fn marker(bytes: &[u8]) -> Option<Marker<'_>> {
    let size = length_of(bytes)?;
    let mut rest = bytes.strip_prefix(HEAD)?;
    if read_map_len(&mut rest).ok()? != 1 || text(&mut rest)? != b"out_sentry" {
        return None;
    }
    let mut marker = Marker { size, ..Marker::default() };
    for _ in 0..read_map_len(&mut rest).ok()? {
        let key = text(&mut rest)?;
        let (mut value, behind) = rest.split_at(length_of(rest)?);
        rest = behind;
        match key {
            b"version" if read_int::<u64, _>(&mut value).ok()? > VERSION => return None,
            b"length" => marker.length = read_int(&mut value).ok()?,
            b"records" => marker.records = read_int(&mut value).ok()?,
            b"tag" => marker.tag = text(&mut value)?,
            b"outcome" => marker.outcome = Some(text(&mut value)?),
            b"category" => marker.is_item = true,
            _ => {}
        }
    }
    Some(marker)
}

fn length_of(bytes: &[u8]) -> Option<usize> {
    value_length(bytes).ok().flatten()
}

fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = read_str_len(rest).ok()? as usize;
    let (text, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(text)
}

/// Markers as the plugin writes them, for tests.
#[cfg(test)]
pub(super) fn written(tag: &str, length: usize, words: &[(&str, &str)]) -> Vec<u8> {
    let mut out = [HEAD, b"\x81\xaaout_sentry"].concat();
    out.push(0x83 + words.len() as u8);
    rmp::encode::write_str(&mut out, "version").unwrap();
    out.push(1);
    rmp::encode::write_str(&mut out, "length").unwrap();
    rmp::encode::write_uint(&mut out, length as u64).unwrap();
    for (key, value) in [("tag", tag)].iter().chain(words) {
        rmp::encode::write_str(&mut out, key).unwrap();
        rmp::encode::write_str(&mut out, value).unwrap();
    }
    out.push(0x80);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_and_a_spooled_chunk_are_told_apart() {
        let bytes = written("a.b", 7, &[]);
        let spooled = marker(&bytes).unwrap();
        assert_eq!((spooled.size, spooled.length, spooled.tag, spooled.outcome), (bytes.len(), 7, &b"a.b"[..], None));
        let bytes = written("a.b", 7, &[("outcome", "rejected"), ("category", "log")]);
        let letter = marker(&bytes).unwrap();
        assert!(letter.is_item && letter.outcome == Some(b"rejected"));
    }

    #[test]
    fn anything_else_is_no_marker() {
        let bytes = written("a", 1, &[]);
        for cut in 0..bytes.len() {
            assert_eq!(marker(&bytes[..cut]), None, "cut at {cut}");
        }
        let mut newer = bytes.clone();
        let version = newer.windows(7).position(|window| window == b"version").unwrap() + 7;
        newer[version] = 2;
        assert_eq!(marker(&newer), None);
        assert_eq!(marker(b"\x92\x92\xd7\x00\xff\xff\xff\xff\0\0\0\0\x81\xa1a\x01\x80"), None);
    }
}
