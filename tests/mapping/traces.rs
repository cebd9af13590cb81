//! Every golden trace is read as its `.json` says, joins to itself, and survives mutilation.
//!
//! `UPDATE=1 cargo test --test mapping traces` writes the `.json` files again; read the difference before committing it.

use out_sentry::mapping::trace::{
    Exception, Frame, MAX_EXCEPTIONS, MAX_TEXT, NEWEST_FRAMES, OLDEST_FRAMES, Trace, extent, parse,
};
use serde_json::{Map, Value, json};
use std::fs;
use std::path::{Path, PathBuf};

const LANGUAGES: [&str; 8] = ["dotnet", "go", "java", "node", "php", "python", "ruby", "rust"];
/// Of these only what ends a program, or its usual form, is read.
const CRASHES: [&str; 5] = ["beam", "dart", "native", "perl", "swift"];

fn goldens() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces");
    let files = LANGUAGES.iter().chain(&CRASHES).flat_map(|language| fs::read_dir(root.join(language)).unwrap());
    let mut texts: Vec<_> =
        files.map(|file| file.unwrap().path()).filter(|p| p.extension() == Some("txt".as_ref())).collect();
    texts.sort();
    texts
}

fn frame(frame: &Frame) -> Value {
    let text = |text: &Option<std::borrow::Cow<str>>| json!(text);
    let fields = [
        ("function", text(&frame.function)),
        ("module", text(&frame.module)),
        ("filename", text(&frame.filename)),
        ("abs_path", text(&frame.abs_path)),
        ("lineno", json!(frame.lineno)),
        ("colno", json!(frame.colno)),
        ("in_app", json!(frame.in_app)),
        ("context_line", text(&frame.context_line)),
    ];
    present(fields)
}

fn present<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let empty = |value: &Value| value.is_null() || *value == json!([]);
    let fields = fields.into_iter().filter(|(_, value)| !empty(value));
    Value::Object(fields.map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
}

/// One line for each frame, so that a difference can be read.
fn lines(frames: &[Frame], indent: &str) -> String {
    frames.iter().map(|f| format!("\n{indent}  {}", frame(f))).collect::<Vec<_>>().join(",")
}

fn exception(exception: &Exception) -> String {
    let head = present([
        ("type", json!(exception.ty)),
        ("module", json!(exception.module)),
        ("value", json!(exception.value)),
        ("thread", json!(exception.thread)),
        ("parent", json!(exception.parent)),
        ("relation", json!(format!("{:?}", exception.relation))),
        ("details", json!(exception.details)),
    ]);
    let head = head.to_string();
    format!("    {},\n     \"frames\": [{}]}}", &head[..head.len() - 1], lines(&exception.frames, "     "))
}

fn render(trace: &Trace, joined: (usize, usize)) -> String {
    let list =
        |items: Vec<String>| if items.is_empty() { String::new() } else { format!("\n{}\n  ", items.join(",\n")) };
    let threads = trace.threads.iter().map(|thread| {
        let frames = lines(&thread.frames, "     ");
        format!(
            "    {{\"id\": {}, \"state\": {},\n     \"frames\": [{frames}]}}",
            json!(thread.id),
            json!(thread.state)
        )
    });
    format!(
        "{{\n  \"platform\": {},\n  \"fatal\": {},\n  \"unhandled\": {},\n  \"message\": {},\n  \"joined\": {},\n  \"exceptions\": [{}],\n  \"threads\": [{}]\n}}\n",
        json!(trace.platform),
        trace.fatal,
        trace.unhandled,
        json!(trace.message),
        json!([joined.0, joined.1]),
        list(trace.exceptions.iter().map(exception).collect()),
        list(threads.collect()),
    )
}

/// The first line that begins a trace, and the trace's number of lines, as a joiner of single lines finds them.
fn join(text: &str) -> (usize, usize) {
    let lines: Vec<&str> = text.lines().collect();
    (0..lines.len()).map(|at| (at, extent(&lines[at..]))).find(|(_, count)| *count > 0).unwrap_or((0, 0))
}

