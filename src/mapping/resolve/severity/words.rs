//! The table of layouts in which the level is a word of the line, or part of a word.
//!
//! Each row is read by a function of its own. For each row, the tests hold lines that it reads and lines that it must not
//! read.

use super::head::{Before, Column, Found, Layout, Span, Style, found};
use super::names::is_logger;
use super::text::{
    BRACKET, CAPITALS, CELL, COLON, DIGIT, ERRORS, JOINT, LOWER, SHORT, TIMED, UPPER, end_of_capitals, is_place,
    of_letter,
};
use super::{Rules, timestamp, wrapped};
use crate::level::Level;

/// The table, in the order in which its rows are tried.
pub(super) static WORDS: [Layout; 14] = [
    // `ERROR message`, `ERROR: message`, `ERROR:root:message`, `ERROR/MainProcess]`, Asterisk's `ERROR[12]:`, logrus' `ERRO[0004] message`
    Layout { name: "LEVEL", needs: CAPITALS, read: capitals },
    // `E0418 19:29:00.909300`, glog with a year, CockroachDB's `E240310 09:00:00`
    Layout { name: "E0418", needs: UPPER | DIGIT, read: klog },
    // `error: message`, `Warning: message`, .NET's `fail: Category[0]`
    Layout { name: "level:", needs: COLON, read: colon },
    // Monolog: `production.ERROR: message`
    Layout { name: "channel.LEVEL:", needs: UPPER | COLON | JOINT, read: channel },
    // `root:ERROR:message`, PostgreSQL on RDS: `...:[113]:ERROR:`
    Layout { name: "name:LEVEL:", needs: UPPER | COLON, read: glued },
    // Icinga: `critical/ApiListener: message`
    Layout { name: "level/name:", needs: TIMED | COLON | JOINT, read: slash },
    // istiod and zap: a level in a column of tabs or pipes
    Layout { name: "|level|", needs: CELL | LOWER, read: between },
    // Monit: `error    : message`, SwiftLog: `error label : message`
    Layout { name: "level :", needs: TIMED | LOWER, read: padded },
    // Falco: `18:22:19.123456789: Warning message`
    Layout { name: "time: Level", needs: TIMED | LOWER | UPPER, read: rule },
    // Android: `E/tag( 123): message`
    Layout { name: "E/tag(123):", needs: UPPER | BRACKET, read: tag },
    // MongoDB 4.2, capnslog, TensorFlow, Android, WebSphere, GlusterFS: one letter behind a time
    Layout { name: "time E", needs: SHORT | UPPER, read: letter },
    // SkyPilot: `E 04-27 13:23:32 file.py:414]`, CUPS: `E [10/Mar/2024:09:00:00 +0000]`
    Layout { name: "E time", needs: SHORT | UPPER, read: letter_first },
    // Telegraf: `E! [outputs.influxdb]`
    Layout { name: "E!", needs: SHORT | UPPER, read: exclamation },
    // `PHP Fatal error:  message`
    Layout { name: "PHP", needs: ERRORS, read: php },
];

fn capitals(rules: &Rules, column: &Column<'_>, layout: &'static str) -> Option<Found> {
    let (head, at) = (column.head, column.at);
    let end = end_of_capitals(head, at)?;
    if !closes(head, end) {
        return None;
    }
    let has_text = || head[end..].iter().any(|b| !matches!(b, b' ' | b':' | b'\n'));
    let after_name = column.before == Before::Colon && column.seen.time.is_none() || column.seen.plain > 0;
    if after_name && !has_text() || head[end..].starts_with(b": ") && is_count(&head[end + 2..]) {
        return None;
    }
    let level = rules.of_capitals(&head[at..end])?;
    let found = found(level, end, Style::Word, layout);
    Some(wrapped::by_words(rules, head, end).unwrap_or(found))
}

/// Returns true if a level in capitals may end here: not `ERR!`, `CONFIG_PATH`, `TRACE-ID`, `ERROR.`
fn closes(head: &[u8], end: usize) -> bool {
    let next = head.get(end + 1);
    match head.get(end) {
        None | Some(b' ' | b'\t' | b'\n' | b'\r' | b':' | b'|' | b']' | b')' | b'>') => true,
        Some(b'/') => next.is_some_and(u8::is_ascii_alphanumeric),
        Some(b'[') => next.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b' '),
        // slog: `ERROR+2`
        Some(b'+') => next.is_some_and(u8::is_ascii_digit),
        Some(b'-') => next.is_none_or(|b| b.is_ascii_digit() || *b == b' '),
        _ => false,
    }
}

