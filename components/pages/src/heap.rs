//! A mark-sweep heap that need not look at what was not written since it last looked.
//!
//! All objects are cells of four words: two pointers and two words of data. Which cells are in use
//! and which are marked is kept beside the heap, in bits, so that the collector writes no page of
//! the heap. Marks stay from one collection to the next ("sticky"): a marked cell whose page was
//! not written since was looked at then, so all that it points to is marked, too. Hence it
//! is enough to look at the roots and at the marked cells of the pages that were written. What
//! becomes garbage after it was marked is found by a full collection, which begins without marks.

use alloc::vec::Vec;

/// Bytes of a page.
pub const PAGE: usize = 4096;
/// Cells in a page.
pub const CELLS_PER_PAGE: usize = PAGE / size_of::<Cell>();
const BITS: usize = u64::BITS as usize;
const WORDS_PER_PAGE: usize = CELLS_PER_PAGE / BITS;

/// A pointer to a cell of the heap, or none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(transparent)]
pub struct Link(u64);

impl Link {
    pub const NONE: Self = Self(0);

    fn to(cell: usize) -> Self {
        Self(cell as u64 + 1)
    }

    fn cell(self) -> Option<usize> {
        (self.0 as usize).checked_sub(1)
    }

    pub fn is_none(self) -> bool {
        self == Self::NONE
    }
}

/// An object.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Cell {
    pub left: Link,
    pub right: Link,
    pub data: [u64; 2],
}

/// Finds the pages of the heap that were written.
pub trait Watch {
    type Error;
    /// Adds the numbers of all pages that were written since this was last called, or since the
    /// watch began, and begins anew.
    fn take(&mut self, cells: &[Cell], pages: &mut Vec<u32>) -> Result<(), Self::Error>;
}

/// A watch for collections that look at everything anyway.
pub struct Nothing;

impl Watch for Nothing {
    type Error = core::convert::Infallible;
    fn take(&mut self, _: &[Cell], _: &mut Vec<u32>) -> Result<(), Self::Error> {
        Ok(())
    }
}

/// What a collection left.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Left {
    /// Cells in use.
    pub cells: u64,
    /// A sum over which ones they are.
    pub sum: u64,
}

pub struct Heap<'m> {
    cells: &'m mut [Cell],
    used: Vec<u64>,
    marked: Vec<u64>,
    /// Marked cells whose pointers are still to be followed; never longer than there are cells.
    stack: Vec<u32>,
    /// Pages that were written, while a collection runs.
    written: Vec<u32>,
    /// Where the search for a free cell goes on: a word of `used`.
    next: usize,
    /// What the program holds.
    pub roots: Vec<Link>,
}

impl<'m> Heap<'m> {
    /// An empty heap in whole pages of memory. Needs a tenth of it beside it, and a place for each
    /// of at most `roots` roots.
    pub fn new(cells: &'m mut [Cell], roots: usize) -> Self {
        let pages = cells.len() / CELLS_PER_PAGE;
        let words = pages * WORDS_PER_PAGE;
        Self {
            cells,
            used: alloc::vec![0; words],
            marked: alloc::vec![0; words],
            stack: Vec::with_capacity(words * BITS),
            written: Vec::with_capacity(pages),
            next: 0,
            roots: Vec::with_capacity(roots),
        }
    }

    pub fn pages(&self) -> usize {
        self.used.len() / WORDS_PER_PAGE
    }

    /// A new cell; `None` when none was free in front of the last one since the last collection.
    #[inline]
    pub fn allocate(&mut self, cell: Cell) -> Option<Link> {
        let used = self.used.get_mut(self.next..)?;
        let full = used.iter().take_while(|word| **word == u64::MAX).count();
        self.next += full;
        let word = used.get_mut(full)?;
        let bit = word.trailing_ones() as usize;
        *word |= 1 << bit;
        let place = self.next * BITS + bit;
        self.cells[place] = cell;
        Some(Link::to(place))
    }

