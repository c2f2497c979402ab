//! What the components of the image `heaps` share: memory that shows whether it is whole.
//!
//! Guarantees: a block that [`block`] made passes [`is_whole`] until a byte of it changes; where there
//! is no memory, [`block`] says so. Trusts nobody. Never does: end the component for lack of memory.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::vec::Vec;

/// The byte at a place, for a seed: neighbours differ, and so do pages.
fn byte(seed: u8, place: usize) -> u8 {
    seed.wrapping_add(place as u8)
        .wrapping_add((place >> 12) as u8)
}

/// So many bytes from the heap, written from one end to the other; `None` where there are not so many.
pub fn block(bytes: usize, seed: u8) -> Option<Vec<u8>> {
    let mut block = Vec::new();
    block.try_reserve_exact(bytes).ok()?;
    block.extend((0..bytes).map(|place| byte(seed, place)));
    Some(block)
}

pub fn is_whole(block: &[u8], seed: u8) -> bool {
    let mut bytes = block.iter().enumerate();
    bytes.all(|(place, got)| *got == byte(seed, place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_is_whole_until_anything_changes() {
        let mut bytes = block(9000, 7).unwrap();
        assert!(is_whole(&bytes, 7) && !is_whole(&bytes, 8));
        for place in [0, 255, 4096, 8999] {
            bytes[place] ^= 1;
            assert!(!is_whole(&bytes, 7));
            bytes[place] ^= 1;
        }
        assert!(!is_whole(&bytes[4096..], 7));
        assert!(block(usize::MAX, 0).is_none());
    }
}
