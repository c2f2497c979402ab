//! Buffers in components that did not allocate them. A receiver gets a buffer mapped read-only,
//! and its sender admitted, when the sender has it mapped, says it sent it there, and is a peer
//! of the receiver in the image's graph. The receiver keeps the mapping until the buffer ends, and
//! so does each sender, which is why it stays admitted as long: whom it lets act on the buffer's
//! bytes could read them itself. Source: CBUFs, sections 2.2, 3.6.

use crate::control::Control;
use crate::liveness::Verdict;
use crate::machine::Machine;
use crate::manager::Manager;
use crate::pool::{Holder, bit};
use abi::layout::PAGE;
use abi::{ComponentId, Error};
use libcbuf::meta::{CbufId, State};
use libcbuf::primitive::Ordering::SeqCst;

impl<M: Machine> Manager<M> {
    /// A client's `map`. [`Error::BadBuffer`]: no such buffer, or not sent to the caller by
    /// `from`.
    pub fn map(&mut self, caller: ComponentId, id: CbufId, from: ComponentId) -> Result<(), Error> {
        self.enter(caller)?;
        if !self.was_sent(id, from, caller)? {
            return Err(Error::BadBuffer);
        }
        if self.buffer(id)?.held_by(caller) {
            // It has the mapping: this is another sender, or another of its threads was faster,
            // or it damaged its record. Only what is empty is written.
            let state = self.received_state(id)?;
            let pool = self.pool(caller)?;
            let record = pool.control.record(id).ok_or(Error::BadBuffer)?;
            record.senders.fetch_or(bit(from), SeqCst);
            let _ = record.exchange(State::EMPTY, state);
            return Ok(());
        }
        let state = self.received_state(id)?;
        let (machine, buffers) = (&mut self.machine, &mut self.buffers);
        let pool = self.pools[caller.0 as usize]
            .as_mut()
            .ok_or(Error::Refused)?;
        let buffer = buffers[id.0 as usize].as_mut().ok_or(Error::BadBuffer)?;
        pool.control.ensure(machine, id)?;
        let record = pool.control.shared(id).ok_or(Error::NoMemory)?;
        let holders = &mut buffer.holders;
        holders.try_reserve(1).map_err(|_| Error::NoMemory)?;
        let mapping = machine.map(caller, &buffer.frame, buffer.page, buffer.order, false)?;
        holders.push(Holder {
            component: caller,
            record,
            mapping,
        });
        Control::introduce(record.get(), state, bit(from));
        Ok(())
    }

    /// What a receiver's record states. It tells us of its last free where the owner would.
    fn received_state(&self, id: CbufId) -> Result<State, Error> {
        let buffer = self.buffer(id)?;
        let mut flags = self.wanted(buffer.owner);
        if buffer.sealed {
            flags |= State::SEALED;
        }
        Ok(State(buffer.home.0 | flags))
    }

    /// A client's `relinquish`: it dropped its last reference to a buffer that we asked for.
    pub fn relinquish(&mut self, caller: ComponentId, id: CbufId) -> Result<(), Error> {
        self.enter(caller)?;
        let buffer = self.buffer(id)?;
        if !buffer.held_by(caller) {
            return Err(Error::BadBuffer);
        }
        let (owner, paid) = (buffer.owner, buffer.payer == Some(caller));
        // Who says so and has it still pays on.
        if paid && !self.references(caller, id) {
            self.uncharge(id);
            // Its own allocations have room again.
            self.wake(caller);
        }
        if self.is_excess(owner) && self.judge(id) != Verdict::Live && self.end_garbage(id).is_ok()
        {
            self.wake_all();
        } else if let Some(owner) = owner {
            self.wake(owner);
        }
        // While it is wanted, the next last free here is told of, too.
        if self.wanted(owner) == 0
            && self.buffer(id).is_ok_and(|b| b.payer.is_none())
            && let Some(record) = self.pool(caller)?.control.record(id)
        {
            record.state.fetch_and(!State::RELINQUISH, SeqCst);
        }
        Ok(())
    }

    /// Whether what an owner has exceeds its limit, or it has none any more.
    pub(crate) fn is_excess(&self, owner: Option<ComponentId>) -> bool {
        let pool = owner.and_then(|owner| self.pool(owner).ok());
        pool.is_none_or(|p| p.held > p.limit)
    }

    /// A client's `seal`: it cannot write the buffer any more until that is collected, and its
    /// receivers' records say so.
    /// [`Error::BadBuffer`]: not its own.
    pub fn seal(&mut self, caller: ComponentId, id: CbufId) -> Result<(), Error> {
        self.enter(caller)?;
        let buffer = self
            .buffers
            .get_mut(id.0 as usize)
            .and_then(Option::as_mut)
            .filter(|b| b.owner == Some(caller))
            .ok_or(Error::BadBuffer)?;
        if buffer.sealed {
            return Ok(());
        }
        // The owner is the first.
        let holder = buffer.holders.first().ok_or(Error::BadBuffer)?;
        self.machine
            .protect(caller, &holder.mapping, buffer.order, false)?;
        buffer.sealed = true;
        for holder in &buffer.holders[1..] {
            let record = holder.record.get();
            record.state.fetch_or(State::SEALED, SeqCst);
        }
        Ok(())
    }

    /// Physical address of a buffer. [`Error::NoRight`]: the caller has no right to `dma`;
    /// [`Error::BadBuffer`]: not mapped in the caller.
    pub fn physical(&self, caller: ComponentId, id: CbufId) -> Result<u64, Error> {
        if !self.pool(caller)?.terms.dma {
            return Err(Error::NoRight);
        }
        let buffer = self.buffer(id)?;
        if !buffer.held_by(caller) {
            return Err(Error::BadBuffer);
        }
        Ok(buffer.page * PAGE as u64)
    }
}
