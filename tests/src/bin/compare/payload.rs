//! What the messages look like: the index, then a pattern made from it, in words of 8 bytes, as `drawdown bench` and
//! `peers/measure.h` make them. Sizes are multiples of 8.

const PER_MESSAGE: u64 = 0x9e37_79b9_7f4a_7c15;
const PER_WORD: u64 = 0xd1b5_4a32_d192_ed03;

fn word(index: u64, place: u64) -> u64 {
    index.wrapping_add(1).wrapping_mul(PER_MESSAGE).wrapping_add(place.wrapping_mul(PER_WORD))
}

/// Writes message `index` over all of `payload`.
pub(crate) fn fill(index: u64, payload: &mut [u8]) {
    let (words, _) = payload.as_chunks_mut::<8>();
    for (place, bytes) in (0..).zip(words) {
        let value = if place == 0 { index } else { word(index, place) };
        *bytes = value.to_le_bytes();
    }
}

/// Refuses what is not message `index` in every byte.
pub(crate) fn check(index: u64, payload: &[u8]) -> Result<(), String> {
    let (words, rest) = payload.as_chunks::<8>();
    let mut difference = 0;
    for (place, bytes) in (0..).zip(words) {
        let wanted = if place == 0 { index } else { word(index, place) };
        difference |= u64::from_le_bytes(*bytes) ^ wanted;
    }
    if difference == 0 && rest.is_empty() && !words.is_empty() {
        Ok(())
    } else {
        Err(format!("message {index} is not what was sent"))
    }
}

/// Messages `first..first + count`, back to back in place of what was in `block`.
pub(crate) fn fill_block(first: u64, count: u64, size: usize, block: &mut Vec<u8>) {
    block.resize(count as usize * size, 0);
    for (index, payload) in (first..).zip(block.chunks_exact_mut(size)) {
        fill(index, payload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_any_byte_is_found() {
        let mut block = Vec::new();
        fill_block(7, 2, 24, &mut block);
        assert_eq!(check(8, &block[24..]), Ok(()));
        for at in 24..48 {
            block[at] ^= 1;
            assert!(check(8, &block[24..]).is_err(), "byte {at}");
            block[at] ^= 1;
        }
        assert!(check(7, &block[24..]).is_err());
        assert!(check(7, &[]).is_err());
    }
}
