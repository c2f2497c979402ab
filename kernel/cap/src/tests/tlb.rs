//! No translation buffer remembers what is not so any more: a buffer that keeps everything that
//! was ever reachable until it is told to forget it.

use super::*;
use paging::{Entry, Level};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Two objects of each kind of table, one more Pt, and a frame of 40 pages.
const OBJECTS: [CapType; 10] = [
    CapType::Pml4,
    CapType::Pml4,
    CapType::Pdpt,
    CapType::Pdpt,
    CapType::Pd,
    CapType::Pd,
    CapType::Pt,
    CapType::Pt,
    CapType::Pt,
    CapType::Frame,
];
const FRAME: usize = FREE + 9;
const FRAME_PAGES: u64 = 40;
/// Boot slots that mappings go to.
const MAPPINGS: usize = FREE + OBJECTS.len();
const MOST_MAPPINGS: usize = 30;

/// Every page that a walk finds, by top table and address.
type Buffer = BTreeMap<(u64, u64), Entry>;

fn walk(w: &World, root: u64, table: u64, level: Level, address: u64, found: &mut Buffer) {
    for index in 0..level.user_entries() {
        let entry = w.caps.table(table).read(index).unwrap();
        let address = address + u64::from(index) * level.span_bytes();
        match level.next() {
            _ if !entry.is_present() => {}
            Some(next) if !entry.is_large() => {
                walk(w, root, entry.address().0, next, address, found);
            }
            _ => {
                found.insert((root, address), entry);
            }
        }
    }
}

struct Run {
    w: World,
    buffer: Buffer,
}

impl Run {
    fn new(budget: u32) -> Run {
        let mut run = Run {
            w: World::new(),
            buffer: Buffer::new(),
        };
        run.w.caps.budget = budget;
        for object in 0..OBJECTS.len() {
            run.make(object).unwrap();
        }
        for (n, (table, below)) in [(0, 2), (2, 4), (4, 6)].into_iter().enumerate() {
            let (table, below) = (FREE + table, FREE + below);
            run.w.map(table, below, (0, 1), R, 0, MAPPINGS + n).unwrap();
        }
        // Pages that can lose something from the first step on.
        let all = (0, FRAME_PAGES as u16 / 2);
        run.w
            .map(FREE + 6, FRAME, all, RW, 0, MAPPINGS + 3)
            .unwrap();
        run
    }

    fn make(&mut self, object: usize) -> Result<(), Error> {
        let (ty, to) = (OBJECTS[object], FREE + object);
        let bytes = if to == FRAME { FRAME_PAGES * PAGE } else { 0 };
        self.w
            .make(RAM, ty, FREE_RAM + object as u64 * PAGE, bytes, to)
    }

    /// Whether it is refused or only begun is all the same here.
    fn step(&mut self, step: &Step) {
        let w = &mut self.w;
        let _ = match *step {
            Step::Make(object) => self.make(object),
            Step::Hang(table, below, entry, to) => {
                w.map(FREE + table, FREE + below, (entry, 1), R, 0, MAPPINGS + to)
            }
            Step::Map(table, entries, offset, flags, to) => w.map(
                FREE + table,
                FRAME,
                entries,
                flags,
                offset * PAGE,
                MAPPINGS + to,
            ),
            Step::Modify(table, (first, count), flags) => {
                w.caps.modify(w.boot(FREE + table), first, count, flags)
            }
            Step::ModifyMapping(mapping, (first, count), flags) => {
                let mapping = w.boot(MAPPINGS + mapping);
                w.caps.mapping_modify(mapping, first, count, flags)
            }
            Step::ClearDirty(table, (first, count)) => {
                w.caps.clear_dirty(w.boot(FREE + table), first, count)
            }
            Step::Destroy(mapping) => w.caps.mapping_destroy(w.boot(MAPPINGS + mapping)),
            Step::Delete(slot) => w.caps.delete(w.boot(FREE + slot)),
            Step::Write(table, entry) => {
                let (table, entry) = (w.boot(FREE + table), usize::from(entry));
                if table.ty() == CapType::Pt {
                    let words = w.caps.platform.virt(table.base()).cast::<u64>();
                    // SAFETY: an entry of a table, which no view uses at the moment; setting its
                    // dirty bit is what the processor does on a write.
                    unsafe { *words.add(entry) |= (*words.add(entry) & 1) * Entry::DIRTY };
                }
                Ok(())
            }
        };
    }

    /// What the buffer was told to forget, it forgets; what it still remembers is so; and it
    /// remembers all that can be reached now.
    fn check(&mut self) -> Result<(), TestCaseError> {
        let machine = &mut self.w.caps.platform;
        if core::mem::take(&mut machine.flushes) > 0 {
            self.buffer.clear();
        }
        for page in machine.flushed_pages.drain(..) {
            self.buffer.remove(&page);
        }
        for gone in machine.destroyed.drain(..) {
            self.buffer.retain(|(root, _), _| *root != gone.base);
        }
        let mut now = Buffer::new();
        for n in FREE..FREE + 2 {
            let root = self.w.boot(n);
            if root.ty() == CapType::Pml4 && !root.is_deleting() {
                walk(&self.w, root.base(), root.base(), Level::Pml4, 0, &mut now);
            }
        }
        for (page, old) in &self.buffer {
            let new = now.get(page).copied().unwrap_or(Entry::EMPTY);
            let same = Entry::NO_CACHE | Entry::WRITE_THROUGH | Entry::LARGE;
            let given = Entry::PRESENT | Entry::WRITE | Entry::DIRTY;
            let fine = new.address() == old.address()
                && new.0 & same == old.0 & same
                && old.0 & given & !new.0 == 0
                && new.0 & Entry::NO_EXECUTE & !old.0 == 0;
            prop_assert!(fine, "{page:x?} was {old:?} and is {new:?}");
        }
        self.buffer.extend(now);
        Ok(())
    }
}

