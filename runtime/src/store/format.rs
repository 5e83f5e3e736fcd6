//! The bytes of every entry: keys, the envelope of a value, and blocks in parts.
//!
//! ```text
//! key      prefix u8 [, number u64 BE]: a slot for blocks and dead letters, the seq for everything else
//! value    version u8, CRC-32 u32 LE over key, version and body, body; nothing at all in an empty slot
//! body     of a block's part: first seq u64 LE, messages u64 LE, part u16 LE, parts u16 LE, length u32 LE, bytes
//!          of everything else: bincode, see `codec`
//! ```
//!
//! No value is over 64 KiB: sled would keep larger pages in files that it does not sync. A block of more is split over
//! slots that follow each other. Its parts are written last to first and removed first to last. sled recovers a
//! prefix of what was written, so a block is whole exactly when its part 0 is there: parts without it were never
//! answered, or are being removed; a part missing beside it is damage.

use std::convert::Infallible;
use std::ops::Range;

use bytes::Bytes;
use drawdown_protocol::{Seq, Session};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::codec;

/// The version of all this; a change that older programs cannot read raises it.
const VALUE_VERSION: u8 = 1;

pub(super) const VALUE_BYTES_MAX: usize = 64 << 10;
const ENVELOPE_BYTES: usize = 5;
const PART_HEAD_BYTES: usize = 24;
/// What one part carries of a block.
pub(super) const PART_BYTES: usize = VALUE_BYTES_MAX - ENVELOPE_BYTES - PART_HEAD_BYTES;

/// What an entry is, as its key's first byte.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub(super) enum Prefix {
    /// The proof, beside the data, of what was reserved.
    Anchor = b'a',
    /// Which messages of a block are done.
    Done = b'd',
    /// Failed attempts of a pending message.
    Attempts = b'f',
    /// How far the clock of the publisher is ahead whose messages a proxy keeps.
    Clock = b'c',
    /// Which incarnation of a publisher wrote last.
    Lineage = b'l',
    /// Counts the openings; written to see that a sync is real.
    Probe = b'p',
    /// The records of dead letters.
    Dead = b'x',
    /// How a dead letter died.
    DeadAttempts = b'y',
    /// Counts the syncs, in a tree of its own.
    Syncs = b's',
    /// Pending messages. The last, so that they grow at the tree's edge.
    Block = b'z',
}

impl Prefix {
    /// All keys of this kind are below this.
    pub(super) const fn end(self) -> [u8; 1] {
        [self as u8 + 1]
    }
}

pub(super) const ANCHOR_KEY: [u8; 1] = [Prefix::Anchor as u8];
pub(super) const CLOCK_KEY: [u8; 1] = [Prefix::Clock as u8];
pub(super) const LINEAGE_KEY: [u8; 1] = [Prefix::Lineage as u8];
pub(super) const PROBE_KEY: [u8; 1] = [Prefix::Probe as u8];
pub(super) const SYNCS_KEY: [u8; 1] = [Prefix::Syncs as u8];

pub(super) fn key(prefix: Prefix, number: u64) -> [u8; 9] {
    let mut key = [prefix as u8; 9];
    key[1..].copy_from_slice(&number.to_be_bytes());
    key
}

/// The slot or seq in a key.
pub(super) fn read_key(key: &[u8]) -> Option<u64> {
    key.get(1..)?.try_into().ok().map(u64::from_be_bytes)
}

/// A key of which the beginning is lost: as that is in most stores, if its value says that it is right.
pub(super) fn completed(end: &[u8], value: &[u8]) -> Option<Vec<u8>> {
    let firsts = [Prefix::Block, Prefix::Dead].map(|prefix| key(prefix, 0));
    let keys = firsts.iter().filter_map(|first| {
        let missing = first.len().checked_sub(end.len())?;
        Some([&first[..missing], end].concat())
    });
    keys.into_iter().find(|key| unseal(key, value).is_ok())
}

/// What was reserved, kept beside the data.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Anchor {
    /// Rises with every reservation.
    pub(super) generation: u64,
    pub(super) session: Session,
    pub(super) end: Seq,
}

/// Why a value is not what was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    Checksum,
    NewerVersion(u8),
    Malformed,
}

/// A block does not fit into the number of parts that the format can count, or a note into one value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TooLarge;

/// Puts the envelope around the body that `write_body` appends.
fn seal<E>(
    key: &[u8],
    out: &mut Vec<u8>,
    write_body: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    out.clear();
    out.extend_from_slice(&[VALUE_VERSION, 0, 0, 0, 0]);
    write_body(out)?;
    // The envelope was just written.
    let (envelope, body) = out.split_at_mut(ENVELOPE_BYTES);
    envelope[1..].copy_from_slice(&checksum(key, VALUE_VERSION, body).to_le_bytes());
    Ok(())
}

