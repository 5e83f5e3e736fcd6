//! Small payloads side by side.

use crate::collections::Rising;

/// Payloads share pieces of memory of this size.
const PIECE_BYTES: usize = 16 << 10;

/// Payloads that were copied one behind the other, so that a small one keeps nothing of what it was cut from. A piece goes
/// with the last payload in it.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    pieces: Rising<Piece>,
    /// The one that is filled.
    last: u64,
    /// One that is empty, to be filled next.
    spare: Vec<u8>,
}

#[derive(Debug)]
struct Piece {
    bytes: Vec<u8>,
    /// How many in it are needed.
    payloads: u32,
}

/// Where a payload stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Spot {
    piece: u64,
    at: u32,
    bytes: u32,
}

impl Spot {
    pub(super) const fn bytes(self) -> usize {
        self.bytes as usize
    }
}

impl Pieces {
    /// Copies a payload, which is no longer than a message may be.
    pub(super) fn put(&mut self, payload: &[u8]) -> Spot {
        let fits = |piece: &&mut Piece| piece.bytes.capacity() - piece.bytes.len() >= payload.len();
        if self.pieces.get_mut(&self.last).filter(fits).is_none() {
            self.begin(payload.len());
        }
        let mut spot = Spot { piece: self.last, at: 0, bytes: payload.len() as u32 };
        if let Some(piece) = self.pieces.get_mut(&self.last) {
            spot.at = piece.bytes.len() as u32;
            piece.bytes.extend_from_slice(payload);
            piece.payloads += 1;
        }
        spot
    }

    /// Another piece, with room for so much.
    fn begin(&mut self, bytes: usize) {
        let mut piece = std::mem::take(&mut self.spare);
        piece.reserve(bytes.max(PIECE_BYTES));
        self.last += 1;
        self.pieces.insert(self.last, Piece { bytes: piece, payloads: 0 });
    }

    /// A payload that is needed.
    pub(super) fn get(&self, spot: Spot) -> &[u8] {
        let piece = self.pieces.get(&spot.piece).map_or(&[][..], |piece| &piece.bytes);
        let start = spot.at as usize;
        piece.get(start..start + spot.bytes()).unwrap_or_default()
    }

    /// A payload is not needed any more.
    pub(super) fn free(&mut self, spot: Spot) {
        let Some(piece) = self.pieces.get_mut(&spot.piece) else {
            return;
        };
        piece.payloads -= 1;
        if piece.payloads > 0 {
            return;
        }
        if spot.piece == self.last {
            return piece.bytes.clear();
        }
        if let Some(mut piece) = self.pieces.remove(&spot.piece) {
            piece.bytes.clear();
            self.spare = piece.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_is_there_until_it_is_freed(
            steps in prop::collection::vec((0..6_000_usize, any::<prop::sample::Index>(), 0..3_u8), 1..400),
        ) {
            let mut pieces = Pieces::default();
            let mut held: Vec<(Spot, Vec<u8>)> = Vec::new();
            for (turn, (bytes, which, frees)) in steps.into_iter().enumerate() {
                let payload = vec![turn as u8; bytes];
                held.push((pieces.put(&payload), payload));
                for _ in 0..frees.min(held.len() as u8) {
                    let (spot, _) = held.swap_remove(which.index(held.len()));
                    pieces.free(spot);
                }
                for (spot, payload) in &held {
                    prop_assert_eq!(pieces.get(*spot), payload);
                }
                prop_assert!(pieces.pieces.len() <= held.len() + 1);
            }
        }
    }
}
