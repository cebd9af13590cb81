//! Relates the lines of a stream to each other: stack traces, breadcrumbs, repeated events.

pub(super) mod breadcrumbs;
pub(super) mod recall;
pub(super) mod runs;
pub(super) mod storm;
pub(super) mod stream_lines;
pub(super) mod template;
pub(super) mod trace_cache;
pub(super) mod trace_groups;
pub(super) mod waiting;