/// Takes the envelope off and checks it.
fn unseal<'a>(key: &[u8], value: &'a [u8]) -> Result<&'a [u8], Fault> {
    let (&version, rest) = value.split_first().ok_or(Fault::Malformed)?;
    let (crc, body) = rest.split_first_chunk::<4>().ok_or(Fault::Malformed)?;
    if checksum(key, version, body) != u32::from_le_bytes(*crc) {
        return Err(Fault::Checksum);
    }
    if version != VALUE_VERSION {
        return Err(Fault::NewerVersion(version));
    }
    Ok(body)
}

fn checksum(key: &[u8], version: u8, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(&[version]);
    hasher.update(body);
    hasher.finalize()
}

/// Encodes a note, everything that is not a block, into `out`.
pub(super) fn write_note(
    key: &[u8],
    note: &impl Serialize,
    out: &mut Vec<u8>,
) -> Result<(), TooLarge> {
    seal(key, out, |out| codec::write(note, out).ok_or(TooLarge))
}

pub(super) fn read_note<T: DeserializeOwned>(key: &[u8], value: &[u8]) -> Result<T, Fault> {
    codec::read(unseal(key, value)?).ok_or(Fault::Malformed)
}

/// What the head of a part says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PartHead {
    pub(super) first: Seq,
    pub(super) messages: u64,
    pub(super) part: u16,
    pub(super) parts: u16,
}

/// Into how many parts so many bytes go; at least one.
pub(super) fn parts_for(bytes: usize) -> Result<u16, TooLarge> {
    u16::try_from(bytes.div_ceil(PART_BYTES).max(1)).map_err(|_| TooLarge)
}

/// Encodes one part of a block whose bytes are those of `pieces` together.
pub(super) fn write_part(key: &[u8], head: PartHead, pieces: &[Bytes], out: &mut Vec<u8>) {
    let start = usize::from(head.part) * PART_BYTES;
    let range = start..start + PART_BYTES;
    let bytes: usize = pieces.iter().map(Bytes::len).sum();
    // At most `PART_BYTES`.
    let length = bytes.saturating_sub(range.start).min(PART_BYTES) as u32;
    let Ok(()) = seal::<Infallible>(key, out, |out| {
        out.extend_from_slice(&head.first.to_le_bytes());
        out.extend_from_slice(&head.messages.to_le_bytes());
        out.extend_from_slice(&head.part.to_le_bytes());
        out.extend_from_slice(&head.parts.to_le_bytes());
        out.extend_from_slice(&length.to_le_bytes());
        append_range(pieces, range, out);
        Ok(())
    });
}

/// Appends the bytes of `range`, as far as there are any.
fn append_range(pieces: &[Bytes], range: Range<usize>, out: &mut Vec<u8>) {
    let mut at = 0;
    for piece in pieces {
        let from = range.start.saturating_sub(at).min(piece.len());
        let to = range.end.saturating_sub(at).min(piece.len());
        if let Some(bytes) = piece.get(from..to) {
            out.extend_from_slice(bytes);
        }
        at += piece.len();
    }
}

/// Checks one part; gives its head and where in the value its bytes are.
pub(super) fn read_part(key: &[u8], value: &[u8]) -> Result<(PartHead, Range<usize>), Fault> {
    let mut rest = unseal(key, value)?;
    let head = PartHead {
        first: u64::from_le_bytes(take(&mut rest)?),
        messages: u64::from_le_bytes(take(&mut rest)?),
        part: u16::from_le_bytes(take(&mut rest)?),
        parts: u16::from_le_bytes(take(&mut rest)?),
    };
    let length = u32::from_le_bytes(take(&mut rest)?);
    let numbers_fit = head.first.checked_add(head.messages).is_some_and(|end| end > head.first);
    if rest.len() as u64 != u64::from(length) || head.part >= head.parts || !numbers_fit {
        return Err(Fault::Malformed);
    }
    Ok((head, ENVELOPE_BYTES + PART_HEAD_BYTES..value.len()))
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], Fault> {
    let (taken, rest) = bytes.split_first_chunk::<N>().ok_or(Fault::Malformed)?;
    *bytes = rest;
    Ok(*taken)
}

/// Which messages of a block are done: one bit each, so that its size is bounded whatever the pattern.
#[derive(Serialize, Deserialize)]
pub(super) struct DoneNote {
    bits: Vec<u8>,
}

