//! Tests the help of the commands.

use super::{command, run, shown, text};
use serde_json::Value;
use testkit::tempdir::TempDir;

const COMMANDS: [&str; 7] = ["check", "completions", "explain", "install", "receive", "replay", "ship"];

pub fn of_every_command() {
    let whole = text(&run(&["--help"]).stdout);
    for command in COMMANDS {
        assert!(whole.contains(&format!("\n  {command} ")), "{whole}");
        let (long, short) = (run(&[command, "--help"]), run(&[command, "-h"]));
        let (long, short) = (text(&long.stdout), text(&short.stdout));
        assert!(short.len() < long.len() && !short.contains("Exit codes"), "{short}");
        for code in ["  0  ", "  2  "] {
            let (_, codes) = long.split_once("\nExit codes:\n").unwrap_or_else(|| panic!("no exit codes: {long}"));
            assert!(codes.lines().any(|line| line.starts_with(code)), "{command}: {codes}");
        }
        let (_, examples) = long
            .split_once(&format!("\n  flb-sentry {command}"))
            .or(long.split_once("| flb-sentry "))
            .unwrap_or_else(|| panic!("no example: {long}"));
        let wide = examples.lines().find(|line| line.chars().count() > 80);
        assert_eq!(wide, None, "{command}");
        let version = run(&[command, "--version"]);
        assert!(
            version.status.success() && text(&version.stdout).ends_with(&format!(" {}\n", env!("CARGO_PKG_VERSION")))
        );
    }
    assert!(text(&run(&["--version"]).stdout).starts_with("flb-sentry "));
    assert_eq!(run(&[]).status.code(), Some(2));
    let unknown = run(&["shop"]);
    assert!(unknown.status.code() == Some(2) && text(&unknown.stderr).contains("'ship'"), "{}", text(&unknown.stderr));
}

pub fn completions() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = run(&["completions", shell]);
        let script = text(&output.stdout);
        assert!(output.status.success() && output.stderr.is_empty());
        for word in COMMANDS.into_iter().chain(["kube-meta", "chunk-size"]) {
            assert!(script.contains(word), "{shell}: expected {word}");
        }
    }
    assert_eq!(run(&["completions", "csh"]).status.code(), Some(2));
    // The shell that is everywhere must be able to read it.
    let script = text(&run(&["completions", "bash"]).stdout);
    let completed = "\
        COMP_WORDS=(flb-sentry sh) COMP_CWORD=1
        rule=$(complete -p flb-sentry) && rule=${rule#*-F }
        ${rule%% *} flb-sentry sh flb-sentry
        echo \"${COMPREPLY[@]}\"";
    match std::process::Command::new("bash").args(["-c", &format!("{script}\n{completed}")]).output() {
        Ok(output) => assert_eq!(text(&output.stdout), "ship\n", "{}", text(&output.stderr)),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}"),
    }
}

pub fn manual_pages() {
    let dir = TempDir::new("man").expect("expected a directory");
    let output = run(&["man", dir.path().to_str().expect("expected UTF-8")]);
    assert!(output.status.success() && output.stdout.is_empty(), "{}", text(&output.stderr));
    let mut pages: Vec<_> = std::fs::read_dir(dir.path()).expect("expected pages").flatten().collect();
    pages.sort_by_key(std::fs::DirEntry::file_name);
    let names = pages.iter().map(|page| page.file_name().into_string().expect("expected UTF-8")).collect::<Vec<_>>();
    let mut expected: Vec<_> = COMMANDS.iter().map(|command| format!("flb-sentry-{command}.1")).collect();
    expected.push("flb-sentry.1".to_owned());
    expected.sort_unstable();
    assert_eq!(names, expected);
    for page in &pages {
        let page = std::fs::read_to_string(page.path()).expect("expected a page");
        assert!(page.contains(".TH flb-sentry") && page.contains(".SH SYNOPSIS"), "{page}");
    }
    assert_eq!(run(&["man", "/dev/null/man"]).status.code(), Some(1));
    // Only packagers need it.
    assert!(!text(&run(&["--help"]).stdout).contains("\n  man "));
}

/// The one JSON object that a command prints.
fn object(words: &[&str]) -> Value {
    let output = command(words).output().expect("expected flb-sentry");
    let printed = text(&output.stdout);
    assert_eq!(printed.lines().count(), 1, "{words:?}: {printed}{}", text(&output.stderr));
    serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"))
}

pub fn json() {
    let dir = TempDir::new("json").expect("expected a directory");
    let (input, to, empty) = (dir.path().join("a.log"), dir.path().join("to"), dir.path().join("empty"));
    std::fs::create_dir(&empty).expect("expected to make a directory");
    std::fs::write(&input, super::lines(5)).expect("expected to write a file");
    let (plugin, receiver) = (shown(&testkit::plugin()), super::receiver(""));
    let dsn = format!("dsn={}", receiver.dsn());
    let ship = object(&["ship", "--json", "--plugin", &plugin, "-o", &dsn, "-o", "log_level=off", &shown(&input)]);
    assert_eq!(
        (&ship["records"]["ok"], &ship["exit_code"], &ship["ledger"]["log.accepted"]),
        (&5.into(), &0.into(), &5.into())
    );
    let replay = object(&["replay", "--json", "--plugin", &plugin, "-o", &dsn, "-o", "log_level=off", &shown(&empty)]);
    assert_eq!((&replay["ledger"]["records"], &replay["exit_code"]), (&0.into(), &0.into()));
    let check = object(&["check", "--json", "--offline", "-o", &dsn]);
    assert_eq!(check["outputs"][0]["name"], "sentry.0");
    let install = object(&["install", "--json", "--plugin", &plugin, "--to", &shown(&to)]);
    for key in ["plugin", "plugins_file"] {
        assert!(std::path::Path::new(install[key].as_str().expect("a path")).is_file(), "{install}");
    }
    let explain = run(&["explain", "--json", "--format", "text", &shown(&input)]);
    assert_eq!(text(&explain.stdout).lines().count(), 10);
}

pub fn wrong_directory() {
    let dir = TempDir::new("wrong").expect("expected a directory");
    std::fs::write(dir.path().join("notes.txt"), "x").expect("expected to write a file");
    let dsn = "dsn=http://0123456789abcdef0123456789abcdef@127.0.0.1:1/1";
    let replay = run(&["replay", "--plugin", &shown(&testkit::plugin()), "-o", dsn, &shown(dir.path())]);
    assert_eq!(replay.status.code(), Some(4), "{}", text(&replay.stderr));
    assert!(text(&replay.stderr).contains("expected dead letters or a spool"), "{}", text(&replay.stderr));
    let left: Vec<_> = std::fs::read_dir(dir.path()).expect("expected a directory").flatten().collect();
    assert_eq!(left.len(), 1, "expected nothing to be left behind, found {left:?}");
}
