//! Writes dead letters: records of items that Sentry rejected, with the reason.
//!
//! A dead letter is a chunk of its own, which every reader of chunk files can read: a group marker whose metadata says
//! `{"out_sentry": {"version": 1, "tag": ..., "length": bytes, "records": n, "category": ..., "outcome": ..., "status":
//! HTTP status, "detail": text of the response, "time": ..., "destination": masked DSN, "event_id": ...}}`, the record as
//! it was (all lines of an event joined from lines), and the end of the group. Undecodable bytes have no category. A file
//! has the dead letters of one reading of a chunk, and gets its name after it was synced. Several instances may share the
//! directory: file names are unique, and each instance counts the bytes of all.

use super::{Chunk, Field};
use crate::chunk::msgpack::Seq;
use crate::chunk::{Entry, Record, entries};
use crate::clock::{self, Monotonic, WallTime};
use crate::delivery::route::table::Target;
use crate::delivery::store;
use crate::delivery::store::drop_reason::DropReason;
use crate::envelope::RecordIndex;
use crate::ledger::Category;
use crate::mapping::identity::EventId;
use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A record that is to become a dead letter.
#[derive(Clone, Debug)]
pub(crate) struct DeadLetter {
    /// Category of the rejected item; `None` for undecodable bytes.
    pub category: Option<Category>,
    /// The record's number in its chunk.
    pub record: RecordIndex,
    /// The reason of the rejection.
    pub reason: Arc<DropReason>,
    /// Destination of the item; `None` if unknown.
    pub target: Option<Arc<Target>>,
    /// The event's id.
    pub event_id: Option<EventId>,
    /// The other lines of a joined event.
    pub members: Vec<RecordIndex>,
}

impl DeadLetter {
    /// Returns the dead letter of a record without further lines.
    #[must_use]
    pub(crate) fn new(category: Option<Category>, record: RecordIndex, reason: &Arc<DropReason>) -> Self {
        Self { category, record, reason: Arc::clone(reason), target: None, event_id: None, members: Vec::new() }
    }

    /// Sets the item's destination.
    #[must_use]
    pub(crate) fn toward(self, target: Option<Arc<Target>>) -> Self {
        Self { target, ..self }
    }

    /// Returns the categories of the items that it stands for.
    pub(in crate::delivery) fn categories(&self) -> impl Iterator<Item = Category> {
        let every = Category::ALL.iter().copied();
        every.filter(|category| self.category.is_none_or(|own| own == *category))
    }
}

/// The directory of dead letters, as one instance sees it.
#[derive(Debug)]
pub struct DeadLetters {
    path: PathBuf,
    max_size: u64,
    /// Bytes of all dead letters, and steady time when they were counted.
    used: Option<(u64, Monotonic)>,
}

/// Time after which the bytes of the directory are counted again: another instance may write there, or a person clear it.
const RECOUNT: Duration = Duration::from_secs(5);

/// Age at which a temporary file is deleted. A younger one may be in use by another instance.
const STALE: Duration = Duration::from_secs(600);

const TEMPORARY: &str = "tmp";

/// Number of files written by this process. With the process id it makes file names unique.
static WRITTEN: AtomicU64 = AtomicU64::new(0);

impl DeadLetters {
    /// Returns the dead letters of a directory, which is created at the first write.
    #[must_use]
    pub fn new(path: &Path, max_size: u64) -> Self {
        Self { path: path.to_owned(), max_size, used: None }
    }

    /// Writes dead letters into one synced file. Returns true for each that was written; the others would exceed the limit.
    ///
    /// # Errors
    /// Any error of the file system; then none of them was written.
    pub fn write(&mut self, dead_letters: &[Vec<u8>], wall: WallTime, steady: Monotonic) -> io::Result<Vec<bool>> {
        let mut used = self.used(steady)?;
        let mut fits = |dead_letter: &Vec<u8>| {
            let has_capacity = used + dead_letter.len() as u64 <= self.max_size;
            used += if has_capacity { dead_letter.len() as u64 } else { 0 };
            has_capacity
        };
        let is_written: Vec<bool> = dead_letters.iter().map(&mut fits).collect();
        if is_written.contains(&true) {
            let written = dead_letters
                .iter()
                .zip(&is_written)
                .filter(|(_, is_written)| **is_written)
                .map(|(dead_letter, _)| dead_letter.as_slice());
            self.commit(written, wall)?;
        }
        self.used = self.used.map(|(_, at)| (used, at));
        Ok(is_written)
    }

