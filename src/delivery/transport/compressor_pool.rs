//! Compresses envelopes before they are sent. A compressor's state is larger than the envelopes, so a small pool gives its
//! compressors to one sender after the other: a sender spends most of its time waiting for a response.

use crate::delivery::transport::encoder::Encoder;
use crate::envelope::Parts;
use crate::options::Compress;
use crate::sync::{Receiver, Sender, bounded};
use std::io;

/// Number of compressors: enough for one mapper, which takes longer to fill an envelope than a compressor to shrink it.
const COMPRESSORS: usize = 2;

/// Largest capacity in bytes of a body that is reused for the next envelope.
const MAX_POOLED_BODY: usize = 2 << 20;

/// All compressors of an instance.
#[derive(Clone, Debug)]
pub(crate) struct CompressorPool {
    free: (Sender<Encoder>, Receiver<Encoder>),
}

/// A compressor that returns to the pool when it is dropped.
struct PooledCompressor<'p> {
    compressor: Encoder,
    pool: &'p CompressorPool,
}

impl CompressorPool {
    pub(crate) fn new() -> Self {
        let compressors = Self { free: bounded(COMPRESSORS) };
        (0..COMPRESSORS).for_each(|_| compressors.recycle(Encoder::default()));
        compressors
    }

    /// Replaces `body` by an envelope in this encoding. Waits while all compressors are in use.
    ///
    /// # Errors
    /// The compressor has no memory.
    pub(crate) fn compress(&self, encoding: Compress, envelope: &Parts<'_>, body: &mut Vec<u8>) -> io::Result<()> {
        body.clear();
        body.shrink_to(MAX_POOLED_BODY);
        if encoding == Compress::None {
            envelope.all().into_iter().for_each(|part| body.extend_from_slice(part));
            return Ok(());
        }
        let mut pooled = PooledCompressor { compressor: self.free.1.recv().unwrap_or_default(), pool: self };
        pooled.compressor.encode(encoding, envelope.all(), body)
    }

    fn recycle(&self, compressor: Encoder) {
        // The channel has a place for every compressor.
        let _ = self.free.0.try_send(compressor);
    }
}

impl Drop for PooledCompressor<'_> {
    fn drop(&mut self) {
        self.pool.recycle(std::mem::take(&mut self.compressor));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn compresses_for_more_senders_than_compressors() {
        let compressors = CompressorPool::new();
        let text = b"envelope ".repeat(1_000);
        let written = |encoding| {
            let mut body = b"of the last time".to_vec();
            compressors.compress(encoding, &Parts::whole(text.clone()), &mut body).unwrap();
            body
        };
        std::thread::scope(|scope| {
            for _ in 0..4 * COMPRESSORS {
                scope.spawn(|| {
                    assert_eq!(written(Compress::None), text);
                    assert_eq!(zstd::decode_all(&*written(Compress::Zstd)).unwrap(), text);
                    assert!(written(Compress::Gzip).starts_with(&[0x1f, 0x8b]));
                });
            }
        });
    }

    #[test]
    fn returns_compressor_after_a_panic() {
        let compressors = CompressorPool::new();
        for _ in 0..=COMPRESSORS {
            let panics = || {
                let _pooled = PooledCompressor { compressor: compressors.free.1.recv().unwrap(), pool: &compressors };
                panic!("on purpose");
            };
            assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        }
        assert_eq!(compressors.free.1.len(), COMPRESSORS);
    }
}
