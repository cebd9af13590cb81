//! Answers of a hostile server.

use super::hostile_server::{Harm, Part, Reads};
use Part::{Drip, Endless, Say, Silence, Trickle, Wait};

/// The layer at which the server does harm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wire {
    /// There is no TLS.
    Plain,
    /// Below TLS: its bytes.
    BelowTls,
    /// Within TLS, which itself is as it should be but for its end.
    WithinTls,
    /// In a proxy.
    Proxy,
}

/// One way of doing harm.
#[derive(Clone, Debug)]
pub struct Attack {
    pub name: &'static str,
    pub wire: Wire,
    pub harm: Harm,
    /// Text that the plugin logs about it; empty if the answer counts as a success.
    pub words: &'static str,
    /// Bytes of a record, for bodies that do not fit the kernel's buffers; a few if zero.
    pub record: usize,
}

impl Attack {
    fn accepted(mut self) -> Self {
        self.harm.accepts = true;
        self
    }

    fn reads(mut self, reads: Reads) -> Self {
        self.harm.reads = reads;
        self
    }

    fn on(self, wire: Wire) -> Self {
        Self { wire, ..self }
    }

    fn after_a_good_answer(mut self) -> Self {
        self.harm.after = 1;
        self
    }

    fn of_records(self, record: usize) -> Self {
        Self { record, ..self }
    }
}

/// After a whole request, without TLS; not accepted.
fn attack(name: &'static str, words: &'static str, says: impl Into<Vec<Part>>) -> Attack {
    let harm = Harm { after: 0, reads: Reads::Request, accepts: false, proxy: false, says: says.into() };
    Attack { name, wire: Wire::Plain, harm, words, record: 0 }
}

fn say(text: &str) -> Part {
    Say(text.as_bytes().to_vec())
}

fn endless(text: &str) -> Part {
    Endless(text.as_bytes().to_vec())
}

/// Everything that is tried.
pub fn all() -> Vec<Attack> {
    [heads(), bodies(), words(), slow(), early(), connections(), below_tls(), within_tls(), proxies()].concat()
}

