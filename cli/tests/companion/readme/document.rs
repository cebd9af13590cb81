//! The blocks of a document, and the command lines in them and in its sentences.

/// The place of a command line in a document.
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
    /// Path of the document below the root of the repository.
    pub document: String,
    pub number: usize,
    pub place: Place,
    pub text: String,
    /// The output that the document shows below the command line.
    pub shown: String,
}

/// Programs that begin a command line in a sentence. In a block every line is a command line.
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

/// Returns every command line of a document, in order. A `\` at the end of a line joins it with the next.
///
/// # Errors
/// A block of an unknown language: it may hold commands that no test runs.
pub fn lines(document: &str, text: &str) -> Result<Vec<Line>, String> {
    let mut found: Vec<Line> = Vec::new();
    // The language of the block and the indentation of its fence.
    let mut block: Option<(&str, usize)> = None;
    let mut begun = String::new();
    for (at, text) in text.lines().enumerate() {
        let number = at + 1;
        let line = |place, text: &str| Line {
            document: document.to_owned(),
            number,
            place,
            text: text.to_owned(),
            shown: String::new(),
        };
        let indent = text.len() - text.trim_start().len();
        let Some(language) = text.trim_start().strip_prefix("```") else {
            let Some((language, depth)) = block else {
                found.extend(sentences(text).map(|span| line(Place::Sentence, span)));
                continue;
            };
            let text = text.get(depth.min(indent)..).unwrap_or(text);
            match (language, text.strip_prefix("$ ")) {
                ("sh", _) => match text.strip_suffix('\\') {
                    Some(part) => begun += &format!("{} ", part.trim()),
                    None => {
                        let whole = std::mem::take(&mut begun) + text.trim_start();
                        found.push(line(Place::Script, whole.split("   # ").next().unwrap_or(&whole)));
                    }
                },
                ("console", Some(command)) => found.push(line(Place::Console, command)),
                ("console", None) => match found.last_mut().filter(|last| last.place == Place::Console) {
                    Some(last) => last.shown += &format!("{text}\n"),
                    None => return Err(format!("line {number}: expected a command in this block")),
                },
                (language, None) if OTHERS.contains(&language) => {}
                (language, _) => {
                    return Err(format!("line {number}: expected no command in a block of `{language}`"));
                }
            }
            continue;
        };
        block = if block.is_some() { None } else { Some((language, indent)) };
    }
    Ok(found)
}

/// Command lines between backquotes.
fn sentences(text: &str) -> impl Iterator<Item = &str> {
    let spans = text.split('`').skip(1).step_by(2);
    spans.filter(|span| span.split_once(' ').is_some_and(|(program, _)| PROGRAMS.contains(&program)))
}
