//! Divides `queue_max_size` among the things that an instance keeps in memory.
//!
//! ```text
//! 0        1/8        1/4                   1/2                                         1
//! |---------|----------|---------------------|------------------------------------------|
//! |                    |                     |                                          `- all bytes that are queued
//! |                    |                     |- per_category: rendered events; rendered logs
//! |                    |                     |- compress_hard: more queued chunks are compressed harder
//! |                    |                     |- passing: chunks that stay with Fluent Bit and pass through
//! |                    |                     `- deferred_chunks: chunks whose items wait for a quota
//! |                    `- light: the backlog is read while each category is below this
//! |- burst: chunks that wait for the mapper; more are compressed
//! `- deferred_among_others: items of a category that wait for a quota while there are other destinations
//! ```

/// Limits in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::delivery) struct MemoryShares {
    /// All that is queued: `queue_max_size`.
    pub(in crate::delivery) total: u64,
    /// Rendered items of one category. Events and logs have separate shares, so that neither starves the other.
    pub(in crate::delivery) per_category: u64,
    /// Rendered items of one category up to which the backlog is read besides live chunks.
    pub(in crate::delivery) light: u64,
    /// Rendered items of one category that wait for a quota or a misconfigured destination, if there are other destinations.
    pub(in crate::delivery) deferred_among_others: u64,
    /// All that is queued, above which chunks are compressed as small as possible.
    pub(in crate::delivery) compress_hard: u64,
    /// Chunks that wait for the mapper, above which chunks are compressed, so that the last ones of a burst fit, too.
    pub(in crate::delivery) burst: u64,
    /// Chunks that pass through to the mapper while Fluent Bit keeps them.
    pub(in crate::delivery) passing: u64,
    /// Chunks that stay in memory because their items wait. The other half is for live chunks.
    pub(in crate::delivery) deferred_chunks: u64,
}

impl MemoryShares {
    /// Returns the shares of a queue of this many bytes.
    #[must_use]
    pub(in crate::delivery) fn of(queue_max_size: u64) -> Self {
        Self {
            total: queue_max_size,
            per_category: queue_max_size / 2,
            light: queue_max_size / 4,
            deferred_among_others: queue_max_size / 8,
            compress_hard: queue_max_size / 2,
            burst: queue_max_size / 8,
            passing: queue_max_size / 2,
            deferred_chunks: queue_max_size / 2,
        }
    }
}

/// Returns the bytes of the spool above which records of failing destinations are evicted for others.
#[must_use]
pub(in crate::delivery) fn spool_high_water(spool_max_size: u64) -> u64 {
    spool_max_size / 4 * 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_in_the_order_of_the_picture() {
        for total in [0, 1, 9, 64 << 20, u64::MAX] {
            let shares = MemoryShares::of(total);
            assert!(shares.deferred_among_others <= shares.light && shares.light <= shares.per_category, "{total}");
            assert!(shares.per_category.checked_mul(2).is_some_and(|both| both <= total), "{total}");
            assert!(shares.burst < shares.compress_hard || total < 8, "{total}");
        }
        assert_eq!(spool_high_water(1_000), 750);
    }
}
