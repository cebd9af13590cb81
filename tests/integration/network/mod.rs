//! Tests the way between the plugin and Sentry: TLS with a certificate authority of the test, and proxies.
//!
//! A refused connection loses nothing: the log names the cause, the spool keeps the chunks, and a correct configuration
//! delivers them.

mod authority;
mod front;
mod harness;
mod pem;
mod proxies;
mod real_proxies;
mod tls;
mod tunnel;

use authority::Authority;
use testkit::suite::Suite;

pub fn add(suite: Suite) -> Suite {
    let authority = Authority::new();
    let parts = [tls::add, pem::add, proxies::add, real_proxies::add];
    parts.into_iter().fold(suite, |suite, add| add(suite, &authority))
}
