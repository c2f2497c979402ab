//! Reading a request's body past, so that the next request on the connection is found. GET and
//! HEAD give a body no meaning; it is counted, bounded and thrown away.

use crate::request::BODY_MAX;
use crate::status::{Refusal, Status};

/// Longest chunk line and longest trailer, in bytes: chunk extensions and trailers mean nothing
/// here either.
const LINE_MAX: u16 = 256;
const TRAILER_MAX: u16 = 2048;

const TOO_LARGE: Refusal = Refusal::new(
    Status::ContentTooLarge,
    "the request's body is longer than 65536 bytes",
);
const BAD_CHUNK: Refusal = Refusal::bad("a chunk of the request's body is malformed");

/// Where in a body the connection is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Body {
    Length { left: u64 },
    Chunked { state: Chunk, total: u64 },
}

/// Where in the chunked coding (RFC 9112, section 7.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Chunk {
    Size {
        size: u64,
        digits: u16,
    },
    Extension {
        size: u64,
        length: u16,
    },
    SizeLf {
        size: u64,
    },
    Data {
        left: u64,
    },
    DataCr,
    DataLf,
    /// At the beginning of a trailer line, or of the empty line that ends it all.
    TrailerStart {
        length: u16,
    },
    TrailerLine {
        length: u16,
    },
    TrailerLf {
        length: u16,
    },
    EndLf,
}

impl Body {
    pub const CHUNKED: Self = Self::Chunked {
        state: Chunk::Size { size: 0, digits: 0 },
        total: 0,
    };

    /// A body of a stated length; one over the bound is refused before it comes.
    pub fn with_length(left: u64) -> Result<Self, Refusal> {
        if left > BODY_MAX {
            return Err(TOO_LARGE);
        }
        Ok(Self::Length { left })
    }

    /// Takes what of `bytes` belongs to the body: how many those were and whether it ended.
    pub fn discard(&mut self, bytes: &[u8]) -> Result<(usize, bool), Refusal> {
        match self {
            Self::Length { left } => {
                let take = (*left).min(bytes.len() as u64);
                *left -= take;
                Ok((take as usize, *left == 0))
            }
            Self::Chunked { state, total } => {
                let mut at = 0;
                while let Some(&byte) = bytes.get(at) {
                    if let Chunk::Data { left } = state {
                        let take = (*left).min((bytes.len() - at) as u64);
                        at += take as usize;
                        *left -= take;
                        if *left == 0 {
                            *state = Chunk::DataCr;
                        }
                        continue;
                    }
                    at += 1;
                    match state.step(byte, total)? {
                        Some(next) => *state = next,
                        None => return Ok((at, true)),
                    }
                }
                Ok((at, false))
            }
        }
    }
}

impl Chunk {
    /// The state after one byte outside of chunk data; `None` after the last.
    fn step(self, byte: u8, total: &mut u64) -> Result<Option<Self>, Refusal> {
        Ok(Some(match (self, byte) {
            (Self::Size { size, digits }, _) if byte.is_ascii_hexdigit() => {
                let digit = (byte as char).to_digit(16).unwrap_or_default();
                // Sixteen digits cannot overflow; leading zeros beyond that have no use.
                if digits >= 16 {
                    return Err(BAD_CHUNK);
                }
                Self::Size {
                    size: size << 4 | u64::from(digit),
                    digits: digits + 1,
                }
            }
            (Self::Size { digits: 0, .. }, _) => return Err(BAD_CHUNK),
            (Self::Size { size, .. }, b'\r') => Self::SizeLf { size },
            (Self::Size { size, .. }, b';') => Self::Extension { size, length: 0 },
            (Self::Extension { size, .. }, b'\r') => Self::SizeLf { size },
            (Self::Extension { size, length }, _)
                if length < LINE_MAX && !byte.is_ascii_control() =>
            {
                Self::Extension {
                    size,
                    length: length + 1,
                }
            }
            (Self::SizeLf { size: 0 }, b'\n') => Self::TrailerStart { length: 0 },
            (Self::SizeLf { size }, b'\n') => {
                *total = total.saturating_add(size);
                if *total > BODY_MAX {
                    return Err(TOO_LARGE);
                }
                Self::Data { left: size }
            }
            (Self::DataCr, b'\r') => Self::DataLf,
            (Self::DataLf, b'\n') => Self::Size { size: 0, digits: 0 },
            (Self::TrailerStart { .. }, b'\r') => Self::EndLf,
            (Self::TrailerLine { length }, b'\r') => Self::TrailerLf { length },
            (Self::TrailerStart { length } | Self::TrailerLine { length }, _)
                if length < TRAILER_MAX && (!byte.is_ascii_control() || byte == b'\t') =>
            {
                Self::TrailerLine { length: length + 1 }
            }
            (Self::TrailerLf { length }, b'\n') => Self::TrailerStart { length },
            (Self::EndLf, b'\n') => return Ok(None),
            _ => return Err(BAD_CHUNK),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Bytes taken, fed in steps of `step`; `None` while the body has not ended.
    fn feed(bytes: &[u8], step: usize) -> Result<Option<usize>, Refusal> {
        let mut body = Body::CHUNKED;
        let mut taken = 0;
        for piece in bytes.chunks(step) {
            let (took, ended) = body.discard(piece)?;
            taken += took;
            if ended {
                return Ok(Some(taken));
            }
            assert_eq!(took, piece.len());
        }
        Ok(None)
    }

    #[test]
    fn chunked_bodies_end_where_they_end() {
        for (text, expected) in [
            ("0\r\n\r\n", Ok(Some(5))),
            ("5\r\nhello\r\n0\r\n\r\nGET", Ok(Some(15))),
            ("5;a=b\r\nhello\r\n00\r\nX: y\r\n\r\n", Ok(Some(26))),
            ("a\r\n0123456789\r\n", Ok(None)),
            ("\r\n", Err(BAD_CHUNK)),
            ("5\nhello\r\n0\r\n\r\n", Err(BAD_CHUNK)),
            ("5\r\nhelloX\r\n0\r\n\r\n", Err(BAD_CHUNK)),
            ("-1\r\n", Err(BAD_CHUNK)),
            ("0x5\r\n", Err(BAD_CHUNK)),
            (" 5\r\n", Err(BAD_CHUNK)),
            ("5 \r\n", Err(BAD_CHUNK)),
            ("10001\r\n", Err(TOO_LARGE)),
            ("ffffffffffffffff\r\n", Err(TOO_LARGE)),
            ("00000000000000001\r\n", Err(BAD_CHUNK)),
            ("0\r\nA: b\n\r\n", Err(BAD_CHUNK)),
        ] {
            for step in 1..=text.len() {
                assert_eq!(feed(text.as_bytes(), step), expected, "{text:?} by {step}");
            }
        }
    }

    #[test]
    fn many_chunks_cannot_exceed_the_bound() {
        let one = [&b"1000\r\n"[..], &[b'x'; 4096], b"\r\n"].concat();
        assert_eq!(feed(&one.repeat(16), 1000), Ok(None));
        assert_eq!(feed(&one.repeat(17), 1000), Err(TOO_LARGE));
        let long = [&b"1;"[..], &[b'x'; 300]].concat();
        assert_eq!(feed(&long, 7), Err(BAD_CHUNK));
        let trailers = [&b"0\r\n"[..], &b"A: b\r\n".repeat(600)].concat();
        assert_eq!(feed(&trailers, 7), Err(BAD_CHUNK));
    }

    proptest! {
        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..100), step in 1usize..10) {
            let _ = feed(&bytes, step);
        }
    }
}
