//! Which pages of the component's memory are free, by block of 2 MiB, by run and by colour. Pure
//! bookkeeping; [`crate::stock`] makes the capabilities.
//!
//! A block is free as a whole, holds kernel objects, holds single pages, or is part of a run of
//! blocks. Kernel objects come from the top and everything else from the bottom, so that large
//! aligned pieces stay whole. A block whose last page is given back is free again, and beside a free
//! block it is one piece with it: there is nothing to merge. Colour `c` of `n` colours: the pages
//! whose number is `c` modulo `n`.

use crate::Error;
use crate::bits::{Bits, filled};
use abi::CPtr;
use abi::layout::PAGE;
use alloc::vec::Vec;

/// Pages in a block.
pub const BLOCK_PAGES: usize = 512;
/// Bytes of a block: a 2 MiB page.
pub const BLOCK: usize = BLOCK_PAGES * PAGE;
/// Blocks in a 1 GiB page.
pub const GIB_BLOCKS: usize = 512;
/// Most colours: then one word has a page of each.
pub const MAX_COLOURS: usize = 64;
const WORDS: usize = BLOCK_PAGES / 64;

/// A page of the component's memory, counted from its beginning.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Page(pub u32);

impl Page {
    pub(crate) fn block(self) -> usize {
        self.0 as usize / BLOCK_PAGES
    }
    pub(crate) fn of_block(block: usize) -> Page {
        Page((block * BLOCK_PAGES) as u32)
    }
    fn bit(self) -> usize {
        self.0 as usize % BLOCK_PAGES
    }
}

/// A set of colours: bit `c` allows colour `c`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Colours(pub u64);

impl Colours {
    pub const ANY: Colours = Colours(u64::MAX);

    pub fn one(colour: u32) -> Colours {
        Colours(1u64.checked_shl(colour).unwrap_or(0))
    }
}

/// What a block is used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Use {
    Free,
    /// Page tables and CNodes, each made from the Ram itself.
    Objects,
    /// Single pages of one Frame.
    Pages,
    /// The first of a run of so many blocks that are one Frame.
    Run(u32),
    /// Another of the run that begins at that block.
    Tail(u32),
}

#[derive(Clone, Copy)]
pub(crate) struct Block {
    pub used: Use,
    /// Frame over the pages or the run (in its first block).
    pub frame: CPtr,
    /// Mapping in the library's window, in the first block that it shows.
    pub window: CPtr,
    /// Bit `n`: page `n` is free.
    free: [u64; WORDS],
    /// Free pages.
    left: u16,
}

const FREE: Block = Block {
    used: Use::Free,
    frame: CPtr::NULL,
    window: CPtr::NULL,
    free: [u64::MAX; WORDS],
    left: BLOCK_PAGES as u16,
};

impl Block {
    /// The first of `count` free pages in a row that begins at a multiple of `count`'s alignment.
    fn row(&self, count: usize, align: usize) -> Option<usize> {
        (0..=BLOCK_PAGES - count)
            .step_by(align)
            .find(|first| (*first..first + count).all(|n| self.free[n / 64] >> (n % 64) & 1 == 1))
    }

    /// Pages that were taken are free now, or the other way round.
    #[inline]
    fn mark(&mut self, first: usize, count: usize, free: bool) {
        match free {
            true => self.left += count as u16,
            false => self.left -= count as u16,
        }
        for n in first..first + count {
            let bit = 1 << (n % 64);
            if free {
                self.free[n / 64] |= bit;
            } else {
                self.free[n / 64] &= !bit;
            }
        }
    }
}

pub(crate) struct Physical {
    base: u64,
    blocks: Vec<Block>,
    free: Bits,
    /// By colour: blocks of single pages that have a free page of it.
    of_colour: Vec<Bits>,
    /// Blocks of kernel objects that have a free page.
    objects: Bits,
    /// The pages of a word that are of colour 0.
    every: u64,
    next_colour: usize,
    /// Blocks of single pages with none in use, which are not free yet.
    idle: usize,
}

