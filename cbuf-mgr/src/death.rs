//! A component's death: its references are gone, its counts are kept where the sums need them,
//! what it owned for its heap ends at once, and its other buffers as soon as others are done with it. Its limit stays reserved, for it
//! may be started anew.

use crate::liveness::Verdict;
use crate::machine::Machine;
use crate::manager::Manager;
use abi::{ComponentId, Error};
use libcbuf::meta::CbufId;

impl<M: Machine> Manager<M> {
    /// The supervisor's `component_died`. What was on its way to the dead is lost: its buffers
    /// count as garbage once no living component can be meant. Costs a look at every buffer.
    pub fn component_died(&mut self, component: ComponentId) -> Result<(), Error> {
        let orphans = self.orphans.len();
        let pool = self.pool_mut(component).map_err(|_| Error::NotFound)?;
        let owned = pool.owned.len();
        let charged = core::mem::take(&mut pool.charged);
        self.orphans
            .try_reserve(owned)
            .map_err(|_| Error::NoMemory)?;
        for id in &charged {
            self.forget_payer(*id);
        }
        let pool = self.pools[component.0 as usize]
            .as_mut()
            .ok_or(Error::NotFound)?;
        pool.alive = false;
        self.alive &= !crate::pool::bit(component);
        self.fallen |= crate::pool::bit(component);
        for (index, buffer) in self.buffers.iter_mut().enumerate() {
            let Some(buffer) = buffer else { continue };
            let held = |h: &crate::pool::Holder<_>| h.component == component;
            let Some(place) = buffer.holders.iter().position(held) else {
                continue;
            };
            if let Some(record) = pool.control.record(CbufId(index as u32)) {
                buffer.settled.settle(record, pool.terms.reach());
            }
            buffer.dead |= crate::pool::bit(component);
            let holder = buffer.holders.remove(place);
            self.machine.unmap(component, holder.mapping);
        }
        for id in pool.owned.drain(..) {
            if let Some(buffer) = self.buffers[id.0 as usize].as_mut() {
                buffer.owner = None;
                buffer.place = self.orphans.len();
                self.orphans.push(id);
            }
        }
        (pool.held, pool.lent) = (0, 0);
        self.free_ids.append(&mut pool.quarantine);
        pool.control.reset();
        self.end_owned(component);
        for id in &self.orphans[orphans..] {
            self.mark_relinquish(*id);
        }
        self.end_orphans();
        // What it paid for is too much, perhaps, for those whose it is.
        for id in charged {
            if let Ok(Some(owner)) = self.buffer(id).map(|b| b.owner) {
                self.shrink(owner)?;
            }
        }
        self.wake_for_good(component);
        // Others' buffers that were on their way to it may be garbage now.
        self.wake_all();
        Ok(())
    }

    /// The supervisor starts a dead component anew; until it says so, the manager refuses the
    /// component's calls. What was on its way to the old one ends here, as far as nobody
    /// references it, for from now on sends to the component count again.
    pub fn component_restarted(&mut self, component: ComponentId) -> Result<(), Error> {
        if self.pool(component).map_err(|_| Error::NotFound)?.alive {
            return Err(Error::BadState);
        }
        for index in 0..self.buffers.len() as u32 {
            if self.judge(CbufId(index)) == Verdict::Lost {
                // Somebody took it after all: then it is live.
                let _ = self.end_garbage(CbufId(index));
            }
        }
        let pool = self.pool_mut(component)?;
        pool.alive = true;
        if pool.terms.max_pages > 0 {
            self.alive |= crate::pool::bit(component);
        }
        self.wake_all();
        Ok(())
    }
}
