//! Converts stack traces in fields, whatever their form, to the text that the language prints, because the trace readers
//! read that text.
//!
//! A logger may write a trace as text, as a list of lines, as a list of frames, or as an object with type, message, frames
//! and cause. A value that is not a trace in one of these forms gives nothing and stays an ordinary field.

use crate::chunk::msgpack::{Seq, Value};
use crate::mapping::encode::json;
use crate::mapping::trace::MAX_TEXT;
use memchr::{memchr, memmem};
use std::borrow::Cow;

/// Exceptions of one chain; the causes of a longer one are cut.
const MAX_CHAIN: usize = 32;

/// Data that the record has, in fields of their own, about the exception whose stack a field holds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct About<'a> {
    /// Its type.
    pub ty: Option<&'a [u8]>,
    /// Its message.
    pub message: Option<&'a [u8]>,
}

/// The trace that a field holds, as text of at least two lines. None: the field holds none.
pub(crate) fn text<'a>(value: Value<'a>, about: About<'a>) -> Option<Cow<'a, [u8]>> {
    match value {
        Value::Str(text) | Value::Bin(text) => headed(text, about),
        Value::Array(list) => from_list(list, about).map(Cow::Owned),
        Value::Map(map) => render(&chain(map, about)).map(Cow::Owned),
        _ => None,
    }
}

/// Returns true if a field may hold a trace, without reading it.
pub(crate) fn may_hold(value: Value<'_>) -> bool {
    match value {
        Value::Str(text) => memchr(b'\n', text).is_some(),
        Value::Array(list) | Value::Map(list) => !list.is_empty(),
        _ => false,
    }
}

/// A text; frames without a head get the one that the record has in other fields.
fn headed<'a>(text: &'a [u8], about: About<'a>) -> Option<Cow<'a, [u8]>> {
    let first = text.trim_ascii_start();
    let first = &first[..memchr(b'\n', first).unwrap_or(first.len())];
    if about.ty.is_some() && style_of_line(first).is_some() && !first.starts_with(b"Traceback") {
        let error = Error { ty: about.ty, message: about.message, items: lines(text), place: None };
        return render(&[error]).map(Cow::Owned);
    }
    memchr(b'\n', text).is_some().then_some(Cow::Borrowed(text))
}

fn from_list<'a>(list: Seq<'a>, about: About<'a>) -> Option<Vec<u8>> {
    let first = list.values().next()?;
    if first.map().is_some_and(|map| map.get("exc_type").is_some()) {
        // structlog's dictionaries: the outermost exception first.
        let errors: Vec<Error<'a>> =
            list.values().take(MAX_CHAIN).filter_map(|value| Some(Error::of(value.map()?))).collect();
        return render(&errors);
    }
    render(&[Error { ty: about.ty, message: about.message, items: items(Value::Array(list)), place: None }])
}

/// One exception.
#[derive(Debug, Default)]
struct Error<'a> {
    ty: Option<&'a [u8]>,
    message: Option<&'a [u8]>,
    items: Vec<Item<'a>>,
    /// The file and line in which it was raised, if not in the first frame.
    place: Option<(&'a [u8], u64)>,
}

/// A line of a stack, or a frame with its parts in fields.
#[derive(Clone, Copy, Debug)]
enum Item<'a> {
    Line(&'a [u8]),
    Frame(Seq<'a>),
}

/// The style in which a language prints stacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// `at place` below `Type: message`: Java, JavaScript, .NET.
    At,
    Python,
    Ruby,
    Php,
    Go,
}

/// The exception of an object, and its causes; the outermost first.
fn chain<'a>(map: Seq<'a>, about: About<'a>) -> Vec<Error<'a>> {
    let mut errors = Vec::new();
    let mut next = Some(map);
    while let Some(map) = next.filter(|_| errors.len() < MAX_CHAIN) {
        // JBoss puts an exception below a key of its own.
        let map = map.get("exception").and_then(|value| value.map()).unwrap_or(map);
        errors.push(Error::of(map));
        next = first(map, &["cause", "causedBy", "previous", "Previous", "innerException", "InnerException"])
            .and_then(|value| value.map());
    }
    if let Some(outermost) = errors.first_mut() {
        outermost.ty = outermost.ty.or(about.ty);
        outermost.message = outermost.message.or(about.message);
    }
    errors
}

