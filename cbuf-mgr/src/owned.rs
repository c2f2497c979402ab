//! Owned buffers: memory that is its allocator's alone until it frees it or dies, for heaps. Any
//! number of pages, at consecutive addresses in its owner, of power-of-two pieces that lie wherever
//! there is memory; never collected, never sent. Source: CBUFs, section 2.1.
//!
//! A component may own as many pages as its description lets its heap grow
//! ([`crate::pool::Terms::heap_pages`]). Of these, as many as it says ([`crate::pool::Terms::heap_kept`])
//! are set aside like the limit of a pool, so that a heap takes nothing from a pool, and no pool from a
//! heap. What it has beyond that it takes from what is in no limit, where there is some, and no policy
//! gives it away until it is freed.
//!
//! Made and ended in parts, between which another thread may have the manager: a piece of at most
//! [`LARGEST`] pages is made in one, [`ENDS`] pieces end in one. The component may die between any
//! two: then its death ends the buffer, and the part that comes later finds that.

use crate::account::Kind;
use crate::collect::ENDS;
use crate::control::Control;
use crate::machine::Machine;
use crate::manager::Manager;
use crate::region::{Phase, Piece};
use abi::layout::{OWNED, PAGE};
use abi::{ComponentId, Error};
use alloc::vec::Vec;
use libcbuf::meta::{CbufId, ORDERS, State};

/// The largest piece: 2^5 pages.
const LARGEST: u32 = 5;
/// Most owned buffers of a component.
pub const MOST: usize = 128;
/// The addresses that a component's owned buffers take are so many times what they hold at most:
/// page tables, which stay, are only for these.
const SPREAD: u64 = 4;

/// What one component owns.
#[derive(Default)]
pub struct Heap {
    /// Pages, also of what is still being made.
    claimed: u64,
    /// By their places.
    spans: Vec<Span>,
}

struct Span {
    place: u64,
    pages: u64,
    id: CbufId,
}

impl Heap {
    /// The lowest place for so many pages, and its index among the spans.
    fn find(&self, pages: u64, limit: u64) -> Option<(usize, u64)> {
        let align = pages.checked_next_power_of_two()?.min(1 << LARGEST);
        let base = (OWNED / PAGE) as u64;
        let end = base + limit.next_multiple_of(1 << LARGEST) * SPREAD;
        let mut place = base;
        let starts = self.spans.iter().map(|s| s.place).chain([end]);
        for (index, start) in starts.enumerate() {
            if place + pages <= start {
                return Some((index, place));
            }
            let span = self.spans.get(index)?;
            place = (span.place + span.pages).next_multiple_of(align);
        }
        None
    }
}

/// What a component's heap may be and is. Pages, and buffers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HeapUsage {
    pub limit: u64,
    /// Of the limit, set aside.
    pub kept: u64,
    pub claimed: u64,
    pub buffers: u64,
}

/// An owned buffer that is made or ended, under way.
#[derive(Debug)]
pub struct Owning {
    id: CbufId,
    /// Of the buffer that is meant: its id may be another's by the next part.
    serial: u64,
    failed: Option<Error>,
}

impl<M: Machine> Manager<M> {
    /// A client's `alloc_owned`, done by [`Manager::owned_part`]. [`Error::BadSize`]: no pages;
    /// [`Error::NoMemory`]: more than it may own or is in no limit, or in more buffers.
    pub fn begin_owned(&mut self, caller: ComponentId, pages: u64) -> Result<Owning, Error> {
        let pool = self.enter(caller)?;
        if pages == 0 {
            return Err(Error::BadSize);
        }
        let (limit, kept) = (pool.terms.heap_pages, pool.terms.heap_kept);
        let claimed = pool.heap.claimed;
        if pages > limit - claimed || pool.heap.spans.len() >= MOST {
            return Err(Error::NoMemory);
        }
        let more = (claimed + pages).max(kept) - claimed.max(kept);
        if more > self.free_pages() {
            return Err(Error::NoMemory);
        }
        let pool = self.pool_mut(caller)?;
        let heap = &mut pool.heap;
        let (index, place) = heap.find(pages, limit).ok_or(Error::NoMemory)?;
        heap.spans.try_reserve(1).map_err(|_| Error::NoMemory)?;
        let id = self.add_region(caller, Kind::Owned, Phase::Filling, place, pages)?;
        self.reserved += more;
        let heap = &mut self.pool_mut(caller)?.heap;
        heap.claimed += pages;
        heap.spans.insert(index, Span { place, pages, id });
        Ok(Owning {
            id,
            serial: self.serials,
            failed: None,
        })
    }

    /// A client's `free_owned`, done by [`Manager::owned_part`]. [`Error::BadBuffer`]: not an owned
    /// buffer of its own, or freed already; [`Error::Refused`]: `init` made it.
    pub fn free_owned(&mut self, caller: ComponentId, id: CbufId) -> Result<Owning, Error> {
        self.enter(caller)?;
        let at = self.region_at(id)?;
        let region = &mut self.regions[at];
        if region.owner != caller {
            return Err(Error::BadBuffer);
        }
        match region.phase {
            Phase::Registered => return Err(Error::Refused),
            Phase::Filling | Phase::Ending => return Err(Error::BadBuffer),
            Phase::Ready => region.phase = Phase::Ending,
        }
        let serial = region.serial;
        if let Some(record) = self.pool(caller)?.control.record(id) {
            Control::introduce(record, State::EMPTY, 0);
        }
        Ok(Owning {
            id,
            serial,
            failed: None,
        })
    }