/// Returns true if the text after `Critical:` is a number of such things, or none: `0, High: 2`.
fn is_count(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    let len = text.iter().position(|b| !b.is_ascii_alphanumeric()).unwrap_or(text.len());
    let (word, rest) = text.split_at(len);
    let ends = rest.trim_ascii_start().first().is_none_or(|b| matches!(b, b',' | b';' | b')' | b'|' | b'\n'));
    // SQL Server: `Error: 1105, Severity: 17, State: 2.`
    if rest.starts_with(b", Severity: ") {
        return false;
    }
    if word.iter().all(u8::is_ascii_digit) && !word.is_empty() {
        let next = rest.trim_ascii_start();
        let name = next.iter().position(|b| !b.is_ascii_alphabetic()).unwrap_or(0);
        let counts =
            |rest: &[u8]| rest.strip_prefix(b": ").is_some_and(|next| next.first().is_some_and(u8::is_ascii_digit));
        return ends || name > 0 && counts(&next[name..]);
    }
    let nothing: [&[u8]; 8] = [b"none", b"no", b"null", b"nil", b"false", b"true", b"ok", b"off"];
    ends && nothing.iter().any(|name| name.eq_ignore_ascii_case(word))
}

fn klog(_: &Rules, column: &Column<'_>, layout: &'static str) -> Option<Found> {
    let [first, date @ ..] = column.text() else { return None };
    let is_date = matches!(date.len(), 4 | 6 | 8) && date.iter().all(u8::is_ascii_digit);
    let [b' ', time @ ..] = column.behind() else { return None };
    let time = time.trim_ascii_start();
    let is_time = matches!(time, [b'0'..=b'9', b'0'..=b'9' | b':', ..]) && timestamp::len(time).is_some();
    let level = klog_letter(*first).filter(|_| is_date && is_time)?;
    Some(found(level, column.end, Style::Klog, layout))
}

fn klog_letter(letter: u8) -> Option<Level> {
    of_letter(letter).filter(|_| b"IWEFD".contains(&letter))
}

fn colon(rules: &Rules, column: &Column<'_>, layout: &'static str) -> Option<Found> {
    let [word @ .., b':'] = column.text() else { return None };
    let first = *word.first()?;
    if !word.iter().all(u8::is_ascii_alphabetic) {
        return None;
    }
    let timed = column.seen.time.is_some();
    let (lower, end) = (first.is_ascii_lowercase(), column.end - 1);
    let stands_right = match column.before {
        Before::Indent => !lower,
        Before::Blank => !lower && timed,
        Before::Colon => timed,
        _ => true,
    };
    if !stands_right {
        return None;
    }
    if let Some((level, name, category)) = dotnet(word, column) {
        return Some(Found { level, end: category.1, logger: Some(name), style: Style::Bracket, layout });
    }
    let level = rules.of_mixed(word)?;
    (!is_count(column.behind())).then(|| found(level, end, Style::Word, layout))
}

/// Level and category of .NET's console, without and with its event's id: `fail: Microsoft.Hosting[0]`.
fn dotnet(word: &[u8], column: &Column<'_>) -> Option<(Level, Span, Span)> {
    let level = match word {
        b"trce" => Level::Trace,
        b"dbug" => Level::Debug,
        b"info" => Level::Info,
        b"warn" => Level::Warn,
        b"fail" => Level::Error,
        b"crit" => Level::Fatal,
        _ => return None,
    };
    let [b' ', rest @ ..] = column.behind() else { return None };
    let len = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
    let [name @ .., b']'] = &rest[..len] else { return None };
    let digits = name.iter().rev().take_while(|b| b.is_ascii_digit() || **b == b'-').count();
    let start = column.end + 1;
    let name = name[..name.len() - digits].strip_suffix(b"[").filter(|_| digits > 0)?;
    Some((level, (start, start + name.len()), (start, start + len)))
}

