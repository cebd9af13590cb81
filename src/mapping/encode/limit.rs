//! Enforces Sentry's limits in the plugin, so that every cut is visible and none is silent.
//!
//! Numbers: `relay-event-schema` and `relay-event-normalization` as of Relay 26.9, checked against the real normaliser.

use std::borrow::Cow;

/// Characters of a tag's value.
pub const TAG_VALUE: usize = 200;
/// Characters of a message or exception value.
pub const MESSAGE: usize = 8_192;
/// Characters of a type, module, file or path.
pub const NAME: usize = 256;
/// Characters of a function's name.
pub const FUNCTION: usize = 512;
/// Characters of a user's id.
pub const USER_ID: usize = 128;
/// Characters of a logger's name.
pub const LOGGER: usize = 64;
/// Characters of a server's name: Relay makes a tag of it.
pub const SERVER_NAME: usize = TAG_VALUE;
/// Bytes of one value under `extra`; Relay takes 16,384.
pub const EXTRA_VALUE: usize = 15_000;
/// Bytes of all values under `extra`; Relay takes 262,144.
pub const EXTRA_TOTAL: usize = 200_000;
/// Characters of one value in a context; Relay takes 8,192 bytes per context.
pub const CONTEXT_VALUE: usize = 250;
/// Bytes of `logentry.params`; Relay takes 2,048.
pub const PARAMS: usize = 1_500;
/// Bytes of a log's body.
pub const LOG_BODY: usize = 512 * 1_024;
/// Bytes of a log's body as JSON: with its attributes a log stays below the megabyte that older Relays take.
pub const LOG_BODY_JSON: usize = 600_000;
/// Bytes of a log's attributes as JSON.
pub const LOG_ATTRIBUTES: usize = 300_000;
/// Bytes of one attribute's value.
pub const ATTRIBUTE: usize = 64 * 1_024;
/// Bytes of the attributes that a pod adds to each of its logs, as JSON.
pub const POD_ATTRIBUTES: usize = 50_000;
/// Bytes of an event as JSON; Relay takes 1,048,576.
pub const EVENT: usize = 1_000_000;
/// Age in seconds beyond which a record is sent with the current time: Sentry keeps 30 days.
pub const MAX_AGE_SECS: u64 = 29 * 86_400;
/// The last second of the year 9999, in microseconds: Relay reads no time behind it, not even a breadcrumb's.
pub const LAST_MICROS: u64 = 253_402_300_799_000_000;
/// Seconds that a record may lie in the future.
pub const MAX_AHEAD_SECS: u64 = 60;

/// At most `most` characters, the cut marked.
#[must_use]
pub fn chars(text: &str, most: usize) -> Cow<'_, str> {
    const MARK: &str = "...";
    if text.len() <= most {
        return Cow::Borrowed(text);
    }
    match text.char_indices().nth(most) {
        None => Cow::Borrowed(text),
        Some(_) => {
            let end = text.char_indices().nth(most - MARK.len()).map_or(text.len(), |(at, _)| at);
            Cow::Owned(format!("{}{MARK}", &text[..end]))
        }
    }
}

/// At most `most` bytes on a character's boundary, and how many bytes were cut.
#[must_use]
pub fn bytes(text: &[u8], most: usize) -> (&[u8], usize) {
    if text.len() <= most {
        return (text, 0);
    }
    let mut end = most;
    while end > most.saturating_sub(4) && text[end] & 0xc0 == 0x80 {
        end -= 1;
    }
    (&text[..end], text.len() - end)
}

/// A tag's key as Sentry takes it: other characters become dashes.
#[must_use]
pub fn tag_key(key: &str) -> Cow<'_, str> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | ':' | '-');
    if key.len() <= 200 && key.chars().all(fine) {
        return Cow::Borrowed(key);
    }
    Cow::Owned(key.chars().take(200).map(|c| if fine(c) { c } else { '-' }).collect())
}

/// A tag's value as Sentry takes it: one line, trimmed, cut; `None` when nothing is left.
#[must_use]
pub fn tag_value(value: &str) -> Option<Cow<'_, str>> {
    let value = value.trim();
    if value.is_empty() {
        return None;
    }
    if value.contains(['\n', '\r']) {
        let flat = value.replace(['\n', '\r'], " ");
        return Some(Cow::Owned(chars(&flat, TAG_VALUE).into_owned()));
    }
    Some(chars(value, TAG_VALUE))
}

/// An environment that Relay accepts.
#[must_use]
pub fn environment(text: &str) -> Option<&str> {
    let text = text.trim();
    let refused = text.is_empty() || text.len() > 64 || matches!(text, "." | "..") || text.eq_ignore_ascii_case("none");
    (!refused && plain(text)).then_some(text)
}

/// A release that Relay accepts.
#[must_use]
pub fn release(text: &str) -> Option<&str> {
    let text = text.trim();
    let refused =
        text.is_empty() || text.len() > 200 || matches!(text, "." | "..") || text.eq_ignore_ascii_case("latest");
    (!refused && plain(text)).then_some(text)
}

fn plain(text: &str) -> bool {
    !text.contains(['/', '\\']) && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_are_marked_and_fall_between_characters() {
        assert_eq!(chars("short", 10), "short");
        assert_eq!(chars("éééééééééé", 5), "éé...");
        assert_eq!(chars("ééééé", 5), "ééééé");
        assert_eq!(bytes("aé".as_bytes(), 2), (&b"a"[..], 2));
        assert_eq!(bytes(b"abc", 3), (&b"abc"[..], 0));
        assert_eq!(bytes(&[0x80; 10], 8).0.len(), 4);
    }

    #[test]
    fn tags_are_made_acceptable() {
        assert_eq!(tag_key("app.kubernetes.io/name é"), "app.kubernetes.io-name--");
        assert_eq!(tag_value(" a\nb ").unwrap(), "a b");
        assert_eq!(tag_value(" \n"), None);
    }

    #[test]
    fn environments_and_releases_that_relay_refuses_are_refused() {
        assert_eq!(environment(" production "), Some("production"));
        for text in ["", "a/b", "None", "..", "x\ny"] {
            assert_eq!(environment(text), None, "{text}");
        }
        for text in ["", "a/b", "Latest", "."] {
            assert_eq!(release(text), None, "{text}");
        }
    }
}
