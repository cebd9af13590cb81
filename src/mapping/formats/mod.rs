//! Recognises known loggers by the keys of their records, and locates the parts of such a record.
//!
//! [`ROWS`] is the table. `Formats` holds it with every key as a number, so that recognising a record compares no text:
//! each field name knows the rows that it is a mark of, the fields of a record add up to a bit set of candidate rows, and
//! only those rows look for their other keys. A record without a mark costs one comparison.

mod rows;

use crate::chunk::msgpack::{Seq, Value};
use crate::level::Level;
use crate::mapping::extract::fields::{Role, Step, follow, segments, steps};
use crate::mapping::extract::interner::{FieldNames, NameId};
pub use rows::ROWS;
use std::collections::HashMap;
use std::fmt::Write;

/// Interpretation of the value of a level field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scale {
    /// A word, or a number whose meaning follows from the key and its size.
    #[default]
    Words,
    /// Syslog, 0 (emergency) to 7 (debug): RFC 5424 section 6.2.1.
    Syslog,
    /// bunyan and pino, 10 (trace) to 60 (fatal), with levels of one's own in between.
    Bunyan,
    /// Monolog, 100 (debug) to 600 (emergency).
    Monolog,
    /// Nextcloud, 0 (debug) to 4 (fatal).
    Nextcloud,
    /// Python's `logging`, 10 (debug) to 50 (critical).
    Python,
    /// Logback's integer levels, 5000 (trace) to 40000 (error).
    Java,
    /// OpenTelemetry's severity number, 1 to 24.
    OpenTelemetry,
    /// One letter: F, E, W, I, or D with a digit or without.
    Letters,
    /// The first word of a list that is a level.
    FirstOfList,
}

/// Kind that a value must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    Map,
    List,
}

/// Condition that a record must meet besides having a mark of the row. Null counts as missing.
#[derive(Clone, Copy, Debug)]
enum Need {
    /// The field is there.
    Has(&'static str),
    /// The field is there and is of this kind.
    Is(&'static str, Kind),
    /// One of the fields is there.
    Any(&'static [&'static str]),
    /// The field is missing.
    Not(&'static str),
}

/// A known logger. Fields are given as in the `*_key` options: a name, or a path with dots, which may also be one name.
/// A role without fields here is looked for by the options alone.
#[derive(Debug)]
pub struct Row {
    /// The logger, or several that write the same fields.
    pub name: &'static str,
    /// Documentation of its fields.
    pub source: &'static str,
    /// Top-level fields, one of which every record of the logger has.
    marks: &'static [&'static str],
    needs: &'static [Need],
    message: &'static [&'static str],
    level: &'static [(&'static str, Scale)],
    /// The level of a record that has none of the fields for it.
    absent: Option<Level>,
    logger: &'static [&'static str],
    time: &'static [&'static str],
    stack: &'static [&'static str],
    /// The type of the exception that the stack belongs to.
    error_type: &'static [&'static str],
    /// The message of that exception.
    error_message: &'static [&'static str],
    trace: &'static [&'static str],
    span: &'static [&'static str],
    /// The machine's name.
    host: &'static [&'static str],
}

const EMPTY: Row = Row {
    name: "",
    source: "",
    marks: &[],
    needs: &[],
    message: &[],
    level: &[],
    absent: None,
    logger: &[],
    time: &[],
    stack: &[],
    error_type: &[],
    error_message: &[],
    trace: &[],
    span: &[],
    host: &[],
};

/// A bit for each row of the table.
pub type RowSet = u64;

const _: () = assert!(ROWS.len() <= RowSet::BITS as usize, "one bit for each row");

