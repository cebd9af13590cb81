//! Events end to end into a real Sentry-compatible server, read back as its users would see them.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use testkit::bugsink::{Bugsink, Options};
use testkit::suite::Suite;
use testkit::{samples, tempdir::TempDir, wait};

pub fn add(suite: Suite) -> Suite {
    let server = Bugsink::start(Options::default()).map(|_| ());
    suite
        .needing(&server, "issues_are_read_back_with_level_and_count", |()| issues_are_read_back())
        .needing(&server, "a_chunk_shipped_twice_doubles_no_event", |()| twice_is_once())
        .needing(&server, "a_checked_destination_has_the_test_event", |()| a_checked_destination())
        .needing(&server, "a_quota_is_waited_for_and_nothing_is_lost", |()| a_quota_is_waited_for())
        .needing(&server, "a_restart_of_the_server_loses_nothing", |()| a_restart_loses_nothing())
}

fn ship(server: &Bugsink, options: &[&str], files: &[&Path]) -> Output {
    let mut ship = Command::new(testkit::companion());
    ship.args(["ship", "--json", "-o", &format!("dsn={}", server.dsn()), "-o", "proxy=none", "-o", "storm_burst=0"]);
    for option in options {
        ship.args(["-o", option]);
    }
    ship.args(files).env_remove("SENTRY_DSN").output().expect("the companion runs")
}

/// Numbered errors of one shape, as JSON lines with times of their own.
fn errors(directory: &TempDir, count: usize) -> std::path::PathBuf {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    let line = |n| format!("{{\"time\":{now}.{n:03},\"level\":\"error\",\"message\":\"order {n} failed\"}}\n");
    let path = directory.path().join("errors.jsonl");
    std::fs::write(&path, (0..count).map(line).collect::<String>()).expect("a file");
    path
}

fn issues_are_read_back() {
    let (server, directory) =
        (Bugsink::start(Options::default()).expect("Bugsink"), TempDir::new("bugsink").expect("a directory"));
    let samples = samples::fresh(directory.path()).expect("the samples");
    let files: Vec<&Path> = samples.files.iter().map(AsRef::as_ref).collect();
    let output = ship(&server, &[], &files);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let issues = server.issues().expect("issues");
    let ledger: serde_json::Value = serde_json::from_slice(&output.stdout).expect("the ledger");
    let events: u64 = issues.iter().map(|issue| issue.count).sum();
    assert!(ledger.to_string().contains(&format!("{events}")), "{events} events, ledger {ledger}");
    let find = |title: &str| issues.iter().find(|issue| issue.title.starts_with(title)).expect("the issue");
    let null = find("NullPointerException");
    assert_eq!((null.level.as_str(), null.count), ("fatal", 1));
    let event = &server.events(&null.id).expect("its events")[0];
    let frames = event["exception"]["values"][0]["stacktrace"]["frames"].as_array().expect("frames");
    assert!(frames.len() > 2, "{event:#}");
    let event = &server.events(&find("ProductNotFound").id).expect("its events")[0];
    assert!(event["breadcrumbs"]["values"].as_array().is_some_and(|crumbs| !crumbs.is_empty()), "{event:#}");
}

