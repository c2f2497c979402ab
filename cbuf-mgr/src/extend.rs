//! More buffers for a pool that has no garbage of the size asked for, or little: new ones, up to the
//! limit, and where idle buffers of other sizes fill the pool, these end first. Source: CBUFs,
//! section 3.5.

use crate::collect::{ENDS, Round};
use crate::machine::Machine;
use crate::manager::Manager;
use crate::pool::{pages_of, push};
use abi::{ComponentId, Error};
use alloc::vec::Vec;
use libcbuf::meta::CbufId;

/// Most buffers made in one part that nobody asked for yet, and most pages that it clears.
const MADE: usize = 4;
const CLEARED: u64 = 64;

/// What an attempt to make a buffer came to.
pub(crate) enum Grown {
    Made(CbufId),
    Nothing,
    /// Idle buffers were ended for it, and more have to be.
    Later,
}

impl<M: Machine> Manager<M> {
    /// A new buffer, where the limit allows it or idle buffers of other sizes make room. `garbage`
    /// has none of that size; what of it is used up is taken out.
    pub(crate) fn grow(
        &mut self,
        owner: ComponentId,
        order: u32,
        garbage: &mut Vec<CbufId>,
    ) -> Result<Grown, Error> {
        let need = pages_of(order)?;
        let pool = self.pool(owner)?;
        if pool.held + need > pool.limit {
            let idle = self.pages(garbage) + self.free_pages_of(owner)?;
            if pool.held + need > pool.limit + idle {
                return Ok(Grown::Nothing);
            }
        }
        for _ in 0..ENDS {
            let pool = self.pool(owner)?;
            if pool.held + need <= pool.limit {
                match self.make_buffer(owner, order) {
                    Ok(id) => return Ok(Grown::Made(id)),
                    Err(Error::NoMemory) => self.short_of_frames = true,
                    Err(error) => return Err(error),
                }
            }
            // No frame, no table or over the limit: idle buffers have all three.
            if !self.end_one_idle(owner, garbage)? {
                return Ok(Grown::Nothing);
            }
        }
        Ok(Grown::Later)
    }

    /// Adds buffers while a collection brings few, as far as the limit allows without ending
    /// others. Answers whether that is done, and hands everything over then.
    pub(crate) fn make_ahead(
        &mut self,
        caller: ComponentId,
        round: &mut Round,
        found: &mut Vec<CbufId>,
    ) -> Result<bool, Error> {
        let need = pages_of(round.order)?;
        let space = self.pool(caller)?.control.space();
        let most = round.left.min(space).min(MADE);
        let most = most.min((CLEARED / need).max(1) as usize);
        round.left -= most;
        for _ in 0..most {
            let pool = self.pool(caller)?;
            // Nobody asked for these: where there is nothing to make them of, there are none.
            let made =
                (pool.held + need <= pool.limit).then(|| self.make_buffer(caller, round.order));
            let Some(Ok(id)) = made else {
                round.left = 0;
                break;
            };
            push(found, id)?;
        }
        self.put(caller, round, found, space)?;
        if round.left > 0 && most > 0 {
            return Ok(false);
        }
        self.pool_mut(caller)?.control.hand_over(&[]);
        Ok(true)
    }

    /// Ends one idle buffer of a pool: garbage, or one in a freelist, or an orphan.
    fn end_one_idle(
        &mut self,
        owner: ComponentId,
        garbage: &mut Vec<CbufId>,
    ) -> Result<bool, Error> {
        while let Some(id) = garbage.pop() {
            if self.end_garbage(id).is_ok() {
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
