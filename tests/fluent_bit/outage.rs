//! Outages, slow disks, slow answers, and files that somebody removes: what a spool must survive in a real host.

use crate::feed::Feed;
use crate::rig::{self, ARRIVES_WITHIN, NAME, Rig, SPOOL};
use crate::seen::Seen;
use crate::support::fluent_bit::{FluentBit, Format, SERVICE};
use crate::support::process;
use crate::support::tempdir::TempDir;
use crate::support::{plugin, wait};
use flb_sentry::receive::Receiver;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Streams of one line each in an interval.
const STREAMS: usize = 40;

fn open_files(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// Descriptors of the process for files below a directory.
fn open_below(pid: u32, directory: &Path) -> usize {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    files.filter_map(|file| fs::read_link(file.path()).ok()).filter(|target| target.starts_with(directory)).count()
}

/// A host that listens for records of the `forward` protocol and sends them with a spool.
fn forwarding(receiver: &Receiver, port: u16, more: &[&str], env: &[(&str, &str)]) -> FluentBit {
    let service = format!("{SERVICE}    scheduler.base 1\n    scheduler.cap 1\n");
    let input = format!("[INPUT]\n    Name forward\n    Listen 127.0.0.1\n    Port {port}\n");
    let lines = [&[SPOOL, "event_level off"], more].concat();
    let config = [service, input, rig::output(NAME, &receiver.dsn(), &lines)].join("\n");
    let library = plugin().display().to_string();
    FluentBit::start_with_env(&config, Format::Classic, &["-e", &library], env)
        .unwrap_or_else(|error| panic!("{error}"))
}

/// Sends records of the `forward` protocol, each with a number that no other has.
struct Forwarder {
    stream: TcpStream,
    next: u64,
}

impl Forwarder {
    fn connect(port: u16) -> Self {
        let stream = wait::until(Duration::from_secs(10), || TcpStream::connect(("127.0.0.1", port)).ok());
        Self { stream: stream.expect("expected the input to listen"), next: 0 }
    }

    /// One line of each of so many streams: `[tag, time, {"log": ..., "n": number}]`.
    fn send(&mut self, streams: usize) {
        use rmp::encode::{write_array_len, write_map_len, write_str, write_uint};
        let mut out = Vec::new();
        for stream in 0..streams {
            write_array_len(&mut out, 3).unwrap();
            write_str(&mut out, &format!("stream.{stream}")).unwrap();
            write_uint(&mut out, 1_795_161_600 + self.next).unwrap();
            write_map_len(&mut out, 2).unwrap();
            write_str(&mut out, "log").unwrap();
            write_str(&mut out, &format!("line {} of stream {stream}", self.next)).unwrap();
            write_str(&mut out, "n").unwrap();
            write_uint(&mut out, self.next).unwrap();
            self.next += 1;
        }
        self.stream.write_all(&out).expect("expected the input to take records");
    }
}

/// How often each number has come.
fn numbers(receiver: &Receiver) -> BTreeMap<u64, u32> {
    let mut numbers = BTreeMap::new();
    for log in receiver.logs() {
        let number = log.payload["attributes"]["n"]["value"].as_u64().expect("expected a number");
        *numbers.entry(number).or_default() += 1;
    }
    numbers
}

fn wait_for(receiver: &Receiver, total: u64, host: &FluentBit) {
    let came = receiver.wait_until(ARRIVES_WITHIN, |seen| seen.totals.logs >= total);
    let numbers = numbers(receiver);
    assert!(came && numbers.len() as u64 == total, "{} of {total} came\n{}", numbers.len(), host.log());
}

/// Scenario 1: many small chunks during an outage, with few descriptors, and a kill in the middle.
pub fn outage_with_few_descriptors() {
    let receiver = rig::receiver("forever:503");
    let port = crate::support::net::free_port().expect("expected a free port");
    let mut host = forwarding(&receiver, port, &["summary_interval 1s"], &[]);
    let limit =
        Command::new("prlimit").args(["--nofile=200:200", "--pid"]).arg(host.id().unwrap_or(0).to_string()).status();
    assert!(limit.is_ok_and(|status| status.success()), "expected to set the limit");
    let mut forwarder = Forwarder::connect(port);
    let send = |forwarder: &mut Forwarder, host: &FluentBit| {
        let mut most = (0, 0);
        for _ in 0..25 {
            forwarder.send(STREAMS);
            std::thread::sleep(Duration::from_millis(210));
            let pid = host.id().expect("expected a running host");
            most = (most.0.max(open_files(pid)), most.1.max(open_below(pid, &host.dir().join("spool"))));
        }
        assert!(most.0 <= 150 && most.1 <= 16, "{most:?} open files, in all and of the spool");
        assert!(host.metrics().is_ok(), "expected the metrics to answer during the outage");
    };
    send(&mut forwarder, &host);
    // What the host has not flushed yet is lost with it.
    let total = forwarder.next as f64;
    let taken = wait::until_true(Duration::from_secs(10), || {
        host.metric("fluentbit_sentry_records_total", &[]).is_ok_and(|records| records == Some(total))
    });
    assert!(taken, "{:?}\n{}", host.metric("fluentbit_sentry_records_total", &[]), host.log());
    host.kill();
    host.restart().expect("expected a restart");
    forwarder.stream = Forwarder::connect(port).stream;
    send(&mut forwarder, &host);
    receiver.script("".parse().expect("expected a script"));
    wait_for(&receiver, forwarder.next, &host);
    rig::stop(&mut host);
    assert!(numbers(&receiver).values().all(|times| *times == 1));
}

/// The library that makes syncs slow; `Err` says why there is none.
pub fn slow_disk() -> Result<PathBuf, String> {
    process::on_path("cc").map(|_| PathBuf::from(env!("CARGO_MANIFEST_DIR"))).ok_or_else(|| "no cc on PATH".to_owned())
}

fn build_slow_disk(root: &Path, directory: &Path) -> String {
    let library = directory.join("slow_disk.so");
    let source = root.join("tests/fluent_bit/slow_disk.c");
    let built =
        Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl").status();
    assert!(built.is_ok_and(|status| status.success()), "expected cc to build slow_disk.c");
    library.display().to_string()
}

/// Scenario 2: 150 streams a second on a disk whose syncs take 20 ms.
pub fn a_slow_disk(root: &Path) {
    let directory = TempDir::new("slow-disk").expect("expected a directory");
    let library = build_slow_disk(root, directory.path());
    let receiver = rig::receiver("");
    let port = crate::support::net::free_port().expect("expected a free port");
    let env = [("LD_PRELOAD", library.as_str()), ("SLOW_DISK_MS", "20")];
    let mut host = forwarding(&receiver, port, &[], &env);
    let mut forwarder = Forwarder::connect(port);
    for _ in 0..8 {
        let begin = Instant::now();
        forwarder.send(150);
        std::thread::sleep(Duration::from_secs(1).saturating_sub(begin.elapsed()));
    }
    // The last ones are up to a second under way: the flush, and the batch.
    let before = forwarder.next - 150;
    let delivered = receiver.totals().logs;
    assert!(
        delivered * 100 >= before * 95,
        "{delivered} of {before} delivered when the last were sent\n{}",
        host.log()
    );
    forwarder.send(150);
    std::thread::sleep(Duration::from_millis(500));
    let stop = Instant::now();
    rig::stop(&mut host);
    assert!(stop.elapsed() < Duration::from_secs(10), "SIGTERM took {:?}", stop.elapsed());
    host.restart().expect("expected a restart");
    wait_for(&receiver, forwarder.next, &host);
    rig::stop(&mut host);
    assert!(numbers(&receiver).values().all(|times| *times == 1));
}

/// Scenario 3: a reload and a restart with slow answers and a backlog.
pub fn slow_answers(delay: &str, repeats: bool) {
    let mut rig = Rig::start(&[SPOOL, "batch_max_items 20", "senders 4"], "forever:503");
    rig.feed.append(0..1_000);
    let taken = || rig.host.metric("fluentbit_sentry_records_total", &[]).is_ok_and(|records| records == Some(1_000.0));
    assert!(wait::until_true(ARRIVES_WITHIN, taken), "{}", rig.host.log());
    rig.receiver.script(format!("forever:delay={delay}").parse().expect("expected a script"));
    assert!(rig.receiver.wait_until(ARRIVES_WITHIN, |seen| seen.totals.logs >= 40), "{:?}", rig.receiver.totals());
    rig.host.reload().expect("expected a reload");
    let before = rig.receiver.totals().logs;
    assert!(
        rig.receiver.wait_until(ARRIVES_WITHIN, |seen| seen.totals.logs >= before + 40),
        "{:?}",
        rig.receiver.totals()
    );
    rig.stop();
    rig.host.restart().expect("expected a restart");
    rig.receiver.script("".parse().expect("expected a script"));
    rig.feed.append(1_000..1_100);
    let all = || Seen::at(&rig.receiver).is_complete(1_100);
    assert!(wait::until_true(ARRIVES_WITHIN, all), "{}", rig.host.log());
    rig.stop();
    let again = Seen::at(&rig.receiver).repeats().len();
    // At two ends, an envelope of each sender at most.
    let most = if repeats { 2 * 4 * 20 } else { 0 };
    assert!(again <= most, "{again} logs came again with answers after {delay}");
}

/// Scenario 4: the spool's files, and then its directory, are removed while the host runs.
pub fn removed_files() {
    let mut rig =
        Rig::start(&[SPOOL, "queue_max_size 100K", "batch_max_items 20", "summary_interval 1s"], "forever:503");
    let spool = rig.host.dir().join("spool");
    let records = |rig: &Rig| rig.host.metric("fluentbit_sentry_records_total", &[]).ok().flatten().unwrap_or_default();
    for part in 0..20 {
        rig.feed.append(part * 200..part * 200 + 200);
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(wait::until_true(ARRIVES_WITHIN, || records(&rig) == 4_000.0), "{} {}", records(&rig), rig.host.log());
    let segments: Vec<_> = fs::read_dir(&spool).expect("a spool").flatten().map(|file| file.path()).collect();
    for segment in segments.iter().filter(|path| path.extension().is_some_and(|end| end == "msgpack")) {
        fs::remove_file(segment).expect("expected to remove a segment");
        let name = segment.file_name().unwrap_or_default().to_string_lossy().into_owned();
        assert!(rig.host.wait_for_log(&format!("{name} ("), Duration::from_secs(20)), "{name}: {}", rig.host.log());
    }
    let bytes = || rig.host.metric("fluentbit_sentry_spool_bytes", &[]).ok().flatten();
    assert!(wait::until_true(Duration::from_secs(10), || bytes() == Some(0.0)), "{:?}", bytes());
    fs::remove_dir_all(&spool).expect("expected to remove the spool");
    assert!(rig.host.wait_for_log("it is created and locked again", Duration::from_secs(20)), "{}", rig.host.log());
    rig.feed.append(4_000..4_100);
    assert!(wait::until_true(ARRIVES_WITHIN, || records(&rig) == 4_100.0), "{} {}", records(&rig), rig.host.log());
    rig.receiver.script("".parse().expect("expected a script"));
    let pending = || rig.host.metric("fluentbit_sentry_pending_items", &[]).ok().flatten();
    assert!(wait::until_true(ARRIVES_WITHIN, || pending() == Some(0.0)), "{:?} {}", pending(), rig.host.log());
    crate::counters::assert_add_up(&rig.host, NAME);
    let lost = rig.host.metric("fluentbit_sentry_items_total", &["outcome=\"lost\"", "category=\"log\""]);
    let accepted = rig.receiver.totals().logs as f64;
    assert_eq!(lost.ok().flatten().map(|lost| lost + accepted), Some(4_100.0));
    rig.stop();
}

/// Scenario 5: a full spool does not keep Fluent Bit from reloading, and a changed `spool_path` is drained.
pub fn reload_with_a_full_spool_and_another_path() {
    let small = [SPOOL, "spool_max_size 60K"];
    let (feed, receiver) = (Feed::new(), rig::receiver("forever:503"));
    let config = |lines: &[&str]| rig::config(&feed, &[rig::output(NAME, &receiver.dsn(), lines)]);
    let mut host = rig::start(&config(&small), &[]);
    for part in 0..30_u64 {
        feed.append(part * 100..part * 100 + 100);
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(host.wait_for_log("spool is full", ARRIVES_WITHIN), "{}", host.log());
    host.rewrite(&config(&["spool_path ${STATE}/other"])).expect("expected a file");
    host.reload().unwrap_or_else(|error| panic!("{error}"));
    let former = "before the reload: what is left there is sent";
    assert!(host.wait_for_log(former, Duration::from_secs(20)), "{}", host.log());
    receiver.script("".parse().expect("expected a script"));
    assert!(
        receiver.wait_until(ARRIVES_WITHIN, |seen| seen.totals.logs >= 3_000),
        "{:?} {}",
        receiver.totals(),
        host.log()
    );
    assert!(host.wait_for_log("is empty", ARRIVES_WITHIN), "{}", host.log());
    rig::stop(&mut host);
    Seen::at(&receiver).assert_exactly(3_000);
}