    fn commit<'l>(&self, dead_letters: impl Iterator<Item = &'l [u8]>, wall: WallTime) -> io::Result<()> {
        let (pid, number) = (std::process::id(), WRITTEN.fetch_add(1, Relaxed));
        let path = self.path.join(format!("{:020}-{pid}-{number}.{}", wall.as_micros(), store::SUFFIX));
        let temporary = path.with_extension(TEMPORARY);
        let written = (|| {
            let mut file = store::private().create_new(true).open(&temporary)?;
            dead_letters.into_iter().try_for_each(|dead_letter| file.write_all(dead_letter))?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            File::open(&self.path)?.sync_all()
        })();
        written.inspect_err(|_| {
            let _ = fs::remove_file(&temporary);
            let _ = fs::remove_file(&path);
        })
    }

    fn used(&mut self, steady: Monotonic) -> io::Result<u64> {
        if let Some((used, _)) = self.used.filter(|(_, at)| steady < *at + RECOUNT) {
            return Ok(used);
        }
        store::make_private(&self.path)?;
        let used = count(&self.path)?;
        self.used = Some((used, steady));
        Ok(used)
    }
}

/// Returns the bytes of all dead letters. Deletes old temporary files.
fn count(path: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(path)?.flatten() {
        let path = entry.path();
        let Ok(metadata) = entry.metadata() else { continue };
        match path.extension().and_then(|extension| extension.to_str()) {
            Some(store::SUFFIX) => bytes += metadata.len(),
            Some(TEMPORARY) if is_stale(&metadata) => drop(fs::remove_file(&path)),
            _ => {}
        }
    }
    Ok(bytes)
}

fn is_stale(metadata: &fs::Metadata) -> bool {
    let age = metadata.modified().ok().and_then(clock::age);
    age.is_some_and(|age| age > STALE)
}

/// Returns the bytes of each dead letter in a file, in their order. `first` is the number of the segment's first record, `wall`
/// the present.
#[must_use]
pub(crate) fn encode(segment: &Chunk, first: RecordIndex, dead_letters: &[DeadLetter], wall: WallTime) -> Vec<Vec<u8>> {
    let wanted: HashSet<RecordIndex> = dead_letters
        .iter()
        .flat_map(|dead_letter| std::iter::once(&dead_letter.record).chain(&dead_letter.members))
        .copied()
        .collect();
    let found = find(&segment.data, first, &wanted);
    dead_letters.iter().map(|dead_letter| encode_one(&segment.tag, dead_letter, &found, wall)).collect()
}

/// Returns the bytes of each of these records.
#[must_use]
pub fn sizes(segment: &Chunk, first: RecordIndex, wanted: &HashSet<RecordIndex>) -> HashMap<RecordIndex, u64> {
    if wanted.is_empty() {
        return HashMap::new();
    }
    find(&segment.data, first, wanted).into_iter().map(|(record, found)| (record, found.raw.len() as u64)).collect()
}

/// A record in the bytes of a segment.
struct Found<'a> {
    /// Its bytes.
    raw: &'a [u8],
    /// The start of the group that it is in.
    group: Option<Record<'a>>,
}

type FoundRecords<'a> = HashMap<RecordIndex, Found<'a>>;

fn find<'a>(data: &'a [u8], first: RecordIndex, wanted: &HashSet<RecordIndex>) -> FoundRecords<'a> {
    let (mut found, mut group, mut number) = (FoundRecords::new(), None, first);
    for entry in entries(data) {
        let raw = match entry {
            Entry::GroupStart(record) => {
                group = Some(record);
                continue;
            }
            Entry::GroupEnd => {
                group = None;
                continue;
            }
            Entry::Record(record) => record.raw,
            Entry::Invalid(_, skipped) => skipped,
        };
        if wanted.contains(&number) {
            found.insert(number, Found { raw, group });
        }
        number = number.plus(1);
    }
    found
}

const GROUP_END: &[u8] = &[0x92, 0x92, 0xd7, 0, 255, 255, 255, 254, 0, 0, 0, 0, 0x80, 0x80];

