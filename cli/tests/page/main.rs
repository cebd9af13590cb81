//! The page of `flb-sentry receive` in a real browser: what a person would look for is there to be seen, and nothing that
//! anybody has logged is more than text.

#[path = "../../../tests/support/mod.rs"]
mod support;

mod browser;

use browser::Page;
use flb_sentry::receive::{Options, Receiver};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{SystemTime, UNIX_EPOCH};
use support::artefacts::workspace;
use support::suite::Suite;

fn main() -> ExitCode {
    let browser = browser::available();
    Suite::default()
        // Each has a browser of its own.
        .at_once(2)
        .needing(&browser, "issues_open_to_frames_breadcrumbs_and_the_logs_around", issues_open)
        .needing(&browser, "an_issue_has_an_address_of_its_own", an_address_of_its_own)
        .needing(&browser, "what_is_hostile_is_text_and_runs_nothing", what_is_hostile_is_text)
        .needing(&browser, "an_empty_page_says_what_to_do", an_empty_page)
        .needing(&browser, "many_items_are_counted_and_cut", many_items)
        .needing(&browser, "it_fits_a_telephone_and_the_dark", it_fits_a_telephone)
        .run()
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
    command.args(["-c", line, env!("CARGO_BIN_EXE_flb-sentry")]).arg(support::plugin()).arg(receiver.dsn());
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

const ID: &str = "fc6d8c0c43fc4630ad850ee518f1b9d0";

fn issues_open(browser: PathBuf) {
    let receiver = receiver();
    ship_samples(&receiver);
    let mut page = open(&browser, &receiver);
    assert_eq!(page.eval("document.title"), "flb-sentry receive");
    let text = page.text();
    for part in ["29 events, 357 logs", "Issues (16)", "ProductNotFound: no product with sku", "×2", "Logs (357)"] {
        assert!(text.contains(part), "expected {part:?}, found {text}");
    }
    assert!(!text.contains("Breadcrumbs"), "issues are folded at first");
    let titles = page.eval("[...document.querySelectorAll('.title')].map(e => e.textContent)");
    let titles: Vec<&str> = titles.as_array().expect("titles").iter().filter_map(Value::as_str).collect();
    let wanted = titles.iter().position(|title| title.starts_with("ProductNotFound")).expect("an issue");
    let issue = format!("details:nth-of-type({})", wanted + 1);
    page.click(&format!("{issue} > summary"));
    let text = page.eval(&format!("document.querySelector({issue:?}).innerText"));
    let text = text.as_str().expect("a text");
    for part in [
        "k8s.namespace.name=shop",
        "release=catalog@2.3.0",
        "find  catalog/store.py:61",
        "raise ProductNotFound(sku) from error",
        "caused by KeyError",
        "Breadcrumbs",
        "Logs of its trace",
        "Exception in ASGI application",
    ] {
        assert!(text.contains(part), "expected {part:?}, found {text}");
    }
    let own = format!("[...document.querySelectorAll({:?})].map(e => e.innerText).join()", format!("{issue} .own"));
    assert!(
        page.eval(&own).as_str().expect("a text").contains("Exception in ASGI application"),
        "the line itself is marked"
    );
    page.click(&format!("{issue} > summary"));
    assert!(!page.text().contains("Breadcrumbs"), "and folds again");
    sound(&mut page);
}

/// Nothing is wider than the window, and the browser has nothing to complain of.
fn sound(page: &mut Page) {
    let widths = page.eval("[document.documentElement.scrollWidth, window.innerWidth]");
    assert!(widths[0].as_u64() <= widths[1].as_u64(), "it has to be scrolled sideways: {widths}");
    assert_eq!(page.count("Runtime.exceptionThrown") + page.count("Log.entryAdded"), 0);
    assert!(page.screenshot().len() > 1_000);
}

fn an_address_of_its_own(browser: PathBuf) {
    let receiver = receiver();
    ship_samples(&receiver);
    let event = receiver.events().last().expect("an event").event_id.clone();
    let mut page = Page::open(browser.as_os_str(), &format!("{}#{event}", url(&receiver)));
    let open = page.eval("[...document.querySelectorAll('details[open] p[id]')].map(e => e.id)");
    assert_eq!(open, json!([event]), "it is unfolded");
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
    page.click("summary");
    assert_eq!(page.eval("typeof window.ran"), "undefined");
    assert_eq!(page.eval("document.querySelectorAll('script, img, svg, body style, details b a').length"), 0);
    let text = page.text();
    // Title, message, exception, two of the frame and its line, breadcrumb, log around it, log.
    assert_eq!(text.matches("<script>window.ran=1</script>").count(), 9, "{text}");
    assert!(text.contains("\\u{202e}txt\\u{1b}[2J") && text.contains("hostile=<b>bold</b>"), "{text}");
    assert!(text.contains("... and 298000 more characters, in JSON"), "the page stays one that can be read");
    assert!(page.eval("document.documentElement.outerHTML.length").as_u64() < Some(100_000));
    sound(&mut page);
}

fn an_empty_page(browser: PathBuf) {
    let receiver = receiver();
    let mut page = open(&browser, &receiver);
    let text = page.text();
    let way = format!("echo 'ERROR hello' | flb-sentry ship -o dsn={} -", receiver.dsn());
    for part in ["0 events, 0 logs", "Nothing has come yet", way.as_str()] {
        assert!(text.contains(part), "expected {part:?}, found {text}");
    }
    assert!(!text.contains("Issues"), "{text}");
    sound(&mut page);
    post_logs(&receiver, &[log("only a log")]);
    page.load(&url(&receiver));
    let text = page.text();
    assert!(text.contains("Issues (0)") && text.contains("only a log"), "{text}");
}

fn many_items(browser: PathBuf) {
    let receiver = receiver();
    for n in 0..300 {
        let event = json!({"event_id": format!("{n:032x}"), "timestamp": now(), "level": "error", "platform": "other",
            "logentry": {"message": format!("kind {n}")}});
        post(&receiver, &json!({"type": "event"}), &event);
    }
    for part in 0..10 {
        post_logs(&receiver, &(0..1000).map(|n| log(&format!("log {part} {n}"))).collect::<Vec<_>>());
    }
    let mut page = open(&browser, &receiver);
    let text = page.text();
    for part in [
        "300 events, 10000 logs",
        "Issues (the newest 200 of 300",
        "Logs (the newest 500 of 10000",
        "kind 299",
        "log 9 999",
    ] {
        assert!(text.contains(part), "expected {part:?}");
    }
    assert!(!text.contains("kind 99\n") && !text.contains("log 8 "), "the oldest are left out");
    let rows =
        page.eval("[document.querySelectorAll('details').length, document.querySelectorAll('body > table tr').length]");
    assert_eq!(rows, json!([200, 500]));
    sound(&mut page);
}

fn it_fits_a_telephone(browser: PathBuf) {
    let receiver = receiver();
    ship_samples(&receiver);
    let mut page = open(&browser, &receiver);
    page.narrow_and_dark();
    page.load(&url(&receiver));
    page.eval("document.querySelectorAll('details').forEach(e => e.open = true)");
    assert_eq!(page.eval("window.innerWidth"), 400);
    assert_ne!(page.eval("getComputedStyle(document.body).backgroundColor"), "rgb(255, 255, 255)");
    sound(&mut page);
}