impl<'a> Error<'a> {
    fn of(map: Seq<'a>) -> Self {
        const TYPES: [&str; 10] = [
            "exceptionType",
            "exception_class",
            "exc_type",
            "className",
            "class",
            "type",
            "name",
            "Exception",
            "kind",
            "errorType",
        ];
        const MESSAGES: [&str; 8] = [
            "message",
            "exception_message",
            "exc_value",
            "localizedMessage",
            "Message",
            "value",
            "errorMessage",
            "msg",
        ];
        const STACKS: [&str; 12] = [
            "extendedStackTrace",
            "stackTrace",
            "stack_trace",
            "stacktrace",
            "StackTrace",
            "stack",
            "frames",
            "stepArray",
            "backtrace",
            "trace",
            "Trace",
            "stackTraceElements",
        ];
        let text = |names: &[&str]| first(map, names).and_then(|value| value.text()).map(<[u8]>::trim_ascii);
        let file = text(&["file", "File"]);
        let place = file.and_then(|file| match first(map, &["line", "Line"]).and_then(number) {
            Some(line) => Some((file, line)),
            None => split_place(file),
        });
        Self {
            ty: text(&TYPES).filter(|ty| !ty.is_empty()),
            message: text(&MESSAGES),
            items: first(map, &STACKS).map(items).unwrap_or_default(),
            place,
        }
    }

    /// Returns true if the lines begin with the head, so that none has to be made.
    fn has_head(&self) -> bool {
        match self.items.first() {
            Some(Item::Line(line)) => line.starts_with(b"Traceback") || style_of_line(line).is_none(),
            _ => false,
        }
    }
}

fn first<'a>(map: Seq<'a>, names: &[&str]) -> Option<Value<'a>> {
    names.iter().find_map(|name| map.get(name).filter(|value| *value != Value::Nil))
}

fn lines(text: &[u8]) -> Vec<Item<'_>> {
    text.trim_ascii_end().split(|byte| *byte == b'\n').map(Item::Line).collect()
}

