//! A wall clock that jumps, by weeks and both ways, while the plugin waits, retries and keeps to limits: nothing is lost,
//! nothing doubled, and no wait is longer than it was. (It is never ahead of the server's, which would refuse times to come.)

use super::hostile::{Host, RECORDS, assert_sound};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use testkit::arrivals::{assert_exact, receive, wait_for_all, wait_until_settled};
use testkit::output::Ledger;
use testkit::tempdir::TempDir;

/// Contents of the file that the library reads at each query of the time.
const JUMPS: [&str; 7] = ["-2h", "+0", "-20d", "-61s", "-10d", "-12d", "+0"];

/// A 429 each way of naming a time, and trouble, while every answer takes its time.
const FAULTS: &str = "2x503 then log:429,x-sentry-rate-limits=1:log_item:organization then event:429,retry-after=1 \
                      then 2x500 then forever:delay=60ms";

/// The library that stands between a process and its clock, of Debian's package `faketime`.
pub fn library() -> Result<PathBuf, String> {
    let found = ["x86_64-linux-gnu", "aarch64-linux-gnu"]
        .map(|arch| Path::new("/usr/lib").join(arch).join("faketime/libfaketimeMT.so.1"));
    found.into_iter().find(|file| file.is_file()).ok_or_else(|| "no libfaketime (package faketime)".to_owned())
}

/// See the module.
pub fn jumps(library: &Path, delivery: &'static str) {
    let (receiver, dir) = (receive(FAULTS), TempDir::new("clock").expect("expected a directory"));
    let clock = dir.path().join("clock");
    let set = |offset: &str| {
        let unfinished = dir.path().join("unfinished");
        let written = fs::write(&unfinished, format!("{offset}\n")).and_then(|()| fs::rename(&unfinished, &clock));
        written.expect("expected to set the clock");
    };
    set("+0");
    let env = [
        ("LD_PRELOAD", library),
        ("FAKETIME_TIMESTAMP_FILE", &clock),
        ("FAKETIME_NO_CACHE", Path::new("1")),
        // The kernel's steady clock does not jump when somebody sets the other.
        ("FAKETIME_DONT_FAKE_MONOTONIC", Path::new("1")),
    ];
    let host = Host::start(&receiver.dsn(), delivery, 0, &dir.path().join("spool"), &env);
    let mut offsets = JUMPS.iter().cycle();
    let all = |seen: &receiver::Snapshot| seen.totals.logs >= RECORDS && seen.totals.events >= RECORDS / 10;
    for _ in 0..200 {
        set(offsets.next().expect("expected another jump"));
        if receiver.wait_until(Duration::from_millis(150), all) {
            break;
        }
    }
    wait_for_all(&receiver, RECORDS, String::new);
    wait_until_settled(&dir.path().join("spool"));
    let said = host.end();
    let ledger = Ledger::read(&said.lines);
    ledger.assert_closed();
    let cells = ["records", "log.accepted", "event.accepted", "log.pending"].map(|cell| ledger.get(cell));
    assert_eq!(cells, [RECORDS, RECORDS, RECORDS / 10, 0], "{:#?}", said.lines);
    assert_exact(&receiver, RECORDS, 0);
    assert_sound(&said.lines);
    let days: BTreeSet<_> = receiver.requests().iter().filter_map(|request| day(&request.body)).collect();
    assert!(days.len() > 1, "expected the clock to have jumped: {days:?}");
}

/// On which day the plugin says to have sent an envelope.
fn day(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let (_, after) = text.split_once("\"sent_at\":\"")?;
    after.get(..10).map(str::to_owned)
}