impl Row {
    /// The fields of each role, first choice first, with the scale of a level.
    fn fields(&self) -> impl Iterator<Item = (Role, usize, &'static str, Scale)> {
        let plain = [
            (Role::Message, self.message),
            (Role::Logger, self.logger),
            (Role::Time, self.time),
            (Role::Stack, self.stack),
            (Role::ErrorType, self.error_type),
            (Role::ErrorMessage, self.error_message),
            (Role::TraceId, self.trace),
            (Role::SpanId, self.span),
            (Role::ServerName, self.host),
        ];
        let plain = plain.into_iter().flat_map(|(role, names)| {
            names.iter().enumerate().map(move |(rank, name)| (role, rank, *name, Scale::Words))
        });
        let levels = self.level.iter().enumerate().map(|(rank, (name, scale))| (Role::Level, rank, *name, *scale));
        plain.chain(levels)
    }

    /// The level of a record that has no field for it, and the field that is missing: else the one that marks the record.
    pub(super) fn absent(&self) -> Option<(Level, &'static [u8])> {
        let field = self.level.first().map(|(name, _)| *name).or(self.marks.first().copied())?;
        Some((self.absent?, field.as_bytes()))
    }

    fn needed(&self) -> impl Iterator<Item = &'static str> {
        self.needs
            .iter()
            .flat_map(|need| match need {
                Need::Has(name) | Need::Is(name, _) | Need::Not(name) => std::slice::from_ref(name),
                Need::Any(names) => names,
            })
            .copied()
    }
}

/// Place of a field: at the top under its whole name, or on a path.
#[derive(Clone, Debug)]
pub(super) struct Place {
    whole: NameId,
    nested: Option<(NameId, Box<[Step]>)>,
}

/// A field that a recognised record may have.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub role: Role,
    pub rank: usize,
    pub scale: Scale,
    pub place: Place,
}

/// A row with numbers for names.
#[derive(Debug)]
struct Compiled {
    needs: Box<[(Need, Box<[Place]>)]>,
    targets: Box<[Target]>,
}

/// The table with numbers for names.
#[derive(Debug)]
pub(super) struct Formats {
    rows: Box<[Compiled]>,
    /// The names that the table speaks of, in the order in which they are learnt behind the well-known ones.
    names: Box<[&'static str]>,
}

/// A field of a record: its top-level place if it is not nested, its last key, its value.
pub(super) type Located<'a> = (Option<usize>, &'a [u8], Value<'a>);

impl Place {
    fn new(path: &str, id: &impl Fn(&str) -> NameId) -> Self {
        let segments = segments(path);
        let nested = match segments.split_first() {
            Some((first, below)) if !below.is_empty() => Some((id(first), steps(below))),
            _ => None,
        };
        Self { whole: id(path), nested }
    }

    /// The field here, if the record has it; `top` gives a top-level field with its place.
    pub(super) fn find<'a>(&self, top: impl Fn(NameId) -> Option<(usize, &'a [u8], Value<'a>)>) -> Option<Located<'a>> {
        let there = |found: &(usize, &'a [u8], Value<'a>)| !matches!(found.2, Value::Nil);
        if let Some((place, key, value)) = top(self.whole).filter(there) {
            return Some((Some(place), key, value));
        }
        let (first, below) = self.nested.as_ref()?;
        let (_, key, value) = top(*first)?;
        let (key, value) = follow((key, value), below)?;
        (!matches!(value, Value::Nil)).then_some((None, key, value))
    }
}

impl Formats {
    /// Learns the table. `known` gives the number of a name that is always known.
    pub(super) fn new(known: impl Fn(&str) -> Option<NameId>, first: usize) -> Self {
        let mut names: Vec<&'static str> = Vec::new();
        let mut ids: HashMap<&'static str, NameId> = HashMap::new();
        let mut note = |name: &'static str| {
            ids.entry(name).or_insert_with(|| {
                known(name).unwrap_or_else(|| {
                    names.push(name);
                    NameId::at(first + names.len() - 1)
                })
            });
        };
        for row in ROWS {
            let paths = row.needed().chain(row.fields().map(|field| field.2));
            for path in row.marks.iter().copied().chain(paths) {
                note(path);
                note(path.split('.').next().unwrap_or(path));
            }
        }
        let id = |name: &str| ids.get(name).copied().unwrap_or(NameId::START);
        let place = |path: &str| Place::new(path, &id);
        let compile = |row: &Row| {
            let needs = row.needs.iter().map(|need| {
                let places = match need {
                    Need::Has(name) | Need::Is(name, _) | Need::Not(name) => vec![place(name)],
                    Need::Any(names) => names.iter().map(|name| place(name)).collect(),
                };
                (*need, places.into())
            });
            let target = |(role, rank, path, scale): (Role, usize, &str, Scale)| Target {
                role,
                rank,
                scale,
                place: place(path),
            };
            Compiled { needs: needs.collect(), targets: row.fields().map(target).collect() }
        };
        Self { rows: ROWS.iter().map(compile).collect(), names: names.into() }
    }

