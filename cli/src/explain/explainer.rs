//! Maps the input part by part, as one chunk.

use super::answers::{Answers, Output, Part, Shown};
use super::pieces::Piece;
use out_sentry::clock::{Monotonic, WallTime};
use out_sentry::delivery::DestinationResolver;
use out_sentry::mapping::{Mapper, Origin};
use out_sentry::options::Mapping;
use std::io;
use std::time::SystemTime;

/// Bytes of records after which a new chunk begins.
const LONGEST_CHUNK: usize = 32 << 20;

/// Most bytes of records that are kept for lines that wait for the next part; beyond it they wait no longer.
const MOST_KEPT: usize = 16 << 20;

/// The plugin's mapping, and the receiver of its answers.
pub(super) struct Explainer<'s, O> {
    mapper: Mapper,
    resolver: &'s DestinationResolver,
    tag: String,
    now: WallTime,
    /// Number of the next record, from 0.
    next: u32,
    /// Number of the first record of the file.
    base: u32,
    /// Bytes of the chunk so far.
    chunk: usize,
    answers: Answers<O>,
}

impl<'s, O: Output> Explainer<'s, O> {
    /// An explainer that begins with records of this tag. `now` is the time of the mapping; none for the present.
    pub(super) fn new(
        (mapping, resolver, tag): (Mapping, &'s DestinationResolver, String),
        now: Option<WallTime>,
        output: O,
    ) -> Self {
        Self {
            mapper: Mapper::in_parts(mapping),
            resolver,
            tag,
            now: now.unwrap_or_else(|| SystemTime::now().into()),
            next: 0,
            base: 0,
            chunk: 0,
            answers: Answers::new(output),
        }
    }

    /// Returns the output that takes the explained records.
    pub(super) fn output(&mut self) -> &mut O {
        &mut self.answers.output
    }

    /// Explains the lines of the file that still wait, and begins the next file, whose records have this tag. It is another
    /// chunk; storm control and the streams go on, as in the plugin.
    ///
    /// # Errors
    /// The first error of the output.
    pub(super) fn next_file(&mut self, tag: String) -> io::Result<()> {
        self.finish()?;
        self.chunk = 0;
        self.mapper.next_chunk();
        self.base = self.next;
        self.tag = tag;
        Ok(())
    }

    /// Explains a part of the input. `shown` are its records as the view for people shows them.
    ///
    /// # Errors
    /// The first error of the output.
    pub(super) fn piece(&mut self, piece: &Piece, shown: Vec<Shown>) -> io::Result<()> {
        let (first, base) = (self.next, self.base);
        self.answers.begin_part(Part { first, base, offset: piece.offset, lines: piece.lines.clone(), shown });
        let origin = Origin { tag: self.tag.as_bytes(), router: self.resolver, now: self.now };
        self.next = self.mapper.map(origin, &piece.bytes, self.next, &mut self.answers);
        self.answers.hand_on()?;
        self.chunk += piece.bytes.len();
        if self.chunk >= LONGEST_CHUNK {
            self.chunk = 0;
            self.mapper.next_chunk();
        }
        if self.answers.bytes() > MOST_KEPT { self.end_waiting() } else { Ok(()) }
    }

    /// Explains the lines that still wait.
    ///
    /// # Errors
    /// The first error of the output.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.end_waiting()?;
        self.answers.finish()
    }

    fn end_waiting(&mut self) -> io::Result<()> {
        self.answers.wait_no_more();
        let origin = Origin { tag: self.tag.as_bytes(), router: self.resolver, now: self.now };
        self.mapper.finish_waiting(origin, Monotonic::MAX, &mut self.answers);
        self.answers.hand_on()
    }
}

#[cfg(test)]
mod tests {
    use super::super::answers::Explained;
    use super::super::options::{self, Settings};
    use super::super::{lines, pieces};
    use super::*;
    use crate::input::record::Recorder;

    /// The results as JSON lines.
    struct Written<'s>(Vec<u8>, &'s Settings);

    impl Output for Written<'_> {
        fn record(&mut self, record: &Explained) -> io::Result<()> {
            lines::write(&mut self.0, record, None, self.1)
        }
    }

    /// Lines of one stream: traces of two languages, lines that repeat at the same time, and prose.
    fn records() -> Vec<Vec<u8>> {
        let java = ["ERROR boom", "java.lang.IllegalStateException: a", "\tat a.B.c(B.java:1)", "\tat a.B.d(B.java:2)"];
        let python =
            ["Traceback (most recent call last):", "  File \"a.py\", line 1, in f", "    g()", "ValueError: b"];
        let prose = ["INFO one", "ERROR two", "ERROR two", "WARN three"];
        let all = [&java[..], &prose, &java, &java, &python, &prose, &prose, &python, &java[..2], &prose].concat();
        let mut recorder = Recorder::new(None);
        let record = |(at, line): (usize, &&str)| {
            let second = 1_795_161_600 + at as u64 / 16;
            let json = serde_json::json!({ "log": line, "stream": "stdout", "time": second });
            recorder.json(json.to_string().as_bytes()).unwrap().to_vec()
        };
        all.iter().enumerate().map(record).collect()
    }

    fn explained(parts: &[&[Vec<u8>]], settings: &Settings) -> String {
        let mapping = (settings.mapping.clone(), &settings.resolver, "app".to_owned());
        let now = WallTime::from_secs(1_795_161_660);
        let mut explainer = Explainer::new(mapping, Some(now), Written(Vec::new(), settings));
        for part in parts {
            let piece = pieces::Piece { bytes: part.concat(), ..pieces::Piece::default() };
            explainer.piece(&piece, Vec::new()).unwrap();
        }
        explainer.finish().unwrap();
        String::from_utf8(std::mem::take(&mut explainer.output().0)).unwrap()
    }

    /// The commands that ship do not link the library, and say the same.
    #[test]
    fn the_limits_of_times_are_the_plugins() {
        use crate::input::moved::{MAX_AGE, MAX_AHEAD};
        use out_sentry::mapping::limit::{MAX_AGE_SECS, MAX_AHEAD_SECS};
        assert_eq!((MAX_AGE, MAX_AHEAD), (MAX_AGE_SECS, MAX_AHEAD_SECS));
    }

    #[test]
    fn results_do_not_depend_on_where_parts_end() {
        let options = [("event_level", "trace"), ("storm_burst", "0"), ("logs_level", "trace")];
        let settings = options::load(&options.map(|(key, value)| (key.to_owned(), value.to_owned()))).unwrap();
        let records = records();
        let whole = explained(&[&records], &settings);
        assert_eq!(whole.lines().count(), 2 * records.len());
        assert!(whole.matches("\"joined\"").count() > 30, "{whole}");
        for cut in 1..records.len() {
            let (one, two) = records.split_at(cut);
            assert_eq!(explained(&[one, two], &settings), whole, "cut before record {}", cut + 1);
        }
        let each: Vec<&[Vec<u8>]> = records.chunks(1).collect();
        assert_eq!(explained(&each, &settings), whole);
    }
}
