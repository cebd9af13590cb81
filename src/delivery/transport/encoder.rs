//! Compresses the bytes of envelopes. An encoder is reused from envelope to envelope, because the state that a compressor
//! keeps between envelopes is larger than the envelopes.

use crate::options::Compress;
use flate2::{Compression, FlushCompress, Status};
use std::fmt;
use std::io;
use zstd::zstd_safe::zstd_sys::ZSTD_EndDirective;
use zstd::zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer, ResetDirective, get_error_name};

/// Level of gzip: envelopes repeat themselves so much that the fastest level already shrinks them ninefold.
const GZIP_LEVEL: Compression = Compression::new(1);
/// Base-two logarithm of gzip's window, the largest there is.
const GZIP_WINDOW: u8 = 15;
/// Parameters of zstd. The hash table (16 KiB) stays in the first-level cache of a core that works on other things in between, and
/// the window is not much larger than an envelope. Both are smaller than those of the level: that takes a third less time, and
/// logs, which repeat lines of the last few, shrink a little more.
const ZSTD: [CParameter; 3] = [CParameter::CompressionLevel(1), CParameter::WindowLog(18), CParameter::HashLog(12)];

/// Compresses one envelope after the other.
#[derive(Default)]
pub struct Encoder {
    gzip: Option<flate2::Compress>,
    zstd: Option<CCtx<'static>>,
}

impl Encoder {
    /// Appends an envelope, given in pieces, in this encoding.
    ///
    /// # Errors
    /// The compressor has no memory.
    pub fn encode(&mut self, encoding: Compress, envelope: [&[u8]; 3], out: &mut Vec<u8>) -> io::Result<()> {
        match encoding {
            Compress::None => {
                envelope.into_iter().for_each(|part| out.extend_from_slice(part));
                Ok(())
            }
            Compress::Gzip => self.gzip(envelope, out),
            Compress::Zstd => self.zstd(envelope, out).map_err(|code| io::Error::other(get_error_name(code))),
        }
    }

    fn gzip(&mut self, envelope: [&[u8]; 3], out: &mut Vec<u8>) -> io::Result<()> {
        let gzip = self.gzip.get_or_insert_with(|| flate2::Compress::new_gzip(GZIP_LEVEL, GZIP_WINDOW));
        gzip.reset();
        let growth = growth(envelope);
        let mut before = 0;
        for part in envelope {
            loop {
                let taken = gzip.total_in() as usize - before;
                if taken == part.len() {
                    break;
                }
                ensure_capacity(out, growth);
                gzip.compress_vec(&part[taken..], out, FlushCompress::None)?;
            }
            before += part.len();
        }
        loop {
            ensure_capacity(out, growth);
            if gzip.compress_vec(&[], out, FlushCompress::Finish)? == Status::StreamEnd {
                return Ok(());
            }
        }
    }

    fn zstd(&mut self, envelope: [&[u8]; 3], out: &mut Vec<u8>) -> Result<(), usize> {
        let zstd = self.zstd.get_or_insert_with(CCtx::create);
        zstd.reset(ResetDirective::SessionOnly)?;
        for parameter in ZSTD {
            zstd.set_parameter(parameter)?;
        }
        zstd.set_pledged_src_size(Some(envelope.iter().map(|part| part.len() as u64).sum()))?;
        let growth = growth(envelope);
        for part in envelope {
            let mut input = InBuffer::around(part);
            while input.pos() < part.len() {
                feed(zstd, out, &mut input, ZSTD_EndDirective::ZSTD_e_continue, growth)?;
            }
        }
        let mut nothing = InBuffer::around(&[]);
        while feed(zstd, out, &mut nothing, ZSTD_EndDirective::ZSTD_e_end, growth)? > 0 {}
        Ok(())
    }
}

/// Returns the bytes by which the output grows at a time. Most envelopes shrink to less.
fn growth(envelope: [&[u8]; 3]) -> usize {
    envelope.iter().map(|part| part.len()).sum::<usize>() / 8 + 1_024
}

/// Reserves `growth` bytes if fewer than 1,024 are free.
fn ensure_capacity(out: &mut Vec<u8>, growth: usize) {
    if out.capacity() - out.len() < 1_024 {
        out.reserve(growth);
    }
}

/// Compresses a part of the input. Returns the bytes that are still to be written, as far as the compressor knows them.
fn feed(
    zstd: &mut CCtx<'_>,
    out: &mut Vec<u8>,
    input: &mut InBuffer<'_>,
    how: ZSTD_EndDirective,
    growth: usize,
) -> Result<usize, usize> {
    ensure_capacity(out, growth);
    let at = out.len();
    zstd.compress_stream2(&mut OutBuffer::around_pos(out, at), input, how)
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
    fn each_encoding_round_trips_with_a_reused_encoder() {
        let mut encoder = Encoder::default();
        let noise: Vec<u8> = (0..100_000_u64).map(|n| (n.wrapping_mul(n) >> 7) as u8 ^ n as u8).collect();
        for text in [b"envelope ".repeat(100_000), noise, Vec::new(), b"{}".to_vec()] {
            for (one, two) in [(0, 0), (0, text.len()), (text.len() / 3, text.len() / 2), (text.len(), text.len())] {
                let parts = [&text[..one], &text[one..two], &text[two..]];
                let mut encoded = |encoding| {
                    let mut out = Vec::new();
                    encoder.encode(encoding, parts, &mut out).unwrap();
                    out
                };
                let mut back = Vec::new();
                flate2::read::GzDecoder::new(&*encoded(Compress::Gzip)).read_to_end(&mut back).unwrap();
                assert!(back == text);
                assert!(zstd::decode_all(&*encoded(Compress::Zstd)).unwrap() == text);
                assert!(encoded(Compress::None) == text);
            }
        }
    }

    #[test]
    fn allocates_little_for_compressible_envelopes() {
        let text = b"a line of log that comes again\n".repeat(20_000);
        for encoding in [Compress::Gzip, Compress::Zstd] {
            let mut out = Vec::new();
            Encoder::default().encode(encoding, [&[], &text, &[]], &mut out).unwrap();
            assert!(out.len() < text.len() / 8 && out.capacity() < text.len() / 4, "{} {}", out.len(), out.capacity());
        }
    }
}
