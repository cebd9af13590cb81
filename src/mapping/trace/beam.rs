//! Reads Elixir's and Erlang's traces: exceptions as `Exception.format` prints them, with the report of the crashed process
//! below them, and Erlang's exit values.
//!
//! Frames follow `lib/sentry/event.ex` of Sentry's Elixir SDK: the function with module and arity, the module, the file
//! below the application's directory. `in_app` is false for the applications of Erlang and Elixir and the usual frameworks.

use super::find::Find;
use super::{
    Ahead, Chain, Exception, Frame, LOOKAHEAD, Reading, Sought, Stack, indent, is_log_head, joined, number, place,
    starts_with_any,
};
use std::borrow::Cow;

/// Applications that are nobody's own.
const LIBRARIES: [&str; 20] = [
    "bandit",
    "cowboy",
    "db_connection",
    "ecto",
    "ecto_sql",
    "eex",
    "elixir",
    "erts",
    "ex_unit",
    "iex",
    "kernel",
    "logger",
    "mix",
    "oban",
    "phoenix",
    "phoenix_live_view",
    "plug",
    "postgrex",
    "ranch",
    "stdlib",
];
/// Texts that Erlang's processes print below the stack.
const DETAILS: [&str; 11] = [
    "Last message",
    "State: ",
    "Function: ",
    "    Args: ",
    "Client #PID",
    "Initial Call: ",
    "Ancestors: ",
    "Message Queue",
    "Start Call: ",
    "Restart: ",
    "Shutdown: ",
];

pub(super) fn read<'a>(lines: &[&'a str], ahead: &Ahead) -> Option<Reading<'a>> {
    let line = *lines.first()?;
    match line.trim_start().strip_prefix("** (") {
        Some(head) => raised(lines, head, ahead),
        None => exited(lines, ahead),
    }
}

/// `** (ArithmeticError) bad argument` and the frames below.
fn raised<'a>(lines: &[&'a str], head: &'a str, ahead: &Ahead) -> Option<Reading<'a>> {
    let (ty, first) = head.cut_at_byte(b')')?;
    if ty.is_empty() || ty.holds_any(b" (") {
        return None;
    }
    let below = &lines[1..];
    let more = ahead.first(Sought::Elixir, below, |line| is_log_head(line) || frame(line).is_some())?;
    (!is_log_head(below[more])).then_some(())?;
    let mut stack = Stack::newest_first();
    let mut at = 1 + more;
    while let Some(frame) = lines.get(at).and_then(|line| frame(line)) {
        stack.push(frame);
        at += 1;
    }
    let mut exception = Exception {
        ty: Cow::Borrowed(ty),
        value: joined(first.trim(), &lines[1..=more]),
        frames: stack.finish(),
        ..Exception::default()
    };
    while let Some(line) = lines.get(at).filter(|line| starts_with_any(line, &DETAILS)) {
        exception.details.push(line);
        at += 1;
    }
    let mut chain = Chain::default();
    chain.add(exception);
    Some(Reading { platform: "elixir", exceptions: chain.finish(), used: at, ..Reading::default() })
}

/// `    (my_app 0.1.0) lib/my_app/counter.ex:8: MyApp.Counter.increment/2`, without the application or the place.
fn frame(line: &str) -> Option<Frame<'_>> {
    if indent(line) < 2 {
        return None;
    }
    let text = line.trim().trim_end_matches(',');
    let (application, text) = match text.strip_prefix('(').and_then(|text| text.cut_at(") ")) {
        Some((application, text)) => (application.split(' ').next(), text),
        None => (None, text),
    };
    let located = text.cut_at(": ").and_then(|(at, function)| match place(at)? {
        (path, line, None) if path.holds(".ex") || path.ends_with(".erl") => Some((path, line, function)),
        _ => None,
    });
    let (path, line, function) = match located {
        Some((path, line, function)) => (path, Some(line), function),
        None => ("", None, text),
    };
    // The body of a script.
    let is_body = matches!(function, "(file)" | "(module)") && !path.is_empty();
    let module = if is_body { "" } else { module(function)? };
    // Without a place nothing but the application says that this is a frame.
    if path.is_empty() && application.is_none() && !function.starts_with(':') {
        return None;
    }
    let known = application.is_some_and(|name| LIBRARIES.contains(&name));
    let in_app = Some(!known && !module.starts_with(':') && !path.ends_with(".erl"));
    let frame = Frame::in_file(path, path, line, None);
    let module = Some(Cow::Borrowed(module)).filter(|module| !module.is_empty());
    Some(Frame { function: Some(Cow::Borrowed(function)), module, in_app, ..frame })
}

