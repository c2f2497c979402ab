//! What a client gets when its freelist is empty: its garbage, else a new buffer (more where
//! garbage is rare), else one made
//! from what lies idle in its pool in other sizes, else its thread waits. Source: CBUFs,
//! section 3.5. Costs a look at each buffer that the client owns and at their holders.

use crate::control::Control;
use crate::liveness::Verdict;
use crate::machine::Machine;
use crate::manager::Manager;
use crate::pool::{pages_of, push};
use abi::{ComponentId, Error, ThreadId};
use alloc::vec::Vec;
use libcbuf::meta::{CbufId, Record, State};
use libcbuf::primitive::Ordering;

/// Most buffers made at once that nobody asked for yet.
const AHEAD: usize = 32;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// So many buffers of the order asked for, or larger, were handed over.
    Ready(u32),
    /// The thread is registered ([`crate::wait`]): it blocks until it is woken or some
    /// milliseconds have passed, then calls [`Manager::unblocked`].
    Block,
}

impl<M: Machine> Manager<M> {
    /// A client's `collect`. [`Error::BadSize`]: no such order; [`Error::NoMemory`]: larger than
    /// the pool will ever be.
    pub fn collect(
        &mut self,
        caller: ComponentId,
        thread: ThreadId,
        order: u32,
        wait: bool,
    ) -> Result<Step, Error> {
        let need = pages_of(order)?;
        let start = self.machine.ticks();
        let pool = self.enter(caller)?;
        if need > pool.terms.max_pages {
            return Err(Error::NoMemory);
        }
        self.note(caller, thread, |timing| timing.calls += 1);
        self.short_of_frames = false;
        self.review_charges(caller)?;
        let mut ready = self.supply(caller, thread, order);
        if ready == Ok(0) && self.charge_keepers(caller, start)? {
            ready = self.supply(caller, thread, order);
        }
        if wait && ready == Ok(0) {
            // First ask to be told, then look once more: a free between the two looks is
            // either seen by the second or tells us.
            for id in &self.pool(caller)?.owned {
                self.mark_relinquish(*id);
            }
            ready = self.supply(caller, thread, order);
        }
        let ticks = self.machine.ticks().wrapping_sub(start);
        self.note(caller, thread, |timing| timing.collecting_ticks += ticks);
        match ready? {
            0 if wait => {
                self.wait(caller, thread);
                Ok(Step::Block)
            }
            0 => {
                // Whoever may not wait lacks the memory no less: the policy is to see it.
                self.note(caller, thread, |timing| timing.blocked_ticks += 1);
                Ok(Step::Ready(0))
            }
            count => Ok(Step::Ready(count)),
        }
    }

    /// Hands over what there is; answers how many buffers of at least `order`.
    fn supply(&mut self, caller: ComponentId, thread: ThreadId, order: u32) -> Result<u32, Error> {
        if self.pool(caller)?.control.space() == 0 {
            // Handed over enough: the client has to take it out first.
            return Ok(0);
        }
        self.end_quarantine(caller)?;
        let mut found = core::mem::take(&mut self.scratch);
        let result = self.supply_with(caller, thread, order, &mut found);
        found.clear();
        self.scratch = found;
        result
    }

    fn supply_with(
        &mut self,
        caller: ComponentId,
        thread: ThreadId,
        order: u32,
        found: &mut Vec<CbufId>,
    ) -> Result<u32, Error> {
        self.sweep(caller, found)?;
        let collected = found.len() as u64;
        self.note(caller, thread, |timing| {
            timing.collections += 1;
            timing.collected += collected;
        });
        self.take_excess(caller, found)?;
        let order_of = |m: &Self, id: &CbufId| m.buffer(*id).map_or(0, |b| b.order);
        let mut fits = found
            .iter()
            .filter(|id| order_of(self, id) >= order)
            .count();
        if fits == 0
            && let Some(id) = self.grow(caller, order, found)?
        {
            push(found, id)?;
            fits = 1;
        }
        if fits > 0 {
            self.grow_ahead(caller, order, fits, found)?;
        }
        if found.len() > self.pool(caller)?.control.space() {
            // The ring does not take all: what was asked for comes first.
            found.sort_unstable_by_key(|id| core::cmp::Reverse(order_of(self, id)));
        }
        self.hand_over(caller, order, found)
    }

    fn hand_over(
        &mut self,
        caller: ComponentId,
        order: u32,
        found: &mut Vec<CbufId>,
    ) -> Result<u32, Error> {
        let count = found.len().min(self.pool(caller)?.control.space());
        found.truncate(count);
        let wanted = self.wanted(Some(caller));
        found.retain(|id| self.recycle(*id, wanted));
        let fits = |id: &&CbufId| self.buffer(**id).is_ok_and(|b| b.order >= order);
        let ready = found.iter().filter(fits).count() as u32;
        self.pool_mut(caller)?.control.hand_over(found);
        Ok(ready)
    }