impl Physical {
    /// Memory of `bytes` at physical address `base`, both multiples of 2 MiB.
    ///
    /// Errors: `BadSize`, `BadAlign`, `BadColours` (no power of two, or over [`MAX_COLOURS`]),
    /// `NoHeap`.
    pub fn new(base: u64, bytes: u64, colours: usize) -> Result<Physical, Error> {
        let blocks = usize::try_from(bytes / BLOCK as u64).map_err(|_| Error::BadSize)?;
        if blocks == 0 || !bytes.is_multiple_of(BLOCK as u64) || blocks > u32::MAX as usize >> 9 {
            return Err(Error::BadSize);
        }
        if !base.is_multiple_of(BLOCK as u64) {
            return Err(Error::BadAlign);
        }
        if !colours.is_power_of_two() || colours > MAX_COLOURS {
            return Err(Error::BadColours);
        }
        let mut of_colour = Vec::new();
        let room = of_colour.try_reserve_exact(colours);
        room.map_err(|_| Error::NoHeap)?;
        for _ in 0..colours {
            of_colour.push(Bits::new(blocks)?);
        }
        let mut free = Bits::new(blocks)?;
        free.insert(0..blocks);
        Ok(Physical {
            base,
            blocks: filled(blocks, FREE)?,
            free,
            of_colour,
            objects: Bits::new(blocks)?,
            every: every(colours),
            next_colour: 0,
            idle: 0,
        })
    }

    pub fn colours(&self) -> usize {
        self.of_colour.len()
    }

    pub fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// Blocks that nothing uses.
    pub fn free_blocks(&self) -> usize {
        self.free.len()
    }

    pub fn block(&self, n: usize) -> &Block {
        &self.blocks[n]
    }

    pub fn block_mut(&mut self, n: usize) -> &mut Block {
        &mut self.blocks[n]
    }

    /// The first block of the Frame that a page belongs to.
    #[inline]
    pub fn head(&self, page: Page) -> usize {
        match self.blocks[page.block()].used {
            Use::Tail(head) => head as usize,
            _ => page.block(),
        }
    }

    /// Takes `count` free blocks in a row, whose physical address is a multiple of `align` blocks.
    pub fn take_run(&mut self, count: usize, align: usize) -> Option<usize> {
        let phase = (self.base / BLOCK as u64) as usize % align;
        let first = self.free.run(count, align, phase)?;
        self.free.remove(first..first + count);
        self.blocks[first].used = Use::Run(count as u32);
        for block in &mut self.blocks[first + 1..first + count] {
            block.used = Use::Tail(first as u32);
        }
        Some(first)
    }

    /// Gives the run that begins at a block back.
    pub fn give_run(&mut self, first: usize) {
        if let Use::Run(count) = self.blocks[first].used {
            let range = first..first + count as usize;
            self.blocks[range.clone()].fill(FREE);
            self.free.insert(range);
        }
    }

    /// Makes a free block one of single pages.
    pub fn open_pages(&mut self) -> Option<usize> {
        let n = self.free.next(0)?;
        self.free.remove(n..n + 1);
        self.blocks[n].used = Use::Pages;
        self.idle += 1;
        self.of_colour
            .iter_mut()
            .for_each(|set| set.insert(n..n + 1));
        Some(n)
    }

    /// An idle block of single pages, if there are more than `keep`.
    pub fn idle(&self, keep: usize) -> Option<usize> {
        if self.idle <= keep {
            return None;
        }
        let idle = |b: &Block| b.used == Use::Pages && b.left == FREE.left;
        self.blocks.iter().rposition(idle)
    }

    /// An idle block is free again.
    pub fn close_pages(&mut self, n: usize) {
        self.blocks[n] = FREE;
        self.idle -= 1;
        self.of_colour
            .iter_mut()
            .for_each(|set| set.remove(n..n + 1));
        self.free.insert(n..n + 1);
    }

    /// Takes a free page of one of the colours from the blocks of single pages; colours take turns.
    pub fn take_page(&mut self, colours: Colours) -> Option<Page> {
        let count = self.colours();
        let turns = (self.next_colour..count).chain(0..self.next_colour);
        let (colour, block) = turns
            .filter(|colour| colours.0 >> colour & 1 == 1)
            .find_map(|colour| Some((colour, self.of_colour[colour].next(0)?)))?;
        let pages = self.every << colour;
        let words = self.blocks[block].free.iter().enumerate();
        let (word, found) = words
            .map(|(n, word)| (n, word & pages))
            .find(|(_, found)| *found != 0)?;
        let bit = word * 64 + found.trailing_zeros() as usize;
        self.next_colour = (colour + 1) & (count - 1);
        self.mark_pages(block, bit, 1, false);
        Some(Page((block * BLOCK_PAGES + bit) as u32))
    }

