//! Numbered records that come by the `forward` protocol or from many files, as logs of the pods of a node do.

use super::harness::{self, ARRIVES_WITHIN, NAME, SPOOL};
use receiver::Receiver;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;
use testkit::fluent_bit::{FluentBit, Format, SERVICE};
use testkit::tempdir::TempDir;
use testkit::{net, plugin, wait};

const PARSERS: &str = "[PARSER]\n    Name numbered\n    Format json\n";

/// Source of the records of a test.
pub enum Source {
    /// A connection of the `forward` protocol: what Fluent Bit has not flushed is lost with it.
    Forward(Forwarder),
    /// A file for each stream: Fluent Bit goes on where it was.
    Files(Files),
}

impl Source {
    /// The section of the input.
    pub fn input(&self) -> String {
        match self {
            Self::Forward(forwarder) => {
                format!("[INPUT]\n    Name forward\n    Listen 127.0.0.1\n    Port {}\n", forwarder.port)
            }
            Self::Files(files) => files.input(),
        }
    }

    /// One record of each of so many streams.
    pub fn send(&mut self, streams: usize) {
        match self {
            Self::Forward(forwarder) => forwarder.send(streams),
            Self::Files(files) => files.append(streams),
        }
    }

    /// Returns the number of records.
    pub fn total(&self) -> u64 {
        match self {
            Self::Forward(forwarder) => forwarder.next,
            Self::Files(files) => files.next,
        }
    }

    /// The host is another process now.
    pub fn reconnect(&mut self) {
        if let Self::Forward(forwarder) = self {
            forwarder.stream = None;
        }
    }
}

/// Sends records of the `forward` protocol, each with a number that no other has.
pub struct Forwarder {
    port: u16,
    stream: Option<TcpStream>,
    next: u64,
}

impl Forwarder {
    pub fn new() -> Self {
        Self { port: net::free_port().expect("expected a free port"), stream: None, next: 0 }
    }

    /// One line of each of so many streams: `[tag, time, {"log": ..., "n": number}]`.
    fn send(&mut self, streams: usize) {
        use rmp::encode::{write_array_len, write_map_len, write_str, write_uint};
        let mut out = Vec::new();
        for stream in 0..streams {
            write_array_len(&mut out, 3).unwrap();
            write_str(&mut out, &format!("stream.{stream}")).unwrap();
            write_uint(&mut out, 1_795_161_600 + self.next).unwrap();
            write_map_len(&mut out, 2).unwrap();
            write_str(&mut out, "log").unwrap();
            write_str(&mut out, &format!("line {} of stream {stream}", self.next)).unwrap();
            write_str(&mut out, "n").unwrap();
            write_uint(&mut out, self.next).unwrap();
            self.next += 1;
        }
        let connect = || TcpStream::connect(("127.0.0.1", self.port)).ok();
        let stream = self.stream.take().or_else(|| wait::until(Duration::from_secs(10), connect));
        let stream = self.stream.insert(stream.expect("expected the input to listen"));
        stream.write_all(&out).expect("expected the input to take records");
    }
}

/// A directory with a growing file for each stream.
pub struct Files {
    dir: TempDir,
    next: u64,
}

impl Files {
    pub fn new() -> Self {
        let dir = TempDir::new("streams").expect("expected a directory");
        fs::write(dir.path().join("parsers.conf"), PARSERS).expect("expected to write parsers");
        Self { dir, next: 0 }
    }

    fn parsers(&self) -> PathBuf {
        self.dir.path().join("parsers.conf")
    }

    fn input(&self) -> String {
        format!(
            "[INPUT]\n    Name tail\n    Tag stream.*\n    Path {}/*.log\n    Parser numbered\n    Read_from_Head On\n    \
             DB ${{STATE}}/tail.db\n    Refresh_Interval 1\n    storage.type filesystem\n",
            self.dir.path().display()
        )
    }

    fn append(&mut self, streams: usize) {
        for stream in 0..streams {
            let mut line = String::new();
            _ = writeln!(line, r#"{{"n":{},"log":"line {0} of stream {stream}"}}"#, self.next);
            let path = self.dir.path().join(format!("{stream}.log"));
            let file = File::options().create(true).append(true).open(path);
            file.and_then(|mut file| file.write_all(line.as_bytes())).expect("expected to append");
            self.next += 1;
        }
    }
}

/// The configuration of a host that sends the records of `source` to a DSN with a spool; `more` are further options.
pub fn config(source: &Source, dsn: &str, more: &[&str]) -> String {
    let parsers = match source {
        Source::Forward(_) => String::new(),
        Source::Files(files) => format!("    Parsers_File {}\n", files.parsers().display()),
    };
    let service =
        format!("{SERVICE}{parsers}    storage.path ${{STATE}}/buffers\n    scheduler.base 1\n    scheduler.cap 1\n");
    let lines = [&[SPOOL, "event_level off"], more].concat();
    [service, source.input(), harness::output(NAME, dsn, &lines)].join("\n")
}

/// Starts a host with the plugin and variables of the test's own.
pub fn start(config: &str, env: &[(&str, &str)]) -> FluentBit {
    let library = plugin().display().to_string();
    FluentBit::start_with_env(config, Format::Classic, &["-e", &library], env).unwrap_or_else(|error| panic!("{error}"))
}

/// Returns the number of times that each number arrived.
pub fn numbers(receiver: &Receiver) -> BTreeMap<u64, u32> {
    let mut numbers = BTreeMap::new();
    for log in receiver.logs() {
        let number = log.payload["attributes"]["n"]["value"].as_u64().expect("expected a number");
        *numbers.entry(number).or_default() += 1;
    }
    numbers
}

/// Waits until `total` different records have come.
pub fn wait_for(receiver: &Receiver, total: u64, host: &FluentBit) {
    let came = receiver.wait_until(ARRIVES_WITHIN, |seen| seen.totals.logs >= total)
        && wait::until_true(ARRIVES_WITHIN, || numbers(receiver).len() as u64 >= total);
    let numbers = numbers(receiver);
    let missing: Vec<_> = (0..total).filter(|number| !numbers.contains_key(number)).take(20).collect();
    assert!(came && missing.is_empty(), "{} of {total} came, not {missing:?}\n{}", numbers.len(), host.log());
}

/// Panics if a record has come more than once.
pub fn assert_once(receiver: &Receiver) {
    let again: Vec<_> = numbers(receiver).into_iter().filter(|(_, times)| *times > 1).collect();
    assert!(again.is_empty(), "{} records came again: {:?}", again.len(), &again[..again.len().min(20)]);
}
