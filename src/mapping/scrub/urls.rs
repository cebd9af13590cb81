//! Finds credentials in URLs and connection strings, and e-mail addresses.

use super::rules::NO_DOMAINS;
use super::steps;
use super::value::looks_drawn;
use memchr::{memchr, memchr_iter, memmem};
use std::ops::Range;

/// Most bytes before and behind an @ in which its URL is looked at.
const FAR: usize = 1 << 10;

/// Schemes whose user may stand there without a password, and is none.
const LOGINS: [&str; 8] = ["ssh", "git", "git+ssh", "ssh+git", "sftp", "rsync", "svn+ssh", "scp"];

/// Words before a colon after which the text is not read as credentials: `mailto:a@b`.
const NO_USERS: [&str; 12] =
    ["mailto", "sip", "sips", "xmpp", "acct", "tel", "user", "email", "from", "to", "npm", "image"];

/// Programs whose arguments are `user/password@database`.
const ORACLE: [&[u8]; 8] = [b"oracle", b"sqlplus", b"rman", b"expdp", b"impdp", b"sqlldr", b"tnsping", b"@//"];

/// `://user:secret@`, `://key@`, `user:secret@host:port`, `scott/tiger@`.
pub(super) fn credentials(text: &str, found: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    let (mut passed, mut programs) = (0, Programs::default());
    for at in memchr_iter(b'@', bytes) {
        if at < passed {
            continue;
        }
        let ends = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'`' | b'<' | b'>' | b'|');
        let head = &bytes[at.saturating_sub(FAR)..at];
        let start = at - head.iter().rev().position(ends).unwrap_or(head.len());
        let tail = &bytes[at..bytes.len().min(at + FAR)];
        let end = at + tail.iter().position(ends).unwrap_or(tail.len());
        let start = text.ceil_char_boundary(start.max(passed));
        let end = text.floor_char_boundary(end);
        passed = end;
        steps::count(end - start);
        let part =
            in_word(&text[start..end], |word_end| programs.are_in(bytes, start.saturating_sub(FAR)..start + word_end));
        found.extend(
            part.filter(|part| !text[start + part.start..].starts_with("[Filtered]@"))
                .map(|part| start + part.start..start + part.end),
        );
    }
}

/// The place at which a text names Oracle or one of its programs, looked for at most once.
#[derive(Default)]
struct Programs(Option<Vec<Range<usize>>>);

impl Programs {
    /// Returns true if one is named in a part of the text.
    fn are_in(&mut self, bytes: &[u8], part: Range<usize>) -> bool {
        let places = self.0.get_or_insert_with(|| {
            steps::count(bytes.len());
            let lower = bytes.to_ascii_lowercase();
            let places = |name: &&[u8]| {
                let length = name.len();
                memmem::find_iter(&lower, name).map(move |at| at..at + length).collect::<Vec<_>>()
            };
            let mut places: Vec<_> = ORACLE.iter().flat_map(places).collect();
            places.sort_unstable_by_key(|place| place.start);
            places
        });
        let first = places.partition_point(|place| place.start < part.start);
        places[first..].iter().take(ORACLE.len()).any(|place| place.end <= part.end)
    }
}

/// The credentials in a word with an @. `is_oracle` says whether Oracle is named before a place of the word.
fn in_word(word: &str, is_oracle: impl FnMut(usize) -> bool) -> Option<Range<usize>> {
    let bytes = word.as_bytes();
    // The last scheme before the first @: a URL may stand in another one's query.
    let first = memchr(b'@', bytes)?;
    if let Some(scheme) = memmem::rfind(&bytes[..first], b"://") {
        return in_url(word, scheme);
    }
    let at = memchr::memrchr(b'@', bytes)?;
    let head = word[..at].trim_start_matches(['(', '[', '{', ',', '=']);
    let offset = at - head.len();
    of_oracle(word, at, is_oracle).or_else(|| {
        let start = offset
            + head
                .rfind(['=', '(', ',', '[', '{'])
                .filter(|sign| !head[..*sign].contains(':'))
                .map_or(0, |sign| sign + 1);
        let (user, password) = word[start..at].split_once(':')?;
        let user = user.rsplit(['=', ' ']).next().unwrap_or(user);
        let host = &word[at + 1..];
        let named = user.starts_with(|c: char| c.is_ascii_alphabetic()) && !NO_USERS.contains(&user);
        let plain = !password.is_empty()
            && !password.starts_with(['/', ':'])
            && password.len() <= 256
            && !password.starts_with("[Filtered]");
        let placed = host.starts_with("tcp(") || host.starts_with("unix(") || has_port_or_path(host);
        let fits = named && plain && is_host(host) && (placed && !password.contains('/') || looks_drawn(password, 6));
        fits.then_some(at - password.len()..at)
    })
}

