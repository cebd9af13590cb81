//! Reads the input in parts of bounded size, so that memory stays bounded.

use super::complain;
use crate::input::chunk_file::{ChunkFile, Unit};
use crate::input::file::{Format, Input};
use crate::input::kube::PodLog;
use crate::input::line_file::{LineFile, Made};
use crate::input::lines::{LONGEST_LINE, Lines};
use crate::input::record::Kind;
use crate::terminal::counted;
use serde::de::IgnoredAny;
use std::io::{self, BufRead};
use std::path::Path;

/// Beyond this many bytes of records a part ends and the next begins. A record, or a group of records in a chunk file, may be
/// longer.
const LARGEST: usize = 256 << 10;

/// The number of problems that are reported one by one.
const TOLD: u64 = 100;

/// A part of the input, as records of a chunk.
#[derive(Default)]
pub(super) struct Piece {
    pub(super) bytes: Vec<u8>,
    /// The offset at which the part begins in a chunk file, in bytes.
    pub(super) offset: u64,
    /// The line at which each record ended; empty for a chunk file.
    pub(super) lines: Vec<u64>,
}

/// Settings for reading an input.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    pub(super) format: Format,
    /// Directory with the descriptions of pods.
    pub(super) kube_meta: Option<&'a Path>,
}

/// Why reading ended early.
pub(super) enum Stop {
    Input(io::Error),
    Output(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Input(error)
    }
}

/// Takes each piece.
type Take<'t> = &'t mut dyn FnMut(&Piece) -> io::Result<()>;

/// Collects the problems of the input, and their number.
pub(super) struct Problems {
    name: String,
    count: u64,
}

impl Problems {
    pub(super) fn new(name: String) -> Self {
        Self { name, count: 0 }
    }

    pub(super) fn any(&self) -> bool {
        self.count > 0
    }

    fn line(&mut self, number: u64, problem: &str) {
        self.count += 1;
        if self.count <= TOLD {
            complain(&format!("{}: line {number}: {problem}", self.name));
        }
    }

    /// Reports the number of problems that were not reported one by one.
    pub(super) fn sum_up(&self) {
        if let more @ 1.. = self.count.saturating_sub(TOLD) {
            let lines = counted(more, "more line");
            complain(&format!(
                "{}: {lines} cannot be read as {}",
                self.name,
                if more == 1 { "a record" } else { "records" }
            ));
        }
    }
}

/// Reads all of it.
pub(super) fn read(reading: Reading<'_>, input: &Input, problems: &mut Problems, take: Take<'_>) -> Result<(), Stop> {
    let mut reader = input.open()?;
    let is_chunk = match reading.format {
        Format::Auto => input.is_chunk(&mut *reader)?,
        format => format == Format::Chunk,
    };
    if is_chunk { chunk_file(reader, take) } else { line_file(reading, input, reader, problems, take) }
}

fn chunk_file(reader: impl BufRead, take: Take<'_>) -> Result<(), Stop> {
    let mut file = ChunkFile::new(reader);
    let mut piece = Piece::default();
    while let Some(unit) = file.next()? {
        let (Unit::Records(bytes, _) | Unit::Broken(_, bytes)) = unit;
        // What is broken stays with the records before it: only so the mapping can find its way back.
        if matches!(unit, Unit::Records(..)) && piece.bytes.len() + bytes.len() > LARGEST {
            hand_over(&mut piece, take)?;
        }
        piece.bytes.extend_from_slice(bytes);
    }
    hand_over(&mut piece, take)
}

fn hand_over(piece: &mut Piece, take: Take<'_>) -> Result<(), Stop> {
    if !piece.bytes.is_empty() {
        take(piece).map_err(Stop::Output)?;
    }
    piece.offset += piece.bytes.len() as u64;
    piece.bytes.clear();
    piece.lines.clear();
    Ok(())
}

fn line_file(
    reading: Reading<'_>,
    input: &Input,
    reader: impl BufRead,
    problems: &mut Problems,
    take: Take<'_>,
) -> Result<(), Stop> {
    let name = input.file_name();
    let kubernetes = PodLog::parse(&name).map(|pod| pod.kubernetes(reading.kube_meta, complain));
    let mut kind = reading.format.lines();
    let may_be_text = kind.is_none();
    let mut file = None;
    let mut lines = Lines::new(reader);
    let (mut piece, mut number) = (Piece::default(), 0);
    while let Some(line) = lines.next()? {
        number += 1;
        if line.text.is_empty() {
            continue;
        }
        let kind = *kind.get_or_insert_with(|| kind_of(line.text));
        let file = file.get_or_insert_with(|| LineFile::new(Some(kind), kubernetes.clone()));
        if line.cut {
            problems.line(number, &format!("longer than {} MB: {}", LONGEST_LINE / 1_000_000, if_cut(kind)));
        }
        match file.line(line.text) {
            Made::Record(record) => add(&mut piece, record, number, take)?,
            Made::NoObject if line.cut => {}
            // Among JSON lines, a line of a stack trace for example.
            Made::NoObject if may_be_text && is_text(line.text) && !looks_like_json(line.text) => {
                add(&mut piece, file.text(line.text), number, take)?;
            }
            Made::NoObject => problems.line(number, &not_an_object(line.text)),
            Made::Nothing => {}
        }
    }
    if let Some(mut file) = file {
        for line in file.rest() {
            add(&mut piece, file.joined(&line), number, take)?;
        }
    }
    hand_over(&mut piece, take)
}

