//! Reading: a table is walked from its beginning each time, for a reader that is in no hurry.

use core::fmt;

use crate::Error;

/// The words, and all programs.
#[derive(Clone, Copy, Debug)]
pub struct Symbols<'a> {
    words: &'a [u8],
    programs: &'a [u8],
    count: u32,
}

/// The functions of one program.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    words: &'a [u8],
    functions: &'a [u8],
}

/// A function's name; shows as `path::to::function`.
#[derive(Clone, Copy, Debug)]
pub struct Name<'a> {
    words: &'a [u8],
    indices: &'a [u8],
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    // Here and below: small rather than fast, the readers are many.
    #[inline(never)]
    fn number(&mut self) -> Option<u32> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte()?;
            value |= u32::from(byte & 0x7f).checked_shl(shift)?;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    #[inline(never)]
    fn text(&mut self) -> Option<&'a str> {
        let bytes = usize::from(self.byte()?);
        core::str::from_utf8(self.take(bytes)?).ok()
    }
}

impl<'a> Symbols<'a> {
    /// Finds the two tables. Costs a look at each word.
    pub fn open(blob: &'a [u8]) -> Result<Self, Error> {
        Self::parse(blob).ok_or(Error::BadSymbols)
    }

    fn parse(blob: &'a [u8]) -> Option<Self> {
        let mut reader = Reader(blob);
        let count = reader.number()?;
        let words = reader.0;
        for _ in 0..count {
            reader.text()?;
        }
        let words = words.get(..words.len() - reader.0.len())?;
        let count = reader.number()?;
        Some(Self {
            words,
            programs: reader.0,
            count,
        })
    }

    /// The program of that name; `None` too where the table is damaged before it.
    pub fn program(&self, name: &str) -> Option<Program<'a>> {
        let mut reader = Reader(self.programs);
        for _ in 0..self.count {
            let found = reader.text()?;
            let bytes = reader.number()? as usize;
            let functions = reader.take(bytes)?;
            if found == name {
                return Some(Program {
                    words: self.words,
                    functions,
                });
            }
        }
        None
    }
}

impl<'a> Program<'a> {
    /// The function that an address lies in, and how far behind its beginning. Costs a look at
    /// each function before it.
    pub fn at(&self, address: u64) -> Option<(Name<'a>, u64)> {
        let mut reader = Reader(self.functions);
        let mut start = 0u64;
        let mut last = None;
        loop {
            let next = start.checked_add(u64::from(reader.number()?))?;
            if address < next {
                return last.map(|name| (name, address - start));
            }
            let count = reader.byte()?;
            if count == 0 {
                return None;
            }
            let indices = reader.0;
            for _ in 0..count {
                reader.number()?;
            }
            let indices = indices.get(..indices.len() - reader.0.len())?;
            last = Some(Name {
                words: self.words,
                indices,
            });
            start = next;
        }
    }
}

impl<'a> Name<'a> {
    /// Its parts, from the crate's name on.
    pub fn words(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let (words, mut indices) = (self.words, Reader(self.indices));
        core::iter::from_fn(move || {
            let index = indices.number()?;
            let mut reader = Reader(words);
            for _ in 0..index {
                reader.text()?;
            }
            reader.text()
        })
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, word) in self.words().enumerate() {
            if n > 0 {
                f.write_str("::")?;
            }
            f.write_str(word)?;
        }
        Ok(())
    }
}