fn in_url(word: &str, scheme: usize) -> Option<Range<usize>> {
    let start = scheme + b"://".len();
    let rest = &word[start..];
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let name = word[..scheme]
        .rsplit(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')))
        .next()
        .unwrap_or_default();
    let last = |text: &str| {
        let query = text.find('?').unwrap_or(text.len());
        text[..query].rfind('@').or_else(|| text.rfind('@'))
    };
    if let Some(at) = rest[..authority].rfind('@').filter(|at| *at > 0) {
        let user = &rest[..at];
        let Some((_, _)) = user.split_once(':') else {
            // A key without a password, but no name of a login.
            let login = LOGINS.contains(&name)
                && user.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'-' | b'_'));
            return (!login && user != "[Filtered]").then_some(start..start + at);
        };
        // The password may hold what ends a host: `admin:p@ss/w0rd@host`.
        let more =
            last(&rest[..rest.find('?').unwrap_or(rest.len())]).filter(|more| *more > at && is_host(&rest[more + 1..]));
        return Some(start..start + more.unwrap_or(at));
    }
    // `user:pa?ss#word@host`, but not `host:8080/a@b`.
    let (user, port) = rest[..authority].split_once(':')?;
    let numeric = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let at = rest.rfind('@').filter(|at| is_host(&rest[at + 1..]))?;
    (!numeric && !user.contains(['[', ']']) && !port.is_empty()).then_some(start..start + at)
}

/// `scott/tiger@//host`, where Oracle or one of its programs is named.
fn of_oracle(word: &str, at: usize, mut is_oracle: impl FnMut(usize) -> bool) -> Option<Range<usize>> {
    let head = &word[..at];
    let start = head.rfind([':', '=', '(']).map_or(0, |sign| sign + 1);
    let (user, password) = head[start..].split_once('/')?;
    let fits =
        !user.is_empty() && !password.is_empty() && !password.contains('/') && !password.starts_with("[Filtered]");
    (fits && is_oracle(word.len())).then_some(at - password.len()..at)
}

fn is_host(text: &str) -> bool {
    let host = text.strip_prefix("tcp(").or_else(|| text.strip_prefix("unix(")).unwrap_or(text);
    let end = host.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))).unwrap_or(host.len());
    let name = &host[..end];
    let version = name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') && name.matches('.').count() != 3;
    let digest = name == "sha256" || name == "sha512";
    host.starts_with(['[', '/']) || !name.is_empty() && !version && !digest
}

fn has_port_or_path(host: &str) -> bool {
    let end = host.find([':', '/']).unwrap_or(host.len());
    let port = host[end..].strip_prefix(':').is_some_and(|port| port.starts_with(|c: char| c.is_ascii_digit()));
    port || host[end..].starts_with('/')
}

/// Returns true if an @ of an item's JSON may belong to credentials. It is never wrong in saying no.
pub(super) fn may_have_credentials(json: &[u8]) -> bool {
    let mut before = 0;
    memchr_iter(b'@', json).any(|at| {
        // What stands before the last @ has been looked at.
        let head = &json[std::mem::replace(&mut before, at + 1).max(at.saturating_sub(FAR))..at];
        let ends = |byte: &u8| matches!(byte, b' ' | b'"' | b'\'' | b'`' | b'<' | b'>' | b'|');
        let start = head.len() - head.iter().rev().position(ends).unwrap_or(head.len());
        head[start..].iter().any(|byte| matches!(byte, b':' | b'/'))
    })
}

/// E-mail addresses, also in quotes (`"jane doe"@example.com`) and of URLs (`jane%40example.com`).
pub(super) fn addresses(text: &str, found: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    let mut passed = 0;
    let mut signs: Vec<(usize, usize)> = memchr_iter(b'@', bytes).map(|at| (at, 1)).collect();
    let escaped = memmem::find_iter(bytes, b"%40").map(|at| (at, 3));
    signs.extend(escaped);
    signs.sort_unstable();
    for (at, length) in signs {
        if at < passed {
            continue;
        }
        if let Some(part) = address(text, (passed, at), length) {
            passed = part.end;
            match found.last_mut() {
                // `a@b.example@c.example` is one.
                Some(last) if last.end == part.start => last.end = part.end,
                _ => found.push(part),
            }
        }
    }
}

