//! A headless Chromium, driven over its DevTools protocol: a WebSocket on loopback.

use serde_json::{Value, json};
use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;
use testkit::process::{Group, Launch, on_path, tail};
use testkit::tempdir::TempDir;
use testkit::wait;

/// Longer than anything takes here.
const SOON: Duration = Duration::from_secs(60);

const FLAGS: [&str; 12] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1000,900",
    "--remote-debugging-port=0",
    "about:blank",
];

/// The browser, if there is one.
pub fn available() -> Result<PathBuf, String> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    names.iter().find_map(|name| on_path(name)).ok_or_else(|| "no chromium on PATH".to_owned())
}

/// One page in a browser of its own.
pub struct Page {
    socket: TcpStream,
    id: u64,
    /// Names of what happened since it was opened.
    events: Vec<String>,
    // Before the directory: what still writes into it must end first.
    _browser: Group,
    _profile: TempDir,
}

impl Page {
    /// Starts the browser and loads this.
    pub fn open(browser: &OsStr, url: &str) -> Self {
        let profile = TempDir::new("chromium").expect("expected a directory");
        let (data, log) = (format!("--user-data-dir={}", profile.path().display()), profile.path().join("log"));
        let args = std::iter::once(data.as_str()).chain(FLAGS).map(OsStr::new).collect();
        let launch = Launch {
            program: browser,
            args,
            env: Vec::new(),
            without_env: &[],
            dir: profile.path(),
            temporary: Some(profile.path()),
            log: log.clone(),
        };
        let group = launch.start().expect("expected chromium to start");
        let written = || fs::read_to_string(profile.path().join("DevToolsActivePort")).ok();
        let port = wait::until(SOON, || written()?.lines().next()?.parse::<u16>().ok());
        let port = port.unwrap_or_else(|| panic!("chromium does not listen:\n{}", tail(&log, 20)));
        let target = wait::until(SOON, || target(port)).expect("expected a page in the browser");
        let socket = connect(port, &target);
        let mut page = Self { socket, id: 0, events: Vec::new(), _browser: group, _profile: profile };
        for domain in ["Page", "Runtime", "Log"] {
            page.call(&format!("{domain}.enable"), json!({}));
        }
        page.load(url);
        page
    }

    /// Loads an address, to the end.
    pub fn load(&mut self, url: &str) {
        let before = self.count("Page.loadEventFired");
        self.call("Page.navigate", json!({"url": url}));
        while self.count("Page.loadEventFired") == before {
            self.receive();
        }
    }

    /// The value of an expression in the page.
    pub fn eval(&mut self, expression: &str) -> Value {
        let mut answer = self.call("Runtime.evaluate", json!({"expression": expression, "returnByValue": true}));
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].take()
    }

    /// The text of the page as a person sees it: what is folded is not there.
    pub fn text(&mut self) -> String {
        self.eval("document.body.innerText").as_str().unwrap_or_default().to_owned()
    }

    /// Presses a key and lets it go.
    pub fn press(&mut self, key: &str) {
        let (code, text) = match key {
            "Tab" => (9, None),
            "Enter" => (13, Some("\r")),
            other => panic!("no code for {other}"),
        };
        for kind in ["keyDown", "keyUp"] {
            let mut event = json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code});
            if let (Some(text), "keyDown") = (text, kind) {
                event["text"] = json!(text);
            }
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// Presses a key, and waits for the page that it loads.
    pub fn press_to_load(&mut self, key: &str) {
        let before = self.count("Page.loadEventFired");
        self.press(key);
        while self.count("Page.loadEventFired") == before {
            self.receive();
        }
    }

    /// A small window, and colours for the night.
    pub fn narrow_and_dark(&mut self) {
        let metrics = json!({"width": 375, "height": 800, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", metrics);
        let features = json!([{"name": "prefers-color-scheme", "value": "dark"}]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features}));
    }

    /// A picture of what is to be seen, as PNG in base64.
    pub fn screenshot(&mut self) -> String {
        let answer = self.call("Page.captureScreenshot", json!({"format": "png"}));
        answer["data"].as_str().unwrap_or_default().to_owned()
    }

    /// Returns the number of times that the browser has reported this event.
    pub fn count(&self, event: &str) -> usize {
        self.events.iter().filter(|happened| *happened == event).count()
    }

    fn call(&mut self, method: &str, params: Value) -> Value {
        self.id += 1;
        let id = self.id;
        let request = json!({"id": id, "method": method, "params": params}).to_string();
        self.socket.write_all(&frame(request.as_bytes())).expect("expected the browser to listen");
        loop {
            let mut answer = self.receive();
            if answer["id"] == id {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].take();
            }
        }
    }

    fn receive(&mut self) -> Value {
        let message = read_message(&mut self.socket);
        let message: Value = serde_json::from_slice(&message).expect("expected JSON");
        self.events.extend(message["method"].as_str().map(str::to_owned));
        message
    }
}

/// The path of the first page's socket.
fn target(port: u16) -> Option<String> {
    let answer = testkit::http::get(port, "/json/list", &[]).ok()?;
    let list: Value = serde_json::from_slice(&answer.body).ok()?;
    let page = list.as_array()?.iter().find(|target| target["type"] == "page")?;
    let (_, path) = page["webSocketDebuggerUrl"].as_str()?.split_once("/devtools/")?;
    Some(format!("/devtools/{path}"))
}

fn connect(port: u16, path: &str) -> TcpStream {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).expect("expected a socket");
    socket.set_read_timeout(Some(SOON)).expect("expected a socket");
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).expect("expected the browser to listen");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).expect("expected an answer");
        answer.push(byte[0]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    socket
}

/// One masked text frame (RFC 6455, section 5); a mask of zeros is one too.
fn frame(text: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x81, 0x80 | 127];
    frame.extend((text.len() as u64).to_be_bytes());
    frame.extend([0; 4]);
    frame.extend(text);
    frame
}

/// One message, of as many frames as it has.
fn read_message(socket: &mut TcpStream) -> Vec<u8> {
    let mut message = Vec::new();
    loop {
        let mut head = [0; 2];
        socket.read_exact(&mut head).expect("expected a message");
        let mut wide = [0; 8];
        let length = match head[1] & 0x7f {
            126 => {
                socket.read_exact(&mut wide[6..]).expect("expected a length");
                u64::from_be_bytes(wide)
            }
            127 => {
                socket.read_exact(&mut wide).expect("expected a length");
                u64::from_be_bytes(wide)
            }
            length => u64::from(length),
        };
        let at = message.len();
        message.resize(at + length as usize, 0);
        socket.read_exact(&mut message[at..]).expect("expected a whole message");
        match head[0] & 0x0f {
            8 => panic!("the browser has ended"),
            9 | 10 => message.truncate(at),
            _ if head[0] & 0x80 != 0 => return message,
            _ => {}
        }
    }
}
