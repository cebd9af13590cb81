//! The demo without anything that a machine may lack: the companion ships, its receiver takes, and the books agree.

use std::path::PathBuf;
use std::process::{Command, Output};
use testkit::suite::Suite;
use testkit::{artefacts, tempdir::TempDir};

pub fn add(suite: Suite) -> Suite {
    suite
        .test("the_books_agree_and_nothing_is_left_behind", the_books_agree)
        .test("the_documents_show_it", the_documents_show_it)
        .test("a_host_that_is_not_there_is_an_error_and_not_a_pass", a_missing_host)
}

/// The demo, which `cargo test` builds beside us; `cargo test --test companion` does not.
fn demo() -> PathBuf {
    let demo = artefacts::profile_dir().join("examples/demo");
    if !demo.is_file() {
        let status = Command::new(env!("CARGO")).args(["build", "--quiet", "--example", "demo"]).status();
        assert!(status.is_ok_and(|status| status.success()), "cargo build --example demo");
    }
    demo
}

fn run(temporary: &TempDir, args: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(demo());
    command.args(args).envs(env.iter().copied()).env("TMPDIR", temporary.path());
    command.output().expect("expected to run the demo")
}

fn the_books_agree() {
    testkit::plugin();
    let temporary = TempDir::new("demo-test").expect("expected a directory");
    let output = run(&temporary, &["--server", "receive", "--by", "ship"], &[]);
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    for part in ["records 547 in the samples = 547 taken by the plugin", "All agree.", "flb-sentry ship (as asked for)"]
    {
        assert!(text.contains(part), "expected {part:?}, found {text}");
    }
    for part in [
        "otlp        records 2, events 1, logs 2",
        "event  error    IllegalStateException: declined",
        "trace 5b8efff798038103d269b633813fc60c  frames 1",
        "forward     records 2, events 1, logs 2",
        "syslog      records 1, events 1, logs 1",
        "kubernetes  records 145, events 6, logs 124",
        "k8s.namespace.name=shop",
    ] {
        assert!(text.contains(part), "expected {part:?}, found {text}");
    }
    assert!(!text.contains("DIFFER") && !text.contains("PROBLEM"), "{text}");
    let left: Vec<_> = std::fs::read_dir(temporary.path()).expect("expected the directory").collect();
    assert!(left.is_empty(), "{left:?}");
}

/// The ledger that docs/getting-started.md shows, whatever host and server its demo had.
fn the_documents_show_it() {
    testkit::plugin();
    let page = artefacts::workspace().join("docs/getting-started.md");
    let page = std::fs::read_to_string(page).expect("expected docs/getting-started.md");
    let (_, shown) = page.split_once("$ make demo\n").expect("expected a demo");
    let (shown, _) = shown.split_once("\n```").expect("expected its end");
    let (_, books) = shown.split_once("\nLedger of the plugin").expect("expected its books");
    let temporary = TempDir::new("demo-test").expect("expected a directory");
    let output = run(&temporary, &["--server", "receive", "--by", "ship"], &[]);
    let printed = String::from_utf8_lossy(&output.stdout);
    let told: Vec<&str> = printed.lines().collect();
    let steps = shown.lines().filter(|line| line.contains("  samples: ")).map(|line| line.trim_start());
    for line in books.lines().filter(|line| !line.trim().is_empty() && *line != "  ...") {
        assert!(told.iter().any(|told| told.ends_with(line)), "the page shows {line:?}, the demo says\n{printed}");
    }
    for step in steps {
        let (_, what) = step.split_once("  ").expect("expected a time and a step");
        assert!(printed.contains(what), "the page shows {step:?}, the demo says\n{printed}");
    }
    let title = |line: &str| line.get(18..40).unwrap_or_default().trim().to_owned();
    for line in shown.lines().filter(|line| line.starts_with("  fatal") || line.starts_with("  error")) {
        assert!(printed.contains(&title(line)), "the page shows the issue {:?}, the demo says\n{printed}", title(line));
    }
}

fn a_missing_host() {
    let temporary = TempDir::new("demo-test").expect("expected a directory");
    let output =
        run(&temporary, &["--server", "receive", "--by", "fluent-bit"], &[("FLUENT_BIT", "/nowhere/fluent-bit")]);
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nowhere/fluent-bit is no file"));
}