    /// Takes `count` (below a block's) free pages in a row from the blocks of single pages.
    pub fn take_row(&mut self, count: usize) -> Option<Page> {
        let mut from = 0;
        loop {
            let mut sets = self.of_colour.iter();
            let block = sets.by_ref().filter_map(|set| set.next(from)).min()?;
            if let Some(bit) = self.blocks[block].row(count, 1) {
                self.mark_pages(block, bit, count, false);
                return Some(Page((block * BLOCK_PAGES + bit) as u32));
            }
            from = block + 1;
        }
    }

    /// Gives pages of a block of single pages back.
    pub fn give_pages(&mut self, page: Page, count: usize) {
        self.mark_pages(page.block(), page.bit(), count, true);
    }

    fn mark_pages(&mut self, block: usize, first: usize, count: usize, free: bool) {
        let colours = self.colours();
        let one = &mut self.blocks[block];
        let was_idle = one.left == FREE.left;
        one.mark(first, count, free);
        let is_idle = one.left == FREE.left;
        self.idle = self.idle + usize::from(is_idle) - usize::from(was_idle);
        let union = one.free.iter().fold(0, |all, word| all | word);
        for n in first..first + count.min(colours) {
            let colour = n & (colours - 1);
            let set = &mut self.of_colour[colour];
            let some = union & (self.every << colour) != 0;
            if some != set.contains(block) {
                match some {
                    true => set.insert(block..block + 1),
                    false => set.remove(block..block + 1),
                }
            }
        }
    }

    /// Takes `count` pages in a row for a kernel object, aligned to their number.
    pub fn take_object(&mut self, count: usize) -> Option<Page> {
        let mut from = 0;
        while let Some(block) = self.objects.next(from) {
            if let Some(bit) = self.blocks[block].row(count, count) {
                return Some(self.mark_object(block, bit, count));
            }
            from = block + 1;
        }
        let block = self.free.last()?;
        self.free.remove(block..block + 1);
        self.blocks[block].used = Use::Objects;
        self.objects.insert(block..block + 1);
        Some(self.mark_object(block, 0, count))
    }

    fn mark_object(&mut self, block: usize, bit: usize, count: usize) -> Page {
        self.blocks[block].mark(bit, count, false);
        if self.blocks[block].left == 0 {
            self.objects.remove(block..block + 1);
        }
        Page((block * BLOCK_PAGES + bit) as u32)
    }

    /// Gives a kernel object's pages back.
    pub fn give_object(&mut self, page: Page, count: usize) {
        let n = page.block();
        self.blocks[n].mark(page.bit(), count, true);
        if self.blocks[n].left == FREE.left {
            self.blocks[n] = FREE;
            self.objects.remove(n..n + 1);
            self.free.insert(n..n + 1);
        } else {
            self.objects.insert(n..n + 1);
        }
    }
}

