//! Tells by a line whether it begins a stack trace or goes on with one.

use crate::mapping::simd::{self, Simd, bits, is, vectors};
use crate::mapping::trigram_scan::{Block, TrigramScan};

/// `com.shop.Declined: card`, `Shop::Declined`: the type of an exception, as its trace begins.
pub(super) fn is_type(text: &str) -> bool {
    let word = match memchr::memchr(b' ', text.as_bytes()) {
        Some(blank) => text[..blank].strip_suffix(':').unwrap_or_default(),
        None => text,
    };
    word.contains('.') || word.contains("::")
}

/// `Error: ...`, `com.shop.PayException: ...`, `error: ...` of a program that ends.
pub(super) fn is_exception(text: &str) -> bool {
    let word = text.split([':', ' ', '(']).next().unwrap_or_default();
    ["Error", "Exception", "error", "panic", "exception"].iter().any(|end| word.ends_with(end))
}

/// `fail: Shop.Payments.Worker[0]`.
pub(super) fn is_two_line_head(text: &str) -> bool {
    const LEVELS: [&str; 6] = ["trce", "dbug", "info", "warn", "fail", "crit"];
    let Some((level, category)) = text.split_once(": ") else { return false };
    let (Some(level), true) = (level.get(level.len().saturating_sub(4)..), category.ends_with(']')) else {
        return false;
    };
    let numbered = category.rsplit_once('[').map(|(name, number)| (name, &number[..number.len() - 1]));
    LEVELS.contains(&level)
        && numbered.is_some_and(|(name, number)| {
            !name.contains(' ') && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        })
}

/// `app/models/order.rb:10:in 'run'`, with a gem's name before it or not.
pub(super) fn is_ruby_frame(line: &str) -> bool {
    let Some(at) = line.find(":in ") else { return false };
    let digits = line[..at].bytes().rev().take_while(u8::is_ascii_digit).count();
    let quoted = line[at + 4..].starts_with(['`', '\'']);
    digits > 0 && line[..at - digits].ends_with(':') && quoted
}

/// Returns true if a line holds a word that begins a trace, or begins as one.
pub(crate) fn heads(text: &[u8]) -> bool {
    let is_head = |place: usize| {
        let stands = |(head, at): &(&str, usize)| {
            place
                .checked_sub(*at)
                .and_then(|start| text.get(start..))
                .is_some_and(|rest| rest.starts_with(head.as_bytes()))
        };
        HEADS.iter().any(stands)
    };
    is_beginning(text) || IN_HEADS.places(text, 0, first_look).any(is_head)
}

/// A bit for each byte of a block at which the first two bytes of [`IN_HEADS`] may stand.
pub(super) fn first_look(block: &Block) -> u32 {
    simd::run(FirstLook(block))
}

struct FirstLook<'b>(&'b Block);

impl simd::Work for FirstLook<'_> {
    type Output = u32;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> u32 {
        let (bytes, behind) = vectors(simd, self.0);
        let (c, r, o) = (is(behind, b'c'), is(behind, b'r'), is(bytes, b'o'));
        let pairs = is(bytes, b'c') & (is(behind, b'e') | is(behind, b'a') | c)
            | (is(bytes, b'i') | o) & (c | r)
            | (is(bytes, b'l') | is(bytes, b'd')) & is(behind, b' ')
            | is(bytes, b'P') & is(behind, b'H')
            | is(bytes, b'x') & (c | is(behind, b'a'))
            | is(bytes, b'[') & (is(behind, b's') | is(behind, b'R'));
        bits(pairs)
    }
}

/// Returns true if a line begins a trace by its first or its last characters: a crash that says so, or the file and line
/// that Node prints above the source.
fn is_beginning(text: &[u8]) -> bool {
    let numbered = || {
        let digits = text.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        digits > 0 && text[..text.len() - digits].ends_with(b":") && !text.contains(&b' ')
    };
    match text {
        [b'*' | b'=' | b'E' | b'S' | b'l' | b't' | b'#', ..] => BEGINNINGS.iter().any(|head| text.starts_with(head)),
        [b'/' | b'n' | b'[' | b'e' | b'C', .., b'0'..=b'9'] => numbered(),
        [b'f', ..] => text.starts_with(b"future: <") || numbered(),
        _ => false,
    }
}

/// Returns true if a line looks like a trace's second one: indented, or a word with which frames begin.
pub(super) fn goes_on(text: &str) -> bool {
    const NEXT: [&str; 6] = ["at ", "#0 ", "from ", "Stack trace:", "Caused by", "goroutine "];
    match text.as_bytes() {
        [b' ' | b'\t', ..] => true,
        [.., b'\''] if is_ruby_frame(text) => true,
        [b'a' | b'#' | b'f' | b'S' | b'C' | b'g', ..] => NEXT.iter().any(|next| text.starts_with(next)),
        [b's', ..] => text.starts_with("stack backtrace:") || text.starts_with("stack traceback:"),
        _ => false,
    }
}

/// Words in the first line of a trace, and where in each its three bytes of [`IN_HEADS`] stand.
pub(super) const HEADS: [(&str, usize); 14] = [
    ("Traceback", 3),
    ("panic:", 3),
    ("fatal error:", 4),
    ("thread '", 5),
    ("goroutine ", 1),
    ("PHP ", 0),
    ("Fatal error", 4),
    ("Unhandled exception", 11),
    ("Error:", 3),
    ("Uncaught", 2),
    ("Exception", 1),
    ("[signal", 0),
    ("[Recovery]", 0),
    ("Unhandled Exception", 11),
];

/// Prefixes of lines that begin a trace, for lines in which nothing else shows it.
const BEGINNINGS: [&[u8]; 8] = [
    b"** (",
    b"*** Program crashed: ",
    b"==",
    b"Error in process <",
    b"Stack overflow.",
    b"libc++abi: terminating ",
    b"terminate called ",
    b"#<",
];

/// Three bytes that stand in each of the heads and in few other lines.
pub(super) static IN_HEADS: TrigramScan = TrigramScan::new(
    &[
        // Traceback
        [b"c", b"e", b"b"],
        // panic:, Error:
        [b"io", b"cr", b":"],
        // fatal error:
        [b"l", b" ", b"e"],
        // thread '
        [b"d", b" ", b"'"],
        // goroutine
        [b"o", b"r", b"o"],
        [b"P", b"H", b"P"],
        // exception, Uncaught
        [b"xc", b"ca", b"eu"],
        // [signal, [Recovery]
        [b"[", b"sR", b"ie"],
    ],
    true,
);
