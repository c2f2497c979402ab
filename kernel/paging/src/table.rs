//! A view of one table in memory and the operations over a run of its entries.

use crate::{ENTRIES, Entry, MapFlags, PhysAddr, Run, entry};
use abi::Error;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering};

/// The processor's page walker sets accessed and dirty bits while the kernel edits, so every word
/// is an atomic. Nothing else is published through an entry: a store is followed by the caller's
/// TLB flush (serialising) where one is needed, and the walker reads memory in program order of its
/// own core. So no ordering beyond the word itself is asked for.
const WORD: Ordering = Ordering::Relaxed;

/// A page table of any level.
#[derive(Clone, Copy)]
pub struct Table {
    entries: NonNull<[AtomicU64; ENTRIES as usize]>,
}

impl Table {
    /// # Safety
    /// `table` points to 4096 bytes, aligned to 4096, that hold a page table as long as the view
    /// (or a copy of it) is used, and that nothing but views and the page walker touches.
    pub const unsafe fn new(table: NonNull<u8>) -> Table {
        Table {
            entries: table.cast(),
        }
    }

    fn words(&self) -> &[AtomicU64; ENTRIES as usize] {
        // SAFETY: the caller of `new` promised that this memory is a table, aligned and live, and
        // only touched atomically.
        unsafe { self.entries.as_ref() }
    }

    fn run(&self, run: Run) -> &[AtomicU64] {
        self.words()
            .get(usize::from(run.first())..usize::from(run.end()))
            .unwrap_or(&[])
    }

    /// The entry at `index`. Errors: `OutOfRange`.
    pub fn read(&self, index: u16) -> Result<Entry, Error> {
        let word = self.words().get(usize::from(index));
        Ok(Entry(word.ok_or(Error::OutOfRange)?.load(WORD)))
    }

    /// Is no entry of the run in use?
    pub fn is_empty(&self, run: Run) -> bool {
        self.run(run)
            .iter()
            .all(|word| !Entry(word.load(WORD)).is_present())
    }

    /// Is every entry of the run in use?
    pub fn is_full(&self, run: Run) -> bool {
        self.run(run)
            .iter()
            .all(|word| Entry(word.load(WORD)).is_present())
    }

    /// Maps pages of `page_bytes`, one after another from `address` on.
    ///
    /// Errors: `EntryInUse`, `BadFlags`, `BadAlign` (the address is not aligned to the page),
    /// `OutOfRange` (no physical address is that high).
    pub fn map_pages(
        &self,
        run: Run,
        address: PhysAddr,
        page_bytes: u64,
        flags: MapFlags,
    ) -> Result<(), Error> {
        if !page_bytes.is_power_of_two() || address.0 & (page_bytes - 1) != 0 {
            return Err(Error::BadAlign);
        }
        let last = u64::from(run.count() - 1)
            .checked_mul(page_bytes)
            .and_then(|offset| offset.checked_add(address.0))
            .ok_or(Error::OutOfRange)?;
        if last & !Entry::ADDRESS != 0 {
            return Err(Error::OutOfRange);
        }
        let first = Entry::page(address, flags)?;
        if !self.is_empty(run) {
            return Err(Error::EntryInUse);
        }
        let mut raw = first.0;
        for word in self.run(run) {
            word.store(raw, WORD);
            raw = raw.wrapping_add(page_bytes);
        }
        Ok(())
    }

    /// Points the entry at `index` to a next-level table. Errors: `EntryInUse`, `BadAlign`,
    /// `OutOfRange`.
    pub fn map_table(&self, index: u16, table: PhysAddr) -> Result<(), Error> {
        let entry = Entry::table(table)?;
        let word = self
            .words()
            .get(usize::from(index))
            .ok_or(Error::OutOfRange)?;
        if Entry(word.load(WORD)).is_present() {
            return Err(Error::EntryInUse);
        }
        word.store(entry.0, WORD);
        Ok(())
    }

    /// Clears every entry of the run. The caller flushes the TLB.
    pub fn unmap(&self, run: Run) {
        for word in self.run(run) {
            word.store(0, WORD);
        }
    }

    /// Gives every page of the run other flags. The caller flushes the TLB.
    ///
    /// Errors: `BadFlags`, `EntryEmpty`.
    pub fn modify(&self, run: Run, flags: MapFlags) -> Result<(), Error> {
        entry::check(flags)?;
        if !self.is_full(run) {
            return Err(Error::EntryEmpty);
        }
        for word in self.run(run) {
            update(word, |entry| entry.with_flags(flags).ok());
        }
        Ok(())
    }

    /// Clears the dirty bits of the run. The caller flushes the TLB. Errors: `EntryEmpty`.
    pub fn clear_dirty(&self, run: Run) -> Result<(), Error> {
        if !self.is_full(run) {
            return Err(Error::EntryEmpty);
        }
        for word in self.run(run) {
            update(word, |entry| Some(entry.without_dirty()));
        }
        Ok(())
    }
}

/// One read-modify-write, so that a bit which the walker sets in between is not lost.
fn update(word: &AtomicU64, change: impl Fn(Entry) -> Option<Entry>) {
    // The closure gives `None` only for flags that were already refused: then nothing changes.
    let _ = word.fetch_update(WORD, WORD, |raw| change(Entry(raw)).map(|entry| entry.0));
}
