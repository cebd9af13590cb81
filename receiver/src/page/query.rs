//! Reads and writes the parameters of a page's address: filters of the logs, the order, and the number of the page.

use std::fmt::Write;

/// Levels that the filter of the logs offers, the least severe first.
pub(super) const LEVELS: [&str; 6] = ["trace", "debug", "info", "warn", "error", "fatal"];

/// Characters of a filter's text; more are ignored.
const MAX_TEXT: usize = 200;

/// The parameters of a page's address. Unknown ones are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Query {
    /// Text that a log must contain, in any case; empty for no filter.
    pub text: String,
    /// The least severe level, as its place in [`LEVELS`].
    pub level: Option<usize>,
    /// The workload; empty for all.
    pub workload: String,
    /// True if the oldest entry comes first.
    pub oldest_first: bool,
    /// The number of the page, from 0.
    pub page: usize,
}

impl Query {
    /// Reads the part of an address behind the `?`.
    pub fn parse(query: &str) -> Query {
        let mut found = Query::default();
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let value = decode(value);
            match name {
                "q" => found.text = value.chars().take(MAX_TEXT).collect(),
                "level" => found.level = place_of(&value),
                "workload" => found.workload = value,
                "order" => found.oldest_first = value == "oldest",
                "page" => found.page = value.parse::<usize>().unwrap_or(1).saturating_sub(1),
                _ => {}
            }
        }
        found
    }

    /// Returns true if a filter is set.
    pub fn filters(&self) -> bool {
        !self.text.is_empty() || self.level.is_some() || !self.workload.is_empty()
    }

    /// Returns the address of a path with these parameters; those with their default are left out.
    pub fn address(&self, path: &str) -> String {
        let mut address = path.to_owned();
        let level = self.level.map_or("", |level| LEVELS[level]);
        let order = if self.oldest_first { "oldest" } else { "" };
        let page = if self.page > 0 { (self.page + 1).to_string() } else { String::new() };
        let all =
            [("q", &*self.text), ("level", level), ("workload", &self.workload), ("order", order), ("page", &page)];
        for (at, (name, value)) in all.into_iter().filter(|(_, value)| !value.is_empty()).enumerate() {
            let sign = if at == 0 { '?' } else { '&' };
            // Writing into a string cannot fail.
            let _ = write!(address, "{sign}{name}={}", encode(value));
        }
        address
    }
}

/// The place of a level in [`LEVELS`]; events call `warn` `warning`.
pub(super) fn place_of(level: &str) -> Option<usize> {
    let level = if level == "warning" { "warn" } else { level };
    LEVELS.iter().position(|known| *known == level)
}

/// Decodes a value of a form (WHATWG URL, section 5.1). Bytes that are no UTF-8 are replaced.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        let digits = behind.first_chunk::<2>().filter(|_| *first == b'%');
        let byte = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        match (byte, first) {
            (Some(byte), _) => {
                bytes.push(byte);
                rest = &behind[2..];
                continue;
            }
            (None, b'+') => bytes.push(b' '),
            (None, byte) => bytes.push(*byte),
        }
        rest = behind;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Encodes a value so that it may stand in a path or a query: only letters, digits and `-._` stay.
pub(super) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_parameters_are_inverse() {
        let query = Query {
            text: "100% <\u{e9}> & a+b=c".into(),
            level: Some(3),
            workload: "shop/cart".into(),
            oldest_first: true,
            page: 4,
        };
        let address = query.address("/logs");
        assert_eq!(
            address,
            "/logs?q=100%25%20%3C%C3%A9%3E%20%26%20a%2Bb%3Dc&level=warn&workload=shop%2Fcart&order=oldest&page=5"
        );
        assert_eq!(Query::parse(address.split_once('?').unwrap().1), query);
        assert_eq!(Query::default().address("/logs"), "/logs");
        assert!(query.filters() && !Query { text: "".into(), level: None, workload: "".into(), ..query }.filters());
    }

    #[test]
    fn a_form_may_send_anything() {
        for (query, text) in [
            ("q=a+b", "a b"),
            ("q=%", "%"),
            ("q=%4", "%4"),
            ("q=%zz", "%zz"),
            ("q=%ff", "\u{fffd}"),
            ("q", ""),
            ("&=&", ""),
        ] {
            assert_eq!(Query::parse(query).text, text, "{query}");
        }
        assert_eq!(Query::parse("page=0&level=loud&order=x"), Query::default());
        assert_eq!(Query::parse("page=99999999999999999999"), Query::default());
        assert_eq!(Query::parse(&format!("q={}", "x".repeat(1000))).text.len(), MAX_TEXT);
        assert_eq!(Query::parse("level=warning").level, place_of("warn"));
    }
}
