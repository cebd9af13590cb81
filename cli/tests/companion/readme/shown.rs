//! Compares what a document shows below a command line with what was printed. `UPDATE_DOCS=1` rewrites the document.

use super::document::Line;
use std::sync::Mutex;
use testkit::artefacts::workspace;

/// The degree to which two texts have to be alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// To the byte.
    Exactly,
    /// But for times, and sizes that depend on them.
    Settled,
}

/// Texts to replace: the document, the old text and the new one.
static NEWER: Mutex<Vec<(String, String, String)>> = Mutex::new(Vec::new());

/// Compares, or notes what is to be written.
pub fn compare(line: &Line, printed: &str, how: Compare) {
    let shown = line.shown.trim_end();
    let same = match how {
        Compare::Exactly => shown == printed,
        Compare::Settled => settled(shown) == settled(printed),
    };
    if same {
        return;
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let [old, new] = [shown, printed].map(|text| format!("$ {}\n{text}", line.text));
        NEWER.lock().expect("no panic").push((line.document.clone(), old, new));
    } else {
        panic!(
            "{} line {} is behind; UPDATE_DOCS=1 cargo test --test companion readme:: rewrites it\n\
             shown:\n{shown}\nprinted:\n{printed}",
            line.document, line.number
        );
    }
}

/// Writes what was noted.
pub fn update() {
    let newer = NEWER.lock().expect("no panic");
    for (document, old, new) in newer.iter() {
        let path = workspace().join(document);
        let text = std::fs::read_to_string(&path).expect("expected a document");
        std::fs::write(path, text.replace(old, new)).expect("expected to write a document");
    }
}

/// The text without what differs from run to run.
pub fn settled(text: &str) -> String {
    text.lines().map(|line| settled_line(line) + "\n").collect()
}

fn settled_line(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    // How many requests it takes, and of how many bytes, depends on what was there to be sent together.
    if let [key, _] = words.as_slice()
        && (key.starts_with("requests.") || key.ends_with("_bytes"))
    {
        return format!("{key} N");
    }
    // Dead letters are in one file or in several, depending on when the items were refused.
    if let ["replayed", _, "of", _, "chunk" | "chunks", rest @ ..] = words.as_slice() {
        return format!("replayed N of N chunks {}", settled_line(&rest.join(" ")));
    }
    let number = |word: &str| word.ends_with(|c: char| c.is_ascii_digit()) && word.contains(['.', ':', '-']);
    let time = |word: &str| number(word) && word.chars().all(|c| c.is_ascii_digit() || ".:-".contains(c));
    let size = |at: usize| words.get(at + 1).is_some_and(|next| next.starts_with("bytes"));
    let word = |(at, word): (usize, &&str)| if time(word) || size(at) { "N".to_owned() } else { (*word).to_owned() };
    words.iter().enumerate().map(word).collect::<Vec<_>>().join(" ")
}
