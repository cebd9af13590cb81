//! Finds rare runs of three bytes, in order to search a text for many words at once, in one pass.

use super::simd::BLOCK;

/// Runs of three bytes that are wanted, as the sets of their first, second and third bytes.
pub(super) type Wanted = [[&'static [u8]; 3]; 8];

/// For each byte a bit for each wanted run that has it as its first, second and third byte.
#[derive(Debug)]
pub(super) struct TrigramScan {
    /// The first in the low byte, the second in the high one.
    pairs: [u16; 256],
    thirds: [u8; 256],
}

/// A block, and the byte behind it.
pub(super) type Block = [u8; BLOCK + 1];

/// The block at the end of a text that is too short for one: behind it stand zeros.
#[cold]
#[inline(never)]
fn last_block(rest: &[u8]) -> Block {
    let mut padded = [0; BLOCK + 1];
    padded[..rest.len()].copy_from_slice(rest);
    padded
}

impl TrigramScan {
    /// The table of these runs; case counts where it is told to.
    pub(super) const fn new(wanted: &Wanted, case_counts: bool) -> Self {
        let mut table = Self { pairs: [0; 256], thirds: [0; 256] };
        let mut run = 0;
        while run < wanted.len() {
            let mut place = 0;
            while place < 3 {
                let set = wanted[run][place];
                let mut at = 0;
                while at < set.len() {
                    table.add(set[at], place, 1 << run);
                    if !case_counts {
                        table.add(set[at].to_ascii_uppercase(), place, 1 << run);
                    }
                    at += 1;
                }
                place += 1;
            }
            run += 1;
        }
        table
    }

    const fn add(&mut self, byte: u8, place: usize, bit: u8) {
        match place {
            0 => self.pairs[byte as usize] |= bit as u16,
            1 => self.pairs[byte as usize] |= (bit as u16) << 8,
            _ => self.thirds[byte as usize] |= bit,
        }
    }

    /// Returns the positions at which wanted runs begin, from a place on. A first look says for each byte of a block, by a
    /// bit, if a run may begin there, judged by that byte and the next.
    #[inline]
    pub(super) fn places<'t>(
        &'t self,
        text: &'t [u8],
        from: usize,
        look: impl Fn(&Block) -> u32 + 't,
    ) -> impl Iterator<Item = usize> + 't {
        let (mut at, mut marks) = (from, 0_u32);
        // The first block is looked at before it is passed.
        let mut next = from;
        std::iter::from_fn(move || {
            loop {
                while marks != 0 {
                    let place = at + marks.trailing_zeros() as usize;
                    marks &= marks - 1;
                    if self.is_wanted(text, place) {
                        return Some(place);
                    }
                }
                if next >= text.len() {
                    return None;
                }
                (at, next) = (next, next + BLOCK);
                let rest = &text[at..];
                marks = rest.first_chunk().map_or_else(|| look(&last_block(rest)), &look);
            }
        })
    }

    /// The first look that a vector's has to agree with.
    #[cfg(test)]
    pub(super) fn pairs(&self, block: &Block) -> u32 {
        let is_pair =
            |at: usize| self.pairs[usize::from(block[at])] & self.pairs[usize::from(block[at + 1])] >> 8 & 0xff != 0;
        (0..BLOCK).fold(0, |marks, at| marks | u32::from(is_pair(at)) << at)
    }

    /// Returns true if a wanted run begins at this place.
    pub(super) fn is_wanted(&self, text: &[u8], place: usize) -> bool {
        let Some(&[one, two, three, ..]) = text.get(place..) else { return false };
        let pair = self.pairs[usize::from(one)] & self.pairs[usize::from(two)] >> 8;
        pair & u16::from(self.thirds[usize::from(three)]) & 0xff != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Wanted = [
        [b"a", b"b", b"cd"],
        [b"h", b"h", b"h"],
        [b"", b"", b""],
        [b"", b"", b""],
        [b"", b"", b""],
        [b"", b"", b""],
        [b"", b"", b""],
        [b"", b"", b""],
    ];

    type Look = fn(&Block) -> u32;

    static EXACT: TrigramScan = TrigramScan::new(&WANTED, true);
    static LOOSE: TrigramScan = TrigramScan::new(&WANTED, false);

    #[test]
    fn the_same_places_are_found_as_one_by_one() {
        let mut random = fastrand::Rng::with_seed(5);
        let mut next = |end: u64| random.u64(..end);
        for round in 0..5_000 {
            let rarity = 2 + round % 60;
            let text: Vec<u8> = (0..next(200)).map(|_| b"abcdAhBH"[(next(rarity) as usize).min(7)]).collect();
            for (triples, look, text) in [
                (&EXACT, (|block| EXACT.pairs(block)) as Look, text.clone()),
                (&LOOSE, |block| LOOSE.pairs(block), text.to_ascii_lowercase()),
                (&EXACT, |_| u32::MAX, text.clone()),
            ] {
                let run = |w: &[u8]| matches!(w, b"abc" | b"abd" | b"hhh");
                let obvious = text.windows(3).enumerate().filter(|(_, w)| run(w)).map(|(at, _)| at);
                assert!(triples.places(&text, 0, look).eq(obvious), "{:?}", String::from_utf8_lossy(&text));
            }
            let (look, lower) = ((|block| LOOSE.pairs(block)) as Look, text.to_ascii_lowercase());
            assert!(LOOSE.places(&text, 0, look).eq(LOOSE.places(&lower, 0, look)));
        }
    }
}