    /// What a pointer leads to; an empty cell where it is none.
    #[inline]
    pub fn get(&self, link: Link) -> Cell {
        let cell = link.cell().and_then(|cell| self.cells.get(cell));
        cell.copied().unwrap_or_default()
    }

    /// The cell of a pointer that is one, to write to.
    #[inline]
    pub fn get_mut(&mut self, link: Link) -> Option<&mut Cell> {
        self.cells.get_mut(link.cell()?)
    }

    /// Forgets all marks, so that the next collection is a full one.
    pub fn forget(&mut self) {
        self.marked.fill(0);
    }

    /// Finds the pages that were written. How many there are.
    #[inline(never)]
    pub fn find_written<W: Watch>(&mut self, watch: &mut W) -> Result<usize, W::Error> {
        self.written.clear();
        watch.take(self.cells, &mut self.written)?;
        Ok(self.written.len())
    }

    /// Marks what can be reached from the roots, and from marked cells in the pages found last.
    #[inline(never)]
    pub fn mark(&mut self) {
        let mut tracer = Tracer {
            cells: self.cells,
            marked: &mut self.marked,
            stack: &mut self.stack,
        };
        for page in &self.written {
            let first = *page as usize * WORDS_PER_PAGE;
            for word in first..first + WORDS_PER_PAGE {
                tracer.look_at(word);
            }
        }
        self.roots.iter().for_each(|root| tracer.mark(*root));
        tracer.follow();
    }

    /// Frees every cell that is not marked; allocation begins at the front again.
    #[inline(never)]
    pub fn sweep(&mut self) -> Left {
        let mut left = Left::default();
        for (used, marked) in self.used.iter_mut().zip(&self.marked) {
            *used = *marked;
            left.add(*marked);
        }
        self.next = 0;
        left
    }

    /// What a full collection would leave now; `Err` with what is in use where that is not all of
    /// it. Changes nothing.
    pub fn reachable(&mut self) -> Result<Left, Left> {
        let mut marked = alloc::vec![0; self.marked.len()];
        let mut tracer = Tracer {
            cells: self.cells,
            marked: &mut marked,
            stack: &mut self.stack,
        };
        self.roots.iter().for_each(|root| tracer.mark(*root));
        tracer.follow();
        let (mut left, mut used) = (Left::default(), Left::default());
        marked.iter().for_each(|word| left.add(*word));
        self.used.iter().for_each(|word| used.add(*word));
        let lost = marked.iter().zip(&self.used).any(|(m, u)| m & !u != 0);
        if lost { Err(used) } else { Ok(left) }
    }
}

impl Left {
    fn add(&mut self, word: u64) {
        self.cells += u64::from(word.count_ones());
        self.sum = (self.sum.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// A heap's parts, while pointers are followed.
struct Tracer<'h> {
    cells: &'h [Cell],
    marked: &'h mut [u64],
    stack: &'h mut Vec<u32>,
}

impl Tracer<'_> {
    #[inline(always)]
    fn mark(&mut self, link: Link) {
        let Some(cell) = link.cell() else { return };
        let Some(word) = self.marked.get_mut(cell / BITS) else {
            return;
        };
        let bit = 1 << (cell % BITS);
        if *word & bit == 0 {
            *word |= bit;
            self.stack.push(cell as u32);
        }
    }

    #[inline(always)]
    fn mark_both(&mut self, cell: usize) {
        if let Some(Cell { left, right, .. }) = self.cells.get(cell) {
            self.mark(*left);
            self.mark(*right);
        }
    }

    /// Marks what the marked cells of a word of bits point to.
    fn look_at(&mut self, word: usize) {
        let mut bits = self.marked.get(word).copied().unwrap_or(0);
        while bits != 0 {
            self.mark_both(word * BITS + bits.trailing_zeros() as usize);
            bits &= bits - 1;
        }
    }

    fn follow(&mut self) {
        while let Some(cell) = self.stack.pop() {
            self.mark_both(cell as usize);
        }
    }
}

const _: () = assert!(CELLS_PER_PAGE.is_multiple_of(BITS));
