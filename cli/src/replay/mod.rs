//! `flb-sentry replay`: sends dead letters or a spool again through the plugin, as Fluent Bit would.
//!
//! Dead letters are fed like any chunk, in the delivery mode that answers OK once Sentry has them (`ack`). Their file is
//! then removed, and an item that is refused again becomes a dead letter again. A spool is opened by the plugin itself,
//! which knows which of its items are already settled.

mod letters;
mod marker;
mod spool;

use crate::argument::Discreet;
use crate::check::open_plain;
use crate::ship::report::{self, Report};
use crate::ship::session::{Limits, Refusal, Session};
use crate::ship::{complain, key_value};
use letters::Letters;
use marker::marker;
use spool::Spool;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

const EXAMPLES: &str = "\
Examples:
  flb-sentry replay -o dsn=$SENTRY_DSN /var/lib/fluent-bit/sentry/dead
  flb-sentry replay -o dsn=$SENTRY_DSN --keep letters/
  flb-sentry replay -o dsn_file=/run/secrets/dsn /var/lib/fluent-bit/sentry

Set the other options of the output too (`environment`, `tags`, `dsn_dir`, ...).
Each letter becomes the event or the log that it was; the record's other item is
not sent. Levels, sampling and storm control do not apply again.";

/// Send dead letters or a spool again, and report the result for every record.
///
/// PATH is a directory of dead letters (`dead_letter_path`), a spool (`spool_path`) that no instance has open, or one file
/// of either. Items that Sentry accepts are removed; items that it refuses again stay, with the new reason.
#[derive(clap::Args, Debug)]
#[command(after_long_help = report::help(EXAMPLES))]
pub struct Args {
    /// An option of the output, as in its `[OUTPUT]` section; without `dsn`, the environment variable SENTRY_DSN
    /// applies. PATH replaces `delivery`, `spool_path` and `dead_letter_*`
    #[arg(short = 'o', long = "option", value_name = "KEY=VALUE", value_parser = Discreet(key_value))]
    options: Vec<(String, String)>,

    /// The plugin file [default: beside this program, then ../lib]
    #[arg(long, value_name = "FILE")]
    plugin: Option<PathBuf>,

    /// Chunks of letters to send at the same time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    workers: u16,

    /// Leave dead letters where they are, accepted or not
    #[arg(long)]
    keep: bool,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    /// Dead letters or a spool: a directory or a file
    path: PathBuf,
}

/// Options that PATH decides.
const OURS: [&str; 4] = ["delivery", "spool_path", "dead_letter_path", "dead_letter_max_size"];

/// Room for every letter that is refused again: it was there before.
const ROOM: &str = "1000000G";

/// Runs the command.
pub fn run(args: Args) -> ExitCode {
    match replay(&args) {
        Ok(report) => report.print(args.json).into(),
        Err(refusal) => {
            complain("replay", &refusal.problem);
            refusal.code.into()
        }
    }
}

/// The kind of files that PATH holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Letters,
    Spool,
}

fn replay(args: &Args) -> Result<Report, Refusal> {
    let unreadable = |error: io::Error| refusal(&args.path, &error.to_string());
    // A pipe or device would hold the command, and a link leads to files that are not the plugin's.
    if !fs::metadata(&args.path).is_ok_and(|metadata| metadata.is_dir()) {
        open_plain(&args.path).map_err(unreadable)?;
    }
    let path = args.path.canonicalize().map_err(unreadable)?;
    let is_file = path.is_file();
    let files = if is_file { vec![path.clone()] } else { chunk_files(&path).map_err(unreadable)? };
    let directory = if is_file { path.parent().unwrap_or(&path).to_owned() } else { path.clone() };
    match kind(&files, &directory).map_err(unreadable)? {
        Some(Kind::Spool) if !is_file => replay_spool(args, &directory, &files),
        Some(Kind::Spool) => {
            if path.with_extension("progress").exists() {
                return Err(refusal(
                    &path,
                    "was sent in part: replay its directory, where the progress file states which part",
                ));
            }
            let _lock = lock(&directory, "lock")?;
            replay_files(args, &directory, files)
        }
        Some(Kind::Letters) => {
            let _lock = lock(&directory, "replay.lock")?;
            replay_files(args, &directory, files)
        }
        None => {
            Err(refusal(&path, "expected dead letters or a spool: files ending in .msgpack, as the plugin writes them"))
        }
    }
}

fn replay_spool(args: &Args, directory: &Path, files: &[PathBuf]) -> Result<Report, Refusal> {
    if args.keep {
        return Err(refusal(
            directory,
            "is a spool, and --keep is only for dead letters; replay a copy of the directory instead",
        ));
    }
    drop(lock(directory, "lock")?);
    let options = options(args, &[("delivery", "spool"), ("spool_path", &directory.display().to_string())]);
    let total = Some(Spool::bytes(files));
    let session = Session::open(args.plugin.as_deref(), &options, 0, Limits::default(), total)?;
    let source = Arc::new(Spool::new(directory.to_owned(), Arc::clone(&session.queue)));
    session.run("replay", &source)
}

