//! Collects exceptions and frames while they are read: a tree of exceptions in any order, and a stack that may be longer
//! than the number of frames that are kept.

use super::model::{Exception, Frame, Relation};
use super::text::is_absolute;
use super::{MAX_EXCEPTIONS, NEWEST_FRAMES, OLDEST_FRAMES, USUAL_FRAMES};
use std::borrow::Cow;

/// Exceptions while they are read: a tree in any order.
#[derive(Debug, Default)]
pub(super) struct Chain<'a>(pub(super) Vec<Exception<'a>>);

impl<'a> Chain<'a> {
    /// Adds an exception and answers its index.
    pub(super) fn add(&mut self, exception: Exception<'a>) -> usize {
        self.0.push(exception);
        self.0.len() - 1
    }

    /// Hangs `child` below `parent`.
    pub(super) fn link(&mut self, child: usize, parent: usize, relation: Relation) {
        self.0[child].parent = Some(parent);
        self.0[child].relation = relation;
    }

    /// Returns the exceptions in Sentry's order: innermost first. Sentry's SDKs walk from the outermost exception down,
    /// number those that they meet and reverse the list: Java's takes the suppressed ones before the cause
    /// (`SentryExceptionFactory`), Python's and Node's take the cause before the members of a group
    /// (`exceptions_from_error`, `aggregateExceptionsFromError`).
    pub(super) fn finish(mut self) -> Option<Vec<Exception<'a>>> {
        let count = self.0.len();
        if count > MAX_EXCEPTIONS {
            return None;
        }
        let mut children = vec![Vec::new(); count];
        for (index, exception) in self.0.iter().enumerate() {
            if let Some(parent) = exception.parent {
                children[parent].push(index);
            }
        }
        for of_one in &mut children {
            of_one.sort_by_key(|&child| match self.0[child].relation {
                Relation::Suppressed => 0,
                Relation::Outermost | Relation::Cause | Relation::Context => 1,
                Relation::Member => 2,
            });
        }
        let mut order = Vec::with_capacity(count);
        let mut open: Vec<usize> = (0..count).filter(|&index| self.0[index].parent.is_none()).collect();
        while let Some(index) = open.pop() {
            order.push(index);
            open.extend(children[index].iter().rev());
        }
        order.reverse();
        let place = |index: usize| order.iter().position(|&other| other == index);
        let parents: Vec<_> = self.0.iter().map(|exception| exception.parent.and_then(place)).collect();
        let sorted =
            order.iter().map(|&index| Exception { parent: parents[index], ..std::mem::take(&mut self.0[index]) });
        Some(sorted.collect())
    }
}

/// The frames of one stack, gathered in the order of the text.
///
/// Drops the middle as it goes, so that no text can make it hold more than a few times the number of frames that are kept in
/// the end.
#[derive(Debug)]
pub(super) struct Stack<'a> {
    pub(super) frames: Vec<Frame<'a>>,
    /// The number of frames to keep at the head of the text, and at its tail.
    head: usize,
    tail: usize,
}

impl<'a> Stack<'a> {
    /// For texts that print the crashing frame first.
    pub(super) fn newest_first() -> Self {
        Self { frames: Vec::new(), head: NEWEST_FRAMES, tail: OLDEST_FRAMES }
    }

    /// For texts that print it last.
    pub(super) fn oldest_first() -> Self {
        Self { frames: Vec::new(), head: OLDEST_FRAMES, tail: NEWEST_FRAMES }
    }

    pub(super) fn push(&mut self, frame: Frame<'a>) {
        if self.frames.len() == 4 * (self.head + self.tail) {
            self.trim();
        }
        if self.frames.is_empty() {
            self.frames.reserve(USUAL_FRAMES);
        }
        self.frames.push(frame);
    }

    /// The last frame once more, `times`.
    pub(super) fn repeat(&mut self, times: u32) {
        let Some(last) = self.frames.last().cloned() else { return };
        // More copies than are kept look like just as many as are kept.
        for _ in 0..times.min((self.head + self.tail) as u32) {
            self.push(last.clone());
        }
    }

    fn trim(&mut self) {
        let end = self.frames.len().saturating_sub(self.tail);
        if end > self.head {
            self.frames.drain(self.head..end);
        }
    }

    /// Oldest first.
    pub(super) fn finish(mut self) -> Vec<Frame<'a>> {
        self.trim();
        if self.head > self.tail {
            self.frames.reverse();
        }
        self.frames
    }
}

impl<'a> Frame<'a> {
    /// Returns a frame in a file; `short` is the part of the path to show.
    pub(super) fn in_file(path: &'a str, short: &'a str, line: Option<u32>, column: Option<u32>) -> Self {
        Self {
            filename: (!short.is_empty()).then_some(Cow::Borrowed(short)),
            abs_path: is_absolute(path).then_some(Cow::Borrowed(path)),
            lineno: line,
            colno: column,
            ..Self::default()
        }
    }
}