fn encode_one(tag: &[u8], dead_letter: &DeadLetter, found: &FoundRecords<'_>, wall: WallTime) -> Vec<u8> {
    let mut data = Vec::new();
    let mut numbers: Vec<RecordIndex> =
        std::iter::once(dead_letter.record).chain(dead_letter.members.iter().copied()).collect();
    numbers.sort_unstable();
    for number in &numbers {
        data.extend_from_slice(found.get(number).map_or(&[][..], |found| found.raw));
    }
    if dead_letter.category.is_some() {
        data.extend_from_slice(GROUP_END);
    }
    let mut fields = vec![
        ("version", Field::Number(store::VERSION)),
        ("tag", Field::Text(tag)),
        ("length", Field::Number(data.len() as u64)),
        ("records", Field::Number(numbers.len() as u64)),
    ];
    fields.extend(dead_letter.category.map(|category| ("category", Field::Text(category.name().as_bytes()))));
    fields.push(("outcome", Field::Text(dead_letter.reason.outcome.name().as_bytes())));
    if let Some(status) = dead_letter.reason.status() {
        fields.push(("status", Field::Number(u64::from(status))));
    }
    let (time, id) = (wall.rfc3339(), dead_letter.event_id.map(|id| id.hex()));
    let destination = dead_letter.target.as_ref().map(|target| target.dsn.to_string());
    fields.push(("detail", Field::Text(dead_letter.reason.detail().as_bytes())));
    fields.push(("time", Field::Text(time.as_bytes())));
    fields.extend(destination.as_ref().map(|masked| ("destination", Field::Text(masked.as_bytes()))));
    fields.extend(id.as_ref().map(|id| ("event_id", Field::Text(id.as_bytes()))));
    // The attributes of an OTLP group are in its body.
    let body = found.get(&dead_letter.record).and_then(|found| found.group?.body.map());
    let mut out = store::marker_of(&fields, body.unwrap_or(Seq::EMPTY));
    out.extend_from_slice(&data);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::msgpack::Value;
    use crate::delivery::store::drop_reason::DropTrigger;
    use crate::ledger::Outcome;

    const RECORD: &[u8] = &[0x92, 0x92, 0xd7, 0, 0, 0, 0, 9, 0, 0, 0, 5, 0x80, 0x81, 0xa1, b'k', 1];
    const OTHER: &[u8] = &[0x92, 0x92, 0xd7, 0, 0, 0, 0, 9, 0, 0, 0, 6, 0x80, 0x81, 0xa1, b'k', 2];
    /// A group whose metadata is `{a: 1}` and whose body is `{resource: 1}`.
    const GROUP: &[u8] = b"\x92\x92\xd7\x00\xff\xff\xff\xff\0\0\0\0\x81\xa1a\x01\x81\xa8resource\x01";

    fn dead_letter(record: u32, members: &[u32]) -> DeadLetter {
        let members = members.iter().copied().map(RecordIndex).collect();
        let reason =
            DropReason::shared(Outcome::Rejected, DropTrigger::Response { status: 400, detail: "400: no".into() });
        DeadLetter { members, ..DeadLetter::new(Some(Category::Event), RecordIndex(record), &reason) }
    }

    fn dead_letter_of(data: &[u8], dead_letter: &DeadLetter) -> Vec<u8> {
        let segment = Chunk { tag: b"t".to_vec(), data: data.to_vec(), records: 0 };
        encode(&segment, RecordIndex(10), std::slice::from_ref(dead_letter), WallTime::from_secs(1)).remove(0)
    }

    #[test]
    fn dead_letter_holds_lines_in_order_and_their_group() {
        let data = [RECORD, GROUP, RECORD, OTHER, GROUP_END, OTHER].concat();
        let dead_letter = dead_letter_of(&data, &dead_letter(12, &[11]));
        let all: Vec<_> = entries(&dead_letter).collect();
        let [Entry::GroupStart(head), Entry::Record(one), Entry::Record(two), Entry::GroupEnd] = all[..] else {
            panic!("{all:?}")
        };
        assert_eq!((one.raw, two.raw), (RECORD, OTHER));
        assert_eq!(head.body.map().and_then(|body| body.get("resource")), Some(Value::UInt(1)));
        let metadata = head.metadata.get("out_sentry").and_then(|metadata| metadata.map()).unwrap();
        assert_eq!(metadata.get("status"), Some(Value::UInt(400)));
        assert_eq!(metadata.get("time").and_then(|time| time.text()), Some(&b"1970-01-01T00:00:01.000Z"[..]));
        let segments = store::split(&[&dead_letter[..], &dead_letter].concat());
        assert_eq!((segments.len(), segments[1].records, &segments[1].tag[..]), (2, 2, &b"t"[..]));
    }

    #[test]
    fn dead_letter_of_a_dead_letter_is_equal() {
        let first = dead_letter_of(&[RECORD, OTHER].concat(), &dead_letter(10, &[11]));
        assert_eq!(dead_letter_of(&first, &dead_letter(10, &[11])), first);
    }

    #[test]
    fn instances_share_a_directory_and_its_limit() {
        let path = std::env::temp_dir().join(format!("out_sentry-dead-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        let dead_letter = vec![1; 100];
        let (mut one, mut two) = (DeadLetters::new(&path, 250), DeadLetters::new(&path, 250));
        let write = |dead: &mut DeadLetters, count: usize, at: u64| {
            dead.write(&vec![dead_letter.clone(); count], WallTime::EPOCH, Monotonic::from_secs(at)).unwrap()
        };
        assert_eq!(write(&mut one, 1, 0), [true]);
        fs::write(path.join("1-2-3.tmp"), [0; 900]).unwrap();
        assert_eq!(write(&mut two, 2, 0), [true, false]);
        assert_eq!(write(&mut one, 1, 6), [false], "what the other wrote is counted");
        let files =
            fs::read_dir(&path).unwrap().flatten().filter(|file| file.path().extension() == Some("msgpack".as_ref()));
        assert_eq!(files.count(), 2);
        fs::remove_dir_all(&path).unwrap();
        assert_eq!(write(&mut one, 1, 12), [true], "expected a new directory without dead letters");
        fs::remove_dir_all(&path).unwrap();
    }
}
