//! `flb-sentry ship` from outside: what the plugin gets, what the user reads, what the shell sees.

use super::plugin::Probe;
use serde_json::Value;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const RECORD: &[u8] = b"\x92\x92\xd7\x00\x6a\xff\xfe\x00\x00\x15\x02\xca\x80\x81\xa3log\xa2hi";

macro_rules! probe {
    () => {
        match Probe::build(&[]) {
            Some(probe) => probe,
            None => return,
        }
    };
}

/// The command with this plugin and these options.
fn ship(probe: &Probe, options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flb-sentry"));
    command.arg("ship").arg("--plugin").arg(&probe.library);
    command.args(options.iter().flat_map(|option| ["-o", option]));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn file(probe: &Probe, name: &str, content: &[u8]) -> PathBuf {
    let path = probe.directory.path().join(name);
    std::fs::write(&path, content).unwrap();
    path
}

fn saved(probe: &Probe) -> (String, PathBuf) {
    let path = probe.directory.path().join("saved");
    (format!("save={}", path.display()), path)
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("killed: {}", stderr(output)))
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", stderr(output)))
}

fn flushes(probe: &Probe) -> usize {
    probe.calls().iter().filter(|call| call.starts_with("Flush")).count()
}

/// Polls; the test fails if it never comes true.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_chunk_file_arrives_byte_by_byte_and_the_ledger_is_printed() {
    let probe = probe!();
    let chunk = file(&probe, "a.msgpack", &RECORD.repeat(3));
    let (save, saved) = saved(&probe);
    let summary = "summary=records=3 log.accepted=3 event.filtered=3 requests.2xx=1";
    let options = ["id=main", &save, "log_level=info", summary];
    let output = ship(&probe, &options).arg(&chunk).output().unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(std::fs::read(saved).unwrap(), RECORD.repeat(3));
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(text.starts_with("shipped 1 of 1 chunk (3 records, 63 bytes)"), "{text}");
    assert!(text.contains("accepted") && text.contains("requests.2xx"), "{text}");
    assert!(stderr(&output).contains("] [ info] ready\n"), "log lines look like the host's: {}", stderr(&output));
    let calls = probe.calls();
    assert_eq!(calls[2..4], ["Init main of probe", "PreRun 0"]);
    assert_eq!(calls[4], "Flush main ship.a 63");
    assert_eq!(calls[5..], ["PreExit 0", "ExitCtx main", "Unregister probe"]);
}

#[test]
fn retries_are_honoured_and_counted() {
    let probe = probe!();
    let chunk = file(&probe, "a.msgpack", RECORD);
    let output = ship(&probe, &["retries=2", "summary=records=1"]).arg("--json").arg(&chunk).output().unwrap();
    let report = json(&output);
    assert_eq!((code(&output), flushes(&probe)), (0, 3));
    assert_eq!(
        (&report["retries"], &report["chunks"]["ok"], &report["ledger"]["records"]),
        (&2.into(), &1.into(), &1.into())
    );
}

#[test]
fn a_limit_of_retries_ends_without_success() {
    let probe = probe!();
    let chunk = file(&probe, "a.msgpack", RECORD);
    let mut command = ship(&probe, &["answer=2", "summary=records=0"]);
    let output = command.args(["--json", "--retry-limit", "1"]).arg(&chunk).output().unwrap();
    assert_eq!((code(&output), flushes(&probe)), (1, 2));
    assert_eq!(json(&output)["chunks"]["given_up"], 1);
}

#[test]
fn an_error_stops_shipping() {
    let probe = probe!();
    let chunk = file(&probe, "a.msgpack", &RECORD.repeat(50));
    let mut command = ship(&probe, &["answer=0", "summary=records=0"]);
    let output = command.args(["--chunk-size", "21"]).arg(&chunk).output().unwrap();
    assert_eq!((code(&output), flushes(&probe)), (5, 1), "{}", stderr(&output));
    assert!(stderr(&output).contains("answered ERROR to 1 chunk:"), "{}", stderr(&output));
    assert_eq!(probe.calls().last().unwrap(), "Unregister probe");
}

#[test]
fn what_is_not_delivered_is_no_success() {
    let probe = probe!();
    let chunk = file(&probe, "a.msgpack", RECORD);
    let table = [
        ("records=1 log.pending=1", 1, "log.pending=1"),
        ("records=1 event.rejected=1", 1, "event.rejected=1"),
        ("records=0", 1, "ledger"),
    ];
    for (summary, expected, said) in table {
        let output = ship(&probe, &[&format!("summary={summary}")]).arg(&chunk).output().unwrap();
        assert_eq!(code(&output), expected, "{summary}");
        assert!(stderr(&output).contains(said), "{}", stderr(&output));
    }
    let output = ship(&probe, &[]).arg(&chunk).output().unwrap();
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("no summary"), "{}", stderr(&output));
}

