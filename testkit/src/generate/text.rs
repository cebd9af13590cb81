//! Text as applications, and those who attack them, write it.

use super::random::Random;
use std::fs;
use std::sync::LazyLock;

/// Pieces of which messages are made: each has hurt some reader of logs.
const PIECES: &[&str] = &[
    "request 17 took 12ms",
    "ERROR [svc] ",
    "level=error ",
    "2026-11-20T08:00:00.123Z ",
    "E1120 08:00:00.1 ",
    "\n",
    "\r\n",
    "\t",
    "\u{0}",
    "\u{1}",
    "\u{1b}[31m",
    "\u{1b}[",
    "\u{1b}]0;t",
    "\u{1b}",
    "\u{85}",
    "\u{2028}",
    "\u{fffd}",
    "\u{feff}",
    "\u{202e}",
    "é",
    "日本",
    "👩‍👩‍👧‍👦",
    "\"",
    "'",
    "\\",
    "\\u0000",
    "%s %% %",
    "{{ default }}",
    "${x}",
    "</script>",
    "{\"a\":1}",
    "{\"level\":\"fatal\",\"msg\":\"x\",\"a\":{\"b\":1},\"a.b\":2}",
    "{\"a\":1,\"a\":2}",
    "{",
    "}",
    "[",
    "]",
    "a=1 b=\"two\" c=",
    "=",
    ":",
    "password=hunter2",
    "token: abc",
    "Authorization: Bearer abcDEF123",
    "basic ",
    "bearer ",
    "-----BEGIN ",
    "-----BEGIN RSA PRIVATE KEY-----",
    "-----END ",
    "-----BEGIN CERTIFICATE-----",
    "jane@example.com",
    "@",
    "https://user:pw@host/x",
    "://",
    "4111 1111 1111 1111",
    "4111111111111111",
    "00000000-0000-0000-0000-000000000000",
    "00-5b8efff798038103d269b633813fc60c-eee19b7ec3c1b174-01",
    "5b8efff798038103d269b633813fc60c",
    "eee19b7ec3c1b174",
    "00000000000000000000000000000000",
    "18446744073709551615",
    "18446744073709551616",
    "1e400",
    "-0",
    "latest",
    "None",
    "a/b",
    "..",
    "10.0.0.1:5432",
    "::1",
    "[output:sentry:sentry.0] x",
    "Traceback (most recent call last):\n",
    "at a.b(c.java:1)",
    "Caused by: x",
    "panic: ",
    "goroutine 1 [running]:\n",
    "    ",
    "#0 /a.php(1): f()\n",
    "java.lang.Exception: ",
    "thread 'main' panicked at src/main.rs:1:1:\n",
    "  File \"x.py\", line 1, in f\n",
    "... 4294967296 more",
    "off",
    "error",
];

static TRACES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let root = crate::artefacts::workspace().join("tests/traces");
    let files = fs::read_dir(root).expect("the goldens").flatten().flat_map(|dir| fs::read_dir(dir.path()));
    let mut texts: Vec<String> = (files.flatten().flatten().map(|file| file.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .map(|path| fs::read_to_string(path).expect("a golden"))
        .filter(|text| text.len() < 20_000)
        .collect();
    texts.sort_unstable();
    texts
});

/// A stack trace that some runtime wrote.
pub fn trace(random: &mut Random) -> &'static str {
    random.pick::<String>(&TRACES)
}

/// Any text, most often short.
pub fn any(random: &mut Random) -> Vec<u8> {
    match random.below(30) {
        0 => vec![],
        1 => {
            let bytes = [0xff, 0xc3, 0x28, 0xed, 0xa0, 0x80, b'a', 0xf0, 0x9f];
            (0..1 + random.below(12)).map(|_| *random.pick(&bytes)).collect()
        }
        2 => long(random),
        3 => trace(random).into(),
        4 => broken_trace(random),
        _ => pieces(random, 1).into_bytes(),
    }
}

/// A message, with more in it.
pub fn message(random: &mut Random) -> Vec<u8> {
    match random.below(8) {
        0 => any(random),
        1 => trace(random).into(),
        2 => broken_trace(random),
        _ => pieces(random, 6).into_bytes(),
    }
}

fn pieces(random: &mut Random, most: usize) -> String {
    (0..1 + random.below(most)).map(|_| *random.pick(PIECES)).collect()
}

/// Repeats around every limit, so that each cut falls inside a character for some of them.
fn long(random: &mut Random) -> Vec<u8> {
    let limits = [64, 197, 200, 256, 500, 512, 1_500, 2_048, 8_189, 8_192, 15_000, 16_384];
    let most = if random.once_in(60) { *random.pick(&[262_144, 524_288, 1_100_000]) } else { *random.pick(&limits) };
    let piece = pieces(random, 1);
    let repeated = piece.repeat(1 + most / piece.len());
    let mut bytes = repeated.into_bytes();
    bytes.truncate(most + random.below(4));
    bytes
}

/// A trace whose lines were mixed with others, lost or cut.
fn broken_trace(random: &mut Random) -> Vec<u8> {
    let mut lines: Vec<String> = trace(random).lines().map(str::to_owned).collect();
    for _ in 0..1 + random.below(3) {
        let at = random.below(lines.len());
        match random.below(3) {
            0 => lines[at] = pieces(random, 2),
            1 => lines.truncate(at.max(1)),
            _ => lines.insert(at, pieces(random, 2)),
        }
    }
    lines.join("\n").into_bytes()
}
