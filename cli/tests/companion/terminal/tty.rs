//! A command on a terminal of its own, by `script` of util-linux, and somebody who reads and types.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use testkit::wait;

/// Longer than anything takes here.
const SOON: Duration = Duration::from_secs(60);

/// The character that Ctrl-C types.
pub const CTRL_C: &str = "\u{3}";

pub struct Terminal {
    script: Child,
    keys: Option<ChildStdin>,
    screen: Arc<Screen>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Screen {
    text: Mutex<String>,
    changed: Condvar,
}

/// `Ok` if there is a `script` to open a terminal with.
pub fn available() -> Result<(), String> {
    match Command::new("script").arg("--version").output() {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("no `script` to open a terminal with: {error}")),
    }
}

impl Terminal {
    /// Runs `flb-sentry` with these words, in a shell's spelling; `env` goes before it.
    pub fn open(env: &str, words: &str) -> Self {
        // In the shell's place: a shell that waits for the command gets Ctrl-C too, and which exit code is told then
        // depends on which shell it is.
        let line = format!("stty cols 100 rows 30; exec env {env} '{}' {words}", env!("CARGO_BIN_EXE_flb-sentry"));
        let mut command = Command::new("script");
        command.args(["-qec", &line, "/dev/null"]).env("TERM", "xterm-256color").env("SHELL", "/bin/sh");
        super::foreign().for_each(|name| _ = command.env_remove(name));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut script = command.spawn().expect("expected script");
        let (keys, mut output) = (script.stdin.take(), script.stdout.take().expect("expected its output"));
        let screen = Arc::new(Screen::default());
        let shared = Arc::clone(&screen);
        let reader = thread::spawn(move || {
            let mut part = [0; 4096];
            while let Ok(read @ 1..) = output.read(&mut part) {
                let text = String::from_utf8_lossy(&part[..read]);
                shared.text.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
                shared.changed.notify_all();
            }
        });
        Self { script, keys, screen, reader: Some(reader) }
    }

    /// Waits until it has shown this.
    pub fn shows(&self, wanted: &str) {
        let text = self.screen.text.lock().expect("no panic");
        let waited = self.screen.changed.wait_timeout_while(text, SOON, |text| !text.contains(wanted));
        let (text, waited) = waited.expect("no panic");
        assert!(!waited.timed_out(), "expected {wanted:?}, found {text}");
    }

    /// Waits for a line that begins so, and answers its rest.
    pub fn shows_line(&self, beginning: &str) -> String {
        self.shows(&format!("\n{beginning}"));
        let of_line = |text: &str| {
            let (_, rest) = text.split_once(&format!("\n{beginning}"))?;
            rest.split_once('\r').map(|(line, _)| line.to_owned())
        };
        let line = wait::until(SOON, || of_line(&self.screen.text.lock().expect("no panic")));
        line.expect("expected the line to end")
    }

    pub fn press(&mut self, keys: &str) {
        let pipe = self.keys.as_mut().expect("expected a keyboard");
        pipe.write_all(keys.as_bytes()).and_then(|()| pipe.flush()).expect("expected to type");
    }

    /// Waits for its end: exit code, and all that was shown.
    pub fn ended(mut self) -> (i32, String) {
        let status = super::ended(&mut self.script);
        self.reader.take().map(JoinHandle::join);
        let text = self.screen.text.lock().expect("no panic").clone();
        (status.code().unwrap_or(-1), text)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Without its terminal the command ends too.
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}
