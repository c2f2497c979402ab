//! The four levels of page tables and the pages that their entries can map.

/// Entries in a table of any level.
pub const ENTRIES: u16 = 512;
/// Entries of the top table that map user addresses; the rest are the kernel's.
pub const USER_ENTRIES: u16 = 256;

/// A level of page table, named as the processor's manuals do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Level {
    Pt = 0,
    Pd = 1,
    Pdpt = 2,
    Pml4 = 3,
}

impl Level {
    pub const ALL: [Level; 4] = [Level::Pt, Level::Pd, Level::Pdpt, Level::Pml4];

    /// Bytes of address space that one entry spans.
    pub const fn span_bytes(self) -> u64 {
        4096 << (9 * self as u32)
    }

    /// Bytes of the page that an entry maps when it maps a page at all.
    pub const fn page_bytes(self) -> Option<u64> {
        match self {
            Level::Pml4 => None,
            _ => Some(self.span_bytes()),
        }
    }

    /// The level of the tables that entries of this level point to.
    pub const fn next(self) -> Option<Level> {
        match self {
            Level::Pml4 => Some(Level::Pdpt),
            Level::Pdpt => Some(Level::Pd),
            Level::Pd => Some(Level::Pt),
            Level::Pt => None,
        }
    }

    /// Entries that may be edited on behalf of user code.
    pub const fn user_entries(self) -> u16 {
        match self {
            Level::Pml4 => USER_ENTRIES,
            _ => ENTRIES,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_the_processors() {
        assert_eq!(Level::Pt.page_bytes(), Some(4 << 10));
        assert_eq!(Level::Pd.page_bytes(), Some(2 << 20));
        assert_eq!(Level::Pdpt.page_bytes(), Some(1 << 30));
        assert_eq!(Level::Pml4.page_bytes(), None);
        assert_eq!(Level::Pml4.span_bytes(), 512 << 30);
    }

    #[test]
    fn next_goes_down_to_the_pages() {
        let mut level = Level::Pml4;
        let mut steps = 0;
        while let Some(next) = level.next() {
            assert!(next < level);
            level = next;
            steps += 1;
        }
        assert_eq!((level, steps), (Level::Pt, 3));
    }
}
