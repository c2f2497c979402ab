//! Making and ending buffers.

use crate::control::{Control, Whose};
use crate::liveness::{Counts, Verdict, judge};
use crate::machine::Machine;
use crate::manager::Manager;
use crate::pool::{Buffer, Holder, bit, pages_of};
use abi::{ComponentId, Error};
use alloc::vec::Vec;
use libcbuf::meta::{CbufId, Record, State};
use libcbuf::primitive::Ordering::SeqCst;

/// Pieces of memory that others let go of which one buffer takes at most: whoever lets go of it
/// page by page holds nobody up. The next buffer takes more.
const PIECES: usize = 64;

impl<M: Machine> Manager<M> {
    /// A new buffer in `owner`'s pool, mapped writable there, `FREE`, not handed over yet. The
    /// caller has checked the pool's limit.
    pub(crate) fn make_buffer(&mut self, owner: ComponentId, order: u32) -> Result<CbufId, Error> {
        let pages = pages_of(order)?;
        let id = self.fresh_id()?;
        let made = self.fill(owner, id, order);
        match made {
            Ok(()) => {
                let pool = self.pool_mut(owner)?;
                pool.held += pages;
                self.pooled += pages;
                Ok(id)
            }
            Err(error) => {
                self.free_ids.push(id);
                Err(error)
            }
        }
    }

    fn fill(&mut self, owner: ComponentId, id: CbufId, order: u32) -> Result<(), Error> {
        let machine = &mut self.machine;
        let pool = self.pools[owner.0 as usize]
            .as_mut()
            .ok_or(Error::Refused)?;
        let mut holders = Vec::new();
        holders.try_reserve(2).map_err(|_| Error::NoMemory)?;
        pool.owned.try_reserve(1).map_err(|_| Error::NoMemory)?;
        // Every owned buffer may end there, and ending must not fail.
        let quarantine = pool.owned.len() + 1;
        pool.quarantine
            .try_reserve(quarantine)
            .map_err(|_| Error::NoMemory)?;
        pool.control.ensure(machine, id)?;
        let record = pool.control.shared(id).ok_or(Error::NoMemory)?;
        let mut pieces = 0..PIECES;
        let page = loop {
            if let Some(page) = self.frames.alloc(order) {
                break page;
            }
            // What others let go of, as long as there is some.
            let piece = pieces.next().and_then(|_| machine.reclaim());
            let (page, pages) = piece.ok_or(Error::NoMemory)?;
            self.frames.add(page, pages);
        };
        let frame = match machine.make_frame(page, order) {
            Ok(frame) => frame,
            Err(error) => {
                self.frames.free(page, order);
                return Err(error);
            }
        };
        let mapping = match machine.map(owner, &frame, page, order, true) {
            Ok(mapping) => mapping,
            Err(error) => {
                machine.destroy_frame(frame);
                self.frames.free(page, order);
                return Err(error);
            }
        };
        let home = State::new(machine.place(page), order, 0);
        // Not free before it is handed over: until then it is garbage.
        Control::introduce(record.get(), home, 0);
        holders.push(Holder {
            component: owner,
            record,
            mapping,
        });
        let place = pool.owned.len();
        pool.owned.push(id);
        self.buffers[id.0 as usize] = Some(Buffer {
            owner: Some(owner),
            order,
            page,
            home,
            frame,
            holders,
            settled: Counts::default(),
            dead: 0,
            stalled: None,
            kept: None,
            payer: None,
            sealed: false,
            place,
        });
        Ok(())
    }

    /// Whether anybody references a buffer or anything of it is on its way. What its owner has, or
    /// may allocate from a list, is live: so what is not stays what it is.
    pub(crate) fn judge(&self, id: CbufId) -> Verdict {
        match self.buffer(id) {
            Ok(buffer) if !Self::may_be_allocated(buffer) => {
                judge(buffer.records(), buffer.settled, self.clients())
            }
            _ => Verdict::Live,
        }
    }

    /// Whether the owner of a buffer references it, or has it free.
    pub(crate) fn may_be_allocated(buffer: &Buffer<M::Frame, M::Mapping>) -> bool {
        buffer.owner.is_some()
            && (buffer.holders.first())
                .is_some_and(|h| h.record.get().load().has(State::REFERENCES | State::FREE))
    }

    /// Ends a buffer that was found to be garbage, or lost, unless a component references it after
    /// all; then that component and the owner keep it. Answers the pages that are free now.
    pub(crate) fn end_garbage(&mut self, id: CbufId) -> Result<u64, Error> {
        self.end_holders(id, 0)?;
        self.end_buffer(id, false)
    }

    /// Ends a buffer that lies in a freelist, the ring or on a shelf of its owner's. That is taken
    /// away first: an owner that allocates it before keeps it, with all that it does with it.
    /// Answers the pages that are free now.
    pub(crate) fn end_unused(&mut self, id: CbufId) -> Result<u64, Error> {
        let buffer = self.buffer(id)?;
        let (home, order) = (buffer.home, buffer.order);
        let owner = buffer.owner.ok_or(Error::BadBuffer)?;
        let control = &self.pool(owner)?.control;
        let was = control.take_unused(&self.machine, id, order);
        let was = was.ok_or(Error::Busy)?;
        if let Err(error) = self.end_holders(id, 1) {
            // Somebody was made to receive what was not sent.
            let garbage = State(home.0 | self.wanted(Some(owner)));
            if let Some(record) = self.pool(owner)?.control.record(id) {
                Control::give_back(record, was, garbage);
            }
            return Err(error);
        }
        self.end_buffer(id, true)
    }