/// The address around an @, from behind the one before it on.
fn address(text: &str, (passed, at): (usize, usize), length: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let host = &bytes[at + length..bytes.len().min(at + length + FAR)];
    let end = host
        .iter()
        .position(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-') || !byte.is_ascii()))
        .unwrap_or(host.len());
    steps::count(end);
    let host = std::str::from_utf8(&host[..end]).ok()?.trim_end_matches(['.', '-']);
    if !is_domain(host) {
        return None;
    }
    let start = local_start(text, (passed, at))?;
    let local = &text[start..at];
    let behind = bytes.get(at + length + host.len()).copied();
    // `git@host:path` is a place to log in to.
    let login = behind == Some(b':')
        && bytes
            .get(at + length + host.len() + 1)
            .is_some_and(|next| next.is_ascii_alphabetic() || matches!(next, b'/' | b'~'));
    (!(login && local == "git")).then_some(start..at + length + host.len())
}

fn is_domain(host: &str) -> bool {
    let Some((rest, top)) = host.rsplit_once('.') else { return false };
    let first = rest.split('.').next().unwrap_or_default();
    let version = first.trim_start_matches(['v', 'V']).bytes().all(|byte| byte.is_ascii_digit());
    let letters = top.chars().count() >= 2 && top.chars().all(char::is_alphabetic) || top.starts_with("xn--");
    letters && !version && !rest.is_empty() && !NO_DOMAINS.contains(&&*top.to_ascii_lowercase())
}

/// Returns the place at which the part before an @ begins, if it is one.
fn local_start(text: &str, (passed, at): (usize, usize)) -> Option<usize> {
    let head = &text[passed..at];
    if let Some(inside) = head.strip_suffix('"') {
        // Only a short quoted name: more is a text of its own.
        let near = &inside[inside.ceil_char_boundary(inside.len().saturating_sub(64))..];
        let open = near.rfind('"').filter(|open| near.len() - open > 1)?;
        let fits = near[open + 1..].chars().all(|c| c.is_alphanumeric() || " ._-+".contains(c));
        return fits.then_some(at - 1 - (near.len() - open));
    }
    let plain = |c: char| c.is_alphanumeric() || "._%+-".contains(c);
    let length: usize = head.chars().rev().take(FAR).take_while(|c| plain(*c)).map(char::len_utf8).sum();
    steps::count(length);
    (length > 0 || passed > 0 && passed == at).then_some(at - length)
}

/// Returns true if an @ of an item's JSON may be an address's. It is never wrong in saying no.
pub(super) fn may_have_address(json: &[u8], percent: bool) -> bool {
    let follows = |at: usize, length: usize| {
        let host = &json[at + length..json.len().min(at + length + FAR)];
        let end = host
            .iter()
            .position(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-') || !byte.is_ascii()))
            .unwrap_or(host.len());
        let before = at.checked_sub(1).map(|before| json[before]);
        let named = before.is_some_and(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'%' | b'+' | b'-' | b'"') || !byte.is_ascii()
        });
        named && std::str::from_utf8(&host[..end]).is_ok_and(|host| is_domain(host.trim_end_matches(['.', '-'])))
    };
    memchr_iter(b'@', json).any(|at| follows(at, 1))
        || percent && memmem::find_iter(json, b"%40").any(|at| follows(at, 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(text: &str, find: fn(&str, &mut Vec<Range<usize>>)) -> Vec<&str> {
        let mut found = Vec::new();
        find(text, &mut found);
        found.into_iter().map(|part| &text[part]).collect()
    }

    #[test]
    fn credentials_are_found_and_other_signs_are_left() {
        for (text, expected) in [
            ("GET https://admin:s3cr3tPw@host.internal/x", "admin:s3cr3tPw"),
            ("https://admin:p@ss/w0rd@host.internal/x", "admin:p@ss/w0rd"),
            ("http://user:pa?ss#word1@proxy:3128 refused", "user:pa?ss#word1"),
            ("postgresql://app:Sup3r/S3cret@db:5432/shop", "app:Sup3r/S3cret"),
            ("https://k@h/1", "k"),
            ("redis://:pass@cache:6379", ":pass"),
            ("connect app:Sup3rS3cret@tcp(db:3306)/shop", "Sup3rS3cret"),
            ("jdbc:oracle:thin:scott/tiger@//h:1521/orcl", "tiger"),
            ("sqlplus scott/tiger@orcl", "tiger"),
            ("u=http://a/?next=https://x:y@h/", "x:y"),
        ] {
            assert_eq!(filtered(text, credentials), [expected], "{text}");
        }
        for text in [
            "https://example.com/path/a@b/c not found",
            "http://host:8080/path/a@b",
            "git@github.com:acme/web.git",
            "ssh://git@github.com/acme/web",
            "image registry.example.com:5000/shop/web@sha256:9f86",
            "left-pad@1.3.0",
            "user:jane@example.com",
            "https://cdn.example/npm/react@18.2.0/index.js",
        ] {
            assert_eq!(filtered(text, credentials), Vec::<&str>::new(), "{text}");
        }
    }

    #[test]
    fn addresses_are_told_from_hosts_files_and_versions() {
        for (text, expected) in [
            ("mail jane.doe+x@example.com.", "jane.doe+x@example.com"),
            ("user jane.doe%40example.com not found", "jane.doe%40example.com"),
            ("user \"jane doe\"@example.com", "\"jane doe\"@example.com"),
            ("user j\u{f6}rg@example.com", "j\u{f6}rg@example.com"),
            ("jane@example.xn--p1ai", "jane@example.xn--p1ai"),
        ] {
            assert_eq!(filtered(text, addresses), [expected], "{text}");
        }
        for text in [
            "git@github.com:acme/web.git",
            "getty@tty1.service",
            "lookup@main.js",
            "web@v1.2.io",
            "user@host.local",
            "root@10.0.0.5",
            "@alice",
            "x@.route",
            "checkout@2.14.3",
            "a@b",
        ] {
            assert_eq!(filtered(text, addresses), Vec::<&str>::new(), "{text}");
        }
    }
}
