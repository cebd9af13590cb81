//! Turns files into the records that Fluent Bit's inputs, parsers and kubernetes filter would make of them.
//!
//! ```text
//! file -> lines -> line_file -> cri, docker, kubectl -> record -> encode      or chunk_file, as it is
//!                                                        ^-- kube
//! ```

pub(crate) mod chunk_file;
pub(crate) mod cri;
pub(crate) mod docker;
pub(crate) mod encode;
pub(crate) mod file;
pub(crate) mod kube;
pub(crate) mod kubectl;
pub(crate) mod line_file;
pub(crate) mod lines;
pub(crate) mod moved;
pub(crate) mod record;
pub(crate) mod time;

use std::path::Path;

/// Returns a chunk of a container's log: the records that Fluent Bit's tail input and its kubernetes filter make of these
/// lines.
///
/// `name` is the log's file name, `kube_meta` the directory where its pod is described.
///
/// # Errors
/// The missing part: that of the name, or the pod's description.
pub fn chunk_of_container(name: &str, lines: &[u8], kube_meta: &Path) -> Result<Vec<u8>, String> {
    let log = kube::PodLog::parse(name).ok_or_else(|| format!("{name}: expected the name of a container's log"))?;
    let mut missing = None;
    let kubernetes = log.kubernetes(Some(kube_meta), |problem| missing = Some(problem.to_owned()));
    if let Some(problem) = missing {
        return Err(problem);
    }
    let mut file = line_file::LineFile::new(Some(record::Kind::Cri), Some(kubernetes));
    let mut chunk = Vec::with_capacity(lines.len() * 6);
    for line in lines.split(|byte| *byte == b'\n') {
        if let line_file::Made::Record(record) = file.line(line) {
            chunk.extend_from_slice(record);
        }
    }
    Ok(chunk)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const NAME: &str = "p_n_c-4f2b6c0d9e8f7a6b5c4d3e2f1a0b9c8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b.log";

    #[test]
    fn a_container_s_lines_become_a_chunk_with_its_pod() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("n_p.meta"), r#"{"metadata":{"labels":{"a":"1"}}}"#).unwrap();
        let lines =
            b"2026-11-20T08:00:00.001376970Z stdout F {\"x\":1}\n\n2026-11-20T08:00:00.001376970Z stderr F two\n";
        let chunk = chunk_of_container(NAME, lines, directory.path()).unwrap();
        let mut file = chunk_file::ChunkFile::new(chunk.as_slice());
        let records =
            std::iter::from_fn(|| file.next().unwrap().map(|unit| matches!(unit, chunk_file::Unit::Records(_, 1))));
        assert_eq!(records.collect::<Vec<_>>(), [true, true]);
        let holds = |bytes: &[u8]| chunk.windows(bytes.len()).filter(|window| *window == bytes).count();
        assert_eq!((holds(b"\xa6labels\x81\xa1a\xa11"), holds(b"\xa1x\x01"), holds(b"\xa3log\xa3two")), (2, 1, 1));
    }

    #[test]
    fn what_is_missing_for_a_chunk_is_told() {
        let directory = tempfile::tempdir().unwrap();
        assert!(chunk_of_container("app.log", b"", directory.path()).unwrap_err().contains("app.log"));
        assert!(chunk_of_container(NAME, b"", directory.path()).unwrap_err().contains("n_p.meta"));
    }
}
