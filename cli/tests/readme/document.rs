//! README taken apart: its blocks, and the command lines in them and in its sentences.

/// Where a command line stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A line of a block to be copied (`sh`).
    Script,
    /// Behind the `$ ` of a block that shows what comes of it (`console`).
    Console,
    /// Between backquotes.
    Sentence,
}

/// One command line.
#[derive(Clone, Debug)]
pub struct Line {
    pub number: usize,
    pub place: Place,
    pub text: String,
    /// What is shown below it.
    pub shown: String,
}

/// What begins a command line in a sentence; in a block every line is one.
const PROGRAMS: &[&str] = &[
    "flb-sentry",
    "make",
    "cargo",
    "git",
    "cmake",
    "ctest",
    "install",
    "docker",
    "kubectl",
    "helm",
    "fluent-bit",
    "curl",
    "sh",
    "bash",
    "jq",
    "cat",
    "echo",
    "export",
    "sudo",
    "apt-get",
    "pip",
    "python3",
];

/// Languages of blocks that hold no command line.
const OTHERS: &[&str] = &["ini", "yaml", "cmake", "text"];

/// Every command line, in order.
///
/// # Errors
/// A block of no known language: whether there are commands in it nobody knows.
pub fn lines(document: &str) -> Result<Vec<Line>, String> {
    let mut found: Vec<Line> = Vec::new();
    let mut block: Option<&str> = None;
    for (at, text) in document.lines().enumerate() {
        let number = at + 1;
        let line = |place, text: &str| Line { number, place, text: text.to_owned(), shown: String::new() };
        match (block, text.strip_prefix("```")) {
            (Some(_), Some(_)) => block = None,
            (None, Some(language)) => block = Some(language),
            (None, None) => found.extend(sentences(text).map(|span| line(Place::Sentence, span))),
            (Some("sh"), None) => found.push(line(Place::Script, text.split("   # ").next().unwrap_or(text))),
            (Some("console"), None) => match (text.strip_prefix("$ "), found.last_mut()) {
                (Some(command), _) => found.push(line(Place::Console, command)),
                (None, Some(last)) => last.shown += &format!("{text}\n"),
                (None, None) => return Err(format!("line {number}: expected a command in this block")),
            },
            (Some(language), None) if OTHERS.contains(&language) && !text.starts_with("$ ") => {}
            (Some(language), None) => {
                return Err(format!("line {number}: expected no command in a block of `{language}`"));
            }
        }
    }
    Ok(found)
}

/// Command lines between backquotes.
fn sentences(text: &str) -> impl Iterator<Item = &str> {
    let spans = text.split('`').skip(1).step_by(2);
    spans.filter(|span| span.split_once(' ').is_some_and(|(program, _)| PROGRAMS.contains(&program)))
}
