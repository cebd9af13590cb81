//! `flb-sentry man`: writes the manual pages, for those who package the command.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Write the manual pages, one for the command and one for each subcommand, into a directory.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The directory, which is created if it does not exist
    dir: PathBuf,
}

/// Runs the command; `command` is the whole command line there is.
pub fn run(args: &Args, command: clap::Command) -> ExitCode {
    match write(&args.dir, command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            crate::ship::complain("man", &format!("cannot write into {}: {error}", args.dir.display()));
            ExitCode::FAILURE
        }
    }
}

/// Writes `flb-sentry.1`, and `flb-sentry-check.1` and so on for the subcommands that the help lists.
///
/// # Errors
/// The directory cannot be made, or a file in it cannot be written.
fn write(dir: &Path, command: clap::Command) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    clap_mangen::generate_to(command, dir)
}