fn twice_is_once() {
    let (server, directory) =
        (Bugsink::start(Options::default()).expect("Bugsink"), TempDir::new("bugsink").expect("a directory"));
    let file = errors(&directory, 20);
    for _ in 0..2 {
        let output = ship(&server, &[], &[&file]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let issues = server.issues().expect("issues");
    assert_eq!(issues.iter().map(|issue| issue.count).collect::<Vec<_>>(), [20], "one issue for one shape");
}

/// A server that is no receiver of ours answers the question whether it is there, takes the test event, and keeps one of two.
fn a_checked_destination() {
    let server = Bugsink::start(Options::default()).expect("Bugsink");
    let check = |dsn: &str| {
        let mut check = Command::new(testkit::companion());
        check.args(["check", "--send", "-o", &format!("dsn={dsn}"), "-o", "proxy=none"]);
        let output = check.env_remove("SENTRY_DSN").output().expect("the companion runs");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, said) = check(&server.dsn());
    assert!(
        code == Some(0) && said.contains(" is reachable (HTTP ") && said.contains("accepted the test event both times"),
        "{said}"
    );
    let issues = server.issues().expect("issues");
    assert_eq!(issues.iter().map(|issue| issue.count).collect::<Vec<_>>(), [1]);
    let id = server.events(&issues[0].id).expect("its events")[0]["event_id"].as_str().expect("an id").to_owned();
    assert!(said.contains(&id), "{id} is not in {said}");
    let dsn = server.dsn();
    let (_, place) = dsn.split_once('@').expect("a key");
    let wrong = format!("http://{}@{place}", "f".repeat(32));
    let (code, said) = check(&wrong);
    assert!(code == Some(1) && said.contains("does not accept the test event"), "{said}");
}

/// The quota is lifted by a restart; what waited in the spool is then delivered. Bugsink takes a few events more than its
/// quota with a 200 and does not keep them, so what it has is counted before.
fn a_quota_is_waited_for() {
    let quota = Options { quota_5min: Some(5), ..Options::default() };
    let (mut server, directory) =
        (Bugsink::start(quota).expect("Bugsink"), TempDir::new("bugsink").expect("a directory"));
    let file = errors(&directory, 30);
    let spool = format!("spool_path={}", directory.path().join("spool").display());
    let output = ship(&server, &[&spool, "exit_timeout=2s"], &[&file]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a report");
    let pending = report["ledger"]["event.pending"].as_u64().expect("pending events");
    assert!(
        pending > 0 && report["ledger"]["requests.429"].as_u64() > Some(0),
        "a quota of 5 took 30 events: {report}"
    );
    let count = |server: &Bugsink| {
        server.issues().map(|issues| issues.iter().map(|issue| issue.count).sum::<u64>()).unwrap_or(0)
    };
    let kept = count(&server);
    server.restart_with(Options::default()).expect("a restart");
    // The same spool, nothing new: what waited goes out while the instance lives.
    let mut ship = Command::new(testkit::companion());
    ship.args(["ship", "-o", &format!("dsn={}", server.dsn()), "-o", &spool, "-o", "proxy=none"]);
    ship.args(["-o", "storm_burst=0", "-"]).env_remove("SENTRY_DSN");
    ship.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut living = ship.spawn().expect("the companion runs");
    let mut lines = living.stdin.take().expect("its input");
    writeln!(lines, "{{\"level\":\"debug\",\"message\":\"tick\"}}").expect("a line");
    let complete = wait::until_true(Duration::from_secs(60), || count(&server) == kept + pending);
    drop(lines);
    living.wait().expect("the companion ends");
    assert!(complete, "{} of {kept} + {pending} events", count(&server));
}

fn a_restart_loses_nothing() {
    let (mut server, directory) =
        (Bugsink::start(Options::default()).expect("Bugsink"), TempDir::new("bugsink").expect("a directory"));
    let file = errors(&directory, 200);
    let (dsn, spool) = (server.dsn(), directory.path().join("spool"));
    let shipping = std::thread::spawn(move || {
        let mut ship = Command::new(testkit::companion());
        ship.args([
            "ship",
            "-o",
            &format!("dsn={dsn}"),
            "-o",
            "proxy=none",
            "-o",
            "storm_burst=0",
            "-o",
            "retry_base=100ms",
        ]);
        ship.args(["-o", "exit_timeout=60s", "-o", &format!("spool_path={}", spool.display())]).arg(file);
        ship.output().expect("the companion runs")
    });
    let some = || server.issues().is_ok_and(|issues| issues.iter().map(|issue| issue.count).sum::<u64>() > 20);
    assert!(wait::until_true(Duration::from_secs(30), some), "nothing arrives");
    server.restart().expect("a restart");
    let output = shipping.join().expect("the shipping thread");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let total: u64 = server.issues().expect("issues").iter().map(|issue| issue.count).sum();
    assert_eq!(total, 200);
}
