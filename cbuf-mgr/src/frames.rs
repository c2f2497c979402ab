//! Which physical pages are free: a buddy allocator over the RAM granted. Runs are powers of two
//! in length and aligned to it; the lowest free run is taken, so that use stays compact. Its own
//! memory is two bits a page, taken once.

use abi::Error;
use alloc::vec::Vec;
use libcbuf::meta::ORDERS;

/// A set of small numbers with a summary (one bit a word) above it, so that finding the first
/// member looks at one word in 4096 members.
#[derive(Debug)]
struct Bits {
    words: Vec<u64>,
    summary: Vec<u64>,
}

impl Bits {
    fn new(len: usize) -> Result<Self, Error> {
        let zeroed = |n: usize| {
            let mut words = Vec::new();
            words.try_reserve_exact(n).map_err(|_| Error::NoMemory)?;
            words.resize(n, 0);
            Ok(words)
        };
        let words = zeroed(len.div_ceil(64))?;
        let summary = zeroed(words.len().div_ceil(64))?;
        Ok(Self { words, summary })
    }
    fn contains(&self, n: usize) -> bool {
        self.words
            .get(n / 64)
            .is_some_and(|w| w >> (n % 64) & 1 != 0)
    }
    fn insert(&mut self, n: usize) {
        self.words[n / 64] |= 1 << (n % 64);
        self.summary[n / 4096] |= 1 << (n / 64 % 64);
    }
    fn remove(&mut self, n: usize) {
        self.words[n / 64] &= !(1 << (n % 64));
        if self.words[n / 64] == 0 {
            self.summary[n / 4096] &= !(1 << (n / 64 % 64));
        }
    }
    fn first(&self) -> Option<usize> {
        let top = self.summary.iter().position(|w| *w != 0)?;
        let word = top * 64 + self.summary[top].trailing_zeros() as usize;
        Some(word * 64 + self.words[word].trailing_zeros() as usize)
    }
}

/// Free page numbers in `[first, first + pages)`.
#[derive(Debug)]
pub struct Frames {
    /// Page number of index 0: a multiple of the largest run.
    first: u64,
    free: [Bits; ORDERS],
    free_pages: u64,
    total_pages: u64,
    most_used: u64,
}

/// The largest run, in pages.
const LARGEST: u64 = 1 << (ORDERS - 1);

impl Frames {
    /// Nothing free yet, with room for page numbers from `first` to `end`.
    pub fn new(first: u64, end: u64) -> Result<Self, Error> {
        let first = first & !(LARGEST - 1);
        let pages = usize::try_from(end.saturating_sub(first)).map_err(|_| Error::BadSize)?;
        let mut free = [const {
            Bits {
                words: Vec::new(),
                summary: Vec::new(),
            }
        }; ORDERS];
        for (order, bits) in free.iter_mut().enumerate() {
            *bits = Bits::new(pages >> order)?;
        }
        Ok(Self {
            first,
            free,
            free_pages: 0,
            total_pages: 0,
            most_used: 0,
        })
    }

    /// Adds free pages `[page, page + pages)`, which were not added before; what lies outside
    /// the range given to [`Frames::new`] is left out.
    pub fn add(&mut self, page: u64, pages: u64) {
        let (mut at, end) = (page.max(self.first), page.saturating_add(pages));
        while at < end {
            let order = (at.trailing_zeros())
                .min((end - at).ilog2())
                .min(ORDERS as u32 - 1);
            let index = (at - self.first) >> order;
            if index < (self.free[order as usize].words.len() * 64) as u64 {
                self.put(at, order);
                self.total_pages += 1 << order;
            }
            at += 1 << order;
        }
    }

