//! A program that makes garbage, after GCBench: it keeps one tree for its whole life, changes it
//! here and there, and builds short-lived trees of many sizes from the top down and from the
//! bottom up. A collection comes whenever so many cells were allocated; each eighth is a full one.

use alloc::vec::Vec;

use crate::heap::{Cell, Heap, Left, Link, Watch};

/// Depth of the least short-lived trees; each next one is so much deeper.
const LEAST_DEPTH: u32 = 4;
const DEPTH_STEP: u32 = 2;
/// Depth of what replaces a part of the long-lived tree.
const GRAFT_DEPTH: u32 = 2;
/// Of so many collections one is full.
const FULL_EVERY: usize = 8;

/// How large everything is.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Depths of the long-lived tree and of the largest short-lived ones.
    pub long_depth: u32,
    pub short_depth: u32,
    /// Times that trees of all sizes are built.
    pub rounds: u32,
    /// Changes of the long-lived tree between two short-lived ones.
    pub changes: u32,
    /// Cells between two collections.
    pub allowance: u64,
    /// Whether every collection is a full one.
    pub always_full: bool,
}

/// What was spent where, in ticks of the program's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    pub find: u64,
    pub mark: u64,
    pub sweep: u64,
    /// Pages that were written, in all collections.
    pub pages: u64,
}

/// Why a program ended early.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble<E> {
    OutOfMemory,
    /// Something in use was freed: seen when every collection is checked.
    Lost,
    Watch(E),
}

/// The running program.
pub struct Program<'m, W> {
    pub heap: Heap<'m>,
    watch: W,
    plan: Plan,
    clock: fn() -> u64,
    /// Whether each collection is compared with a trace of everything.
    checked: bool,
    allocated: u64,
    random: u64,
    pub spent: Spent,
    /// What each collection left.
    pub left: Vec<Left>,
}

/// Roots that the program holds at once: one for each level of a tree, both ways, and the tree.
const ROOTS: usize = 80;

impl<'m, W: Watch> Program<'m, W> {
    /// `watch` has begun, with every page that is written from now on.
    pub fn new(cells: &'m mut [Cell], watch: W, plan: Plan, clock: fn() -> u64) -> Self {
        Self {
            heap: Heap::new(cells, ROOTS),
            watch,
            plan,
            clock,
            checked: false,
            allocated: 0,
            random: 0x2545_f491_4f6c_dd1d,
            spent: Spent::default(),
            left: Vec::new(),
        }
    }

    /// From now on every collection is checked, which takes as long as a full one.
    pub fn checked(mut self) -> Self {
        self.checked = true;
        self
    }

    /// Runs to the end; the last collection is a full one.
    pub fn run(&mut self) -> Result<(), Trouble<W::Error>> {
        let Plan {
            long_depth,
            short_depth,
            rounds,
            changes,
            ..
        } = self.plan;
        let tree = self.bottom_up(long_depth)?;
        self.heap.roots.push(tree);
        for _ in 0..rounds {
            let mut depth = LEAST_DEPTH;
            while depth <= short_depth {
                // As many cells of each depth.
                for _ in 0..1u32 << (short_depth - depth) {
                    self.top_down(depth)?;
                    self.bottom_up(depth)?;
                    for _ in 0..changes {
                        self.change(tree)?;
                    }
                }
                depth += DEPTH_STEP;
            }
        }
        self.collect(true)
    }

    fn random(&mut self) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32
    }

    /// A new cell. Whoever calls holds what the cell points to by roots.
    fn cell(&mut self, left: Link, right: Link) -> Result<Link, Trouble<W::Error>> {
        let cell = Cell {
            left,
            right,
            data: [self.allocated, 0],
        };
        if self.allocated == self.plan.allowance {
            self.collect(false)?;
        }
        self.allocated += 1;
        if let Some(link) = self.heap.allocate(cell) {
            return Ok(link);
        }
        self.collect(true)?;
        self.heap.allocate(cell).ok_or(Trouble::OutOfMemory)
    }

    /// Frees garbage: all of it, or what is younger than the last collection.
    fn collect(&mut self, full: bool) -> Result<(), Trouble<W::Error>> {
        let full = full || self.plan.always_full || self.left.len().is_multiple_of(FULL_EVERY);
        let clock = self.clock;
        let begun = clock();
        let pages = self.heap.find_written(&mut self.watch);
        let found = clock();
        self.spent.pages += pages.map_err(Trouble::Watch)? as u64;
        if full {
            self.heap.forget();
        }
        self.heap.mark();
        let marked = clock();
        let left = self.heap.sweep();
        let swept = clock();
        self.spent.find += found - begun;
        self.spent.mark += marked - found;
        self.spent.sweep += swept - marked;
        self.allocated = 0;
        self.left.push(left);
        if self.checked {
            match self.heap.reachable() {
                Ok(reachable) if !full || reachable == left => {}
                _ => return Err(Trouble::Lost),
            }
        }
        Ok(())
    }

    /// A tree whose children are there before their parents.
    fn bottom_up(&mut self, depth: u32) -> Result<Link, Trouble<W::Error>> {
        if depth == 0 {
            return self.cell(Link::NONE, Link::NONE);
        }
        let left = self.bottom_up(depth - 1)?;
        self.heap.roots.push(left);
        let right = self.bottom_up(depth - 1)?;
        self.heap.roots.push(right);
        let tree = self.cell(left, right);
        self.heap.roots.pop();
        self.heap.roots.pop();
        tree
    }

    /// A tree whose parents are there before their children.
    fn top_down(&mut self, depth: u32) -> Result<Link, Trouble<W::Error>> {
        let tree = self.cell(Link::NONE, Link::NONE)?;
        self.heap.roots.push(tree);
        let grown = self.grow(tree, depth);
        self.heap.roots.pop();
        grown.map(|()| tree)
    }

    /// Gives a childless cell that a root leads to a tree of that depth.
    fn grow(&mut self, tree: Link, depth: u32) -> Result<(), Trouble<W::Error>> {
        if depth == 0 {
            return Ok(());
        }
        let left = self.cell(Link::NONE, Link::NONE)?;
        if let Some(cell) = self.heap.get_mut(tree) {
            cell.left = left;
        }
        let right = self.cell(Link::NONE, Link::NONE)?;
        if let Some(cell) = self.heap.get_mut(tree) {
            cell.right = right;
        }
        self.grow(left, depth - 1)?;
        self.grow(right, depth - 1)
    }

    /// Replaces a small part of the long-lived tree, at a random place.
    fn change(&mut self, tree: Link) -> Result<(), Trouble<W::Error>> {
        let graft = self.bottom_up(GRAFT_DEPTH)?;
        let path = self.random();
        let mut at = tree;
        for level in 0..self.plan.long_depth.saturating_sub(GRAFT_DEPTH + 1) {
            let Cell { left, right, .. } = self.heap.get(at);
            at = if path >> level & 1 == 0 { left } else { right };
        }
        if let Some(cell) = self.heap.get_mut(at) {
            cell.left = graft;
        }
        Ok(())
    }
}
