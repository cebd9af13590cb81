//! A server whose address changes.

use crate::fluent_bit::forward::{self, Forwarder, Source};
use crate::fluent_bit::harness;
use crate::fluent_bit::slow_disk::build;
use receiver::{Options, Receiver};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};
use testkit::tempdir::TempDir;
use testkit::wait;

/// The name of the server leads elsewhere, while the old server answers and its connections are always busy: after five minutes
/// nothing goes there any more. Takes six.
pub fn a_change(root: &Path) {
    const MAX_AGE: Duration = Duration::from_secs(300);
    let directory = TempDir::new("addresses").expect("expected a directory");
    let library = build(root, directory.path(), "names.c");
    let addresses = directory.path().join("addresses");
    fs::write(&addresses, "127.0.0.1\n").expect("expected to write addresses");
    let receiver = |address: SocketAddr| {
        Receiver::start(Options { listen: address, ..Options::default() }).expect("expected a receiver")
    };
    let old = receiver((Ipv4Addr::LOCALHOST, 0).into());
    let new = receiver((Ipv4Addr::new(127, 0, 0, 2), old.addr().port()).into());
    let mut source = Source::Forward(Forwarder::new());
    let dsn = format!("http://{}@server.test:{}/1", "0".repeat(32), old.addr().port());
    let env = [("LD_PRELOAD", library.as_str()), ("ADDRESSES", addresses.to_str().expect("expected a plain path"))];
    let mut host = forward::start(&forward::config(&source, &dsn, &[]), &env);
    source.send(4);
    forward::wait_for(&old, source.total(), &host);
    fs::write(&addresses, "127.0.0.2\n").expect("expected to write addresses");
    let begin = Instant::now();
    let mut followed = None;
    while begin.elapsed() < MAX_AGE + Duration::from_secs(30) {
        source.send(4);
        std::thread::sleep(Duration::from_millis(300));
        if new.totals().logs > 0 {
            followed.get_or_insert(begin.elapsed());
        }
    }
    let at_the_end = old.totals().logs;
    source.send(40);
    let all = || old.totals().logs + new.totals().logs >= source.total();
    assert!(wait::until_true(harness::ARRIVES_WITHIN, all), "{}", host.log());
    eprintln!("addresses: the new one was followed after {followed:?}");
    assert!(followed.is_some_and(|after| after < MAX_AGE + Duration::from_secs(10)), "{followed:?}");
    assert_eq!(old.totals().logs, at_the_end, "expected nothing more at the old address");
    harness::stop(&mut host);
    forward::assert_once(&new);
}
