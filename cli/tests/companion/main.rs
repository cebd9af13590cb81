//! The companion with what it needs of a machine: terminals, a browser, the plugin, Fluent Bit. A test whose program is
//! missing is skipped and says why.

mod demo;
mod explain;
mod page;
mod readme;
mod terminal;

use std::process::ExitCode;
use testkit::suite::{Group, Suite};

const GROUPS: &[(&str, Group)] = &[
    ("demo", demo::add),
    ("explain", explain::add),
    ("page", page::add),
    ("readme", readme::add),
    ("terminal", terminal::add),
];

fn main() -> ExitCode {
    // Most of them wait for a process.
    let code = Suite::default().at_once(4).groups(GROUPS).run();
    readme::update();
    code
}
