//! Looking for garbage among what a client owns, and making it free for its owner again. What is
//! simple goes into the ring at once, in a loop that is short: it is what an allocation costs where a pool is
//! large. Source: CBUFs, sections 3.2 and 3.5.

use crate::collect::{ENDS, Round};
use crate::control::Control;
use crate::liveness::{Verdict, is_garbage};
use crate::machine::Machine;
use crate::manager::Manager;
use crate::pool::{Buffer, push};
use abi::{ComponentId, Error};
use alloc::vec::Vec;
use libcbuf::meta::{CbufId, State};
use libcbuf::primitive::Ordering;

/// Most buffers that a part looks at.
const SWEEP: usize = 128;

/// What a look hands over without further thought.
#[derive(Debug)]
pub(crate) struct Direct {
    /// Of this order, or larger.
    order: u32,
    /// Places in the ring.
    room: usize,
    pub count: usize,
}

impl Direct {
    pub const fn new(order: u32, room: usize) -> Self {
        Self {
            order,
            room,
            count: 0,
        }
    }

    pub const fn none() -> Self {
        Self::new(u32::MAX, 0)
    }
}

impl<M: Machine> Manager<M> {
    /// Looks at some of the `left` buffers of a client's, from where the last look ended, and
    /// counts them off. Appends the garbage that does not go to the client directly, and ends what
    /// is lost.
    pub(crate) fn sweep(
        &mut self,
        owner: ComponentId,
        round: &mut Round,
        found: &mut Vec<CbufId>,
        direct: &mut Direct,
    ) -> Result<(), Error> {
        found.try_reserve(SWEEP + 1).map_err(|_| Error::NoMemory)?;
        // Others may have ended some since the last part. None is looked at twice in one: what is found
        // twice is handed over twice.
        round.left = round.left.min(self.pool(owner)?.owned.len());
        let now = self.machine.ticks();
        let (mut looks, mut lost) = (SWEEP, 0);
        while lost < ENDS
            && let Some(id) = self.scan(owner, round, &mut looks, found, direct)
        {
            let record = self.buffer(id)?.records().next();
            let referenced = record.is_some_and(|r| r.load().references() != 0);
            match self.judge_again(id) {
                Verdict::Live if referenced => self.owner_has(id),
                Verdict::Live => self.note_keeper(id, now),
                Verdict::Garbage => {
                    self.forget_payer(id);
                    push(found, id)?;
                }
                // Somebody took it after all: then it is live.
                Verdict::Lost => {
                    lost += 1;
                    if self.end_garbage(id).is_ok() {
                        let pool = self.pool_mut(owner)?;
                        // The last one has its place: that is looked at now, unless it was before.
                        if round.left > pool.looked_at {
                            pool.looked_at += 1;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Looks on until something needs a closer look.
    #[inline]
    fn scan(
        &mut self,
        owner: ComponentId,
        round: &mut Round,
        looks: &mut usize,
        found: &mut Vec<CbufId>,
        direct: &mut Direct,
    ) -> Option<CbufId> {
        let flags = State::FREE | self.wanted(Some(owner));
        let pool = self.pools.get_mut(owner.0 as usize)?.as_mut()?;
        let over = pool.held > pool.limit && round.ends > 0;
        let (most, mut room) = match over {
            true => (round.ends, 0),
            false => (SWEEP, direct.room),
        };
        let had = room;
        let in_use_is_all = self.fallen == 0 && pool.lent == 0;
        let mut unclear = None;
        while *looks > 0 && round.left > 0 && found.len() < most {
            // From the end, and round: ending a buffer moves the last one into its place.
            if pool.looked_at == 0 || pool.looked_at > pool.owned.len() {
                pool.looked_at = pool.owned.len();
            }
            let steps = pool.looked_at.min(round.left).min(*looks);
            if steps == 0 {
                round.left = 0;
                break;
            }
            let from = pool.looked_at - steps;
            let mut left = steps;
            for &id in pool.owned[from..from + steps].iter().rev() {
                left -= 1;
                let Some(Some(buffer)) = self.buffers.get_mut(id.0 as usize) else {
                    continue;
                };
                let Some((holder, others)) = buffer.holders.split_first() else {
                    continue;
                };
                // Most are in use by their owner or free, which one word tells. After a death
                // the whole look is wanted, for it sees what stands still.
                let record = holder.record.get();
                let state = record.load();
                if state.has(State::REFERENCES | State::FREE) {
                    if in_use_is_all || state.references() == 0 {
                        continue;
                    }
                    unclear = Some(id);
                    break;
                }
                // Its owner finds it in no list now, so what is garbage stays so.
                let others = others.iter().map(|other| other.record.get());
                let garbage = match buffer.is_plain() {
                    true => is_garbage(record, others, buffer.settled),
                    false => None,
                };
                let Some(sets) = garbage else {
                    unclear = Some(id);
                    break;
                };
                if room > 0 && buffer.order >= direct.order {
                    let free = State(buffer.home.0 | flags);
                    // Where somebody took it after all, it is live.
                    if record.exchange(state, free).is_ok() {
                        buffer.begin_anew(sets);
                        pool.control.put_one(id);
                        room -= 1;
                    }
                    continue;
                }
                found.push(id);
                if found.len() >= most {
                    break;
                }
            }
            let done = steps - left;
            *looks -= done;
            round.left -= done;
            pool.looked_at -= done;
            if unclear.is_some() {
                break;
            }
        }
        direct.room -= had - room;
        direct.count += had - room;
        unclear
    }

    /// Makes garbage, or a new buffer, free for its owner. Answers its order; nothing where somebody
    /// took a reference after all.
    pub(crate) fn recycle(&mut self, id: CbufId, flags: u64) -> Option<u32> {
        let buffer = self.buffers.get_mut(id.0 as usize)?.as_mut()?;
        Self::make_free(&mut self.machine, buffer, flags).then_some(buffer.order)
    }

    fn make_free(machine: &mut M, buffer: &mut Buffer<M::Frame, M::Mapping>, flags: u64) -> bool {
        let Some((owner, others)) = buffer.holders.split_first() else {
            return false;
        };
        // Who was told that nobody writes the buffer may have taken it just now, if its owner
        // lied about what it sent.
        if buffer.sealed && !others.iter().all(|h| Control::unseal(h.record.get())) {
            return false;
        }
        let record = owner.record.get();
        let free = State(buffer.home.0 | State::FREE | flags);
        if !Control::restate(record, record.load(), free) {
            return false;
        }
        buffer.begin_anew(u64::MAX);
        // Who died has it mapped no longer, so it is no sender of what comes.
        if buffer.dead != 0 {
            for record in buffer.records() {
                record.senders.fetch_and(!buffer.dead, Ordering::SeqCst);
            }
            buffer.dead = 0;
        }
        if buffer.sealed
            && let Some(owner) = buffer.holders.first()
        {
            // It is in no list of the owner's yet, so it is writable before it is allocated.
            let component = owner.component;
            let opened = machine.protect(component, &owner.mapping, buffer.order, true);
            if opened.is_err() {
                return false;
            }
            buffer.sealed = false;
        }
        true
    }

    /// Ends garbage while the pool holds more than its limit, at most `ends`.
    pub(crate) fn take_excess(
        &mut self,
        owner: ComponentId,
        garbage: &mut Vec<CbufId>,
        ends: &mut usize,
    ) -> Result<(), Error> {
        let mut freed = 0;
        while *ends > 0
            && self.pool(owner)?.held > self.pool(owner)?.limit
            && let Some(id) = garbage.pop()
        {
            *ends -= 1;
            freed += self.end_garbage(id).unwrap_or(0);
        }
        if freed > 0 {
            self.wake_all();
        }
        Ok(())
    }
}