/// The bits of a word, which begins at a multiple of 64 pages, of colour 0. (The memory begins at a
/// block, which has all colours the same number of times.)
fn every(colours: usize) -> u64 {
    match colours {
        MAX_COLOURS => 1,
        _ => u64::MAX / ((1 << colours) - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const BASE: u64 = 64 << 20;
    const BLOCKS: usize = 12;

    fn physical(colours: usize) -> Physical {
        Physical::new(BASE, (BLOCKS * BLOCK) as u64, colours).unwrap()
    }

    fn address(page: Page) -> u64 {
        BASE + u64::from(page.0) * PAGE as u64
    }

    #[test]
    fn bad_memory_is_refused() {
        let make = |base, bytes, colours| Physical::new(base, bytes, colours).map(drop);
        assert_eq!(make(BASE, 0, 1), Err(Error::BadSize));
        assert_eq!(make(BASE, 3 << 20, 1), Err(Error::BadSize));
        assert_eq!(make(BASE + 4096, 4 << 20, 1), Err(Error::BadAlign));
        assert_eq!(make(BASE, 4 << 20, 0), Err(Error::BadColours));
        assert_eq!(make(BASE, 4 << 20, 6), Err(Error::BadColours));
        assert_eq!(make(BASE, 4 << 20, 128), Err(Error::BadColours));
    }

    #[test]
    fn pages_of_each_colour_partition_a_word() {
        for colours in [1, 2, 4, 8, 16, 32, 64] {
            let all = (0..colours).fold(0, |all, c| {
                assert_eq!(all & (every(colours) << c), 0);
                all | (every(colours) << c)
            });
            assert_eq!(all, u64::MAX);
        }
    }

    #[test]
    fn a_colour_runs_out_by_itself() {
        let mut p = physical(16);
        let one = Colours::one(5);
        assert_eq!(p.take_page(one), None);
        p.open_pages().unwrap();
        let mut taken = Vec::new();
        while let Some(page) = p.take_page(one) {
            assert_eq!(address(page) / 4096 % 16, 5);
            taken.push(page);
        }
        assert_eq!(taken.len(), BLOCK_PAGES / 16);
        assert!(p.take_page(Colours(!one.0)).is_some());
        p.give_pages(taken[3], 1);
        assert_eq!(p.take_page(one), Some(taken[3]));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Run(usize, usize),
        Page(u64),
        Row(usize),
        Object(usize),
        Give(usize),
        Trim,
    }

    fn any_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            2 => (1usize..6, 0u32..3).prop_map(|(count, align)| Step::Run(count, 1 << align)),
            8 => (1u64..256).prop_map(Step::Page),
            3 => (1usize..512).prop_map(Step::Row),
            3 => prop_oneof![Just(1usize), Just(4)].prop_map(Step::Object),
            10 => any::<usize>().prop_map(Step::Give),
            1 => Just(Step::Trim),
        ]
    }

    #[derive(Clone, Copy, PartialEq, Debug)]
    enum Kind {
        Run,
        Pages,
        Object,
    }

    proptest! {
        #[test]
        fn nothing_is_given_twice_and_all_comes_back(
            steps in prop::collection::vec(any_step(), 1..120),
            colours in 0u32..4,
        ) {
            let mut p = physical(1 << colours);
            // First page of what is taken: how many, and what.
            let mut taken = BTreeMap::<u32, (u32, Kind)>::new();
            let overlaps = |taken: &BTreeMap<u32, (u32, Kind)>, first: u32, count: u32| {
                let before = taken.range(..first + count).next_back();
                before.is_some_and(|(at, (n, _))| at + n > first)
            };
            for step in steps {
                let found = match step {
                    Step::Run(count, align) => p.take_run(count, align).map(|block| {
                        let page = Page::of_block(block);
                        assert!(address(page).is_multiple_of((align * BLOCK) as u64));
                        assert_eq!(p.head(Page(page.0 + (count * BLOCK_PAGES) as u32 - 1)), block);
                        (page, count * BLOCK_PAGES, Kind::Run)
                    }),
                    Step::Page(mask) => {
                        let colours = Colours(mask);
                        let possible = mask & (u64::MAX >> (64 - p.colours())) != 0;
                        let mut page = p.take_page(colours);
                        if page.is_none() && possible && p.open_pages().is_some() {
                            page = p.take_page(colours);
                            assert!(page.is_some());
                        }
                        if let Some(page) = page {
                            let colour = address(page) / 4096 % p.colours() as u64;
                            assert_eq!(mask >> colour & 1, 1);
                        }
                        page.map(|page| (page, 1, Kind::Pages))
                    }
                    Step::Row(count) => p
                        .take_row(count)
                        .or_else(|| p.open_pages().and_then(|_| p.take_row(count)))
                        .map(|page| (page, count, Kind::Pages)),
                    Step::Object(count) => p.take_object(count).map(|page| {
                        assert!(page.0.is_multiple_of(count as u32));
                        (page, count, Kind::Object)
                    }),
                    Step::Give(which) => {
                        if !taken.is_empty() {
                            let at = *taken.keys().nth(which % taken.len()).unwrap();
                            let (count, kind) = taken.remove(&at).unwrap();
                            match kind {
                                Kind::Run => p.give_run(Page(at).block()),
                                Kind::Pages => p.give_pages(Page(at), count as usize),
                                Kind::Object => p.give_object(Page(at), count as usize),
                            }
                        }
                        None
                    }
                    Step::Trim => {
                        while let Some(block) = p.idle(0) {
                            p.close_pages(block);
                        }
                        None
                    }
                };
                if let Some((page, count, kind)) = found {
                    prop_assert!(!overlaps(&taken, page.0, count as u32));
                    prop_assert!(page.0 as usize + count <= BLOCKS * BLOCK_PAGES);
                    taken.insert(page.0, (count as u32, kind));
                }
            }
            for (at, (count, kind)) in taken {
                match kind {
                    Kind::Run => p.give_run(Page(at).block()),
                    Kind::Pages => p.give_pages(Page(at), count as usize),
                    Kind::Object => p.give_object(Page(at), count as usize),
                }
            }
            while let Some(block) = p.idle(0) {
                p.close_pages(block);
            }
            prop_assert_eq!(p.free_blocks(), BLOCKS);
            prop_assert_eq!(p.take_run(BLOCKS, 1), Some(0));
        }
    }
}
