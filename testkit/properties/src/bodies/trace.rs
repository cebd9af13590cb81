//! A text as a stack trace: what is read of it stands in it, within bounds, and line ends make no difference.

use out_sentry::mapping::trace::{
    Exception, Frame, MAX_EXCEPTIONS, MAX_LINES, MAX_TEXT, NEWEST_FRAMES, OLDEST_FRAMES, Relation, Trace, extent, parse,
};

/// Texts that the readers add: types and files where the text has none, and Python's first module.
const OURS: [&str; 24] = [
    "panic",
    "error",
    "Error",
    "internal",
    "main",
    "die",
    "Fatal",
    "Exception",
    "runtime",
    "boundsError",
    "errorString",
    "plainError",
    "TypeAssertionError",
    "PanicNilError",
    "System",
    "StackOverflowException",
    "OutOfMemoryException",
    "StateError",
    "ConcurrentModificationError",
    "ArgumentError",
    "TypeError",
    "StackOverflowError",
    "UnimplementedError",
    "UnsupportedError",
];

/// Runs the target on one input, and panics if something is wrong.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let trace = parse(&text);
    if let Some(trace) = &trace {
        whole(trace);
        stands_in(&text, trace);
    }
    if !text.contains('\r') {
        let crlf = text.replace('\n', "\r\n");
        let of = |trace: &Trace<'_>| format!("{:?} {} {:?}", trace.exceptions, trace.fatal, trace.threads);
        assert_eq!(parse(&crlf).as_ref().map(of), trace.as_ref().map(of), "with carriage returns");
    }
    joining(&text);
}

/// A trace has something to show, and its exceptions form one tree in Sentry's order.
fn whole(trace: &Trace<'_>) {
    assert!(trace.exceptions.len() <= MAX_EXCEPTIONS);
    if trace.exceptions.is_empty() {
        assert!(trace.fatal && !trace.message.is_empty(), "a crash without frames is its text");
        return;
    }
    for (index, exception) in trace.exceptions.iter().enumerate() {
        assert!(exception.frames.len() <= OLDEST_FRAMES + NEWEST_FRAMES);
        assert!(!exception.ty.is_empty());
        assert!(exception.parent.is_none_or(|parent| parent > index && parent < trace.exceptions.len()));
        assert_eq!(exception.parent.is_none(), exception.relation == Relation::Outermost, "{exception:?}");
    }
    let outermost = trace.exceptions.last().is_some_and(|exception| exception.parent.is_none());
    assert!(outermost, "the last one is the outermost");
}

/// Everything that is shown was in the text, down to its words and numbers.
fn stands_in(text: &str, trace: &Trace<'_>) {
    for exception in &trace.exceptions {
        let Exception { ty, module, value, thread, details, frames, .. } = exception;
        let parts = [Some(ty), module.as_ref(), Some(value), thread.as_ref()];
        parts.into_iter().flatten().for_each(|part| words(text, part));
        details.iter().for_each(|detail| words(text, detail));
        frames.iter().for_each(|frame| place(text, frame));
    }
    for thread in &trace.threads {
        words(text, thread.id);
        words(text, thread.state);
        thread.frames.iter().for_each(|frame| place(text, frame));
    }
    words(text, &trace.message);
}

fn place(text: &str, frame: &Frame<'_>) {
    let Frame { function, module, filename, abs_path, context_line, .. } = frame;
    [function, module, filename, abs_path, context_line].into_iter().flatten().for_each(|part| words(text, part));
    for number in [frame.lineno, frame.colno].into_iter().flatten() {
        assert!(text.contains(&number.to_string()), "{number} is in no line");
    }
}

fn words(text: &str, part: impl AsRef<str>) {
    let part = part.as_ref();
    for word in part.split(|c: char| !c.is_alphanumeric()) {
        // Paths of URLs are shown without their escapes.
        let known = text.contains(word) || OURS.contains(&word) || text.contains('%');
        assert!(known, "{word:?} of {part:?} is nowhere in the text");
    }
}

/// Lines that form a trace are found one by one, and no more of them than there are.
fn joining(text: &str) {
    let lines: Vec<&str> = text.lines().take(2_000).collect();
    let mut at = 0;
    while at < lines.len() {
        let used = extent(&lines[at..]);
        assert!(used <= lines.len() - at && used <= MAX_LINES);
        if used > 0 {
            let taken = &lines[at..at + used];
            assert!(taken.iter().map(|line| line.len() + 1).sum::<usize>() <= MAX_TEXT + 1);
            // What is joined is shown as a trace of its own lines, or as they are.
            let joined = taken.join("\n");
            parse(&joined).inspect(|trace| stands_in(&joined, trace));
        }
        at += used.max(1);
    }
}
