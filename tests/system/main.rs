//! The plugin with real programs around it: Fluent Bit, Bugsink, Relay, Sentry's SDKs, and the tools that check what is
//! deployed. A test whose program is missing is skipped and says why. `SOAK=1` runs the rounds of `make soak` instead.

mod bugsink;
mod deploy;
mod fluent_bit;
mod oracle;
mod sdk;
mod soak;

use std::process::ExitCode;
use testkit::suite::{Group, Suite};

const GROUPS: &[(&str, Group)] = &[
    ("bugsink", bugsink::add),
    ("deploy", deploy::add),
    ("fluent_bit", fluent_bit::add),
    ("oracle", oracle::add),
    ("sdk", sdk::add),
];

fn main() -> ExitCode {
    match std::env::var_os("SOAK") {
        Some(_) => Suite::default().at_once(1).groups(&[("soak", soak::add)]).run(),
        None => Suite::default().at_once(3).groups(GROUPS).run(),
    }
}
