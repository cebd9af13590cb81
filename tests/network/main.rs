//! What stands between the plugin and Sentry: TLS with an authority of our own, and proxies.
//!
//! Whatever refuses a connection, nothing is lost: the log says what is wrong, the spool keeps what was taken, and the
//! right configuration delivers it.

mod authority;
mod front;
mod harness;
mod pem;
mod proxies;
mod real_proxies;
#[path = "../support/mod.rs"]
mod support;
mod tls;
mod tunnel;

use authority::Authority;
use std::process::ExitCode;
use support::suite::Suite;

fn main() -> ExitCode {
    let authority = Authority::new();
    let parts = [tls::add, pem::add, proxies::add, real_proxies::add];
    parts.into_iter().fold(Suite::default(), |suite, add| add(suite, &authority)).run()
}