fn items(value: Value<'_>) -> Vec<Item<'_>> {
    match value {
        Value::Str(text) | Value::Bin(text) => lines(text),
        Value::Array(list) => list
            .values()
            .flat_map(|value| match value {
                // A text may hold several lines, as Python's do.
                Value::Str(text) => lines(text),
                Value::Map(frame) => vec![Item::Frame(frame)],
                _ => Vec::new(),
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// Returns the style in which the language of this line of a stack prints; `None` for a line that is no frame.
fn style_of_line(line: &[u8]) -> Option<Style> {
    let text = line.trim_ascii();
    if text.starts_with(b"at ") {
        return Some(Style::At);
    }
    if text.starts_with(b"File \"") || text.starts_with(b"Traceback (most") {
        return Some(Style::Python);
    }
    if memmem::find(text, b":in `").is_some() || memmem::find(text, b":in '").is_some() {
        return Some(Style::Ruby);
    }
    let (path, _) = split_place(text)?;
    match path {
        _ if path.ends_with(b".rb") => Some(Style::Ruby),
        _ if path.ends_with(b".php") => Some(Style::Php),
        _ if path.ends_with(b".go") => Some(Style::Go),
        _ => None,
    }
}

/// `path:12`
fn split_place(text: &[u8]) -> Option<(&[u8], u64)> {
    let colon = text.iter().rposition(|byte| *byte == b':')?;
    let line = std::str::from_utf8(&text[colon + 1..]).ok()?.parse().ok()?;
    (colon > 0).then_some((&text[..colon], line))
}

fn number(value: Value<'_>) -> Option<u64> {
    match value {
        Value::UInt(n) => Some(n),
        Value::Str(text) => std::str::from_utf8(text).ok()?.trim().parse().ok(),
        _ => None,
    }
}

/// A frame with its parts in fields.
struct Frame<'a> {
    class: Option<&'a [u8]>,
    function: Option<&'a [u8]>,
    /// The separator between class and function in PHP.
    joint: Option<&'a [u8]>,
    file: Option<&'a [u8]>,
    line: Option<u64>,
}

impl<'a> Frame<'a> {
    fn of(map: Seq<'a>) -> Self {
        let text = |names: &[&str]| first(map, names).and_then(|value| value.text()).filter(|text| !text.is_empty());
        Self {
            class: text(&["class", "className", "declaringClass"]),
            function: text(&["method", "methodName", "function", "func", "name"]),
            joint: text(&["type"]).filter(|joint| matches!(*joint, b"->" | b"::")),
            file: text(&["file", "fileName", "filename", "source"]),
            line: first(map, &["line", "lineNumber", "lineno"]).and_then(number),
        }
    }

    fn style(&self) -> Option<Style> {
        self.function?;
        let ends = |end: &[u8]| self.file.is_some_and(|file| file.ends_with(end));
        Some(match self.class {
            _ if self.joint.is_some() || ends(b".php") => Style::Php,
            _ if ends(b".py") => Style::Python,
            Some(_) => Style::At,
            None if ends(b".js") || ends(b".ts") || ends(b".mjs") || ends(b".cjs") => Style::At,
            None => Style::Go,
        })
    }
}

fn style(error: &Error<'_>) -> Option<Style> {
    error.items.iter().find_map(|item| match item {
        Item::Line(line) => style_of_line(line),
        Item::Frame(frame) => Frame::of(*frame).style(),
    })
}

/// The text of a chain, the outermost exception first; none without a frame.
fn render(chain: &[Error<'_>]) -> Option<Vec<u8>> {
    let style = chain.iter().find_map(style)?;
    let mut out = Vec::new();
    // Python and PHP print the cause above what it caused.
    let cause_first = matches!(style, Style::Python | Style::Php);
    for at in 0..chain.len() {
        let error = if cause_first { &chain[chain.len() - 1 - at] } else { &chain[at] };
        if at > 0 {
            out.extend_from_slice(match style {
                Style::At => b"Caused by: ",
                Style::Python => b"\nThe above exception was the direct cause of the following exception:\n\n",
                Style::Php => b"\nNext ",
                Style::Ruby | Style::Go => b"",
            });
        }
        error_text(&mut out, style, error);
        if out.len() > MAX_TEXT {
            return None;
        }
    }
    out.truncate(out.trim_ascii_end().len());
    memchr(b'\n', &out).is_some().then_some(out)
}

fn error_text(out: &mut Vec<u8>, style: Style, error: &Error<'_>) {
    let ty = error.ty.unwrap_or(b"Error");
    let message = error.message.unwrap_or_default();
    let head = |out: &mut Vec<u8>| {
        out.extend_from_slice(ty);
        if !message.is_empty() {
            out.extend_from_slice(b": ");
            out.extend_from_slice(message);
        }
    };
    let own_head = error.has_head();
    match style {
        Style::At => {
            if !own_head {
                head(out);
                out.push(b'\n');
            }
        }
        Style::Python => {
            if !own_head {
                out.extend_from_slice(b"Traceback (most recent call last):\n");
            }
        }
        Style::Php => {
            head(out);
            let (file, line) = error.place.or_else(|| first_place(error)).unwrap_or((b"unknown", 0));
            out.extend_from_slice(b" in ");
            place(out, file, line);
            out.extend_from_slice(b"\nStack trace:\n");
        }
        Style::Ruby => {}
        Style::Go => {
            if !own_head && !message.is_empty() {
                out.extend_from_slice(message);
                out.push(b'\n');
            }
        }
    }
    let mut count = 0;
    for item in &error.items {
        match item {
            Item::Line(line) => line_text(out, style, line, (count, own_head), (ty, message)),
            Item::Frame(frame) => frame_text(out, style, &Frame::of(*frame), count),
        }
        out.push(b'\n');
        count += 1;
    }
    match style {
        Style::Php => out.extend_from_slice(format!("#{count} {{main}}\n").as_bytes()),
        Style::Python if !own_head => {
            head(out);
            out.push(b'\n');
        }
        _ => {}
    }
}

fn first_place<'a>(error: &Error<'a>) -> Option<(&'a [u8], u64)> {
    error.items.iter().find_map(|item| match item {
        Item::Line(line) => split_place(line.trim_ascii()),
        Item::Frame(frame) => {
            let frame = Frame::of(*frame);
            Some((frame.file?, frame.line?))
        }
    })
}

fn line_text(
    out: &mut Vec<u8>,
    style: Style,
    line: &[u8],
    (at, own_head): (usize, bool),
    (ty, message): (&[u8], &[u8]),
) {
    let text = line.trim_ascii();
    match style {
        Style::At if text.starts_with(b"at ") || text.starts_with(b"... ") => {
            out.extend_from_slice(b"\t");
            out.extend_from_slice(text);
        }
        Style::Ruby if own_head => {
            out.extend_from_slice(if at > 0 && !text.starts_with(b"from ") { b"\tfrom " } else { b"" });
            out.extend_from_slice(line);
        }
        Style::Ruby if at == 0 => {
            out.extend_from_slice(text);
            out.extend_from_slice(b": ");
            out.extend_from_slice(message);
            out.extend_from_slice(b" (");
            out.extend_from_slice(ty);
            out.push(b')');
        }
        Style::Ruby => {
            out.extend_from_slice(b"\tfrom ");
            out.extend_from_slice(text);
        }
        Style::Php => {
            out.extend_from_slice(format!("#{at} ").as_bytes());
            match split_place(text) {
                Some((file, line)) => {
                    out.extend_from_slice(file);
                    out.extend_from_slice(format!("({line})").as_bytes());
                }
                None => out.extend_from_slice(text),
            }
        }
        _ => out.extend_from_slice(line),
    }
}

fn frame_text(out: &mut Vec<u8>, style: Style, frame: &Frame<'_>, at: usize) {
    let function = frame.function.unwrap_or(b"?");
    let line = frame.line.unwrap_or_default();
    let mut add = |parts: &[&[u8]]| parts.iter().for_each(|part| out.extend_from_slice(part));
    match (style, frame.class) {
        (Style::At, Some(class)) => {
            add(&[b"\tat ", class, b".", function, b"("]);
            match (frame.file, frame.line) {
                (Some(file), Some(line)) => place(out, file, line),
                (Some(file), None) => out.extend_from_slice(file),
                // The name that a class file without debug information has, so that the line is kept.
                (None, Some(line)) => place(out, b"SourceFile", line),
                (None, None) => out.extend_from_slice(b"Unknown Source"),
            }
            out.push(b')');
        }
        (Style::At, None) => {
            add(&[b"    at ", function, b" ("]);
            place(out, frame.file.unwrap_or(b"unknown"), line);
            out.extend_from_slice(b":1)");
        }
        (Style::Python, _) => {
            add(&[
                b"  File \"",
                frame.file.unwrap_or(b"unknown"),
                b"\", line ",
                line.to_string().as_bytes(),
                b", in ",
                function,
            ]);
        }
        (Style::Php, class) => {
            add(&[b"#", at.to_string().as_bytes(), b" "]);
            match frame.file {
                Some(file) => add(&[file, b"(", line.to_string().as_bytes(), b"): "]),
                None => add(&[b"[internal function]: "]),
            }
            let class = class.unwrap_or_default();
            let joint = frame.joint.filter(|_| !class.is_empty()).unwrap_or_default();
            add(&[class, joint, function, b"()"]);
        }
        (Style::Go | Style::Ruby, _) => {
            add(&[function, b"\n\t"]);
            place(out, frame.file.unwrap_or(b"unknown"), line);
        }
    }
}

fn place(out: &mut Vec<u8>, file: &[u8], line: u64) {
    out.extend_from_slice(file);
    out.push(b':');
    json::integer(out, line);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::msgpack::Cursor;
    use crate::mapping::extract::parse;

    /// Returns the text of the trace in a JSON value, with the details that the record has of its exception.
    fn of(json: &str, ty: Option<&str>, message: Option<&str>) -> Option<String> {
        let mut packed = Vec::new();
        assert!(parse::message(format!("{{\"v\":{json}}}").as_bytes(), &mut packed), "{json}");
        let value = Cursor::new(&packed).read().unwrap().map().unwrap().get("v").unwrap();
        let about = About { ty: ty.map(str::as_bytes), message: message.map(str::as_bytes) };
        text(value, about).map(|text| String::from_utf8(text.into_owned()).unwrap())
    }

    #[test]
    fn lines_become_the_text_that_the_language_prints() {
        for (lines, expected) in [
            (r#"["at a.B.c(B.java:3)","... 2 more"]"#, "T: m\n\tat a.B.c(B.java:3)\n\t... 2 more"),
            (r#"["X: y","at f (/a.js:1:2)"]"#, "X: y\n\tat f (/a.js:1:2)"),
            (
                r#"["  File \"a.py\", line 3, in f\n    g()\n"]"#,
                "Traceback (most recent call last):\n  File \"a.py\", line 3, in f\n    g()\nT: m",
            ),
            (r#"["/a.rb:1:in `f'","/b.rb:2:in `g'"]"#, "/a.rb:1:in `f': m (T)\n\tfrom /b.rb:2:in `g'"),
            (r#"["/a.php:1","/b.php:2"]"#, "T: m in /a.php:1\nStack trace:\n#0 /a.php(1)\n#1 /b.php(2)\n#2 {main}"),
        ] {
            assert_eq!(of(lines, Some("T"), Some("m")).as_deref(), Some(expected), "{lines}");
        }
    }

    #[test]
    fn frames_with_parts_become_lines() {
        for (frames, expected) in [
            (r#"[{"class":"a.B","method":"c","file":"B.java","line":3}]"#, "T: m\n\tat a.B.c(B.java:3)"),
            (r#"[{"class":"a.B","method":"c","line":3}]"#, "T: m\n\tat a.B.c(SourceFile:3)"),
            (r#"[{"func":"main.f","source":"f.go","line":"3"}]"#, "m\nmain.f\n\tf.go:3"),
            (r#"[{"function":"f","file":"a.js","line":3}]"#, "T: m\n    at f (a.js:3:1)"),
            (
                r#"[{"name":"f","filename":"a.py","lineno":3}]"#,
                "Traceback (most recent call last):\n  File \"a.py\", line 3, in f\nT: m",
            ),
        ] {
            assert_eq!(of(frames, Some("T"), Some("m")).as_deref(), Some(expected), "{frames}");
        }
    }

    #[test]
    fn an_object_brings_its_head_and_its_causes() {
        let object = r#"{"name":"A","message":"x","stackTrace":[{"class":"a.B","method":"c","file":"B.java","line":3}],
            "cause":{"exception":{"exceptionType":"C","message":"y","frames":[{"class":"a.D","method":"e"}]}}}"#;
        let expected = "A: x\n\tat a.B.c(B.java:3)\nCaused by: C: y\n\tat a.D.e(Unknown Source)";
        assert_eq!(of(object, None, None).as_deref(), Some(expected));
    }

    #[test]
    fn text_gets_a_head_only_where_it_has_none() {
        assert_eq!(of(r#""at a.B.c(B.java:3)""#, Some("T"), None).as_deref(), Some("T\n\tat a.B.c(B.java:3)"));
        assert_eq!(
            of(r#""X: y\n\tat a.B.c(B.java:3)""#, Some("T"), None).as_deref(),
            Some("X: y\n\tat a.B.c(B.java:3)")
        );
        assert_eq!(of(r#""at a.B.c(B.java:3)""#, None, None), None);
    }

    #[test]
    fn what_is_no_trace_gives_nothing() {
        for json in [
            r#""one line""#,
            "7",
            "true",
            "[]",
            "{}",
            "[1,2]",
            r#"["red","blue"]"#,
            r#"[{"id":1}]"#,
            r#"{"name":"Bo"}"#,
            r#"{"name":"Bo","stack":7}"#,
            r#"{"name":"Bo","frames":[]}"#,
        ] {
            assert_eq!(of(json, Some("T"), Some("m")), None, "{json}");
        }
    }

    #[test]
    fn a_chain_without_end_is_cut() {
        let frame = r#""frames":[{"class":"a.B","method":"c"}]"#;
        let chain =
            (0..40).fold("null".to_owned(), |cause, n| format!("{{\"name\":\"E{n}\",{frame},\"cause\":{cause}}}"));
        let text = of(&chain, None, None).unwrap();
        assert_eq!((text.matches("Caused by").count(), text.starts_with("E39")), (MAX_CHAIN - 1, true));
    }
}
