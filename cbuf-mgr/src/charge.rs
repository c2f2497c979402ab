//! Who pays for a buffer that its owner gave away and does not get back: whoever holds it for too
//! long. Source: CBUFs, section 3.7.
//!
//! Too long is [`Manager::set_patience`]: for all that time, each time its owner collected, the
//! owner had no reference and this component had one. The buffer is charged when its owner finds
//! nothing else to allocate: its pages count as held by that component instead, whose own idle
//! memory ends where its limit is exceeded. They count as the owner's again as soon as the manager
//! finds that the component let go: it is told of the last free, and looks when either collects.
//! What a dead component's buffers are still held by pays at once. Nobody else's word charges a
//! component, only its own record; what is on its way is the owner's.

use crate::liveness::Verdict;
use crate::machine::Machine;
use crate::manager::Manager;
use crate::pool::push;
use abi::{ComponentId, Error};
use core::ops::Range;
use libcbuf::meta::{CbufId, Record};

impl<M: Machine> Manager<M> {
    /// How long, in ticks, a component may hold a buffer whose owner has no reference to it before
    /// it pays for it.
    pub fn set_patience(&mut self, ticks: u64) {
        self.patience = ticks;
    }

    /// Pools that are used fill what they are allowed, one part in so many of it with each
    /// collection. Until this is said, they fill as far as a collection brings a quarter.
    pub fn set_filling(&mut self, parts: u64) {
        self.filling = parts;
    }

    pub(crate) fn references(&self, component: ComponentId, id: CbufId) -> bool {
        let record = self.pool(component).ok().and_then(|p| p.control.record(id));
        record
            .map(Record::load)
            .is_some_and(|s| s.references() != 0)
    }

    /// A component besides the owner that has a reference; the payer, as long as it has one.
    fn keeper(&self, id: CbufId) -> Option<ComponentId> {
        let buffer = self.buffer(id).ok()?;
        let others = buffer.holders.iter().map(|h| h.component);
        buffer
            .payer
            .into_iter()
            .chain(others.filter(|c| Some(*c) != buffer.owner))
            .find(|c| self.references(*c, id))
    }

    /// Notes who has a buffer that is live, although its owner has no reference, since when.
    pub(crate) fn note_keeper(&mut self, id: CbufId, now: u64) {
        let keeper = self.keeper(id);
        let Ok(buffer) = self.buffer_mut(id) else {
            return;
        };
        if buffer.kept.map(|(who, _)| who) != keeper {
            buffer.kept = keeper.map(|who| (who, now));
        }
        if buffer.payer.is_some() && buffer.payer != keeper {
            self.uncharge(id);
        }
    }

    /// The owner has a reference itself: what it has, it pays for, unless the payer has it still.
    pub(crate) fn owner_has(&mut self, id: CbufId) {
        let payer = self.buffer(id).ok().and_then(|b| b.payer);
        if payer.is_none_or(|payer| !self.references(payer, id)) {
            self.forget_payer(id);
        }
    }

    /// Has those pay for an owner's buffers who hold them for too long; answers whether there are
    /// any. Looks at the buffers in some places of the list of those that it owns.
    pub(crate) fn charge_keepers(
        &mut self,
        owner: ComponentId,
        now: u64,
        places: Range<usize>,
    ) -> Result<bool, Error> {
        let mut charged = false;
        for place in places {
            let Some(&id) = self.pool(owner)?.owned.get(place) else {
                break;
            };
            let buffer = self.buffer(id)?;
            if let Some((keeper, since)) = buffer.kept
                && buffer.payer.is_none()
                && now.saturating_sub(since) >= self.patience
                && !self.references(owner, id)
                && self.references(keeper, id)
            {
                charged |= self.charge(id, keeper).is_ok();
            }
        }
        Ok(charged)
    }

    /// Has whoever holds a buffer of a dead component pay for it.
    pub(crate) fn charge_orphan(&mut self, id: CbufId) {
        if self.buffer(id).is_ok_and(|b| b.payer.is_none())
            && let Some(keeper) = self.keeper(id)
        {
            // Without memory for a list nobody pays.
            let _ = self.charge(id, keeper);
        }
    }

    fn charge(&mut self, id: CbufId, keeper: ComponentId) -> Result<(), Error> {
        push(&mut self.pool_mut(keeper)?.charged, id)?;
        let buffer = self.buffer_mut(id)?;
        let (owner, pages) = (buffer.owner, buffer.pages());
        buffer.payer = Some(keeper);
        self.pool_mut(keeper)?.held += pages;
        if let Some(owner) = owner {
            let pool = self.pool_mut(owner)?;
            pool.held -= pages;
            pool.lent += pages;
        }
        self.mark_relinquish(id);
        // What cannot end now ends when it comes back.
        let _ = self.shrink(keeper);
        Ok(())
    }

    /// A buffer is its owner's to pay for again, and ends where that is too much and nobody has
    /// it.
    pub(crate) fn uncharge(&mut self, id: CbufId) {
        let owner = self.buffer(id).ok().and_then(|b| b.owner);
        if !self.forget_payer(id) {
            return;
        }
        if !self.is_excess(owner) {
            return;
        }
        if self.judge(id) == Verdict::Live {
            self.mark_relinquish(id);
        } else if self.end_garbage(id).is_ok() {
            self.wake_all();
        }
    }

    /// Moves the pages back to the owner's account, if somebody else pays.
    pub(crate) fn forget_payer(&mut self, id: CbufId) -> bool {
        let Ok(buffer) = self.buffer_mut(id) else {
            return false;
        };
        let (owner, pages) = (buffer.owner, buffer.pages());
        buffer.kept = None;
        let Some(payer) = buffer.payer.take() else {
            return false;
        };
        if let Ok(pool) = self.pool_mut(payer) {
            pool.held -= pages;
            pool.charged.retain(|other| *other != id);
        }
        if let Some(pool) = owner.and_then(|owner| self.pool_mut(owner).ok()) {
            pool.held += pages;
            pool.lent -= pages;
        }
        true
    }

    /// Looks whether a component still has what it pays for.
    pub(crate) fn review_charges(&mut self, component: ComponentId) -> Result<(), Error> {
        for place in (0..self.pool(component)?.charged.len()).rev() {
            let id = self.pool(component)?.charged[place];
            if !self.references(component, id) {
                self.uncharge(id);
            }
        }
        Ok(())
    }

    /// Pages of others' buffers that a component pays for, and pages of its own that others do.
    pub fn charges(&self, component: ComponentId) -> Result<(u64, u64), Error> {
        let pool = self.pool(component).map_err(|_| Error::NotFound)?;
        let charged = pool.charged.iter();
        let charged = charged.filter_map(|id| Some(self.buffer(*id).ok()?.pages()));
        Ok((charged.sum(), pool.lent))
    }
}
