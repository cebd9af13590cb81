//! Finds the files to read and determines the format of each.

use super::kube::PodLog;
use super::record::Kind;
use clap::ValueEnum;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

/// The format of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Decided by the name and the first line of each file.
    #[default]
    Auto,
    /// A chunk file: records in Fluent Bit's MessagePack format.
    Chunk,
    /// Lines of a container runtime: `<time> stdout|stderr F|P <text>`.
    Cri,
    /// Lines of Docker's json-file driver.
    Docker,
    /// One JSON object per line.
    Json,
    /// Lines as `kubectl logs` prints them with --timestamps or --prefix.
    Kubectl,
    /// Plain lines.
    Text,
}

impl Format {
    /// The kind of lines, where it is given.
    pub(crate) fn lines(self) -> Option<Kind> {
        match self {
            Self::Cri => Some(Kind::Cri),
            Self::Docker => Some(Kind::Docker),
            Self::Json => Some(Kind::Json),
            Self::Kubectl => Some(Kind::Kubectl),
            Self::Text => Some(Kind::Text),
            Self::Auto | Self::Chunk => None,
        }
    }
}

/// One argument of the command.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    path: PathBuf,
    /// Bytes; `None` where nobody can know.
    pub(crate) size: Option<u64>,
}

impl Input {
    /// Looks whether it can be read, so that nothing is sent if one of many cannot.
    pub(crate) fn check(path: &Path) -> io::Result<Self> {
        let input = Self { path: path.to_owned(), size: None };
        if input.is_stdin() {
            return Ok(input);
        }
        let metadata = File::open(path)?.metadata()?;
        if metadata.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "is a directory: name the files in it"));
        }
        Ok(Self { size: metadata.is_file().then_some(metadata.len()), ..input })
    }

    pub(crate) fn is_stdin(&self) -> bool {
        self.path == Path::new("-")
    }

    /// For messages.
    pub(crate) fn name(&self) -> String {
        if self.is_stdin() { "standard input".to_owned() } else { self.path.display().to_string() }
    }

    pub(crate) fn file_name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Returns `ship.` and the file's name without the text after its last dot.
    fn plain_tag(&self) -> String {
        let stem =
            if self.is_stdin() { "stdin".into() } else { self.path.file_stem().unwrap_or_default().to_string_lossy() };
        format!("ship.{stem}")
    }

    /// Returns the tag of its records where the user gives none: of a container's log the one that Fluent Bit's tail input
    /// would give it.
    pub(crate) fn tag(&self) -> String {
        let file_name = self.file_name();
        match PodLog::parse(&file_name) {
            Some(_) => format!("kube.var.log.containers.{file_name}"),
            None => self.plain_tag(),
        }
    }

    pub(crate) fn open(&self) -> io::Result<Box<dyn BufRead + Send>> {
        const BUFFER: usize = 256 << 10;
        if self.is_stdin() {
            return Ok(Box::new(BufReader::with_capacity(BUFFER, io::stdin())));
        }
        Ok(Box::new(BufReader::with_capacity(BUFFER, File::open(&self.path)?)))
    }

    /// Returns true if the file holds MessagePack: by its name, or by a first byte with which no text begins.
    pub(crate) fn is_chunk(&self, reader: &mut dyn BufRead) -> io::Result<bool> {
        if self.path.extension().is_some_and(|extension| extension == "msgpack") {
            return Ok(true);
        }
        let head = reader.fill_buf()?;
        let packer = match head {
            [0x1f, 0x8b, ..] => "zcat",
            [0x28, 0xb5, 0x2f, 0xfd, ..] => "zstdcat",
            _ => return Ok(matches!(head, [0x92 | 0xdc | 0xdd, ..])),
        };
        let problem = format!("is compressed: unpack it first, as in `{packer} FILE | flb-sentry ... -`");
        Err(io::Error::new(io::ErrorKind::InvalidData, problem))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(path: &str) -> Input {
        Input { path: path.into(), size: None }
    }

    #[test]
    fn what_cannot_be_read_is_told_before_anything_is_sent() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Input::check(&directory.path().join("x")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(Input::check(directory.path()).unwrap_err().to_string().contains("is a directory"));
        let file = directory.path().join("x");
        std::fs::write(&file, "abc").unwrap();
        assert_eq!(Input::check(&file).unwrap().size, Some(3));
        assert!(Input::check(Path::new("-")).unwrap().is_stdin());
    }

    #[test]
    fn tags_follow_the_name() {
        assert_eq!(input("/a/app.2.log").plain_tag(), "ship.app.2");
        assert_eq!(input("-").plain_tag(), "ship.stdin");
    }

    #[test]
    fn chunks_are_told_by_name_or_first_byte() {
        let is_chunk = |path: &str, mut head: &[u8]| input(path).is_chunk(&mut head).map_err(|error| error.to_string());
        assert_eq!(is_chunk("a.msgpack", b""), Ok(true));
        assert_eq!(is_chunk("-", b"\x92\x92\xd7"), Ok(true));
        assert_eq!(is_chunk("a.log", b"hello"), Ok(false));
        assert_eq!(is_chunk("a.log", b""), Ok(false));
        assert!(is_chunk("a.log.gz", b"\x1f\x8b\x08").unwrap_err().contains("zcat"));
        assert!(is_chunk("a.log.zst", b"\x28\xb5\x2f\xfd").unwrap_err().contains("zstdcat"));
    }
}