    /// One part of making or ending an owned buffer; answers its address and id when all is done.
    /// [`Error::NoMemory`]: there were no pages, and nothing is left of it; [`Error::Dead`]: its
    /// owner died meanwhile.
    pub fn owned_part(&mut self, owning: &mut Owning) -> Result<Option<(u64, CbufId)>, Error> {
        let known = self.region_at(owning.id).ok();
        let at = known.filter(|at| self.regions[*at].serial == owning.serial);
        let at = at.ok_or(owning.failed.unwrap_or(Error::Dead))?;
        if self.regions[at].phase == Phase::Ending {
            if !self.end_pieces(at, ENDS) {
                return Ok(None);
            }
            let address = self.regions[at].place * PAGE as u64;
            self.remove_region(at);
            return owning.failed.map_or(Ok(Some((address, owning.id))), Err);
        }
        match self.fill_piece(at) {
            Ok(false) => Ok(None),
            Ok(true) => {
                let region = &mut self.regions[at];
                region.phase = Phase::Ready;
                Ok(Some((region.place * PAGE as u64, region.id)))
            }
            Err(error) => {
                self.regions[at].phase = Phase::Ending;
                owning.failed = Some(error);
                Ok(None)
            }
        }
    }

    /// Adds the next piece; answers whether it was the last, and the owner's record then says where
    /// the buffer is.
    fn fill_piece(&mut self, at: usize) -> Result<bool, Error> {
        let region = &self.regions[at];
        let (id, owner, pages) = (region.id, region.owner, region.pages);
        let place = region.place + region.filled;
        let most = (pages - region.filled).ilog2().min(place.trailing_zeros());
        self.regions[at]
            .pieces
            .try_reserve(1)
            .map_err(|_| Error::NoMemory)?;
        let (page, order) = self.take_run(most.min(LARGEST))?;
        let made = self.machine.make_frame(page, order).and_then(|frame| {
            match self.machine.map_own(owner, &frame, place, order) {
                Ok(mapping) => Ok((frame, mapping)),
                Err(error) => {
                    self.machine.destroy_frame(frame);
                    Err(error)
                }
            }
        });
        let (frame, mapping) = made.inspect_err(|_| self.frames.free(page, order))?;
        let region = &mut self.regions[at];
        region.pieces.push(Piece {
            page,
            order,
            frame,
            mapping,
        });
        region.filled += 1 << order;
        let (place, filled) = (region.place, region.filled);
        self.owned += 1 << order;
        self.given_mut(owner).owned += 1 << order;
        if filled < pages {
            return Ok(false);
        }
        let pool = self.pools[owner.0 as usize].as_mut();
        let pool = pool.ok_or(Error::Refused)?;
        let record = pool.control.ensure(&mut self.machine, id)?;
        // The largest size that is in it, so that the record promises nothing that is not there.
        let order = pages.ilog2().min(ORDERS as u32 - 1);
        Control::introduce(record, State::new(place, order, State::EXCLUSIVE), 0);
        Ok(true)
    }

    /// A free run of at most 2^`most` pages, as large as there is one.
    fn take_run(&mut self, most: u32) -> Result<(u64, u32), Error> {
        loop {
            let mut runs = (0..=most).rev();
            let found = runs.find_map(|order| Some((self.frames.alloc(order)?, order)));
            if let Some(run) = found {
                return Ok(run);
            }
            // What others let go of, or what is left of the dead.
            match self.machine.reclaim() {
                Some((page, pages)) => self.frames.add(page, pages),
                None if self.end_orphans() > 0 => self.wake_all(),
                None => return Err(Error::NoMemory),
            }
        }
    }

    /// Ends some of a region's pieces, from the last; answers whether none is left.
    fn end_pieces(&mut self, at: usize, most: usize) -> bool {
        for _ in 0..most {
            let region = &mut self.regions[at];
            let Some(piece) = region.pieces.pop() else {
                break;
            };
            region.filled -= 1 << piece.order;
            let owner = region.owner;
            self.machine.unmap(owner, piece.mapping);
            self.machine.destroy_frame(piece.frame);
            self.frames.free(piece.page, piece.order);
            self.owned -= 1 << piece.order;
            self.given_mut(owner).owned -= 1 << piece.order;
        }
        self.wake_for_frames();
        self.regions[at].pieces.is_empty()
    }

    /// Forgets an owned buffer that has no pieces any more.
    fn remove_region(&mut self, at: usize) {
        let region = self.regions.remove(at);
        if let Ok(pool) = self.pool_mut(region.owner) {
            let (kept, claimed) = (pool.terms.heap_kept, pool.heap.claimed);
            pool.heap.claimed -= region.pages;
            pool.heap.spans.retain(|s| s.id != region.id);
            self.reserved -= claimed.max(kept) - (claimed - region.pages).max(kept);
        }
        self.free_ids.push(region.id);
    }

    /// Ends all that a component owns; it died.
    pub(crate) fn end_owned(&mut self, component: ComponentId) {
        while let Ok(pool) = self.pool(component)
            && let Some(id) = pool.heap.spans.last().map(|s| s.id)
            && let Ok(at) = self.region_at(id)
        {
            self.end_pieces(at, usize::MAX);
            self.remove_region(at);
        }
    }

    /// [`Error::NotFound`]: it has no heap that grows, and no pool.
    pub fn heap(&self, component: ComponentId) -> Result<HeapUsage, Error> {
        let pool = self.pool(component).map_err(|_| Error::NotFound)?;
        Ok(HeapUsage {
            limit: pool.terms.heap_pages,
            kept: pool.terms.heap_kept,
            claimed: pool.heap.claimed,
            buffers: pool.heap.spans.len() as u64,
        })
    }
}
