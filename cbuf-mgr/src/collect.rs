//! What a client gets when its freelist is empty: its garbage, else a new buffer (more where
//! garbage is rare), else one made
//! from what lies idle in its pool in other sizes, else its thread waits. Source: CBUFs,
//! section 3.5.
//!
//! A collection costs a look at what the client owns and at their holders, at most until the ring
//! is full; the next one goes on where it stopped. It is done in parts of [`LOOKS`] buffers, between
//! which another thread may have the manager: so nobody waits for the collection of another's
//! large pool. Each part leaves everything in order, and what it found is ready in the ring; the
//! last hands all of it over at once.

use crate::control::Control;
use crate::liveness::{Verdict, is_garbage};
use crate::machine::Machine;
use crate::manager::Manager;
use crate::pool::{Buffer, pages_of, push};
use abi::{ComponentId, Error, ThreadId};
use alloc::vec::Vec;
use libcbuf::meta::{CbufId, State};
use libcbuf::primitive::Ordering;

/// Most buffers made in one collection that nobody asked for yet.
const AHEAD: usize = 32;
/// Most of them in one part, and most pages that it clears.
const MADE: usize = 4;
const CLEARED: u64 = 64;
/// Most buffers that a part looks at.
pub(crate) const LOOKS: usize = 64;
/// Most buffers that a part ends.
pub(crate) const ENDS: usize = 8;

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
    order: u32,
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

/// What a look hands over without further thought.
pub(crate) struct Direct {
    /// Of this order, or larger.
    order: u32,
    space: usize,
    ids: [CbufId; LOOKS],
    count: usize,
}

impl Direct {
    fn new(order: u32, space: usize) -> Self {
        Self {
            order,
            space: space.min(LOOKS),
            ids: [CbufId::NONE; LOOKS],
            count: 0,
        }
    }
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

/// What an attempt to make a buffer came to.
enum Grown {
    Made(CbufId),
    Nothing,
    /// Idle buffers were ended for it, and more have to be.
    Later,
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
                self.note(caller, round.thread, |timing| timing.calls += 1);
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

    /// After looks that found nothing; answers whether that is all.
    fn ask(&mut self, caller: ComponentId, round: &mut Round) -> Result<bool, Error> {
        round.stage = Stage::Ask;
        round.left = self.pool(caller)?.owned.len();
        Ok(!round.wait)
    }

