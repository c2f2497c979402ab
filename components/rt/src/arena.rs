//! What a heap is made of: the range it starts with, regions that it gets when that is exhausted, and
//! blocks so large that each is a region of its own. [`crate::heap`] puts it behind a lock and asks
//! the CBUF manager, never with the lock held, for what this module says is missing.
//!
//! A region is of the size asked for or a quarter of the whole heap, so that there are few; where all
//! in it was freed it is given back. One small region that is idle is kept, for a program that
//! allocates and frees a little at the edge of what it has would call the manager each time.

use core::alloc::Layout;
use core::ptr::NonNull;

use abi::layout::PAGE;
use talc::base::Talc;
use talc::base::binning::DefaultBinning;
use talc::source::Manual;

/// Regions and blocks at most.
const MOST: usize = 64;
/// Bytes from which on a block that nothing has room for gets memory of its own.
const BLOCK: usize = 128 << 10;
/// Smallest region, in pages.
const LEAST_PAGES: usize = 16;
/// Largest idle region that is kept.
const KEPT: usize = 256 << 10;
/// What the allocator needs in a region besides a block: marks at both ends, and the rounding.
const OVERHEAD: usize = 128;

/// Memory of the manager's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Region {
    pub start: usize,
    pub bytes: usize,
    /// The manager's name for it.
    pub id: u32,
    pub purpose: Purpose,
}

/// How a region is cut up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// By the allocator.
    Many,
    /// Not at all.
    Block,
}

/// What would make room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Wanted {
    pub purpose: Purpose,
    /// Pages that would be good.
    pub pages: usize,
    /// Pages that would do.
    pub least: usize,
}

impl Wanted {
    /// What is asked for, one after the other until it is given: near the limit half of what would be
    /// good, and so on, so that what is left goes to few regions.
    pub fn sizes(self) -> impl Iterator<Item = usize> {
        let half = move |pages: &usize| (*pages > self.least).then(|| (pages / 2).max(self.least));
        core::iter::successors(Some(self.pages), half)
    }
}

pub(crate) struct Arena {
    talc: Talc<Manual, DefaultBinning>,
    /// By address; the first `count` are there.
    regions: [Region; MOST],
    count: usize,
    /// Start of the region that was last found idle and kept.
    kept: usize,
    /// Of all that was claimed.
    bytes: usize,
}

// SAFETY: it keeps pointers into ranges only that every thread of the component reaches at the same
// address.
unsafe impl Send for Arena {}

const NONE: Region = Region {
    start: 0,
    bytes: 0,
    id: 0,
    purpose: Purpose::Block,
};

impl Arena {
    pub const fn new() -> Self {
        Self {
            talc: Talc::new(Manual),
            regions: [NONE; MOST],
            count: 0,
            kept: 0,
            bytes: 0,
        }
    }

    /// The range that it starts with; whether that is large enough for one.
    ///
    /// # Safety
    /// The range is valid for reads and writes for ever, and from now on the arena's alone.
    pub unsafe fn claim(&mut self, base: *mut u8, bytes: usize) -> bool {
        self.bytes += bytes;
        // SAFETY: the caller's promise.
        unsafe { self.talc.claim(base, bytes) }.is_some()
    }

    /// Memory of what is there.
    ///
    /// # Safety
    /// The layout's size is not zero.
    #[inline]
    pub unsafe fn alloc(&mut self, layout: Layout) -> Option<NonNull<u8>> {
        // SAFETY: the caller's promise.
        unsafe { self.talc.allocate(layout) }
    }

    /// What [`Arena::alloc`] did not find; `None` where there can be no more.
    pub fn wanted(&self, layout: Layout) -> Option<Wanted> {
        if self.count >= MOST {
            return None;
        }
        let pages = |bytes: usize| bytes.div_ceil(PAGE);
        // Half of the places are for regions, where any number of blocks find room.
        if layout.size() >= BLOCK && layout.align() <= PAGE && self.count < MOST / 2 {
            let pages = pages(layout.size());
            return Some(Wanted {
                purpose: Purpose::Block,
                pages,
                least: pages,
            });
        }
        let bytes = layout.size().checked_add(layout.align())?;
        let least = pages(bytes.checked_add(OVERHEAD)?);
        Some(Wanted {
            purpose: Purpose::Many,
            pages: least.max(LEAST_PAGES).max(pages(self.bytes / 4)),
            least,
        })
    }

