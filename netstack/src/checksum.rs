//! The Internet checksum, eight bytes at a time. Source: RFC 1071.

/// One's complement sum of two numbers.
fn add(a: u64, b: u64) -> u64 {
    let (sum, carry) = a.overflowing_add(b);
    sum + u64::from(carry)
}

fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    sum as u16
}

/// The sum of all 16-bit words in network order, an odd last byte padded with zero; not
/// complemented.
pub fn sum(bytes: &[u8]) -> u16 {
    // The sum does not care for the order of bytes as long as the result is turned round.
    let (blocks, rest) = bytes.as_chunks::<32>();
    let mut total = 0;
    for block in blocks {
        let (words, _) = block.as_chunks::<8>();
        for word in words {
            total = add(total, u64::from_le_bytes(*word));
        }
    }
    let (words, rest) = rest.as_chunks::<8>();
    for word in words {
        total = add(total, u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    fold(add(total, u64::from_le_bytes(last))).swap_bytes()
}

/// The sum of the pseudo header of an IPv4 packet without options in its first 20 bytes: the
/// addresses, `protocol` and the `bytes` that follow the header.
pub fn pseudo(header: &[u8], protocol: u8, bytes: usize) -> u16 {
    let addresses = u64::from(sum(&header[12..20]));
    fold(addresses + u64::from(protocol) + bytes as u64)
}

/// The checksum field holds what makes the sum of all with its pseudo header come out even.
pub fn verify(pseudo: u16, body: &[u8]) -> bool {
    fold(u64::from(pseudo) + u64::from(sum(body))) == 0xffff
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn plain(bytes: &[u8]) -> u16 {
        let word = |pair: &[u8]| u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0));
        fold(bytes.chunks(2).map(word).sum())
    }

    proptest! {
        #[test]
        fn sums_like_two_bytes_at_a_time(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            // Zero has two forms.
            prop_assert_eq!(sum(&bytes) % 0xffff, plain(&bytes) % 0xffff);
        }

        #[test]
        fn finds_every_changed_bit(
            mut body in prop::collection::vec(any::<u8>(), 18..200), bit in any::<usize>(),
        ) {
            let header: Vec<u8> = (0..20).collect();
            let pseudo = pseudo(&header, 6, body.len());
            body[16..18].fill(0);
            let check = !fold(u64::from(pseudo) + u64::from(sum(&body)));
            body[16..18].copy_from_slice(&check.to_be_bytes());
            prop_assert!(verify(pseudo, &body));
            let bit = bit % (body.len() * 8);
            body[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(!verify(pseudo, &body));
        }
    }
}