    /// The names that have to be learnt behind the well-known ones, in this order.
    pub(super) fn names(&self) -> &[&'static str] {
        &self.names
    }

    /// The first of the candidate rows that the record fits; `top` gives a top-level field with its place.
    pub(super) fn recognise<'a>(
        &self,
        mut candidates: RowSet,
        top: impl Fn(NameId) -> Option<(usize, &'a [u8], Value<'a>)> + Copy,
    ) -> Option<usize> {
        while candidates != 0 {
            let row = candidates.trailing_zeros() as usize;
            candidates &= candidates - 1;
            let holds = |(need, places): &(Need, Box<[Place]>)| {
                let mut found = places.iter().map(|place| place.find(top));
                match need {
                    Need::Has(_) | Need::Any(_) => found.any(|found| found.is_some()),
                    Need::Is(_, kind) => found.flatten().any(|(_, _, value)| is_of(value, *kind)),
                    Need::Not(_) => found.all(|found| found.is_none()),
                }
            };
            if self.rows.get(row)?.needs.iter().all(holds) {
                return Some(row);
            }
        }
        None
    }

    /// Returns true if a map is a record of a known logger and has a message, as far as its own keys tell.
    pub(super) fn has_message<'a>(&self, candidates: RowSet, map: Seq<'a>, names: &'a FieldNames) -> bool {
        let top = |name: NameId| {
            let text = names.get(name).text();
            let value = map.pairs().find_map(|(key, value)| (key.text() == Some(text)).then_some(value))?;
            Some((0, text, value))
        };
        let row = self.recognise(candidates, top);
        row.is_some_and(|row| {
            let messages = self.targets(row).iter().filter(|target| target.role == Role::Message);
            messages.into_iter().any(|target| target.place.find(top).is_some())
        })
    }

    /// Returns the fields that hold the parts of a row's records.
    pub(super) fn targets(&self, row: usize) -> &[Target] {
        self.rows.get(row).map_or(&[], |row| &row.targets)
    }
}

/// The rows of which a field of this name is a mark.
pub(super) fn marked(name: &[u8]) -> RowSet {
    let is_mark = |row: &Row| row.marks.iter().any(|mark| mark.as_bytes() == name);
    ROWS.iter().enumerate().fold(0, |set, (at, row)| set | RowSet::from(is_mark(row)) << at)
}

fn is_of(value: Value<'_>, kind: Kind) -> bool {
    match kind {
        Kind::Text => matches!(value, Value::Str(_)),
        Kind::Number => matches!(value, Value::UInt(_) | Value::Int(_) | Value::Float(_)),
        Kind::Map => matches!(value, Value::Map(_)),
        Kind::List => matches!(value, Value::Array(_)),
    }
}

