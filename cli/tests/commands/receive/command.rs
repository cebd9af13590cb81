//! Tests of the command `flb-sentry receive`: its lines, its exit codes, and how it forwards events.

use super::{Client, ID, KEY, SOON, event, log, logs, start};
use receiver::Options;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, ChildStdout, Command, Stdio};

/// `flb-sentry receive`, ended with the test.
struct Process {
    child: Child,
    out: Option<BufReader<ChildStdout>>,
}

impl Process {
    fn start(args: &[&str]) -> Process {
        let mut child = Command::new(env!("CARGO_BIN_EXE_flb-sentry"))
            .args(["receive", "--listen", "127.0.0.1:0"])
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let out = child.stdout.take().map(BufReader::new);
        Process { child, out }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.as_mut().unwrap().read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Address from the first line, after the second line was seen to be the DSN.
    fn greeting(&mut self) -> SocketAddr {
        let (first, second) = (self.line(), self.line());
        let addr = first.strip_prefix("listening on http://").unwrap().parse().unwrap();
        assert_eq!(second, format!("dsn http://{KEY}@{addr}/1"));
        addr
    }

    /// Ends it with a signal; exit code and standard error.
    fn stop(mut self, signal: &str) -> (Option<i32>, String) {
        let killed = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(killed.success());
        self.finish()
    }

    fn finish(&mut self) -> (Option<i32>, String) {
        let mut errors = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        (self.child.wait().unwrap().code(), errors)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn command_prints_lines_for_people_and_ends_on_a_signal() {
    let mut process = Process::start(&["--fault", "503", "--fault", "2xok"]);
    let addr = process.greeting();
    let post = |body: &[u8]| Client::connect(addr).envelope(body).unwrap().status;
    assert_eq!(post(&event("an event")), 503);
    assert_eq!(post(&event("an event")), 200);
    assert_eq!(process.line(), "issue  error    an event");
    assert_eq!(post(&logs(&[log("a \u{1b}[31mlog")])), 200);
    let line = process.line();
    assert!(line.starts_with("log    info     2") && line.ends_with("  a \\u{1b}[31mlog"), "{line:?}");
    assert_eq!(post(&logs(&[json!({})])), 400);
    let (code, errors) = process.stop("-TERM");
    assert_eq!(code, Some(0));
    assert!(errors.contains("request 3: log.items[0].body: expected a string, found nothing\n"), "{errors}");
    let summary = "received 1 event, 1 log and 0 client reports in 2 of 4 requests; 4 problems\n";
    assert!(errors.ends_with(summary), "{errors}");
}

#[test]
fn command_prints_json_lines_and_forwards_events() {
    let other = start(Options::default());
    let key = KEY.replace('0', "e");
    let mut process = Process::start(&["--json", "--forward", &other.dsn_for(9).replace(KEY, &key)]);
    let greeting: Value = serde_json::from_str(&process.line()).unwrap();
    let addr = greeting["listening"].as_str().unwrap().strip_prefix("http://").unwrap().parse().unwrap();
    assert_eq!(greeting["dsn"], format!("http://{KEY}@{addr}/1"));
    let mut client = Client::connect(addr);
    assert_eq!(client.envelope(&logs(&[log("not for others")])).unwrap().status, 200);
    assert_eq!(client.envelope(&event("for others")).unwrap().status, 200);
    let lines = [process.line(), process.line()].map(|line| serde_json::from_str::<Value>(&line).unwrap());
    assert_eq!((&lines[0]["item"], &lines[0]["payload"]["body"]), (&json!("log"), &json!("not for others")));
    assert_eq!((&lines[1]["item"], &lines[1]["project"]), (&json!("event"), &json!(1)));
    assert!(other.wait_until(SOON, |seen| seen.totals.events == 1));
    let event = other.events().pop().unwrap();
    assert_eq!((event.project, event.sentry_key.as_str(), event.event_id.as_str()), (9, key.as_str(), ID));
    assert_eq!(event.payload["logentry"]["message"], "for others");
    assert_eq!(other.problems(), [""; 0]);
    assert_eq!(process.stop("-INT").0, Some(0));
    assert_eq!(other.totals().requests, 1);
}

#[test]
fn command_tells_when_forwarding_fails() {
    // A port that the kernel gives to nobody.
    let nobody = "127.0.0.1:1";
    let mut process = Process::start(&["--forward", &format!("http://{KEY}@{nobody}/1")]);
    let addr = process.greeting();
    assert_eq!(Client::connect(addr).envelope(&event("x")).unwrap().status, 200);
    let (code, errors) = process.stop("-TERM");
    assert_eq!(code, Some(0));
    assert!(errors.contains(&format!("forward: {nobody}: ")), "{errors}");
}

#[test]
fn command_ends_when_nobody_reads_any_more() {
    let mut process = Process::start(&[]);
    let addr = process.greeting();
    process.out = None;
    // It may be gone before it answers.
    let _ = Client::connect(addr).envelope(&event("x"));
    assert_eq!(process.finish().0, Some(0));
}

#[test]
fn command_refuses_what_cannot_work() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = taken.local_addr().unwrap().to_string();
    let https = format!("https://{KEY}@h/1");
    for (args, expected) in [
        (vec!["--listen", &place], "cannot listen on"),
        (vec!["--listen", "nonsense"], "--listen"),
        (vec!["--fault", "teapot"], "expected a status"),
        (vec!["--forward", &https], "plain http"),
        (vec!["--listen", "127.0.0.1:0", "--key", "short"], "32 hexadecimal"),
        (vec!["--listen", "127.0.0.1:0", "--save", "/dev/null/x"], "cannot save to /dev/null/x"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_flb-sentry")).arg("receive").args(&args).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && errors.contains(expected), "{args:?}: {errors}");
    }
    let help = Command::new(env!("CARGO_BIN_EXE_flb-sentry")).args(["receive", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.contains("cut-before-body") && help.contains("3x429,retry-after=2"), "{help}");
}
