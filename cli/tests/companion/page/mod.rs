//! The page of `flb-sentry receive` in a real browser: what a person would look for is there to be seen, and nothing that
//! anybody has logged is more than text.

mod browser;

use browser::Page;
use receiver::{Options, Receiver};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};
use testkit::artefacts::workspace;
use testkit::suite::Suite;

pub fn add(suite: Suite) -> Suite {
    let browser = browser::available();
    suite
        .needing(&browser, "issues_lead_to_frames_breadcrumbs_logs_and_other_events", issues_lead_to_events)
        .needing(&browser, "logs_are_filtered_and_keep_their_order", logs_are_filtered)
        .needing(&browser, "the_keyboard_is_enough", the_keyboard_is_enough)
        .needing(&browser, "problems_are_listed", problems_are_listed)
        .needing(&browser, "what_is_hostile_is_text_and_runs_nothing", what_is_hostile_is_text)
        .needing(&browser, "an_empty_page_says_what_to_do", an_empty_page)
        .needing(&browser, "many_items_are_counted_and_cut", many_items)
        .needing(&browser, "it_fits_a_telephone_and_the_dark", it_fits_a_telephone)
}

fn receiver() -> Receiver {
    Receiver::start(Options::default()).expect("expected a receiver")
}

fn url(receiver: &Receiver) -> String {
    format!("http://{}/", receiver.addr())
}

fn open(browser: &Path, receiver: &Receiver) -> Page {
    Page::open(browser.as_os_str(), &url(receiver))
}

