//! A test binary whose tests can be skipped with a word instead of passing silently.
//!
//! A test binary with `harness = false` collects its tests in a [`Suite`] and runs it; what lacks a real part (Fluent
//! Bit, a server from the Python package index) is listed as `[skipped: <why>] name ... ignored`.

use libtest_mimic::{Arguments, Failed, Trial};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

/// Tests of one binary.
#[derive(Default)]
pub struct Suite {
    trials: Vec<Trial>,
    at_once: Option<usize>,
    /// Precedes the names of the tests that are added: the group and `::`, or nothing.
    prefix: String,
}

/// Adds the tests of a group.
pub type Group = fn(Suite) -> Suite;

impl Suite {
    /// Adds groups of tests; the name of a group precedes those of its tests, as that of a module does. If the command line
    /// asks for tests of one group, `group::` and more, the others are not added: they may start servers to learn
    /// whether their tests can run.
    pub fn groups(mut self, groups: &[(&str, Group)]) -> Self {
        let asked = Arguments::from_args().filter.unwrap_or_default();
        let is_asked = |name: &str| asked.strip_prefix(name).is_some_and(|rest| rest.starts_with("::"));
        let one = groups.iter().any(|(name, _)| is_asked(name));
        for (name, add) in groups.iter().filter(|(name, _)| !one || is_asked(name)) {
            self.prefix = format!("{name}::");
            self = add(self);
        }
        self.prefix.clear();
        self
    }

    /// Adds a test. It fails by panicking.
    pub fn test(mut self, name: &str, body: impl FnOnce() + Send + 'static) -> Self {
        self.trials.push(Trial::test(format!("{}{name}", self.prefix), move || outcome(body)));
        self
    }

    /// Adds a test that needs a real part; without the part it is skipped and says why.
    pub fn needing<T: Clone + Send + 'static>(
        mut self,
        part: &Result<T, String>,
        name: &str,
        body: impl FnOnce(T) + Send + 'static,
    ) -> Self {
        let name = format!("{}{name}", self.prefix);
        self.trials.push(match part.clone() {
            Ok(part) => Trial::test(name, move || outcome(move || body(part))),
            Err(why) => {
                let why = why.trim_start_matches("skipped: ").to_owned();
                Trial::test(name, || Ok(())).with_kind(format!("skipped: {why}")).with_ignored_flag(true)
            }
        });
        self
    }

    /// Runs so many tests at once, unless the command line says otherwise: for tests that wait more than they work.
    pub fn at_once(mut self, tests: usize) -> Self {
        self.at_once = Some(tests);
        self
    }

    /// Runs what the command line asks for.
    pub fn run(self) -> ExitCode {
        let mut arguments = Arguments::from_args();
        arguments.test_threads = arguments.test_threads.or(self.at_once);
        libtest_mimic::run(&arguments, self.trials).exit_code()
    }
}

fn outcome(body: impl FnOnce()) -> Result<(), Failed> {
    catch_unwind(AssertUnwindSafe(body)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Failed::from(text.unwrap_or_else(|| "panicked".to_owned()))
    })
}
