//! Tests the spool's worker in a running instance.

use crate::clock::{Clock, SystemClock, WallTime};
use crate::delivery::store::{Limits, Offer, Spool, Store, split};
use crate::delivery::{Delivery, Host, Report, Severity, Verdict};
use crate::ledger::{Category, Ledger, Outcome};
use crate::options::FlushThread;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const CHUNK: &[u8] = &[0x92, 0x92, 0xd7, 0, 0, 0, 0, 9, 0, 0, 0, 5, 0x80, 0x81, 0xa1, b'k', 1];

/// Keeps the lines that are logged.
#[derive(Debug, Default)]
struct Log(Mutex<Vec<String>>);

impl Host for Log {
    fn log(&self, _: Severity, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }

    fn publish(&self, _: &Report<'_>) {}
}

struct Running {
    delivery: Delivery,
    ledger: Arc<Ledger>,
    log: Arc<Log>,
}

impl Running {
    /// An instance whose server is not there.
    fn start(spool: &Path, more: &[(&str, &str)]) -> Self {
        let given = |name: &str| match name {
            "dsn" => Some("http://0123456789abcdef0123456789abcdef@127.0.0.1:9/1".to_owned()),
            "spool_path" => Some(spool.display().to_string()),
            "exit_timeout" => Some("1ms".to_owned()),
            _ => more.iter().find(|(option, _)| *option == name).map(|(_, value)| (*value).to_owned()),
        };
        let loaded = crate::options::load(given, |_| None).unwrap();
        let (ledger, log) = (Arc::new(Ledger::default()), Arc::new(Log::default()));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        // The retry registry is one for the process: an instance of the same name would know the chunks of other tests.
        let name = spool.display().to_string();
        let delivery = Delivery::start(&name, &loaded, clock, Arc::clone(&ledger), Arc::clone(&log) as _).unwrap();
        Self { delivery, ledger, log }
    }

    fn flush(&self) -> Verdict {
        self.delivery.flush(b"tag", CHUNK, FlushThread::Engine)
    }

    fn records(&self) -> u64 {
        self.ledger.snapshot().records
    }

    fn has_logged(&self, words: &str) -> bool {
        self.log.0.lock().unwrap().iter().any(|line| line.contains(words))
    }

