//! What a client gets when its freelist is empty: its garbage ([`crate::sweep`]), else a new buffer
//! (more where garbage is rare), else one made from what lies idle in its pool in other sizes
//! ([`crate::extend`]), else its thread waits. Source: CBUFs, section 3.5.
//!
//! A collection costs a look at what the client owns and at their holders, at most until the ring
//! is full; the next one goes on where it stopped. It is done in parts of bounded length, between
//! which another thread may have the manager: so nobody waits for the collection of another's
//! large pool. Each part leaves everything in order, and what it found is ready in the ring; the
//! last hands all of it over at once.

use crate::extend::Grown;
use crate::machine::Machine;
use crate::manager::Manager;
use crate::pool::{pages_of, push};
use crate::sweep::Direct;
use abi::{ComponentId, Error, ThreadId};
use alloc::vec::Vec;
use libcbuf::meta::CbufId;

/// Most buffers made in one collection that nobody asked for yet.
const AHEAD: u64 = 32;
/// Most pages of them.
const MOST_AHEAD: u64 = 64;
/// Most buffers that a part asks to be told of, or charges, and ids that it finds to be free again.
pub(crate) const LOOKS: usize = 64;
/// Most buffers that a part ends.
pub(crate) const ENDS: usize = 8;

/// A thread that waits looks again after 5 ms, and nobody has patience for more than a second.
const TRIES_IN_PATIENCE: u64 = 200;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// So many buffers of the order asked for, or larger, were handed over.
    Ready(u32),
    /// The thread is registered ([`crate::wait`]): it blocks until it is woken or some
    /// milliseconds have passed, then calls [`Manager::unblocked`].
    Block,
}

/// A client's `collect` under way.
#[derive(Debug)]
pub struct Round {
    thread: ThreadId,
    pub(crate) order: u32,
    wait: bool,
    stage: Stage,
    /// Buffers that the stage has still to do.
    pub(crate) left: usize,
    /// Buffers of the order asked for, or larger, that are in the ring by now.
    ready: u32,
    /// Most buffers that it still ends because the pool is over its limit: who makes the pool
    /// smaller ends the others, not who needs memory.
    pub(crate) ends: usize,
    charged: bool,
    short_of_frames: bool,
    /// The thread is among those that are told.
    waits: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Begin,
    Look,
    /// Nothing was found: others pay for what they hold for too long.
    Charge,
    /// Some do, so that there is room.
    LookCharged,
    /// What `left` counts is to be made.
    Ahead,
    /// Nothing was found: ask to be told, of all that the client owns.
    Ask,
    /// Then look once more: a free between the two looks is either seen by the second or tells us.
    LookAgain,
}

impl Round {
    /// A look at `left` buffers that nobody asked for.
    pub(crate) fn taking(left: usize) -> Self {
        let mut round = Self::new(ThreadId(0), 0, false);
        round.left = left;
        round
    }