fn replay_files(args: &Args, directory: &Path, files: Vec<PathBuf>) -> Result<Report, Refusal> {
    let place = directory.display().to_string();
    let mut ours = vec![("delivery", "ack")];
    if !args.keep {
        ours.extend([("dead_letter_path", place.as_str()), ("dead_letter_max_size", ROOM)]);
    }
    let (options, total) = (options(args, &ours), Some(Spool::bytes(&files)));
    let session = Session::open(args.plugin.as_deref(), &options, args.workers.into(), Limits::default(), total)?;
    let (queue, console) = (Arc::clone(&session.queue), Arc::clone(&session.console));
    let letters = Arc::new(Letters::new(files, args.keep, queue, console));
    let report = session.run("replay", &letters);
    letters.sweep();
    report
}

/// Returns the given options without those that this command decides itself, followed by this command's own.
fn options(args: &Args, ours: &[(&str, &str)]) -> Vec<(String, String)> {
    let theirs = args.options.iter().filter(|(key, _)| !OURS.contains(&key.to_ascii_lowercase().as_str()));
    theirs.cloned().chain(ours.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))).collect()
}

/// The files of chunks in a directory, oldest first.
fn chunk_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "msgpack") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Returns what the first file with a marker says. An empty directory is one of letters, or with a lock one of a spool; one that holds
/// other files is neither.
fn kind(files: &[PathBuf], directory: &Path) -> io::Result<Option<Kind>> {
    const LONGEST_MARKER: u64 = 1 << 20;
    for file in files {
        let mut head = Vec::new();
        open_plain(file)?.take(LONGEST_MARKER).read_to_end(&mut head)?;
        if let Some(marker) = marker(&head) {
            return Ok(Some(if marker.outcome.is_some() { Kind::Letters } else { Kind::Spool }));
        }
    }
    if !files.is_empty() {
        return Ok(None);
    }
    if directory.join("lock").exists() {
        return Ok(Some(Kind::Spool));
    }
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name();
        if name != "replay.lock" && Path::new(&name).extension().is_none_or(|extension| extension != "tmp") {
            return Ok(None);
        }
    }
    Ok(Some(Kind::Letters))
}

/// Keeps others out while it lives.
fn lock(directory: &Path, name: &str) -> Result<File, Refusal> {
    let path = directory.join(name);
    // Neither a link nor a named pipe in its place.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = File::options().create(true).truncate(false).write(true).mode(0o600).custom_flags(flags).open(&path);
    let file = file.map_err(|error| refusal(&path, &error.to_string()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(refusal(
            directory,
            "is in use: a running instance sends its records, or another replay is running; stop it first",
        )),
        Err(TryLockError::Error(error)) => Err(refusal(&path, &error.to_string())),
    }
}

fn refusal(path: &Path, problem: &str) -> Refusal {
    Refusal { code: 4, problem: format!("{}: {problem}; nothing was sent", path.display()) }
}

#[cfg(test)]
mod tests {
    use super::marker::written;
    use super::*;

    #[test]
    fn the_first_whole_marker_says_what_a_directory_holds() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let found = || kind(&chunk_files(path).unwrap(), path).unwrap();
        assert_eq!(found(), Some(Kind::Letters), "nothing there is no letters");
        fs::write(path.join("notes.txt"), b"").unwrap();
        assert_eq!(found(), None, "a directory of somebody else");
        fs::remove_file(path.join("notes.txt")).unwrap();
        fs::write(path.join("replay.lock"), b"").unwrap();
        assert_eq!(found(), Some(Kind::Letters));
        fs::write(path.join("1.msgpack"), b"torn").unwrap();
        assert_eq!(found(), None);
        fs::write(path.join("2.msgpack"), written("a", 0, &[])).unwrap();
        assert_eq!(found(), Some(Kind::Spool));
        fs::write(path.join("0.msgpack"), written("a", 0, &[("outcome", "rejected")])).unwrap();
        assert_eq!(found(), Some(Kind::Letters));
        fs::write(path.join("0.tmp"), b"").unwrap();
        assert_eq!(chunk_files(path).unwrap().len(), 3);
    }

    #[test]
    fn a_lock_keeps_others_out() {
        let directory = tempfile::tempdir().unwrap();
        let held = lock(directory.path(), "lock").ok().unwrap();
        let refused = lock(directory.path(), "lock").err().unwrap();
        assert!(refused.code == 4 && refused.problem.contains("running instance"), "{}", refused.problem);
        drop(held);
        assert!(lock(directory.path(), "lock").is_ok());
    }

    #[test]
    fn a_lock_is_no_link_and_no_pipe() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        std::os::unix::fs::symlink(path.join("elsewhere"), path.join("link")).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(path.join("pipe")).status().unwrap().success());
        assert!(lock(path, "link").is_err() && lock(path, "pipe").is_err());
        assert!(!path.join("elsewhere").exists());
    }
}
