//! Reads log lines as container runtimes write them: `<time> stdout|stderr F|P <text>`.

use super::lines::LONGEST_LINE;

/// One line of a CRI file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CriLine<'a> {
    pub(crate) time: &'a str,
    pub(crate) stream: Stream,
    /// `P`: the text goes on with the stream's next line.
    pub(crate) partial: bool,
    pub(crate) text: &'a [u8],
}

/// The stream to which the container wrote the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

impl<'a> CriLine<'a> {
    /// Reads a line; `None` if a runtime did not write it.
    pub(crate) fn parse(line: &'a [u8]) -> Option<Self> {
        let mut parts = line.splitn(4, |byte| *byte == b' ');
        let time = std::str::from_utf8(parts.next()?).ok().filter(|time| looks_like_a_time(time))?;
        let stream = match parts.next()? {
            b"stdout" => Stream::Stdout,
            b"stderr" => Stream::Stderr,
            _ => return None,
        };
        // Runtimes may put further tags behind the first, `P:x:y`.
        let partial = match parts.next()?.split(|byte| *byte == b':').next()? {
            b"P" => true,
            b"F" => false,
            _ => return None,
        };
        Some(Self { time, stream, partial, text: parts.next().unwrap_or_default() })
    }
}

fn looks_like_a_time(text: &str) -> bool {
    text.len() >= 19 && text.as_bytes()[4] == b'-' && text.as_bytes()[10] == b'T'
}

/// A joined line: the time and the flag of its first part, as Fluent Bit's `multiline.parser cri` leaves them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Joined {
    pub(crate) time: String,
    pub(crate) stream: Stream,
    pub(crate) partial: bool,
    pub(crate) text: Vec<u8>,
}

impl Joined {
    fn first(line: &CriLine<'_>) -> Self {
        Self { time: line.time.to_owned(), stream: line.stream, partial: line.partial, text: line.text.to_vec() }
    }
}

/// Joins the parts of long lines, for each stream on its own.
#[derive(Default)]
pub(crate) struct Joiner {
    waiting: [Option<Joined>; 2],
}

impl Joiner {
    /// Takes a line and gives it back joined once its last part is there, or when it grows beyond all bounds.
    pub(crate) fn push(&mut self, line: &CriLine<'_>) -> Option<Joined> {
        let slot = &mut self.waiting[line.stream as usize];
        match slot {
            Some(joined) => joined.text.extend_from_slice(line.text),
            None => *slot = Some(Joined::first(line)),
        }
        let full = slot.as_ref().is_some_and(|joined| joined.text.len() >= LONGEST_LINE);
        if line.partial && !full { None } else { slot.take() }
    }

    /// Returns the lines that still wait for their last part at the end of the file.
    pub(crate) fn rest(&mut self) -> impl Iterator<Item = Joined> {
        std::mem::take(&mut self.waiting).into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: &str = "2026-11-20T08:00:00.001376970Z";

    #[test]
    fn lines_of_a_runtime_and_others() {
        let line = format!("{TIME} stderr F  two  spaces ");
        let expected = CriLine { time: TIME, stream: Stream::Stderr, partial: false, text: b" two  spaces " };
        assert_eq!(CriLine::parse(line.as_bytes()), Some(expected));
        assert_eq!(CriLine::parse(format!("{TIME} stdout F").as_bytes()).unwrap().text, b"");
        assert!(CriLine::parse(format!("{TIME} stdout P:x more").as_bytes()).unwrap().partial);
        for other in
            ["stdout F x", "now stdout F x", "2026-11-20T08:00:00Z stdin F x", "2026-11-20T08:00:00Z stdout Q x", ""]
        {
            assert_eq!(CriLine::parse(other.as_bytes()), None, "{other}");
        }
        assert_eq!(CriLine::parse(b"\xff\xfe\x00 stdout F x"), None);
    }

    #[test]
    fn parts_are_joined_within_their_stream() {
        let mut joiner = Joiner::default();
        let mut push = |text: &str| joiner.push(&CriLine::parse(format!("{TIME} {text}").as_bytes()).unwrap());
        assert_eq!(push("stdout P one "), None);
        assert_eq!(push("stderr F other").unwrap().text, b"other");
        assert_eq!(push("stdout P two "), None);
        let joined = push("stdout F three").unwrap();
        assert_eq!((joined.text.as_slice(), joined.partial), (&b"one two three"[..], true));
        assert!(!push("stdout F next").unwrap().partial);
    }

    #[test]
    fn the_last_part_may_never_come() {
        let mut joiner = Joiner::default();
        let line = format!("{TIME} stdout P half");
        assert_eq!(joiner.push(&CriLine::parse(line.as_bytes()).unwrap()), None);
        assert_eq!(joiner.rest().map(|joined| joined.text).collect::<Vec<_>>(), [b"half"]);
        assert_eq!(joiner.rest().count(), 0);
    }

    #[test]
    fn parts_without_end_are_given_up_in_time() {
        let mut joiner = Joiner::default();
        let long = format!("{TIME} stdout P {}", "x".repeat(LONGEST_LINE / 4));
        let given = (0..4).filter_map(|_| joiner.push(&CriLine::parse(long.as_bytes()).unwrap())).count();
        assert_eq!(given, 1);
    }
}