#[test]
fn refused_options_show_the_plugins_own_reason() {
    let probe = probe!();
    let chunk = file(&probe, "a.msgpack", RECORD);
    let output = ship(&probe, &["problem=dsn: expected a DSN"]).arg(&chunk).output().unwrap();
    assert_eq!((code(&output), flushes(&probe)), (3, 0));
    assert!(stderr(&output).contains("[error] dsn: expected a DSN\n"), "{}", stderr(&output));
    assert!(output.stdout.is_empty());
    let output = ship(&probe, &["tls=on"]).arg(&chunk).output().unwrap();
    assert_eq!(code(&output), 3);
    assert!(stderr(&output).contains("does not support TLS"), "{}", stderr(&output));
}

#[test]
fn a_missing_plugin_or_file_says_so_and_sends_nothing() {
    let probe = probe!();
    let chunk = file(&probe, "a.msgpack", RECORD);
    let missing = probe.directory.path().join("missing");
    let output = ship(&probe, &[]).arg(&chunk).arg(&missing).output().unwrap();
    assert_eq!((code(&output), probe.calls().len()), (4, 0));
    assert!(stderr(&output).contains("missing: No such file") && stderr(&output).contains("nothing was sent"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_flb-sentry"));
    let output = command.args(["ship", "--plugin"]).arg(&missing).arg(&chunk).output().unwrap();
    assert_eq!(code(&output), 3);
    assert!(stderr(&output).contains("expected a plugin"), "{}", stderr(&output));
    let output = command.arg("--chunk-size").output().unwrap();
    assert_eq!(code(&output), 2);
}

#[test]
fn workers_flush_at_the_same_time() {
    let probe = probe!();
    let chunk = file(&probe, "a.msgpack", &RECORD.repeat(2));
    let options = ["meet=2", "summary=records=2"];
    let output = ship(&probe, &options).args(["--workers", "2", "--chunk-size", "21"]).arg(&chunk).output().unwrap();
    assert_eq!((code(&output), flushes(&probe)), (0, 2), "{}", stderr(&output));
}

/// The probe's data file holds this.
fn holds(path: &Path, part: &[u8]) -> bool {
    std::fs::read(path).is_ok_and(|bytes| bytes.windows(part.len()).any(|window| window == part))
}

fn start(mut command: Command) -> Child {
    command.stdin(Stdio::piped()).spawn().unwrap()
}

#[test]
fn lines_of_a_pipe_that_stays_open_are_not_kept_waiting() {
    let probe = probe!();
    let (save, saved) = saved(&probe);
    let mut command = ship(&probe, &[&save, "summary=records=2"]);
    command.arg("-");
    let mut child = start(command);
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(b"hello from a pipe\n").unwrap();
    until("the line arrives", || holds(&saved, b"\x81\xa3log\xb1hello from a pipe"));
    pipe.write_all(b"last words").unwrap();
    drop(pipe);
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(holds(&saved, b"last words"));
    assert!(probe.calls().iter().any(|call| call.starts_with("Flush - ship.stdin ")), "{:?}", probe.calls());
}

/// Sends a signal the way a user does.
fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn an_interrupt_ends_the_instance_cleanly_and_says_what_is_open() {
    for name in ["INT", "TERM"] {
        let probe = probe!();
        let mut command = ship(&probe, &["answer=2", "summary=records=0"]);
        command.args(["--json", "-"]);
        let mut child = start(command);
        // The pipe stays open: whoever reads it must not keep the end from coming.
        let mut pipe = child.stdin.take().unwrap();
        pipe.write_all(b"a line\n").unwrap();
        until("the first flush", || flushes(&probe) > 0);
        signal(&child, name);
        until("the end", || child.try_wait().unwrap().is_some());
        let output = child.wait_with_output().unwrap();
        assert_eq!(code(&output), 130, "{}", stderr(&output));
        let report = json(&output);
        assert_eq!((&report["chunks"]["left"], &report["interrupted"]), (&1.into(), &true.into()));
        assert_eq!(probe.calls().last().unwrap(), "Unregister probe");
    }
}

#[test]
fn nobody_listening_is_no_failure() {
    let probe = probe!();
    let chunk = file(&probe, "a.msgpack", RECORD);
    let mut child = ship(&probe, &["summary=records=1"]).arg(&chunk).spawn().unwrap();
    drop(child.stdout.take());
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn garbage_is_handed_over_or_refused_but_never_a_crash() {
    let probe = probe!();
    let (save, saved) = saved(&probe);
    let noise: Vec<u8> = (0_u32..300_000).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let chunk = file(&probe, "noise.msgpack", &noise);
    let output = ship(&probe, &[&save, "summary=records=0 log.invalid=1"]).arg(&chunk).output().unwrap();
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    assert_eq!(std::fs::read(&saved).unwrap(), noise);
    assert!(stderr(&output).contains("expected a record at offset 0"), "{}", stderr(&output));
    let text = file(&probe, "noise.log", &noise);
    let output = ship(&probe, &["summary=records=100000"]).args(["--format", "text"]).arg(&text).output().unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
}

#[test]
fn the_log_level_decides_what_is_shown_but_the_ledger_is_always_there() {
    let probe = probe!();
    let chunk = file(&probe, "a.msgpack", RECORD);
    let table = [
        ("log_level=error", &[][..]),
        ("x=y", &[]),
        ("log_level=info", &["ready"]),
        ("Log_Level=debug", &["ready", "ready in detail"]),
    ];
    for (option, shown) in table {
        let output = ship(&probe, &[option, "summary=records=1"]).arg(&chunk).output().unwrap();
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        let lines = stderr(&output);
        assert_eq!(lines.lines().filter(|line| line.contains("ready")).count(), shown.len(), "{lines}");
    }
}

#[test]
fn the_wait_for_the_server_ends() {
    let probe = probe!();
    let chunk = file(&probe, "a.msgpack", RECORD);
    let start = Instant::now();
    let mut command = ship(&probe, &["answer=2", "summary=records=0", "exit_timeout=1h"]);
    let output = command.args(["--json", "--wait", "400ms"]).arg(&chunk).output().unwrap();
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let report = json(&output);
    assert_eq!((&report["chunks"]["left"], &report["exit_code"]), (&1.into(), &1.into()), "{report}");
    assert!(stderr(&output).contains("the time of --wait is over"), "{}", stderr(&output));
    assert!((Duration::from_millis(400)..Duration::from_secs(20)).contains(&start.elapsed()), "{:?}", start.elapsed());
    let wrong = ship(&probe, &[]).args(["--wait", "soon"]).arg(&chunk).output().unwrap();
    assert!(code(&wrong) == 2 && stderr(&wrong).contains("60s"), "{}", stderr(&wrong));
}

#[test]
fn old_records_and_the_servers_counts_are_told() {
    let probe = probe!();
    let old = b"\x92\x92\xd7\x00\x60\x00\x00\x00\x00\x00\x00\x00\x80\x81\xa3log\xa2hi";
    let chunk = file(&probe, "a.msgpack", &old.repeat(2));
    let lines = file(&probe, "b.log", b"of now\n");
    let summary = "summary=records=3 event.accepted=1 event.filtered=2 log.accepted=3";
    let output = ship(&probe, &[summary]).arg(&chunk).arg(&lines).output().unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    for part in ["\nthe server accepted 1 event and 3 logs\n", "\n2 records have a time that Sentry does not keep"] {
        assert!(text.contains(part), "expected {part:?}, found {text}");
    }
}

/// Every exit code of the help is one that the command has, and no other.
#[test]
fn exit_codes_are_those_of_the_help() {
    let probe = probe!();
    let chunk = file(&probe, "a.msgpack", RECORD);
    let ends = |options: &[&str], more: &[&str]| {
        let mut command = ship(&probe, options);
        code(&command.args(more).arg(&chunk).output().unwrap())
    };
    assert_eq!(ends(&["summary=records=1 log.accepted=1"], &[]), 0);
    assert_eq!(ends(&["summary=records=1 log.lost=1"], &[]), 1);
    assert_eq!(ends(&[], &["--unknown"]), 2);
    assert_eq!(ends(&["problem=no"], &[]), 3);
    assert_eq!(ends(&["summary=records=1"], &["/nowhere/file"]), 4);
    assert_eq!(ends(&["answer=0", "summary=records=0"], &[]), 5);
}

#[test]
fn help_names_the_exit_codes() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_flb-sentry"));
    let mut child = child.args(["ship", "--help"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut help = String::new();
    child.stdout.take().unwrap().read_to_string(&mut help).unwrap();
    assert!(child.wait().unwrap().success());
    for code in ["0 ", "1 ", "2 ", "3 ", "4 ", "5 ", "130 "] {
        assert!(help.contains(&format!("\n  {code}")), "{code}: {help}");
    }
}
