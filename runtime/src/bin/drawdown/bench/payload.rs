//! What the messages of a measurement look like.

use crate::exit::{Exit, Failure};
use crate::units;

/// The number of a message takes so many bytes.
const NUMBER_BYTES: usize = 8;

/// Words that are compared before it is looked at what came out.
const MANY: usize = 8;

const PER_MESSAGE: u64 = 0x9e37_79b9_7f4a_7c15;
const PER_WORD: u64 = 0xd1b5_4a32_d192_ed03;

/// The size of a message, from the command line.
pub(super) fn size(text: &str) -> Result<usize, String> {
    match units::bytes(text)? {
        size @ NUMBER_BYTES.. => Ok(size),
        _ => Err(format!("a message carries its number and has at least {NUMBER_BYTES} bytes")),
    }
}

/// The words of the pattern of message `index`, one after the other.
struct Pattern(u64);

impl Pattern {
    fn of(index: u64) -> Self {
        Self(index.wrapping_add(1).wrapping_mul(PER_MESSAGE))
    }

    #[inline]
    fn next(&mut self) -> u64 {
        let word = self.0;
        self.0 = word.wrapping_add(PER_WORD);
        word
    }
}

/// Writes message `index`; `payload` has its size.
pub(super) fn fill(index: u64, payload: &mut [u8]) {
    let Some((number, pattern)) = payload.split_first_chunk_mut::<NUMBER_BYTES>() else {
        return;
    };
    *number = index.to_le_bytes();
    let mut wanted = Pattern::of(index);
    let (words, rest) = pattern.as_chunks_mut::<8>();
    words.iter_mut().for_each(|bytes| *bytes = wanted.next().to_le_bytes());
    let tail = wanted.next().to_le_bytes();
    rest.iter_mut().zip(tail).for_each(|(byte, wanted)| *byte = wanted);
}

/// The number of a message of this size, if every byte of it is right.
#[inline]
fn check(payload: &[u8], size: usize) -> Option<u64> {
    if payload.len() != size {
        return None;
    }
    let (number, pattern) = payload.split_first_chunk::<NUMBER_BYTES>()?;
    let index = u64::from_le_bytes(*number);
    let mut wanted = Pattern::of(index);
    let mut is_right = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes) == wanted.next();
    let (words, rest) = pattern.as_chunks::<8>();
    // Many at once where there are many.
    let (many, few) = words.as_chunks::<MANY>();
    let are_right =
        many.iter().all(|words| words.iter().fold(true, |all, word| all & is_right(word)))
            && few.iter().all(&mut is_right);
    let tail = wanted.next().to_le_bytes();
    let rest_is_right = rest.iter().zip(tail).all(|(byte, wanted)| *byte == wanted);
    (are_right && rest_is_right).then_some(index)
}

/// The same for who cannot go on with another one.
#[inline]
pub(super) fn checked(payload: &[u8], size: usize) -> Result<u64, Failure> {
    check(payload, size).ok_or_else(|| unknown(payload.len()))
}

#[cold]
fn unknown(bytes: usize) -> Failure {
    Failure::new(
        Exit::Error,
        format!(
            "a message of {bytes} bytes is not what was sent; both sides need the same --size, and nobody else may send"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_any_byte_is_found() {
        for size in [8, 9, 15, 16, 64, 67] {
            let mut payload = vec![0; size];
            fill(0x0102_0304, &mut payload);
            assert_eq!(payload[..8], 0x0102_0304_u64.to_le_bytes());
            assert_eq!(check(&payload, size), Some(0x0102_0304));
            assert_eq!(check(&payload, size + 1), None);
            for at in 8..size {
                payload[at] ^= 1;
                assert_eq!(check(&payload, size), None, "byte {at} of {size}");
                payload[at] ^= 1;
            }
        }
    }

    #[test]
    fn messages_differ_after_their_numbers() {
        let mut one = [0; 16];
        let mut other = [0; 16];
        fill(1, &mut one);
        fill(2, &mut other);
        assert_ne!(one[8..], other[8..]);
    }
}
