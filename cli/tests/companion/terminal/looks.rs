//! Colour and progress: on a terminal, and nowhere else.

use super::tty::Terminal;
use super::{command, letters, lines, receiver, run, shown, text};
use std::fs;
use std::process::{Command, Stdio};
use testkit::tempdir::TempDir;

const ESCAPE: char = '\u{1b}';

pub fn pipe() {
    let dir = TempDir::new("pipe").expect("expected a directory");
    let input = dir.path().join("a.log");
    fs::write(&input, lines(200)).expect("expected a file");
    let (receiver, file, plugin) = (receiver(""), shown(&input), shown(&testkit::plugin()));
    let dsn = format!("dsn={}", receiver.dsn());
    for (words, code) in [
        (vec!["check", "--offline", "-o", "event_level=loud"], 1),
        (vec!["explain", "--format", "text", "--pretty", &file], 0),
        (vec!["ship", "--rate", "400", "--plugin", &plugin, "-o", &dsn, &file], 0),
        (vec!["ship", "--help"], 0),
        (vec!["shop"], 2),
    ] {
        let output = run(&words);
        let all = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {all}");
        assert!(!all.contains([ESCAPE, '\r']), "{words:?}: {all:?}");
    }
}

pub fn progress_of_ship() {
    let dir = TempDir::new("progress").expect("expected a directory");
    let input = dir.path().join("a.log");
    fs::write(&input, lines(90)).expect("expected a file");
    let (receiver, plugin) = (receiver(""), shown(&testkit::plugin()));
    let words =
        format!("ship --rate 30 --plugin {plugin} -o dsn={} -o log_level=warn {}", receiver.dsn(), shown(&input));
    for env in ["", "NO_COLOR=1"] {
        let (code, seen) = Terminal::open(env, &words).ended();
        assert_eq!(code, 0, "{seen}");
        // How much of how much, how many records, how fast, and how long it still takes.
        for part in [" records, ", "/s", " left", "B/"] {
            assert!(seen.contains(part), "expected {part:?}, found {seen:?}");
        }
        let (_, after) = seen.rsplit_once(" left").expect("a bar");
        assert!(after.contains("shipped 3 of 3 chunks (90 records, ") && !after.contains("records, 0"), "{after:?}");
        assert!(env.is_empty() || !seen.contains("\u{1b}[3"), "no colour was asked for: {seen:?}");
    }
    let (_, seen) = Terminal::open("", &format!("{words} 2>/dev/null")).ended();
    assert!(!seen.contains(" left") && !seen.contains(ESCAPE), "progress belongs to standard error: {seen:?}");
}

pub fn progress_of_replay() {
    let letters = letters();
    let (receiver, plugin) = (receiver("forever:delay=300ms"), shown(&testkit::plugin()));
    let words = format!(
        "replay --plugin {plugin} -o dsn={} -o log_level=warn {}",
        receiver.dsn(),
        shown(&letters.path().join("dead"))
    );
    let (code, seen) = Terminal::open("", &words).ended();
    assert!(code == 0 && seen.contains(" left") && seen.contains("replayed 1 of 1 chunk ("), "{seen:?}");
}

pub fn progress_of_check() {
    // Takes a connection and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("expected a port");
    let dsn =
        format!("http://0123456789abcdef0123456789abcdef@{}/1", silent.local_addr().expect("expected an address"));
    let words = format!("check --timeout 1 -o proxy=none -o dsn={dsn}");
    let (code, seen) = Terminal::open("", &words).ended();
    assert!(code == 1 && seen.contains("sentry.0: asking whether destinations answer (1)"), "{seen:?}");
    let (_, after) = seen.rsplit_once("answer (1)").expect("a spinner");
    assert!(after.contains("problem") && !after.contains("asking"), "{after:?}");
    let piped = run(&words.split(' ').collect::<Vec<_>>());
    assert!(piped.status.code() == Some(1) && piped.stderr.is_empty(), "{}", text(&piped.stderr));
}

pub fn colours() {
    let seen = |env: &str, words: &str| Terminal::open(env, words).ended().1;
    let wrong = "check --offline -o event_level=loud";
    assert!(seen("", wrong).contains("\u{1b}[31mproblem"), "{:?}", seen("", wrong));
    assert!(seen("NO_COLOR=", wrong).contains(ESCAPE), "an empty NO_COLOR says nothing");
    for words in [wrong, "check --offline --json -o event_level=loud", "ship --help", "completions bash", "shop"] {
        assert!(!seen("NO_COLOR=1", words).contains(ESCAPE), "{words}");
    }
    assert!(!seen("", "completions bash").contains(ESCAPE) && !seen("", &format!("{wrong} --json")).contains(ESCAPE));

    for (env, painted) in [("", true), ("NO_COLOR=1", false)] {
        let mut terminal = Terminal::open(env, "receive --listen 127.0.0.1:0");
        let dsn = terminal.shows_line("dsn ");
        let mut ship = command(&["ship", "--plugin", &shown(&testkit::plugin()), "-o", &format!("dsn={dsn}"), "-"]);
        feed(ship.stdin(Stdio::piped()), "ERROR declined \u{1b}[2J\n");
        terminal.shows("log ");
        terminal.press(super::tty::CTRL_C);
        let (code, seen) = terminal.ended();
        assert_eq!((code, seen.contains("\u{1b}[31merror")), (0, painted), "{seen:?}");
        assert!(!seen.contains("\u{1b}[2J"), "a log line must not steer the terminal: {seen:?}");
    }
}

fn feed(command: &mut Command, input: &str) {
    let mut child = command.spawn().expect("expected flb-sentry");
    let mut pipe = child.stdin.take().expect("expected its input");
    std::io::Write::write_all(&mut pipe, input.as_bytes()).expect("expected it to read");
    drop(pipe);
    let output = child.wait_with_output().expect("expected its output");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}
