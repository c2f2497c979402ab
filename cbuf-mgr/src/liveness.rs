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

    /// Nothing is on its way to a component that is `alive`.
    fn balanced(self, alive: u64) -> bool {
        self.sent == self.received || self.receivers & alive == 0
    }
}

/// Whether a buffer that is mapped where `records` are is garbage. `settled` are the counts of
/// components that had it mapped once; `alive` those that can still receive. Bounded; "no" also
/// when it cannot be told now.
pub fn is_garbage<'r>(
    records: impl Iterator<Item = &'r Record> + Clone,
    settled: Counts,
    alive: u64,
) -> bool {
    let mut before = None;
    for _ in 0..PASSES {
        let mut counts = settled;
        // Counters before references: see above.
        records.clone().for_each(|r| counts.add(r));
        if records.clone().any(|r| r.load().references() != 0) || !counts.balanced(alive) {
            return false;
        }
        if before == Some(counts) {
            return true;
        }
        before = Some(counts);
    }
    false
}
