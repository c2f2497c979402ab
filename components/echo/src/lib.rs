//! What the echo test sends and what must come back: pure, so that the host checks it too.
//!
//! Guarantees: nothing here can fail or allocate.
//! Trusts: nothing; there is no input but numbers.
//! Never does: name the runtime. The provider is `main.rs`, its caller `caller.rs`.

#![no_std]
#![forbid(unsafe_code)]

/// Byte `at` of the pattern for a seed: differs between neighbours and between pages.
pub fn pattern(seed: u64, at: usize) -> u8 {
    let mixed = (seed ^ at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 56) as u8
}

pub fn fill(seed: u64, bytes: &mut [u8]) {
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = pattern(seed, at);
    }
}

/// Where the bytes first differ from the pattern.
pub fn first_difference(seed: u64, bytes: &[u8]) -> Option<usize> {
    let differs = |(at, byte): (usize, &u8)| (*byte != pattern(seed, at)).then_some(at);
    bytes.iter().enumerate().find_map(differs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_byte_is_found() {
        let mut bytes = [0; 9000];
        fill(7, &mut bytes);
        assert_eq!(first_difference(7, &bytes), None);
        bytes[8123] ^= 1;
        assert_eq!(first_difference(7, &bytes), Some(8123));
        assert!(first_difference(8, &bytes).is_some());
    }

    #[test]
    fn pages_differ() {
        let mut bytes = [0; 8192];
        fill(1, &mut bytes);
        assert!(bytes[..4096] != bytes[4096..]);
    }
}
