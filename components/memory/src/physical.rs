//! Which pages of the component's memory are free, by block of 2 MiB, by run and by colour. Pure
//! bookkeeping; [`crate::stock`] makes the capabilities.
//!
//! A block is free as a whole, holds kernel objects, holds single pages, or is part of a run of
//! blocks. Kernel objects come from the top and everything else from the bottom, so that large
//! aligned pieces stay whole. A block whose last page is given back is free again, and beside a free
//! block it is one piece with it: there is nothing to merge. Colour `c` of `n` colours: the pages
//! whose number is `c` modulo `n`.

use crate::Error;
use crate::bits::{self, Bits, filled};
use abi::CPtr;
use abi::layout::PAGE;
use alloc::vec::Vec;
use core::ops::Range;

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
    /// The first of `count` free pages in a row that begins at a multiple of `align`: two steps for
    /// each row of free pages that is too short.
    fn row(&self, count: usize, align: usize) -> Option<usize> {
        let mut first = self.next_free(0)?.next_multiple_of(align);
        while first + count <= BLOCK_PAGES {
            let Some(taken) = self.last_taken(&(first..first + count)) else {
                return Some(first);
            };
            first = self.next_free(taken + 1)?.next_multiple_of(align);
        }
        None
    }

    /// The first free page that is not before `from`.
    fn next_free(&self, from: usize) -> Option<usize> {
        let mut word = from / 64;
        let mut pages = self.free.get(word)? & (u64::MAX << (from % 64));
        while pages == 0 {
            word += 1;
            pages = *self.free.get(word)?;
        }
        Some(word * 64 + pages.trailing_zeros() as usize)
    }

    /// The last page of a range that is taken.
    fn last_taken(&self, range: &Range<usize>) -> Option<usize> {
        bits::words(range).rev().find_map(|word| {
            let pages = !self.free[word] & bits::mask(range, word);
            (pages != 0).then(|| word * 64 + pages.ilog2() as usize)
        })
    }

    /// Pages that were taken are free now, or the other way round.
    #[inline]
    fn mark(&mut self, first: usize, count: usize, free: bool) {
        match free {
            true => self.left += count as u16,
            false => self.left -= count as u16,
        }
        let range = first..first + count;
        for word in bits::words(&range) {
            self.free[word] ^= bits::mask(&range, word);
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
mod tests;