    /// Makes garbage, or a new buffer, free for its owner. What it holds next was sent to nobody
    /// yet: who was sent what it held before and never took it shall not map it now. Answers
    /// false where somebody took a reference after all.
    fn recycle(&mut self, id: CbufId, flags: u64) -> bool {
        let Some(buffer) = self.buffers.get_mut(id.0 as usize).and_then(Option::as_mut) else {
            return false;
        };
        let flags = flags | State::FREE;
        let state = State::new(self.machine.place(buffer.page), buffer.order, flags);
        let records = buffer.holders.iter().filter_map(|h| {
            let pool = self.pools[h.component.0 as usize].as_ref()?;
            pool.control.record(id)
        });
        // The owner is the first.
        let owner = records.clone().next();
        if !owner.is_some_and(|r| Control::restate(r, state)) {
            return false;
        }
        if buffer.sealed
            && let Some(owner) = buffer.holders.first()
        {
            // It is in no list of the owner's yet, so it is writable before it is allocated.
            let component = owner.component;
            let opened = self
                .machine
                .protect(component, &owner.mapping, buffer.order, true);
            if opened.is_err() {
                return false;
            }
            buffer.sealed = false;
        }
        if buffer.dead != 0 {
            // Who died has it mapped no longer, so it is no sender of what comes.
            for record in records.clone() {
                record.senders.fetch_and(!buffer.dead, Ordering::SeqCst);
            }
        }
        // Nothing is on its way, so the receivers so far say nothing that is still wanted. The
        // owner's end when it allocates.
        for record in records.skip(1) {
            record.receivers.store(0, Ordering::SeqCst);
        }
        buffer.settled.receivers = 0;
        buffer.kept = None;
        buffer.dead = 0;
        true
    }

    /// Appends the garbage among what a client owns, and ends what is lost.
    pub(crate) fn sweep(
        &mut self,
        owner: ComponentId,
        found: &mut Vec<CbufId>,
    ) -> Result<(), Error> {
        let now = self.machine.ticks();
        let count = self.pool(owner)?.owned.len();
        found.try_reserve(count + 1).map_err(|_| Error::NoMemory)?;
        // From the end: ending a buffer moves the last one into its place.
        for place in (0..count).rev() {
            let pool = self.pool(owner)?;
            let id = pool.owned[place];
            // Most are in use by their owner or free, which one word tells. After a death the
            // whole look is wanted, for it sees what stands still.
            let state = pool.control.record(id).map(Record::load);
            let referenced = state.is_some_and(|s| s.references() != 0);
            let known = match referenced {
                false => state.is_some_and(|s| s.has(State::FREE)),
                true => self.fallen == 0 && pool.lent == 0,
            };
            if known {
                continue;
            }
            match self.judge_again(id) {
                Verdict::Live if referenced => self.owner_has(id),
                Verdict::Live => self.note_keeper(id, now),
                Verdict::Garbage => {
                    self.forget_payer(id);
                    found.push(id);
                }
                // Somebody took it after all: then it is live.
                Verdict::Lost => drop(self.destroy(id)),
            }
        }
        Ok(())
    }

    /// Ends garbage while the pool holds more than its limit.
    pub(crate) fn take_excess(
        &mut self,
        owner: ComponentId,
        garbage: &mut Vec<CbufId>,
    ) -> Result<(), Error> {
        let mut freed = 0;
        while self.pool(owner)?.held > self.pool(owner)?.limit
            && let Some(id) = garbage.pop()
        {
            freed += self.destroy(id).unwrap_or(0);
        }
        if freed > 0 {
            self.wake_all();
        }
        Ok(())
    }

    /// A new buffer, where the limit allows it or idle buffers of other sizes make room. `garbage`
    /// has none of that size; what of it is used up is taken out.
    fn grow(
        &mut self,
        owner: ComponentId,
        order: u32,
        garbage: &mut Vec<CbufId>,
    ) -> Result<Option<CbufId>, Error> {
        let need = pages_of(order)?;
        let pool = self.pool(owner)?;
        if pool.held + need > pool.limit {
            let idle = self.pages(garbage) + self.free_pages_of(owner)?;
            if pool.held + need > pool.limit + idle {
                return Ok(None);
            }
        }
        // Each round ends a buffer or ends the loop.
        loop {
            let pool = self.pool(owner)?;
            if pool.held + need <= pool.limit {
                match self.make_buffer(owner, order) {
                    Ok(id) => return Ok(Some(id)),
                    Err(Error::NoMemory) => self.short_of_frames = true,
                    Err(error) => return Err(error),
                }
            }
            // No frame, no table or over the limit: idle buffers have all three.
            if !self.end_one_idle(owner, garbage)? {
                return Ok(None);
            }
        }
    }

    /// Adds buffers while a collection brings few, as far as the limit allows without ending
    /// others: a look at all that a client owns should pay for more than one allocation.
    fn grow_ahead(
        &mut self,
        owner: ComponentId,
        order: u32,
        fits: usize,
        found: &mut Vec<CbufId>,
    ) -> Result<(), Error> {
        let need = pages_of(order)?;
        let pool = self.pool(owner)?;
        let wanted = (pool.owned.len() / 4).min(AHEAD).saturating_sub(fits);
        let room = pool.control.space().saturating_sub(found.len());
        for _ in 0..wanted.min(room) {
            let pool = self.pool(owner)?;
            if pool.held + need > pool.limit {
                break;
            }
            // Nobody asked for these: where there is nothing to make them of, there are none.
            let Ok(id) = self.make_buffer(owner, order) else {
                break;
            };
            push(found, id)?;
        }
        Ok(())
    }

    /// Ends one idle buffer of a pool: garbage, or one in a freelist, or an orphan.
    fn end_one_idle(
        &mut self,
        owner: ComponentId,
        garbage: &mut Vec<CbufId>,
    ) -> Result<bool, Error> {
        while let Some(id) = garbage.pop() {
            if self.destroy(id).is_ok() {
                return Ok(true);
            }
        }
        if self.end_one_free(owner)? {
            return Ok(true);
        }
        Ok(self.end_orphans() > 0)
    }

    fn pages(&self, ids: &[CbufId]) -> u64 {
        ids.iter()
            .filter_map(|id| Some(self.buffer(*id).ok()?.pages()))
            .sum()
    }
}
