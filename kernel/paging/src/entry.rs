//! One page-table entry.

use crate::MapFlags;
use abi::Error;

/// A physical address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(transparent)]
pub struct PhysAddr(pub u64);

/// A raw 64-bit entry of any level.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Entry(pub u64);

impl Entry {
    pub const EMPTY: Entry = Entry(0);

    pub const PRESENT: u64 = 1;
    pub const WRITE: u64 = 1 << 1;
    pub const USER: u64 = 1 << 2;
    pub const WRITE_THROUGH: u64 = 1 << 3;
    pub const NO_CACHE: u64 = 1 << 4;
    pub const ACCESSED: u64 = 1 << 5;
    pub const DIRTY: u64 = 1 << 6;
    /// In a PD or PDPT: the entry maps a page, not a table.
    pub const LARGE: u64 = 1 << 7;
    /// Device memory. A bit that the processor ignores.
    pub const DEVICE: u64 = 1 << 9;
    pub const NO_EXECUTE: u64 = 1 << 63;
    /// Bits 51 to 12: where the page or table lies.
    pub const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
    /// The bits that [`MapFlags`] decides.
    const FLAGS: u64 = Self::WRITE | Self::WRITE_THROUGH | Self::NO_CACHE | Self::NO_EXECUTE;

    /// A user page at `address`. `flags.LARGE` sets the page-size bit.
    ///
    /// Errors: `BadFlags` (see [`check`]), `BadAlign` for an address that is no page's.
    pub fn page(address: PhysAddr, flags: MapFlags) -> Result<Entry, Error> {
        check(flags)?;
        if address.0 & !Self::ADDRESS != 0 {
            return Err(Error::BadAlign);
        }
        let large = if flags.contains(MapFlags::LARGE) {
            Self::LARGE
        } else {
            0
        };
        Ok(Entry(
            address.0 | Self::PRESENT | Self::USER | large | flag_bits(flags),
        ))
    }

    /// A next-level table at `address`, as permissive as an entry can be: what the pages below
    /// allow is decided by their own entries alone.
    ///
    /// Errors: `BadAlign` for an address that is no table's.
    pub const fn table(address: PhysAddr) -> Result<Entry, Error> {
        if address.0 & !Self::ADDRESS != 0 {
            return Err(Error::BadAlign);
        }
        Ok(Entry(address.0 | Self::PRESENT | Self::USER | Self::WRITE))
    }

    /// May user code do this through the entry, as far as this entry decides?
    pub const fn allows(self, access: Access) -> bool {
        self.0 & access.mask == access.wanted
    }

    pub const fn is_present(self) -> bool {
        self.0 & Self::PRESENT != 0
    }
    pub const fn is_dirty(self) -> bool {
        self.0 & Self::DIRTY != 0
    }
    pub const fn is_accessed(self) -> bool {
        self.0 & Self::ACCESSED != 0
    }
    pub const fn is_writable(self) -> bool {
        self.0 & Self::WRITE != 0
    }
    pub const fn is_device(self) -> bool {
        self.0 & Self::DEVICE != 0
    }
    pub const fn is_large(self) -> bool {
        self.0 & Self::LARGE != 0
    }
    pub const fn address(self) -> PhysAddr {
        PhysAddr(self.0 & Self::ADDRESS)
    }
}

/// What user code does with a page, as bits that an entry must have and must not have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Access {
    mask: u64,
    wanted: u64,
}

impl Access {
    /// Reading; and writing or executing.
    pub const fn new(write: bool, execute: bool) -> Access {
        let mut wanted = Entry::PRESENT | Entry::USER;
        if write {
            wanted |= Entry::WRITE;
        }
        let forbidden = if execute { Entry::NO_EXECUTE } else { 0 };
        Access {
            mask: wanted | forbidden,
            wanted,
        }
    }
}

/// What must become of pages' entries to give them other flags: place, size, accessed and dirty
/// bits stay. The large-page bit is the entry's, not the flags'.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Change {
    /// Bits that are to be set, among them `PRESENT`, which all entries of a page have; the others
    /// of [`Entry::FLAGS`] are to be cleared.
    set: u64,
}

/// By flags: what a [`Change`] to them sets, 0 where no entry may have them.
const CHANGES: [u64; MapFlags::all().bits() as usize + 1] = {
    let mut changes = [0; _];
    let mut raw = 0;
    while raw < changes.len() {
        let flags = MapFlags::from_bits_truncate(raw as u8);
        if check(flags).is_ok() {
            changes[raw] = Entry::PRESENT | flag_bits(flags);
        }
        raw += 1;
    }
    changes
};

impl Change {
    /// Errors: `BadFlags` (see [`check`]).
    #[inline]
    pub fn to(flags: MapFlags) -> Result<Change, Error> {
        match CHANGES.get(usize::from(flags.bits())) {
            None | Some(0) => Err(Error::BadFlags),
            Some(set) => Ok(Change { set: *set }),
        }
    }

