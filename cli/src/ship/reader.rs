//! The reader thread: reads files and produces chunks.

use super::chunk::{Chunk, Packer};
use super::console::Console;
use super::queue::Queue;
use super::session::Source;
use crate::input::chunk_file::{ChunkFile, Unit};
use crate::input::file::{Format, Input};
use crate::input::kube::PodLog;
use crate::input::line_file::{LineFile, Made};
use crate::input::lines::{LONGEST_LINE, Lines};
use crate::input::moved::moved;
use crate::input::time::Time;
use crate::terminal::counted;
use std::io::{self, BufRead};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Settings for reading the inputs.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) format: Format,
    /// The tag of all records; `None` for one of each file's own.
    pub(super) tag: Option<String>,
    pub(super) kube_meta: Option<PathBuf>,
    pub(super) chunk_bytes: usize,
    /// Records a second, at most.
    pub(super) rate: Option<u64>,
}

/// Longest wait of lines that come slowly, from a pipe, before they are handed over, like Fluent Bit's flush interval.
const OLDEST: Duration = Duration::from_secs(1);

/// Reads the inputs, one after the other, into the queue.
pub(super) struct Feeder {
    reading: Reading,
    inputs: Vec<Input>,
    queue: Arc<Queue>,
    console: Arc<Console>,
    packer: Mutex<Packer>,
    /// True if the current input is a pipe or a device, whose lines may come slowly.
    is_slow: AtomicBool,
    pace: Mutex<Option<(Instant, u64)>>,
    problems: Mutex<Vec<String>>,
    /// Records with a time that Sentry would not keep.
    moved: AtomicU64,
}

impl Feeder {
    pub(super) fn new(reading: Reading, inputs: Vec<Input>, queue: Arc<Queue>, console: Arc<Console>) -> Self {
        // With a rate, a chunk is one second's worth.
        let packer = Packer::new(reading.chunk_bytes, reading.rate.unwrap_or(u64::MAX));
        let (packer, pace, problems) = (packer.into(), Mutex::default(), Mutex::default());
        let (is_slow, moved) = (AtomicBool::new(true), AtomicU64::new(0));
        Self { reading, inputs, queue, console, packer, is_slow, pace, problems, moved }
    }
}

impl Source for Feeder {
    /// Reads all of it. A file that fails midway does not keep the others from being read.
    fn run(&self) {
        for input in &self.inputs {
            match self.file(input) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => self.problem(&format!("{}: {error}", input.name())),
            }
        }
        self.queue.fed();
    }

    /// Files that could not be read to their end, as told to the user.
    fn problems(&self) -> usize {
        lock(&self.problems).len()
    }

    /// Hands over the lines that have waited too long; called now and then from a thread of its own, since it may have to
    /// wait. Lines of a regular file never wait long, and make the same chunks however busy the machine is.
    fn tick(&self) {
        if !self.is_slow.load(Ordering::Relaxed) {
            return;
        }
        // Whoever holds the lock is busy handing over; waiting for it could mean waiting for the plugin.
        let Ok(mut packer) = self.packer.try_lock() else { return };
        if packer.older_than(OLDEST) {
            self.hand_over(packer.take());
        }
    }

    fn moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }

    fn cannot_run(&self, error: &io::Error) {
        self.problem(&format!("cannot start a thread: {error}"));
        self.queue.fed();
    }
}

impl Feeder {
    fn problem(&self, problem: &str) {
        self.console.say(problem);
        lock(&self.problems).push(problem.to_owned());
    }

    /// False if nobody wants more.
    fn file(&self, input: &Input) -> io::Result<bool> {
        let mut reader = input.open()?;
        self.is_slow.store(input.size.is_none(), Ordering::Relaxed);
        let chunk = match self.reading.format {
            Format::Auto => input.is_chunk(&mut *reader)?,
            format => format == Format::Chunk,
        };
        let read = if chunk { self.chunk_file(input, reader) } else { self.line_file(input, reader) };
        let last = lock(&self.packer).take();
        Ok(self.hand_over(last) && read?)
    }

