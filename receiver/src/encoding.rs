//! Decodes the content encodings that Relay accepts, within a size limit.

use super::http::Refusal;
use crate::text::counted;
use flate2::bufread::{MultiGzDecoder, ZlibDecoder};
use std::io::{self, Read};

/// Undoes one `Content-Encoding`. The limit counts decoded bytes, so that a small body cannot become a large one.
pub(super) fn decode(encoding: &str, raw: Vec<u8>, limit: usize) -> Result<Vec<u8>, Refusal> {
    let mut rest = raw.as_slice();
    let decoded = match encoding.trim().to_ascii_lowercase().as_str() {
        // Relay ignores an empty value and `utf-8`, which some clients put here by mistake.
        "" | "identity" | "utf-8" => return within(raw, limit),
        "gzip" | "x-gzip" => read(MultiGzDecoder::new(&mut rest), limit),
        "deflate" => read(ZlibDecoder::new(&mut rest), limit),
        "br" => read(brotli_decompressor::Decompressor::new(&mut rest, 16 * 1024), limit),
        "zstd" => zstd::stream::Decoder::with_buffer(&mut rest).and_then(|decoder| read(decoder, limit)),
        other => {
            let detail = format!("expected content encoding gzip, deflate, br, zstd or identity, found {other:?}");
            return Err(Refusal::new(415, detail));
        }
    };
    let decoded =
        decoded.map_err(|error| Refusal::new(400, format!("body is not {encoding}")).because(error.to_string()))?;
    if decoded.len() <= limit && !rest.is_empty() {
        return Err(Refusal::new(
            400,
            format!("{} after the end of the {encoding} stream", counted(rest.len() as u64, "byte")),
        ));
    }
    within(decoded, limit)
}

/// Reads one byte more than allowed, so that the caller can tell "exactly full" from "too much".
fn read(decoder: impl Read, limit: usize) -> io::Result<Vec<u8>> {
    let mut decoded = Vec::new();
    decoder.take(limit as u64 + 1).read_to_end(&mut decoded)?;
    Ok(decoded)
}

fn within(body: Vec<u8>, limit: usize) -> Result<Vec<u8>, Refusal> {
    if body.len() > limit { Err(too_large(limit)) } else { Ok(body) }
}

/// The answer to a body over the limit.
pub(super) fn too_large(limit: usize) -> Refusal {
    Refusal::new(413, format!("expected at most {} of body", counted(limit as u64, "byte")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};
    use std::io::Write;

    /// `"hello brotli\n"` stored in one uncompressed brotli block; there is no encoder among our dependencies.
    const BROTLI: &[u8] = b"\x0b\x06\x80hello brotli\n\x03";

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn every_encoding() {
        let text = b"some text some text some text".to_vec();
        for (encoding, raw) in [
            ("", text.clone()),
            ("identity", text.clone()),
            ("utf-8", text.clone()),
            ("gzip", gzip(&text)),
            ("GZIP", gzip(&text)),
            ("deflate", zlib(&text)),
            ("zstd", zstd::encode_all(text.as_slice(), 1).unwrap()),
        ] {
            assert_eq!(decode(encoding, raw, 29).unwrap(), text, "{encoding}");
        }
        assert_eq!(decode("br", BROTLI.to_vec(), 100).unwrap(), b"hello brotli\n");
    }

    #[test]
    fn refusals() {
        let long = vec![b'a'; 100_000];
        let cut = |bytes: Vec<u8>| bytes[..bytes.len() - 5].to_vec();
        for (encoding, raw, status) in [
            ("compress", b"x".to_vec(), 415),
            ("gzip, br", b"x".to_vec(), 415),
            ("gzip", b"not gzip".to_vec(), 400),
            ("gzip", cut(gzip(b"abc")), 400),
            ("gzip", [gzip(b"abc"), b"junk".to_vec()].concat(), 400),
            ("deflate", [zlib(b"abc"), b"junk".to_vec()].concat(), 400),
            ("zstd", cut(zstd::encode_all(&b"some text"[..], 1).unwrap()), 400),
            ("zstd", b"not zstd".to_vec(), 400),
            ("br", BROTLI[..6].to_vec(), 400),
            ("identity", long.clone(), 413),
            ("gzip", gzip(&long), 413),
            ("deflate", zlib(&long), 413),
            ("zstd", zstd::encode_all(long.as_slice(), 1).unwrap(), 413),
        ] {
            assert_eq!(decode(encoding, raw, 99_999).unwrap_err().status, status, "{encoding}");
        }
    }
}