    /// Takes a region that was [`Arena::wanted`] for a block; the block. `None`: there is no place for
    /// it any more, and it is the caller's still.
    ///
    /// # Safety
    /// The region is valid for reads and writes, and the arena's alone, until the arena lets go of
    /// it; the layout is that which it was wanted for.
    pub unsafe fn add(&mut self, region: Region, layout: Layout) -> Option<NonNull<u8>> {
        if self.count >= MOST {
            return None;
        }
        let start = region.start as *mut u8;
        let block = match region.purpose {
            Purpose::Block => NonNull::new(start),
            Purpose::Many => {
                // SAFETY: the caller's promise. It is the allocator's until it is truncated.
                unsafe { self.talc.claim(start, region.bytes)? };
                // SAFETY: a layout that `alloc` was asked for.
                unsafe { self.talc.allocate(layout) }
            }
        };
        let at = self.regions[..self.count].partition_point(|r| r.start < region.start);
        self.regions.copy_within(at..self.count, at + 1);
        self.regions[at] = region;
        self.count += 1;
        self.bytes += region.bytes;
        block
    }

    /// The region that an address is in.
    #[inline]
    fn find(&self, address: usize) -> Option<usize> {
        if self.count == 0 {
            return None;
        }
        let at = self.regions[..self.count].partition_point(|r| r.start <= address);
        let at = at.checked_sub(1)?;
        let region = &self.regions[at];
        (address - region.start < region.bytes).then_some(at)
    }

    /// Frees; a region that is to be given back.
    ///
    /// # Safety
    /// `ptr` came from here with this layout, and nothing uses it any more.
    #[inline]
    #[must_use]
    pub unsafe fn free(&mut self, ptr: *mut u8, layout: Layout) -> Option<Region> {
        let at = self.find(ptr as usize);
        let Some(at) = at else {
            // SAFETY: the caller's promise.
            unsafe { self.talc.deallocate(ptr, layout) };
            return None;
        };
        // SAFETY: as above.
        unsafe { self.free_grown(at, ptr, layout) }
    }

    /// # Safety
    /// As [`Arena::free`], in the region with that index.
    #[cold]
    unsafe fn free_grown(&mut self, at: usize, ptr: *mut u8, layout: Layout) -> Option<Region> {
        let region = self.regions[at];
        if region.purpose == Purpose::Block {
            return Some(self.remove(at));
        }
        // SAFETY: the caller's promise.
        unsafe { self.talc.deallocate(ptr, layout) };
        if !self.is_idle(at) {
            return None;
        }
        let other = self.find(self.kept).filter(|other| *other != at);
        let small = region.bytes <= KEPT;
        if small && !other.is_some_and(|other| self.is_idle(other)) {
            self.kept = region.start;
            return None;
        }
        Some(self.remove(at))
    }

    /// Whether a block needs no move to have another size.
    ///
    /// # Safety
    /// `ptr` came from here with this layout; the new size is not zero. If so, its layout has the new
    /// size from here on.
    pub unsafe fn resize(&mut self, ptr: *mut u8, layout: Layout, bytes: usize) -> bool {
        if let Some(at) = self.find(ptr as usize)
            && self.regions[at].purpose == Purpose::Block
        {
            // One that is far too large is given back instead.
            let has = self.regions[at].bytes;
            return (has / 2..=has).contains(&bytes);
        }
        // SAFETY: the caller's promise.
        unsafe { self.talc.try_realloc_in_place(ptr, layout, bytes) }
    }

