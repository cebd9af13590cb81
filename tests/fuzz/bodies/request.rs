//! The bytes of a connection to `flb-sentry receive`: each request is read and judged, or refused with a reason.

use super::NOW;
use flb_sentry::receive::hear;

/// Bytes of a body, decoded or not.
const LIMIT: usize = 64 << 10;

pub fn run(data: &[u8]) {
    let heard = hear(data, LIMIT, NOW as f64);
    // The shortest request has more bytes than this.
    assert!(heard.len() <= 1 + data.len() / 14, "{} requests in {} bytes", heard.len(), data.len());
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