#[test]
fn goldens_are_read_as_written() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut failures = Vec::new();
    for path in goldens() {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap_or(&path).display();
        let Some(trace) = parse(&text) else {
            failures.push(format!("{name}: not understood"));
            continue;
        };
        let found = render(&trace, join(&text));
        let _: Value = serde_json::from_str(&found).unwrap();
        let golden = path.with_extension("json");
        if update {
            fs::write(&golden, &found).unwrap();
        } else if fs::read_to_string(&golden).unwrap_or_default() != found {
            failures.push(format!("{name}: differs from its .json; found\n{found}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Joined lines read as the whole text does, an unrelated line ends them, and what is around them is not in them.
#[test]
fn goldens_join_to_themselves() {
    for path in goldens() {
        let text = fs::read_to_string(&path).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        let (at, count) = join(&text);
        for unrelated in ["2026-03-04T10:11:12Z INFO ready", "ready", "{\"level\":\"info\"}", "  ready"] {
            lines.truncate(at + count);
            lines.push(unrelated);
            lines.push("next order");
            // A message's own lines may be indented: only a line at the margin is surely another one.
            if !unrelated.starts_with(' ') {
                assert_eq!(extent(&lines[at..]), count, "{} before {unrelated:?}", path.display());
            }
        }
        let alone = lines[at..at + count].join("\n");
        let alone = parse(&alone).unwrap_or_else(|| panic!("{}: not understood alone", path.display()));
        let whole = parse(&text).unwrap();
        assert_eq!(alone.exceptions, whole.exceptions, "{}", path.display());
        assert_eq!(alone.fatal, whole.fatal, "{}", path.display());
    }
}

/// A text that is cut off, or only looks like a trace, yields no trace.
#[test]
fn half_a_trace_is_none() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces/none");
    for file in fs::read_dir(root).unwrap() {
        let path = file.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(parse(&text), None, "{}", path.display());
    }
}

/// A golden for every language, and at least five.
#[test]
fn every_language_has_goldens() {
    for language in LANGUAGES {
        let count = goldens().iter().filter(|path| path.parent().unwrap().ends_with(language)).count();
        assert!(count >= 5, "{language} has {count}");
    }
}

/// A folder that is in neither list would have texts that no test reads.
#[test]
fn every_folder_of_traces_is_listed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces");
    let folders = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let mut found: Vec<String> = folders.map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
    let mut listed: Vec<&str> = LANGUAGES.into_iter().chain(CRASHES).chain(["none"]).collect();
    found.sort_unstable();
    listed.sort_unstable();
    assert_eq!(found, listed, "expected each folder in LANGUAGES or CRASHES");
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

fn check(text: &str) {
    if let Some(trace) = parse(text) {
        assert!(trace.exceptions.len() <= MAX_EXCEPTIONS);
        assert!(!trace.exceptions.is_empty() || trace.fatal && !trace.message.is_empty());
        for (index, exception) in trace.exceptions.iter().enumerate() {
            assert!(exception.frames.len() <= OLDEST_FRAMES + NEWEST_FRAMES);
            assert!(!exception.ty.is_empty());
            assert!(exception.parent.is_none_or(|parent| parent > index));
        }
    }
    let lines: Vec<&str> = text.lines().collect();
    for at in 0..lines.len() {
        assert!(extent(&lines[at..]) <= lines.len() - at);
    }
}

fn char_boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Bytes changed, lines swapped, doubled, dropped and taken from other languages, slices at any character: no panic.
#[test]
fn mutilated_goldens_do_not_panic() {
    const PIECES: [&str; 24] = [
        "\u{e4}",
        "\u{1f600}",
        "(",
        ")",
        "\"",
        "'",
        ":",
        "\n",
        "\t",
        " ",
        "  ",
        "0",
        "99999999999999999999",
        "@",
        "/",
        "[",
        "]",
        " {",
        "}",
        "... ",
        " ---> ",
        "<---",
        "| ",
        "+-",
    ];
    let texts: Vec<String> = goldens().iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let rounds = std::env::var("ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(12usize);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for text in texts.iter().filter(|text| text.len() < 20_000) {
        for _ in 0..rounds {
            let mut text = text.clone();
            for _ in 0..=random.below(6) {
                let (a, b) = (random.below(text.len() + 1), random.below(text.len() + 1));
                let (a, b) = (char_boundary(&text, a.min(b)), char_boundary(&text, a.max(b)));
                match random.below(5) {
                    0 => text.replace_range(a..b.min(char_boundary(&text, (a + 20).min(text.len()))), ""),
                    1 => text.insert_str(a, PIECES[random.below(PIECES.len())]),
                    2 => text = text[a..b].to_owned(),
                    3 => {
                        let mut lines: Vec<&str> = text.lines().collect();
                        let (from, to) = (random.below(lines.len()), random.below(lines.len()));
                        if !lines.is_empty() {
                            lines.swap(from, to);
                            let doubled = lines[from];
                            lines.insert(to, doubled);
                        }
                        text = lines.join("\n");
                    }
                    _ => {
                        let other = &texts[random.below(texts.len())];
                        let line = other.lines().nth(random.below(40)).unwrap_or("").to_owned();
                        text.insert_str(a, &line);
                    }
                }
            }
            check(&text);
        }
    }
}

/// Texts that are built to cause backtracking take linear time: twice the text, about twice the time.
#[test]
fn hostile_texts_cost_what_their_length_says() {
    let units = [
        "java.lang.X: a\n",
        "a.B\n\t... 9 more\n",
        "Caused by: a.B: c\n\t... 1 more\n",
        "\tat a.b(C.java:1)\n",
        "Traceback (most recent call last):\n  File \"a\", line 1, in b\n",
        "  [Previous line repeated 999999 more times]\n",
        "  + Exception Group Traceback (most recent call last):\n  |   File \"a\", line 1, in b\n",
        "panic: a\n",
        "goroutine 1 [running]:\n",
        "a.b\n\t/a.go:1\n",
        "a.rb:1:in `b': c (D)\n",
        "PHP Fatal error:  Uncaught A: b\n",
        "A: b\n ---> ",
        " ---> A.B: c",
        "Error: a\n",
        "\n",
        "{",
        "[cause]: Error: a\n",
        "thread 'a' panicked at a.rs:1:2:\n",
        "Error: Error: Error: ",
        "\u{e4}",
        " ",
        "/a.js:1\n",
        "#0 a(1): b()\n",
        "at a",
        "[",
    ];
    for unit in units {
        let text = unit.repeat(MAX_TEXT / unit.len());
        let begin = std::time::Instant::now();
        let _ = parse(&text);
        let lines: Vec<&str> = text.lines().take(20_000).collect();
        let mut at = 0;
        while at < lines.len() {
            at += extent(&lines[at..]).max(1);
        }
        // Generous: a debug build on a busy machine. What grows with the square takes minutes.
        assert!(begin.elapsed().as_secs() < 20, "{unit:?} took {:?}", begin.elapsed());
    }
    assert!(parse(&"a\n".repeat(MAX_TEXT)).is_none());
}

/// Lines that services print all day begin nothing, whatever follows them.
#[test]
fn ordinary_lines_begin_nothing() {
    let lines = [
        "2026-03-04T10:11:12Z INFO ready",
        "ERROR [svc] java.lang.IllegalStateException: no such shelf",
        "java.lang.IllegalStateException: no such shelf",
        "TypeError: order.ship is not a function",
        "Error: declined",
        "[Error: declined]",
        "[TypeError: declined] {",
        "panic: order 4711 declined",
        "fatal error: unexpected signal",
        "goroutine 7 is slow",
        "thread 'main' is slow",
        "/app/server.js:12",
        "    throw new Error('declined');",
        "{\"level\":\"error\",\"msg\":\"TypeError: x\"}",
        "10.0.0.7 - - [04/Mar/2026:10:11:12 +0000] \"GET / HTTP/1.1\" 500 0",
        "E1120 10:11:12.345678       1 pod.go:12] cannot start",
        "  File is missing",
        "Caused by: nothing much",
        "from here on",
        "#0 of 7 done",
        "Stack trace:",
        "",
        "System.Exception: declined",
        "order declined (PaymentError)",
        "Shop::Declined: order declined",
        "10:11:12 INFO ready",
        "main.worker",
        "ready",
    ];
    for at in 0..lines.len() {
        assert_eq!(extent(&lines[at..]), 0, "{}", lines[at]);
        assert_eq!(parse(&lines[at..].join("\n")), None, "{}", lines[at]);
    }
}

/// A trace of one line is told from any other line.
#[test]
fn single_lines() {
    let rust = parse("thread 'main' panicked at 'declined', src/main.rs:1:2").unwrap();
    assert_eq!((rust.platform, &*rust.exceptions[0].value, rust.exceptions[0].frames.len()), ("native", "declined", 1));
    let ruby = parse("/app/pay.rb:3:in `<main>': declined (Shop::Declined)").unwrap();
    assert_eq!(
        (ruby.platform, &*ruby.exceptions[0].ty, ruby.exceptions[0].frames.len()),
        ("ruby", "Shop::Declined", 1)
    );
    assert_eq!(parse("TypeError: order.ship is not a function"), None);
}

/// Windows line ends make no difference.
#[test]
fn carriage_returns_are_no_text() {
    for path in goldens() {
        let text = fs::read_to_string(&path).unwrap();
        let trace = parse(&text).unwrap();
        let crlf = text.replace('\n', "\r\n");
        assert_eq!(parse(&crlf).unwrap().exceptions, trace.exceptions, "{}", path.display());
    }
}

/// However a text is cut off, what is read of it has no frame that the whole does not have, at most one with less in it.
#[test]
fn cut_goldens_have_no_wrong_frame() {
    // Spark's first stack is a part of the message once the second one is there.
    for path in goldens().into_iter().filter(|path| !path.ends_with("java/spark.txt")) {
        let text = fs::read_to_string(&path).unwrap();
        let whole = parse(&text).unwrap();
        let known: Vec<&Frame> = whole.exceptions.iter().flat_map(|e| &e.frames).collect();
        let right = |frame: &Frame| {
            let place = |known: &Frame| known.lineno == frame.lineno && known.colno == frame.colno;
            // A Python or Node module's name depends on the frame that started the program.
            let by_path = matches!(whole.platform, "python" | "node");
            let name = |known: &Frame| known.function == frame.function && (by_path || known.module == frame.module);
            // Rust's panic has a place without a function, and so has the last one of Perl's callers.
            let bare = frame.function.is_none() && matches!(whole.platform, "native" | "perl");
            known.iter().any(|known| (name(known) || bare) && (place(known) || frame.lineno.is_none()))
        };
        // Neither a number nor the name of a Rust or C symbol tells where it ends.
        let is_number = |c: char| c.is_ascii_digit() || c == '#';
        let numbered = |line: &str| whole.platform == "native" && line.trim().starts_with(is_number);
        let tells =
            |text: &str| !(text.ends_with(|c: char| c.is_ascii_digit()) || numbered(text.rsplit('\n').next().unwrap()));
        let cuts = (0..text.len()).step_by(1 + text.len() / 400).filter(|&at| text.is_char_boundary(at));
        for at in cuts.filter(|&at| tells(&text[..at])) {
            let Some(trace) = parse(&text[..at]) else { continue };
            for frame in trace.exceptions.iter().flat_map(|e| &e.frames) {
                assert!(right(frame), "{} cut at {at}: {frame:?}", path.display());
            }
        }
    }
}
