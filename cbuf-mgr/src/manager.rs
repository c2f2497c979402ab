//! The manager's state, and how clients are found in it.

use crate::account::{Given, Memory, Timing, Totals, Usage};
use crate::control::Control;
use crate::frames::Frames;
use crate::liveness::Verdict;
use crate::machine::Machine;
use crate::owned::Heap;
use crate::pool::{Buffer, Pool, Terms, bit, list, push};
use crate::region::Region;
use crate::wait::Waiters;
use abi::layout::MAX_CBUFS;
use abi::{ComponentId, Error, ThreadId};
use alloc::vec::Vec;
use libcbuf::meta::{CbufId, State};
use libcbuf::shelf::Shelf;

pub struct Manager<M: Machine> {
    pub(crate) machine: M,
    pub(crate) frames: Frames,
    /// Indexed by component id.
    pub(crate) pools: Vec<Option<Pool>>,
    /// Indexed by buffer id; 0 stays empty.
    pub(crate) buffers: Vec<Option<Buffer<M::Frame, M::Mapping>>>,
    /// Ids that were used and may be used again.
    pub(crate) free_ids: Vec<CbufId>,
    /// Buffers whose owner died.
    pub(crate) orphans: Vec<CbufId>,
    /// Sum of the pools' limits, what is set aside for heaps, and what they have beyond that.
    pub(crate) reserved: u64,
    /// Sum of the pools' and the orphans' pages.
    pub(crate) pooled: u64,
    /// Lists of garbage are made here; empty between calls.
    pub(crate) scratch: Vec<CbufId>,
    /// Components with a pool that are alive, as a bit set.
    pub(crate) alive: u64,
    /// Components that ever died, as a bit set.
    pub(crate) fallen: u64,
    /// Ticks after which whoever holds a buffer pays for it.
    pub(crate) patience: u64,
    pub(crate) filling: u64,
    /// Ticks after which a send that a death concerns counts as lost.
    pub(crate) grace: u64,
    pub(crate) waiters: Waiters,
    /// The collection under way found its pool to allow more than there are frames for.
    pub(crate) short_of_frames: bool,
    /// What components have besides their pools, by component id.
    pub(crate) given: Vec<Given>,
    /// Buffers that are not collected, by id.
    pub(crate) regions: Vec<Region<M::Frame, M::Mapping>>,
    /// Regions so far.
    pub(crate) serials: u64,
    /// Pages of which owned buffers are made.
    pub(crate) owned: u64,
    /// By thread.
    pub(crate) threads: Vec<Timing>,
}

impl<M: Machine> Manager<M> {
    /// No pools yet. [`Error::NoMemory`]: the manager's own heap is too small.
    pub fn new(machine: M, frames: Frames) -> Result<Self, Error> {
        Ok(Self {
            machine,
            frames,
            pools: list(ComponentId::MAX, || None)?,
            buffers: Vec::new(),
            free_ids: Vec::new(),
            orphans: Vec::new(),
            reserved: 0,
            pooled: 0,
            scratch: Vec::new(),
            alive: 0,
            fallen: 0,
            patience: u64::MAX,
            filling: u64::MAX,
            grace: u64::MAX,
            waiters: Waiters::new(),
            short_of_frames: false,
            given: list(ComponentId::MAX, Given::default)?,
            regions: Vec::new(),
            serials: 0,
            owned: 0,
            threads: list(ThreadId::MAX, Timing::default)?,
        })
    }

    /// Makes a pool. Before any call of the client. [`Error::NoMemory`]: the pools at start
    /// exceed the machine's memory; [`Error::BadArgument`]: no such component, or `init`, whose
    /// bit in sets of components means something else ([`libcbuf::meta::Record::LINK`]).
    pub fn add_client(&mut self, terms: Terms) -> Result<(), Error> {
        let place = self
            .pools
            .get_mut(terms.component.0 as usize)
            .filter(|_| terms.component != ComponentId::INIT)
            .ok_or(Error::BadArgument)?;
        if place.is_some() {
            return Err(Error::Busy);
        }
        let wanted = terms.pages.saturating_add(terms.heap_kept);
        while self.reserved.saturating_add(wanted) > self.frames.total_pages() {
            let (page, pages) = self.machine.reclaim().ok_or(Error::NoMemory)?;
            self.frames.add(page, pages);
        }
        *place = Some(Pool {
            control: Control::new(&mut self.machine, terms.component)?,
            limit: terms.pages,
            held: 0,
            charged: Vec::new(),
            lent: 0,
            owned: Vec::new(),
            looked_at: 0,
            quarantine: Vec::new(),
            discarded_at: 0,
            heap: Heap::default(),
            alive: true,
            waiting: 0,
            refused: None,
            timing: Timing::default(),
            terms,
        });
        self.reserved += wanted;
        if terms.max_pages > 0 {
            self.alive |= bit(terms.component);
        }
        Ok(())
    }

    pub(crate) fn pool(&self, component: ComponentId) -> Result<&Pool, Error> {
        self.pools
            .get(component.0 as usize)
            .and_then(Option::as_ref)
            .ok_or(Error::Refused)
    }

    pub(crate) fn pool_mut(&mut self, component: ComponentId) -> Result<&mut Pool, Error> {
        self.pools
            .get_mut(component.0 as usize)
            .and_then(Option::as_mut)
            .ok_or(Error::Refused)
    }

    /// The caller's pool. [`Error::Dead`]: it died and was not started anew.
    pub(crate) fn enter(&mut self, caller: ComponentId) -> Result<&mut Pool, Error> {
        let pool = self.pool_mut(caller)?;
        if pool.alive {
            Ok(pool)
        } else {
            Err(Error::Dead)
        }
    }