impl DoneNote {
    pub(super) fn new(block: Seq, done: &[Range<Seq>]) -> Result<Self, TooLarge> {
        let end = done.iter().map(|range| range.end).max().unwrap_or(block);
        let bytes = usize::try_from(end.saturating_sub(block).div_ceil(8)).map_err(|_| TooLarge)?;
        if bytes > VALUE_BYTES_MAX {
            return Err(TooLarge);
        }
        let mut bits = vec![0; bytes];
        for index in done.iter().cloned().flatten().filter_map(|seq| seq.checked_sub(block)) {
            if let Some(byte) = bits.get_mut((index / 8) as usize) {
                *byte |= 1 << (index % 8);
            }
        }
        Ok(Self { bits })
    }

    /// The numbers as ranges, in rising order.
    pub(super) fn ranges(&self, block: Seq) -> Vec<Range<Seq>> {
        let mut ranges: Vec<Range<Seq>> = Vec::new();
        for (at, byte) in self.bits.iter().enumerate() {
            for bit in (0..8).filter(|bit| byte >> bit & 1 == 1) {
                let seq = block.saturating_add(at as u64 * 8 + bit);
                match ranges.last_mut() {
                    Some(last) if last.end == seq => last.end += 1,
                    _ => ranges.push(seq..seq.saturating_add(1)),
                }
            }
        }
        ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(pieces: &[Bytes], part: u16, parts: u16) -> Vec<u8> {
        let mut value = Vec::new();
        write_part(b"key", PartHead { first: 7, messages: 3, part, parts }, pieces, &mut value);
        value
    }

    #[test]
    fn a_part_has_these_bytes() {
        let value = part(&[Bytes::from_static(b"ab"), Bytes::from_static(b"c")], 0, 1);
        let golden = b"\x01CRC!\x07\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\0\0\x01\0\x03\0\0\0abc";
        assert_eq!(value[..1], golden[..1]);
        assert_eq!(value[5..], golden[5..]);
        let checked = [&b"key\x01"[..], &golden[5..]].concat();
        assert_eq!(value[1..5], crc32fast::hash(&checked).to_le_bytes());
        assert_eq!(key(Prefix::Block, 0x0102), *b"z\0\0\0\0\0\0\x01\x02");
    }

    #[test]
    fn parts_divide_the_bytes_between_them() {
        let whole: Bytes = (0..PART_BYTES * 2 + 10).map(|at| at as u8).collect();
        let pieces =
            [whole.slice(..5), whole.slice(5..PART_BYTES + 1), whole.slice(PART_BYTES + 1..)];
        assert_eq!(parts_for(whole.len()), Ok(3));
        let mut joined = Vec::new();
        for at in 0..3 {
            let value = part(&pieces, at, 3);
            assert!(value.len() <= VALUE_BYTES_MAX);
            let (head, place) = read_part(b"key", &value).unwrap();
            assert_eq!((head.part, head.parts), (at, 3));
            joined.extend_from_slice(&value[place]);
        }
        assert_eq!(joined, whole);
        assert_eq!(parts_for(0), Ok(1));
        assert_eq!(parts_for(PART_BYTES), Ok(1));
        assert_eq!(parts_for(PART_BYTES * 65_535), Ok(65_535));
        assert_eq!(parts_for(PART_BYTES * 65_535 + 1), Err(TooLarge));
    }

    #[test]
    fn no_changed_bit_goes_unseen() {
        let value = part(&[Bytes::from_static(b"payload")], 0, 1);
        for bit in 0..value.len() * 8 {
            let mut changed = value.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read_part(b"key", &changed), Err(Fault::Checksum), "bit {bit}");
        }
        assert_eq!(read_part(b"kez", &value), Err(Fault::Checksum), "another key");
        for length in 0..value.len() {
            assert!(read_part(b"key", &value[..length]).is_err(), "cut to {length}");
        }
    }

    #[test]
    fn a_value_of_a_later_version_is_told_from_damage() {
        let mut value = Vec::new();
        write_note(b"key", &7u64, &mut value).unwrap();
        assert_eq!(read_note::<u64>(b"key", &value), Ok(7));
        let crc = checksum(b"key", 2, &value[5..]).to_le_bytes();
        value[0] = 2;
        value[1..5].copy_from_slice(&crc);
        assert_eq!(read_note::<u64>(b"key", &value), Err(Fault::NewerVersion(2)));
    }

    #[test]
    fn done_ranges_come_back_joined_and_in_order() {
        let note = DoneNote::new(100, &[120..121, 100..103, 103..105, 116..120]).unwrap();
        assert_eq!(note.ranges(100), [100..105, 116..121]);
        assert!(DoneNote::new(100, &[]).unwrap().ranges(100).is_empty());
        assert!(DoneNote::new(0, &[0..1, 5..u64::MAX]).is_err());
    }
}