/// Answers that never come to the end of their head, or have none.
fn heads() -> Vec<Attack> {
    let many = (0..2_000).map(|n| format!("X-{n}: {n}\r\n")).collect::<String>();
    vec![
        attack("an_endless_status_line", "", [say("HTTP/1.1 200 "), endless("O")]),
        attack("an_endless_header", "", [say("HTTP/1.1 200 OK\r\nX-Much: "), endless("a")]),
        attack("an_endless_name_of_a_header", "", [say("HTTP/1.1 200 OK\r\n"), endless("a")]),
        attack("endless_headers", "", [say("HTTP/1.1 200 OK\r\n"), endless("X-Few: a\r\n")]),
        attack("endless_empty_lines", "", [endless("\r\n")]),
        attack("two_thousand_headers", "", [say(&format!("HTTP/1.1 200 OK\r\n{many}\r\n"))]),
        attack("endless_continue", "is unreachable", [endless("HTTP/1.1 100 Continue\r\n\r\n")]),
        attack("endless_hints", "is unreachable", [endless("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")]),
        attack("continue_with_headers", "", [say("HTTP/1.1 100 Continue\r\nX-A: b\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")]),
        attack(
            "continue_and_a_good_answer",
            "",
            [say("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")],
        )
        .accepted(),
        attack("continue_and_no_more", "", [say("HTTP/1.1 100 Continue\r\n\r\n")]),
        attack("another_protocol", "(101)", [say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"), Silence]),
        attack("the_preface_of_http_2", "not an HTTP response", [say("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")]),
        attack("frames_of_http_2", "not an HTTP response", [Say([0, 0, 0, 4, 0, 0, 0, 0, 0].repeat(9))]),
        attack("zeros", "not an HTTP response", [Endless(vec![0])]),
        attack("another_version", "not an HTTP response", [say("HTTP/9.9 200 OK\r\n\r\n")]),
        attack("a_status_of_five_digits", "not an HTTP response", [say("HTTP/1.1 20000 OK\r\n\r\n")]),
        attack("a_status_of_zero", "not an HTTP response", [say("HTTP/1.1 000 OK\r\n\r\n")]),
        attack("a_negative_status", "not an HTTP response", [say("HTTP/1.1 -20 OK\r\n\r\n")]),
        attack("a_status_without_digits", "not an HTTP response", [say("HTTP/1.1 two OK\r\n\r\n")]),
        attack("a_status_of_nobody", "999", [say("HTTP/1.1 999 OK\r\nContent-Length: 0\r\n\r\n")]),
        attack("a_zero_in_a_header", "not an HTTP response", [say("HTTP/1.1 200 OK\r\nRetry-After: 1\0\r\n\r\n")]),
        attack("another_greeting", "not an HTTP response", [say("SSH-2.0-OpenSSH_9.2p1\r\n")]),
        attack("an_answer_that_is_a_request", "not an HTTP response", [say("GET / HTTP/1.1\r\nHost: a\r\n\r\n")]),
    ]
}

/// Bodies that do not end, or do not say where.
fn bodies() -> Vec<Attack> {
    let chunked = |text: &str| say(&format!("HTTP/1.1 503 Away\r\nTransfer-Encoding: chunked\r\n\r\n{text}"));
    let sized = |status: u16, length: &str, body: &str| {
        say(&format!("HTTP/1.1 {status} Away\r\nContent-Length: {length}\r\n\r\n{body}"))
    };
    let another = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".repeat(3);
    let bomb = [say("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"), Endless(gzip_of_zeros())];
    vec![
        attack("an_endless_body", "503", [say("HTTP/1.1 503 Away\r\n\r\n"), endless("a")]),
        attack("an_endless_body_of_a_good_answer", "", [say("HTTP/1.1 200 OK\r\n\r\n"), endless("a")]).accepted(),
        attack("a_body_that_unpacks_to_much", "", bomb).accepted(),
        attack("an_endless_size_of_a_chunk", "503", [chunked(""), endless("0")]),
        attack("an_endless_extension_of_a_chunk", "503", [chunked("1;"), endless("a")]),
        attack("endless_chunks", "503", [chunked(""), endless("1\r\na\r\n")]),
        attack("endless_trailers", "503", [chunked("0\r\n"), endless("X-A: b\r\n")]),
        attack("a_chunk_of_all_there_is", "503", [chunked("ffffffffffffffff\r\n"), endless("a")]),
        attack("a_chunk_of_more_than_that", "503", [chunked("1ffffffffffffffff\r\n"), endless("a")]),
        attack("a_negative_chunk", "503", [chunked("-1\r\na\r\n")]),
        attack("a_chunk_of_no_number", "503", [chunked("one\r\na\r\n")]),
        attack("a_chunk_without_its_end", "503", [chunked("1\r\nabc\r\n0\r\n\r\n")]),
        attack("a_longer_body_than_said", "503", [sized(503, "1", "abc")]),
        attack("a_shorter_body_than_said", "503", [sized(503, "1000", "abc")]),
        attack("a_shorter_body_of_a_good_answer", "", [sized(200, "1000", "abc")]).accepted(),
        attack("a_negative_length", "", [sized(503, "-1", "abc")]),
        attack("a_length_of_no_number", "", [sized(503, "much", "abc")]),
        attack("a_length_beyond_numbers", "", [sized(503, &"9".repeat(40), "abc")]),
        attack("two_lengths", "", [sized(503, "3\r\nContent-Length: 1", "abc")]),
        attack("a_length_and_chunks", "", [sized(503, "3\r\nTransfer-Encoding: chunked", "abc")]),
        // Answers to requests that were not made yet: whoever took them for true would lose what he sends next.
        attack("answers_in_advance", "503", [sized(503, "0", &another), Silence]),
        attack("an_answer_within_a_body", "503", [sized(503, "5000", &another), Silence]),
        attack("an_answer_behind_one_without_a_body", "304", [sized(304, "50", &another), Silence]),
    ]
}

/// Words that would do harm in a log: what the plugin says of them is one line, without the key.
fn words() -> Vec<Attack> {
    const KEY: &str = "0123456789abcdef0123456789abcdef";
    let refused = |body: &[u8]| {
        let head = format!("HTTP/1.1 403 No {KEY}\r\nContent-Length: {}\r\n\r\n", body.len());
        [Say(head.into_bytes()), Say(body.to_vec())]
    };
    let plain = |text: &str| refused(text.as_bytes());
    let secret = format!(r#"{{"detail":"no such key: \u0030{}","causes":["{}"]}}"#, &KEY[1..], KEY.to_uppercase());
    let loud = |status: &str| say(&format!("HTTP/1.1 {status}\r\nX-Sentry-Error: {KEY}\r\nContent-Length: 0\r\n\r\n"));
    vec![
        attack(
            "lines_of_another_log",
            "403: a  [2026/11/25 00:00:00] [error]",
            plain("a\r\n[2026/11/25 00:00:00] [error]"),
        ),
        attack("codes_for_a_terminal", "403: ]0;owned  [2Jb", plain("\u{1b}]0;owned\u{7}\u{1b}[2Jb")),
        attack("text_that_runs_backwards", "403: gpj.txt   c", plain("\u{202e}gpj.txt\u{2028}\u{200b} c")),
        attack("a_text_of_zeros", "(403: a)", refused(&[0, 0, b'a'])),
        attack("no_text_at_all", "(403)", refused(&[0xff, 0xfe, 0xc3])),
        attack("a_long_text", "(403", plain(&"long ".repeat(40_000))),
        attack("the_key_repeated", "403: no such key: ***: ***", plain(&secret)),
        attack("the_key_in_a_header", "(503)", [loud("503 Away")]),
    ]
}

/// Sixteen MiB of zeros in sixteen KiB.
fn gzip_of_zeros() -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&vec![0; 16 << 20]).and_then(|()| encoder.finish()).expect("expected to write to memory")
}

/// Each phase, a byte at a time.
fn slow() -> Vec<Attack> {
    let drip = |text: &str| Drip(text.as_bytes().to_vec(), 30);
    vec![
        attack("nothing_is_read", "no answer within timeout", [Silence]).reads(Reads::Nothing).of_records(20_000),
        attack("a_head_is_read_and_no_more", "no answer within timeout", [Silence])
            .reads(Reads::Head)
            .of_records(20_000),
        attack("no_answer", "no answer within timeout", [Silence]),
        attack("a_slow_status_line", "no answer within timeout", [say("HTTP/1.1 200 "), drip("O")]),
        attack("slow_headers", "no answer within timeout", [say("HTTP/1.1 200 OK\r\n"), drip("X-A: b\r\n")]),
        attack("a_slow_body", "503", [say("HTTP/1.1 503 Away\r\n\r\n"), drip("a")]),
        attack("a_slow_body_of_a_good_answer", "", [say("HTTP/1.1 200 OK\r\n\r\n"), drip("a")]).accepted(),
        attack("a_good_answer_without_its_body", "", [say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"), Silence])
            .accepted(),
    ]
}

/// Answers to what was not read.
fn early() -> Vec<Attack> {
    let early = |name, status: &str| {
        let answer = say(&format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"));
        // Closing with bytes unread resets the connection.
        attack(name, "", [answer]).reads(Reads::Head).of_records(20_000)
    };
    vec![early("an_early_refusal", "403 Forbidden"), early("early_trouble", "503 Away")]
}

/// Connections that were good once.
fn connections() -> Vec<Attack> {
    let reset = |name, reads| attack(name, "", []).reads(reads).after_a_good_answer();
    vec![
        reset("closed_when_the_next_request_begins", Reads::Byte),
        reset("closed_within_the_next_request", Reads::Head).of_records(20_000),
        reset("closed_after_the_next_request", Reads::Request),
        attack("silent_at_the_next_request", "no answer within timeout", [Silence]).after_a_good_answer(),
    ]
}

/// A record of TLS: its type, its version, and what it holds.
fn record(kind: u8, version: [u8; 2], body: &[u8]) -> Vec<u8> {
    [&[kind][..], &version, &(body.len() as u16).to_be_bytes(), body].concat()
}

/// A server's greeting in a version of TLS that is out of use.
fn greeting(version: [u8; 2]) -> Part {
    // Version, random, no session, TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, no compression.
    let hello = [&version[..], &[7; 32], &[0, 0xc0, 0x13, 0]].concat();
    let handshake = [&[2, 0, 0, hello.len() as u8][..], &hello].concat();
    Say(record(22, version, &handshake))
}

/// Returns attacks below TLS: no TLS, an old version, too many bytes, and too slow ones.
fn below_tls() -> Vec<Attack> {
    let long = [&[11, 0xff, 0xff, 0xff][..], &[0; 4_000]].concat();
    let attack = |name, words, says: Vec<Part>| attack(name, words, says).reads(Reads::Nothing).on(Wire::BelowTls);
    vec![
        attack("no_tls_but_http", "does not speak TLS", vec![say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")]),
        attack("tls_1_0", "supports only TLS below 1.2", vec![Wait(100), greeting([3, 1]), Silence]),
        attack("tls_1_1", "supports only TLS below 1.2", vec![Wait(100), greeting([3, 2]), Silence]),
        attack("ssl_3", "", vec![Wait(100), greeting([3, 0]), Silence]),
        attack("half_a_greeting", "", vec![Wait(100), Say(vec![22, 3, 3, 1, 0, 2, 0, 0])]),
        attack("an_endless_certificate", "", vec![Wait(100), Endless(record(22, [3, 3], &long))]),
        attack("endless_warnings", "", vec![Wait(100), Endless(record(21, [3, 3], &[1, 90]))]),
        attack("endless_empty_records", "", vec![Wait(100), Endless(record(22, [3, 3], &[]))]),
        attack("silence_at_the_greeting", "no answer within timeout", vec![Silence]),
        attack("a_greeting_byte_by_byte", "no answer within timeout", vec![Trickle(20)]),
    ]
}

/// An end without a word, which in TLS is no end, and bytes between.
fn within_tls() -> Vec<Attack> {
    let all = vec![
        attack("cut_within_the_head", "", [say("HTTP/1.1 200 OK\r\nContent-Le")]),
        attack("cut_within_the_body", "503", [say("HTTP/1.1 503 Away\r\nContent-Length: 99\r\n\r\nabc")]),
        attack("cut_in_a_good_body", "", [say("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nabc")]).accepted(),
        attack("a_secret_endless_header", "", [say("HTTP/1.1 200 OK\r\nX-Much: "), endless("a")]),
        attack("secret_slow_headers", "no answer within timeout", [Drip(b"HTTP/1.1 200 OK".to_vec(), 30)]),
    ];
    all.into_iter().map(|attack| attack.on(Wire::WithinTls)).collect()
}

/// Returns answers of a proxy to CONNECT.
fn proxies() -> Vec<Attack> {
    let credentials = "me:hunter2 bWU6aHVudGVyMg==";
    let echo = format!("HTTP/1.1 403 No {credentials}\r\nContent-Length: 27\r\n\r\n{credentials}");
    let lead = "HTTP/1.1 302 There\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n";
    let all = vec![
        attack("silence_of_a_proxy", "no answer within timeout", [Silence]),
        attack(
            "slow_headers_of_a_proxy",
            "no answer within timeout",
            [say("HTTP/1.1 200 OK\r\n"), Drip(b"X: b\r\n".to_vec(), 300)],
        ),
        attack("an_endless_header_of_a_proxy", "", [say("HTTP/1.1 200 OK\r\nX-Much: "), endless("a")]),
        attack("endless_headers_of_a_proxy", "", [say("HTTP/1.1 200 OK\r\n"), endless("X-Few: a\r\n")]),
        attack("endless_continue_of_a_proxy", "", [endless("HTTP/1.1 100 Continue\r\n\r\n")]),
        attack("garbage_of_a_proxy", "not an HTTP response", [say("SSH-2.0-OpenSSH_9.2p1\r\n")]),
        attack("a_proxy_that_leads_elsewhere", "(302)", [say(lead)]),
        attack("a_proxy_that_repeats_a_password", "does not allow CONNECT", [say(&echo)]),
        attack("a_proxy_that_closes", "", []),
        attack(
            "a_proxy_that_answers_for_the_server",
            "",
            [say("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 503 Away\r\n\r\n"), endless("a")],
        ),
    ];
    let of_proxy = |mut attack: Attack| {
        (attack.wire, attack.harm.proxy, attack.harm.reads) = (Wire::Proxy, true, Reads::Head);
        attack
    };
    all.into_iter().map(of_proxy).collect()
}
