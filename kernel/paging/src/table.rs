//! A view of one table in memory and the operations over a run of its entries.

use crate::entry::{self, Change};
use crate::{ENTRIES, Entry, MapFlags, PhysAddr, Run};
use abi::Error;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering};

/// The processor's page walker sets accessed and dirty bits while the kernel edits, so every word
/// is an atomic. Nothing else is published through an entry: a store is followed by the caller's
/// TLB flush (serialising) where one is needed, and the walker reads memory in program order of its
/// own core. So no ordering beyond the word itself is asked for.
const WORD: Ordering = Ordering::Relaxed;

/// Entries that one round of a loop takes: so many that the loop itself costs little.
const ROUND: usize = 8;

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
        // SAFETY: every `Run` ends inside a table: `Run::new` and `Run::part` saw to it.
        unsafe {
            self.words()
                .get_unchecked(usize::from(run.first())..usize::from(run.end()))
        }
    }

    /// The entry at `index`. Errors: `OutOfRange`.
    pub fn read(&self, index: u16) -> Result<Entry, Error> {
        let word = self.words().get(usize::from(index));
        Ok(Entry(word.ok_or(Error::OutOfRange)?.load(WORD)))
    }

    /// Is no entry of the run in use?
    pub fn is_empty(&self, run: Run) -> bool {
        !self.summary(run).some.is_present()
    }

    /// Is every entry of the run in use?
    pub fn is_full(&self, run: Run) -> bool {
        self.summary(run).all.is_present()
    }

    fn summary(&self, run: Run) -> Summary {
        let (mut some, mut all) = (0, u64::MAX);
        each(self.run(run), |word| {
            let raw = word.load(WORD);
            some |= raw;
            all &= raw;
        });
        Summary {
            some: Entry(some),
            all: Entry(all),
        }
    }

    /// The first entry in use from `first` on, below `end`.
    pub fn next_in_use(&self, first: u16, end: u16) -> Option<u16> {
        let words = self.words().get(usize::from(first)..usize::from(end))?;
        let in_use = |word: &AtomicU64| Entry(word.load(WORD)).is_present();
        // Whole rounds are passed over by one look at all of their entries together.
        let empty = words
            .chunks_exact(ROUND)
            .take_while(|round| {
                let some = round.iter().fold(0, |some, word| some | word.load(WORD));
                !Entry(some).is_present()
            })
            .count();
        let from = empty * ROUND;
        let at = from + words.get(from..)?.iter().position(in_use)?;
        Some(first + at as u16)
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
        each(self.run(run), |word| {
            word.store(raw, WORD);
            raw = raw.wrapping_add(page_bytes);
        });
        Ok(())
    }

    /// Notes of pages that were just mapped that they are a device's.
    pub fn note_device(&self, run: Run) {
        self.set(run, Entry::DEVICE);
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
        each(self.run(run), |word| word.store(0, WORD));
    }

    /// Gives every page of the run other flags.
    ///
    /// Errors: `EntryEmpty`.
    pub fn modify(&self, run: Run, change: Change) -> Result<Stale, Error> {
        let before = self.summary(run);
        if !before.all.is_present() {
            return Err(Error::EntryEmpty);
        }
        // Most changes are of one bit, in one direction.
        let (set, clear) = change.bits(before.some, before.all);
        if set != 0 {
            // First set, then clear: in between, an entry that is not executable before and after
            // is not so either.
            self.set(run, set);
        }
        if clear != 0 {
            self.clear(run, clear);
        }
        Ok(if entry::restricts(set, clear) {
            Stale::Wrong
        } else if set | clear != 0 {
            Stale::Narrow
        } else {
            Stale::No
        })
    }

    /// Clears the dirty bits of the run: a TLB sets none of a page that it remembers as dirty.
    ///
    /// Errors: `EntryEmpty`.
    pub fn clear_dirty(&self, run: Run) -> Result<Stale, Error> {
        let before = self.summary(run);
        if !before.all.is_present() {
            return Err(Error::EntryEmpty);
        }
        if !before.some.is_dirty() {
            return Ok(Stale::No);
        }
        self.clear(run, Entry::DIRTY);
        Ok(Stale::Wrong)
    }

    /// Sets bits, each entry at once, so that a bit which the walker sets meanwhile is not lost.
    fn set(&self, run: Run, bits: u64) {
        each(self.run(run), |word| {
            word.fetch_or(bits, WORD);
        });
    }

    /// Clears bits, as `set` sets them.
    fn clear(&self, run: Run, bits: u64) {
        each(self.run(run), |word| {
            word.fetch_and(!bits, WORD);
        });
    }
}

