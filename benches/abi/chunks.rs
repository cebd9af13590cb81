//! The chunks that are flushed: one a pod, as a node agent makes them, or the files that somebody brings.

use std::path::{Path, PathBuf};
use std::{fs, io};
use testkit::measure::lines;

/// Bytes of a chunk: the host closes one at about 2 MB.
const CHUNK: usize = 2_000_000;
/// Bytes of the chunk whose flush is timed.
pub const LARGE: usize = 3_600_000;
/// Bytes of the small one: what a line a second makes of each stream.
pub const SMALL: usize = 1_000;

/// Writes a chunk for each pod of the samples into `dir`, and a large one; answers with the directory to flush from:
/// `BENCH_CHUNKS`, where that is set.
///
/// # Errors
/// When the samples cannot be read or the chunks not be written.
pub fn make(dir: &Path) -> Result<PathBuf, String> {
    let all = dir.join("chunks");
    fs::create_dir_all(&all).map_err(|error| format!("{}: {error}", all.display()))?;
    for pod in lines::PODS {
        write(&all.join(format!("{}.msgpack", pod.0)), &chunk(pod, CHUNK)?)?;
    }
    write(&large(dir), &chunk(&lines::PODS[0], LARGE)?)?;
    write(&small(dir), &chunk(&lines::PODS[0], SMALL)?)?;
    Ok(std::env::var_os("BENCH_CHUNKS").map_or(all, PathBuf::from))
}

/// Returns the path of the large chunk.
pub fn large(dir: &Path) -> PathBuf {
    dir.join("large.msgpack")
}

/// Path of the small chunk.
pub fn small(dir: &Path) -> PathBuf {
    dir.join("small.msgpack")
}

/// The chunk files in a directory, in the order of their names; or the one file.
///
/// # Errors
/// When it cannot be read.
pub fn read(path: &Path) -> io::Result<Vec<Vec<u8>>> {
    if path.is_file() {
        return Ok(vec![fs::read(path)?]);
    }
    let mut files = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "msgpack"));
    files.sort();
    files.into_iter().map(fs::read).collect()
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))
}

/// Of at least so many bytes, and not a record more.
fn chunk(pod: &(&str, &[&str]), bytes: usize) -> Result<Vec<u8>, String> {
    let samples = testkit::artefacts::workspace().join("tests/samples");
    let name = log_of(pod.0, &samples.join("containers")).map_err(|error| format!("samples: {error}"))?;
    let made =
        |count| flb_sentry::input::chunk_of_container(&name, &lines::of(&[*pod], count), &samples.join("kube-meta"));
    const FEW: usize = 100;
    let length = made(FEW)?.len();
    made((bytes * FEW).div_ceil(length))
}

/// The name of this pod's log.
fn log_of(pod: &str, dir: &Path) -> io::Result<String> {
    let names = fs::read_dir(dir)?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut names = names.filter(|name| name.starts_with(pod));
    names.next().ok_or_else(|| io::Error::other(format!("{}: expected a log of {pod}", dir.display())))
}