impl Scale {
    /// The level of a number on this scale; [`Scale::Words`] has none of its own.
    pub(super) fn number(self, n: u64) -> Option<Level> {
        match self {
            Self::Syslog => Level::from_syslog(n),
            Self::OpenTelemetry => Level::from_otel(n),
            Self::Bunyan => steps_of(
                n,
                &[(10, Level::Trace), (20, Level::Debug), (30, Level::Info)],
                &[(40, Level::Warn), (50, Level::Error), (60, Level::Fatal)],
            ),
            Self::Monolog => steps_of(
                n,
                &[(100, Level::Debug), (200, Level::Info)],
                &[(300, Level::Warn), (400, Level::Error), (500, Level::Fatal)],
            ),
            Self::Python => steps_of(
                n,
                &[(1, Level::Trace), (10, Level::Debug), (20, Level::Info)],
                &[(30, Level::Warn), (40, Level::Error), (50, Level::Fatal)],
            ),
            Self::Java => steps_of(
                n,
                &[(5_000, Level::Trace), (10_000, Level::Debug), (20_000, Level::Info)],
                &[(30_000, Level::Warn), (40_000, Level::Error)],
            ),
            Self::Nextcloud => [Level::Debug, Level::Info, Level::Warn, Level::Error, Level::Fatal]
                .get(usize::try_from(n).ok()?)
                .copied(),
            Self::Words | Self::Letters | Self::FirstOfList => None,
        }
    }

    /// The level of a word that only this scale knows.
    pub(super) fn word(self, word: &[u8]) -> Option<Level> {
        if self != Self::Letters {
            return None;
        }
        match word {
            [b'F' | b'f'] => Some(Level::Fatal),
            [b'E' | b'e'] => Some(Level::Error),
            [b'W' | b'w'] => Some(Level::Warn),
            [b'I' | b'i'] => Some(Level::Info),
            [b'D' | b'd', rest @ ..] if rest.iter().all(u8::is_ascii_digit) => Some(Level::Debug),
            _ => None,
        }
    }
}

/// The highest step that a number reaches.
fn steps_of(n: u64, low: &[(u64, Level)], high: &[(u64, Level)]) -> Option<Level> {
    low.iter().chain(high).rev().find(|(least, _)| n >= *least).map(|(_, level)| *level)
}

/// The table as Markdown, for the documents.
#[must_use]
pub fn markdown() -> String {
    let mut out =
        String::from("| logger | recognized by | message | level | logger name | time | stack | trace id |\n");
    out.push_str("|---|---|---|---|---|---|---|---|\n");
    let names = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    for row in ROWS {
        let needs: Vec<String> = row.needs.iter().map(described).collect();
        let recognised =
            std::iter::once(row.marks.iter().map(|mark| format!("`{mark}`")).collect::<Vec<_>>().join(" or "))
                .chain(needs)
                .collect::<Vec<_>>()
                .join("; ");
        let absent = row.absent.map(|level| format!("none: {}", level.log_name()));
        let levels = row.level.iter().map(|(name, scale)| format!("`{name}`{}", scale.described())).chain(absent);
        let levels = levels.collect::<Vec<_>>().join(", ");
        let _ = writeln!(
            out,
            "| [{}]({}) | {recognised} | {} | {levels} | {} | {} | {} | {} |",
            row.name,
            row.source,
            names(row.message),
            names(row.logger),
            names(row.time),
            names(row.stack),
            names(row.trace),
        );
    }
    out
}

fn described(need: &Need) -> String {
    match need {
        Need::Has(name) => format!("`{name}`"),
        Need::Is(name, kind) => format!(
            "`{name}` ({})",
            match kind {
                Kind::Text => "text",
                Kind::Number => "number",
                Kind::Map => "object",
                Kind::List => "list",
            }
        ),
        Need::Any(names) => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or "),
        Need::Not(name) => format!("no `{name}`"),
    }
}

impl Scale {
    fn described(self) -> &'static str {
        match self {
            Self::Words => "",
            Self::Syslog => " (syslog, 0 to 7)",
            Self::Bunyan => " (10 to 60)",
            Self::Monolog => " (100 to 600)",
            Self::Nextcloud => " (0 to 4)",
            Self::Python => " (10 to 50)",
            Self::Java => " (5000 to 40000)",
            Self::OpenTelemetry => " (1 to 24)",
            Self::Letters => " (a letter)",
            Self::FirstOfList => " (the first that is a level)",
        }
    }
}

#[cfg(test)]
mod tests;