    /// What `thread` asks for with a call of `collect`.
    pub fn new(thread: ThreadId, order: u32, wait: bool) -> Self {
        Self {
            thread,
            order,
            wait,
            stage: Stage::Begin,
            left: 0,
            ready: 0,
            ends: ENDS,
            charged: false,
            short_of_frames: false,
            waits: false,
        }
    }
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
        let mut round = Round::new(thread, order, wait);
        loop {
            if let Some(step) = self.collect_part(caller, &mut round)? {
                return Ok(step);
            }
        }
    }

    /// One part of [`Manager::collect`], of bounded length; `None` until it is done.
    pub fn collect_part(
        &mut self,
        caller: ComponentId,
        round: &mut Round,
    ) -> Result<Option<Step>, Error> {
        let start = self.machine.ticks();
        self.short_of_frames = round.short_of_frames;
        let done = self.part(caller, round);
        round.short_of_frames = self.short_of_frames;
        let ticks = self.machine.ticks().wrapping_sub(start);
        let thread = round.thread;
        self.note(caller, thread, |timing| timing.collecting_ticks += ticks);
        if done == Ok(false) {
            return Ok(None);
        }
        if round.waits && (done.is_err() || round.ready > 0) {
            self.stop_waiting(caller, thread);
        } else if round.waits && round.short_of_frames {
            self.wait_for_frames(thread);
        }
        done?;
        Ok(Some(match round.ready {
            0 if round.wait => Step::Block,
            0 => {
                // Whoever may not wait lacks the memory no less: the policy is to see it.
                self.note(caller, thread, |timing| timing.blocked_ticks += 1);
                let now = self.machine.ticks();
                self.pool_mut(caller)?.refused = Some(now);
                Step::Ready(0)
            }
            ready => Step::Ready(ready),
        }))
    }

    fn part(&mut self, caller: ComponentId, round: &mut Round) -> Result<bool, Error> {
        let need = pages_of(round.order)?;
        // It may have died since the last part.
        let pool = self.enter(caller)?;
        let owned = pool.owned.len();
        match round.stage {
            Stage::Begin => {
                if need > pool.terms.max_pages {
                    return Err(Error::NoMemory);
                }
                let lacked = self.lacked(caller)?;
                self.note(caller, round.thread, |timing| {
                    timing.calls += 1;
                    timing.blocked_ticks += lacked;
                });
                self.review_charges(caller)?;
                round.stage = Stage::Look;
                self.begin_look(caller, round)?;
            }
            Stage::Ask => {
                let first = round.left.saturating_sub(LOOKS);
                let ids = self.pool(caller)?.owned.get(first..round.left.min(owned));
                for id in ids.unwrap_or(&[]) {
                    self.mark_relinquish(*id);
                }
                round.left = first;
                if first > 0 {
                    return Ok(false);
                }
                // From here on it is told of what the look, part by part, no longer sees.
                self.wait(caller, round.thread);
                round.waits = true;
                round.stage = Stage::LookAgain;
                self.begin_look(caller, round)?;
            }
            Stage::Charge => {
                let first = round.left.saturating_sub(LOOKS);
                let now = self.machine.ticks();
                round.charged |= self.charge_keepers(caller, now, first..round.left)?;
                round.left = first;
                if first > 0 {
                    return Ok(false);
                }
                if !round.charged {
                    return self.ask(caller, round);
                }
                round.stage = Stage::LookCharged;
                self.begin_look(caller, round)?;
            }
            Stage::Look | Stage::LookCharged | Stage::Ahead | Stage::LookAgain => {}
        }
        let mut found = core::mem::take(&mut self.scratch);
        let done = match round.stage {
            Stage::Ahead => self.make_ahead(caller, round, &mut found),
            _ => self.look(caller, round, &mut found),
        };
        found.clear();
        self.scratch = found;
        if !done? || round.ready > 0 {
            return done;
        }
        match round.stage {
            Stage::Look => {
                round.stage = Stage::Charge;
                round.left = self.pool(caller)?.owned.len();
                Ok(false)
            }
            Stage::LookCharged => self.ask(caller, round),
            _ => Ok(true),
        }
    }

    /// The time since an allocation that may not wait failed: until it is tried again, its thread
    /// waits in some other way. Longer than a thread would wait at a time does not count: then
    /// nobody wanted it any more.
    fn lacked(&mut self, caller: ComponentId) -> Result<u64, Error> {
        let (now, most) = (self.machine.ticks(), self.patience / TRIES_IN_PATIENCE);
        let since = self.pool_mut(caller)?.refused.take();
        Ok(since.map_or(0, |since| now.saturating_sub(since).min(most)))
    }

    /// After looks that found nothing; answers whether that is all.
    fn ask(&mut self, caller: ComponentId, round: &mut Round) -> Result<bool, Error> {
        round.stage = Stage::Ask;
        round.left = self.pool(caller)?.owned.len();
        Ok(!round.wait)
    }

    fn begin_look(&mut self, caller: ComponentId, round: &mut Round) -> Result<(), Error> {
        // Where nothing is taken from freelists any more, it is worth a look at all of them.
        let full = self.quarantine_full(caller)?;
        self.end_quarantine(caller, if full { usize::MAX } else { LOOKS })?;
        self.note(caller, round.thread, |timing| timing.collections += 1);
        round.left = self.pool(caller)?.owned.len();
        Ok(())
    }

    /// Gets ready what there is, part by part; the last makes a buffer where there is none.
    /// Answers whether that is done, and hands everything over then.
    fn look(
        &mut self,
        caller: ComponentId,
        round: &mut Round,
        found: &mut Vec<CbufId>,
    ) -> Result<bool, Error> {
        let order = round.order;
        let space = self.pool(caller)?.control.space();
        if space == 0 {
            // Handed over enough: the client has to take it out first.
            self.pool_mut(caller)?.control.hand_over(&[]);
            return Ok(true);
        }
        let mut direct = Direct::new(order, space);
        self.sweep(caller, round, found, &mut direct)?;
        let collected = (direct.count + found.len()) as u64;
        self.note(caller, round.thread, |timing| timing.collected += collected);
        round.ready += direct.count as u32;
        let space = space - direct.count;
        self.take_excess(caller, found, &mut round.ends)?;
        let fits = found
            .iter()
            .filter(|id| self.order_of(**id) >= order)
            .count();
        let mut have = round.ready as usize + fits;
        if round.left > 0 && (have == 0 || found.len() < space) {
            // One place is kept for what was asked for.
            let most = space.saturating_sub(usize::from(have == 0));
            self.put(caller, round, found, most)?;
            return Ok(false);
        }
        if have == 0 {
            match self.grow(caller, order, found)? {
                Grown::Made(id) => {
                    push(found, id)?;
                    have = 1;
                }
                Grown::Nothing => {}
                Grown::Later => {
                    self.put(caller, round, found, space.saturating_sub(1))?;
                    return Ok(false);
                }
            }
        }
        self.put(caller, round, found, space)?;
        let filling = self.filling.max(1);
        let pool = self.pool_mut(caller)?;
        let need = pages_of(order)?;
        // A pool is there to be used: the larger, the rarer its collections.
        let room = pool
            .limit
            .saturating_sub(pool.held)
            .min(pool.limit / filling);
        let ahead = (room.min(MOST_AHEAD) / need).min(AHEAD) as usize;
        let ahead = ahead.max(
            (pool.owned.len() / 4)
                .min(AHEAD as usize)
                .saturating_sub(have),
        );
        if round.ready > 0 && ahead > 0 {
            // A look at all that a client owns should pay for more than one allocation.
            round.stage = Stage::Ahead;
            round.left = ahead;
            return Ok(false);
        }
        pool.control.hand_over(&[]);
        Ok(true)
    }

    fn order_of(&self, id: CbufId) -> u32 {
        self.buffer(id).map_or(0, |buffer| buffer.order)
    }

    /// Gets at most `most` buffers ready for the client.
    pub(crate) fn put(
        &mut self,
        caller: ComponentId,
        round: &mut Round,
        found: &mut Vec<CbufId>,
        most: usize,
    ) -> Result<(), Error> {
        if found.len() > most {
            // The ring does not take all: what was asked for comes first.
            found.sort_unstable_by_key(|id| core::cmp::Reverse(self.order_of(*id)));
            found.truncate(most);
        }
        let wanted = self.wanted(Some(caller));
        found.retain(|id| {
            let order = self.recycle(*id, wanted);
            round.ready += u32::from(order.is_some_and(|order| order >= round.order));
            order.is_some()
        });
        self.pool_mut(caller)?.control.put(found);
        Ok(())
    }
}
