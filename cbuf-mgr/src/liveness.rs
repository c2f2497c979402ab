//! When a buffer is garbage: no component references it, and every send was received. Source:
//! CBUFs, section 3.2.
//!
//! Reading the counters takes time, and one pass over them is unsound while components run: let X
//! send to P1, P1 pass the buffer on to P2 and keep its reference, and P2 free it. A pass that
//! reads P1 before all this and X and P2 after it finds no reference, one send and one receipt,
//! while P1 still holds the buffer. So we read until two passes in a row agree.
//!
//! Why that is enough: a component goes from holding none to holding a reference only by a
//! receipt, and it raises the reference first and counts the receipt second. Counters only
//! grow, so when two passes read the same counters, these were the counters during all the time
//! between, in particular at a moment T after the first pass and before the second. They balance,
//! so at T nothing was on its way (a send is counted before its receipt). Suppose P held a
//! reference at T. The first pass read P's reference count, after P's counters, as zero, so P
//! raised it later; it has counted that receipt either before the second pass read the
//! counters, which would have changed them, or after T, but then the send was on its way at T.
//! Both contradict. Allocation makes references too, of what lies in the owner's lists: who asks
//! has seen before that the owner's record is neither referenced nor `FREE`, and only the manager
//! makes it so again. All accesses are sequentially consistent, so "before" has one meaning.
//! `tests/liveness` has a model checker look for a way around the argument.

use libcbuf::meta::Record;
use libcbuf::primitive::Ordering;

/// Passes before a buffer whose counters keep changing counts as live.
const PASSES: usize = 4;

/// Sums over components. They wrap around; 2^32 sends between two reads cannot happen.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Counts {
    pub sent: u32,
    pub received: u32,
    /// Everyone it was ever sent to.
    pub receivers: u64,
}

impl Counts {
    /// Adds what `record` says now.
    #[inline]
    pub fn add(&mut self, record: &impl Look) {
        self.sent = self.sent.wrapping_add(record.sent());
        self.received = self.received.wrapping_add(record.received());
        self.receivers |= record.sent_to();
    }

    /// Adds what `record` said when its component ceased to be a holder. What it sent stays sent,
    /// to those that it could reach.
    pub fn settle(&mut self, record: &Record, peers: u64) {
        let known = self.receivers;
        self.add(&record);
        self.receivers = known | self.receivers & peers;
    }

