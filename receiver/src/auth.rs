//! Authenticates a request: requires exactly one set of credentials, as Relay does.

use super::dsn::is_key;
use super::http::{Head, Refusal};

/// Finds the public key. `None`: only the envelope's own `dsn` header can tell.
pub(super) fn public_key(head: &Head) -> Result<Option<String>, Refusal> {
    let mut found = Vec::new();
    found.extend(head.all("x-sentry-auth").map(sentry_pairs));
    found.extend(head.all("authorization").filter_map(authorization));
    if head.query.split('&').any(|pair| pair.starts_with("sentry_")) {
        found.push(pairs(head.query.split('&')));
    }
    if found.len() > 1 {
        return Err(Refusal::new(401, "multiple authorization payloads"));
    }
    found.pop().transpose().map(Option::flatten)
}

type Key = Result<Option<String>, Refusal>;

/// `Sentry sentry_key=..., sentry_version=7, ...`; the first word in any case.
fn sentry_pairs(value: &str) -> Key {
    match value.trim().split_once(char::is_whitespace) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("sentry") => pairs(rest.split(',')),
        _ => Err(Refusal::new(401, "expected \"Sentry sentry_key=...\" as authorization")),
    }
}

/// `Authorization` with a scheme of another kind is none of our business.
fn authorization(value: &str) -> Option<Key> {
    let scheme = value.trim().split(char::is_whitespace).next().unwrap_or_default();
    scheme.eq_ignore_ascii_case("sentry").then(|| sentry_pairs(value))
}

fn pairs<'a>(pairs: impl Iterator<Item = &'a str>) -> Key {
    let mut key = None;
    for (name, value) in pairs.filter_map(|pair| pair.trim().split_once('=')) {
        match name {
            "sentry_key" => key = Some(value),
            "sentry_version" if value != "7" => {
                return Err(Refusal::new(400, format!("expected sentry_version 7, found {value:?}")));
            }
            _ => {}
        }
    }
    let key = key.ok_or_else(|| Refusal::new(401, "expected sentry_key in the authorization"))?;
    if !is_key(key) {
        return Err(Refusal::new(400, "expected a sentry_key of 32 hexadecimal digits"));
    }
    Ok(Some(key.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    fn status(query: &str, headers: &[(&str, &str)]) -> Result<bool, u16> {
        let fill = |text: &str| text.replace("KEY", KEY);
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), fill(value))).collect();
        let head = Head { query: fill(query), headers, ..Head::default() };
        let key = public_key(&head).map_err(|refusal| refusal.status)?;
        assert!(key.as_deref().is_none_or(|key| key == KEY), "{key:?}");
        Ok(key.is_some())
    }

    #[test]
    fn table() {
        let good = "Sentry sentry_version=7, sentry_client=a/1, sentry_key=KEY";
        for (query, headers, expected) in [
            ("", &[("X-Sentry-Auth", good)][..], Ok(true)),
            ("", &[("x-sentry-auth", "sentry sentry_key=KEY")], Ok(true)),
            ("", &[("Authorization", good)], Ok(true)),
            ("sentry_key=KEY&sentry_version=7", &[], Ok(true)),
            ("", &[("authorization", "Bearer x")], Ok(false)),
            ("a=b", &[], Ok(false)),
            ("", &[("x-sentry-auth", good), ("authorization", good)], Err(401)),
            ("", &[("x-sentry-auth", good), ("x-sentry-auth", good)], Err(401)),
            ("sentry_key=KEY", &[("x-sentry-auth", good)], Err(401)),
            ("", &[("x-sentry-auth", "KEY")], Err(401)),
            ("", &[("x-sentry-auth", "Sentry sentry_version=7")], Err(401)),
            ("", &[("x-sentry-auth", "Sentry sentry_version=8, sentry_key=KEY")], Err(400)),
            ("", &[("x-sentry-auth", "Sentry sentry_key=KEY0")], Err(400)),
            ("", &[("x-sentry-auth", "Sentry sentry_key=zzzz456789abcdef0123456789abcdef")], Err(400)),
        ] {
            assert_eq!(status(query, headers), expected, "{query} {headers:?}");
        }
    }
}
