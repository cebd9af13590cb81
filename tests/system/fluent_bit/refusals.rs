//! Tests faults at the start: invalid options, and servers that do not answer or refuse.

use super::counters::{self, Counters};
use super::feed::Feed;
use super::harness::{self, Harness, NAME, SPOOL, count_in_log};
use super::received::Seen;
use receiver::{Options, Receiver, Script};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, ExitStatus};
use std::time::Duration;
use testkit::fluent_bit::{FluentBit, Format};
use testkit::net::free_port;
use testkit::plugin;

const TOTAL: u64 = 500;

/// Runs the host with these lines in its output; it must refuse, and say each of the problems once.
fn refuses(lines: &[&str], problems: &[&str]) {
    let feed = Feed::new();
    let lines: String = lines.iter().map(|line| format!("    {line}\n")).collect();
    let config = harness::config(&feed, &[format!("[OUTPUT]\n    Name sentry\n    Match *\n{lines}")]);
    let plugin = plugin();
    let args = ["-e", plugin.to_str().expect("expected a path of UTF-8")];
    let env = [("SENTRY_DSN", "")];
    let (status, log) = FluentBit::run(&config, Format::Classic, &args, &env, Duration::from_secs(20)).unwrap();
    assert!(status.is_some_and(|status| !status.success()), "ended with {status:?}:\n{log}");
    for problem in problems {
        assert_eq!(log.matches(problem).count(), 1, "{problem}:\n{log}");
    }
    let told = log.matches(": expected ").count() + log.matches(" no DSN: set ").count();
    assert_eq!(told, problems.len(), "{log}");
}

pub fn wrong_options() {
    const DSN: &str = "dsn https://0123456789abcdef0123456789abcdef@sentry.example/1";
    refuses(&[], &["[output:sentry:sentry.0] no DSN: set dsn, dsn_file"]);
    refuses(&["dsn htp:/nonsense"], &["[output:sentry:sentry.0] dsn = ***: expected a DSN that begins with https://"]);
    refuses(&[DSN, "event_level loud"], &["[output:sentry:sentry.0] event_level = loud: expected a level"]);
    refuses(
        &["senders many", "compress gzpi", "timeout 0"],
        &[
            "senders = many: expected a number from 1 to 64",
            "compress = gzpi: expected gzip, zstd or none",
            "timeout = 0: expected a time above zero",
            "no DSN: set dsn, dsn_file",
        ],
    );
}

/// From 5.1.1 on Fluent Bit knows the options and refuses other names, at the start and in a dry run. Older ones hide them
/// from the plugin, which asks for those that people often write.
pub fn unknown_options() {
    const DSN: &str = "dsn https://0123456789abcdef0123456789abcdef@sentry.example/1";
    let declares = version() >= [5, 1, 1];
    for (line, asked_for) in [
        ("event_levle error", None),
        (
            "Spool_Dir /hunter2/spool",
            Some("spool_dir = /hunter2/spool: expected the name of an option: use spool_path"),
        ),
        ("sentry_dsn https://hunter2@h/1", Some("sentry_dsn = ***: expected the name of an option: use dsn")),
        ("senders 2\n    senders 3", None),
    ] {
        let output = format!("[OUTPUT]\n    Name sentry\n    Match *\n    {DSN}\n    {line}\n");
        for dry_run in [true, false] {
            if !declares && (dry_run || asked_for.is_none()) {
                continue;
            }
            let (status, log) = run(&output, if dry_run { &["--dry-run"] } else { &[] });
            assert!(status.is_some_and(|status| !status.success()), "{line} ended with {status:?}:\n{log}");
            let name = line.split(' ').next().unwrap_or_default();
            let said = match asked_for.filter(|_| !declares) {
                Some(said) => said.to_owned(),
                None if name == "senders" => "configuration property 'senders' is set 2 times".to_owned(),
                None => format!("unknown configuration property '{name}'").to_lowercase(),
            };
            assert!(log.to_lowercase().contains(&said.to_lowercase()), "{line}: {said}\n{log}");
            assert!(!log.contains("hunter2@"), "{log}");
        }
    }
    // What the host takes for itself is no option of ours, and no mistake.
    let own = "active on\n    Workers 1\n    Retry_Limit 3\n    net.keepalive off\n    Log_Level warn\n    Alias x";
    let (status, log) = run(&format!("[OUTPUT]\n    Name sentry\n    Match *\n    {DSN}\n    {own}\n"), &["--dry-run"]);
    assert!(status.is_some_and(|status| status.success()), "ended with {status:?}:\n{log}");
}

