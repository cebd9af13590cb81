//! Reads DSNs from files and directories, which usually are mounted Secrets.

use crate::delivery::route::table::{Listing, RouteTable};
use crate::options::{self, Destination, Dsn};
use std::path::Path;
use std::time::Duration;

/// Interval at which the sources are read again, and wait of records whose source is missing.
pub(in crate::delivery) const INTERVAL: Duration = Duration::from_secs(5);

const KEEPS: &str = "the last good value stays in use";

/// Returns the destinations that the sources name now. A file or a directory that is not there yet is no error: the dispatcher
/// looks again.
pub(crate) fn read_all(settings: &Destination) -> RouteTable {
    let routes = RouteTable::new(settings);
    let file = settings.dsn_file.as_deref().and_then(|file| read_dsn(file).ok());
    if let Some(dsn) = settings.dsn.clone().or(file) {
        routes.set_default(dsn);
    }
    if let Some(listing) = settings.dsn_dir.as_deref().and_then(|dir| read_dir(dir).ok()) {
        routes.set_namespaces(listing);
    }
    routes
}

/// Reads a DSN from a file.
pub(crate) fn read_dsn(file: &Path) -> Result<Dsn, String> {
    read(file).map_err(|problem| format!("dsn_file = {}: {problem}; {KEEPS}", file.display()))
}

/// Reads a directory: file name = namespace. Names with dots are Kubernetes' own (`..data`).
pub(crate) fn read_dir(dir: &Path) -> Result<Listing, String> {
    let problem = |error| format!("dsn_dir = {}: {error}; {KEEPS}", dir.display());
    let mut listing = Listing::new();
    for entry in std::fs::read_dir(dir).map_err(problem)? {
        let path = entry.map_err(problem)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).filter(|name| !name.contains('.'));
        if let Some(name) = name {
            listing.insert(name.to_owned(), read(&path));
        }
    }
    Ok(listing)
}

/// Returns one line about the problems with a directory's files.
pub(crate) fn problem_line(dir: &Path, listing: &Listing) -> Option<String> {
    let mut bad = listing.iter().filter_map(|(name, dsn)| Some((name, dsn.as_ref().err()?)));
    let (name, problem) = bad.next()?;
    let more = match bad.count() {
        0 => String::new(),
        more => format!(" (further files with a problem: {more})"),
    };
    let keeps = "its last good value stays in use, or else the default";
    // A name may hold line feeds and codes for a terminal.
    let name = name.escape_debug();
    Some(format!("dsn_dir = {}: file {name}: {problem}{more}; {keeps}", dir.display()))
}

fn read(file: &Path) -> Result<Dsn, String> {
    let bytes = options::read_file(file, options::MAX_DSN_FILE).map_err(|error| error.to_string())?;
    let text = String::from_utf8(bytes).map_err(|_| "expected UTF-8")?;
    Dsn::parse(text.trim()).map_err(|expected| format!("expected {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn reads_namespaces_from_a_directory_and_hides_keys_of_bad_files() {
        let dir = std::env::temp_dir().join(format!("out_sentry-sources-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        assert!(read_dir(&dir).unwrap_err().contains("dsn_dir = "));
        fs::create_dir_all(dir.join("..data")).unwrap();
        let dsn = format!("https://{}@sentry.example.com/7", "k".repeat(32));
        fs::write(dir.join("shop"), format!("{dsn}\n")).unwrap();
        fs::write(dir.join("empty"), "").unwrap();
        fs::write(dir.join("broken"), format!("{dsn}x")).unwrap();
        fs::write(dir.join(".hidden"), &dsn).unwrap();
        // A pipe without a writer, a device without an end and a directory do not block, and affect no other file.
        assert!(std::process::Command::new("mkfifo").arg(dir.join("pipe")).status().unwrap().success());
        std::os::unix::fs::symlink("/dev/zero", dir.join("zero")).unwrap();
        fs::create_dir(dir.join("deep")).unwrap();
        fs::write(dir.join("a\n[error] forged\u{1b}[31m"), "").unwrap();
        let listing = read_dir(&dir).unwrap();
        assert_eq!(
            listing.keys().collect::<Vec<_>>(),
            ["a\n[error] forged\u{1b}[31m", "broken", "deep", "empty", "pipe", "shop", "zero"]
        );
        assert_eq!(listing.values().filter(|dsn| dsn.is_err()).count(), 6);
        assert_eq!(listing["shop"].as_ref().map(Dsn::project), Ok(7));
        let text = problem_line(&dir, &listing).unwrap();
        assert!(text.contains("file a\\n[error] forged\\u{1b}[31m: expected") && text.contains("problem: 5"), "{text}");
        assert!(!text.contains("kkkk"), "{text}");
        let _ = fs::remove_dir_all(&dir);
    }
}
