//! Reads lines as Docker's `json-file` driver writes them: `{"log":"...\n","stream":"stdout","time":"..."}`. A line of the
//! application that is longer than 16 KB comes in parts, of which only the last ends with a line feed.

use super::cri::Stream;
use super::lines::LONGEST_LINE;
use serde::Deserialize;
use std::borrow::Cow;

/// One line of the file.
#[derive(Deserialize)]
pub(crate) struct DockerLine<'a> {
    #[serde(borrow)]
    pub(crate) log: Cow<'a, str>,
    #[serde(borrow)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
}

impl<'a> DockerLine<'a> {
    /// Reads a line; none if Docker did not write it.
    pub(crate) fn parse(line: &'a [u8]) -> Option<Self> {
        let line: Self = line.starts_with(b"{").then(|| serde_json::from_slice(line).ok())??;
        (line.stream().is_some() && line.time.as_bytes().get(10) == Some(&b'T')).then_some(line)
    }

    fn stream(&self) -> Option<Stream> {
        [Stream::Stdout, Stream::Stderr].into_iter().find(|stream| stream.name() == self.stream)
    }
}

/// A line whose parts are joined, with the time of the first.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Whole {
    pub(crate) log: String,
    pub(crate) stream: Stream,
    pub(crate) time: String,
}

/// The result for a line of the file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Joined {
    /// The line is whole as it is.
    AsItIs,
    /// The last part of a line.
    Whole(Whole),
    /// A part of a line whose rest is to come.
    Waiting,
}

/// Joins the parts of long lines, for each stream on its own.
#[derive(Default)]
pub(crate) struct Joiner {
    waiting: [Option<Whole>; 2],
}

impl Joiner {
    /// Takes a line. A line that grows beyond all bounds ends there.
    pub(crate) fn push(&mut self, line: &DockerLine<'_>) -> Joined {
        let Some(stream) = line.stream() else { return Joined::AsItIs };
        let slot = &mut self.waiting[stream as usize];
        let is_last = line.log.ends_with('\n');
        if slot.is_none() && is_last {
            return Joined::AsItIs;
        }
        let whole =
            slot.get_or_insert_with(|| Whole { log: String::new(), stream, time: line.time.clone().into_owned() });
        whole.log.push_str(&line.log);
        let is_full = whole.log.len() >= LONGEST_LINE;
        match slot.take_if(|_| is_last || is_full) {
            Some(whole) => Joined::Whole(whole),
            None => Joined::Waiting,
        }
    }

    /// Returns the lines that still wait for their last part at the end of the file.
    pub(crate) fn rest(&mut self) -> impl Iterator<Item = Whole> {
        std::mem::take(&mut self.waiting).into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(log: &str, stream: &str) -> String {
        serde_json::json!({"log": log, "stream": stream, "time": "2026-11-20T08:00:00.1Z"}).to_string()
    }

    #[test]
    fn lines_of_docker_are_told_from_other_json() {
        assert!(DockerLine::parse(line("a\n", "stderr").as_bytes()).is_some());
        for other in [
            r#"{"log":"a","stream":"stdin","time":"2026-11-20T08:00:00Z"}"#,
            r#"{"log":"a","stream":"stdout","time":"now"}"#,
            r#"{"log":1,"stream":"stdout","time":"2026-11-20T08:00:00Z"}"#,
            r#"{"log":"a","time":"2026-11-20T08:00:00Z"}"#,
            r#"["log"]"#,
            "",
        ] {
            assert!(DockerLine::parse(other.as_bytes()).is_none(), "{other}");
        }
    }

    #[test]
    fn parts_are_joined_within_their_stream() {
        let mut joiner = Joiner::default();
        let mut push = |log: &str, stream: &str| joiner.push(&DockerLine::parse(line(log, stream).as_bytes()).unwrap());
        assert_eq!(push("one\n", "stdout"), Joined::AsItIs);
        assert_eq!(push("a", "stdout"), Joined::Waiting);
        assert_eq!(push("other\n", "stderr"), Joined::AsItIs);
        assert_eq!(push("b", "stdout"), Joined::Waiting);
        let whole = Whole { log: "abc\n".into(), stream: Stream::Stdout, time: "2026-11-20T08:00:00.1Z".into() };
        assert_eq!(push("c\n", "stdout"), Joined::Whole(whole));
        assert_eq!(push("half", "stderr"), Joined::Waiting);
        assert_eq!(joiner.rest().map(|whole| whole.log).collect::<Vec<_>>(), ["half"]);
        assert_eq!(joiner.rest().count(), 0);
    }

    #[test]
    fn parts_without_end_are_given_up_in_time() {
        let mut joiner = Joiner::default();
        let long = line(&"x".repeat(LONGEST_LINE / 4), "stdout");
        let given =
            (0..4).filter(|_| joiner.push(&DockerLine::parse(long.as_bytes()).unwrap()) != Joined::Waiting).count();
        assert_eq!(given, 1);
    }
}
