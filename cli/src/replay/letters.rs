//! Feeds dead letters again: packs them into chunks, and removes a file once Sentry has its contents.

use super::marker::{Marker, marker};
use crate::check::read_plain;
use crate::ship::chunk::Chunk;
use crate::ship::console::Console;
use crate::ship::queue::Queue;
use crate::ship::session::Source;
use crate::terminal::counted;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fs, io};

/// Letters of one tag travel together up to this size.
const MOST_BYTES: usize = 256 << 10;

/// Bytes of a file of letters; the plugin writes none that is nearly as long.
const MOST_FILE: u64 = 256 << 20;

/// Feeds letters file by file.
pub(super) struct Letters {
    files: Vec<PathBuf>,
    keep: bool,
    queue: Arc<Queue>,
    console: Arc<Console>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Whole files that were offered, and in how many chunks.
    offered: Vec<(usize, u64)>,
    problems: usize,
}

impl Letters {
    pub(super) fn new(files: Vec<PathBuf>, keep: bool, queue: Arc<Queue>, console: Arc<Console>) -> Self {
        Self { files, keep, queue, console, state: Mutex::default() }
    }

    /// Removes the files whose every chunk was answered OK: their items are accepted, or among the dead letters again.
    pub(super) fn sweep(&self) {
        if self.keep {
            return;
        }
        let (done, left) = {
            let mut state = self.lock();
            std::mem::take(&mut state.offered)
                .into_iter()
                .partition(|(file, chunks)| self.queue.ok_of(*file) == *chunks)
        };
        self.lock().offered.extend::<Vec<_>>(left);
        let done: Vec<(usize, u64)> = done;
        for (file, _) in done {
            let path = &self.files[file];
            if let Err(error) = fs::remove_file(path) {
                self.problem(&format!("{}: was sent, but cannot be removed: {error}", path.display()));
            }
        }
    }

    /// False if nobody wants more.
    fn file(&self, file: usize, path: &Path) -> io::Result<bool> {
        let bytes = read_plain(path, MOST_FILE)?;
        let (chunks, read) = pack(&bytes, file);
        let number = chunks.len() as u64;
        for chunk in chunks {
            if !self.queue.offer(chunk) {
                return Ok(false);
            }
        }
        if read < bytes.len() {
            let rest = counted((bytes.len() - read) as u64, "byte");
            self.problem(&format!(
                "{}: expected a letter at offset {read}; keeping {rest} in the file",
                path.display()
            ));
        } else {
            self.lock().offered.push((file, number));
        }
        Ok(true)
    }

    fn problem(&self, problem: &str) {
        self.console.say(problem);
        self.lock().problems += 1;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source for Letters {
    fn run(&self) {
        for (file, path) in self.files.iter().enumerate() {
            match self.file(file, path) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => self.problem(&format!("{}: {error}", path.display())),
            }
        }
        self.queue.fed();
    }

    fn cannot_run(&self, error: &io::Error) {
        self.problem(&format!("cannot start a thread: {error}"));
        self.queue.fed();
    }

    fn tick(&self) {
        self.sweep();
    }

    /// The records of letters have kept their times.
    fn moved(&self) -> u64 {
        0
    }

    fn problems(&self) -> usize {
        self.lock().problems
    }
}

/// Returns the chunks that a file becomes, and the number of its bytes that could be read. Dead letters keep their markers,
/// by which the plugin knows them again. Bytes that are no record stay alone: they could swallow the following ones.
fn pack(bytes: &[u8], file: usize) -> (Vec<Chunk>, usize) {
    let mut chunks: Vec<Chunk> = Vec::new();
    let (mut at, mut open) = (0, false);
    while let Some((marker, whole)) = next(&bytes[at..]) {
        at += whole.len();
        let tag = String::from_utf8_lossy(marker.tag);
        let content = if marker.is_item { whole } else { &whole[marker.size..] };
        let room = |last: &&mut Chunk| *last.tag == *tag && last.bytes.len() + content.len() <= MOST_BYTES;
        match chunks.last_mut().filter(|_| open && marker.is_item).filter(room) {
            Some(last) => {
                last.bytes.extend_from_slice(content);
                last.records += marker.records;
                last.source_bytes += whole.len() as u64;
            }
            None => chunks.push(Chunk {
                tag: (*tag).into(),
                bytes: content.to_vec(),
                records: marker.records,
                source_bytes: whole.len() as u64,
                file,
            }),
        }
        open = marker.is_item;
    }
    (chunks, at)
}

/// The marker at the start, and all that belongs to it.
fn next(bytes: &[u8]) -> Option<(Marker<'_>, &[u8])> {
    let marker = marker(bytes)?;
    Some((marker, bytes.get(..marker.size.checked_add(marker.length)?)?))
}

#[cfg(test)]
mod tests {
    use super::super::marker::written;
    use super::*;

    fn letter(tag: &str, data: &[u8], item: bool) -> Vec<u8> {
        let words: &[(&str, &str)] =
            if item { &[("outcome", "rejected"), ("category", "log")] } else { &[("outcome", "invalid")] };
        [written(tag, data.len(), words), data.to_vec()].concat()
    }

    #[test]
    fn letters_of_a_tag_travel_together_and_what_was_no_record_alone() {
        let (a, b) = (letter("a", b"xy", true), letter("b", b"z", true));
        let broken = letter("b", b"\xc1\xc1", false);
        let file = [&a[..], &a, &b, &broken, &b, &b].concat();
        let (chunks, read) = pack(&file, 3);
        let shape: Vec<_> = chunks.iter().map(|chunk| (&*chunk.tag, chunk.bytes.clone())).collect();
        let expected =
            [("a", [&a[..], &a].concat()), ("b", b.clone()), ("b", b"\xc1\xc1".to_vec()), ("b", [&b[..], &b].concat())];
        assert_eq!(shape, expected);
        assert!(read == file.len() && chunks.iter().all(|chunk| chunk.file == 3));
        assert_eq!(chunks.iter().map(|chunk| chunk.source_bytes).sum::<u64>(), file.len() as u64);
    }

    #[test]
    fn a_torn_file_gives_its_whole_letters() {
        let one = letter("a", b"xyz", true);
        let file = [&one[..], &one[..one.len() - 1]].concat();
        let (chunks, read) = pack(&file, 0);
        assert_eq!((chunks.len(), read), (1, one.len()));
        assert_eq!(pack(b"something else", 0).1, 0);
    }
}
