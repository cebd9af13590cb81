//! Reads `-o KEY=VALUE` with the plugin's own table of options.

use out_sentry::delivery::DestinationResolver;
use out_sentry::mapping::DestinationId;
use out_sentry::options::{self, Destination, Dsn, Mapping};

/// Settings that the mapping needs.
pub(super) struct Settings {
    pub(super) mapping: Mapping,
    pub(super) resolver: DestinationResolver,
    /// True if records may have destinations of their own.
    pub(super) routed: bool,
    /// Notes that the user should know of.
    pub(super) notes: Vec<String>,
}

impl Settings {
    /// A destination's DSN without its key, where there is more than one to choose from.
    pub(super) fn destination(&self, destination: Option<DestinationId>) -> Option<String> {
        let dsn = self.resolver.dsn(destination.filter(|_| self.routed)?)?;
        Some(dsn.to_string())
    }
}

/// Stands where no DSN is given: nothing is sent.
const NOWHERE: &str = "https://00000000000000000000000000000000@localhost/0";

/// Reads the options as the plugin would at its start; without a DSN there is one that leads nowhere.
///
/// # Errors
/// All problems at once.
pub(super) fn load(given: &[(String, String)]) -> Result<Settings, Vec<String>> {
    // The host's own keys are allowed, so that a whole section can be tried.
    let names = given.iter().filter_map(|(name, value)| options::judge(name, value).err());
    let mut problems: Vec<String> = names.map(|problem| problem.to_string()).collect();
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
                resolver: DestinationResolver::read(destination),
                routed: destination.is_routed(),
                notes: unreadable(destination),
                mapping: Mapping { output, machine: options::machine_name(), ..loaded.settings.mapping },
            })
        }
        Ok(_) => Err(problems),
        Err(found) => {
            let found = found.iter().map(ToString::to_string);
            // The plugin asks for some wrong names by itself.
            let others: Vec<_> =
                found.filter(|problem| !problems.iter().any(|p| p.eq_ignore_ascii_case(problem))).collect();
            problems.extend(others);
            Err(problems)
        }
    }
}

/// Sources for which the plugin would wait.
fn unreadable(destination: &Destination) -> Vec<String> {
    const SO: &str = "the destination of the records, and therefore the ids of their events, are unknown";
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
