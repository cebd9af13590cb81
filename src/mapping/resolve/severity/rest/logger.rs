//! Finds the logger's name behind the level, and tells it from the first word of the message.

use super::super::head::{Span, Style};
use super::super::names::{has_humps, is_exception, is_host, is_id, is_logger, is_thread_name};
use super::super::text::{close, is_place};
use super::super::timestamp;
use super::{Rest, blanks};

impl Rest<'_> {
    pub(super) fn name(&mut self) -> Option<usize> {
        let (at, end) = (self.at, self.at + self.token());
        let token = &self.line[at..end];
        let next = blanks(self.line, end);
        let behind = &self.line[next..];
        let timed = self.seen.time.is_some();
        // klog within another logger's line.
        let is_klog = token.len() == 5 && b"IWEF".contains(&token[0]) && timestamp::digits(&token[1..]) == 4;
        if is_klog && timestamp::len(behind).is_some() {
            self.klog(end);
            return Some(self.at).filter(|now| *now > at);
        }
        if !timed && let Some(len) = timestamp::len(&self.line[at..]) {
            self.seen.time = Some((at, at + len));
            return Some(at + len);
        }
        let bare = token.strip_suffix(b"]").or(token.strip_suffix(b":")).unwrap_or(token);
        if is_place(bare)
            && (bare.len() < token.len() || matches!(behind, [b'-' | b'>' | b'|' | 0xe2, ..]) || self.is_column(end))
        {
            return Some(end);
        }
        // Calico: `felix/table.go 789: message`
        let digits = timestamp::digits(behind);
        if digits > 0 && behind.get(digits) == Some(&b':') && is_place(&[token, b":1"].concat()) {
            return Some(next + digits + 1);
        }
        // Flask: `ERROR in app: message`
        if token == b"in" && self.found.end + 1 == at {
            let name =
                behind.iter().position(u8::is_ascii_whitespace).and_then(|len| behind[..len].strip_suffix(b":"))?;
            self.take(next, next + name.len(), 3);
            return Some(next + name.len() + 1);
        }
        if self.named {
            return None;
        }
        if timed && let Some(end) = spans(self.line, at) {
            return Some(end);
        }
        if token.starts_with(b"ThreadId(") {
            return Some(end);
        }
        let (from, to) = self.logger_of(token, end, next)?;
        self.named = !self.is_column(end);
        if is_logger(&self.line[from..to]) && !is_thread_name(&self.line[from..to]) {
            self.take(from, to, 2 + u8::from(self.line[from..to].contains(&b'.')));
        }
        let colon = self.line[to..].first() == Some(&b':') && to + 1 >= end;
        Some(if to > end { blanks(self.line, to) } else { end.max(to + usize::from(colon)) })
    }

    /// Returns true if a column of tabs ends there, and another column follows that is no JSON.
    fn is_column(&self, end: usize) -> bool {
        let rest = &self.line[end..];
        let tab = rest.iter().position(|b| *b != b' ').filter(|at| rest[*at] == b'\t');
        tab.is_some_and(|tab| rest.get(tab + 1).is_some_and(|b| !matches!(b, b'{' | b'[')))
    }

    /// Returns the name of a logger, if the surrounding text shows that the word here is one.
    fn logger_of(&self, token: &[u8], end: usize, next: usize) -> Option<Span> {
        let (at, behind) = (self.at, &self.line[next..]);
        let timed = self.seen.time.is_some();
        let joined = |name: &[u8]| name.contains(&b'.') || name.windows(2).any(|part| part == b"::");
        if self.is_column(end) && (is_logger(token) || is_id(token)) {
            return Some((at, end));
        }
        // loguru: `shop.pay:run:10 - message`, Airbyte: `i.a.c.Pay(run):123 - message`
        let dash = behind.starts_with(b"- ");
        if dash && token.last().is_some_and(u8::is_ascii_digit) {
            let len = token.iter().position(|b| matches!(b, b':' | b'(')).filter(|len| is_logger(&token[..*len]))?;
            return Some((at, at + len)).filter(|_| token.iter().filter(|b| **b == b':').count() > 0);
        }
        if let Some(name) = token.strip_suffix(b":") {
            return self.before_colon(name).then_some((at, end - 1));
        }
        if !is_logger(token) || is_exception(token) {
            return None;
        }
        let humps = has_humps(token) || token.contains(&b'_');
        let separated = match behind {
            [b':' | b'>', b' ', ..] | [b':', b':', b' ', ..] => next > end,
            [b'-', b' ', ..] => joined(token) || timed && (humps || self.brackets > 0 || self.seen.brackets > 0),
            [b'|', ..] => true,
            [b'[', ..] => joined(token) && !is_host(token),
            _ => joined(token) && timed && !is_host(token) && self.follows_process(),
        };
        if separated {
            return Some((at, end));
        }
        // Nexus and Odoo: a user or database before the logger.
        let second = behind.iter().position(u8::is_ascii_whitespace).map(|len| &behind[..len])?;
        let name = second.strip_suffix(b":").unwrap_or(second);
        let follows = name.len() < second.len() || self.line[next + second.len()..].starts_with(b" - ");
        let is_second = timed && follows && joined(name) && is_logger(name) && !is_exception(name) && !is_host(name);
        (is_second && token.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_'))
            .then_some((next, next + name.len()))
    }

    /// Returns true if the name before a colon is a logger's, not the first word of the message.
    fn before_colon(&self, name: &[u8]) -> bool {
        if !is_logger(name) || is_exception(name) {
            return false;
        }
        let timed = self.seen.time.is_some();
        let time = self.seen.time.map_or(&b""[..], |(from, to)| &self.line[from..to]);
        // HashiCorp's and Spark's times, ClickHouse's brackets: there a name always follows.
        let always = match self.found.style {
            Style::Letter | Style::Angle => true,
            Style::Bracket => time.get(10) == Some(&b'T'),
            _ => time.len() == 17 && time.get(2) == Some(&b'/'),
        };
        let joined = name.contains(&b'.') && !is_host(name) || name.windows(2).any(|part| part == b"::");
        always || joined || name.contains(&b'/') || timed && !is_host(name) && (has_humps(name) || name.contains(&b'_'))
    }

    /// Returns true if a process or thread stands right before this place, or a time with a comma: in such layouts the
    /// logger comes next.
    fn follows_process(&self) -> bool {
        let time = self.seen.time.map_or(&b""[..], |(from, to)| &self.line[from..to]);
        self.brackets > 0 || self.seen.numbers > 0 || self.seen.brackets > 0 || time.contains(&b',')
    }
}

/// Behind the spans of Rust's `tracing`: `request{id=7}:load{n="a b"}: `.
fn spans(line: &[u8], mut at: usize) -> Option<usize> {
    let start = at;
    loop {
        let name = line[at..].iter().position(|b| !(b.is_ascii_alphanumeric() || *b == b'_'))?;
        if name == 0 || line.get(at + name) != Some(&b'{') {
            return None;
        }
        at = close(line, at + name)? + 1;
        match line[at..] {
            [b':', b' ', ..] => return (at > start).then_some(at + 1),
            [b':', ..] => at += 1,
            _ => return None,
        }
    }
}
