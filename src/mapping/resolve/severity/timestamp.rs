//! Reads timestamps as loggers write them at the head of a line, and as messages contain them.
//!
//! A timestamp is a date of the table, a time of day, or both, optionally with a zone. The forms come from the documentation
//! of the loggers that the examples in the tests name.

/// A layout of a date that begins with digits.
struct Date {
    /// The number of digits with which it begins, at least and at most.
    lead: (u8, u8),
    /// The layout behind those digits: `0` a digit, `d` one or two digits, `b` the name of a month, others stand for
    /// themselves.
    rest: &'static [u8],
    /// Returns true if a time of day must follow, because the date alone may be something else.
    needs_time: bool,
}

/// Layouts of dates that begin with digits, most frequent first.
const DATES: &[Date] = &[
    // ISO 8601 and nearly all loggers: 2024-03-10
    Date { lead: (4, 4), rest: b"-00-00", needs_time: false },
    // Go's log, nginx, Redis before 4: 2024/03/10
    Date { lead: (4, 4), rest: b"/00/00", needs_time: false },
    // ClickHouse: 2024.03.10
    Date { lead: (4, 4), rest: b".00.00", needs_time: true },
    // Spark and Hadoop (24/03/10), NestJS and Suricata (03/10/2024), WebSphere (3/10/24)
    Date { lead: (1, 2), rest: b"/d/0000", needs_time: true },
    Date { lead: (1, 2), rest: b"/d/00", needs_time: true },
    // Common log format: 10/Mar/2024
    Date { lead: (2, 2), rest: b"/b/0000", needs_time: false },
    // Tomcat, PHP-FPM, BIND: 10-Mar-2024
    Date { lead: (1, 2), rest: b"-b-0000", needs_time: false },
    // Redis, RFC 2822: 10 Mar 2024
    Date { lead: (1, 2), rest: b" b 0000", needs_time: true },
    // Day first: 10-03-2024, 10.03.2024
    Date { lead: (2, 2), rest: b"-00-0000", needs_time: true },
    Date { lead: (2, 2), rest: b".00.0000", needs_time: true },
    // vLLM, Android, Python's `%m-%d`: 03-10
    Date { lead: (2, 2), rest: b"-00", needs_time: true },
    // ISO 8601 basic and glog with a year (20240310), MySQL before 5.7 (240310)
    Date { lead: (8, 8), rest: b"", needs_time: true },
    Date { lead: (6, 6), rest: b"", needs_time: true },
];

/// Layouts of dates that begin with a name: `a` the name of a day, the rest as above, a blank for one or two.
const NAMED_DATES: &[&[u8]] = &[
    // RFC 1123: Sun, 10 Mar 2024
    b"a, d b 0000",
    // java.util.logging, Jenkins: Mar 10, 2024
    b"b d, 0000",
    // asctime, Apache httpd: Sun Mar 10 (the year follows the time)
    b"a b d",
    // BSD syslog: Mar 10
    b"b d",
];

/// Separators that may stand between a date and its time.
const BETWEEN: &[&[u8]] = &[b"T", b" ", b"  ", b"_", b":", b", ", b" - ", b" -- ", b"::", b"t", b"-"];

/// Returns true for the names of zones that loggers write. Three capitals of another kind may be a level.
fn is_zone(name: &[u8]) -> bool {
    matches!(
        name,
        b"Z" | b"UTC"
            | b"GMT"
            | b"CET"
            | b"CEST"
            | b"EST"
            | b"EDT"
            | b"CST"
            | b"CDT"
            | b"MST"
            | b"MDT"
            | b"PST"
            | b"PDT"
            | b"BST"
            | b"IST"
            | b"JST"
            | b"KST"
            | b"MSK"
            | b"WET"
            | b"WEST"
            | b"EET"
            | b"EEST"
            | b"AEST"
            | b"AEDT"
            | b"HKT"
            | b"SGT"
            | b"NZST"
            | b"NZDT"
            | b"SAST"
            | b"BRT"
    )
}

