//! The bytes of a connection to `flb-sentry receive`: each request is read and judged, or refused with a reason.

use super::NOW;
use receiver::hear;

/// Bytes of a body, decoded or not.
const LIMIT: usize = 64 << 10;

/// Runs the target on one input, and panics if something is wrong.
pub fn run(data: &[u8]) {
    let heard = hear(data, LIMIT, NOW as f64);
    // The shortest request has more bytes than this.
    assert!(heard.len() <= 1 + data.len() / 14, "{} requests in {} bytes", heard.len(), data.len());
    if lacks_bytes(data) {
        assert!(heard.first().is_none_or(|first| first.status >= 400), "answered before all of it was there");
    }
    for (at, request) in heard.iter().enumerate() {
        assert!([200, 400, 401, 403, 404, 405, 413, 415, 431].contains(&request.status), "{}", request.status);
        assert!(request.body.len() <= LIMIT);
        assert!(request.status == 200 || !request.problems.is_empty(), "{} without a word", request.status);
        assert!(request.status == 200 || request.items == 0, "items of what is refused");
        // One that is read by itself, its body sent in one piece, is answered in the same way.
        if request.status == 200 && at == 0 {
            let again = hear(&request.rewritten, LIMIT, NOW as f64);
            assert_eq!(again.len(), 1);
            assert_eq!((again[0].status, again[0].items, &again[0].body), (200, request.items, &request.body));
        }
    }
}

/// Returns true if the first request is a plain one whose body is incomplete.
fn lacks_bytes(data: &[u8]) -> bool {
    let Some((head, body)) = first_head(data) else { return false };
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let lengths: Vec<_> = head.lines().filter_map(|line| line.strip_prefix("content-length:")).collect();
    let one = head.matches("content-length").count() == 1 && !head.contains("transfer-encoding");
    one && lengths.first().and_then(|length| length.trim().parse::<usize>().ok()).is_some_and(|length| length > body)
}

/// The first head and how many bytes follow it. It ends with an empty line that others come before, and a line may end
/// without a carriage return (RFC 9112, section 2.2).
fn first_head(data: &[u8]) -> Option<(&[u8], usize)> {
    let mut end = 0;
    let mut begun = false;
    for line in data.split_inclusive(|byte| *byte == b'\n') {
        end += line.len();
        match line {
            b"\r\n" | b"\n" if begun => return Some((&data[..end], data.len() - end)),
            b"\r\n" | b"\n" => {}
            _ => begun = true,
        }
    }
    None
}
