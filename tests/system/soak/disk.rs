//! A spool on a disk that is full, or that can only be read: the host is told to wait, and nothing is lost.

use plugin_host::{Instance, Verdict};
use receiver::Receiver;
use std::path::{Path, PathBuf};
use std::process::Command;
use testkit::arrivals::{assert_exact, assert_ledger, receive, wait_for_all};
use testkit::output::{self, Ledger, PATIENCE, flush_all};
use testkit::tempdir::TempDir;
use testkit::{chunk, wait};

const TAG: &str = "kube.app";

/// Records in a chunk: a hundred kilobytes or so.
const CHUNK: u64 = 1_000;

/// A file system of its own in memory, gone with this value.
pub struct Small {
    dir: TempDir,
}

impl Small {
    /// Mounts one of so many MiB; `Err` says why there is none.
    pub fn mount(mib: u32) -> Result<Self, String> {
        let dir = TempDir::new("small").map_err(|error| error.to_string())?;
        let small = Self { dir };
        small.run("mount", &["-t", "tmpfs", "-o", &format!("size={mib}m"), "out-sentry"]).map(|()| small)
    }

    fn run(&self, program: &str, args: &[&str]) -> Result<(), String> {
        let output = Command::new(program).args(args).arg(self.dir.path()).output();
        let output = output.map_err(|error| format!("no {program}: {error}"))?;
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if output.status.success() { Ok(()) } else { Err(format!("a file system cannot be mounted here ({said})")) }
    }

    fn remount(&self, mode: &str) {
        self.run("mount", &["-o", &format!("remount,{mode}")]).unwrap_or_else(|why| panic!("{why}"));
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        _ = self.run("umount", &["-l"]);
    }
}

/// State of both tests: a receiver that refuses at first, and the plugin with its spool there.
struct Scene {
    receiver: Receiver,
    instance: Instance,
    small: Small,
}

impl Scene {
    fn on(small: Small) -> Self {
        let receiver = receive("forever:503");
        let spool: PathBuf = small.path().join("spool");
        let spool = spool.to_str().expect("expected a plain path");
        let more = [("delivery", "spool"), ("spool_path", spool), ("batch_max_items", "100")];
        let instance = output::instance(&output::load(), &receiver.dsn(), &more);
        Self { receiver, instance, small }
    }

    fn offer(&self, from: u64) -> Verdict {
        self.instance.flush(TAG, &chunk::numbered(from..from + CHUNK))
    }

    fn wait_for_line(&self, text: &str) {
        let says = || self.instance.log_lines().iter().any(|(_, line)| line.contains(text));
        assert!(wait::until_true(PATIENCE, says), "{:#?}", self.instance.log_lines());
    }

    /// With server and disk well again, the rest is taken and everything arrives.
    fn recovers(self, taken: u64, total: u64) {
        self.receiver.script("".parse().expect("expected a script"));
        let chunks = (taken..total).step_by(CHUNK as usize).map(|from| chunk::numbered(from..from + CHUNK));
        flush_all(&self.instance, TAG, chunks);
        wait_for_all(&self.receiver, total, || format!("{:#?}", self.instance.log_lines()));
        let ledger = Ledger::read(&self.instance.exit());
        assert_exact(&self.receiver, total, 0);
        assert_ledger(&self.receiver, &ledger, total);
    }
}

/// No space left, long before `spool_max_size`.
pub fn full() {
    let scene = Scene::on(Small::mount(1).expect("expected a file system"));
    let mut taken = 0;
    while scene.offer(taken) == Verdict::Ok {
        taken += CHUNK;
        assert!(taken < 1_000 * CHUNK, "expected the disk to be full by now");
    }
    assert!(taken > 0, "{:#?}", scene.instance.log_lines());
    assert_eq!(scene.offer(taken), Verdict::Retry);
    scene.wait_for_line("cannot write the spool");
    scene.recovers(taken, taken + 5 * CHUNK);
}

/// As a kernel makes a disk that fails; after a repair nobody has to restart anything.
pub fn read_only() {
    let small = Small::mount(1).expect("expected a file system");
    small.remount("ro");
    let scene = Scene::on(small);
    assert_eq!(scene.offer(0), Verdict::Retry);
    scene.wait_for_line("cannot be used");
    scene.small.remount("rw");
    scene.recovers(0, 4 * CHUNK);
}
