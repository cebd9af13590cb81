//! What is wrong from the start: options, and servers that are not there or do not want us.

use crate::counters::{self, Counters};
use crate::feed::Feed;
use crate::rig::{self, NAME, Rig, SPOOL, count_in_log};
use crate::seen::Seen;
use crate::support::fluent_bit::{FluentBit, Format};
use crate::support::net::free_port;
use crate::support::plugin;
use flb_sentry::receive::{Options, Receiver, Script};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

const TOTAL: u64 = 500;

/// Runs the host with these lines in its output; it must refuse, and say each of the problems once.
fn refuses(lines: &[&str], problems: &[&str]) {
    let feed = Feed::new();
    let lines: String = lines.iter().map(|line| format!("    {line}\n")).collect();
    let config = rig::config(&feed, &[format!("[OUTPUT]\n    Name sentry\n    Match *\n{lines}")]);
    let plugin = plugin();
    let args = ["-e", plugin.to_str().expect("expected a path of UTF-8")];
    let env = [("SENTRY_DSN", "")];
    let (status, log) = FluentBit::run(&config, Format::Classic, &args, &env, Duration::from_secs(20)).unwrap();
    assert!(status.is_some_and(|status| !status.success()), "ended with {status:?}:\n{log}");
    for problem in problems {
        assert_eq!(log.matches(problem).count(), 1, "{problem}:\n{log}");
    }
    assert_eq!(log.matches(": expected ").count(), problems.len(), "{log}");
}

pub fn wrong_options() {
    const DSN: &str = "dsn https://0123456789abcdef0123456789abcdef@sentry.example/1";
    refuses(&[], &["[output:sentry:sentry.0] dsn = nothing: expected where to send: set dsn, or dsn_file"]);
    refuses(&["dsn htp:/nonsense"], &["[output:sentry:sentry.0] dsn = ***: expected a DSN that begins with https://"]);
    refuses(&[DSN, "event_level loud"], &["[output:sentry:sentry.0] event_level = loud: expected a level"]);
    refuses(
        &["senders many", "compress gzpi", "timeout 0", "Spool_Dir /hunter2/spool", "sentry_dsn https://hunter2@h/1"],
        &[
            "spool_dir = /hunter2/spool: expected the name of an option: use spool_path",
            "sentry_dsn = ***: expected the name of an option: use dsn",
            "senders = many: expected a number from 1 to 64",
            "compress = gzpi: expected gzip, zstd or none",
            "timeout = 0: expected a time above zero",
            "dsn = nothing: expected where to send",
        ],
    );
}

/// Everything written so far waits, and the host goes on.
fn all_wait(rig_host: &FluentBit, state: &str) -> Counters {
    counters::wait_for(rig_host, NAME, "all pending", |counters| {
        counters.value("records_total", &[]) == TOTAL as f64
            && counters.pending() == (TOTAL + TOTAL / 10) as f64
            && counters.value("destinations", &[("state", state)]) == 1.0
            && counters.value("oldest_pending_seconds", &[]) > 0.0
            && counters.value("spool_bytes", &[]) > 0.0
    })
}

pub fn unreachable() {
    let (feed, addr) = (Feed::new(), SocketAddr::from((Ipv4Addr::LOCALHOST, free_port().unwrap())));
    let dsn = format!("http://0123456789abcdef0123456789abcdef@{addr}/1");
    let host = rig::start(&rig::config(&feed, &[rig::output(NAME, &dsn, &[SPOOL])]), &[]);
    feed.append(0..TOTAL);
    let counters = all_wait(&host, "unreachable");
    assert!(counters.value("requests_total", &[("status", "error")]) > 0.0);
    assert_eq!(count_in_log(&host, "cannot be reached (connection refused)"), 1, "{}", host.log());
    assert_eq!(count_in_log(&host, "[ warn] [output:sentry:out]"), 1, "{}", host.log());
    let receiver = Receiver::start(Options { listen: addr, ..Options::default() }).expect("expected a receiver");
    let rig = Rig { host, receiver, feed };
    rig.wait_for_all(TOTAL);
    rig.wait_for_counters(TOTAL);
    counters::assert_at_rest(&rig.host, NAME);
    assert_eq!(count_in_log(&rig.host, "accepts what is sent"), 1, "{}", rig.host.log());
    rig.finish(TOTAL);
}

pub fn forbidden() {
    let rig = Rig::start(&[SPOOL], "forever:403");
    rig.feed.append(0..TOTAL);
    let counters = all_wait(&rig.host, "misconfigured");
    assert!(counters.value("requests_total", &[("status", "403")]) > 0.0);
    let log = rig.host.log();
    assert_eq!(log.matches("refuses what is sent (403").count(), 1, "{log}");
    assert_eq!(log.matches("[error] [output:sentry:out]").count(), 1, "{log}");
    assert!(Seen::at(&rig.receiver).logs().is_empty());
    rig.receiver.script(Script::default());
    rig.wait_for_all(TOTAL);
    rig.wait_for_counters(TOTAL);
    counters::assert_at_rest(&rig.host, NAME);
    rig.finish(TOTAL);
}
