//! Tests what an instance does when it closes, and what the next process does with its spool.

use super::{RECORDS, TAG};
use receiver::{Script, Snapshot};
use std::ffi::OsStr;
use std::path::Path;
use testkit::arrivals::{Setting, assert_exact, chunks, logs, receive, wait_for_all};
use testkit::output::{Ledger, PATIENCE, exit_when, flush_all, instance, load};
use testkit::process::{Group, Launch};
use testkit::tempdir::TempDir;
use testkit::{chunk, wait};

/// From the moment it closes, an instance with a spool starts no request: it waits for those on their way, and the rest is
/// for the next one.
pub(super) fn a_spool_that_closes_starts_no_request() {
    let receiver = receive("forever:delay=400ms");
    let setting = Setting::new("spool");
    let options = [("exit_timeout", "20s"), ("senders", "1"), ("batch_max_items", "10"), ("event_level", "off")];
    let first = setting.start(&receiver.dsn(), &options);
    flush_all(&first, TAG, chunks(RECORDS));
    assert!(receiver.wait_until(PATIENCE, |seen| seen.totals.logs >= 20), "{:?}", receiver.totals());
    let before = receiver.totals().logs;
    let first = Ledger::read(&first.exit());
    let sent = receiver.totals().logs;
    // The one on its way, and one that began before the end was known.
    assert!(sent <= before + 20, "{before} logs before the exit, {sent} after it");
    assert_eq!((first.get("log.accepted"), first.get("log.pending")), (sent, RECORDS - sent), "{first:?}");
    receiver.script(Script::default());
    let second = setting.start(&receiver.dsn(), &[]);
    wait_for_all(&receiver, RECORDS, || format!("{:#?}", second.log_lines()));
    Ledger::read(&second.exit()).assert_closed();
    assert_exact(&receiver, RECORDS, 0);
}

/// A request that is cut may have arrived: the next process sends its logs after all others.
pub(super) fn logs_of_a_cut_request_are_sent_last() {
    let receiver = receive("2xlog:ok then forever:log:delay=30s");
    let setting = Setting::new("spool");
    let options = [("exit_timeout", "300ms"), ("senders", "1"), ("batch_max_items", "10"), ("event_level", "off")];
    let first = setting.start(&receiver.dsn(), &options);
    flush_all(&first, TAG, chunks(RECORDS));
    assert!(receiver.wait_until(PATIENCE, |seen| seen.totals.logs == 20), "{:?}", receiver.totals());
    // The third request is on its way.
    std::thread::sleep(std::time::Duration::from_millis(200));
    let began = receiver.requests().len();
    let first = Ledger::read(&first.exit());
    assert_eq!((first.get("log.accepted"), first.get("log.pending")), (20, RECORDS - 20), "{first:?}");
    receiver.script(Script::default());
    let second = setting.start(&receiver.dsn(), &options);
    let all = |seen: &Snapshot| logs(seen).len() as u64 == RECORDS;
    assert!(receiver.wait_until(PATIENCE, all), "{:?} {:#?}", receiver.totals(), second.log_lines());
    let last = receiver.requests().into_iter().max_by_key(|request| request.index).expect("expected requests");
    assert!(receiver.requests().len() > began);
    let text = String::from_utf8_lossy(&last.body).into_owned();
    let cut: Vec<u64> = (20..30).filter(|n| text.contains(&format!("order {n} was"))).collect();
    assert_eq!(cut, (20..30).collect::<Vec<_>>(), "{text}");
    Ledger::read(&second.exit()).assert_closed();
}

/// Items that are held in memory at exit are lost, and counted as lost.
pub(super) fn counts_items_in_memory_at_exit_as_lost() {
    let receiver = receive("forever:503");
    let setting = Setting::new("memory");
    let instance = setting.start(&receiver.dsn(), &[("exit_timeout", "100ms")]);
    flush_all(&instance, TAG, chunks(RECORDS));
    let ledger = Ledger::read(&instance.exit());
    ledger.assert_closed();
    assert_eq!((ledger.get("log.lost"), ledger.get("event.lost")), (RECORDS, RECORDS / 10), "{ledger:?}");
}

/// The next process sends all records that the spool holds at exit, and counts them, so that its ledger closes too.
pub(super) fn a_spool_is_replayed() {
    let receiver = receive("forever:event:ok then 3xlog:ok then forever:503");
    let setting = Setting::new("spool");
    let first = setting.start(&receiver.dsn(), &[("exit_timeout", "100ms"), ("senders", "1")]);
    flush_all(&first, TAG, chunks(RECORDS));
    assert!(receiver.wait_until(PATIENCE, |seen| seen.totals.logs == 60), "{:#?}", first.log_lines());
    let first = Ledger::read(&first.exit());
    first.assert_closed();
    assert_eq!((first.get("records"), first.get("log.accepted"), first.get("log.pending")), (RECORDS, 60, 240));
    receiver.script(Script::default());
    let second = setting.start(&receiver.dsn(), &[]);
    wait_for_all(&receiver, RECORDS, || format!("{:#?}", second.log_lines()));
    let second = Ledger::read(&second.exit());
    second.assert_closed();
    // The chunks that were half sent, with what the first process had already settled of them.
    let again = second.get("records");
    assert_eq!((second.get("log.accepted"), second.get("log.pending")), (again, 0), "{second:?}");
    assert!((240..=RECORDS).contains(&again), "{second:?}");
    assert_exact(&receiver, RECORDS, 0);
    assert_eq!(chunk_files(setting.dir.path()), 0, "expected an empty spool");
}

