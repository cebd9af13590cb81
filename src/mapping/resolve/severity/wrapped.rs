//! Reads lines within lines: PHP-FPM, nginx, Apache httpd and glog put a prefix with a level before a message that has a
//! level of its own. The inner level counts, because the outer level is the same for all messages that pass through.

use super::Rules;
use super::head::{Found, Span, find};
use memchr::{memchr_iter, memmem};

/// Bytes in which a web server names the stream of FastCGI.
const MAX_OFFSET: usize = 200;

/// The level within, where a word said the outer one, which ends at `end`.
pub(super) fn by_words(rules: &Rules, line: &[u8], end: usize) -> Option<Found> {
    let rest = &line[end..];
    let start = if let Some(message) = rest.strip_prefix(b": PHP message: ") {
        line.len() - message.len()
    } else if let Some(child) = rest.strip_prefix(b": [pool ") {
        let said = memmem::find(child, b" said into std")?;
        // `err: "`, `out: "`
        let text = line.len() - child.len() + said + b" said into stderr: \"".len();
        line.get(..text)?.ends_with(b": \"").then_some(text)?
    } else {
        let message = rest.strip_prefix(b": logging before flag.Parse: ")?;
        line.len() - message.len()
    };
    inner(rules, line, start)
}

/// The level within, where a bracket said the outer one: `[error] ... "PHP message: PHP Warning:  ...`.
pub(super) fn by_brackets(rules: &Rules, line: &[u8], end: usize) -> Option<Found> {
    const MESSAGE: &[u8] = b"PHP message: ";
    let rest = &line[end..];
    let near = &rest[..rest.len().min(MAX_OFFSET)];
    // Few lines have a capital P, and a search for all of it costs more to begin.
    let at = memchr_iter(MESSAGE[0], near).find(|at| near[*at..].starts_with(MESSAGE))?;
    matches!(rest.get(at.checked_sub(1)?)?, b'"' | b'\'').then(|| inner(rules, line, end + at + MESSAGE.len()))?
}

fn inner(rules: &Rules, line: &[u8], start: usize) -> Option<Found> {
    let (found, _) = find(rules, &line[start..]);
    let found = found?;
    let moved = |(from, to): Span| (from + start, to + start);
    Some(Found { end: found.end + start, logger: found.logger.map(moved), ..found })
}
