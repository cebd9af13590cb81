//! Checks the files and directories that an output names, as this user sees them on this machine.

use super::certificate;
use super::output::Output;
use super::report::{Report, Weight};
use out_sentry::clock::WallTime;
use out_sentry::options::{Dsn, MAX_DSN_FILE, Settings, read_file};
use rustix::fs::{Access, access, statvfs};
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Warned of this long before a certificate ends.
const SOON: Duration = Duration::from_secs(30 * 86_400);

/// Looks at all of them. `now` is the present.
pub(super) fn check(output: &Output, settings: &Settings, now: WallTime, report: &mut Report) {
    if let Some(path) = &settings.delivery.spool_path {
        spool(output, path, settings.delivery.spool_max_size, report);
    }
    certificates(output, now, report);
    if !settings.network.tls_verify {
        let text = "tls_verify = off: anyone on the network path can read and change what is sent";
        report.advice(output.place_of("tls_verify"), text);
    }
}

/// Returns the destinations that the sources name now; problems of the sources are reported.
pub(super) fn destinations(output: &Output, settings: &Settings, report: &mut Report) -> Vec<Dsn> {
    let mut found: Vec<Dsn> = settings.destination.dsn.iter().cloned().collect();
    if let Some(file) = &settings.destination.dsn_file {
        let shown = format!("dsn_file = {}", file.display());
        found.extend(dsn(file, &shown, output, "dsn_file", report));
    }
    if let Some(directory) = &settings.destination.dsn_dir {
        found.extend(namespaces(directory, output, report));
    }
    let mut known: Vec<String> = Vec::new();
    found.retain(|dsn| !known.contains(&dsn.expose()) && (known.push(dsn.expose()), true).1);
    found
}

fn dsn(file: &Path, shown: &str, output: &Output, option: &str, report: &mut Report) -> Option<Dsn> {
    match read_file(file, MAX_DSN_FILE).map(|bytes| Dsn::parse(String::from_utf8_lossy(&bytes).trim())) {
        Ok(Ok(dsn)) => Some(dsn),
        Ok(Err(expected)) => {
            report.problem(output.place_of(option), &format!("{shown}: expected {expected}"));
            None
        }
        Err(error) => {
            let text = format!(
                "{shown}: {error} (on this machine); the plugin waits until it can be read, and holds the records until then"
            );
            report.advice(output.place_of(option), &text);
            None
        }
    }
}

/// File name = namespace; names with dots are Kubernetes' own.
fn namespaces(directory: &Path, output: &Output, report: &mut Report) -> Vec<Dsn> {
    let shown = format!("dsn_dir = {}", directory.display());
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => {
            report.advice(output.place_of("dsn_dir"), &format!("{shown}: {error} (on this machine)"));
            return Vec::new();
        }
    };
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.file_name().is_some_and(|name| !name.to_string_lossy().contains('.')));
    files.sort();
    if files.is_empty() {
        report.advice(output.place_of("dsn_dir"), &format!("{shown}: there is no file in it"));
    }
    let name = |file: &Path| file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    files
        .iter()
        .filter_map(|file| dsn(file, &format!("{shown}: file {}", name(file)), output, "dsn_dir", report))
        .collect()
}

/// Looks at the directory, and leaves it as it is.
fn spool(output: &Output, path: &Path, max: u64, report: &mut Report) {
    let shown = format!("spool_path = {}", path.display());
    let place = || output.place_of("spool_path");
    // One that is not there yet is made, below the first directory that is.
    let Some(existing) = path.ancestors().find(|ancestor| ancestor.exists()) else { return };
    if !existing.is_dir() {
        return report.problem(place(), &format!("{shown}: {} is not a directory", existing.display()));
    }
    if let Err(error) = access(existing, Access::WRITE_OK | Access::EXEC_OK) {
        let text = format!("{shown}: {} cannot be written by this user ({error})", existing.display());
        return report.problem(place(), &text);
    }
    if out_sentry::options::is_writable_by_all(path) {
        let text = format!("{shown}: every user may write there and plant records; expected mode 0700");
        return report.problem(place(), &text);
    }
    let mut sound = true;
    if let Ok(free) = statvfs(existing).map(|system| system.f_bavail.saturating_mul(system.f_frsize))
        && free.saturating_add(used(path)) < max
    {
        let (free, max) = (free / 1_000_000, max / 1_000_000);
        let text = format!("{shown}: {free} MB are free, less than spool_max_size ({max} MB)");
        report.advice(place(), &text);
        sound = false;
    }
    let lock = File::open(path.join("lock")).map(|lock| lock.try_lock_shared());
    if matches!(lock, Ok(Err(TryLockError::WouldBlock))) {
        let text =
            format!("{shown}: a running instance uses it; this is correct if that instance runs this configuration");
        report.advice(place(), &text);
        sound = false;
    }
    if sound {
        report.sound(&format!("{shown}: {}", if path.exists() { "can be written" } else { "can be made" }));
    }
}

/// Bytes that the spool has already.
fn used(path: &Path) -> u64 {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
}

fn certificates(output: &Output, now: WallTime, report: &mut Report) {
    let digits = |at: WallTime| -> String { at.rfc3339().chars().filter(char::is_ascii_digit).take(14).collect() };
    let (today, soon) = (digits(now), digits(now + SOON));
    let files = ["tls_crt_file", "tls_ca_file"].into_iter();
    for (option, file) in files.filter_map(|option| Some((option, Path::new(output.section.value(option)?)))) {
        let ends = certificate::ends(file);
        // A chain is as old as its first certificate, a bundle is good as long as one of it is.
        let end = if option == "tls_crt_file" { ends.into_iter().next() } else { ends.into_iter().max() };
        let Some(end) = end else { continue };
        let shown = format!("{option} = {}", file.display());
        let day = format!("{}-{}-{}", &end[..4], &end[4..6], &end[6..8]);
        let (weight, text) = match () {
            () if end < today => (Weight::Problem, format!("{shown}: expired on {day}")),
            () if end < soon => (Weight::Advice, format!("{shown}: expires on {day}")),
            () => (Weight::Sound, format!("{shown}: valid until {day}")),
        };
        let place = output.place_of(option).filter(|_| weight != Weight::Sound);
        report.add(weight, place, &text);
    }
}
