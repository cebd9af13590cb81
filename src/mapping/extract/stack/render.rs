//! Writes a chain of errors as the text that its language prints.

use super::{Error, Frame, Item, split_place};
use crate::mapping::encode::json;
use crate::mapping::trace::MAX_TEXT;
use memchr::{memchr, memmem};

/// The style in which a language prints stacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// `at place` below `Type: message`: Java, JavaScript, .NET.
    At,
    Python,
    Ruby,
    Php,
    Go,
}

/// Returns the style in which the language of this line of a stack prints; `None` for a line that is no frame.
pub(super) fn style_of_line(line: &[u8]) -> Option<Style> {
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

fn style(error: &Error<'_>) -> Option<Style> {
    error.items.iter().find_map(|item| match item {
        Item::Line(line) => style_of_line(line),
        Item::Frame(frame) => Frame::of(*frame).style(),
    })
}

/// The text of a chain, the outermost exception first; none without a frame.
pub(super) fn render(chain: &[Error<'_>]) -> Option<Vec<u8>> {
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