#[derive(Clone, Debug)]
enum Step {
    Make(usize),
    Hang(usize, usize, u16, usize),
    Map(usize, (u16, u16), u64, MapFlags, usize),
    Modify(usize, (u16, u16), MapFlags),
    ModifyMapping(usize, (u16, u16), MapFlags),
    ClearDirty(usize, (u16, u16)),
    Destroy(usize),
    Delete(usize),
    Write(usize, u16),
}

fn any_step() -> impl Strategy<Value = Step> {
    let flags = || prop::sample::select(std::vec![R, RW, RX, R | MapFlags::UNCACHED]);
    // Single pages have a way of their own, so they come often.
    let count = || prop_oneof![Just(1u16), 1u16..24];
    let entries = move || (0u16..40, count());
    let (table, tables) = (0usize..9, 6usize..9);
    let to = 0..MOST_MAPPINGS;
    prop_oneof![
        2 => (0..OBJECTS.len()).prop_map(Step::Make),
        6 => (table.clone(), table, 0u16..3, to.clone())
            .prop_map(|(table, below, entry, to)| Step::Hang(table, below, entry, to)),
        4 => (tables.clone(), entries(), 0u64..20, flags(), to.clone())
            .prop_map(|(table, run, offset, flags, to)| Step::Map(table, run, offset, flags, to)),
        3 => (tables.clone(), entries(), flags())
            .prop_map(|(table, run, flags)| Step::Modify(table, run, flags)),
        3 => (to.clone(), (0u16..4, count()), flags())
            .prop_map(|(mapping, run, flags)| Step::ModifyMapping(mapping, run, flags)),
        1 => (tables.clone(), entries()).prop_map(|(table, run)| Step::ClearDirty(table, run)),
        2 => to.prop_map(Step::Destroy),
        1 => (0..OBJECTS.len()).prop_map(Step::Delete),
        2 => (tables, 0u16..40).prop_map(|(table, entry)| Step::Write(table, entry)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 192 }))]

    #[test]
    fn nothing_is_remembered_that_is_not_so(
        steps in prop::collection::vec(any_step(), 1..if cfg!(miri) { 8 } else { 120 }),
        budget in prop::sample::select(std::vec![40u32, 4096]),
    ) {
        let mut run = Run::new(budget);
        run.check()?;
        for step in steps {
            run.step(&step);
            run.check()?;
        }
    }
}

#[test]
fn few_pages_are_flushed_by_themselves() {
    let mut run = Run::new(4096);
    let w = &mut run.w;
    let (pml4, pt) = (w.boot(FREE).base(), FREE + 6);
    w.caps.mapping_destroy(w.boot(MAPPINGS + 3)).unwrap();
    w.caps.platform.flushes = 0;
    w.map(pt, FRAME, (5, 20), RW, 0, MAPPINGS + 3).unwrap();
    let modify = |w: &mut World, first, count, flags| {
        w.caps.modify(w.boot(pt), first, count, flags).unwrap();
        let machine = &mut w.caps.platform;
        let pages: Vec<u64> = machine
            .flushed_pages
            .drain(..)
            .map(|(root, address)| {
                assert_eq!(root, pml4);
                address / PAGE
            })
            .collect();
        (core::mem::take(&mut machine.flushes), pages)
    };
    assert_eq!(modify(w, 7, 2, R), (0, std::vec![7, 8]));
    assert_eq!(modify(w, 7, 2, RW), (0, Vec::new()));
    assert_eq!(modify(w, 5, 20, R), (1, Vec::new()), "many at once");
    assert_eq!(modify(w, 5, 20, RW), (0, Vec::new()));
    // The table shown as a page is no second place; at another entry it is.
    w.map(FREE + 7, pt, (0, 1), R, 0, MAPPINGS + 4).unwrap();
    assert_eq!(modify(w, 5, 1, R), (0, std::vec![5]));
    w.map(FREE + 4, pt, (1, 1), R, 0, MAPPINGS + 5).unwrap();
    assert_eq!(modify(w, 6, 1, R), (1, Vec::new()), "two addresses");
    w.caps.mapping_destroy(w.boot(MAPPINGS + 2)).unwrap();
    assert_eq!(w.caps.platform.flushes, 1, "a whole table");
    w.caps.platform.flushes = 0;
    assert_eq!(modify(w, 7, 1, R), (0, std::vec![512 + 7]));
    w.map(FREE + 1, FREE + 2, (9, 1), R, 0, MAPPINGS + 6)
        .unwrap();
    assert_eq!(modify(w, 8, 1, R), (1, Vec::new()), "two address spaces");
}
