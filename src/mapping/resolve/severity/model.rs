//! Types that the readers of a line's head share: columns, the text before them, and the level that was found.

use super::Rules;
use crate::level::Level;

/// Part of a line: where it begins and ends.
pub(super) type Span = (usize, usize);

/// A level that a line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub level: Level,
    /// The position at which the level's word ends, including the text that belongs to it.
    pub end: usize,
    /// The logger, where the layout names it with the level.
    pub logger: Option<Span>,
    pub style: Style,
    /// The row of the tables that found it.
    pub layout: &'static str,
}

/// The kind of layout in which a level stands: it decides the text that may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Word,
    Bracket,
    /// In angle brackets: ClickHouse, WebLogic.
    Angle,
    /// klog and glog: the message stands behind `] `.
    Klog,
    /// One letter: `E | pkg: message`.
    Letter,
    /// In logfmt or cut JSON: all of the line is the message.
    Pair,
}

/// A row of the tables of layouts.
pub(super) struct Layout {
    pub name: &'static str,
    /// Kinds of bytes without which no column has this layout.
    pub needs: u16,
    pub read: fn(&Rules, &Column<'_>, &'static str) -> Option<Found>,
}

pub(super) fn found(level: Level, end: usize, style: Style, layout: &'static str) -> Found {
    Found { level, end, logger: None, style, layout }
}

/// The kind of text before a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    Start,
    Indent,
    Blank,
    Time,
    Bracket,
    Tab,
    Pipe,
    Dash,
    /// A name with a colon.
    Colon,
    /// `name[pid]:`.
    Program,
}

/// Items found before the level.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// The first timestamp.
    pub time: Option<Span>,
    pub brackets: u8,
    pub numbers: u8,
    pub names: u8,
    pub plain: u8,
    /// Ruby's `E, [...]`.
    pub ruby: bool,
    /// All columns behind the time are `key=value`.
    pub other: bool,
    /// The best name for a logger so far, and how good it is.
    pub logger: Option<(Span, u8)>,
}

/// A word of the head.
pub(super) struct Column<'h> {
    pub head: &'h [u8],
    pub at: usize,
    /// The position at which it ends: at a blank or a pipe.
    pub end: usize,
    pub kinds: u16,
    pub before: Before,
    pub seen: &'h Seen,
    /// The length of the time with which a bracket begins.
    pub time: Option<usize>,
}

impl<'h> Column<'h> {
    pub(super) fn text(&self) -> &'h [u8] {
        &self.head[self.at..self.end]
    }

    /// Returns the text behind the column.
    pub(super) fn behind(&self) -> &'h [u8] {
        &self.head[self.end..]
    }
}