    /// The bits to set and those to clear where `some` is what at least one entry has, and `all`
    /// what every entry has.
    pub const fn bits(self, some: Entry, all: Entry) -> (u64, u64) {
        (self.set & !all.0, Entry::FLAGS & !self.set & some.0)
    }
}

/// Is a page that gets bits set and cleared like this used less than before, or cached otherwise?
pub const fn restricts(set: u64, clear: u64) -> bool {
    const CACHING: u64 = Entry::WRITE_THROUGH | Entry::NO_CACHE;
    set & (Entry::NO_EXECUTE | CACHING) | clear & (Entry::WRITE | CACHING) != 0
}

impl core::fmt::Debug for Entry {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Entry({:#x})", self.0)
    }
}

/// Are these flags ones that an entry may have? A present page is readable on this processor, so
/// `READ` must be there; `WRITE` and `EXECUTE` exclude each other.
///
/// Errors: `BadFlags`.
pub const fn check(flags: MapFlags) -> Result<(), Error> {
    if flags.contains(MapFlags::READ) && !flags.contains(MapFlags::WRITE.union(MapFlags::EXECUTE)) {
        Ok(())
    } else {
        Err(Error::BadFlags)
    }
}

const fn flag_bits(flags: MapFlags) -> u64 {
    let mut bits = 0;
    if flags.contains(MapFlags::WRITE) {
        bits |= Entry::WRITE;
    }
    if !flags.contains(MapFlags::EXECUTE) {
        bits |= Entry::NO_EXECUTE;
    }
    if flags.contains(MapFlags::UNCACHED) {
        bits |= Entry::NO_CACHE | Entry::WRITE_THROUGH;
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_has_its_bits() {
        let page = |flags| Entry::page(PhysAddr(0x5000), flags).unwrap().0;
        let read = Entry::PRESENT | Entry::USER | Entry::NO_EXECUTE | 0x5000;
        assert_eq!(page(MapFlags::READ), read);
        assert_eq!(page(MapFlags::READ | MapFlags::WRITE), read | Entry::WRITE);
        assert_eq!(
            page(MapFlags::READ | MapFlags::EXECUTE),
            read & !Entry::NO_EXECUTE
        );
        assert_eq!(
            page(MapFlags::READ | MapFlags::UNCACHED),
            read | Entry::NO_CACHE | Entry::WRITE_THROUGH
        );
        assert_eq!(page(MapFlags::READ | MapFlags::LARGE), read | Entry::LARGE);
    }

    #[test]
    fn writable_and_executable_is_refused_in_every_combination() {
        for raw in 0..32 {
            let flags = MapFlags::from_bits_truncate(raw);
            let bad = flags.contains(MapFlags::WRITE | MapFlags::EXECUTE)
                || !flags.contains(MapFlags::READ);
            assert_eq!(Entry::page(PhysAddr(0), flags).is_err(), bad);
            assert_eq!(Change::to(flags).is_err(), bad);
        }
    }

    #[test]
    fn bad_addresses() {
        for address in [1, 0x800, 1 << 52, u64::MAX] {
            assert_eq!(
                Entry::page(PhysAddr(address), MapFlags::READ),
                Err(Error::BadAlign)
            );
            assert_eq!(Entry::table(PhysAddr(address)), Err(Error::BadAlign));
        }
    }

    #[test]
    fn flags_change_and_the_rest_stays() {
        let old = Entry::page(PhysAddr(0x20_0000), MapFlags::READ | MapFlags::LARGE).unwrap();
        let old = Entry(old.0 | Entry::ACCESSED | Entry::DIRTY);
        let change = Change::to(MapFlags::READ | MapFlags::WRITE).unwrap();
        let (set, clear) = change.bits(old, old);
        assert_eq!((set, clear), (Entry::WRITE, 0));
        let new = Entry(old.0 | set);
        assert!(new.is_large() && new.is_dirty() && new.is_accessed() && new.is_writable());
        assert_eq!(new.address(), PhysAddr(0x20_0000));
        let (set, clear) = Change::to(MapFlags::READ).unwrap().bits(new, old);
        assert_eq!((set, clear), (0, Entry::WRITE));
    }

    #[test]
    fn an_entry_allows_what_it_says() {
        let page = |flags| Entry::page(PhysAddr(0), flags).unwrap();
        let allows = |entry: Entry| {
            [(false, false), (true, false), (false, true), (true, true)]
                .map(|(write, execute)| entry.allows(Access::new(write, execute)))
        };
        let (read, write, execute) = (
            page(MapFlags::READ),
            page(MapFlags::READ | MapFlags::WRITE),
            page(MapFlags::READ | MapFlags::EXECUTE),
        );
        assert_eq!(allows(read), [true, false, false, false]);
        assert_eq!(allows(write), [true, true, false, false]);
        assert_eq!(allows(execute), [true, false, true, false]);
        let table = Entry::table(PhysAddr(0)).unwrap();
        assert_eq!(allows(table), [true; 4], "left to the pages' entries");
        for never in [
            Entry(table.0 & !Entry::USER),
            Entry(table.0 & !1),
            Entry::EMPTY,
        ] {
            assert_eq!(allows(never), [false; 4]);
        }
    }
}
