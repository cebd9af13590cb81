//! The chunks that stages read.

use out_sentry::chunk::count;
use std::fs;
use std::path::{Path, PathBuf};
use testkit::measure::lines;

/// A chunk as large as the host's largest.
const CHUNK: usize = 2_000_000;

/// The input that is read.
#[derive(Clone, Copy)]
pub enum Kind {
    /// Container lines with the kubernetes filter's metadata, of which a host made a chunk.
    Kubernetes,
    /// The lines that [`lines`] writes, as the `tail` input with its `cri` parser makes records of them.
    Lines,
    /// Stack traces, one a record, of each language.
    Traces,
    /// Lines of PostgreSQL, Python, Envoy and klog, whose level stands behind times and names.
    Loggers,
}

/// Chunks, each of about [`CHUNK`] bytes.
pub struct Input {
    /// The chunks.
    pub chunks: Vec<Vec<u8>>,
    /// Their records.
    pub records: u32,
    /// Their bytes.
    pub bytes: usize,
}

impl Kind {
    /// For the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kubernetes => "Kubernetes",
            Self::Lines => "lines",
            Self::Traces => "traces",
            Self::Loggers => "loggers",
        }
    }
}

impl Input {
    /// Reads what a kind stands for.
    pub fn load(kind: Kind) -> Self {
        let chunks = match kind {
            Kind::Kubernetes => kubernetes(),
            Kind::Lines => vec![container_lines()],
            Kind::Traces => vec![traces()],
            Kind::Loggers => vec![loggers()],
        };
        let records = chunks.iter().map(|chunk| count(chunk)).sum();
        let bytes = chunks.iter().map(Vec::len).sum();
        Self { chunks, records, bytes }
    }
}

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut paths: Vec<_> = paths.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
    paths.sort();
    paths
}

fn kubernetes() -> Vec<Vec<u8>> {
    let own = || vec![tests().join("data/chunks/kubernetes.msgpack")];
    let paths = std::env::var_os("BENCH_CHUNKS").map_or_else(own, |dir| files(Path::new(&dir), ".msgpack"));
    let read = |path: PathBuf| fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    paths.into_iter().map(read).map(|chunk| chunk.repeat((CHUNK / chunk.len()).max(1))).collect()
}

/// `[[EventTime, {}], {"time": time, "stream": "stdout", "_p": "F", "log": line}]`
fn container_lines() -> Vec<u8> {
    let written = lines::of(lines::PODS, CHUNK / 260);
    let mut chunk = Vec::new();
    for line in String::from_utf8_lossy(&written).lines() {
        let mut parts = line.splitn(4, ' ');
        let [time, stream, partial, log] = [(); 4].map(|()| parts.next().unwrap_or_default());
        chunk.extend_from_slice(&[0x92, 0x92, 0xd7, 0x00]);
        chunk.extend_from_slice(&1_795_521_000_u32.to_be_bytes());
        // The fraction of the second, of nine digits behind its dot.
        let nanos: u32 = time.get(20..29).and_then(|digits| digits.parse().ok()).unwrap_or_default();
        chunk.extend_from_slice(&nanos.to_be_bytes());
        chunk.extend_from_slice(&[0x80, 0x84]);
        for (key, value) in [("time", time), ("stream", stream), ("_p", partial), ("log", log)] {
            text(&mut chunk, key);
            text(&mut chunk, value);
        }
    }
    chunk
}

/// A string as the host writes it.
fn text(out: &mut Vec<u8>, text: &str) {
    match text.len() {
        len @ 0..32 => out.push(0xa0 | len as u8),
        len @ 32..256 => out.extend_from_slice(&[0xd9, len as u8]),
        len => {
            out.push(0xda);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
    }
    out.extend_from_slice(text.as_bytes());
}

/// The golden traces as records of the plainest kind.
fn traces() -> Vec<u8> {
    let languages =
        fs::read_dir(tests().join("traces")).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let mut languages: Vec<_> = languages.filter(|path| path.is_dir() && !path.ends_with("none")).collect();
    languages.sort();
    let mut chunk = Vec::new();
    let texts: Vec<_> =
        languages.iter().flat_map(|dir| files(dir, ".txt")).filter_map(|path| fs::read(path).ok()).collect();
    for number in 0.. {
        if chunk.len() > CHUNK {
            break;
        }
        record(&mut chunk, number, &texts[number as usize % texts.len()]);
    }
    chunk
}

/// Messages as records of the plainest kind.
pub fn of_lines<'t>(lines: impl IntoIterator<Item = &'t str>) -> Vec<u8> {
    let mut chunk = Vec::new();
    (500_000..).zip(lines).for_each(|(number, line)| record(&mut chunk, number, line.as_bytes()));
    chunk
}

/// Lines of loggers as records of the plainest kind; most are at info.
fn loggers() -> Vec<u8> {
    const LINES: [&str; 8] = [
        "2026-11-24 10:50:46.219 UTC [113] LOG:  checkpoint complete: wrote 17 buffers (0.1%)",
        "2026-11-24 10:50:47.020 UTC [399] app@shop ERROR:  duplicate key value violates unique constraint \"x_pkey\"",
        "2026-11-24 10:50:48,618 - shop.pay - INFO - order 17 of customer 4 paid in 12 ms",
        "INFO:uvicorn.error:Application startup complete.",
        "[2026-11-24 10:50:49.123][11][info][upstream] [source/common/upstream/cluster.cc:12] cds: added 1 cluster",
        "[2026-11-24 10:50:50.123][11][warning][config] [source/common/config/grpc.cc:12] stream closed: 14",
        "I1124 10:50:51.380022    3468 reflector.go:324] \"Listing and watching\" type=\"*v1.Pod\" n=17",
        "E1124 10:50:52.909300       6 kubelet.go:2466] \"Error getting node\" err=\"node \\\"a\\\" not found\"",
    ];
    let mut chunk = Vec::new();
    // From here on no record is too old for Sentry.
    for (number, line) in (500_000..).zip(LINES.iter().cycle()) {
        if chunk.len() > CHUNK {
            break;
        }
        record(&mut chunk, number, line.as_bytes());
    }
    chunk
}

/// `[[EventTime, {}], {"log": text, "n": number}]`; a time of its own makes each an event of its own.
fn record(out: &mut Vec<u8>, number: u32, text: &[u8]) {
    out.extend_from_slice(&[0x92, 0x92, 0xd7, 0x00]);
    out.extend_from_slice(&(1_790_000_000 + number * 10).to_be_bytes());
    out.extend_from_slice(&[0, 0, 0, 0, 0x80, 0x82, 0xa3]);
    out.extend_from_slice(b"log\xdb");
    out.extend_from_slice(&(text.len() as u32).to_be_bytes());
    out.extend_from_slice(text);
    out.extend_from_slice(b"\xa1n\xce");
    out.extend_from_slice(&number.to_be_bytes());
}
