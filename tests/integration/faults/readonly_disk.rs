//! A spool that nothing can be written to or deleted from while the plugin runs, as on a disk that its kernel has made
//! read-only: the host is told to wait, what is on the disk is sent, and afterwards nothing is sent twice.

use plugin_host::Verdict;
use std::fs;
use std::path::Path;
use std::process::Command;
use testkit::arrivals::{Setting, assert_exact, receive, wait_for_all};
use testkit::output::{Ledger, PATIENCE, flush_all};
use testkit::process::on_path;
use testkit::tempdir::TempDir;
use testkit::{chunk, wait};

const TAG: &str = "kube.app";

/// Nothing in this directory changes, for root neither, until the value is dropped.
struct Frozen<'d>(&'d Path);

impl<'d> Frozen<'d> {
    fn new(directory: &'d Path) -> Result<Self, String> {
        let readonly_disk = Self(directory);
        readonly_disk.set("+i").map(|()| readonly_disk)
    }

    fn set(&self, flag: &str) -> Result<(), String> {
        let output = Command::new("chattr").args(["-R", flag]).arg(self.0).output();
        let output = output.map_err(|error| format!("chattr: {error}"))?;
        output.status.success().then_some(()).ok_or_else(|| {
            format!("files cannot be made immutable here ({})", String::from_utf8_lossy(&output.stderr).trim())
        })
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        _ = self.set("-i");
    }
}

/// Checks that files can be made immutable here, which requires root and support by the file system.
pub fn possible() -> Result<(), String> {
    on_path("chattr").ok_or("no chattr on PATH")?;
    let dir = TempDir::new("frozen").map_err(|error| error.to_string())?;
    let readonly_disk = Frozen::new(dir.path())?;
    let written = fs::write(dir.path().join("file"), "").is_ok();
    drop(readonly_disk);
    if written { Err("files can be made in an immutable directory here".to_owned()) } else { Ok(()) }
}

/// See the module.
pub fn while_running() {
    let (receiver, setting) = (receive("forever:503"), Setting::new("spool"));
    let instance = setting.start(&receiver.dsn(), &[]);
    flush_all(&instance, TAG, [chunk::numbered(0..100), chunk::numbered(100..200)]);
    let readonly_disk = Frozen::new(setting.dir.path()).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(instance.flush(TAG, &chunk::numbered(200..300)), Verdict::Retry);
    let told = || instance.log_lines().iter().any(|(_, line)| line.contains("cannot write the spool"));
    assert!(wait::until_true(PATIENCE, told), "{:#?}", instance.log_lines());
    receiver.script("".parse().expect("expected a script"));
    wait_for_all(&receiver, 200, || format!("{:#?}", instance.log_lines()));
    assert_eq!(instance.flush(TAG, &chunk::numbered(200..300)), Verdict::Retry);
    drop(readonly_disk);
    flush_all(&instance, TAG, [chunk::numbered(200..300)]);
    wait_for_all(&receiver, 300, || format!("{:#?}", instance.log_lines()));
    let ledger = Ledger::read(&instance.exit());
    assert_exact(&receiver, 300, 0);
    ledger.assert_closed();
    let left = fs::read_dir(setting.dir.path()).expect("expected a spool").flatten();
    let left: Vec<_> = left.map(|entry| entry.file_name()).filter(|name| name != "lock").collect();
    assert_eq!(left, [""; 0], "the next start would send them again");
    // It has nothing to send.
    let again = Ledger::read(&setting.start(&receiver.dsn(), &[]).exit());
    assert_eq!(again.get("records"), 0);
    assert_exact(&receiver, 300, 0);
}