fn channel(rules: &Rules, column: &Column<'_>, layout: &'static str) -> Option<Found> {
    let [text @ .., b':'] = column.text() else { return None };
    let dot = text.iter().rposition(|b| *b == b'.').filter(|dot| *dot > 0)?;
    let level = rules.of_capitals(text.get(dot + 1..).filter(|word| word.len() >= 3)?)?;
    let logger = Some((column.at, column.at + dot));
    Some(Found { logger, ..found(level, column.end - 1, Style::Word, layout) })
}

fn glued(rules: &Rules, column: &Column<'_>, layout: &'static str) -> Option<Found> {
    let text = column.text();
    let mut colons = text.iter().enumerate().filter(|(_, b)| **b == b':').map(|(at, _)| at);
    let (at, end) = colons.find_map(|colon| {
        let end = end_of_capitals(text, colon + 1)?;
        (text.get(end) == Some(&b':') && text.get(end + 1) != Some(&b':')).then_some((colon, end))
    })?;
    if at == 0 || column.seen.time.is_none() && !is_logger(&text[..at]) {
        return None;
    }
    let level = rules.of_capitals(&text[at + 1..end])?;
    let logger = Some((column.at, column.at + at)).filter(|_| is_logger(&text[..at]));
    Some(Found { logger, ..found(level, column.at + end, Style::Word, layout) })
}

fn slash(rules: &Rules, column: &Column<'_>, layout: &'static str) -> Option<Found> {
    let [text @ .., b':'] = column.text() else { return None };
    let slash = text.iter().position(|b| *b == b'/').filter(|_| column.before == Before::Time)?;
    let level = rules.of_mixed(&text[..slash])?;
    let name = is_logger(&text[slash + 1..]);
    let logger = Some((column.at + slash + 1, column.end - 1));
    name.then(|| Found { logger, ..found(level, column.end - 1, Style::Word, layout) })
}

fn between(rules: &Rules, column: &Column<'_>, layout: &'static str) -> Option<Found> {
    let pipe = match column.before {
        Before::Tab => false,
        Before::Pipe if column.seen.time.is_some() || column.seen.names > 0 => true,
        _ => return None,
    };
    let text = column.text();
    let next = column.behind().iter().find(|b| **b != b' ');
    let closes = if pipe { next == Some(&b'|') } else { next == Some(&b'\t') };
    let level = Some(text).filter(|_| closes).and_then(|word| rules.of_mixed(word))?;
    Some(found(level, column.end, Style::Word, layout))
}

fn padded(rules: &Rules, column: &Column<'_>, layout: &'static str) -> Option<Found> {
    let level = rules.of_mixed(column.text()).filter(|_| column.before == Before::Time)?;
    let behind = column.behind().trim_ascii_start();
    let len = behind.iter().position(|b| *b == b' ').filter(|len| is_logger(&behind[..*len]));
    let label = len.filter(|len| behind[*len..].starts_with(b" : "));
    if !behind.starts_with(b": ") && label.is_none() {
        return None;
    }
    let start = column.head.len() - behind.len();
    let logger = label.map(|len| (start, start + len));
    let end = logger.map_or(column.end, |(_, to)| to);
    Some(Found { logger, ..found(level, end, Style::Word, layout) })
}

fn rule(rules: &Rules, column: &Column<'_>, layout: &'static str) -> Option<Found> {
    let (from, to) = column.seen.time.filter(|_| column.before == Before::Time)?;
    let time = &column.head[from..to];
    let is_nanoseconds = time.len() > 10 && time[time.len() - 10] == b'.' && column.head.get(to) == Some(&b':');
    let level = rules.of_mixed(column.text()).filter(|_| is_nanoseconds && column.text()[0].is_ascii_uppercase())?;
    Some(found(level, column.end, Style::Word, layout))
}

fn tag(_: &Rules, column: &Column<'_>, layout: &'static str) -> Option<Found> {
    let [letter, b'/', tag @ ..] = column.text() else { return None };
    let open = tag.iter().position(|b| *b == b'(').filter(|_| column.before == Before::Start)?;
    let pid = column.head[column.at + 2 + open + 1..].trim_ascii_start();
    let digits = timestamp::digits(pid);
    let level = of_letter(*letter).filter(|_| digits > 0 && pid[digits..].starts_with(b"): "))?;
    let end = column.head.len() - pid.len() + digits + 1;
    let logger = Some((column.at + 2, column.at + 2 + open)).filter(|_| is_logger(&tag[..open]));
    Some(Found { logger, ..found(level, end, Style::Word, layout) })
}