    fn begin_look(&mut self, caller: ComponentId, round: &mut Round) -> Result<(), Error> {
        self.end_quarantine(caller)?;
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
        self.sweep(caller, round, found, Some(&mut direct))?;
        let collected = (direct.count + found.len()) as u64;
        self.note(caller, round.thread, |timing| timing.collected += collected);
        let ready = direct.ids.get(..direct.count).unwrap_or(&[]);
        self.pool_mut(caller)?.control.put(ready);
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
        let pool = self.pool_mut(caller)?;
        let ahead = (pool.owned.len() / 4).min(AHEAD).saturating_sub(have);
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
    fn put(
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

    /// Makes garbage, or a new buffer, free for its owner. What it holds next was sent to nobody
    /// yet: who was sent what it held before and never took it shall not map it now. Answers its
    /// order; nothing where somebody took a reference after all.
    fn recycle(&mut self, id: CbufId, flags: u64) -> Option<u32> {
        let buffer = self.buffers.get_mut(id.0 as usize)?.as_mut()?;
        Self::make_free(&mut self.machine, buffer, flags).then_some(buffer.order)
    }

    #[inline]
    fn make_free(machine: &mut M, buffer: &mut Buffer<M::Frame, M::Mapping>, flags: u64) -> bool {
        let flags = flags | State::FREE;
        let state = State::new(machine.place(buffer.page), buffer.order, flags);
        let Some((owner, others)) = buffer.holders.split_first() else {
            return false;
        };
        // Who was told that nobody writes the buffer may have taken it just now, if its owner
        // lied about what it sent.
        if buffer.sealed && !others.iter().all(|h| Control::unseal(h.record.get())) {
            return false;
        }
        if !Control::restate(owner.record.get(), state) {
            return false;
        }
        // Nothing is on its way, so the receivers so far say nothing that is still wanted. The
        // owner's end when it allocates.
        for holder in others {
            holder.record.get().receivers.store(0, Ordering::SeqCst);
        }
        buffer.settled.receivers = 0;
        buffer.kept = None;
        (!buffer.sealed && buffer.dead == 0) || Self::make_free_rarely(machine, buffer)
    }

    /// What there is to do besides where the buffer was sealed or a holder died.
    #[cold]
    #[inline(never)]
    fn make_free_rarely(machine: &mut M, buffer: &mut Buffer<M::Frame, M::Mapping>) -> bool {
        // Who died has it mapped no longer, so it is no sender of what comes.
        for record in buffer.records() {
            record.senders.fetch_and(!buffer.dead, Ordering::SeqCst);
        }
        buffer.dead = 0;
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

    /// Looks at some of the `left` buffers of a client's, from where the last look ended, and
    /// counts them off. Appends the garbage that does not go to the client directly, and ends what
    /// is lost.
    pub(crate) fn sweep(
        &mut self,
        owner: ComponentId,
        round: &mut Round,
        found: &mut Vec<CbufId>,
        mut direct: Option<&mut Direct>,
    ) -> Result<(), Error> {
        found.try_reserve(LOOKS + 1).map_err(|_| Error::NoMemory)?;
        let now = self.machine.ticks();
        let (mut looks, mut lost) = (LOOKS, 0);
        while lost < ENDS
            && let Some(id) = self.scan(owner, round, &mut looks, found, direct.as_deref_mut())
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
                    if self.destroy(id).is_ok() {
                        // Another has its place: that is looked at as well.
                        self.pool_mut(owner)?.looked_at += 1;
                        round.left += 1;
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
        mut direct: Option<&mut Direct>,
    ) -> Option<CbufId> {
        let wanted = self.wanted(Some(owner));
        let pool = self.pools.get_mut(owner.0 as usize)?.as_mut()?;
        let over = pool.held > pool.limit && round.ends > 0;
        let most = if over { round.ends } else { LOOKS };
        let in_use_is_all = self.fallen == 0 && pool.lent == 0;
        let direct_order = direct
            .as_ref()
            .filter(|_| !over)
            .map_or(u32::MAX, |d| d.order);
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
            let mut done = 0;
            let mut unclear = None;
            for &id in pool.owned[from..from + steps].iter().rev() {
                done += 1;
                let Some(Some(buffer)) = self.buffers.get_mut(id.0 as usize) else {
                    continue;
                };
                let Some(record) = buffer.records().next() else {
                    continue;
                };
                // Most are in use by their owner or free, which one word tells. After a death
                // the whole look is wanted, for it sees what stands still.
                let state = record.load();
                if match state.references() {
                    0 => state.has(State::FREE),
                    _ => in_use_is_all,
                } {
                    continue;
                }
                if buffer.payer.is_some() || !is_garbage(buffer.records(), buffer.settled) {
                    unclear = Some(id);
                    break;
                }
                if buffer.order >= direct_order
                    && let Some(direct) = &mut direct
                    && let Some(place) = direct.ids[..direct.space].get_mut(direct.count)
                {
                    // Somebody took it after all: then it is live.
                    if Self::make_free(&mut self.machine, buffer, wanted) {
                        *place = id;
                        direct.count += 1;
                    }
                    continue;
                }
                found.push(id);
                if found.len() >= most {
                    break;
                }
            }
            *looks -= done;
            round.left -= done;
            pool.looked_at -= done;
            if unclear.is_some() {
                return unclear;
            }
        }
        None
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
    fn make_ahead(
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