    fn end(region: &Region) -> NonNull<u8> {
        // Pages end at a multiple of what the allocator rounds to.
        NonNull::new((region.start + region.bytes) as *mut u8).unwrap_or(NonNull::dangling())
    }

    fn is_idle(&self, at: usize) -> bool {
        let region = &self.regions[at];
        // SAFETY: a region that is cut up was claimed to this end and never resized.
        region.purpose == Purpose::Many && !unsafe { self.talc.reserved(Self::end(region)) }.any
    }

    fn remove(&mut self, at: usize) -> Region {
        let region = self.regions[at];
        if region.purpose == Purpose::Many {
            // SAFETY: as in `is_idle`; all of it is free, so all of it is let go.
            let left = unsafe {
                self.talc
                    .truncate(Self::end(&region), core::ptr::null_mut())
            };
            assert!(left.is_none(), "a region of the heap is given back in use");
        }
        self.regions.copy_within(at + 1..self.count, at);
        self.count -= 1;
        self.bytes -= region.bytes;
        region
    }

    /// Lets go of a region that nothing is in.
    pub fn take_idle(&mut self) -> Option<Region> {
        let at = (0..self.count).find(|at| self.is_idle(*at))?;
        Some(self.remove(at))
    }

    /// Bytes of regions and blocks, and their number.
    pub fn grown(&self) -> (usize, usize) {
        let bytes = self.regions[..self.count].iter().map(|r| r.bytes);
        (bytes.sum(), self.count)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::alloc::{alloc_zeroed, dealloc};
    use std::collections::HashMap;
    use std::vec::Vec;

    /// Pages that are handed out, up to a limit.
    struct Manager {
        limit: usize,
        next: u32,
        out: HashMap<u32, Layout>,
    }

    impl Manager {
        fn own(&mut self, wanted: Wanted) -> Option<Region> {
            let used: usize = self.out.values().map(|l| l.size() / PAGE).sum();
            let left = self.limit - used;
            let pages = wanted.sizes().find(|pages| *pages <= left)?;
            let layout = Layout::from_size_align(pages * PAGE, PAGE).unwrap();
            // SAFETY: the size is not zero.
            let start = unsafe { alloc_zeroed(layout) } as usize;
            self.next += 1;
            self.out.insert(self.next, layout);
            Some(Region {
                start,
                bytes: layout.size(),
                id: self.next,
                purpose: wanted.purpose,
            })
        }

        fn disown(&mut self, region: Region) {
            let layout = self.out.remove(&region.id).unwrap();
            assert_eq!(layout.size(), region.bytes);
            // SAFETY: given out with this layout; the arena let go of it.
            unsafe { dealloc(region.start as *mut u8, layout) };
        }
    }

    struct World {
        arena: Arena,
        manager: Manager,
        live: Vec<(NonNull<u8>, Layout, u8)>,
    }

    impl World {
        fn new(limit: usize) -> Self {
            let mut arena = Arena::new();
            let start = std::vec![0u8; 64 << 10].leak();
            // SAFETY: leaked, and nobody else's.
            assert!(unsafe { arena.claim(start.as_mut_ptr(), start.len()) });
            Self {
                arena,
                manager: Manager {
                    limit,
                    next: 0,
                    out: HashMap::new(),
                },
                live: Vec::new(),
            }
        }

        fn alloc(&mut self, bytes: usize, align: usize) -> bool {
            let layout = Layout::from_size_align(bytes, align).unwrap();
            // SAFETY: the size is not zero.
            let found = unsafe { self.arena.alloc(layout) }.or_else(|| {
                let wanted = self.arena.wanted(layout)?;
                let region = self.manager.own(wanted)?;
                // SAFETY: fresh memory, wanted for this layout.
                let block = unsafe { self.arena.add(region, layout) };
                assert!(
                    block.is_some(),
                    "a region wanted for a block has no room for it"
                );
                block
            });
            let Some(block) = found else {
                return false;
            };
            assert!((block.as_ptr() as usize).is_multiple_of(align));
            let tag = self.live.len() as u8 ^ bytes as u8;
            // SAFETY: so many bytes were allocated.
            unsafe { block.as_ptr().write_bytes(tag, bytes) };
            self.live.push((block, layout, tag));
            true
        }

        fn check(&(block, layout, tag): &(NonNull<u8>, Layout, u8)) {
            // SAFETY: allocated and written as a whole.
            let bytes = unsafe { core::slice::from_raw_parts(block.as_ptr(), layout.size()) };
            assert!(bytes.iter().all(|b| *b == tag));
        }

        fn free(&mut self, which: usize) {
            let one = self.live.swap_remove(which % self.live.len());
            Self::check(&one);
            // SAFETY: allocated with this layout, and removed from the list.
            let idle = unsafe { self.arena.free(one.0.as_ptr(), one.1) };
            if let Some(region) = idle {
                self.manager.disown(region);
            }
            let (bytes, count) = self.arena.grown();
            assert_eq!(count, self.manager.out.len());
            let out: usize = self.manager.out.values().map(Layout::size).sum();
            assert_eq!(bytes, out);
        }

        /// All is freed, and at most one small region is kept.
        fn end(mut self) {
            while !self.live.is_empty() {
                self.free(7);
            }
            assert!(self.manager.out.len() <= 1);
            assert!(self.manager.out.values().all(|l| l.size() <= KEPT));
            while let Some(region) = self.arena.take_idle() {
                self.manager.disown(region);
            }
            assert!(self.manager.out.is_empty());
            // The range that it started with is whole.
            assert!(self.alloc(60 << 10, 8));
            assert!(self.manager.out.is_empty());
        }
    }

    #[test]
    fn large_blocks_come_and_go_by_themselves() {
        let mut world = World::new(5000);
        for bytes in [BLOCK, 1 << 20, (16 << 20) - 1, 16 << 20] {
            assert!(world.alloc(bytes, 8));
            assert_eq!(world.arena.grown(), (bytes.next_multiple_of(PAGE), 1));
            world.free(0);
            assert_eq!(world.arena.grown(), (0, 0));
        }
        assert!(!world.alloc(5001 * PAGE, 8));
        world.end();
    }

    #[test]
    fn a_block_is_resized_in_place_while_that_fits() {
        let mut world = World::new(5000);
        assert!(world.alloc(1 << 20, 8));
        let (block, layout, _) = world.live[0];
        // SAFETY: allocated with this layout, which is restored below.
        let mut fits = |bytes| unsafe { world.arena.resize(block.as_ptr(), layout, bytes) };
        assert!(fits(1 << 19) && fits(1 << 20));
        assert!(!fits((1 << 20) + 1) && !fits((1 << 19) - 1));
        world.end();
    }

    #[test]
    fn one_small_idle_region_is_kept() {
        let mut world = World::new(1000);
        while world.arena.grown().1 == 0 {
            assert!(world.alloc(1000, 8));
        }
        for _ in 0..10 {
            world.free(world.live.len() - 1);
            assert_eq!(world.arena.grown().1, 1);
            assert!(world.alloc(1000, 8));
        }
        world.end();
    }

    #[test]
    fn takes_what_is_just_enough_where_more_is_refused() {
        let mut world = World::new(20);
        while world.alloc(3000, 8) {}
        let (bytes, _) = world.arena.grown();
        assert_eq!(bytes, 20 * PAGE);
        world.end();
    }

    #[test]
    fn random_blocks_keep_their_bytes() {
        for seed in 1..20u64 {
            let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut next = |limit: u64| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                (random % limit) as usize
            };
            let mut world = World::new(2000);
            for _ in 0..600 {
                match next(9) {
                    0..=3 => drop(world.alloc(1 + next(6000), 1 << next(7))),
                    4 => drop(world.alloc(1 + next(400 << 10), 1 << next(15))),
                    _ if world.live.is_empty() => {}
                    _ => world.free(next(1 << 20)),
                }
            }
            world.live.iter().for_each(World::check);
            world.end();
        }
    }
}
