//! Judges many bytes in one step, with the widest vectors that the processor has.

use fearless_simd::prelude::*;
use fearless_simd::{Level, dispatch, mask8x32, u8x16, u8x32};

pub(super) use fearless_simd::Simd;

/// Bytes that are judged in one step.
pub(super) const BLOCK: usize = 32;

/// Bytes of a short block, for texts most of which are shorter than a block.
pub(crate) const SHORT: usize = 16;

/// The bytes of a block.
pub(super) type Bytes<S> = u8x32<S>;

/// A yes or no for each byte of a block.
pub(super) type Mask<S> = mask8x32<S>;

/// Work on blocks. It is compiled for each kind of processor whose instructions it can use.
pub(super) trait Work {
    /// The result of the work.
    type Output;

    /// Does the work. Implementations are `#[inline(always)]`, as are all functions with vectors that they call: only then do they
    /// use the instructions that `simd` stands for.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// Does the work with AVX2 where the processor has it, else with SSE4.2, else with the vectors that every processor of its kind has.
#[inline]
pub(super) fn run<W: Work>(work: W) -> W::Output {
    run_at(Level::new(), work)
}

/// The same with at most these vectors.
#[inline]
pub(super) fn run_at<W: Work>(level: Level, work: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    let level = {
        // With AVX-512 each comparison would take a register of masks, of which there are few.
        if let Some(avx2) = level.as_avx2() {
            return avx2.vectorize(
                #[inline(always)]
                || work.run(avx2),
            );
        }
        if let Some(sse) = level.as_sse4_2() {
            return sse.vectorize(
                #[inline(always)]
                || work.run(sse),
            );
        }
        Level::baseline()
    };
    dispatch!(level, simd => work.run(simd))
}

/// Returns true for each byte that equals this one.
#[inline(always)]
pub(super) fn is<S: Simd>(bytes: Bytes<S>, byte: u8) -> Mask<S> {
    bytes.simd_eq(byte)
}

/// Returns a bit for each byte, that of the first byte lowest.
#[inline(always)]
pub(super) fn bits<S: Simd>(mask: Mask<S>) -> u32 {
    mask.to_bitmask() as u32
}

/// Returns the vector of the block, and for each byte of it the one behind it.
#[inline(always)]
pub(super) fn vectors<S: Simd>(simd: S, block: &[u8; BLOCK + 1]) -> (Bytes<S>, Bytes<S>) {
    let [bytes @ .., _] = block;
    let [_, behind @ ..] = block;
    (Bytes::load_array_ref(simd, bytes), Bytes::load_array_ref(simd, behind))
}

/// The part of a block that is looked at: bits of bytes before it are shifted out, those of bytes behind it are masked.
#[derive(Clone, Copy)]
pub(super) struct Part {
    passed: u32,
    valid: u32,
}

/// All bytes of a block.
pub(super) const ALL: Part = Part { passed: 0, valid: u32::MAX };

impl Part {
    /// Returns the bits of the part, that of its first byte lowest.
    #[inline(always)]
    pub(super) fn of(self, bits: u32) -> u32 {
        (bits & self.valid) >> self.passed
    }
}

/// Returns the vectors for the last bytes of a text, at most [`BLOCK`] of them and at least one. Zeros stand behind the text.
#[inline(always)]
pub(super) fn last_vectors<S: Simd>(simd: S, text: &[u8], at: usize) -> ((Bytes<S>, Bytes<S>), Part) {
    let (bytes, part) = match text.last_chunk() {
        Some(block) => (Bytes::load_array_ref(simd, block), Part { passed: (BLOCK - (text.len() - at)) as u32, ..ALL }),
        None => {
            let mut block = [0; BLOCK];
            block[..text.len()].copy_from_slice(text);
            (Bytes::load_array_ref(simd, &block), Part { passed: at as u32, valid: u32::MAX >> (BLOCK - text.len()) })
        }
    };
    let nothing = Bytes::splat(simd, 0);
    ((bytes, bytes.slide::<1>(nothing)), part)
}

/// Returns true for each byte that no JSON string has as it stands: control characters, quotes, backslashes.
#[inline(always)]
pub(super) fn special<S: Simd, V: SimdBase<S, Element = u8>>(bytes: V) -> V::Mask {
    bytes.simd_lt(b' ') | bytes.simd_eq(b'"') | bytes.simd_eq(b'\\')
}

/// Returns a bit for each byte that [`special`] tells, or that is not ASCII.
#[inline(always)]
pub(super) fn escaped_bits<S: Simd>(bytes: Bytes<S>) -> u32 {
    bits(special(bytes) | bytes.simd_ge(0x80))
}

/// Returns a bit for each byte that [`special`] tells.
#[inline]
pub(super) fn special_places(block: &[u8; SHORT]) -> u32 {
    dispatch!(Level::baseline(), simd => special(u8x16::load_array_ref(simd, block)).to_bitmask() as u32)
}

/// Returns a bit for each byte that [`special`] tells, or that is not ASCII.
#[inline]
pub(super) fn escaped_places(block: &[u8; SHORT]) -> u32 {
    dispatch!(Level::baseline(), simd => {
        let bytes = u8x16::load_array_ref(simd, block);
        (special(bytes) | bytes.simd_ge(0x80)).to_bitmask() as u32
    })
}

/// Sets of pairs of bytes that are searched for in one step: a table for each half of the first and the second byte, with a bit for
/// each set.
#[derive(Debug)]
pub(super) struct Pairs {
    first: [[u8; 16]; 2],
    second: [[u8; 16]; 2],
}

impl Pairs {
    /// Returns the tables of at most eight sets, of each its first and its second bytes. A letter stands for both cases.
    ///
    /// A set finds any byte whose halves are those of two of its bytes, too: bytes of one set should have one half in common.
    pub(super) const fn new(sets: &[(&[u8], &[u8])]) -> Self {
        assert!(sets.len() <= 8);
        let mut pairs = Self { first: [[0; 16]; 2], second: [[0; 16]; 2] };
        let mut set = 0;
        while set < sets.len() {
            let (first, second) = sets[set];
            add(&mut pairs.first, first, 1 << set);
            add(&mut pairs.second, second, 1 << set);
            set += 1;
        }
        pairs
    }