    /// Takes a buffer from those that have it, from the last, but for so many from the first.
    /// [`Error::Busy`]: one of them references it, and it and those before have it still.
    fn end_holders(&mut self, id: CbufId, but: usize) -> Result<(), Error> {
        let buffer = self
            .buffers
            .get_mut(id.0 as usize)
            .and_then(Option::as_mut)
            .ok_or(Error::BadBuffer)?;
        while let Some(holder) = buffer.holders.get(but..).and_then(<[_]>::last) {
            let whose = match buffer.owner == Some(holder.component) {
                true => Whose::Owner,
                false => Whose::Receiver,
            };
            let record = holder.record.get();
            if !Control::withdraw(record, whose) {
                self.forget_senders(id);
                return Err(Error::Busy);
            }
            let reach = self.pools[holder.component.0 as usize].as_ref();
            let reach = reach.map_or(0, |pool| pool.terms.reach());
            buffer.settled.settle(record, reach);
            if let Some(holder) = buffer.holders.pop() {
                self.machine.unmap(holder.component, holder.mapping);
            }
        }
        Ok(())
    }

    /// Ends a buffer that nobody has any more but, where it was `listed` there, its owner.
    fn end_buffer(&mut self, id: CbufId, listed: bool) -> Result<u64, Error> {
        self.forget_payer(id);
        let buffer = self.buffers.get_mut(id.0 as usize);
        let buffer = buffer.and_then(Option::take).ok_or(Error::BadBuffer)?;
        for holder in buffer.holders {
            self.machine.unmap(holder.component, holder.mapping);
        }
        self.machine.destroy_frame(buffer.frame);
        self.frames.free(buffer.page, buffer.order);
        self.wake_for_frames();
        let pages = 1 << buffer.order;
        self.pooled -= pages;
        let list = match buffer.owner {
            Some(owner) => {
                let pool = self.pool_mut(owner)?;
                pool.held -= pages;
                if listed {
                    pool.quarantine.push(id);
                }
                &mut pool.owned
            }
            None => &mut self.orphans,
        };
        list.swap_remove(buffer.place);
        let moved = list.get(buffer.place).copied();
        if let Some(moved) = moved {
            self.buffer_mut(moved)?.place = buffer.place;
        }
        if !listed {
            self.free_ids.push(id);
        }
        Ok(pages)
    }

    /// Ids whose stale records the client has discarded may be used again. Looks at `most`, each time
    /// at others.
    pub(crate) fn end_quarantine(
        &mut self,
        component: ComponentId,
        most: usize,
    ) -> Result<(), Error> {
        let pool = self.pools[component.0 as usize]
            .as_mut()
            .ok_or(Error::Refused)?;
        for _ in 0..most.min(pool.quarantine.len()) {
            // From the end, and round: the last one moves into the place of one that is used again.
            if pool.discarded_at == 0 || pool.discarded_at > pool.quarantine.len() {
                pool.discarded_at = pool.quarantine.len();
            }
            pool.discarded_at -= 1;
            let place = pool.discarded_at;
            let record = pool.control.record(pool.quarantine[place]);
            if !record.is_some_and(|r| r.load().has(State::FREE)) {
                self.free_ids.push(pool.quarantine.swap_remove(place));
            }
        }
        Ok(())
    }

    /// Asks to hear of the last free of a buffer, wherever it happens.
    pub(crate) fn mark_relinquish(&self, id: CbufId) {
        let Ok(buffer) = self.buffer(id) else { return };
        for record in buffer.records() {
            record.state.fetch_or(State::RELINQUISH, SeqCst);
        }
    }

    /// Whether `from` sent the buffer to `component`: it has it mapped, says that it sent it, and
    /// is a peer (or `component` itself). It may have died since.
    pub(crate) fn was_sent(
        &self,
        id: CbufId,
        from: ComponentId,
        component: ComponentId,
    ) -> Result<bool, Error> {
        if usize::from(from.0) >= ComponentId::MAX
            || self.pool(component)?.terms.reach() & bit(from) == 0
        {
            return Ok(false);
        }
        let buffer = self.buffer(id)?;
        let mut receivers = 0;
        if buffer.held_by(from) {
            let record = self.pool(from)?.control.record(id);
            receivers |= record.map_or(0, Record::sent_to);
        }
        if buffer.dead & bit(from) != 0 {
            receivers |= buffer.settled.receivers;
        }
        Ok(receivers & bit(component) != 0)
    }

    /// Nobody counts as a sender of a buffer any more until it is asked about anew: some that
    /// were have it mapped no longer.
    fn forget_senders(&self, id: CbufId) {
        for record in self.buffer(id).iter().flat_map(|b| b.records()) {
            record.senders.store(0, SeqCst);
        }
    }
}