/// Fluent Bit's own help lists every option with its default and what it does.
pub fn help() {
    if version() < [5, 1, 1] {
        return;
    }
    let plugin = plugin();
    let args = ["-e", plugin.to_str().expect("expected a path of UTF-8"), "-o", "sentry", "-h"];
    let program = FluentBit::find().expect("expected a host");
    let output = Command::new(program).args(args).output().expect("expected to run the host");
    let text = String::from_utf8_lossy(&output.stdout).replace("\u{1b}[0m", "").replace("\u{1b}[1m", "");
    assert!(output.status.success(), "{text}");
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, options) = text.split_once("\nOPTIONS\n").expect("expected options of the plugin");
    let entries: Vec<String> = options.split("\n\n").map(words).collect();
    for row in out_sentry::options::rows() {
        let name = format!("{} ", row.name);
        let entry = entries.iter().find(|entry| entry.starts_with(&name));
        let entry = entry.unwrap_or_else(|| panic!("{} in\n{text}", row.name));
        assert!(entry.contains(&words(&row.doc.replace('`', ""))), "{}: {}\n{entry}", row.name, row.doc);
        let default = row.default.map(|default| format!("> default: {default}, type:"));
        assert!(default.is_none_or(|default| entry.contains(&default)), "{}: {:?}\n{entry}", row.name, row.default);
    }
}

/// The numbers in what the host calls itself.
fn version() -> [u32; 3] {
    let text = FluentBit::version(&FluentBit::find().expect("expected a host"));
    let mut numbers = text.split(['v', '.', '-', ' ']).filter_map(|part| part.parse().ok());
    std::array::from_fn(|_| numbers.next().unwrap_or_default())
}

/// Runs a host with this output until it ends.
fn run(output: &str, args: &[&str]) -> (Option<ExitStatus>, String) {
    let plugin = plugin();
    let args = [&["-e", plugin.to_str().expect("expected a path of UTF-8")], args].concat();
    let feed = Feed::new();
    let config = harness::config(&feed, &[output.to_owned()]);
    FluentBit::run(&config, Format::Classic, &args, &[("SENTRY_DSN", "")], Duration::from_secs(20)).unwrap()
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
    let host = harness::start(&harness::config(&feed, &[harness::output(NAME, &dsn, &[SPOOL])]), &[]);
    feed.append(0..TOTAL);
    let counters = all_wait(&host, "unreachable");
    assert!(counters.value("requests_total", &[("status", "error")]) > 0.0);
    assert_eq!(count_in_log(&host, "is unreachable (connection refused)"), 1, "{}", host.log());
    assert_eq!(count_in_log(&host, "[ warn] [output:sentry:out]"), 1, "{}", host.log());
    let receiver = Receiver::start(Options { listen: addr, ..Options::default() }).expect("expected a receiver");
    let harness = Harness { host, receiver, feed };
    harness.wait_for_all(TOTAL);
    harness.wait_for_counters(TOTAL);
    counters::assert_at_rest(&harness.host, NAME);
    assert_eq!(count_in_log(&harness.host, "accepts items"), 1, "{}", harness.host.log());
    harness.finish(TOTAL);
}

pub fn forbidden() {
    let harness = Harness::start(&[SPOOL], "forever:403");
    harness.feed.append(0..TOTAL);
    let counters = all_wait(&harness.host, "misconfigured");
    assert!(counters.value("requests_total", &[("status", "403")]) > 0.0);
    let log = harness.host.log();
    assert_eq!(log.matches("rejects everything (403").count(), 1, "{log}");
    assert_eq!(log.matches("[error] [output:sentry:out]").count(), 1, "{log}");
    assert!(Seen::at(&harness.receiver).logs().is_empty());
    harness.receiver.script(Script::default());
    harness.wait_for_all(TOTAL);
    harness.wait_for_counters(TOTAL);
    counters::assert_at_rest(&harness.host, NAME);
    harness.finish(TOTAL);
}
