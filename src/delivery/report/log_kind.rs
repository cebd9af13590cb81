//! Names the kinds of log lines that the log throttle tells apart.

/// The kind of a log line. Lines of one kind about one subject are logged at most once a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::delivery) enum LogKind {
    /// A destination accepts items again.
    Recovered,
    /// A destination is unreachable.
    Failing,
    /// A destination is unreachable for a reason that does not pass by itself.
    FailingPermanently,
    /// A destination rejects everything.
    Misconfigured,
    /// A destination limits events.
    LimitedEvents,
    /// A destination limits logs.
    LimitedLogs,
    /// A destination rejects a single item.
    Refused,
    /// A destination cannot decode the encoding of a request.
    Encoding,
    /// A check-in was refused.
    CheckIn,
    /// The file that keeps the log budgets cannot be read or written.
    LogsBudget,
    /// Items were dropped because the memory for items of their destination was full.
    Overflow,
    /// `dsn_file` cannot be read.
    DsnFile,
    /// `dsn_dir` cannot be listed.
    DsnDir,
    /// A file in `dsn_dir` cannot be read.
    DsnDirFile,
    /// The annotation of a pod is not followed.
    Annotation,
    /// No source names a destination for a record.
    Unrouted,
    /// Memory is too short to unpack a chunk.
    Memory,
    /// A compressed chunk in memory cannot be unpacked to its end.
    Unpack,
    /// The mapping of a record panicked.
    Panic,
    /// The rest of a chunk was given up after too many panics.
    Panics,
    /// Dead letters cannot be written.
    DeadLetters,
    /// `dead_letter_max_size` is reached.
    DeadLettersFull,
    /// The spool's directory is writable by every user.
    OpenSpool,
    /// The spool of the time before a reload cannot be opened.
    FormerSpool,
    /// Another instance has locked the spool.
    SpoolLocked,
    /// The lock file of the spool was removed.
    SpoolLock,
    /// The spool cannot be used at all.
    SpoolUnusable,
    /// `spool_max_size` is reached.
    SpoolFull,
    /// The spool is so full that records of failing destinations are dropped.
    SpoolShare,
    /// The process has no file descriptor left.
    Descriptors,
    /// A chunk cannot be written to the spool.
    SpoolWrite,
    /// The spool cannot be synced.
    SpoolSync,
    /// A chunk cannot be read from the spool.
    SpoolRead,
    /// A segment of the spool cannot be compacted.
    SpoolCompact,
    /// An earlier process left records in the spool.
    Replay,
}
