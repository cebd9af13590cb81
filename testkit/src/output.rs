//! The plugin in this process, behind a host that calls it as Fluent Bit does, and what its last words say.

use super::tempdir::TempDir;
use super::wait;
use plugin_host::{Generation, Instance, Level, Plugin, Verdict};
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// Options of every test unless it sets others: short times, no proxy of the machine, and no limit on equal events.
const QUICK: &[(&str, &str)] = &[
    ("proxy", "none"),
    ("batch_timeout", "50ms"),
    ("retry_base", "50ms"),
    ("retry_max", "200ms"),
    ("timeout", "2s"),
    ("ack_timeout", "500ms"),
    ("storm_burst", "0"),
    ("event_rate", "0"),
];

/// Longest that anything takes here.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The plugin of this program's profile in today's host.
pub fn load() -> Plugin {
    Plugin::load(super::plugin(), Generation::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// The plugin as a library of its own: what it keeps in statics is not shared with other loads in this process.
pub fn load_apart(generation: Generation) -> Plugin {
    let dir = TempDir::new("apart").expect("expected a temporary directory");
    let copy = dir.path().join("out_sentry.so");
    std::fs::copy(super::plugin(), &copy).expect("expected to copy the plugin");
    Plugin::load(copy, generation).unwrap_or_else(|error| panic!("{error}"))
}

/// Options for an instance: these, then the DSN, then what is `QUICK`; the host takes the first of a name.
pub fn options<'o>(dsn: &'o str, more: &[(&'o str, &'o str)]) -> Vec<(&'o str, &'o str)> {
    more.iter().chain(&[("dsn", dsn)]).chain(QUICK).copied().collect()
}

/// Returns the name of an instance with these options: that of its spool if it has one, else the port of its server. Tests run
/// side by side in one process, and an instance takes over what another of its name has left: a spool, and the progress of
/// equal chunks.
pub fn name_of(options: &[(&str, &str)]) -> String {
    let option = |name: &str| options.iter().find(|(option, _)| *option == name).map(|(_, value)| *value);
    let directory = option("spool_path").and_then(|path| path.strip_prefix('/')).map(|path| path.replace('/', "-"));
    let port = || option("dsn")?.rsplit_once(':')?.1.split('/').next().map(str::to_owned);
    directory.or_else(port).map_or_else(|| "test".to_owned(), |name| format!("test-{name}"))
}

/// An instance that sends to this DSN.
pub fn instance(plugin: &Plugin, dsn: &str, more: &[(&str, &str)]) -> Instance {
    let options = options(dsn, more);
    plugin.instance(&name_of(&options), &options).unwrap_or_else(|error| panic!("{error}: {:?}", error.log_lines))
}

/// Ends an instance as soon as `says` returns true for one of its summary lines; returns its ledger, in which every record has an
/// outcome or is pending.
pub fn exit_when(instance: Instance, says: impl Fn(&str) -> bool) -> Ledger {
    let has_said = || instance.log_lines().iter().any(|(_, line)| line.contains("summary: ") && says(line));
    assert!(wait::until_true(PATIENCE, has_said), "{:#?}", instance.log_lines());
    let ledger = Ledger::read(&instance.exit());
    ledger.assert_closed();
    ledger
}

/// Flushes as the host does, which offers a chunk again after RETRY; returns how often it had to.
pub fn flush_all(instance: &Instance, tag: &str, chunks: impl IntoIterator<Item = Vec<u8>>) -> u64 {
    let deadline = Instant::now() + PATIENCE;
    let mut chunks: VecDeque<_> = chunks.into_iter().collect();
    let mut retries = 0;
    while let Some(chunk) = chunks.pop_front() {
        match instance.flush(tag, &chunk) {
            Verdict::Ok => {}
            Verdict::Retry => {
                assert!(Instant::now() < deadline, "a chunk is still refused: {:?}", instance.log_lines());
                retries += 1;
                chunks.push_back(chunk);
                std::thread::sleep(Duration::from_millis(10));
            }
            Verdict::Error => panic!("expected OK or RETRY, found ERROR"),
        }
    }
    retries
}

/// Returns true if a text shows the key of a DSN: those of the tests are 32 digits in ascending or descending order.
pub fn shows_a_key(text: &str) -> bool {
    ["0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"].iter().any(|key| text.contains(key))
}

/// The ledger that an instance prints at its exit.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ledger(BTreeMap<String, u64>);

impl Ledger {
    /// Reads the last summary among an instance's lines; none of them may show a key.
    pub fn read(lines: &[(Level, String)]) -> Self {
        assert!(lines.iter().all(|(_, line)| !shows_a_key(line)), "{lines:#?}");
        let summary = lines.iter().rev().find_map(|(_, line)| line.split_once("summary: "));
        let (_, cells) = summary.unwrap_or_else(|| panic!("expected a summary, found {lines:#?}"));
        let cells = cells.split(' ').filter_map(|cell| cell.split_once('='));
        Self(cells.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect())
    }

    /// The number in a cell; a cell that is not printed is zero.
    pub fn get(&self, cell: &str) -> u64 {
        self.0.get(cell).copied().unwrap_or(0)
    }

    /// Fails unless every record is in exactly one cell of each category.
    pub fn assert_closed(&self) {
        for category in ["event.", "log."] {
            let cells = self.0.iter().filter(|(name, _)| name.starts_with(category));
            let sum: u64 = cells.map(|(_, count)| count).sum();
            assert_eq!(sum, self.get("records"), "{category} does not add up: {self:?}");
        }
    }
}