/// Names and the first three letters of each in lower case.
type FieldNames<const N: usize> = [(u32, &'static [u8]); N];

const MONTHS: FieldNames<12> = names([
    b"January",
    b"February",
    b"March",
    b"April",
    b"May",
    b"June",
    b"July",
    b"August",
    b"September",
    b"October",
    b"November",
    b"December",
]);

const DAYS: FieldNames<7> =
    names([b"Monday", b"Tuesday", b"Wednesday", b"Thursday", b"Friday", b"Saturday", b"Sunday"]);

const fn names<const N: usize>(full: [&'static [u8]; N]) -> FieldNames<N> {
    let mut names: FieldNames<N> = [(0, b""); N];
    let mut at = 0;
    while at < N {
        names[at] = (key(full[at][0], full[at][1], full[at][2]), full[at]);
        at += 1;
    }
    names
}

const fn key(first: u8, second: u8, third: u8) -> u32 {
    u32::from_be_bytes([0, first | 0x20, second | 0x20, third | 0x20])
}

/// Returns the length of the timestamp that the text begins with. It ends where no letter or digit follows.
pub(in crate::mapping) fn len(text: &[u8]) -> Option<usize> {
    let first = text.first()?;
    let end = if first.is_ascii_digit() {
        of_digits(text)?
    } else if first.is_ascii_uppercase() {
        of_names(text)?
    } else {
        return None;
    };
    (!text.get(end).is_some_and(u8::is_ascii_alphanumeric)).then_some(end)
}

/// The layout that nearly all loggers have, in one step: `2024-03-10T09:00:00.123Z`.
fn iso(text: &[u8]) -> Option<usize> {
    const DIGITS: [usize; 14] = [0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18];
    let start: &[u8; 19] = text.first_chunk()?;
    if !matches!((start[4], start[7], start[10], start[13], start[16]), (b'-', b'-', b'T' | b' ', b':', b':')) {
        return None;
    }
    let fits = DIGITS.iter().all(|at| start[*at].is_ascii_digit());
    if !fits || text.get(19).is_some_and(u8::is_ascii_digit) {
        return None;
    }
    Some(zone(text, half_of_day(text, fraction(text, 19))))
}

fn of_digits(text: &[u8]) -> Option<usize> {
    if let Some(end) = iso(text) {
        return Some(end);
    }
    let lead = digits(text);
    let next = text.get(lead);
    if lead < 6 && !matches!(next, Some(b'-' | b'/' | b'.' | b':' | b' ')) {
        return None;
    }
    if lead <= 2 && text.get(lead) == Some(&b':') {
        return clock(text, false).map(|end| zone(text, end));
    }
    for date in DATES {
        let fits = usize::from(date.lead.0) <= lead && lead <= usize::from(date.lead.1);
        if !fits || date.rest.first().is_some_and(|next| text.get(lead) != Some(next)) {
            continue;
        }
        let is_name = text.get(lead + 1).is_some_and(u8::is_ascii_alphabetic);
        if date.rest.get(1).is_some_and(|next| (*next == b'b') != is_name) {
            continue;
        }
        let Some(end) = layout(date.rest, text, lead) else { continue };
        if let Some(end) = time_behind(text, end) {
            return Some(zone(text, end));
        }
        if !date.needs_time && !text.get(end).is_some_and(u8::is_ascii_alphanumeric) {
            return Some(end);
        }
    }
    epoch(text, lead).or_else(|| haproxy(text, lead))
}

fn of_names(text: &[u8]) -> Option<usize> {
    // Most capitals begin no name of a month or day, which their first letters tell.
    const FIRST: &[u8] = b"JFMASONDTW";
    const SECOND: &[u8] = b"aepuohr";
    if !FIRST.contains(&text[0]) || !text.get(1).is_some_and(|b| SECOND.contains(&b.to_ascii_lowercase()) || *b == b'c')
    {
        return None;
    }
    let name = name_of(&MONTHS, text).or_else(|| name_of(&DAYS, text))?;
    if !matches!(text.get(name), Some(b' ' | b',')) {
        return None;
    }
    let (pattern, end) = NAMED_DATES.iter().find_map(|pattern| Some((*pattern, layout(pattern, text, 0)?)))?;
    let end = time_behind(text, end)?;
    let end = zone(text, end);
    // `Sun Mar 10 09:00:00 UTC 2024`
    let year = &text[end..];
    let has_year = pattern.starts_with(b"a b") && year.first() == Some(&b' ') && digits(&year[1..]) == 4;
    Some(if has_year { end + 5 } else { end })
}

/// Returns the end of the time of day that follows a date and a separator.
fn time_behind(text: &[u8], date: usize) -> Option<usize> {
    let behind = &text[date..];
    let first = behind.first()?;
    BETWEEN.iter().filter(|between| between[0] == *first && behind.starts_with(between)).find_map(|between| {
        let start = date + between.len();
        let time = clock(&text[start..], true).or_else(|| compact(between, &text[start..]))?;
        Some(start + time)
    })
}

/// A time of day: hours and minutes, seconds and parts of them, AM or PM. Without a date it has seconds or AM or PM.
fn clock(text: &[u8], has_date: bool) -> Option<usize> {
    let hours = digits(text);
    let separator = *text.get(hours)?;
    if !(1..=2).contains(&hours) || separator != b':' && !(has_date && separator == b'.') {
        return None;
    }
    let minutes = hours + 1;
    if digits(&text[minutes..]) != 2 {
        return None;
    }
    let mut end = minutes + 2;
    let has_seconds = text.get(end) == Some(&separator) && digits(&text[end + 1..]) == 2;
    if has_seconds {
        end = fraction(text, end + 3);
    }
    let half = half_of_day(text, end);
    (has_seconds || has_date || half > end).then_some(half)
}

/// ISO 8601 basic: 20240310T090000
fn compact(between: &[u8], text: &[u8]) -> Option<usize> {
    (between == b"T" && digits(text) == 6).then(|| fraction(text, 6))
}

/// Behind the parts of a second, if there are any: `.123`, `,123`, `:123`.
fn fraction(text: &[u8], end: usize) -> usize {
    match text.get(end) {
        Some(b'.' | b',' | b':') => match digits(&text[end + 1..]) {
            0 => end,
            len => end + 1 + len,
        },
        _ => end,
    }
}

/// Behind `AM` or `PM`, if it follows.
fn half_of_day(text: &[u8], end: usize) -> usize {
    let rest = &text[end..];
    let blank = usize::from(rest.first() == Some(&b' '));
    match rest.get(blank..blank + 2) {
        Some([b'A' | b'a' | b'P' | b'p', b'M' | b'm'])
            if !rest.get(blank + 2).is_some_and(u8::is_ascii_alphanumeric) =>
        {
            end + blank + 2
        }
        _ => end,
    }
}

/// Behind the zone that follows a time, if one does: `Z`, `+01:00`, ` UTC`, ` +0000 UTC`.
fn zone(text: &[u8], time: usize) -> usize {
    let mut end = time;
    for _ in 0..2 {
        if !matches!(text.get(end), Some(b' ' | b'+' | b'-' | b'Z')) {
            break;
        }
        let blank = usize::from(text.get(end) == Some(&b' '));
        let rest = &text[end + blank..];
        let len = match rest.first() {
            Some(b'+' | b'-') => offset(rest),
            Some(first) if first.is_ascii_uppercase() => {
                let name = rest.iter().take(5).position(|b| !b.is_ascii_uppercase()).unwrap_or(rest.len().min(5));
                let is_name = !rest.get(name).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_' || *b == b'/');
                if is_name && is_zone(&rest[..name]) { name } else { 0 }
            }
            _ => 0,
        };
        if len == 0 {
            break;
        }
        end += blank + len;
    }
    end
}

/// `+01:00`, `+0100`, `+01`.
fn offset(text: &[u8]) -> usize {
    let len = match (digits(&text[1..]), text.get(3)) {
        (4, _) => 5,
        (2, Some(b':')) if digits(&text[4..]) == 2 => 6,
        (2, _) => 3,
        _ => return 0,
    };
    if text.get(len).is_some_and(u8::is_ascii_alphanumeric) { 0 } else { len }
}

/// Seconds or milliseconds since 1970, of this century: `1710061203.348`, zap's `1.710061203e+09`.
fn epoch(text: &[u8], lead: usize) -> Option<usize> {
    let of_time = |len: usize| matches!(text[0], b'1' | b'2') && (len == 10 || len == 13);
    if of_time(lead) {
        return Some(if text.get(lead) == Some(&b'.') { fraction(text, lead) } else { lead });
    }
    if lead == 1 && text.get(1) == Some(&b'.') {
        let end = fraction(text, 1);
        return text[end..].starts_with(b"e+09").then_some(end + 4);
    }
    None
}

/// HAProxy's day of the year and time: `071/085241`.
fn haproxy(text: &[u8], lead: usize) -> Option<usize> {
    (lead == 3 && text.get(3) == Some(&b'/') && digits(&text[4..]) == 6).then_some(10)
}

/// The end of a layout that the text has from `at` on.
fn layout(pattern: &[u8], text: &[u8], mut at: usize) -> Option<usize> {
    for wanted in pattern {
        let rest = text.get(at..)?;
        let len = match wanted {
            b'0' => usize::from(rest.first()?.is_ascii_digit()),
            b'd' => Some(digits(rest)).filter(|len| *len <= 2).unwrap_or(0),
            b'b' => name_of(&MONTHS, rest)?,
            b'a' => name_of(&DAYS, rest)?,
            b' ' => rest.iter().take(2).take_while(|b| **b == b' ').count(),
            literal => usize::from(rest.first() == Some(literal)),
        };
        if len == 0 {
            return None;
        }
        at += len;
    }
    // A digit more, and it is a longer number.
    let whole = !text.get(at).is_some_and(u8::is_ascii_digit);
    whole.then_some(at)
}

/// The length of the name that the text begins with, in full or its first three letters.
fn name_of(names: &[(u32, &[u8])], text: &[u8]) -> Option<usize> {
    let [first, second, third, ..] = text else { return None };
    let short = key(*first, *second, *third);
    let (_, name) = names.iter().find(|(key, _)| short == *key)?;
    let is_full = text.get(..name.len()).is_some_and(|text| text.eq_ignore_ascii_case(name));
    let len = if is_full { name.len() } else { 3 };
    (!text.get(len).is_some_and(u8::is_ascii_alphanumeric)).then_some(len)
}

/// Returns the number of digits with which the text begins.
pub(in crate::mapping) fn digits(text: &[u8]) -> usize {
    text.iter().position(|b| !b.is_ascii_digit()).unwrap_or(text.len())
}

#[cfg(test)]
mod tests;
