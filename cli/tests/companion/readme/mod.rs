//! Runs every command line of README.md and of the pages in `docs/`, each by the rule that fits it, and compares what is shown below it
//! with what it prints. A command line that no rule fits fails the test.

mod document;
mod quick_start;
mod rules;
mod shown;
mod stage;

use document::Line;
use rules::RULES;
use testkit::fluent_bit::FluentBit;
use testkit::suite::Suite;

/// A page that is generated and shows command lines as examples of what is scrubbed.
const GENERATED: &str = "docs/privacy.md";

pub fn add(suite: Suite) -> Suite {
    let mut suite = suite;
    suite = suite.test("every_block_says_what_it_is", blocks_of_unknown_languages_are_refused);
    suite = suite.test("problems_at_the_start_are_shown_as_printed", problems_at_the_start_are_shown_as_printed);
    suite = suite.test("a_fresh_clone_can_run_the_demo", rules::a_fresh_clone_can_run_the_demo);
    let lines: Vec<Line> =
        stage::documents().iter().filter(|name| *name != GENERATED).flat_map(|name| of(name)).collect();
    let all = lines.clone();
    suite = suite.test("every_rule_is_needed", move || every_rule_is_needed(&all));
    for document in quick_start::DOCUMENTS {
        let name = format!("{document}: the quick start works as printed");
        suite = suite.needing(&FluentBit::find(), &name, move |_| quick_start::works_as_printed(document));
    }
    for line in lines {
        let name = format!("{} line_{}: {}", line.document, line.number, line.text);
        suite = suite.test(&name, move || judge(&line));
    }
    suite
}

/// Writes what the commands printed into the documents, if that is asked for. All tests have to have ended.
pub fn update() {
    shown::update();
}

/// Returns the command lines of a document.
fn of(document: &str) -> Vec<Line> {
    document::lines(document, &stage::text(document)).unwrap_or_else(|problem| panic!("{document}, {problem}"))
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
        panic!(
            "{} line {}: no rule of cli/tests/companion/readme/rules.rs fits `{}`",
            line.document, line.number, line.text
        )
    };
    RULES[rule].1(line);
}

fn every_rule_is_needed(lines: &[Line]) {
    for (at, (pattern, _)) in RULES.iter().enumerate() {
        assert!(lines.iter().any(|line| rule(line) == Some(at)), "`{pattern}` is in no document");
    }
    let known = |text: &str| {
        let lines = document::lines("", text).expect("expected a document");
        lines.first().is_some_and(|line| rule(line).is_some())
    };
    assert!(!known("```sh\nflb-flush --all\n```"), "a stranger's command must not pass");
    assert!(!known("Say `curl http://127.0.0.1:9000/`."));
}

fn blocks_of_unknown_languages_are_refused() {
    for (document, problem) in [
        ("```\nmake demo\n```", "line 2: expected no command"),
        ("```text\n$ make demo\n```", "line 2: expected no command"),
        ("```console\nmake demo\n```", "line 2: expected a command"),
    ] {
        let found = document::lines("", document).expect_err("expected a problem");
        assert!(found.starts_with(problem), "{found}");
    }
    let text = "`a b`, `make x`\n```sh\na\n```\n```console\n$ b\nout\n```\n  ```sh\n  c \\\n    d\n  ```";
    let lines = document::lines("", text).expect("expected lines");
    let found: Vec<_> = lines.iter().map(|line| (line.number, line.text.as_str(), line.shown.as_str())).collect();
    assert_eq!(found, [(1, "make x", ""), (3, "a", ""), (6, "b", "out\n"), (11, "c d", "")]);
    assert_eq!(lines[1].place, document::Place::Script);
}

/// The problems that docs/configuration.md shows are those of an output with just these options.
fn problems_at_the_start_are_shown_as_printed() {
    const HEAD: &str = "[error] [output:sentry:sentry.0] ";
    let page = stage::text("docs/configuration.md");
    let shown: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix(HEAD)).collect();
    assert!(!shown.is_empty(), "expected problems in docs/configuration.md");
    let options = shown.iter().map(|problem| {
        let (key, rest) = problem.split_once(" = ").expect("expected a key");
        format!("-o {key}={} ", rest.split(": ").next().unwrap_or_default())
    });
    let dsn = "-o dsn=http://0123456789abcdef0123456789abcdef@127.0.0.1:9/1";
    let ended = stage::Stage::new().run(&format!("flb-sentry ship {dsn} {}README.md", options.collect::<String>()));
    let said = ended.printed.replace(":sentry] ", ":sentry.0] ");
    for problem in &shown {
        assert!(said.contains(&format!("{HEAD}{problem}\n")), "the page shows {problem:?}, the plugin says\n{said}");
    }
    assert_eq!((ended.code, said.matches("] [error] ").count()), (Some(3), shown.len()), "{said}");
}
