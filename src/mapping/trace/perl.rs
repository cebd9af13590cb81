//! Reads Perl's traces: `die` and `Carp`'s messages with a stack (`confess`, `longmess`), and `Died at` alone.

use super::find::Find;
use super::{Ahead, Chain, Exception, Frame, Reading, Stack, number, starts_with_any};
use std::borrow::Cow;

pub(super) fn read<'a>(lines: &[&'a str], _: &Ahead) -> Option<Reading<'a>> {
    let line = *lines.first()?;
    let (value, thrown) = thrown(line)?;
    let mut stack = Stack::newest_first();
    let (mut at, mut place) = (1, thrown);
    while let Some((function, called)) = lines.get(at).and_then(|line| called(line)) {
        stack.push(frame(Some(function), place));
        place = called;
        at += 1;
    }
    if at == 1 {
        return None;
    }
    let broken = lines.get(at).is_some_and(|line| line.starts_with('\t'));
    stack.push(frame(None, place));
    let mut chain = Chain::default();
    chain.add(Exception {
        ty: Cow::Borrowed("die"),
        value: Cow::Borrowed(value),
        frames: stack.finish(),
        ..Exception::default()
    });
    Some(Reading { platform: "perl", exceptions: chain.finish(), used: at, broken, ..Reading::default() })
}

type Place<'a> = (&'a str, u32);

/// `out of stock at /app/shop.pl line 12.`, with the last input line read behind it.
fn thrown(line: &str) -> Option<(&str, Place<'_>)> {
    let (value, at) = line.cut_at_last(" at ")?;
    let (path, rest) = at.cut_at(" line ")?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let ends = matches!(&rest[digits..], "" | ".") || rest[digits..].starts_with(", <");
    let named = !path.is_empty() && !path.holds_byte(b' ');
    (ends && named).then_some(())?;
    Some((value, (path, number(&rest[..digits])?)))
}

/// `\tShop::Stock::take("x", 5) called at /app/shop.pl line 20`.
fn called(line: &str) -> Option<(&str, Place<'_>)> {
    let text = line.strip_prefix(['\t', ' '])?.trim_start();
    let (call, at) = text.cut_at_last(" called at ")?;
    let (path, number_of_line) = at.cut_at_last(" line ")?;
    let name = call.find('(').map_or(call, |at| &call[..at]);
    Some((name, (path, number(number_of_line.trim_end_matches(['.', ' ']))?)))
}

fn frame<'a>(function: Option<&'a str>, (path, line): Place<'a>) -> Frame<'a> {
    let (module, name) = match function.and_then(|name| name.cut_at_last("::")) {
        Some((module, name)) => (Some(module), Some(name)),
        None => (None, function),
    };
    let in_app =
        Some(!path.holds("/perl5/") && !starts_with_any(path, &["/usr/share/perl", "/usr/lib/", "/usr/local/lib/"]));
    Frame {
        function: name.map(Cow::Borrowed),
        module: module.map(Cow::Borrowed),
        in_app,
        ..Frame::in_file(path, path, Some(line), None)
    }
}