    fn chunk_file(&self, input: &Input, reader: Box<dyn BufRead + Send>) -> io::Result<bool> {
        self.tag(input.tag());
        let mut file = ChunkFile::new(reader);
        while let Some(unit) = file.next()? {
            let wanted = match unit {
                Unit::Records(bytes, records) => self.add(bytes, records, bytes.len() as u64),
                Unit::Broken(offset, rest) => {
                    self.broken(input, offset, rest);
                    true
                }
            };
            if !wanted {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The rest goes with the records before it, since only so the plugin can find its way back.
    fn broken(&self, input: &Input, offset: u64, rest: &[u8]) {
        let (name, length) = (input.name(), rest.len() as u64);
        self.console.say(&format!(
            "{name}: expected a record at offset {offset}; passing {} to the plugin unchanged",
            counted(length, "byte")
        ));
        lock(&self.packer).add(rest, 0, length);
    }

    fn line_file(&self, input: &Input, reader: Box<dyn BufRead + Send>) -> io::Result<bool> {
        let file_name = input.file_name();
        self.tag(input.tag());
        let kubernetes = PodLog::parse(&file_name)
            .map(|pod| pod.kubernetes(self.reading.kube_meta.as_deref(), |problem| self.console.say(problem)));
        let mut lines = Lines::new(reader);
        let records = LineFile::new(self.reading.format.lines(), kubernetes);
        let mut file = Feed { feeder: self, records, source_bytes: 0 };
        let mut cut = false;
        while let Some(line) = lines.next()? {
            if line.cut && !std::mem::replace(&mut cut, true) {
                let (name, most) = (input.name(), LONGEST_LINE / 1_000_000);
                let bytes = counted(line.source_bytes, "byte");
                self.console.say(&format!("{name}: a line of {bytes} was cut to {most} MB"));
            }
            if !file.line(line.text, line.source_bytes) {
                return Ok(false);
            }
        }
        Ok(file.end())
    }

    fn tag(&self, own: String) {
        lock(&self.packer).tag(self.reading.tag.as_ref().unwrap_or(&own));
    }

    /// Adds one unit, handing over the chunk before it if it is full.
    fn add(&self, bytes: &[u8], records: u64, source_bytes: u64) -> bool {
        self.moved.fetch_add(moved(bytes, Time::now()), Ordering::Relaxed);
        let mut packer = lock(&self.packer);
        let wanted = !packer.full_for(bytes.len(), records) || self.hand_over(packer.take());
        packer.add(bytes, records, source_bytes);
        wanted
    }

    fn hand_over(&self, chunk: Option<Chunk>) -> bool {
        chunk.is_none_or(|chunk| self.keep_pace(chunk.records) && self.queue.offer(chunk))
    }

    /// Waits until the records so far have taken as long as they should.
    fn keep_pace(&self, records: u64) -> bool {
        let Some(rate) = self.reading.rate else { return true };
        let mut pace = lock(&self.pace);
        let (start, sent) = pace.get_or_insert_with(|| (Instant::now(), 0));
        let then = *start + Duration::from_secs_f64(*sent as f64 / rate as f64);
        *sent += records;
        drop(pace);
        self.queue.pause_until(then)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file of lines on its way into chunks.
struct Feed<'a> {
    feeder: &'a Feeder,
    records: LineFile,
    /// Of lines that are not part of a record yet.
    source_bytes: u64,
}

impl Feed<'_> {
    fn line(&mut self, text: &[u8], source_bytes: u64) -> bool {
        self.source_bytes += source_bytes;
        let record = match self.records.line(text) {
            Made::Record(record) => record,
            Made::NoObject => self.records.text(text),
            Made::Nothing => return true,
        };
        self.feeder.add(record, 1, std::mem::take(&mut self.source_bytes))
    }

    fn end(mut self) -> bool {
        let rest = self.records.rest();
        rest.iter().all(|line| {
            let source_bytes = std::mem::take(&mut self.source_bytes);
            self.feeder.add(self.records.joined(line), 1, source_bytes)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::queue::Backoff;
    use super::*;
    use std::fs;
    use std::path::Path;

    const ID: &str = "4f2b6c0d9e8f7a6b5c4d3e2f1a0b9c8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b";
    const RECORD: &[u8] = b"\x92\x92\xd7\x00\x6a\xff\xfe\x00\x00\x15\x02\xca\x80\x81\xa3log\xa2hi";

    fn reading() -> Reading {
        Reading { format: Format::Auto, tag: None, kube_meta: None, chunk_bytes: 1 << 20, rate: None }
    }

    /// Returns the chunks that the files become, and the number of files that could not be read.
    fn fed(reading: Reading, files: &[&Path]) -> (Vec<Chunk>, usize) {
        let queue = Arc::new(Queue::new(Backoff::default(), None));
        let inputs: Vec<_> = files.iter().map(|path| Input::check(path).unwrap()).collect();
        let feeder = Feeder::new(reading, inputs, Arc::clone(&queue), Arc::new(Console::new(None)));
        feeder.run();
        let mut chunks = Vec::new();
        while let Some(work) = queue.take() {
            chunks.push(work.chunk.clone());
            queue.settle(work, plugin_host::Verdict::Ok);
        }
        (chunks, feeder.problems())
    }

    fn file(directory: &Path, name: &str, content: &[u8]) -> PathBuf {
        let path = directory.join(name);
        fs::write(&path, content).unwrap();
        path
    }

    #[test]
    fn a_small_chunk_file_is_one_chunk_as_it_is_and_a_large_one_is_split_at_records() {
        let directory = tempfile::tempdir().unwrap();
        let path = file(directory.path(), "a.msgpack", &RECORD.repeat(10));
        let (chunks, _) = fed(reading(), &[&path]);
        assert_eq!((chunks.len(), &chunks[0].bytes, chunks[0].records), (1, &RECORD.repeat(10), 10));
        assert_eq!(&*chunks[0].tag, "ship.a");
        let (chunks, _) = fed(Reading { chunk_bytes: RECORD.len() * 4 + 1, ..reading() }, &[&path]);
        assert_eq!(chunks.iter().map(|chunk| chunk.records).collect::<Vec<_>>(), [4, 4, 2]);
        assert_eq!(chunks.iter().flat_map(|chunk| chunk.bytes.clone()).collect::<Vec<_>>(), RECORD.repeat(10));
    }

    #[test]
    fn a_broken_chunk_file_reaches_the_plugin_byte_by_byte() {
        let directory = tempfile::tempdir().unwrap();
        let bytes = [RECORD, b"\xc1garbage", RECORD].concat();
        let path = file(directory.path(), "a.msgpack", &bytes);
        let (chunks, problems) = fed(reading(), &[&path]);
        assert_eq!((chunks.len(), &chunks[0].bytes, chunks[0].records, problems), (1, &bytes, 1, 0));
    }

    #[test]
    fn container_logs_get_their_tag_their_pod_and_their_parts_joined() {
        let directory = tempfile::tempdir().unwrap();
        let name = format!("web-1_shop_app-{ID}.log");
        let lines =
            "2026-11-20T08:00:00.001376970Z stdout P {\"a\":\n2026-11-20T08:00:00.1Z stdout F 1}\nnot a runtime's\n";
        let path = file(directory.path(), &name, lines.as_bytes());
        file(directory.path(), "shop_web-1.meta", br#"{"metadata":{"uid":"u-1"}}"#);
        let (chunks, _) = fed(Reading { kube_meta: Some(directory.path().to_owned()), ..reading() }, &[&path]);
        let chunk = &chunks[0];
        assert_eq!(*chunk.tag, format!("kube.var.log.containers.{name}"));
        assert_eq!((chunks.len(), chunk.records, chunk.source_bytes), (1, 2, lines.len() as u64));
        let has = |part: &[u8]| chunk.bytes.windows(part.len()).any(|window| window == part);
        assert!(has(b"\xa3log\xa7{\"a\":1}\xa1a\x01\xaakubernetes\x85\xa8pod_name\xa5web-1"));
        assert!(has(b"\xa6pod_id\xa3u-1") && has(b"\x82\xa3log\xafnot a runtime's\xaakubernetes"));
    }

    #[test]
    fn without_descriptions_a_pod_has_its_names_and_logs_are_not_merged() {
        let directory = tempfile::tempdir().unwrap();
        let name = format!("web-1_shop_app-{ID}.log");
        let path = file(directory.path(), &name, b"2026-11-20T08:00:00Z stdout F {\"a\":1}\n");
        for kube_meta in [None, Some(directory.path().join("missing"))] {
            let merged = kube_meta.is_some();
            let (chunks, problems) = fed(Reading { kube_meta, ..reading() }, &[&path]);
            let has = |part: &[u8]| chunks[0].bytes.windows(part.len()).any(|window| window == part);
            assert!(has(b"\xaakubernetes\x84\xa8pod_name") && problems == 0);
            assert_eq!(has(b"}\xa1a\x01"), merged);
        }
    }

    #[test]
    fn formats_are_told_per_file_or_given() {
        let directory = tempfile::tempdir().unwrap();
        let json = file(directory.path(), "j.log", b"\n{\"n\":1}\nno json\n");
        let text = file(directory.path(), "t.log", b"hello\r\n\n{\"n\":1}\nlast");
        let (chunks, _) = fed(reading(), &[&json, &text]);
        let summary: Vec<_> = chunks.iter().map(|chunk| (&*chunk.tag, chunk.records)).collect();
        assert_eq!(summary, [("ship.j", 2), ("ship.t", 3)]);
        assert!(chunks[0].bytes.windows(4).any(|window| window == b"\x81\xa1n\x01"));
        assert!(chunks[1].bytes.ends_with(b"\x81\xa3log\xa4last"));
        let (chunks, _) = fed(Reading { format: Format::Json, tag: Some("x".into()), ..reading() }, &[&text]);
        assert!(chunks[0].bytes.windows(4).any(|window| window == b"\x81\xa1n\x01") && &*chunks[0].tag == "x");
    }

    #[test]
    fn a_rate_makes_small_chunks_and_takes_its_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = file(directory.path(), "a.log", &b"x\n".repeat(25));
        let start = Instant::now();
        let (chunks, _) = fed(Reading { rate: Some(100), ..reading() }, &[&path, &path]);
        assert_eq!(chunks.iter().map(|chunk| chunk.records).collect::<Vec<_>>(), [25, 25]);
        assert!(
            start.elapsed() >= Duration::from_millis(250),
            "the second 25 begin when the first have had their time"
        );
        let (chunks, _) = fed(Reading { rate: Some(20), ..reading() }, &[&path]);
        assert_eq!(chunks.iter().map(|chunk| chunk.records).collect::<Vec<_>>(), [20, 5]);
    }

    #[test]
    fn one_bad_file_is_told_and_the_next_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let bad = file(directory.path(), "a.gz", b"\x1f\x8b\x08\0");
        let good = file(directory.path(), "b.log", b"x\n");
        let (chunks, problems) = fed(reading(), &[&bad, &good]);
        assert_eq!((chunks.len(), problems), (1, 1));
    }

    #[test]
    fn slow_lines_are_handed_over_when_somebody_looks() {
        let queue = Arc::new(Queue::new(Backoff::default(), None));
        let feeder = Feeder::new(reading(), Vec::new(), Arc::clone(&queue), Arc::new(Console::new(None)));
        feeder.add(RECORD, 1, 1);
        feeder.tick();
        assert_eq!(queue.watch(Duration::ZERO).0.chunks, 0, "too young");
        let deadline = Instant::now() + OLDEST * 10;
        while queue.watch(Duration::from_millis(10)).0.chunks == 0 && Instant::now() < deadline {
            feeder.tick();
        }
        assert_eq!(queue.watch(Duration::ZERO).0.records, 1);
    }

    #[test]
    fn lines_of_a_regular_file_are_not_handed_over_early() {
        let directory = tempfile::tempdir().unwrap();
        let file = Input::check(&file(directory.path(), "a.log", b"")).unwrap();
        let queue = Arc::new(Queue::new(Backoff::default(), None));
        let feeder = Feeder::new(reading(), Vec::new(), Arc::clone(&queue), Arc::new(Console::new(None)));
        assert!(feeder.file(&file).unwrap());
        feeder.add(RECORD, 1, 1);
        std::thread::sleep(OLDEST + Duration::from_millis(50));
        feeder.tick();
        assert_eq!(queue.watch(Duration::ZERO).0.chunks, 0);
    }
}
