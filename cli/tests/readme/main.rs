//! README as a person reads it: every command line in it is run, each by the rule that fits it, and what is shown below it is what
//! is printed. A command line that no rule fits fails: so it cannot go stale.

#[path = "../../../tests/support/mod.rs"]
mod support;

mod document;
mod rules;
mod shown;
mod stage;

use document::Line;
use rules::RULES;
use std::process::ExitCode;
use support::suite::Suite;

fn main() -> ExitCode {
    let readme = stage::text("README.md");
    let lines = document::lines(&readme).unwrap_or_else(|problem| panic!("README.md, {problem}"));
    let mut suite = Suite::default().at_once(2);
    suite = suite.test("every_block_says_what_it_is", what_is_no_block_of_ours_is_refused);
    suite = suite.test("what_stops_the_start_is_said_as_shown", what_stops_the_start_is_said_as_shown);
    let all = lines.clone();
    suite = suite.test("every_rule_is_needed", move || every_rule_is_needed(&all));
    for line in lines {
        let name = format!("line_{}: {}", line.number, line.text);
        suite = suite.test(&name, move || judge(&line));
    }
    let code = suite.run();
    shown::update();
    code
}

/// The first rule that fits.
fn rule(line: &Line) -> Option<usize> {
    RULES.iter().position(|(pattern, _)| match pattern.strip_suffix('*') {
        Some(beginning) => line.text.starts_with(beginning),
        None => line.text == *pattern,
    })
}

fn judge(line: &Line) {
    let Some(rule) = rule(line) else {
        panic!("README.md line {}: no rule of cli/tests/readme/rules.rs fits `{}`", line.number, line.text)
    };
    RULES[rule].1(line);
}

fn every_rule_is_needed(lines: &[Line]) {
    for (at, (pattern, _)) in RULES.iter().enumerate() {
        assert!(lines.iter().any(|line| rule(line) == Some(at)), "`{pattern}` is not in README.md");
    }
    let known = |text: &str| {
        let lines = document::lines(text).expect("expected a document");
        lines.first().is_some_and(|line| rule(line).is_some())
    };
    assert!(!known("```sh\nflb-flush --all\n```"), "a stranger's command must not pass");
    assert!(!known("Say `curl http://127.0.0.1:9000/`."));
}

fn what_is_no_block_of_ours_is_refused() {
    for (document, problem) in [
        ("```\nmake demo\n```", "line 2: expected no command"),
        ("```text\n$ make demo\n```", "line 2: expected no command"),
        ("```console\nmake demo\n```", "line 2: expected a command"),
    ] {
        let found = document::lines(document).expect_err("expected a problem");
        assert!(found.starts_with(problem), "{found}");
    }
    let lines = document::lines("`a b`, `make x`\n```sh\na\n```\n```console\n$ b\nout\n```").expect("expected lines");
    let found: Vec<_> = lines.iter().map(|line| (line.number, line.text.as_str(), line.shown.as_str())).collect();
    assert_eq!(found, [(1, "make x", ""), (3, "a", ""), (6, "b", "out\n")]);
    assert_eq!(lines[1].place, document::Place::Script);
}

/// The problems that README shows are those of an output with just these options.
fn what_stops_the_start_is_said_as_shown() {
    const HEAD: &str = "[error] [output:sentry:sentry.0] ";
    let readme = stage::text("README.md");
    let shown: Vec<&str> = readme.lines().filter_map(|line| line.strip_prefix(HEAD)).collect();
    assert!(!shown.is_empty(), "expected problems in README.md");
    let options = shown.iter().map(|problem| {
        let (key, rest) = problem.split_once(" = ").expect("expected a key");
        format!("-o {key}={} ", rest.split(": ").next().unwrap_or_default())
    });
    let dsn = "-o dsn=http://0123456789abcdef0123456789abcdef@127.0.0.1:9/1";
    let ended = stage::Stage::new().run(&format!("flb-sentry ship {dsn} {}README.md", options.collect::<String>()));
    let said = ended.printed.replace(":sentry] ", ":sentry.0] ");
    for problem in &shown {
        assert!(said.contains(&format!("{HEAD}{problem}\n")), "README.md shows {problem:?}, the plugin says\n{said}");
    }
    assert_eq!((ended.code, said.matches("] [error] ").count()), (Some(3), shown.len()), "{said}");
}