/// The module of `Shop.Order.take/2`, `:erlang.+(26, "x")`, `anonymous fn/1 in Shop.run/0`.
fn module(function: &str) -> Option<&str> {
    let function = function.last_place_of(" in ").map_or(function, |at| &function[at + 4..]);
    let called = || function.find('(').filter(|_| function.ends_with(')'));
    let end = called().or_else(|| {
        let slash = function.rfind('/')?;
        number(&function[slash + 1..]).map(|_| slash)
    })?;
    let dot = function[..end].rfind('.').filter(|dot| *dot > 0)?;
    let module = &function[..dot];
    let named = module.starts_with(|c: char| c.is_uppercase() || matches!(c, ':' | '"'));
    (named && !module.holds_byte(b' ')).then_some(module)
}

/// `Error in process <0.93.0> with exit value:` and a term with the stack: `{shop,take,2,[{file,"shop.erl"},{line,7}]}`.
fn exited<'a>(lines: &[&'a str], ahead: &Ahead) -> Option<Reading<'a>> {
    let line = *lines.first()?;
    let head = line.place_of("Error in process <")?;
    if !line.trim_end().ends_with("with exit value:") {
        return None;
    }
    let more = lines.iter().take(LOOKAHEAD).skip(2).take_while(|line| indent(line) > 0).count();
    let used = 2 + more;
    let term = lines.get(1..used)?;
    ahead.within(Sought::ErlangFrame, term, |line| !frames_of_term(line).is_empty())?;
    let mut stack = Stack::newest_first();
    term.iter().flat_map(|line| frames_of_term(line)).for_each(|frame| stack.push(frame));
    let reason = term[0].trim_start_matches([' ', '{']);
    let reason = &reason[..reason.find([',', '}']).unwrap_or(reason.len())];
    let mut chain = Chain::default();
    let (ty, value) = (Cow::Borrowed(reason), Cow::Borrowed(term[0].trim()));
    chain.add(Exception { ty, value, frames: stack.finish(), ..Exception::default() });
    let before = &line[..head];
    Some(Reading { platform: "elixir", before, exceptions: chain.finish(), used, shown: 1, ..Reading::default() })
}

/// The frames in a line of an Erlang term.
fn frames_of_term(line: &str) -> Vec<Frame<'_>> {
    line.match_indices(",[{file,\"")
        .filter_map(|(at, opening)| {
            let (path, rest) = line[at + opening.len()..].cut_at_byte(b'"')?;
            let line_number = rest.strip_prefix("},{line,")?;
            let number = number(&line_number[..line_number.find('}')?])?;
            let head = &line[..at];
            let call = &head[head.rfind('{')? + 1..];
            let mut parts = call.splitn(3, ',');
            let (module, function) = (parts.next()?.trim(), parts.next()?);
            let frame = Frame::in_file(path, path, Some(number), None);
            let own = !matches!(module, "erlang" | "gen_server" | "gen_statem" | "proc_lib" | "lists" | "supervisor");
            Some(Frame {
                function: Some(Cow::Borrowed(function)),
                module: Some(Cow::Borrowed(module)),
                in_app: Some(own),
                ..frame
            })
        })
        .collect()
}