    /// What they say of a buffer that nobody references, while `alive` can receive.
    #[inline]
    pub fn verdict(self, alive: u64) -> Verdict {
        if self.sent == self.received {
            Verdict::Garbage
        } else if self.receivers & alive == 0 {
            Verdict::Lost
        } else {
            Verdict::Live
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verdict {
    /// Referenced, or on its way, or not to be told now.
    Live,
    Garbage,
    /// Nobody references it, and what is on its way was meant for components that are dead. To
    /// be ended, not used again under its id: a sender may not know of the death yet, and the
    /// receiver be alive again when the id arrives.
    Lost,
}

/// What a pass reads in one component's record.
pub trait Look {
    fn sent(&self) -> u32;
    fn received(&self) -> u32;
    fn sent_to(&self) -> u64;
    /// 0 only where nothing says whom it was sent to.
    #[inline]
    fn sets(&self) -> u64 {
        self.sent_to()
    }
    fn is_referenced(&self) -> bool;
}

impl Look for &Record {
    #[inline]
    fn sent(&self) -> u32 {
        self.sent.load(Ordering::SeqCst)
    }
    #[inline]
    fn received(&self) -> u32 {
        self.received.load(Ordering::SeqCst)
    }
    #[inline]
    fn sent_to(&self) -> u64 {
        Record::sent_to(self)
    }
    #[inline]
    fn sets(&self) -> u64 {
        self.receivers.load(Ordering::SeqCst)
    }
    #[inline]
    fn is_referenced(&self) -> bool {
        self.load().references() != 0
    }
}

/// What a buffer is that is mapped where `records` are. `settled` are the counts of components
/// that had it mapped once; `alive` those that can receive. Bounded.
pub fn judge(
    records: impl Iterator<Item = impl Look> + Clone,
    settled: Counts,
    alive: u64,
) -> Verdict {
    agreed(records, Collection::for_verdict(settled, alive))
        .map_or(Verdict::Live, |counts| counts.verdict(alive))
}

/// Whether a buffer is garbage of whom `first` and `others` say that they have it mapped: all
/// receipts first, then each record's references before its sends. If so, answers 0 where the others
/// say of nobody that they sent it there. It may answer no where [`judge`] finds out more.
///
/// Why that is enough: let T be a moment after the last receipts were read and before sends are.
/// Counters only grow and a send is counted before its receipt, so `receipts read <= receipts at T <=
/// sends at T <= sends read`. Where the first and the last are equal, nothing was on its way at T, and
/// nobody counted a send between T and the look at its sends. Whoever had a reference at T dropped
/// it before the second look at its references, which comes before that at its sends; so it sent
/// nothing after T. Nobody else can have a reference then: the first to take one after T would need a
/// send that was on its way at T, or was counted later by one who had a reference at T.
#[inline]
pub fn is_garbage(
    first: impl Look,
    others: impl Iterator<Item = impl Look> + Clone,
    settled: Counts,
) -> Option<u64> {
    let mut received = settled.received.wrapping_add(first.received());
    for record in others.clone() {
        // Most that are not garbage are in use by a receiver.
        if record.is_referenced() {
            return None;
        }
        received = received.wrapping_add(record.received());
    }
    if first.is_referenced() {
        return None;
    }
    let mut sent = settled.sent.wrapping_add(first.sent());
    let mut sets = 0;
    for record in others {
        if record.is_referenced() {
            return None;
        }
        sent = sent.wrapping_add(record.sent());
        sets |= record.sets();
    }
    (sent == received).then_some(sets)
}

/// The counts of a buffer that nobody references, whatever they say; `None` where somebody does,
/// or where they keep changing.
pub fn at_rest(
    records: impl Iterator<Item = impl Look> + Clone,
    settled: Counts,
) -> Option<Counts> {
    agreed(records, Collection::new(settled, None))
}

/// What two passes in a row agree on; `None` as soon as one of them meets a reference or counts
/// that are not wanted.
#[inline]
fn agreed(
    records: impl Iterator<Item = impl Look> + Clone,
    mut collection: Collection,
) -> Option<Counts> {
    loop {
        for record in records.clone() {
            if !collection.look(&record) {
                return None;
            }
        }
        match collection.end_pass() {
            Pass::Again => {}
            Pass::Agrees(counts) => return Some(counts),
            Pass::Vain => return None,
        }
    }
}

/// One question about one buffer, between two looks at records.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Collection {
    settled: Counts,
    /// Those that can receive, where counts that say [`Verdict::Live`] end the question.
    alive: Option<u64>,
    counts: Counts,
    before: Option<Counts>,
    passes: usize,
}

/// What a pass came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pass {
    Again,
    /// It is the second that read these counts, and nobody had a reference.
    Agrees(Counts),
    /// The counts say what was not asked for, or change all the time.
    Vain,
}

impl Collection {
    /// Whether the buffer can be used again, while `alive` can receive.
    #[inline]
    pub fn for_verdict(settled: Counts, alive: u64) -> Self {
        Self::new(settled, Some(alive))
    }

    #[inline]
    fn new(settled: Counts, alive: Option<u64>) -> Self {
        Self {
            settled,
            alive,
            counts: settled,
            before: None,
            passes: PASSES,
        }
    }

    /// Looks at one component's record; false, and the question is answered, where the component
    /// has a reference.
    #[inline]
    #[must_use]
    pub fn look(&mut self, record: &impl Look) -> bool {
        // Its counters before its references: see above.
        self.counts.add(record);
        !record.is_referenced()
    }

    /// After a look at each record.
    #[inline]
    pub fn end_pass(&mut self) -> Pass {
        let counts = core::mem::replace(&mut self.counts, self.settled);
        if (self.alive).is_some_and(|alive| counts.verdict(alive) == Verdict::Live) {
            return Pass::Vain;
        }
        if self.before == Some(counts) {
            return Pass::Agrees(counts);
        }
        self.before = Some(counts);
        self.passes -= 1;
        if self.passes == 0 {
            Pass::Vain
        } else {
            Pass::Again
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use libcbuf::meta::State;

    #[test]
    fn garbage_is_found_at_rest() {
        let records: [Record; 3] = Default::default();
        // Sent once by each of two, received twice by the third.
        records[0].sent.store(1, Ordering::SeqCst);
        records[1].sent.store(1, Ordering::SeqCst);
        records[2].received.store(2, Ordering::SeqCst);
        let verdict = |settled, alive| judge(records.iter(), settled, alive);
        assert_eq!(verdict(Counts::default(), u64::MAX), Verdict::Garbage);
        // A former holder received once more than all sent, and so on.
        let settled = Counts {
            sent: u32::MAX,
            received: 0,
            receivers: 1 << 5,
        };
        assert_eq!(verdict(settled, 1 << 5), Verdict::Live);
        assert_eq!(verdict(settled, !(1 << 5)), Verdict::Lost);
        let settled = Counts {
            sent: u32::MAX,
            received: u32::MAX,
            receivers: 1 << 5,
        };
        assert_eq!(verdict(settled, u64::MAX), Verdict::Garbage);
        records[2].state.store(State::REFERENCES, Ordering::SeqCst);
        assert_eq!(verdict(settled, u64::MAX), Verdict::Live);
    }
}
