//! An envelope's bytes, shrunk. One for each sender: what a compressor keeps between envelopes is larger than they are.

use crate::options::Compress;
use flate2::{Compression, FlushCompress, Status};
use std::fmt;
use std::io;

/// Level of gzip: envelopes repeat themselves so much that the fastest level already shrinks them ninefold.
const GZIP_LEVEL: Compression = Compression::new(1);
/// Base-two logarithm of gzip's window, the largest there is.
const GZIP_WINDOW: u8 = 15;
const ZSTD_LEVEL: i32 = 1;

/// Compresses one envelope after the other.
#[derive(Default)]
pub struct Encoder {
    gzip: Option<flate2::Compress>,
    zstd: Option<zstd::bulk::Compressor<'static>>,
    out: Vec<u8>,
}

impl Encoder {
    /// The envelope in this encoding, until the next one.
    ///
    /// # Errors
    /// What the compressor says; it has no reason to but want of memory.
    pub fn encode<'e>(&'e mut self, encoding: Compress, envelope: &'e [u8]) -> io::Result<&'e [u8]> {
        self.out.clear();
        match encoding {
            Compress::None => return Ok(envelope),
            Compress::Gzip => self.gzip(envelope)?,
            Compress::Zstd => self.zstd(envelope)?,
        }
        Ok(&self.out)
    }

    fn gzip(&mut self, envelope: &[u8]) -> io::Result<()> {
        let gzip = self.gzip.get_or_insert_with(|| flate2::Compress::new_gzip(GZIP_LEVEL, GZIP_WINDOW));
        gzip.reset();
        // Most envelopes shrink to a fraction of this; for the others it grows.
        self.out.reserve(envelope.len() / 4 + 1_024);
        loop {
            let taken = gzip.total_in() as usize;
            if gzip.compress_vec(&envelope[taken..], &mut self.out, FlushCompress::Finish)? == Status::StreamEnd {
                return Ok(());
            }
            self.out.reserve(envelope.len() / 4 + 1_024);
        }
    }

    fn zstd(&mut self, envelope: &[u8]) -> io::Result<()> {
        let zstd = match &mut self.zstd {
            Some(zstd) => zstd,
            none => none.insert(zstd::bulk::Compressor::new(ZSTD_LEVEL)?),
        };
        self.out.reserve(zstd::zstd_safe::compress_bound(envelope.len()));
        zstd.compress_to_buffer(envelope, &mut self.out)?;
        Ok(())
    }

    /// Gives back what an unusually large envelope took beyond `most` bytes.
    pub fn shrink(&mut self, most: usize) {
        self.out.clear();
        self.out.shrink_to(most);
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn each_encoding_reads_back_one_envelope_after_the_other() {
        let mut encoder = Encoder::default();
        let noise: Vec<u8> = (0..100_000_u64).map(|n| (n.wrapping_mul(n) >> 7) as u8 ^ n as u8).collect();
        for text in [b"envelope ".repeat(1_000), noise, Vec::new(), b"{}".to_vec()] {
            let mut back = Vec::new();
            let gzip = encoder.encode(Compress::Gzip, &text).unwrap();
            flate2::read::GzDecoder::new(gzip).read_to_end(&mut back).unwrap();
            assert_eq!(back, text);
            assert_eq!(zstd::decode_all(encoder.encode(Compress::Zstd, &text).unwrap()).unwrap(), text);
            assert_eq!(encoder.encode(Compress::None, &text).unwrap(), text);
        }
    }

    #[test]
    fn what_a_large_envelope_took_is_given_back() {
        let mut encoder = Encoder::default();
        encoder.encode(Compress::Zstd, &vec![0; 1 << 20]).unwrap();
        encoder.shrink(1_000);
        assert!(encoder.out.capacity() <= 1_000);
    }
}
