//! Inputs that are not what they should be, and outputs that nobody takes.

use super::{command, ended, lines, receiver, run, shown, text};
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;
use testkit::tempdir::TempDir;

/// Pseudo-random bytes, the same each time.
fn garbage() -> Vec<u8> {
    (0_u32..300_000).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// Every command that reads something, as far as its input.
fn readers<'a>(plugin: &'a str, dsn: &'a str, to: &'a str) -> [Vec<&'a str>; 6] {
    let quick = ["-o", "log_level=off", "-o", "exit_timeout=20s", "-o", dsn];
    let with = |words: &[&'a str]| [words, &["--plugin", plugin], &quick].concat();
    [
        vec!["check", "--offline"],
        vec!["explain"],
        vec!["explain", "--format", "text", "--pretty"],
        with(&["ship"]),
        with(&["replay"]),
        vec!["install", "--to", to, "--plugin"],
    ]
}

/// Exit codes of `check`, `explain`, `explain --format text`, `ship`, `replay` and `install`, and what they say on standard error.
const TABLE: &[(&str, [i32; 6], &str)] = &[
    ("missing", [4, 4, 4, 4, 4, 1], "No such file"),
    ("directory", [4, 4, 4, 4, 0, 1], "irectory"),
    ("garbage", [1, 1, 0, 0, 4, 1], "expected"),
    ("garbage.msgpack", [1, 1, 0, 1, 4, 1], "expected"),
    ("long", [1, 1, 1, 0, 4, 1], "long"),
    ("empty", [1, 0, 0, 0, 4, 1], ""),
];

pub fn files() {
    let dir = TempDir::new("bad").expect("expected a directory");
    let place = |name: &str| dir.path().join(name);
    fs::create_dir(place("directory")).expect("expected a directory");
    fs::write(place("garbage"), garbage()).expect("expected a file");
    fs::write(place("garbage.msgpack"), garbage()).expect("expected a file");
    fs::write(place("long"), vec![b'x'; 25_000_000]).expect("expected a file");
    fs::write(place("empty"), "").expect("expected a file");
    let receiver = receiver("");
    let (plugin, dsn, to) = (shown(&testkit::plugin()), format!("dsn={}", receiver.dsn()), shown(&place("to")));
    for (name, codes, said) in TABLE {
        let file = shown(&place(name));
        for (mut words, code) in readers(&plugin, &dsn, &to).into_iter().zip(codes) {
            words.push(&file);
            let output = run(&words);
            let errors = text(&output.stderr);
            let all = format!("{words:?}\n{}{errors}", text(&output.stdout[..output.stdout.len().min(2_000)]));
            assert_eq!(output.status.code(), Some(*code), "{all}");
            assert!(*code != 4 || errors.contains(said) || *name == "long" || *name == "empty", "{all}");
            // A report goes to standard output; whoever could not even begin says why.
            assert!(*code != 4 || output.stdout.is_empty(), "{all}");
            assert!(!all.contains("panicked") && !errors.contains('\0') && !errors.contains('\u{1b}'), "{all}");
        }
    }
    assert!(!Path::new(&to).exists(), "nothing was installed");
    assert_eq!(receiver.problems(), [""; 0]);
}

/// Checks that an option that nobody asks for is reported. Fluent Bit would not notice it.
pub fn misspelled_option() {
    let dir = TempDir::new("misspelled").expect("expected a directory");
    let input = dir.path().join("a.log");
    fs::write(&input, lines(3)).expect("expected a file");
    let (receiver, plugin) = (receiver(""), shown(&testkit::plugin()));
    let dsn = format!("dsn={}", receiver.dsn());
    let words =
        ["ship", "--plugin", &plugin, "-o", &dsn, "-o", "log_level=off", "-o", "Event_Levle=warn", "-o", "match=*"];
    let output = run(&[&words[..], &[&shown(&input)]].concat());
    let told = text(&output.stderr);
    assert!(output.status.code() == Some(0) && told.starts_with("option event_levle: "), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
    let check = run(&["check", "--offline", "-o", "event_levle=warn", "-o", &dsn]);
    assert!(text(&check.stdout).contains("the nearest is event_level"), "{}", text(&check.stdout));
}

/// A device that never ends: whoever needs the whole of it first must not try.
pub fn endless() {
    let dir = TempDir::new("endless").expect("expected a directory");
    let to = shown(&dir.path().join("to"));
    for (words, code, said) in [
        (vec!["install", "--to", &to, "--plugin", "/dev/zero"], 1, "expected a shared library"),
        (vec!["replay", "/dev/zero"], 4, "/dev/zero"),
        (vec!["check", "--offline", "/dev/zero"], 1, "problem"),
    ] {
        let mut child = command(&words).spawn().expect("expected flb-sentry");
        ended(&mut child);
        let output = child.wait_with_output().expect("expected its output");
        let all = text(&output.stdout) + &text(&output.stderr);
        assert!(output.status.code() == Some(code) && all.contains(said) && all.len() < 10_000, "{words:?}: {all}");
    }
}

/// A pipe whose reader has left.
fn closed() -> std::io::PipeWriter {
    std::io::pipe().expect("expected a pipe").1
}

/// Standard output closed before anything is written, and standard error too.
pub fn nobody_reads() {
    let dir = TempDir::new("nobody").expect("expected a directory");
    let input = dir.path().join("a.log");
    fs::write(&input, lines(20_000)).expect("expected a file");
    let (receiver, file, to) = (receiver(""), shown(&input), shown(&dir.path().join("to")));
    let (plugin, dsn) = (shown(&testkit::plugin()), format!("dsn={}", receiver.dsn()));
    let empty = shown(&dir.path().join("letters"));
    fs::create_dir(&empty).expect("expected a directory");
    for words in [
        vec!["--help"],
        vec!["ship", "--help"],
        vec!["--version"],
        vec!["completions", "bash"],
        vec!["check", "--offline", "-o", &dsn],
        vec!["check", "--offline", "--json", "-o", &dsn],
        vec!["explain", "--format", "text", &file],
        vec!["explain", "--format", "text", "--pretty", &file],
        vec!["ship", "--plugin", &plugin, "-o", &dsn, "-o", "exit_timeout=20s", &file],
        vec!["ship", "--json", "--plugin", &plugin, "-o", &dsn, "-o", "exit_timeout=20s", &file],
        vec!["replay", "--plugin", &plugin, "-o", &dsn, &empty],
        vec!["install", "--plugin", &plugin, "--to", &to],
        vec!["receive", "--listen", "127.0.0.1:0"],
        vec!["receive", "--listen", "127.0.0.1:0", "--json"],
    ] {
        for deaf in [false, true] {
            let mut command = command(&words);
            command.stdout(closed());
            if deaf {
                command.stderr(closed());
            }
            let mut child = command.spawn().expect("expected flb-sentry");
            let status = ended(&mut child);
            let mut told = String::new();
            child.stderr.take().map(|mut errors| errors.read_to_string(&mut told));
            assert!(status.code() == Some(0) && !told.contains("panicked"), "{words:?}: {status} {told}");
        }
    }
    assert_eq!(receiver.totals().problems, 0);
}

/// Not what nobody reads, but what cannot be kept, is a failure: a report in a file that is cut is no report.
pub fn full_disk() {
    if !Path::new("/dev/full").exists() {
        return;
    }
    let dir = TempDir::new("full").expect("expected a directory");
    let input = dir.path().join("a.log");
    fs::write(&input, lines(3)).expect("expected a file");
    let (receiver, file) = (receiver(""), shown(&input));
    let (plugin, dsn) = (shown(&testkit::plugin()), format!("dsn={}", receiver.dsn()));
    for words in [
        vec!["completions", "bash"],
        vec!["check", "--offline", "-o", &dsn],
        vec!["explain", "--format", "text", &file],
        vec!["ship", "--plugin", &plugin, "-o", &dsn, &file],
    ] {
        let full = fs::File::options().write(true).open("/dev/full").expect("expected a full disk");
        let output = command(&words).stdout(Stdio::from(full)).output().expect("expected flb-sentry");
        let errors = text(&output.stderr);
        assert!(!errors.contains("panicked"), "{words:?}: {errors}");
        let told = errors.contains("cannot write");
        assert!(output.status.code() != Some(0) && told, "{words:?}: {} {errors}", output.status);
    }
}
