//! `-o KEY=VALUE`, judged by the plugin's own table.

use out_sentry::delivery::Directory;
use out_sentry::options::{self, Destination, Dsn, Mapping};

/// What the mapping needs.
pub(super) struct Settings {
    pub(super) mapping: Mapping,
    pub(super) directory: Directory,
    /// Whether records may have destinations of their own.
    pub(super) routed: bool,
    /// What the user should know.
    pub(super) notes: Vec<String>,
}

impl Settings {
    /// A destination's DSN without its key, where there is more than one to choose from.
    pub(super) fn destination(&self, number: Option<u32>) -> Option<String> {
        let dsn = self.directory.dsn(number.filter(|_| self.routed)?)?;
        Some(dsn.to_string())
    }
}

/// Stands where no DSN is given: nothing is sent.
const NOWHERE: &str = "https://00000000000000000000000000000000@localhost/0";

/// The host's own keys, which it does not show to the output: allowed, so that a whole section can be tried.
const OF_THE_HOST: [&str; 10] = [
    "name",
    "match",
    "match_regex",
    "alias",
    "log_level",
    "log_suppress_interval",
    "retry_limit",
    "workers",
    "processors",
    "storage.total_limit_size",
];

/// Reads the options as the plugin would at its start; without a DSN there is one that leads nowhere.
///
/// # Errors
/// All problems at once.
pub(super) fn load(given: &[(String, String)]) -> Result<Settings, Vec<String>> {
    let mut problems: Vec<String> = given.iter().filter_map(|(name, value)| unknown(name, value)).collect();
    // Given twice, the first one counts, as in the host.
    let find = |name: &str| given.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, v)| v.clone());
    let nowhere = || ["dsn_dir", "dsn_allow_hosts"].iter().all(|name| find(name).is_none()).then(|| NOWHERE.to_owned());
    let environment = |name: &str| std::env::var(name).ok().filter(|text| !text.trim().is_empty());
    match options::load(find, |name| environment(name).or_else(nowhere)) {
        Ok(loaded) if problems.is_empty() => {
            let destination = &loaded.settings.destination;
            // By its name the host's log speaks of the output.
            let output = find("alias").unwrap_or_else(|| "sentry.0".to_owned());
            Ok(Settings {
                directory: Directory::read(destination),
                routed: destination.is_routed(),
                notes: unreadable(destination),
                mapping: Mapping { output, ..loaded.settings.mapping },
            })
        }
        Ok(_) => Err(problems),
        Err(found) => {
            problems.extend(found.iter().map(ToString::to_string));
            Err(problems)
        }
    }
}

/// Sources for which the plugin would wait.
fn unreadable(destination: &Destination) -> Vec<String> {
    const SO: &str = "where records go, and with it the ids of events, is not known";
    let parse = |text: String| Dsn::parse(text.trim()).map(drop).map_err(|expected| format!("expected {expected}"));
    let file = destination.dsn_file.iter().filter_map(|file| {
        let read = std::fs::read_to_string(file).map_err(|error| error.to_string()).and_then(parse);
        Some(format!("dsn_file = {}: {}; {SO}", file.display(), read.err()?))
    });
    let directory = destination.dsn_dir.iter().filter_map(|directory| {
        Some(format!("dsn_dir = {}: {}; {SO}", directory.display(), std::fs::read_dir(directory).err()?))
    });
    file.chain(directory).collect()
}

/// What is wrong with a name, if it is not the name of an option.
fn unknown(name: &str, value: &str) -> Option<String> {
    let known = |known: &str| known.eq_ignore_ascii_case(name);
    if options::rows().any(|row| known(row.name)) || OF_THE_HOST.into_iter().any(known) {
        return None;
    }
    let hint = nearest(name).map_or(String::new(), |nearest| format!("; the nearest is {nearest}"));
    // What was meant may be a secret.
    let shown = if value.contains("://") { "***" } else { value };
    Some(format!("{name} = {shown}: expected the name of an option{hint}"))
}

/// The option whose name takes the fewest changes, if they are few.
fn nearest(name: &str) -> Option<&'static str> {
    let name: String = name.to_ascii_lowercase().replace(['.', '-'], "_");
    let distances = options::rows().map(|row| (distance(&name, row.name), row.name));
    let (distance, nearest) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= (name.len() / 3).max(2)).then_some(nearest)
}

/// Levenshtein's: insertions, deletions and replacements.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, expected) in [("", "abc", 3), ("kitten", "sitting", 3), ("same", "same", 0), ("ab", "ba", 2)] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }

    #[test]
    fn names_that_are_nearly_right() {
        for (name, expected) in [
            ("event_levle", Some("event_level")),
            ("Log_Levels", Some("logs_level")),
            ("tls.ca_file", Some("tls_ca_file")),
            ("sample-rate", Some("sample_rate")),
            ("something_else_entirely", None),
        ] {
            assert_eq!(nearest(name), expected, "{name}");
        }
    }

    #[test]
    fn unknown_names_hide_what_may_be_a_dsn() {
        let problem = unknown("dns", "https://0123@h/1").unwrap();
        assert_eq!(problem, "dns = ***: expected the name of an option; the nearest is dsn");
        assert_eq!(unknown("DSN", "x"), None);
        assert_eq!(unknown("match", "*"), None);
    }
}
