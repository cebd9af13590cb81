//! Finds an encoding that a server can decode: zstd, then gzip, then none.

use crate::options::Compress;

/// Single items rejected in a row after which the destination is taken to be the cause, not the items.
const MAX_CONSECUTIVE_REJECTIONS: u32 = 10;

/// The encoding in use, and the server's responses to it so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Negotiation {
    /// The encoding of the next request.
    pub encoding: Compress,
    /// Number of changes so far: a response to a request of an earlier version does not apply to the present encoding.
    pub version: u32,
    /// True if the server has accepted anything in the present encoding.
    pub is_proven: bool,
    /// Single items that were rejected as malformed since the last acceptance.
    pub consecutive_rejections: u32,
}

impl Negotiation {
    /// Returns a negotiation that begins with this encoding.
    pub(super) fn new(encoding: Compress) -> Self {
        Self { encoding, version: 0, is_proven: false, consecutive_rejections: 0 }
    }

    /// Returns a negotiation with another server, which begins with this encoding.
    pub(super) fn restarted(&self, encoding: Compress) -> Self {
        Self { version: self.version.wrapping_add(1), ..Self::new(encoding) }
    }

    /// Notes an acceptance.
    pub(super) fn accepted(&mut self) {
        self.is_proven = true;
        self.consecutive_rejections = 0;
    }

    /// Returns true if a response that calls an envelope malformed is taken to refer to its items: the server accepts the
    /// encoding, and has not rejected too many single items in a row.
    pub(super) fn is_trusted(&self) -> bool {
        self.is_proven && self.consecutive_rejections < MAX_CONSECUTIVE_REJECTIONS
    }

    /// Changes to the next encoding. Returns false if there is none.
    pub(super) fn fall_back(&mut self) -> bool {
        let next = match self.encoding {
            Compress::Zstd => Compress::Gzip,
            Compress::Gzip => Compress::None,
            Compress::None => return false,
        };
        *self = Self { encoding: next, version: self.version.wrapping_add(1), is_proven: false, ..*self };
        true
    }
}
