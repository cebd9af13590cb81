//! Lines of a container runtime as a node writes them: those of the sample shop, with numbers and ids that vary.

use crate::samples::format_time;
use std::time::{SystemTime, UNIX_EPOCH};

/// A pod of the samples by the beginning of its log's name, and what it says: `#` is a digit, `~` a hexadecimal one, `^` the
/// time of day, `$` the date. Nothing below `info`, so that every line becomes a log.
pub const PODS: &[(&str, &[&str])] = &[
    (
        "checkout",
        &[
            "$ ^.###  INFO 1 --- [nio-8080-exec-#] c.e.shop.checkout.OrderController        : Order 8#### accepted for customer 4###, # items, 2##.## EUR",
            "$ ^.###  INFO 1 --- [   scheduling-1] c.e.shop.checkout.OutboxPublisher        : Published ## events in ## ms",
        ],
    ),
    (
        "edge-nginx",
        &[
            "203.0.113.1## - - [25/Nov/2026:^ +0000] \"GET /p/sku-7#### HTTP/2.0\" 200 1#### \"-\" \"Mozilla/5.0 (X11; Linux x86_64; rv:136.0) Gecko/20100101 Firefox/136.0\"",
            "203.0.113.2# - - [25/Nov/2026:^ +0000] \"GET /assets/app.~~~~.js HTTP/2.0\" 304 3### \"https://shop.example.com/cart\" \"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.3 Safari/605.1.15\"",
        ],
    ),
    (
        "web",
        &[
            "{\"level\":30,\"time\":17331335#####,\"pid\":1,\"hostname\":\"web-6d5c9b7f88-lq9zt\",\"reqId\":\"req-1##\",\"traceId\":\"~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~\",\"req\":{\"method\":\"GET\",\"url\":\"/p/sku-7####\"},\"res\":{\"statusCode\":200},\"responseTime\":5#.##,\"msg\":\"request completed\"}",
        ],
    ),
    (
        "notifier",
        &[
            "ts=$T^.###Z level=info caller=deliver.go:1## msg=\"message delivered\" trace_id=~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~ span_id=~~~~~~~~~~~~~~~~ channel=email duration=3##ms",
            "ts=$T^.###Z level=warn caller=deliver.go:158 msg=\"delivery delayed\" trace_id=~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~ span_id=~~~~~~~~~~~~~~~~ channel=sms attempt=#",
        ],
    ),
    (
        "catalog",
        &[
            "INFO:     10.42.1.##:5#### - \"GET /search?q=lamp&page=# HTTP/1.1\" 200 OK",
            "$ ^,### INFO [catalog.cache] evicted ## entries of the product cache, hit ratio 0.##, oldest entry ### s, next sweep in ## s",
        ],
    ),
    (
        "ledger",
        &[
            "I1125 ^.######       1 reconcile.go:93] \"reconciled account\" account=\"4###\" entries=## took=\"##ms\" batch=\"~~~~~~~~-~~~~-~~~~-~~~~-~~~~~~~~~~~~\"",
        ],
    ),
    (
        "billing",
        &[
            "[^ INF] Invoice 2026-0### sent, ### KiB, attempt 1, customer ~~~~~~~~-~~~~-4~~~-8~~~-~~~~~~~~~~~~, signed by key ~~~~~~~~",
        ],
    ),
];

/// A sequence of numbers that is the same in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// So many lines of these pods in turn, the last of them of now, a fifth of a millisecond apart.
pub fn of(pods: &[(&str, &[&str])], count: usize) -> Vec<u8> {
    const APART: i128 = 200_000;
    let templates: Vec<_> = longest_turn(pods);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as i128;
    let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
    let mut lines = Vec::with_capacity(count * 220);
    for (number, template) in templates.iter().cycle().take(count).enumerate() {
        let jitter = (numbers.next() % 100_000) as i128;
        line(&mut lines, template, now - (count - number) as i128 * APART + jitter, &mut numbers);
    }
    lines
}

/// Each pod's lines in turn, the pods in turn.
fn longest_turn<'t>(pods: &[(&str, &[&'t str])]) -> Vec<&'t str> {
    let most = pods.iter().map(|(_, templates)| templates.len()).max().unwrap_or_default();
    (0..most).flat_map(|at| pods.iter().map(move |(_, templates)| templates[at % templates.len()])).collect()
}

fn line(out: &mut Vec<u8>, template: &str, time: i128, numbers: &mut Numbers) {
    let time = format_time(time);
    out.extend_from_slice(time.as_bytes());
    out.extend_from_slice(b" stdout F ");
    for byte in template.bytes() {
        match byte {
            b'#' => out.push(b'0' + (numbers.next() % 10) as u8),
            b'~' => out.push(b"0123456789abcdef"[(numbers.next() % 16) as usize]),
            b'$' => out.extend_from_slice(&time.as_bytes()[..10]),
            b'^' => out.extend_from_slice(&time.as_bytes()[11..19]),
            byte => out.push(byte),
        }
    }
    out.push(b'\n');
}