/// What a TLB may remember of entries that were changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Stale {
    /// Nothing else than what the entries say.
    No,
    /// Less than the entries allow: using the page raises a fault, which makes the TLB forget it.
    /// The caller flushes, or has a fault that the tables do not confirm tried again.
    Narrow,
    /// What is not so any more: the caller flushes.
    Wrong,
}

/// What the entries of a run have together.
struct Summary {
    /// Bits that at least one entry has.
    some: Entry,
    /// Bits that every entry has.
    all: Entry,
}

/// Does the same with every word, a [`ROUND`] at a time.
#[inline(always)]
fn each(words: &[AtomicU64], mut action: impl FnMut(&AtomicU64)) {
    if let [word] = words {
        return action(word);
    }
    let mut rounds = words.chunks_exact(ROUND);
    for round in &mut rounds {
        for word in round {
            action(word);
        }
    }
    for word in rounds.remainder() {
        action(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Level;
    use proptest::prelude::*;
    use std::boxed::Box;
    use std::vec::Vec;

    #[repr(C, align(4096))]
    struct Page([AtomicU64; ENTRIES as usize]);

    fn page() -> Box<Page> {
        Box::new(Page([const { AtomicU64::new(0) }; ENTRIES as usize]))
    }

    fn view(page: &Page) -> Table {
        // SAFETY: the page lives as long as the tests use the view, and is only used through it.
        unsafe { Table::new(NonNull::from(page).cast()) }
    }

    fn run(first: u16, count: u16) -> Run {
        Run::new(Level::Pt, first, count).unwrap()
    }

    fn to(flags: MapFlags) -> Change {
        Change::to(flags).unwrap()
    }

    const R: MapFlags = MapFlags::READ;
    const RW: MapFlags = MapFlags::READ.union(MapFlags::WRITE);

    #[test]
    fn map_checks_before_it_changes() {
        let page = page();
        let table = view(&page);
        table.map_pages(run(3, 1), PhysAddr(0), 4096, R).unwrap();
        let map = |first, count, address, bytes, flags| {
            table.map_pages(run(first, count), PhysAddr(address), bytes, flags)
        };
        assert_eq!(map(1, 3, 0x1000, 4096, R), Err(Error::EntryInUse));
        assert_eq!(map(4, 1, 0x1001, 4096, R), Err(Error::BadAlign));
        assert_eq!(map(4, 1, 0x1000, 2 << 20, R), Err(Error::BadAlign));
        assert_eq!(map(4, 1, 0, 3000, R), Err(Error::BadAlign));
        assert_eq!(map(4, 1, 1 << 52, 4096, R), Err(Error::OutOfRange));
        assert_eq!(map(4, 2, (1 << 52) - 4096, 4096, R), Err(Error::OutOfRange));
        assert_eq!(map(4, 2, u64::MAX - 4095, 4096, R), Err(Error::OutOfRange));
        assert_eq!(
            map(4, 1, 0, 4096, RW | MapFlags::EXECUTE),
            Err(Error::BadFlags)
        );
        assert_eq!(map(4, 1, 0, 4096, MapFlags::empty()), Err(Error::BadFlags));
        let used: Vec<u16> = (0..ENTRIES)
            .filter(|n| table.read(*n).unwrap().is_present())
            .collect();
        assert_eq!(used, [3]);
    }

    #[test]
    fn tables_of_tables() {
        let page = page();
        let table = view(&page);
        assert_eq!(table.map_table(511, PhysAddr(0x7000)), Ok(()));
        assert_eq!(
            table.map_table(511, PhysAddr(0x8000)),
            Err(Error::EntryInUse)
        );
        assert_eq!(
            table.map_table(512, PhysAddr(0x8000)),
            Err(Error::OutOfRange)
        );
        assert_eq!(table.map_table(0, PhysAddr(0x8008)), Err(Error::BadAlign));
        assert_eq!(table.read(511).unwrap().address(), PhysAddr(0x7000));
        assert_eq!(table.read(512), Err(Error::OutOfRange));
    }

    #[test]
    fn modify_and_clear_need_every_entry() {
        let page = page();
        let table = view(&page);
        table
            .map_pages(run(0, 2), PhysAddr(0x9000), 4096, RW)
            .unwrap();
        page.0[1].fetch_or(Entry::DIRTY | Entry::ACCESSED, WORD);
        assert_eq!(table.modify(run(1, 2), to(R)), Err(Error::EntryEmpty));
        assert_eq!(table.clear_dirty(run(1, 2)), Err(Error::EntryEmpty));
        assert!(table.read(1).unwrap().is_writable());
        assert_eq!(table.modify(run(0, 2), to(R)), Ok(Stale::Wrong));
        let entry = table.read(1).unwrap();
        assert!(entry.is_dirty() && entry.is_accessed() && !entry.is_writable());
        assert_eq!(table.clear_dirty(run(0, 2)), Ok(Stale::Wrong));
        assert_eq!(table.clear_dirty(run(0, 2)), Ok(Stale::No));
        let entry = table.read(1).unwrap();
        assert!(!entry.is_dirty() && entry.is_accessed());
    }

    #[test]
    fn what_must_be_flushed() {
        const RX: MapFlags = R.union(MapFlags::EXECUTE);
        const UNCACHED: MapFlags = R.union(MapFlags::UNCACHED);
        for (from, flags, stale) in [
            (RW, R, Stale::Wrong),
            (RX, R, Stale::Wrong),
            (RW, RX, Stale::Wrong),
            (RX, RW, Stale::Wrong),
            (R, UNCACHED, Stale::Wrong),
            (UNCACHED, R, Stale::Wrong),
            (R, RW, Stale::Narrow),
            (R, RX, Stale::Narrow),
            (R, R, Stale::No),
            (RW, RW, Stale::No),
        ] {
            let page = page();
            let table = view(&page);
            table
                .map_pages(run(0, 3), PhysAddr(0), 4096, flags)
                .unwrap();
            table.map_pages(run(3, 1), PhysAddr(0), 4096, from).unwrap();
            let found = table.modify(run(0, 4), to(flags));
            assert_eq!(found, Ok(stale), "{from:?} {flags:?}");
            let expected = Entry::page(PhysAddr(0), flags).unwrap();
            assert_eq!(table.read(3), Ok(expected));
        }
    }

    #[test]
    fn the_next_entry_in_use() {
        for used in [0, 1, 7, 8, 9, 63, 64, 500, 511] {
            let page = page();
            let table = view(&page);
            table.map_pages(run(used, 1), PhysAddr(0), 4096, R).unwrap();
            // Slow there: every place in the words of one round, and no more.
            let step = if cfg!(miri) { 111 } else { 1 };
            for first in (0..=ENTRIES).step_by(step) {
                let expected = Some(used).filter(|used| *used >= first);
                assert_eq!(table.next_in_use(first, ENTRIES), expected);
            }
            assert_eq!(table.next_in_use(0, used), None);
            assert_eq!(table.next_in_use(0, ENTRIES + 1), None);
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Map(Run, u64, MapFlags),
        Unmap(Run),
        Modify(Run, MapFlags),
        Touch(u16),
        ClearDirty(Run),
    }

    fn any_step() -> impl Strategy<Value = Step> {
        let runs = (0u16..40, 1u16..30).prop_map(|(first, count)| run(first, count));
        let flags = (0u8..16).prop_map(MapFlags::from_bits_truncate);
        prop_oneof![
            (runs.clone(), 0u64..1 << 40, flags.clone()).prop_map(|(r, p, f)| Step::Map(r, p, f)),
            runs.clone().prop_map(Step::Unmap),
            (runs.clone(), flags).prop_map(|(r, f)| Step::Modify(r, f)),
            (0u16..70).prop_map(Step::Touch),
            runs.prop_map(Step::ClearDirty),
        ]
    }

    /// What a page is, without the entry's format.
    #[derive(Clone, Copy, PartialEq, Debug)]
    struct Mapped {
        page: u64,
        flags: MapFlags,
        dirty: bool,
    }

    fn decode(entry: Entry) -> Option<Mapped> {
        let mut flags = R;
        flags.set(MapFlags::WRITE, entry.is_writable());
        flags.set(MapFlags::EXECUTE, entry.0 & Entry::NO_EXECUTE == 0);
        flags.set(MapFlags::UNCACHED, entry.0 & Entry::NO_CACHE != 0);
        entry.is_present().then_some(Mapped {
            page: entry.address().0 / 4096,
            flags,
            dirty: entry.is_dirty(),
        })
    }

    fn legal(flags: MapFlags) -> bool {
        flags.contains(R) && !flags.contains(MapFlags::WRITE | MapFlags::EXECUTE)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 1 } else { 256 }))]

        #[test]
        fn agrees_with_a_list_of_pages(
            steps in prop::collection::vec(any_step(), 1..if cfg!(miri) { 8 } else { 60 }),
        ) {
            let page = page();
            let table = view(&page);
            let mut model: Vec<Option<Mapped>> = std::vec![None; usize::from(ENTRIES)];
            let range = |run: Run| usize::from(run.first())..usize::from(run.end());
            for step in steps {
                match step {
                    Step::Map(run, first, flags) => {
                        let free = model[range(run)].iter().all(Option::is_none);
                        let fits = first + u64::from(run.count()) <= 1 << 40;
                        let good = free && fits && legal(flags);
                        let result = table.map_pages(run, PhysAddr(first * 4096), 4096, flags);
                        prop_assert_eq!(result.is_ok(), good);
                        if good {
                            for (n, place) in model[range(run)].iter_mut().enumerate() {
                                let page = first + n as u64;
                                *place = Some(Mapped { page, flags, dirty: false });
                            }
                        }
                    }
                    Step::Unmap(run) => {
                        table.unmap(run);
                        model[range(run)].fill(None);
                    }
                    Step::Modify(run, flags) => {
                        let full = model[range(run)].iter().all(Option::is_some);
                        let good = full && legal(flags);
                        let result = Change::to(flags).and_then(|change| table.modify(run, change));
                        prop_assert_eq!(result.is_ok(), good);
                        if good {
                            model[range(run)].iter_mut().flatten().for_each(|m| m.flags = flags);
                        }
                    }
                    Step::Touch(index) => {
                        if let Some(mapped) = &mut model[usize::from(index)] {
                            mapped.dirty = true;
                            page.0[usize::from(index)].fetch_or(Entry::DIRTY, WORD);
                        }
                    }
                    Step::ClearDirty(run) => {
                        let full = model[range(run)].iter().all(Option::is_some);
                        prop_assert_eq!(table.clear_dirty(run).is_ok(), full);
                        if full {
                            model[range(run)].iter_mut().flatten().for_each(|m| m.dirty = false);
                        }
                    }
                }
                for index in 0..ENTRIES {
                    let entry = table.read(index).unwrap();
                    prop_assert_eq!(decode(entry), model[usize::from(index)]);
                }
                let all = run(0, ENTRIES);
                prop_assert_eq!(table.is_empty(all), model.iter().all(Option::is_none));
            }
        }
    }
}
