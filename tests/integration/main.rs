//! The plugin from outside, loaded into this process or into children of it, with servers of the tests' own: what arrives,
//! what is kept, and what the ledger says. No other program is needed but those of the build.

mod abi;
mod budget;
mod delivery;
mod destinations;
mod faults;
mod letters;
mod network;
mod operations;
mod reports;
mod routing;
mod stack;

use std::process::ExitCode;
use testkit::suite::{Group, Suite};

const GROUPS: &[(&str, Group)] = &[
    ("abi", abi::add),
    ("budget", budget::add),
    ("delivery", delivery::add),
    ("destinations", destinations::add),
    ("faults", faults::add),
    ("letters", letters::add),
    ("network", network::add),
    ("operations", operations::add),
    ("reports", reports::add),
    ("routing", routing::add),
    ("stack", stack::add),
];

fn main() -> ExitCode {
    if let Some(ended) = faults::child() {
        return ended;
    }
    // Most of them wait for a server or a pause.
    Suite::default().at_once(8).groups(GROUPS).run()
}
