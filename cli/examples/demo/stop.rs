//! Ctrl-C: before the end it stops the demo and leaves nothing behind, at the end it is what the page waits for.

use signal_hook::consts::{SIGINT, SIGTERM};
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::{fs, process, thread};

/// The signals, watched by a thread.
pub struct Stop {
    awaited: Arc<AtomicBool>,
    signalled: Receiver<()>,
}

impl Stop {
    /// From now on a signal ends the process; `dir` goes with it. Child processes have lifelines of their own.
    pub fn watch(dir: &Path) -> io::Result<Self> {
        let (mut wait, signal) = UnixStream::pair()?;
        for number in [SIGINT, SIGTERM] {
            signal_hook::low_level::pipe::register(number, signal.try_clone()?)?;
        }
        let (tell, signalled) = channel();
        let awaited = Arc::new(AtomicBool::new(false));
        let (expected, dir) = (Arc::clone(&awaited), dir.to_owned());
        thread::Builder::new().name("signals".into()).spawn(move || {
            while wait.read_exact(&mut [0]).is_ok() {
                if !expected.load(Ordering::SeqCst) {
                    _ = fs::remove_dir_all(&dir);
                    exit(130);
                }
                _ = tell.send(());
            }
        })?;
        Ok(Self { awaited, signalled })
    }

    /// Returns when somebody wants it to end.
    pub fn wait(&self) {
        self.awaited.store(true, Ordering::SeqCst);
        _ = self.signalled.recv();
    }
}
