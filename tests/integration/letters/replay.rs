//! Tests of `flb-sentry replay`: dead letters and spools are sent again once, and hostile files are refused.

use super::{Setting, TAG, files, receive, trace};
use out_sentry::chunk::{Entry, entries};
use receiver::{Receiver, Script};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use testkit::chunk;
use testkit::output::{Ledger, PATIENCE, exit_when, flush_all};
use testkit::tempdir::TempDir;

/// `flb-sentry replay PATH --json` and what it says.
pub(super) fn replay(dsn: &str, path: &Path, more: &[&str]) -> (i32, Value, String) {
    let dsn = format!("dsn={dsn}");
    let fixed = ["proxy=none", "retry_base=20ms", "retry_max=50ms", "batch_timeout=10ms", "storm_burst=1", &dsn];
    let mut command = Command::new(testkit::companion());
    command.arg("replay").arg("--json").arg("--plugin").arg(testkit::plugin());
    command.args(fixed.iter().flat_map(|option| ["-o", option])).args(more).arg(path).env_remove("SENTRY_DSN");
    let output = command.output().expect("expected flb-sentry to run");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code().unwrap_or(-1), report, errors)
}

/// Letters of everything that was ever refused, ready to be sent to a server that takes it.
fn refused(receiver: &Receiver, chunks: &[Vec<u8>]) -> Setting {
    let setting = Setting::new("spool");
    let more = [("hold_events", "0"), ("hold_logs", "0"), ("exit_timeout", "20s")];
    let instance = setting.start(&receiver.dsn(), &more);
    flush_all(&instance, TAG, chunks.iter().cloned());
    let settled = |line: &str| line.contains(" log.pending=0 ") && line.contains(" event.pending=0 ");
    exit_when(instance, |line| !line.contains("records=0 ") && settled(line));
    receiver.script(Script::default());
    setting
}

fn numbers(receiver: &Receiver) -> (Vec<u64>, Vec<u64>) {
    let number = |value: &Value| value.as_u64().unwrap_or(u64::MAX);
    let mut logs: Vec<_> = receiver.logs().iter().map(|log| number(&log.payload["attributes"]["n"]["value"])).collect();
    let mut events: Vec<_> = receiver.events().iter().map(|event| number(&event.payload["extra"]["n"])).collect();
    logs.sort_unstable();
    events.sort_unstable();
    (logs, events)
}

/// Each letter becomes its own item again and nothing else, and goes away when Sentry has it.
pub(super) fn letters_are_sent_again_once() {
    let receiver = receive("forever:429,retry-after=60");
    let setting = refused(&receiver, &[chunk::numbered(0..50), chunk::numbered(50..100)]);
    assert_eq!(setting.letters().len(), 110);
    let (code, report, errors) = replay(&receiver.dsn(), &setting.dead(), &[]);
    assert_eq!(code, 0, "{report:#} {errors}");
    assert_eq!((&report["ledger"]["log.accepted"], &report["ledger"]["event.accepted"]), (&100.into(), &10.into()));
    assert_eq!(numbers(&receiver), ((0..100).collect(), (0..100).step_by(10).collect()));
    assert_eq!(receiver.problems(), [""; 0]);
    assert_eq!(files(&setting.dead()).len(), 0);
    let (code, report, errors) = replay(&receiver.dsn(), &setting.dead(), &[]);
    assert_eq!((code, &report["ledger"]["records"]), (0, &0.into()), "{errors}");
}

/// Removes all letters of a file but the last.
fn keep_last(file: &Path) {
    let bytes = fs::read(file).expect("expected to read a letter");
    let start = |entry| match entry {
        Entry::GroupStart(marker) => Some(marker.raw.as_ptr() as usize - bytes.as_ptr() as usize),
        _ => None,
    };
    let last = entries(&bytes).filter_map(start).last().expect("expected a letter");
    fs::write(file, &bytes[last..]).expect("expected to write a letter");
}

