//! A backing store: keeps pages for components that page themselves (docs/memory.md).
//!
//! Guarantees: what was last written comes back byte for byte, to its writer alone; a page that does
//! not fit changes nothing.
//! Trusts: the kernel for who writes. Whoever may write may fill all of the heap.
//! Never does: panic for want of memory, keep a buffer of the writer's.
//! Source: S. Gerber's thesis on memory in Barrelfish (ETH Zürich, 2018), chapter 3.5, which left
//! paging to others.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use abi::{ComponentId, Error};
use alloc::vec::Vec;

/// One page, and whose it is.
struct Kept {
    owner: u16,
    number: u32,
    bytes: Vec<u8>,
}

impl Kept {
    fn key(&self) -> (u16, u32) {
        (self.owner, self.number)
    }
}

/// All pages, in order of owner and number.
#[derive(Default)]
pub struct Shelf {
    pages: Vec<Kept>,
}

impl Shelf {
    pub const fn new() -> Shelf {
        Shelf { pages: Vec::new() }
    }

    fn find(&self, owner: ComponentId, number: u32) -> Result<usize, usize> {
        let key = (owner.0, number);
        self.pages.binary_search_by_key(&key, Kept::key)
    }

    /// What `owner` last wrote as page `number`. O(log n).
    ///
    /// Errors: `NotFound`.
    pub fn read(&self, owner: ComponentId, number: u32) -> Result<&[u8], Error> {
        let at = self
            .find(owner, number)
            .map_err(|_absent| Error::NotFound)?;
        let kept = self.pages.get(at).ok_or(Error::NotFound)?;
        Ok(&kept.bytes)
    }

    /// Keeps `bytes` as page `number` of `owner`'s. Allocates where the page is new or of another
    /// size.
    ///
    /// Errors: `NoMemory`, and then nothing has changed.
    pub fn write(&mut self, owner: ComponentId, number: u32, bytes: &[u8]) -> Result<(), Error> {
        let place = self.find(owner, number);
        if let Ok(at) = place
            && let Some(kept) = self.pages.get_mut(at)
            && kept.bytes.len() == bytes.len()
        {
            kept.bytes.copy_from_slice(bytes);
            return Ok(());
        }
        let mut copy = Vec::new();
        let room = copy.try_reserve_exact(bytes.len());
        room.map_err(|_| Error::NoMemory)?;
        copy.extend_from_slice(bytes);
        let kept = Kept {
            owner: owner.0,
            number,
            bytes: copy,
        };
        match place {
            Ok(at) => self.pages[at] = kept,
            Err(at) => {
                let room = self.pages.try_reserve(1);
                room.map_err(|_| Error::NoMemory)?;
                self.pages.insert(at, kept);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: ComponentId = ComponentId(1);
    const OTHER: ComponentId = ComponentId(2);

    #[test]
    fn what_was_written_comes_back() {
        let mut shelf = Shelf::new();
        for number in [7, 0, u32::MAX, 3] {
            assert_eq!(shelf.read(ONE, number), Err(Error::NotFound));
            shelf.write(ONE, number, &[number as u8; 8]).unwrap();
        }
        for number in [0, 3, 7, u32::MAX] {
            assert_eq!(shelf.read(ONE, number), Ok(&[number as u8; 8][..]));
        }
        assert_eq!(shelf.read(ONE, 1), Err(Error::NotFound));
    }

    #[test]
    fn the_last_write_counts_whatever_its_size() {
        let mut shelf = Shelf::new();
        for bytes in [&[1; 8][..], &[2; 8], &[3; 5], &[], &[4; 9]] {
            shelf.write(ONE, 5, bytes).unwrap();
            assert_eq!(shelf.read(ONE, 5), Ok(bytes));
        }
    }

    #[test]
    fn nobody_sees_or_changes_anothers() {
        let mut shelf = Shelf::new();
        shelf.write(ONE, 5, b"mine").unwrap();
        assert_eq!(shelf.read(OTHER, 5), Err(Error::NotFound));
        shelf.write(OTHER, 5, b"other").unwrap();
        assert_eq!(shelf.read(ONE, 5), Ok(&b"mine"[..]));
        assert_eq!(shelf.read(OTHER, 5), Ok(&b"other"[..]));
    }
}
