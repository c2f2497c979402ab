//! Dynamic pages as pure logic: what a query asks for, and the bytes that answer it.
//!
//! Guarantees: every query gets a length up to [`BYTES_MAX`] or one sentence that says what is
//! wrong; byte `i` of a page is `32 + ((i ^ (i / 256)) % 64)`, printable ASCII that tells any
//! two places within 16 KiB apart, so a test can check every byte.
//! Trusts: nothing of the query. Never does: allocate, or keep anything between requests.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

/// Longest page.
pub const BYTES_MAX: usize = 1 << 20;
/// Length of the page when the query does not say.
pub const BYTES_DEFAULT: usize = 1024;

/// The query that makes the component fault, where its description allows it: to see that the
/// server goes on.
pub const CRASH: &[u8] = b"crash";

/// Parts of a page begin at multiples of this.
pub const BLOCK: usize = 256;

/// The length that `bytes=N` asks for; an empty query asks for [`BYTES_DEFAULT`].
pub fn wanted(query: &[u8]) -> Result<usize, &'static str> {
    if query.is_empty() {
        return Ok(BYTES_DEFAULT);
    }
    let digits = query
        .strip_prefix(b"bytes=")
        .ok_or("The query has to be bytes=N.\n")?;
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err("The number of bytes is not a number.\n");
    }
    let value = digits.iter().fold(0usize, |sum, digit| {
        sum.saturating_mul(10)
            .saturating_add(usize::from(digit - b'0'))
    });
    if value > BYTES_MAX {
        return Err("At most 1048576 bytes can be asked for.\n");
    }
    Ok(value)
}

/// Fills a part of a page that begins `from` bytes in, a multiple of [`BLOCK`]. Blocks of constant
/// pattern, so that it is vectorised.
pub fn fill(from: usize, part: &mut [u8]) {
    let first = from / BLOCK;
    let (blocks, rest) = part.as_chunks_mut::<BLOCK>();
    let last = first + blocks.len();
    for (block, bytes) in blocks.iter_mut().enumerate() {
        fill_block((first + block) as u8, bytes);
    }
    fill_block(last as u8, rest);
}

/// The numbers of a block's bytes: read, they keep the loop one of bytes, where counted they would
/// make it one of words.
const NUMBERS: [u8; BLOCK] = {
    let mut numbers = [0; BLOCK];
    let mut i = 0;
    while i < BLOCK {
        numbers[i] = i as u8;
        i += 1;
    }
    numbers
};

fn fill_block(flip: u8, bytes: &mut [u8]) {
    for (byte, number) in bytes.iter_mut().zip(&NUMBERS) {
        *byte = 32 + ((number ^ flip) & 63);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn queries() {
        for (query, expected) in [
            ("", Ok(1024)),
            ("bytes=0", Ok(0)),
            ("bytes=1", Ok(1)),
            ("bytes=0001024", Ok(1024)),
            ("bytes=1048576", Ok(1 << 20)),
            (
                "bytes=1048577",
                Err("At most 1048576 bytes can be asked for.\n"),
            ),
            (
                "bytes=99999999999999999999999999",
                Err("At most 1048576 bytes can be asked for.\n"),
            ),
            ("bytes=", Err("The number of bytes is not a number.\n")),
            ("bytes=-1", Err("The number of bytes is not a number.\n")),
            (
                "bytes=1&bytes=2",
                Err("The number of bytes is not a number.\n"),
            ),
            ("bytes=%31", Err("The number of bytes is not a number.\n")),
            ("Bytes=1", Err("The query has to be bytes=N.\n")),
            ("crash", Err("The query has to be bytes=N.\n")),
            ("x", Err("The query has to be bytes=N.\n")),
        ] {
            assert_eq!(wanted(query.as_bytes()), expected, "{query}");
        }
    }

    #[test]
    fn pages_follow_the_formula() {
        for length in [0, 1, 255, 256, 257, 1024, 70_001] {
            let mut page = std::vec![0; length];
            fill(0, &mut page);
            for (i, byte) in page.iter().enumerate() {
                assert_eq!(usize::from(*byte), 32 + ((i ^ (i / 256)) % 64));
            }
            for from in (0..length).step_by(BLOCK) {
                let mut part = std::vec![0; (length - from).min(700)];
                fill(from, &mut part);
                assert_eq!(part, page[from..from + part.len()]);
            }
        }
    }

    proptest! {
        #[test]
        fn garbage_never_panics(query in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(length) = wanted(&query) {
                prop_assert!(length <= BYTES_MAX);
            }
        }
    }
}
