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

/// What a pass reads in one component's record.
pub trait Look {
    fn sent(&self) -> u32;
    fn received(&self) -> u32;
    fn sent_to(&self) -> u64;
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
    let over = |counts: &Counts| counts.verdict(alive) != Verdict::Live;
    agreed(records, settled, over).map_or(Verdict::Live, |counts| counts.verdict(alive))
}

/// The counts of a buffer that nobody references, whatever they say; `None` where somebody does,
/// or where they keep changing.
pub fn at_rest(
    records: impl Iterator<Item = impl Look> + Clone,
    settled: Counts,
) -> Option<Counts> {
    agreed(records, settled, |_| true)
}

/// What two passes in a row agree on; `None` as soon as one of them meets a reference or counts
/// that are not `wanted`.
#[inline]
fn agreed(
    records: impl Iterator<Item = impl Look> + Clone,
    settled: Counts,
    wanted: impl Fn(&Counts) -> bool,
) -> Option<Counts> {
    let mut before = None;
    for _ in 0..PASSES {
        let mut counts = settled;
        for record in records.clone() {
            // Its counters before its references: see above.
            counts.add(&record);
            if record.is_referenced() {
                return None;
            }
        }
        if !wanted(&counts) {
            return None;
        }
        if before == Some(counts) {
            return before;
        }
        before = Some(counts);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use libcbuf::meta::State;
    use std::cell::Cell;

    /// What a component does to a buffer, one shared access at a time.
    #[derive(Clone, Copy)]
    enum Do {
        Send(usize),
        Reference(usize),
        Receipt(usize),
        Free(usize),
    }
    use Do::*;

    /// Components' records, and a script that runs while a collector reads them: event `n` happens
    /// just before visit `when[n]`.
    struct World {
        records: [Record; 3],
        script: &'static [Do],
        when: Vec<usize>,
        done: Cell<usize>,
        visits: Cell<usize>,
    }

    impl World {
        /// Component 1 holds the buffer.
        fn new(script: &'static [Do], when: &[usize]) -> Self {
            let records: [Record; 3] = Default::default();
            records[1].state.store(1, Ordering::SeqCst);
            Self {
                records,
                script,
                when: when.to_vec(),
                done: Cell::new(0),
                visits: Cell::new(0),
            }
        }

        /// What the script does before the collector's next read, of component `n`'s record.
        fn visit(&self, n: usize) -> &Record {
            while self
                .when
                .get(self.done.get())
                .is_some_and(|w| *w <= self.visits.get())
            {
                match self.script[self.done.get()] {
                    Send(c) => self.records[c].sent.fetch_add(1, Ordering::SeqCst),
                    Receipt(c) => self.records[c].received.fetch_add(1, Ordering::SeqCst),
                    Reference(c) => self.records[c].state.fetch_add(1, Ordering::SeqCst) as u32,
                    Free(c) => self.records[c].state.fetch_sub(1, Ordering::SeqCst) as u32,
                };
                self.done.set(self.done.get() + 1);
            }
            self.visits.set(self.visits.get() + 1);
            &self.records[n]
        }

        fn records(&self) -> impl Iterator<Item = Read<'_>> + Clone {
            (0..3).map(|n| Read(self, n))
        }

        /// Referenced, or on its way, as things stand.
        fn live(&self) -> bool {
            let mut counts = Counts::default();
            self.records.iter().for_each(|r| counts.add(&r));
            counts.sent != counts.received || self.records.iter().any(|r| r.load().references() > 0)
        }
    }

    /// A record of which each word is a visit of its own.
    #[derive(Clone)]
    struct Read<'w>(&'w World, usize);

    impl Look for Read<'_> {
        fn sent(&self) -> u32 {
            self.0.visit(self.1).sent.load(Ordering::SeqCst)
        }
        fn received(&self) -> u32 {
            self.0.visit(self.1).received.load(Ordering::SeqCst)
        }
        // The scripts say nothing of receivers.
        fn sent_to(&self) -> u64 {
            0
        }
        fn is_referenced(&self) -> bool {
            self.0.visit(self.1).load().references() != 0
        }
    }

    /// The paper's collector: one pass.
    fn judge_once(records: impl Iterator<Item = impl Look>) -> bool {
        let (mut counts, mut referenced) = (Counts::default(), false);
        for record in records {
            counts.add(&record);
            referenced |= record.is_referenced();
        }
        !referenced && counts.sent == counts.received
    }

    /// Every way to place the script's events among a collector's visits.
    fn schedules(script: &'static [Do], visits: usize, mut each: impl FnMut(World)) {
        let mut when = vec![0; script.len()];
        loop {
            each(World::new(script, &when));
            let Some(at) = (0..when.len()).rev().find(|n| when[*n] < visits) else {
                return;
            };
            let next = when[at] + 1;
            when[at..].fill(next);
        }
    }

    /// X (1) sends to P (0), who passes it on to Q (2) and keeps it; X and Q free it.
    const CHAIN: &[Do] = &[
        Send(1),
        Free(1),
        Reference(0),
        Receipt(0),
        Send(0),
        Reference(2),
        Receipt(2),
        Free(2),
    ];
    /// X sends to Q, Q sends it back and frees it, X frees one of its two.
    const CYCLE: &[Do] = &[
        Send(1),
        Free(1),
        Reference(2),
        Receipt(2),
        Send(2),
        Free(2),
        Reference(1),
        Receipt(1),
    ];
    /// To both, both free; then nobody has it.
    const SPREAD: &[Do] = &[
        Send(1),
        Send(1),
        Free(1),
        Reference(0),
        Receipt(0),
        Free(0),
        Reference(2),
        Receipt(2),
        Free(2),
    ];

    #[test]
    fn one_pass_collects_a_buffer_in_use_and_two_that_agree_do_not() {
        let mut wrong = 0;
        for script in [CHAIN, CYCLE, SPREAD] {
            schedules(script, 9, |world| {
                wrong += u32::from(judge_once(world.records()) && world.live());
            });
            schedules(script, 18, |world| {
                let verdict = judge(world.records(), Counts::default(), u64::MAX);
                assert!(verdict != Verdict::Garbage || !world.live());
            });
        }
        assert!(wrong > 0);
    }

    #[test]
    fn garbage_is_found_at_rest() {
        let world = World::new(SPREAD, &[0; SPREAD.len()]);
        let verdict = |settled, alive| judge(world.records(), settled, alive);
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
        world.records[2]
            .state
            .store(State::REFERENCES, Ordering::SeqCst);
        assert_eq!(verdict(settled, u64::MAX), Verdict::Live);
    }
}
