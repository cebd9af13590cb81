//! Child processes that cannot outlive us: each has a process group of its own, ended on drop, and a lifeline.
//!
//! The lifeline covers what `Drop` cannot: a test killed by its runner. A pipe from us to a watcher in the child's
//! group closes when we end, however we end, and the watcher then ends the group.

use super::wait;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::Duration;

/// Starts the watcher on our pipe, then becomes the program: its pid is the one we know. `$0` is a directory or empty.
const LIFELINE: &str = r#"exec 3<&0
(while read -r _; do :; done; rm -rf -- "$0"; kill -s KILL -- -$$) <&3 3<&- &
exec "$@" </dev/null 3<&-"#;

/// Program to run, and the file for its output.
#[derive(Debug)]
pub struct Launch<'a> {
    /// The program: a path, or a name on `PATH`.
    pub program: &'a OsStr,
    /// Its arguments.
    pub args: Vec<&'a OsStr>,
    /// Variables on top of our own environment.
    pub env: Vec<(&'a str, &'a OsStr)>,
    /// Variables of ours that it must not see.
    pub without_env: &'a [&'a str],
    /// Its working directory.
    pub dir: &'a Path,
    /// A directory to be removed with it when we are killed; who is not killed removes his own.
    pub temporary: Option<&'a Path>,
    /// The file its standard output and standard error are appended to.
    pub log: PathBuf,
}

/// A running process and everything it started.
#[derive(Debug)]
pub struct Group {
    child: Child,
    status: Option<ExitStatus>,
    _lifeline: Option<ChildStdin>,
}

impl Launch<'_> {
    /// Runs it in a process group of its own.
    pub fn start(&self) -> io::Result<Group> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut command = Command::new("sh");
        let temporary = self.temporary.map_or(OsStr::new(""), Path::as_os_str);
        command.arg("-c").arg(LIFELINE).arg(temporary).arg(self.program).args(&self.args);
        command.current_dir(self.dir).envs(self.env.iter().copied()).process_group(0);
        self.without_env.iter().for_each(|name| _ = command.env_remove(name));
        command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log);
        let mut child = command.spawn()?;
        let lifeline = child.stdin.take();
        Ok(Group { child, status: None, _lifeline: lifeline })
    }

    /// Runs it to its end; `None` when it did not end within `limit` and was killed.
    pub fn run(&self, limit: Duration) -> io::Result<Option<ExitStatus>> {
        Ok(self.start()?.wait(limit))
    }
}

impl Group {
    /// The process id of the program, and the id of its group.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the exit status if the process has ended.
    pub fn status(&mut self) -> Option<ExitStatus> {
        // A pid that was waited for may belong to somebody else: the answer is kept, not asked again.
        if self.status.is_none() {
            self.status = self.child.try_wait().ok().flatten();
        }
        self.status
    }

    /// Waits for its end.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        wait::until(limit, || self.status())
    }

    /// Sends a signal (`TERM`, `HUP`, ...) to the program alone, as an orchestrator does.
    pub fn signal(&mut self, name: &str) {
        if self.status().is_none() {
            send(name, &self.id().to_string());
        }
    }

    /// SIGTERM, then the wait; `None` when it is still there after `limit`.
    pub fn terminate(&mut self, limit: Duration) -> Option<ExitStatus> {
        self.signal("TERM");
        self.wait(limit)
    }

    /// SIGKILL to the whole group, and the wait for its leader.
    pub fn kill(&mut self) {
        send("KILL", &format!("-{}", self.id()));
        if self.status.is_none() {
            self.status = self.child.wait().ok();
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The watcher is in the group as well: while it lives the group's id cannot have become somebody else's. It
        // goes before our end of the pipe closes, so it never acts on an end that we chose.
        self.kill();
    }
}

/// The shell's own `kill`: the standard library has none for a group, and not every image has the program.
fn send(signal: &str, target: &str) {
    let script = r#"kill -s "$0" -- "$1" 2>/dev/null"#;
    _ = Command::new("sh").args(["-c", script, signal, target]).stdin(Stdio::null()).status();
}

/// The last `lines` lines of a log, for a message.
pub fn tail(log: &Path, lines: usize) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// The first program of that name on `PATH`.
pub fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| is_program(file))
}

fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