/// The samples of a small cluster, by the plugin.
fn ship_samples(receiver: &Receiver) {
    let samples = workspace().join("tests/samples");
    let line = "exec \"$0\" ship --plugin \"$1\" -o \"dsn=$2\" -o log_level=off -o proxy=none --kube-meta kube-meta containers/*.log";
    let mut command = Command::new("sh");
    command.args(["-c", line, env!("CARGO_BIN_EXE_flb-sentry")]).arg(testkit::plugin()).arg(receiver.dsn());
    let output = command.current_dir(samples).output().expect("expected flb-sentry");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Posts an envelope with one item.
fn post(receiver: &Receiver, kind: &Value, payload: &Value) {
    let mut item = kind.clone();
    let (event_id, payload) = (payload.get("event_id"), payload.to_string());
    item["length"] = json!(payload.len());
    let header = event_id.map_or(json!({}), |id| json!({"event_id": id}));
    let body = format!("{header}\n{item}\n{payload}");
    let mut stream = TcpStream::connect(receiver.addr()).expect("expected the receiver");
    let head = format!(
        "POST /api/1/envelope/?sentry_key={} HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        "0123456789abcdef0123456789abcdef",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).expect("expected to send");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("expected an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("expected a clock").as_secs_f64()
}

fn post_logs(receiver: &Receiver, logs: &[Value]) {
    let kind =
        json!({"type": "log", "item_count": logs.len(), "content_type": "application/vnd.sentry.items.log+json"});
    post(receiver, &kind, &json!({"version": 2, "items": logs}));
}

fn log(body: &str) -> Value {
    json!({"timestamp": now(), "trace_id": "0af7651916cd43dd8448eb211c80319c", "level": "error", "body": body})
}

/// An event that is nothing but a message.
fn plain_event(n: u64) -> Value {
    json!({"event_id": format!("{n:032x}"), "timestamp": now(), "level": "error", "platform": "other",
        "logentry": {"message": format!("kind {n}")}})
}

const ID: &str = "fc6d8c0c43fc4630ad850ee518f1b9d0";

fn issues_lead_to_events(browser: PathBuf) {
    let receiver = receiver();
    ship_samples(&receiver);
    let mut page = open(&browser, &receiver);
    assert_eq!(page.eval("document.title"), "Issues - flb-sentry receive");
    let text = page.text();
    for part in
        ["29 events, 357 logs", "Issues (16)", "ProductNotFound: no product with sku", "shop/catalog", "Logs (357)"]
    {
        assert!(text.contains(part), "expected {part:?}, found {text}");
    }
    let address = "[...document.querySelectorAll('td a')].find(a => a.textContent.startsWith('ProductNotFound')).href";
    let address = page.eval(address);
    page.load(address.as_str().expect("an address"));
    let text = page.text();
    for part in [
        "k8s.namespace.name=shop",
        "release=catalog@2.3.0",
        "find  catalog/store.py:61",
        "raise ProductNotFound(sku) from error",
        "caused by KeyError",
        "Breadcrumbs",
        "Logs of its trace",
        "Exception in ASGI application",
        "2 events of this issue",
    ] {
        assert!(text.contains(part), "expected {part:?}, found {text}");
    }
    let own = page.eval("document.querySelector('.own .text').innerText");
    assert!(own.as_str().expect("a text").contains("Exception in ASGI application"), "expected the line to be marked");
    sound(&mut page);
    let other = page.eval("document.querySelector('#events ~ table tr:not(.own) a').href");
    page.load(other.as_str().expect("an address"));
    assert!(page.text().contains("ProductNotFound") && page.eval("location.href") == other);
    sound(&mut page);
}

fn logs_are_filtered(browser: PathBuf) {
    let receiver = receiver();
    ship_samples(&receiver);
    let mut page = Page::open(browser.as_os_str(), &format!("{}logs?order=oldest", url(&receiver)));
    assert!(page.text().contains("357 logs"), "{}", page.text());
    page.eval(
        "document.getElementById('workload').value = 'shop/web'; document.getElementById('level').value = 'error'",
    );
    page.eval("document.getElementById('q').focus()");
    page.press_to_load("Enter");
    let text = page.text();
    let (of, _) = text.split_once(" of 357 logs").expect("expected the number of logs that are left");
    let left: usize = of.rsplit(|c: char| !c.is_ascii_digit()).next().and_then(|n| n.parse().ok()).expect("a number");
    let levels = page.eval("[...document.querySelectorAll('tbody .level')].map(e => e.textContent)");
    let levels = levels.as_array().expect("levels");
    assert!(
        left > 0 && levels.len() == left && levels.iter().all(|level| level == "error" || level == "fatal"),
        "{text}"
    );
    assert!(text.contains("The oldest first."), "expected the order to stay: {text}");
    sound(&mut page);
}

/// The keyboard alone leads past the menu, and to an event.
fn the_keyboard_is_enough(browser: PathBuf) {
    let receiver = receiver();
    post(&receiver, &json!({"type": "event"}), &plain_event(0));
    let mut page = open(&browser, &receiver);
    let focused = "document.activeElement.textContent";
    page.press("Tab");
    assert_eq!(page.eval(focused), "Skip to the content");
    assert!(page.eval("document.activeElement.getBoundingClientRect().x").as_f64() >= Some(0.0), "expected to see it");
    page.press("Enter");
    assert_eq!(page.eval("document.activeElement.id"), "main");
    let mut passed = Vec::new();
    while passed.last().is_none_or(|last| last != "kind 0") && passed.len() < 20 {
        page.press("Tab");
        passed.push(page.eval(focused));
        assert_ne!(page.eval("getComputedStyle(document.activeElement).outlineStyle"), "none", "expected a focus ring");
    }
    assert_eq!(passed.last().expect("a link"), "kind 0", "{passed:?}");
    page.press_to_load("Enter");
    assert!(page.text().contains(&format!("{:032x}", 0)), "{}", page.text());
}

fn problems_are_listed(browser: PathBuf) {
    let receiver = receiver();
    let mut page = open(&browser, &receiver);
    assert!(page.text().contains("Problems (0)"), "{}", page.text());
    let mut stream = TcpStream::connect(receiver.addr()).expect("expected the receiver");
    stream.write_all(b"POST /api/1/store/ HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").expect("expected to send");
    stream.read_to_string(&mut String::new()).expect("expected an answer");
    page.load(&format!("{}problems", url(&receiver)));
    let text = page.text();
    for part in ["Problems (1)", "1 problem", "nothing at /api/1/store/", "404", "POST"] {
        assert!(text.contains(part), "expected {part:?}, found {text}");
    }
    assert_eq!((receiver.totals().requests, receiver.totals().problems), (1, 1), "expected pages not to be counted");
    sound(&mut page);
}

/// Nothing is wider than the window, and the browser has nothing to complain of.
fn sound(page: &mut Page) {
    let widths = page.eval("[document.documentElement.scrollWidth, window.innerWidth]");
    assert!(widths[0].as_u64() <= widths[1].as_u64(), "it has to be scrolled sideways: {widths}");
    assert_eq!(page.count("Runtime.exceptionThrown") + page.count("Log.entryAdded"), 0);
    assert!(page.screenshot().len() > 1_000);
}

const HOSTILE: &str = "<script>window.ran=1</script><img src=x onerror=\"window.ran=2\"><svg onload='window.ran=3'>\
    </pre></table></details><a href=\"javascript:window.ran=4\">x</a><style>body{display:none}</style>&amp;&lt; \u{202e}txt\u{1b}[2J";

fn what_is_hostile_is_text(browser: PathBuf) {
    let receiver = receiver();
    let frames = json!([{"function": HOSTILE, "filename": HOSTILE, "lineno": 1, "context_line": HOSTILE}]);
    let event = json!({
        "event_id": ID, "timestamp": now(), "level": "error", "platform": "other", "release": "r", "logger": "l",
        "tags": {"hostile": "<b>bold</b>"},
        "logentry": {"formatted": HOSTILE},
        "exception": {"values": [{"type": "E", "value": HOSTILE, "stacktrace": {"frames": frames}}]},
        "breadcrumbs": {"values": [{"timestamp": now(), "message": HOSTILE, "level": "info"}]},
        "contexts": {"trace": {"trace_id": "0af7651916cd43dd8448eb211c80319c", "span_id": "b7ad6b7169203331"}},
    });
    post(&receiver, &json!({"type": "event"}), &event);
    post_logs(&receiver, &[log(HOSTILE), log(&"x".repeat(300_000)), log(&"\u{e9} ".repeat(100_000))]);
    let mut page = open(&browser, &receiver);
    for (path, shown) in [
        // The title.
        ("", 1),
        // Title, message, exception, two of the frame and its line, breadcrumb, log around it, title among the events.
        (&*format!("events/{ID}"), 9),
        ("logs", 1),
    ] {
        page.load(&format!("{}{path}", url(&receiver)));
        assert_eq!(page.eval("typeof window.ran"), "undefined");
        let elements =
            "document.querySelectorAll('script, img, svg, body style ~ style, main b a, table table').length";
        assert_eq!(page.eval(elements), 0);
        let text = page.text();
        assert_eq!(text.matches("<script>window.ran=1</script>").count(), shown, "{path}: {text}");
        assert!(page.eval("document.documentElement.outerHTML.length").as_u64() < Some(100_000), "{path}");
        sound(&mut page);
        if path.starts_with("events") {
            assert!(text.contains("\\u{202e}txt\\u{1b}[2J") && text.contains("hostile=<b>bold</b>"), "{text}");
        }
    }
    assert!(page.text().contains("... and 298000 more characters, in JSON"), "expected a page that can be read");
}

fn an_empty_page(browser: PathBuf) {
    let receiver = receiver();
    let mut page = open(&browser, &receiver);
    let text = page.text();
    let way = format!("echo 'ERROR hello' | flb-sentry ship -o dsn={} -", receiver.dsn());
    for part in ["0 events, 0 logs", "Nothing has come yet", way.as_str()] {
        assert!(text.contains(part), "expected {part:?}, found {text}");
    }
    sound(&mut page);
    post_logs(&receiver, &[log("only a log")]);
    page.load(&url(&receiver));
    let text = page.text();
    assert!(text.contains("Issues (0)") && text.contains("Logs (1)"), "{text}");
}

fn many_items(browser: PathBuf) {
    let receiver = receiver();
    for n in 0..300 {
        post(&receiver, &json!({"type": "event"}), &plain_event(n));
    }
    for part in 0..10 {
        post_logs(&receiver, &(0..1000).map(|n| log(&format!("log {part} {n}"))).collect::<Vec<_>>());
    }
    let mut page = open(&browser, &receiver);
    let rows = "document.querySelectorAll('tbody tr').length";
    for (path, number, parts, absent) in [
        ("", 200, ["300 events, 10000 logs", "Issues (300)", "kind 299"], "kind 99\n"),
        ("?page=2", 100, ["Page 2 of 2", "Previous page", "kind 99"], "kind 100\n"),
        ("logs", 500, ["10000 logs", "Next page", "log 9 999"], "log 8 "),
        ("logs?order=oldest", 500, ["Page 1 of 20", "The oldest first.", "log 0 0"], "log 9 "),
    ] {
        page.load(&format!("{}{path}", url(&receiver)));
        let text = page.text();
        for part in parts {
            assert!(text.contains(part), "{path}: expected {part:?}");
        }
        assert!(!text.contains(absent), "{path}: expected {absent:?} on another page");
        assert_eq!(page.eval(rows), number, "{path}");
        sound(&mut page);
    }
}

fn it_fits_a_telephone(browser: PathBuf) {
    let receiver = receiver();
    ship_samples(&receiver);
    let mut page = open(&browser, &receiver);
    page.narrow_and_dark();
    let event = receiver.events().iter().rev().find(|event| event.payload["exception"].is_object()).cloned();
    let event = format!("events/{}", event.expect("an event with a stack trace").event_id);
    for path in ["", "logs", "problems", &event] {
        page.load(&format!("{}{path}", url(&receiver)));
        page.eval("document.querySelectorAll('details').forEach(e => e.open = true)");
        assert_eq!(page.eval("window.innerWidth"), 375);
        assert_ne!(page.eval("getComputedStyle(document.body).backgroundColor"), "rgb(255, 255, 255)");
        let titles = "[...document.querySelectorAll('td.wide')].every(e => e.getBoundingClientRect().width > 300)";
        assert_eq!(page.eval(titles), true, "{path}: expected texts as wide as the window");
        sound(&mut page);
    }
}