    /// The lowest free run of 2^`order` pages.
    pub fn alloc(&mut self, order: u32) -> Option<u64> {
        let found = (order..ORDERS as u32)
            .filter_map(|o| Some((self.free[o as usize].first()? << o, o)))
            .min()?;
        let (index, mut from) = found;
        self.free[from as usize].remove(index >> from);
        while from > order {
            from -= 1;
            self.free[from as usize].insert((index >> from) + 1);
        }
        self.free_pages -= 1 << order;
        let used = self.total_pages.saturating_sub(self.free_pages);
        self.most_used = self.most_used.max(used);
        Some(self.first + index as u64)
    }

    /// Gives a run back that [`Frames::alloc`] answered, with the same order.
    pub fn free(&mut self, page: u64, order: u32) {
        self.put(page, order);
    }

    fn put(&mut self, page: u64, order: u32) {
        self.free_pages += 1 << order;
        let mut order = order as usize;
        let mut index = (page - self.first) as usize >> order;
        while order + 1 < ORDERS && self.free[order].contains(index ^ 1) {
            self.free[order].remove(index ^ 1);
            index >>= 1;
            order += 1;
        }
        self.free[order].insert(index);
    }

    /// Pages that are free now.
    pub fn free_pages(&self) -> u64 {
        self.free_pages
    }
    /// The most pages that were ever given out at once.
    pub fn most_used(&self) -> u64 {
        self.most_used
    }
    /// Pages ever added.
    pub fn total_pages(&self) -> u64 {
        self.total_pages
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn takes_the_lowest_run_and_splits_larger_ones() {
        let mut frames = Frames::new(0x103, 0x200).unwrap();
        frames.add(0x103, 0xfd);
        assert_eq!(frames.total_pages(), 0xfd);
        assert_eq!(frames.alloc(0), Some(0x103));
        assert_eq!(frames.alloc(2), Some(0x104));
        assert_eq!(frames.alloc(4), Some(0x110));
        assert_eq!(frames.alloc(1), Some(0x108));
        assert_eq!(frames.alloc(8), None);
        assert_eq!(frames.alloc(7), Some(0x180));
    }

    #[test]
    fn buddies_join_again() {
        let mut frames = Frames::new(0, 4096).unwrap();
        frames.add(0, 4096);
        let pages: Vec<u64> = (0..4096).map(|_| frames.alloc(0).unwrap()).collect();
        assert_eq!(frames.alloc(0), None);
        for page in pages {
            frames.free(page, 0);
        }
        assert_eq!(frames.alloc(12), Some(0));
        assert_eq!(frames.free_pages(), 0);
    }

    proptest! {
        #[test]
        fn behaves_like_a_set_of_pages(
            base in 0u64..9000,
            pages in 1u64..600,
            steps in prop::collection::vec((any::<bool>(), 0u32..8, any::<prop::sample::Index>()), 1..200),
        ) {
            let mut frames = Frames::new(base, base + pages).unwrap();
            frames.add(base, pages);
            prop_assert_eq!(frames.free_pages(), pages);
            let mut used = vec![false; pages as usize];
            let mut held: Vec<(u64, u32)> = Vec::new();
            let mut most = 0;
            for (take, order, which) in steps {
                if take {
                    let naive = (base..base + pages)
                        .filter(|p| p % (1 << order) == 0 && p + (1 << order) <= base + pages)
                        .find(|p| (*p..p + (1 << order)).all(|q| !used[(q - base) as usize]));
                    let got = frames.alloc(order);
                    prop_assert_eq!(got, naive);
                    if let Some(page) = got {
                        (page..page + (1 << order)).for_each(|q| used[(q - base) as usize] = true);
                        held.push((page, order));
                    }
                } else if !held.is_empty() {
                    let (page, order) = held.swap_remove(which.index(held.len()));
                    (page..page + (1 << order)).for_each(|q| used[(q - base) as usize] = false);
                    frames.free(page, order);
                }
                prop_assert_eq!(frames.free_pages(), used.iter().filter(|u| !**u).count() as u64);
                most = most.max(pages - frames.free_pages());
                prop_assert_eq!(frames.most_used(), most);
            }
        }
    }
}
