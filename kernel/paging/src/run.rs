//! A run of consecutive entries in one table.

use crate::Level;
use abi::Error;

/// `count` entries from `first` on: at least one, and all inside the table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Run {
    first: u16,
    count: u16,
}

impl Run {
    /// A run of entries that user code may edit in a table of `level`.
    ///
    /// Errors: `BadSize` for no entries, `OutOfRange` past the table's end or in the kernel's
    /// half of the top table.
    pub const fn new(level: Level, first: u16, count: u16) -> Result<Run, Error> {
        if count == 0 {
            return Err(Error::BadSize);
        }
        match first.checked_add(count) {
            Some(end) if end <= level.user_entries() => Ok(Run { first, count }),
            _ => Err(Error::OutOfRange),
        }
    }

    pub const fn first(self) -> u16 {
        self.first
    }
    pub const fn count(self) -> u16 {
        self.count
    }
    /// One past the last entry.
    pub const fn end(self) -> u16 {
        self.first + self.count
    }
    pub const fn contains(self, index: u16) -> bool {
        index >= self.first && index < self.end()
    }

    /// The part `[first, first + count)` of this run, counted from its own beginning.
    ///
    /// Errors: `BadSize` for no entries, `OutOfRange` past the run's end.
    pub const fn part(self, first: u16, count: u16) -> Result<Run, Error> {
        if count == 0 {
            return Err(Error::BadSize);
        }
        match first.checked_add(count) {
            Some(end) if end <= self.count => Ok(Run {
                first: self.first + first,
                count,
            }),
            _ => Err(Error::OutOfRange),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds() {
        assert!(Run::new(Level::Pt, 0, 512).is_ok());
        assert_eq!(Run::new(Level::Pt, 0, 0), Err(Error::BadSize));
        assert_eq!(Run::new(Level::Pt, 1, 512), Err(Error::OutOfRange));
        assert_eq!(
            Run::new(Level::Pt, u16::MAX, u16::MAX),
            Err(Error::OutOfRange)
        );
        assert!(Run::new(Level::Pml4, 255, 1).is_ok());
        assert_eq!(Run::new(Level::Pml4, 256, 1), Err(Error::OutOfRange));
    }

    #[test]
    fn parts() {
        let run = Run::new(Level::Pd, 10, 5).unwrap();
        assert_eq!(run.part(1, 4), Run::new(Level::Pd, 11, 4));
        assert_eq!(run.part(1, 5), Err(Error::OutOfRange));
        assert_eq!(run.part(0, 0), Err(Error::BadSize));
        assert_eq!(run.part(u16::MAX, 1), Err(Error::OutOfRange));
        assert!(run.contains(10) && run.contains(14) && !run.contains(15) && !run.contains(9));
    }
}