/// A replayed event has the id that it had at first, a twin and a joined trace too, and the same exception.
pub(super) fn a_replayed_event_is_the_same_event() {
    let receiver = receive("forever:event:429,x-sentry-rate-limits=60:error:key");
    let twins = chunk::of([&json!({"message": "twin", "level": "error"})]).repeat(2);
    let setting = refused(&receiver, &[trace(), twins]);
    let letters = setting.letters();
    let mut ids: Vec<_> = letters.iter().map(|letter| letter.says("event_id").to_owned()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((letters.len(), ids.len()), (3, 3), "{letters:#?}");
    let tried: Vec<_> =
        receiver.requests().iter().map(|request| String::from_utf8_lossy(&request.body).into_owned()).collect();
    assert!(ids.iter().any(|id| tried.iter().any(|body| body.contains(id.as_str()))), "{ids:?}");
    let before = receiver.totals().logs;
    // The second twin alone: by its order it would be the first.
    files(&setting.dead()).iter().for_each(|file| keep_last(file));
    let mut ids: Vec<_> = setting.letters().iter().map(|letter| letter.says("event_id").to_owned()).collect();
    ids.sort_unstable();
    assert_eq!(ids.len(), 2);
    let (code, report, errors) = replay(&receiver.dsn(), &setting.dead(), &[]);
    assert_eq!(code, 0, "{report:#} {errors}");
    let mut came: Vec<_> = receiver.events().iter().map(|event| event.event_id.clone()).collect();
    came.sort_unstable();
    assert_eq!(came, ids);
    assert_eq!(receiver.totals().logs, before, "the log of an event's record is not sent again");
    let exceptions: Vec<_> = receiver.events().iter().map(|event| event.payload["exception"].clone()).collect();
    assert!(exceptions.iter().any(|exception| exception.to_string().contains("ValueError")), "{exceptions:?}");
}

/// Items that are rejected again stay in the directory, and the command reports them.
pub(super) fn keeps_items_that_are_rejected_again() {
    let receiver = receive("forever:429,retry-after=60");
    let broken = [chunk::numbered(0..10), vec![0xc1; 40]].concat();
    let setting = refused(&receiver, &[broken]);
    // A server that has never taken anything is believed to be wrong itself.
    receiver.script("3xlog:ok then poison=order 3 was".parse().expect("expected a script"));
    let (code, report, errors) =
        replay(&receiver.dsn(), &setting.dead(), &["-o", "batch_max_items=1", "-o", "senders=1"]);
    assert_eq!(code, 1, "{report:#} {errors}");
    let letters = setting.letters();
    let mut outcomes: Vec<_> = letters.iter().map(|letter| letter.says("outcome").to_owned()).collect();
    outcomes.sort_unstable();
    assert_eq!(outcomes, ["invalid", "rejected"], "{letters:#?}");
    let invalid = letters.iter().find(|letter| letter.says("outcome") == "invalid").expect("a letter");
    assert_eq!(invalid.invalid, [0xc1; 40]);
    assert_eq!(numbers(&receiver).0, [0, 1, 2, 4, 5, 6, 7, 8, 9]);
}

pub(super) fn letters_can_be_kept() {
    let receiver = receive("forever:429,retry-after=60");
    let setting = refused(&receiver, &[chunk::numbered(0..10)]);
    let before = files(&setting.dead());
    let (code, report, errors) = replay(&receiver.dsn(), &before[0], &["--keep"]);
    assert_eq!(code, 0, "{report:#} {errors}");
    assert_eq!(files(&setting.dead()), before);
    assert!(receiver.totals().logs + receiver.totals().events >= 1);
}

/// A spool is sent again from where it stands, unless an instance has it.
pub(super) fn a_spool_is_replayed_unless_it_is_in_use() {
    let receiver = receive("2xlog:ok then forever:503");
    let setting = Setting::new("spool");
    let options = [("exit_timeout", "100ms"), ("senders", "1"), ("batch_max_items", "10"), ("event_level", "off")];
    let instance = setting.start(&receiver.dsn(), &options);
    flush_all(&instance, TAG, [chunk::numbered(0..50), chunk::numbered(50..100)]);
    assert!(receiver.wait_until(PATIENCE, |seen| seen.totals.logs == 20), "{:#?}", instance.log_lines());
    let (code, _, errors) = replay(&receiver.dsn(), setting.dir.path(), &[]);
    assert!(code == 4 && errors.contains("running instance"), "{code} {errors}");
    let ledger = Ledger::read(&instance.exit());
    assert_eq!(ledger.get("log.pending"), 80, "{ledger:?}");
    receiver.script(Script::default());
    let (code, report, errors) = replay(&receiver.dsn(), setting.dir.path(), &["-o", "event_level=off"]);
    assert_eq!(code, 0, "{report:#} {errors}");
    // A chunk of which some was sent before counts whole.
    assert!(report["ledger"]["log.accepted"].as_u64() >= Some(80), "{report:#}");
    assert_eq!(numbers(&receiver).0, (0..100).collect::<Vec<_>>());
    assert_eq!(files(setting.dir.path()).len(), 0);
}

pub(super) fn replays_only_dead_letters() {
    let dir = TempDir::new("letters").expect("expected a directory");
    let file = dir.path().join("a.msgpack");
    fs::write(&file, chunk::numbered(0..3)).expect("expected to write a chunk");
    let receiver = receive("");
    for path in [dir.path(), &file, &dir.path().join("missing")] {
        let (code, _, errors) = replay(&receiver.dsn(), path, &[]);
        assert!(code == 4 && errors.contains("nothing was sent"), "{code} {errors}");
    }
    assert_eq!(receiver.totals().requests, 0);
}

/// An attacker who can create files in the directory of dead letters must not block the machine or fill its memory: a path
/// that is no regular file, or a huge one, is refused at once and in little memory.
pub(super) fn hostile_files_are_refused_at_once() {
    let receiver = receive("");
    let dir = TempDir::new("letters").expect("expected a directory");
    let good = dir.path().join("good");
    fs::write(&good, chunk::numbered(0..3)).expect("expected to write a chunk");
    let place = |name: &str| {
        let below = dir.path().join(name);
        fs::create_dir(&below).expect("expected a directory");
        below.join("a.msgpack")
    };
    let (pipe, link, device, sparse) = (place("pipe"), place("link"), place("device"), place("sparse"));
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("expected mkfifo to run").success());
    std::os::unix::fs::symlink(&good, &link).expect("expected a link");
    std::os::unix::fs::symlink("/dev/zero", &device).expect("expected a link");
    fs::File::create(&sparse).and_then(|file| file.set_len(2 << 30)).expect("expected a sparse file");
    let mut paths: Vec<_> = [&pipe, &link, &device, &sparse].into_iter().map(PathBuf::as_path).collect();
    let directories: Vec<_> = paths.iter().map(|path| path.parent().expect("expected a directory")).collect();
    paths.extend(directories);
    paths.push(Path::new("/dev/zero"));
    for path in paths {
        let start = std::time::Instant::now();
        let mut command = Command::new("sh");
        // 512 MB of addresses, where the program has 300 by itself.
        command.args(["-c", "ulimit -v 512000; exec \"$@\"", "sh"]).arg(testkit::companion());
        command.arg("replay").arg("--plugin").arg(testkit::plugin());
        command.args(["-o", &format!("dsn={}", receiver.dsn())]).arg(path).env_remove("SENTRY_DSN");
        let output = command.output().expect("expected flb-sentry to run");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(4) && errors.contains("nothing was sent"), "{}: {errors}", path.display());
        assert!(start.elapsed() < PATIENCE, "{} took {:?}", path.display(), start.elapsed());
    }
    assert_eq!(receiver.totals().requests, 0);
}