    /// Returns a bit for each byte of a block at which a pair may stand.
    #[inline(always)]
    pub(super) fn places<S: Simd>(&self, simd: S, (bytes, behind): (Bytes<S>, Bytes<S>)) -> u32 {
        let both = classes(simd, &self.first, bytes) & classes(simd, &self.second, behind);
        !bits(both.simd_eq(0))
    }
}

const fn add(tables: &mut [[u8; 16]; 2], bytes: &[u8], set: u8) {
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        tables[0][(byte & 15) as usize] |= set;
        tables[1][(byte >> 4) as usize] |= set;
        if byte.is_ascii_lowercase() {
            tables[1][(byte.to_ascii_uppercase() >> 4) as usize] |= set;
        }
        at += 1;
    }
}

/// The sets that each byte is part of.
#[inline(always)]
fn classes<S: Simd>(simd: S, [low, high]: &[[u8; 16]; 2], bytes: Bytes<S>) -> Bytes<S> {
    let table = |table| Bytes::block_splat(u8x16::load_array_ref(simd, table));
    table(low).swizzle_dyn_within_blocks(bytes & 15) & table(high).swizzle_dyn_within_blocks(bytes >> 4)
}

/// The vectors that code is compiled for and this processor has, the widest first.
#[cfg(test)]
pub(super) fn levels() -> Vec<Level> {
    let mut levels = vec![Level::new()];
    #[cfg(target_arch = "x86_64")]
    levels.extend(Level::new().as_sse4_2().map(|sse| sse.level()));
    levels.push(Level::baseline());
    levels
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Places<'b>(&'b Pairs, &'b [u8; BLOCK + 1]);

    impl Work for Places<'_> {
        type Output = u32;

        fn run<S: Simd>(self, simd: S) -> u32 {
            self.0.places(simd, vectors(simd, self.1))
        }
    }

    #[test]
    fn pairs_are_found_in_both_cases_at_every_place() {
        let pairs = Pairs::new(&[(b"ab", b"x"), (b"_", b"-")]);
        for level in levels() {
            for place in 0..BLOCK {
                for (text, is_found) in
                    [(b"ax", true), (b"BX", true), (b"_-", true), (b"a-", false), (b"_x", false), (b"xa", false)]
                {
                    let mut block = [b'.'; BLOCK + 1];
                    block[place..place + 2].copy_from_slice(text);
                    let found = run_at(level, Places(&pairs, &block));
                    assert_eq!(found, u32::from(is_found) << place, "{level:?}, {text:?} at {place}");
                }
            }
        }
    }

    struct Last<'t>(&'t [u8], usize);

    impl Work for Last<'_> {
        type Output = (u32, u32);

        fn run<S: Simd>(self, simd: S) -> (u32, u32) {
            let ((bytes, behind), part) = last_vectors(simd, self.0, self.1);
            (part.of(bits(is(bytes, b'x'))), part.of(bits(is(behind, 0))))
        }
    }

    #[test]
    fn the_last_block_has_the_bytes_from_its_place_on_and_zeros_behind() {
        for level in levels() {
            for length in 1..100 {
                let text = vec![b'x'; length];
                let at = if length < BLOCK { 0 } else { length - 1 - (length - 1) % BLOCK };
                let here = length - at;
                let (bytes, ends) = run_at(level, Last(&text, at));
                assert_eq!(bytes, u32::MAX >> (BLOCK - here), "{level:?}, {length}");
                assert_eq!(ends, 1 << (here - 1), "{level:?}, {length}");
            }
        }
    }

    #[test]
    fn special_bytes_are_those_that_json_escapes() {
        for byte in 0..=u8::MAX {
            let is_special = byte < b' ' || byte == b'"' || byte == b'\\';
            let block = [byte; SHORT];
            assert_eq!(special_places(&block), if is_special { 0xffff } else { 0 }, "{byte}");
            assert_eq!(escaped_places(&block), if is_special || byte >= 0x80 { 0xffff } else { 0 }, "{byte}");
        }
    }
}
