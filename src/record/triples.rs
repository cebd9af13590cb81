//! Finding rare runs of three bytes: texts are searched for many words at once in one pass, in wide steps.

/// Bytes looked at in one step; a compiler makes vector instructions of a loop over so many.
const BLOCK: usize = 32;

/// The places of runs of three bytes that are wanted. The test must be made of comparisons alone, without branches.
#[inline]
pub(super) fn places(text: &[u8], wanted: impl Fn(u8, u8, u8) -> bool + Copy) -> impl Iterator<Item = usize> {
    let is_wanted = move |at: usize| matches!(text[at..], [one, two, three, ..] if wanted(one, two, three));
    let (mut at, mut block_end) = (0, 0);
    std::iter::from_fn(move || {
        while at < text.len() {
            if at == block_end {
                block_end = next_block(text, at, wanted);
                at = at.max(block_end.saturating_sub(BLOCK));
            }
            at += 1;
            if is_wanted(at - 1) {
                return Some(at - 1);
            }
        }
        None
    })
}

/// Where the next block ends, from this one on, that has a wanted run; the text's end where none is whole.
#[inline]
fn next_block(text: &[u8], from: usize, wanted: impl Fn(u8, u8, u8) -> bool + Copy) -> usize {
    let mut at = from;
    while let Some(block) = text.get(at..).and_then(<[u8]>::first_chunk::<{ BLOCK + 2 }>) {
        let mut hits = [false; BLOCK];
        for (at, hit) in hits.iter_mut().enumerate() {
            *hit = wanted(block[at], block[at + 1], block[at + 2]);
        }
        at += BLOCK;
        if hits.iter().fold(false, |any, hit| any | hit) {
            return at;
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(one: u8, two: u8, three: u8) -> bool {
        (one == b'a') & (two == b'b') & (three != b'a')
    }

    #[test]
    fn the_same_places_are_found_as_one_by_one() {
        let mut state = 5_u64;
        let mut next = |end: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % end
        };
        for round in 0..5_000 {
            let rarity = 2 + round % 60;
            let text: Vec<u8> = (0..next(200)).map(|_| b"abcdefgh"[(next(rarity) as usize).min(7)]).collect();
            let obvious: Vec<usize> =
                text.windows(3).enumerate().filter(|(_, w)| wanted(w[0], w[1], w[2])).map(|(at, _)| at).collect();
            assert_eq!(places(&text, wanted).collect::<Vec<_>>(), obvious, "{:?}", String::from_utf8_lossy(&text));
        }
    }
}
