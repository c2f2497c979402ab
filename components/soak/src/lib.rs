//! What all components of the image `soak` agree on: numbers that look random, and buffers that
//! show whether they are whole.
//!
//! Guarantees: a buffer that [`fill`] wrote passes [`is_whole`], and one of which any word changed
//! does not. Trusts nobody. Never does: allocate or block.

#![cfg_attr(not(test), no_std)]

#[cfg(feature = "component")]
pub mod parts;

/// Numbers that look random and are the same for a seed (xorshift64*).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub const fn new(seed: u64) -> Self {
        Self(if seed == 0 { 1 } else { seed })
    }

    pub fn word(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.word() % limit.max(1)
    }
}

const WORD: usize = size_of::<u64>();

fn words(bytes: &[u8]) -> impl DoubleEndedIterator<Item = u64> {
    bytes.chunks_exact(WORD).map(|chunk| {
        chunk
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u64::from(*byte))
    })
}

/// Changes with every word and its place.
fn checksum(words: impl Iterator<Item = u64>) -> u64 {
    words.fold(!0, |sum, word| {
        (sum.rotate_left(7) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    })
}

/// Writes words that follow from `seed`, and last their checksum. Whole words, at least one.
pub fn fill(bytes: &mut [u8], seed: u64) {
    let mut random = Random::new(seed);
    let Some(last) = bytes.len().checked_sub(WORD) else {
        return;
    };
    for chunk in bytes[..last].chunks_exact_mut(WORD) {
        chunk.copy_from_slice(&random.word().to_le_bytes());
    }
    let sum = checksum(words(&bytes[..last]));
    bytes[last..].copy_from_slice(&sum.to_le_bytes());
}

/// Whether the last word is the checksum of the others.
pub fn is_whole(bytes: &[u8]) -> bool {
    let Some(last) = bytes.len().checked_sub(WORD) else {
        return false;
    };
    words(bytes).next_back() == Some(checksum(words(&bytes[..last])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_filled_is_whole_until_anything_changes() {
        let mut bytes = [0; 200];
        assert!(!is_whole(&bytes) && !is_whole(&[]));
        fill(&mut bytes, 7);
        assert!(is_whole(&bytes));
        for place in 0..bytes.len() {
            bytes[place] ^= 1;
            assert!(!is_whole(&bytes), "{place}");
            bytes[place] ^= 1;
        }
        assert!(!is_whole(&bytes[..192]) && !is_whole(&bytes[8..]));
    }
}
