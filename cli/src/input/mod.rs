//! Files in, records out: what the host's inputs, parsers and the kubernetes filter would have made of them.
//!
//! ```text
//! file -> lines -> line_file -> cri -> record -> encode      or chunk_file, as it is
//!                                       ^-- kube
//! ```

pub(crate) mod chunk_file;
pub(crate) mod cri;
pub(crate) mod encode;
pub(crate) mod file;
pub(crate) mod kube;
pub(crate) mod line_file;
pub(crate) mod lines;
pub(crate) mod record;
mod time;

use std::path::Path;

/// A chunk of a container's log: what the host's tail input and its kubernetes filter make of these lines.
///
/// `name` is the log's file name, `kube_meta` the directory where its pod is described.
///
/// # Errors
/// What is missing: the parts of the name, or the pod's description.
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
