//! Finding the end of a request's head in bytes that arrive in any pieces.
//!
//! Line ends are CR LF and nothing else: RFC 9112, section 2.2, lets a server take a bare LF,
//! but two servers that disagree about where a line ends are how requests are smuggled.

use crate::status::{Refusal, Status};

/// Longest request line, without its end.
pub const LINE_MAX: usize = 4096;
/// Longest head, with the empty line that ends it.
pub const HEAD_MAX: usize = 8192;
/// Most header fields.
pub const FIELDS_MAX: usize = 64;

/// How far the search came, so that no byte is looked at twice however they arrive.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    scanned: usize,
    /// Where the current line begins; 0 while the request line is not complete.
    line: usize,
}

/// What the bytes so far are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scan {
    Partial,
    /// A head of so many bytes.
    Complete(usize),
    Refused(Refusal),
}

const LINE_TOO_LONG: Refusal = Refusal::new(
    Status::UriTooLong,
    "the request line is longer than 4096 bytes",
);
const HEAD_TOO_LONG: Refusal = Refusal::new(
    Status::HeaderFieldsTooLarge,
    "the header fields are longer than 8192 bytes",
);
const BARE_LF: Refusal = Refusal::bad("a line ends in LF without CR");
const NO_METHOD: Refusal = Refusal::bad("the request does not begin with a method");

/// Continues the search in `bytes`, which begins with the request and contains at least what
/// it did when `progress` was last used.
pub fn scan(bytes: &[u8], progress: &mut Progress) -> Scan {
    if progress.scanned == 0
        && let Some(first) = bytes.first()
        && !first.is_ascii_alphanumeric()
        && !b"!#$%&'*+-.^_`|~".contains(first)
    {
        return Scan::Refused(NO_METHOD);
    }
    for lf in LineFeeds::new(bytes, progress.scanned) {
        if lf == 0 || bytes[lf - 1] != b'\r' {
            return Scan::Refused(BARE_LF);
        }
        if progress.line == 0 && lf - 1 > LINE_MAX {
            return Scan::Refused(LINE_TOO_LONG);
        }
        if lf >= HEAD_MAX {
            return Scan::Refused(HEAD_TOO_LONG);
        }
        progress.scanned = lf + 1;
        if lf - 1 == progress.line {
            return Scan::Complete(lf + 1);
        }
        progress.line = lf + 1;
    }
    progress.scanned = bytes.len();
    if progress.line == 0 && bytes.len() > LINE_MAX + 1 {
        Scan::Refused(LINE_TOO_LONG)
    } else if bytes.len() >= HEAD_MAX {
        Scan::Refused(HEAD_TOO_LONG)
    } else {
        Scan::Partial
    }
}

/// Where the LFs are, eight bytes a step.
struct LineFeeds<'b> {
    words: core::slice::Iter<'b, [u8; 8]>,
    rest: &'b [u8],
    /// Where the word after the current one begins.
    next: usize,
    /// The current word's LFs, a bit for each byte.
    marks: u64,
}

impl<'b> LineFeeds<'b> {
    /// Those at or after `from`.
    fn new(bytes: &'b [u8], from: usize) -> Self {
        let (words, rest) = bytes.get(from..).unwrap_or_default().as_chunks();
        Self {
            words: words.iter(),
            rest,
            next: from,
            marks: 0,
        }
    }
}

impl Iterator for LineFeeds<'_> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        const LOWS: u64 = 0x7f7f_7f7f_7f7f_7f7f;
        const LFS: u64 = 0x0a0a_0a0a_0a0a_0a0a;
        while self.marks == 0 {
            let Some(word) = self.words.next() else {
                let at = self.rest.iter().position(|b| *b == b'\n')?;
                self.rest = &self.rest[at + 1..];
                self.next += at + 1;
                return Some(self.next - 1);
            };
            // The top bit of a byte of `marks` is set exactly where the byte of `x` is zero: no
            // carry leaves a byte.
            let x = u64::from_le_bytes(*word) ^ LFS;
            self.marks = !(((x & LOWS) + LOWS) | x | LOWS);
            self.next += 8;
        }
        let byte = self.marks.trailing_zeros() / 8;
        self.marks &= self.marks - 1;
        Some(self.next - 8 + byte as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn whole(bytes: &[u8]) -> Scan {
        scan(bytes, &mut Progress::default())
    }

    #[test]
    fn ends_at_the_empty_line() {
        assert_eq!(whole(b"GET / HTTP/1.0\r\n\r\n"), Scan::Complete(18));
        assert_eq!(whole(b"GET / HTTP/1.0\r\n\r\nGET "), Scan::Complete(18));
        assert_eq!(whole(b"GET / HTTP/1.0\r\nA: b\r\n\r\n"), Scan::Complete(24));
        assert_eq!(whole(b"GET / HTTP/1.0\r\nA: b\r\n\r"), Scan::Partial);
        assert_eq!(whole(b""), Scan::Partial);
    }

    #[test]
    fn bare_lf_and_binary_are_refused_at_once() {
        assert_eq!(whole(b"GET / HTTP/1.0\n\n"), Scan::Refused(BARE_LF));
        assert_eq!(whole(b"GET / HTTP/1.0\r\nA: b\n"), Scan::Refused(BARE_LF));
        assert_eq!(whole(b"\x16\x03\x01"), Scan::Refused(NO_METHOD));
        assert_eq!(whole(b"\n"), Scan::Refused(NO_METHOD));
    }

    #[test]
    fn limits_are_exact() {
        let line = |n: usize| {
            let mut v = std::vec![b'a'; n];
            v.extend_from_slice(b"\r\n\r\n");
            v
        };
        assert_eq!(whole(&line(LINE_MAX)), Scan::Complete(LINE_MAX + 4));
        assert_eq!(whole(&line(LINE_MAX + 1)), Scan::Refused(LINE_TOO_LONG));
        assert_eq!(whole(&[b'a'; LINE_MAX + 1]), Scan::Partial);
        assert_eq!(whole(&[b'a'; LINE_MAX + 2]), Scan::Refused(LINE_TOO_LONG));
        let head = |n: usize| {
            let mut v = b"GET / HTTP/1.0\r\nA: ".to_vec();
            v.resize(n - 4, b'x');
            v.extend_from_slice(b"\r\n\r\n");
            v
        };
        assert_eq!(whole(&head(HEAD_MAX)), Scan::Complete(HEAD_MAX));
        assert_eq!(whole(&head(HEAD_MAX + 1)), Scan::Refused(HEAD_TOO_LONG));
    }

    proptest! {
        #[test]
        fn pieces_find_what_the_whole_finds(
            bytes in proptest::collection::vec(
                prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'a'), Just(b':'), any::<u8>()],
                0..200,
            ),
            step in 1usize..9,
        ) {
            let expected = whole(&bytes);
            let mut progress = Progress::default();
            let mut seen = Scan::Partial;
            let mut end = 0;
            while end < bytes.len() && seen == Scan::Partial {
                end = (end + step).min(bytes.len());
                seen = scan(&bytes[..end], &mut progress);
            }
            prop_assert_eq!(seen, expected);
        }

        #[test]
        fn line_feeds_are_found_like_a_child_would(
            bytes in proptest::collection::vec(prop_oneof![8u8..12, Just(0x8a), any::<u8>()], 0..40),
            from in 0usize..44,
        ) {
            let naive: Vec<usize> = (from..bytes.len()).filter(|i| bytes[*i] == b'\n').collect();
            prop_assert_eq!(LineFeeds::new(&bytes, from).collect::<Vec<_>>(), naive);
        }
    }
}
