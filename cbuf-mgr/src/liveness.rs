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
//! reference at T. The first pass read P's reference count, after its counters, as zero, so P
//! raised it later; it has counted that receipt either before the second pass read the
//! counters, which would have changed them, or after T, but then the send was on its way at T.
//! Both contradict. Allocation makes references from `FREE` records only, which are not asked
//! about here; all accesses are sequentially consistent, so "before" has one meaning.

use libcbuf::meta::Record;
use libcbuf::primitive::Ordering;

/// Passes before a buffer whose counters keep changing counts as live.
const PASSES: usize = 4;

/// Sums over components. They wrap around; 2^32 sends between two reads cannot happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    pub sent: u32,
    pub received: u32,
    /// Everyone it was ever sent to.
    pub receivers: u64,
}

impl Counts {
    /// Adds what `record` says now.
    pub fn add(&mut self, record: &Record) {
        self.sent = self.sent.wrapping_add(record.sent.load(Ordering::SeqCst));
        let received = record.received.load(Ordering::SeqCst);
        self.received = self.received.wrapping_add(received);
        self.receivers |= record.receivers.load(Ordering::SeqCst);
    }

    /// Adds what `record` said when its component ceased to be a holder. What it sent stays sent,
    /// to those that it could reach.
    pub fn settle(&mut self, record: &Record, peers: u64) {
        let known = self.receivers;
        self.add(record);
        self.receivers = known | self.receivers & peers;
    }

    fn verdict(self, alive: u64) -> Verdict {
        if self.sent == self.received {
            Verdict::Garbage
        } else if self.receivers & alive == 0 {
            Verdict::Lost
        } else {
            Verdict::Live
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Referenced, or on its way, or not to be told now.
    Live,
    Garbage,
    /// Nobody references it, and what is on its way was meant for components that are dead. To
    /// be ended, not used again under its id: a sender may not know of the death yet, and the
    /// receiver be alive again when the id arrives.
    Lost,
}

/// What a buffer is that is mapped where `records` are. `settled` are the counts of components
/// that had it mapped once; `alive` those that can receive. Bounded.
pub fn judge<'r>(
    records: impl Iterator<Item = &'r Record> + Clone,
    settled: Counts,
    alive: u64,
) -> Verdict {
    let mut before = None;
    for _ in 0..PASSES {
        let mut counts = settled;
        // Counters before references: see above.
        records.clone().for_each(|r| counts.add(r));
        let verdict = counts.verdict(alive);
        if records.clone().any(|r| r.load().references() != 0) || verdict == Verdict::Live {
            return Verdict::Live;
        }
        if before == Some(counts) {
            return verdict;
        }
        before = Some(counts);
    }
    Verdict::Live
}
