//! Reads lines as `kubectl logs` prints them: with `--timestamps` a time before each line, with `--prefix` the pod and its
//! container before that.

use super::encode::Body;
use super::time::Time;

/// One line that `kubectl logs` has printed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct KubectlLine<'a> {
    /// Pod and container.
    pub(crate) from: Option<(&'a str, &'a str)>,
    pub(crate) time: Option<Time>,
    pub(crate) text: &'a [u8],
}

impl<'a> KubectlLine<'a> {
    /// Reads a line; none if `kubectl logs` has put nothing before it.
    pub(crate) fn parse(line: &'a [u8]) -> Option<Self> {
        let (from, rest) = match prefix(line) {
            Some((from, rest)) => (Some(from), rest),
            None => (None, line),
        };
        let (time, text) = match timestamp(rest) {
            Some((time, text)) => (Some(time), text),
            None => (None, rest),
        };
        (from.is_some() || time.is_some()).then_some(Self { from, time, text })
    }

    /// Returns the `kubernetes` map of a record of this line, as far as the line tells it.
    pub(crate) fn kubernetes(&self) -> Option<Vec<u8>> {
        let (pod, container) = self.from?;
        let mut map = Body::default();
        map.text("pod_name", pod.as_bytes());
        map.text("container_name", container.as_bytes());
        Some(map.map())
    }
}

/// Reads `[pod/NAME/CONTAINER] `.
fn prefix(line: &[u8]) -> Option<((&str, &str), &[u8])> {
    let rest = line.strip_prefix(b"[pod/")?;
    let end = rest.iter().position(|byte| *byte == b']')?;
    let text = rest[end..].strip_prefix(b"] ").or_else(|| rest[end..].strip_prefix(b"]"))?;
    let (pod, container) = std::str::from_utf8(&rest[..end]).ok()?.split_once('/')?;
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.')
    };
    (is_name(pod) && is_name(container)).then_some(((pod, container), text))
}

/// Reads a time with nine digits of a second's fraction, as the kubelet writes it (`RFC3339NanoFixed`), and the space behind
/// it. Loggers hardly ever write nine digits.
fn timestamp(line: &[u8]) -> Option<(Time, &[u8])> {
    const LOCAL: usize = "2026-11-20T08:00:00.001376970".len();
    let end = match line.get(LOCAL)? {
        b'Z' => LOCAL + 1,
        b'+' | b'-' => LOCAL + "+01:00".len(),
        _ => return None,
    };
    let (time, text) = line.split_at_checked(end)?;
    let text = if text.is_empty() { text } else { text.strip_prefix(b" ")? };
    let time =
        std::str::from_utf8(time).ok().filter(|time| time.as_bytes()[19] == b'.' && time.as_bytes()[10] == b'T')?;
    Some((Time::parse(time)?, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_prefixes_are_told_from_the_line_itself() {
        let time = Time::parse("2026-11-20T08:00:00.001376970Z");
        let pod = Some(("cart-7d9-x2", "app"));
        for (line, from, at, text) in [
            ("2026-11-20T08:00:00.001376970Z hello", None, time, "hello"),
            ("2026-11-20T09:00:00.001376970+01:00  a b", None, time, " a b"),
            ("2026-11-20T08:00:00.001376970Z", None, time, ""),
            ("[pod/cart-7d9-x2/app] hello", pod, None, "hello"),
            ("[pod/cart-7d9-x2/app] 2026-11-20T08:00:00.001376970Z hello", pod, time, "hello"),
        ] {
            let expected = KubectlLine { from, time: at, text: text.as_bytes() };
            assert_eq!(KubectlLine::parse(line.as_bytes()), Some(expected), "{line}");
        }
        for line in [
            "hello",
            "",
            // A logger's own times have fewer digits, or no zone.
            "2026-11-20T08:00:00.001Z ERROR x",
            "2026-11-20T08:00:00.001376Z ERROR x",
            "2026-11-20T08:00:00.001376970 ERROR x",
            "2026-11-20T08:00:00.001376970Zx",
            "2026-11-20T25:00:00.001376970Z x",
            "2026-11-20T08:00:00.00137697\u{e9} x",
            "[pod/a] x",
            "[pod//a] x",
            "[pod/a b/c] x",
            "[pod/a/b",
            "[main] ERROR x",
        ] {
            assert_eq!(KubectlLine::parse(line.as_bytes()), None, "{line}");
        }
    }
}
