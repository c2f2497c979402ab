//! Files out of the body of a form (multipart/form-data), as the body comes, in pieces of any size.
//!
//! Guarantees: a part's bytes are given on as they are, in order, each exactly once, whatever the
//! borders of the pieces; what is kept between pieces is one part's head and a place in the
//! delimiter, of bounded size; after an error nothing more is given on. Sources: RFC 7578, and RFC
//! 2046, section 5.1, of which what no browser sends is refused and not repaired.
//! Trusts: nothing in the body.
//! Never does: hold a file, allocate, or decide what a file is.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod boundary;
mod head;

pub use boundary::Boundary;
pub use head::Name;

use core::fmt;
use head::Head;

/// Most bytes before the first part, and after a delimiter on its line.
const PADDING_MAX: u16 = 256;

/// Why a body is not a form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error {
    /// The content type names no boundary, or one that cannot be.
    Boundary,
    /// Too much before the first part, or after a delimiter.
    Padding,
    /// A part's head is longer than [`head::HEAD_MAX`] bytes.
    LongHead,
    /// A part's head is malformed, or says not that it is form data with a name.
    Head,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Boundary => "the content type is not multipart/form-data with a boundary",
            Self::Padding => "the form has bytes where a part should begin",
            Self::LongHead => "the head of a part of the form is longer than 2048 bytes",
            Self::Head => "the head of a part of the form does not say what the part is",
        })
    }
}

impl core::error::Error for Error {}

/// What a piece of a body turned out to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event<'b> {
    /// A part begins.
    Part(Name<'b>),
    /// More bytes of it; never empty.
    Data(&'b [u8]),
    /// It is complete.
    End,
}

/// Where in the body the last piece ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Before the first delimiter, with so many bytes that mean nothing.
    Preamble(u16),
    /// In the bytes of a part.
    Data,
    /// After a delimiter: `--` ends the form, a line's end begins a part.
    Delimited(After),
    Head,
    /// After the last delimiter; what follows means nothing.
    Ended,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum After {
    Delimiter,
    Dash,
    /// So many blanks.
    Blanks(u16),
    Cr,
}

/// A form that is being read.
pub struct Form {
    boundary: Boundary,
    /// How many bytes of the delimiter came last.
    matched: usize,
    state: State,
    head: Head,
}

impl Form {
    /// A form whose parts are divided by `boundary`.
    pub fn new(boundary: Boundary) -> Self {
        Self {
            boundary,
            // The line's end before the first delimiter may be missing.
            matched: 2,
            state: State::Preamble(0),
            head: Head::default(),
        }
    }

    /// Whether the last delimiter came.
    pub fn is_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// Reads the next piece of the body and tells `sink` what it is. A form of which an error was
    /// told, or whose sink failed, is not to be read any further.
    pub fn read<E: From<Error>>(
        &mut self,
        mut bytes: &[u8],
        sink: &mut impl FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        while !bytes.is_empty() {
            let used = match self.state {
                State::Preamble(_) | State::Data => self.contents(bytes, sink)?,
                State::Delimited(after) => {
                    self.state = after.step(bytes[0])?;
                    1
                }
                State::Head => {
                    let (used, complete) = self.head.read(bytes)?;
                    if complete {
                        sink(Event::Part(self.head.name()?))?;
                        self.head.clear();
                        self.state = State::Data;
                    }
                    used
                }
                State::Ended => return Ok(()),
            };
            bytes = &bytes[used..];
        }
        Ok(())
    }

    /// Bytes up to the next delimiter's end, or all: how many.
    ///
    /// A delimiter begins with CR and contains no second one, so where it breaks off, no other
    /// can have begun within it.
    fn contents<E: From<Error>>(
        &mut self,
        bytes: &[u8],
        sink: &mut impl FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<usize, E> {
        let delimiter = self.boundary.delimiter();
        if self.matched == 0 {
            let cr = bytes.iter().position(|&byte| byte == b'\r');
            let plain = cr.unwrap_or(bytes.len());
            if plain > 0 {
                self.state = self.state.give(&bytes[..plain], sink)?;
                return Ok(plain);
            }
        }
        let rest = &delimiter[self.matched..];
        let same = rest.iter().zip(bytes).take_while(|(a, b)| a == b).count();
        if same == rest.len() {
            if self.state == State::Data {
                sink(Event::End)?;
            }
            self.matched = 0;
            self.state = State::Delimited(After::Delimiter);
        } else if same == bytes.len() {
            self.matched += same;
        } else {
            // None: what was matched is contents, and this byte is looked at anew.
            let broken = core::mem::take(&mut self.matched) + same;
            self.state = self.state.give(&delimiter[..broken], sink)?;
        }
        Ok(same)
    }
}

impl State {
    fn give<E: From<Error>>(
        self,
        bytes: &[u8],
        sink: &mut impl FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<Self, E> {
        let Self::Preamble(before) = self else {
            if !bytes.is_empty() {
                sink(Event::Data(bytes))?;
            }
            return Ok(self);
        };
        match usize::from(before) + bytes.len() {
            sum if sum <= usize::from(PADDING_MAX) => Ok(Self::Preamble(sum as u16)),
            _ => Err(Error::Padding.into()),
        }
    }
}

impl After {
    fn step(self, byte: u8) -> Result<State, Error> {
        Ok(match (self, byte) {
            (Self::Delimiter, b'-') => State::Delimited(Self::Dash),
            (Self::Dash, b'-') => State::Ended,
            (Self::Delimiter, b' ' | b'\t') => State::Delimited(Self::Blanks(1)),
            (Self::Blanks(n), b' ' | b'\t') if n < PADDING_MAX => {
                State::Delimited(Self::Blanks(n + 1))
            }
            (Self::Delimiter | Self::Blanks(_), b'\r') => State::Delimited(Self::Cr),
            (Self::Cr, b'\n') => State::Head,
            _ => return Err(Error::Padding),
        })
    }
}

#[cfg(test)]
mod tests;