    pub(crate) fn buffer(&self, id: CbufId) -> Result<&Buffer<M::Frame, M::Mapping>, Error> {
        self.buffers
            .get(id.0 as usize)
            .and_then(Option::as_ref)
            .ok_or(Error::BadBuffer)
    }

    pub(crate) fn buffer_mut(
        &mut self,
        id: CbufId,
    ) -> Result<&mut Buffer<M::Frame, M::Mapping>, Error> {
        self.buffers
            .get_mut(id.0 as usize)
            .and_then(Option::as_mut)
            .ok_or(Error::BadBuffer)
    }

    /// An id that no buffer has and no freelist contains.
    pub(crate) fn fresh_id(&mut self) -> Result<CbufId, Error> {
        if let Some(id) = self.free_ids.pop() {
            return Ok(id);
        }
        if self.buffers.is_empty() {
            push(&mut self.buffers, None)?;
        }
        if self.buffers.len() >= MAX_CBUFS {
            return Err(Error::NoMemory);
        }
        // Room for giving every id back is made while it can still fail.
        let ids = self.buffers.len() + 1 - self.free_ids.len();
        self.free_ids
            .try_reserve(ids)
            .map_err(|_| Error::NoMemory)?;
        push(&mut self.buffers, None)?;
        Ok(CbufId(self.buffers.len() as u32 - 1))
    }

    /// Components with a pool that are alive, as a bit set.
    pub fn clients(&self) -> u64 {
        self.alive
    }

    pub fn usage(&self, component: ComponentId) -> Result<Usage, Error> {
        let pool = self.pool(component).map_err(|_| Error::NotFound)?;
        Ok(Usage {
            limit: pool.limit,
            held: pool.held,
            calls: pool.timing.calls,
            blocked: pool.waiting.count_ones() as u64,
        })
    }

    pub fn timing(&self, component: ComponentId) -> Result<Timing, Error> {
        Ok(self.pool(component).map_err(|_| Error::NotFound)?.timing)
    }

    /// What one thread did to pools, whatever component it was in.
    pub fn thread_timing(&self, thread: ThreadId) -> Result<Timing, Error> {
        let timing = self.threads.get(thread.0 as usize);
        timing.copied().ok_or(Error::NotFound)
    }

    /// Adds to the accounts of a pool and of the thread in it.
    pub(crate) fn note(
        &mut self,
        component: ComponentId,
        thread: ThreadId,
        mut add: impl FnMut(&mut Timing),
    ) {
        let pool = self.pools.get_mut(component.0 as usize);
        if let Some(pool) = pool.and_then(Option::as_mut) {
            add(&mut pool.timing);
        }
        if let Some(timing) = self.threads.get_mut(thread.0 as usize) {
            add(timing);
        }
    }

    /// Pages managed in all.
    pub fn total_pages(&self) -> u64 {
        self.frames.total_pages()
    }

    /// The most pages that were ever in buffers at once.
    pub fn high_water(&self) -> u64 {
        self.frames.most_used()
    }

    /// Pages that are in no limit, of pool or heap.
    pub fn free_pages(&self) -> u64 {
        self.total_pages().saturating_sub(self.reserved)
    }

    /// Costs a look at every buffer: for people, not for policies.
    pub fn memory(&self) -> Memory {
        let shelved = self.shelved();
        let live = (0..self.buffers.len() as u32)
            .map(CbufId)
            .filter(|id| {
                !self.is_free(*id)
                    && shelved.binary_search(id).is_err()
                    && self.buffer(*id).is_ok()
                    && self.judge(*id) == Verdict::Live
            })
            .filter_map(|id| Some(self.buffer(id).ok()?.pages()))
            .sum();
        Memory {
            free: self.free_pages(),
            total: self.total_pages(),
            live,
            pooled: self.pooled,
        }
    }

    /// Costs a look at every buffer of the dead.
    pub fn totals(&self) -> Totals {
        let orphans = self.orphans.iter().filter_map(|id| self.buffer(*id).ok());
        let unpaid = orphans.filter(|b| b.payer.is_none());
        Totals {
            held: self.pools.iter().flatten().map(|p| p.held).sum::<u64>() + self.owned,
            unpaid: unpaid.map(|b| b.pages()).sum(),
            unused: self.frames.free_pages(),
            total: self.frames.total_pages(),
        }
    }

    /// What lies idle on all clients' shelves, sorted; as much as there is memory to list.
    fn shelved(&self) -> Vec<CbufId> {
        let mut all = Vec::new();
        for pool in self.pools.iter().flatten() {
            for id in pool.control.shelves().ids() {
                if self.is_shelved(pool.terms.component, id) && push(&mut all, id).is_err() {
                    break;
                }
            }
        }
        all.sort_unstable();
        all
    }

    /// Whether a buffer was handed over to its owner and not allocated since, or lies in a
    /// freelist, as the owner says.
    pub(crate) fn is_free(&self, id: CbufId) -> bool {
        let record = || {
            let owner = self.buffer(id).ok()?.owner?;
            self.pool(owner).ok()?.control.record(id)
        };
        record().is_some_and(|record| {
            let state = record.load();
            match state.references() {
                0 => state.has(State::FREE),
                _ => Shelf::may_be_idle(state) && record.is_linked(),
            }
        })
    }

    pub fn machine(&self) -> &M {
        &self.machine
    }

    pub fn machine_mut(&mut self) -> &mut M {
        &mut self.machine
    }
}
