//! Types of the readers' results: exceptions, their frames, and the relations between exceptions.

use std::borrow::Cow;

/// A whole trace: exceptions, and the text around them.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace<'a> {
    /// Sentry's name of the language family. Rust is `native`, as in Sentry's own Rust client, so that the grouping
    /// rules for Rust symbols apply.
    pub platform: &'static str,
    /// Innermost cause first, outermost last (Sentry's order). Suppressed ones and group members precede their holder.
    /// Empty if a program's end was printed without frames: then the message has all of its text.
    pub exceptions: Vec<Exception<'a>>,
    /// Other threads whose stacks were printed alongside (goroutines).
    pub threads: Vec<Thread<'a>>,
    /// The text before and after the trace, trimmed; empty if there is none.
    pub message: Cow<'a, str>,
    /// The program, or a thread of it, ended: panic, uncaught exception.
    pub fatal: bool,
    /// The text says that nobody caught the exception. Always true if `fatal` is.
    pub unhandled: bool,
}

/// One exception of the chain.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Exception<'a> {
    /// Type, without its module where the language has modules.
    pub ty: Cow<'a, str>,
    /// Package or namespace of the type.
    pub module: Option<Cow<'a, str>>,
    /// The message; may have several lines.
    pub value: Cow<'a, str>,
    /// Oldest caller first, crashing frame last. Empty if the text shows none.
    pub frames: Vec<Frame<'a>>,
    /// Name or number of the thread, where the text has it.
    pub thread: Option<Cow<'a, str>>,
    /// Index in [`Trace::exceptions`] of the exception that holds this one; none for the outermost.
    pub parent: Option<usize>,
    /// The relation of this exception to its parent.
    pub relation: Relation,
    /// Lines that belong to this exception and are neither message nor frame: a Node error's properties, a signal.
    pub details: Vec<&'a str>,
}

/// The relation of an exception to the one that holds it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Relation {
    /// The outermost exception.
    #[default]
    Outermost,
    /// Its cause.
    Cause,
    /// Was being handled when its parent was raised (Python, Go's second panic).
    Context,
    /// Suppressed while its parent went up (Java).
    Suppressed,
    /// A member of a group or aggregate.
    Member,
}

/// One frame of a stack.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Frame<'a> {
    /// Function or method.
    pub function: Option<Cow<'a, str>>,
    /// Class, package or namespace of the function.
    pub module: Option<Cow<'a, str>>,
    /// File, short where the rest of the path says nothing.
    pub filename: Option<Cow<'a, str>>,
    /// The path as printed, if absolute.
    pub abs_path: Option<Cow<'a, str>>,
    /// Line, from 1.
    pub lineno: Option<u32>,
    /// Column, from 1.
    pub colno: Option<u32>,
    /// True if it looks like the application's own code; `None` if nothing tells.
    pub in_app: Option<bool>,
    /// The source line, where the trace shows it.
    pub context_line: Option<Cow<'a, str>>,
}

/// A thread that did not fail, printed with one that did.
#[derive(Debug, Clone, PartialEq)]
pub struct Thread<'a> {
    /// Its number.
    pub id: &'a str,
    /// The thread's activity.
    pub state: &'a str,
    /// Oldest caller first.
    pub frames: Vec<Frame<'a>>,
}