    fn wait_for(&self, what: &str, is_true: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !is_true(self) {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "{what}: {} {:#?}",
                self.ledger.snapshot().summary(),
                self.log.0.lock().unwrap()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn directory(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("out_sentry-worker-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    path
}

/// Records in the segments of a directory.
fn spooled(spool: &Path) -> u32 {
    let files = fs::read_dir(spool).unwrap().flatten().map(|entry| entry.path());
    let segments = files.filter(|path| path.extension().is_some_and(|extension| extension == "msgpack"));
    segments.flat_map(|path| split(&fs::read(path).unwrap())).map(|chunk| chunk.records).sum()
}

#[test]
fn knows_recent_chunks_of_an_earlier_process_once() {
    for sync in ["normal", "full"] {
        let spool = directory(&format!("unacknowledged-{sync}"));
        let more = [("spool_sync", sync)];
        let first = Running::start(&spool, &more);
        assert_eq!(first.flush(), Verdict::Ok);
        first.delivery.close();
        let second = Running::start(&spool, &more);
        assert_eq!(second.flush(), Verdict::Ok);
        assert_eq!((spooled(&spool), second.records()), (1, 1));
        assert_eq!(second.flush(), Verdict::Ok);
        assert_eq!((spooled(&spool), second.records()), (2, 2));
        second.delivery.close();
        let _ = fs::remove_dir_all(&spool);
    }
}

#[test]
fn next_instance_knows_a_chunk_whose_flush_timed_out_before_the_sync() {
    let spool = directory("gave-up");
    let more = [("spool_sync", "full")];
    let first = Running::start(&spool, &more);
    assert_eq!(first.flush(), Verdict::Ok, "it is open");
    // Flushes that wait for nothing: some leave before the sync.
    let mut abandoned = 0;
    for n in 0..20_u8 {
        let mut chunk = CHUNK.to_vec();
        *chunk.last_mut().unwrap() = n;
        let crate::delivery::admission::Entered::Unsynced(number) =
            first.delivery.enter(b"left", &chunk, FlushThread::Engine)
        else {
            panic!()
        };
        let identity = || first.delivery.shared.retry_registry.identity(b"left", &chunk);
        abandoned += u32::from(!first.delivery.shared.store.wait_for_sync(number, Duration::ZERO, identity));
    }
    first.wait_for("all synced", |first| first.records() == 21);
    first.delivery.close();
    assert!(abandoned > 0, "expected a flush that leaves before the sync");
    let second = Running::start(&spool, &more);
    for n in 0..20_u8 {
        let mut chunk = CHUNK.to_vec();
        *chunk.last_mut().unwrap() = n;
        assert_eq!(second.delivery.flush(b"left", &chunk, FlushThread::Engine), Verdict::Ok);
    }
    assert_eq!(second.records(), 21, "each of them is known");
    second.delivery.close();
    let _ = fs::remove_dir_all(&spool);
}

#[test]
fn takes_a_chunk_once_that_is_offered_again_before_its_sync() {
    let spool = directory("again");
    let running = Running::start(&spool.join("other"), &[]);
    let (retry_registry, recorder) = (&running.delivery.shared.retry_registry, running.ledger.recorder());
    let store = Store::new(crate::options::SpoolSync::Full);
    store.opened(Spool::open(&spool, 7, Limits::of(1 << 20)).unwrap().0);
    let offer = || store.offer(b"tag", CHUNK, WallTime::from_secs(9), Duration::ZERO, retry_registry, &recorder);
    let wait = |number| store.wait_for_sync(number, Duration::ZERO, || retry_registry.identity(b"tag", CHUNK));
    assert_eq!(offer(), Offer::Unsynced(1));
    assert!(!wait(1), "expected no sync before");
    assert_eq!(offer(), Offer::Unsynced(1), "it is the same chunk");
    assert!(!wait(1));
    store.synced(1, retry_registry);
    assert_eq!(offer(), Offer::Taken);
    assert_eq!((spooled(&spool), offer()), (1, Offer::Unsynced(2)), "an equal one is another chunk");
    running.delivery.close();
    let _ = fs::remove_dir_all(&spool);
}

#[test]
fn ends_records_of_removed_segments_as_lost() {
    let spool = directory("removed");
    let running = Running::start(&spool, &[("queue_max_size", "1"), ("batch_max_items", "1")]);
    for _ in 0..20 {
        assert_eq!(running.flush(), Verdict::Ok);
        // Chunks that come together are read together.
        std::thread::sleep(Duration::from_millis(20));
    }
    let segments: Vec<_> = fs::read_dir(&spool).unwrap().flatten().map(|entry| entry.path()).collect();
    for segment in segments.iter().filter(|path| path.extension().is_some_and(|extension| extension == "msgpack")) {
        fs::remove_file(segment).unwrap();
        let name = segment.file_name().unwrap().to_str().unwrap().to_owned();
        running.wait_for("named", |running| running.has_logged(&format!("{name} (")));
    }
    let lost = |running: &Running| running.ledger.snapshot().outcome(Category::Log, Outcome::Lost);
    assert!(lost(&running) > 0);
    assert_eq!(running.delivery.shared.spool_bytes(), 0);
    assert_eq!(running.flush(), Verdict::Ok, "the spool goes on");
    assert_eq!(spooled(&spool), 1);
    running.delivery.close();
    let _ = fs::remove_dir_all(&spool);
}

#[test]
fn creates_and_locks_a_removed_directory_again() {
    let spool = directory("gone");
    let running = Running::start(&spool, &[]);
    assert_eq!(running.flush(), Verdict::Ok);
    fs::remove_dir_all(&spool).unwrap();
    running.wait_for("log", |running| running.has_logged("it is created and locked again"));
    assert_eq!(running.flush(), Verdict::Ok);
    assert_eq!(spooled(&spool), 1);
    let other = Running::start(&spool, &[]);
    other.wait_for("locked out", |other| other.has_logged("is locked by another instance"));
    assert_eq!(other.flush(), Verdict::Retry);
    other.delivery.close();
    running.delivery.close();
    let _ = fs::remove_dir_all(&spool);
}
