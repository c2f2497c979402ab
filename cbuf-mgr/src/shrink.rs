//! Setting a pool's limit, and taking back what exceeds it: garbage at once, what lies in the
//! client's freelists or on its shelves behind the `inconsistent` flag, live buffers when their last reference
//! goes (`relinquish`). Source: CBUFs, section 3.4.

use crate::liveness::Verdict;
use crate::machine::Machine;
use crate::manager::Manager;
use abi::{ComponentId, Error};
use libcbuf::meta::{CbufId, State};
use libcbuf::shelf::{Shelf, Shelves};

impl<M: Machine> Manager<M> {
    /// A policy's `set_pool`; more than the description's maximum counts as the maximum.
    /// [`Error::NoMemory`]: more than is free; nothing changes.
    pub fn set_pool(&mut self, component: ComponentId, pages: u64) -> Result<(), Error> {
        let free = self.free_pages();
        let pool = self.pool_mut(component).map_err(|_| Error::NotFound)?;
        let pages = pages.min(pool.terms.max_pages);
        let old = pool.limit;
        if pages > old.saturating_add(free) {
            return Err(Error::NoMemory);
        }
        pool.limit = pages;
        self.reserved = self.reserved - old + pages;
        if pages > old {
            self.wake(component);
        }
        self.shrink(component)
    }

    /// Takes back what a pool holds over its limit, as far as that is possible now.
    pub(crate) fn shrink(&mut self, component: ComponentId) -> Result<(), Error> {
        let pool = self.pool(component)?;
        if pool.held <= pool.limit {
            return Ok(());
        }
        self.end_quarantine(component)?;
        let mut garbage = core::mem::take(&mut self.scratch);
        let swept = self.sweep(component, &mut garbage);
        let ended = swept.and_then(|()| self.take_excess(component, &mut garbage));
        garbage.clear();
        self.scratch = garbage;
        ended?;
        let mut freed = false;
        while self.pool(component)?.held > self.pool(component)?.limit {
            if !self.end_one_free(component)? {
                break;
            }
            freed = true;
        }
        if freed {
            self.wake_all();
        }
        let pool = self.pool(component)?;
        if pool.held > pool.limit {
            for id in &pool.owned {
                self.mark_relinquish(*id);
            }
        }
        Ok(())
    }

    /// Ids that wait until the client discards their records. An honest client's freelists hold
    /// no more stale records than this, for it discards those of a size before it asks for more
    /// of it; one that never discards gets nothing taken from its freelists any more.
    fn quarantine_full(&self, component: ComponentId) -> Result<bool, Error> {
        let pool = self.pool(component)?;
        Ok(pool.quarantine.len() as u64 >= 2 * pool.terms.max_pages)
    }

    /// Pages in a client's freelists and on its shelves, as far as they can be taken back.
    pub(crate) fn free_pages_of(&self, component: ComponentId) -> Result<u64, Error> {
        if self.quarantine_full(component)? {
            return Ok(0);
        }
        let owned = &self.pool(component)?.owned;
        let free = owned.iter().filter(|id| self.is_free(**id));
        let shelved = self.pool(component)?.control.shelves().ids();
        let shelved = shelved.filter(|id| self.is_shelved(component, *id));
        Ok(free
            .copied()
            .chain(shelved)
            .filter_map(|id| Some(self.buffer(id).ok()?.pages()))
            .sum())
    }

    /// Whether a buffer that `component` lists on a shelf is its own, and idle as far as its
    /// record tells.
    pub(crate) fn is_shelved(&self, component: ComponentId, id: CbufId) -> bool {
        let state = || {
            let owner = self.buffer(id).ok()?.owner?;
            let pool = self.pool(component).ok()?;
            (owner == component).then_some(pool.control.record(id)?.load())
        };
        state().is_some_and(|s| s.0 & Shelf::MASK & !State::RELINQUISH == Shelf::IDLE)
    }

    /// Ends one buffer that lies in its owner's freelists (or in the ring), or on a shelf.
    pub(crate) fn end_one_free(&mut self, component: ComponentId) -> Result<bool, Error> {
        if self.quarantine_full(component)? {
            return Ok(false);
        }
        // From the end: ending a buffer moves the last one into its place, so what was looked at
        // stays behind. A client that changes its mind about a buffer meanwhile keeps it.
        for place in (0..self.pool(component)?.owned.len()).rev() {
            let id = self.pool(component)?.owned[place];
            if self.is_free(id) && self.destroy(id).is_ok() {
                return Ok(true);
            }
        }
        for place in 0..Shelves::PLACES {
            let listed = self.pool(component)?.control.shelves().at(place);
            if let Some(id) = listed
                && self.is_shelved(component, id)
                && self.destroy(id).is_ok()
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Ends the buffers of dead owners that are garbage by now; answers how many.
    pub(crate) fn end_orphans(&mut self) -> usize {
        let mut ended = 0;
        for place in (0..self.orphans.len()).rev() {
            let id: CbufId = self.orphans[place];
            if self.judge_again(id) == Verdict::Live {
                self.charge_orphan(id);
            } else {
                ended += usize::from(self.destroy(id).is_ok());
            }
        }
        ended
    }
}