/// A decision about a record that does not depend on the record (a storm, an expired hold) is final: the next process neither
/// sends the record nor counts it again.
pub(super) fn next_process_keeps_decisions_about_records() {
    let receiver = receive("forever:429,x-sentry-rate-limits=60:error;log_item:key");
    let setting = Setting::new("spool");
    let options = [("exit_timeout", "100ms"), ("storm_burst", "1"), ("hold_logs", "0"), ("summary_interval", "1s")];
    let first = setting.start(&receiver.dsn(), &options);
    flush_all(&first, TAG, chunks(RECORDS));
    let decided = |line: &str| line.contains("event.suppressed=29 ") && line.contains("log.rate_limited=300 ");
    let first = exit_when(first, decided);
    first.assert_closed();
    receiver.script(Script::default());
    let second = setting.start(&receiver.dsn(), &options);
    assert!(receiver.wait_until(PATIENCE, |seen| seen.totals.events >= 1), "{:#?}", second.log_lines());
    let second = exit_when(second, |line| line.contains("event.pending=0 "));
    let cells = ["event.accepted", "event.suppressed", "event.filtered"];
    second.assert_closed();
    // Nothing of it is decided anew: what the first process decided stands in the second one's books as it was.
    assert_eq!(second.get("log.rate_limited"), second.get("records"), "{second:?}");
    let events = cells[..3].iter().map(|cell| second.get(cell)).sum::<u64>();
    assert_eq!((second.get("event.accepted"), events), (1, second.get("records")), "{second:?}");
    assert_eq!((receiver.totals().events, receiver.totals().logs), (1, 0));
}

fn chunk_files(spool: &Path) -> usize {
    let files = std::fs::read_dir(spool).into_iter().flatten().flatten();
    files.filter(|file| file.path().extension() == Some(OsStr::new("msgpack"))).count()
}

/// Records in all whole files of a spool.
fn spooled(spool: &Path) -> u64 {
    let files = std::fs::read_dir(spool).into_iter().flatten().flatten().map(|file| file.path());
    let chunks = files.filter(|path| path.extension() == Some(OsStr::new("msgpack")));
    let bytes = chunks.filter_map(|path| std::fs::read(path).ok());
    bytes.flat_map(|bytes| out_sentry::delivery::split_spool(&bytes)).map(|segment| u64::from(segment.records)).sum()
}

/// `flb-sentry ship` of a chunk file, in a process that can be killed.
fn ship(dir: &Path, dsn: &str, file: &Path) -> Group {
    let (plugin, companion) = (testkit::plugin(), testkit::companion());
    let spool = format!("spool_path={}", dir.join("spool").display());
    let dsn = format!("dsn={dsn}");
    let options = [
        &dsn,
        &spool,
        "proxy=none",
        "log_level=info",
        "retry_base=20ms",
        "retry_max=50ms",
        "batch_max_items=10",
        "batch_timeout=10ms",
        "storm_burst=0",
    ];
    let options = options.into_iter().flat_map(|option| ["-o", option]).map(OsStr::new);
    let fixed = ["ship", "--chunk-size", "2K", "--tag", TAG, "--plugin"].map(OsStr::new);
    let launch = Launch {
        program: companion.as_os_str(),
        args: fixed.into_iter().chain([plugin.as_os_str()]).chain(options).chain([file.as_os_str()]).collect(),
        env: Vec::new(),
        without_env: &["SENTRY_DSN"],
        dir,
        temporary: None,
        log: dir.join("log"),
    };
    launch.start().expect("expected flb-sentry to start")
}

/// SIGKILL in the middle of delivery: nothing is missing afterwards, and only logs that were on their way come twice.
pub(super) fn a_killed_process_loses_nothing() {
    let dir = TempDir::new("killed").expect("expected a directory");
    let (file, spool) = (dir.path().join("in.msgpack"), dir.path().join("spool"));
    std::fs::write(&file, chunk::numbered(0..RECORDS)).expect("expected to write a chunk");
    let receiver = receive("forever:503");
    let mut process = ship(dir.path(), &receiver.dsn(), &file);
    assert!(wait::until_true(PATIENCE, || spooled(&spool) == RECORDS), "spooled: {}", spooled(&spool));
    receiver.script("forever:delay=20ms".parse().expect("expected a script"));
    assert!(receiver.wait_until(PATIENCE, |seen| seen.totals.logs >= RECORDS / 3), "{:?}", receiver.totals());
    process.kill();
    let before = receiver.totals();
    assert!(before.logs < RECORDS, "expected to kill it in the middle, found {before:?}");
    receiver.script(Script::default());
    let spool_path = spool.to_str().expect("expected a plain path");
    let again = instance(&load(), &receiver.dsn(), &[("spool_path", spool_path)]);
    wait_for_all(&receiver, RECORDS, || format!("{:#?}", again.log_lines()));
    let ledger = Ledger::read(&again.exit());
    assert_eq!((ledger.get("log.pending"), ledger.get("event.pending")), (0, 0), "{ledger:?}");
    // One envelope a sender.
    assert_exact(&receiver, RECORDS, 4);
    assert_eq!(chunk_files(&spool), 0, "expected an empty spool");
}
