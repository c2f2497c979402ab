//! Setting a pool's limit, and taking back what exceeds it: garbage at once, what lies in the
//! client's freelists or on its shelves behind the `inconsistent` flag, live buffers when their last reference
//! goes (`relinquish`). All in parts of bounded length, between which another thread may have the
//! manager. Source: CBUFs, section 3.4.

use crate::collect::{ENDS, LOOKS, Round};
use crate::liveness::Verdict;
use crate::machine::Machine;
use crate::manager::Manager;
use crate::sweep::Direct;
use abi::{ComponentId, Error};
use libcbuf::meta::CbufId;
use libcbuf::shelf::{Shelf, Shelves};

/// A pool that is made smaller, under way.
#[derive(Debug)]
pub struct Shrinking {
    component: ComponentId,
    stage: Stage,
    /// Buffers, or places on shelves, that the stage has still to do.
    left: usize,
}

/// Where the pages are that are taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Garbage,
    Free,
    Shelves,
    /// Asked for, and taken as they end.
    Live,
}

impl<M: Machine> Manager<M> {
    /// A policy's `set_pool`; more than the description's maximum counts as the maximum.
    /// [`Error::NoMemory`]: more than is free; nothing changes.
    pub fn set_pool(&mut self, component: ComponentId, pages: u64) -> Result<(), Error> {
        let mut shrinking = self.set_limit(component, pages)?;
        while !self.shrink_part(&mut shrinking)? {}
        Ok(())
    }

    /// The first half of [`Manager::set_pool`]; what is over the limit now is taken back by
    /// [`Manager::shrink_part`], as often as it takes.
    pub fn set_limit(&mut self, component: ComponentId, pages: u64) -> Result<Shrinking, Error> {
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
        // A policy calls often: what is left of the dead does not stay until another death.
        if self.end_orphans() > 0 {
            self.wake_all();
        }
        self.end_quarantine(component, usize::MAX)?;
        self.shrinking(component)
    }

    /// Takes back what a pool holds over its limit, as far as that is possible now, at once.
    pub(crate) fn shrink(&mut self, component: ComponentId) -> Result<(), Error> {
        self.end_quarantine(component, usize::MAX)?;
        let mut shrinking = self.shrinking(component)?;
        while !self.shrink_part(&mut shrinking)? {}
        Ok(())
    }

    fn shrinking(&self, component: ComponentId) -> Result<Shrinking, Error> {
        Ok(Shrinking {
            component,
            stage: Stage::Garbage,
            left: self.pool(component)?.owned.len(),
        })
    }

    /// One part of taking back what a pool holds over its limit, as far as that is possible now;
    /// answers whether it is done.
    pub fn shrink_part(&mut self, shrinking: &mut Shrinking) -> Result<bool, Error> {
        let held = self.pool(shrinking.component)?.held;
        let done = self.take_part(shrinking)?;
        if self.pool(shrinking.component)?.held < held {
            self.wake_all();
        }
        Ok(done)
    }

    fn take_part(&mut self, shrinking: &mut Shrinking) -> Result<bool, Error> {
        let component = shrinking.component;
        let mut ended = 0;
        for _ in 0..LOOKS {
            let pool = self.pool(component)?;
            if pool.held <= pool.limit {
                return Ok(true);
            }
            if ended >= ENDS {
                break;
            }
            if shrinking.left == 0 && !self.next_stage(shrinking)? {
                return Ok(true);
            }
            if shrinking.left == 0 {
                continue;
            }
            if shrinking.stage == Stage::Garbage {
                return self.take_garbage(shrinking);
            }
            // From the end: ending a buffer moves the last one into its place, so what was looked
            // at stays behind. A client that changes its mind about a buffer meanwhile keeps it.
            shrinking.left -= 1;
            let place = shrinking.left;
            let pool = self.pool(component)?;
            let (id, idle) = match shrinking.stage {
                Stage::Shelves => match pool.control.shelves().last_before(place + 1) {
                    Some((place, id)) => {
                        shrinking.left = place;
                        (id, self.is_shelved(component, id))
                    }
                    None => {
                        shrinking.left = 0;
                        continue;
                    }
                },
                _ => match pool.owned.get(place) {
                    Some(&id) => (id, self.is_free(id)),
                    None => continue,
                },
            };
            let over = shrinking.stage == Stage::Live && {
                // First ask to be told, then look: what was freed before is seen.
                self.mark_relinquish(id);
                !idle && self.judge_again(id) != Verdict::Live
            };
            let done = if idle && !self.quarantine_over(component)? {
                self.end_unused(id).is_ok()
            } else {
                over && self.end_garbage(id).is_ok()
            };
            ended += usize::from(done);
        }
        Ok(false)
    }

    fn take_garbage(&mut self, shrinking: &mut Shrinking) -> Result<bool, Error> {
        let mut garbage = core::mem::take(&mut self.scratch);
        let mut round = Round::taking(shrinking.left);
        let component = shrinking.component;
        let swept = self.sweep(component, &mut round, &mut garbage, &mut Direct::none());
        shrinking.left = round.left;
        let ended = swept.and_then(|()| self.take_excess(component, &mut garbage, &mut round.ends));
        garbage.clear();
        self.scratch = garbage;
        ended.map(|()| false)
    }

    /// What is to be tried next; false where all was.
    fn next_stage(&self, shrinking: &mut Shrinking) -> Result<bool, Error> {
        let owned = self.pool(shrinking.component)?.owned.len();
        let full = self.quarantine_over(shrinking.component)?;
        (shrinking.stage, shrinking.left) = match shrinking.stage {
            Stage::Garbage if !full => (Stage::Free, owned),
            Stage::Free => (Stage::Shelves, Shelves::PLACES),
            Stage::Garbage | Stage::Shelves => (Stage::Live, owned),
            Stage::Live => return Ok(false),
        };
        Ok(true)
    }

    /// Whether so many ids wait until the client discards their records that no more is taken from
    /// its freelists for other sizes. An honest client discards all of them when it gets nothing.
    pub(crate) fn quarantine_full(&self, component: ComponentId) -> Result<bool, Error> {
        self.quarantined(component, 2)
    }

    /// The same for a pool that is made smaller: that takes each buffer once, as long as the client asks
    /// for no other, so there is room for all of them whatever was taken before. One that never discards
    /// gets nothing taken any more.
    fn quarantine_over(&self, component: ComponentId) -> Result<bool, Error> {
        self.quarantined(component, 4)
    }

    /// Whether there are as many such ids as so many pools have pages.
    fn quarantined(&self, component: ComponentId, pools: u64) -> Result<bool, Error> {
        let pool = self.pool(component)?;
        Ok(pool.quarantine.len() as u64 >= pools * pool.terms.max_pages)
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
        state().is_some_and(Shelf::may_be_idle)
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
            if self.is_free(id) && self.end_unused(id).is_ok() {
                return Ok(true);
            }
        }
        let mut end = Shelves::PLACES;
        while let Some((place, id)) = self.pool(component)?.control.shelves().last_before(end) {
            end = place;
            if self.is_shelved(component, id) && self.end_unused(id).is_ok() {
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
                ended += usize::from(self.end_garbage(id).is_ok());
            }
        }
        ended
    }
}
