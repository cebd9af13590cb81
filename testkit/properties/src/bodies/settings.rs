//! Settings of a mapping, read once.

use out_sentry::options::{self, Mapping};

/// These options and no others.
pub fn of(options: &[(&str, &str)]) -> Mapping {
    let given = |name: &str| options.iter().find(|(option, _)| *option == name).map(|(_, value)| (*value).to_owned());
    let dsn =
        |name: &str| (name == "SENTRY_DSN").then(|| "https://0123456789abcdef0123456789abcdef@127.0.0.1/1".to_owned());
    let loaded = options::load(given, dsn);
    loaded.unwrap_or_else(|problems| panic!("{problems:?}")).settings.mapping
}
