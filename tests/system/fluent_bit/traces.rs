//! Stack traces written line by line, cut by flushes, reloads and kills: each is one event with all its frames.

use super::feed::Feed;
use super::harness::{Harness, NAME, SPOOL, config, output, receiver, start};
use receiver::Receiver;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use testkit::wait;

/// Frames of a trace; with the line that announces it and the exception it has 24 lines.
const FRAMES: usize = 22;

/// Time for which traces are written.
const WRITES_FOR: Duration = Duration::from_secs(30);

/// Pauses between the lines of a trace.
const BETWEEN_LINES: [Duration; 4] =
    [Duration::ZERO, Duration::from_micros(200), Duration::from_millis(1), Duration::from_millis(5)];

/// Longest pause between traces, in milliseconds.
const BETWEEN_TRACES: u64 = 400;

/// Time after which the first half of a trace is in the spool, where it waits for longer than this. Lines that Fluent Bit still
/// buffers when it is killed are flushed after its restart, before or after the lines that it reads then.
const IN_THE_SPOOL: Duration = Duration::from_millis(1_250);

/// Longest wait for the last of them.
const ARRIVES_WITHIN: Duration = Duration::from_secs(40);

/// Writes traces, one after the other.
struct Writer {
    file: File,
    between_lines: Duration,
    traces: u64,
    chance: u64,
}

impl Writer {
    fn new(feed: &Feed, between_lines: Duration) -> Self {
        let file = OpenOptions::new().append(true).open(feed.file()).expect("expected the file");
        Self { file, between_lines, traces: 0, chance: 0x9e37_79b9_7f4a_7c15 ^ between_lines.as_nanos() as u64 }
    }

    fn line(&mut self, text: &str) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("expected a clock that is set");
        let line = serde_json::json!({"time": format!("{}.{:03}", now.as_secs(), now.subsec_millis()), "log": text});
        writeln!(self.file, "{line}").expect("expected to append");
    }

    /// A trace; `halfway` is called in its middle.
    fn trace(&mut self, halfway: impl FnOnce()) {
        let number = self.traces;
        self.traces += 1;
        self.line(&format!("ERROR order {number} failed"));
        self.line(&format!("com.shop.Declined: order {number}"));
        let mut halfway = Some(halfway);
        for frame in 0..FRAMES {
            if frame == FRAMES / 2
                && let Some(halfway) = halfway.take()
            {
                halfway();
            }
            if !self.between_lines.is_zero() {
                thread::sleep(self.between_lines);
            }
            self.line(&format!("\tat com.shop.Step{frame}.run(Step.java:{})", frame + 1));
        }
        self.line("INFO on");
    }

    fn traces_for(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.trace(|| ());
            self.chance ^= self.chance << 13;
            self.chance ^= self.chance >> 7;
            self.chance ^= self.chance << 17;
            thread::sleep(Duration::from_millis(self.chance % BETWEEN_TRACES));
        }
    }
}

/// The frames of each event, by the order that its trace is about. Events that came again have the same id.
fn events(receiver: &Receiver) -> BTreeMap<String, BTreeMap<String, usize>> {
    let mut events: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    for event in receiver.events() {
        let exception = &event.payload["exception"]["values"][0];
        let about = exception["value"].as_str().unwrap_or("no exception").to_owned();
        let frames = exception["stacktrace"]["frames"].as_array().map_or(0, Vec::len);
        events.entry(about).or_default().insert(event.event_id.clone(), frames);
    }
    events
}

/// Each trace is one event with all its frames, and there is no other event.
fn assert_whole(harness: &Harness, traces: u64, about: &str) {
    let came = harness.receiver.wait_until(ARRIVES_WITHIN, |seen| seen.totals.events >= traces)
        && wait::until_true(ARRIVES_WITHIN, || {
            thread::sleep(Duration::from_millis(500));
            events(&harness.receiver).len() as u64 >= traces
        });
    // What a piece of a trace would have become comes no later than this.
    thread::sleep(Duration::from_secs(3));
    let events = events(&harness.receiver);
    let broken: Vec<_> =
        events.iter().filter(|(_, ids)| ids.len() != 1 || ids.values().any(|n| *n != FRAMES)).collect();
    assert!(broken.is_empty(), "{about}: {} of {traces} are not whole: {broken:?}", broken.len());
    assert!(came && events.len() as u64 == traces, "{about}: {} events of {traces} traces", events.len());
}

/// All pauses and deliveries at once, each with a host of its own.
pub fn cut_by_flushes() {
    let tests = BETWEEN_LINES.iter().flat_map(|pause| [in_memory as fn(Duration), in_spool].map(|test| (test, *pause)));
    let tests: Vec<_> = tests.map(|(test, pause)| thread::spawn(move || test(pause))).collect();
    let failed = tests.into_iter().map(thread::JoinHandle::join).filter(Result::is_err).count();
    assert_eq!(failed, 0, "{failed} of them failed, see above");
}

/// A host that flushes once a second, as most do: half of a trace is then a second older than the other.
fn started(line: &str) -> Harness {
    let (feed, receiver) = (Feed::new(), receiver(""));
    let config = config(&feed, &[output(NAME, &receiver.dsn(), &[line])]);
    assert!(config.contains("Flush       0.2\n"), "expected a flush interval: {config}");
    let config = config.replacen("Flush       0.2\n", "Flush       1\n", 1);
    Harness { host: start(&config, &[]), receiver, feed }
}

fn in_memory(pause: Duration) {
    let mut harness = started("delivery memory");
    let mut writer = Writer::new(&harness.feed, pause);
    writer.traces_for(WRITES_FOR);
    assert_whole(&harness, writer.traces, &format!("memory, {pause:?} between lines"));
    harness.stop();
    harness.assert_sound();
}

/// With a reload and a kill in the middle of a trace.
fn in_spool(pause: Duration) {
    let mut harness = started(SPOOL);
    let mut writer = Writer::new(&harness.feed, pause);
    writer.traces_for(WRITES_FOR / 3);
    writer.trace(|| {
        thread::sleep(IN_THE_SPOOL);
        harness.host.reload().expect("expected a reload");
    });
    writer.traces_for(WRITES_FOR / 3);
    writer.trace(|| {
        thread::sleep(IN_THE_SPOOL);
        harness.host.kill();
    });
    harness.host.restart().expect("expected a restart");
    writer.traces_for(WRITES_FOR / 3);
    assert_whole(&harness, writer.traces, &format!("spool, {pause:?} between lines"));
    harness.stop();
}