fn letter(_: &Rules, column: &Column<'_>, layout: &'static str) -> Option<Found> {
    let [letter] = column.text() else { return None };
    let level = of_letter(*letter).filter(|_| column.seen.time.is_some())?;
    let behind = column.behind();
    if behind.starts_with(b" | ") {
        return Some(found(level, column.end + 2, Style::Letter, layout));
    }
    let skip = behind.iter().position(|b| *b != b' ').filter(|skip| *skip > 0)?;
    let rest = &behind[skip..];
    let len = rest.iter().position(|b| matches!(b, b' ' | b'\t')).unwrap_or(rest.len());
    let (word, next) = (&rest[..len], rest[len..].trim_ascii_start());
    let at = column.end + skip;
    let component = word.iter().all(|b| b.is_ascii_uppercase() || matches!(b, b'-' | b'_')) && next.starts_with(b"[");
    let place = word.strip_suffix(b"]").is_some_and(is_place);
    let code = word.len() > 8 && word.ends_with(b":") && word[..4].iter().all(u8::is_ascii_uppercase);
    // GlusterFS: `E [MSGID: 1]`, semantic_logger: `E [123:main]`
    let bracket = rest.starts_with(b"[");
    // WebSphere: `[3/10/24 9:00:00:123 UTC] 00000001 SystemOut     E   message`
    let web = column.head[0] == b'[' && column.seen.numbers == 1 && column.seen.names == 2;
    let tag = column.seen.numbers >= 2 && word.ends_with(b":") && is_logger(&word[..word.len() - 1]);
    let logger = match () {
        () if component && len > 1 => Some((at, at + len)),
        () if tag => Some((at, at + len - 1)),
        () if component || place || code || bracket || web => None,
        () => return None,
    };
    let end = if logger.is_some() { at + len } else { column.end };
    let style = if place { Style::Klog } else { Style::Word };
    Some(Found { logger, ..found(level, end, style, layout) })
}

fn letter_first(_: &Rules, column: &Column<'_>, layout: &'static str) -> Option<Found> {
    let [letter] = column.text() else { return None };
    let level = of_letter(*letter)?;
    let rest = column.behind().strip_prefix(b" ")?;
    let time = rest.strip_prefix(b"[").unwrap_or(rest);
    timestamp::len(time)?;
    let style = if time.len() < rest.len() { Style::Word } else { Style::Klog };
    (!matches!(column.before, Before::Blank | Before::Colon)).then(|| found(level, column.end, style, layout))
}

fn exclamation(_: &Rules, column: &Column<'_>, layout: &'static str) -> Option<Found> {
    let [letter, b'!'] = column.text() else { return None };
    let level = of_letter(*letter).filter(|_| column.before == Before::Time)?;
    Some(found(level, column.end, Style::Word, layout))
}

/// PHP's names of errors, and their levels as Sentry's SDK for PHP has them.
const PHP: [(&[u8], Level); 9] = [
    (b"Fatal error", Level::Fatal),
    (b"Parse error", Level::Fatal),
    (b"Catchable fatal error", Level::Error),
    (b"Recoverable fatal error", Level::Error),
    (b"Warning", Level::Warn),
    (b"Deprecated", Level::Warn),
    (b"Notice", Level::Info),
    (b"Strict Standards", Level::Info),
    (b"Unknown error", Level::Error),
];

fn php(_: &Rules, column: &Column<'_>, layout: &'static str) -> Option<Found> {
    let rest = &column.head[column.at..];
    let text = rest.strip_prefix(b"PHP ");
    let named = text.unwrap_or(rest);
    let is_it = |name: &[u8]| named.starts_with(name) && named.get(name.len()) == Some(&b':');
    let (name, level) = PHP.iter().find(|(name, _)| is_it(name))?;
    // Without `PHP ` it is PHP's output to the page, and those of one word are read as any logger's.
    let alone = matches!(column.before, Before::Start | Before::Time | Before::Bracket) && name.contains(&b' ');
    if text.is_none() && !alone {
        return None;
    }
    let end = column.at + rest.len() - named.len() + name.len();
    Some(found(*level, end, Style::Word, layout))
}