fn add(piece: &mut Piece, record: &[u8], line: u64, take: Take<'_>) -> Result<(), Stop> {
    if piece.bytes.len() + record.len() > LARGEST {
        hand_over(piece, take)?;
    }
    piece.bytes.extend_from_slice(record);
    piece.lines.push(line);
    Ok(())
}

/// Returns the kind of a file by its first line. A line that begins like a JSON object should be one, and so should one of
/// binary data, so that a mistake is told.
fn kind_of(line: &[u8]) -> Kind {
    match Kind::of(line) {
        Kind::Text if looks_like_json(line) || !is_text(line) => Kind::Json,
        kind => kind,
    }
}

/// Returns false for a line with a NUL byte, which no text has.
fn is_text(line: &[u8]) -> bool {
    !line.contains(&0)
}

fn looks_like_json(line: &[u8]) -> bool {
    line.trim_ascii_start().starts_with(b"{")
}

fn if_cut(kind: Kind) -> &'static str {
    match kind {
        Kind::Json | Kind::Docker => "left out",
        Kind::Cri | Kind::Kubectl | Kind::Text => "cut",
    }
}

/// Why a line is no JSON object.
fn not_an_object(line: &[u8]) -> String {
    const HINT: &str = "(--format text takes lines as they are)";
    let Ok(text) = std::str::from_utf8(line) else {
        return "expected a JSON object, found bytes that are not text".to_owned();
    };
    let found = match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => format!("found {}", sort_of(text.trim_ascii_start())),
        Err(error) => {
            let why = error.to_string();
            let why = why.split(" at line ").next().unwrap_or_default();
            format!("{why} at column {}", error.column())
        }
    };
    let hint = if text.trim_ascii_start().starts_with('{') { "" } else { HINT };
    format!("expected a JSON object, {found} {hint}").trim_end().to_owned()
}

/// A JSON value, in a word.
fn sort_of(json: &str) -> &'static str {
    match json.as_bytes().first() {
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        Some(b'{') => "an object that cannot be read",
        _ => "a number",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_tells_the_kind() {
        for (line, kind) in [
            ("{\"a\":1}", Kind::Json),
            ("{\"a\":", Kind::Json),
            ("hello", Kind::Text),
            ("[1]", Kind::Text),
            ("\0\u{1}", Kind::Json),
            ("2026-11-20T08:00:00Z stdout F x", Kind::Cri),
            ("2026-11-20T08:00:00.001376970Z x", Kind::Kubectl),
            (r#"{"log":"x\n","stream":"stderr","time":"2026-11-20T08:00:00Z"}"#, Kind::Docker),
        ] {
            assert_eq!(kind_of(line.as_bytes()), kind, "{line}");
        }
    }

    #[test]
    fn what_is_no_object_is_told_with_what_it_is() {
        for (line, said) in [
            (&b"[1]"[..], "expected a JSON object, found an array (--format text takes lines as they are)"),
            (b"12", "expected a JSON object, found a number (--format text takes lines as they are)"),
            (b"{\"a\":1", "expected a JSON object, EOF while parsing an object at column 6"),
            (b"\xff\0", "expected a JSON object, found bytes that are not text"),
        ] {
            assert_eq!(not_an_object(line), said);
        }
    }

    #[test]
    fn a_chunk_that_is_too_large_becomes_pieces_and_no_byte_is_lost() {
        let record = [&b"\x92\xce\0\0\0\x09\x81\xa1k\xc5\xff\xff"[..], &[b'x'; 0xffff]].concat();
        let all = record.repeat(LARGEST / record.len() + 2);
        let mut pieces = Vec::new();
        let read = chunk_file(&all[..], &mut |piece| {
            pieces.push((piece.offset, piece.bytes.len()));
            Ok(())
        });
        assert!(read.is_ok());
        let first = LARGEST / record.len() * record.len();
        assert_eq!(pieces, [(0, first), (first as u64, all.len() - first)]);
    }
}
