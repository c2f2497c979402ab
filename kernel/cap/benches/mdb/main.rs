//! Cycles of the mapping database's operations, beside other designs of it: one JSON object a line
//! for each round, size and design. `cargo xtask bench caps` makes a table of them.
//!
//! A round measures every design on the same capabilities, one after the other, so that whatever
//! else the machine does meets all of them. Cycles are those of the time stamp counter.
//! Arguments: rounds, then log2 of each size.

mod aa;
mod list;
mod wavl;
mod workload;

use cap::Cap;
use std::arch::x86_64::{__rdtscp, _mm_lfence, _rdtsc};
use std::hint::black_box;
use workload::{Random, Workload};

/// Measurements of an operation in a round.
const SAMPLES: usize = 1001;
/// As many where one may take a millisecond.
const FEW_SAMPLES: usize = 151;

/// A mapping database over an array of slots of its own.
pub trait Design: Sized {
    const NAME: &'static str;
    type Slot: Copy;

    fn with_room(slots: usize) -> Self;
    fn slot(&self, n: usize) -> Self::Slot;
    /// Slot n gets capability n.
    fn fill(&mut self, caps: &[Cap]) {
        for (n, cap) in caps.iter().enumerate() {
            self.insert(self.slot(n), cap);
        }
    }
    fn insert(&mut self, slot: Self::Slot, cap: &Cap);
    /// Inserts a copy of what is in `source`.
    fn insert_copy(&mut self, slot: Self::Slot, cap: &Cap, source: Self::Slot);
    fn remove(&mut self, slot: Self::Slot);
    fn next(&self, slot: Self::Slot) -> Option<Self::Slot>;
    fn has_copies(&self, slot: Self::Slot) -> bool;
    fn has_ancestors(&self, slot: Self::Slot) -> bool;
    fn has_descendants(&self, slot: Self::Slot) -> bool;
    /// Is there a capability in the range, or one that covers it, or meets it?
    fn meets(&self, base: u64, bytes: u64) -> bool;
}

#[inline(always)]
fn now() -> u64 {
    // SAFETY: every x86-64 processor has both instructions.
    unsafe {
        _mm_lfence();
        let cycles = _rdtsc();
        _mm_lfence();
        cycles
    }
}

/// Cycles of one call.
#[inline(always)]
fn cycles<T>(operation: impl FnOnce() -> T) -> u64 {
    let before = now();
    black_box(operation());
    let mut core = 0;
    // SAFETY: every x86-64 processor this runs on has both instructions; `core` is written.
    let after = unsafe {
        let after = __rdtscp(&mut core);
        _mm_lfence();
        after
    };
    after.wrapping_sub(before)
}

/// The median of a quantity that is read in coarse steps, as some processors' counters are: where in
/// the middle value's step the middle lies, if the values in that step are spread evenly over it.
fn median(mut values: Vec<u64>) -> f64 {
    values.sort_unstable();
    let Some(middle) = values.get(values.len() / 2).copied() else {
        return 0.0;
    };
    let below = values.partition_point(|value| *value < middle);
    let inside = values.partition_point(|value| *value <= middle) - below;
    let step = values
        .windows(2)
        .fold(0, |step, pair| gcd(pair[1] - pair[0], step));
    let share = (values.len() as f64 / 2.0 - below as f64) / inside as f64;
    middle as f64 + (share - 0.5) * step as f64
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// What measuring nothing costs.
fn overhead() -> f64 {
    median((0..SAMPLES).map(|_| cycles(|| black_box(0))).collect())
}

/// Yes-answers to the same questions, on which all designs must agree.
#[derive(Default, PartialEq, Debug)]
struct Answers {
    copies: usize,
    ancestors: usize,
    descendants: usize,
    met: usize,
}

struct Measured {
    /// Medians, by name of operation.
    cycles: Vec<(&'static str, f64)>,
    answers: Answers,
}

/// Measures each operation `samples` times.
fn measure<D: Design>(with: &Workload, samples: usize) -> Measured {
    let mut db = D::with_room(with.filled.len() + 1);
    db.fill(&with.filled);
    let spare = db.slot(with.filled.len());
    let overhead = overhead();
    let mut measured = Measured {
        cycles: Vec::new(),
        answers: Answers::default(),
    };
    let mut note = |name, values: Vec<u64>| {
        let cycles = (median(values) - overhead).max(0.0);
        measured.cycles.push((name, cycles));
    };

    let insert = |cap: &Cap| {
        let cycles = cycles(|| db.insert(spare, cap));
        db.remove(spare);
        cycles
    };
    let added = with.added.iter().take(samples);
    note("insert", added.map(insert).collect());

    let insert_copy = |n: &usize| {
        let source = db.slot(*n);
        let cycles = cycles(|| db.insert_copy(spare, &with.filled[*n], source));
        db.remove(spare);
        cycles
    };
    let targets = || with.targets.iter().take(samples);
    note("insert a copy", targets().map(insert_copy).collect());

    let remove = |n: &usize| {
        let slot = db.slot(*n);
        let cycles = cycles(|| db.remove(slot));
        db.insert(slot, &with.filled[*n]);
        cycles
    };
    note("remove", targets().map(remove).collect());

    let each = |operation: &dyn Fn(D::Slot) -> u64| -> Vec<u64> {
        targets().map(|n| operation(db.slot(*n))).collect()
    };
    note("next", each(&|slot| cycles(|| db.next(slot))));
    let hundred = |slot| {
        let mut at = Some(slot);
        for _ in 0..100 {
            at = at.and_then(|slot| db.next(slot));
        }
        at
    };
    note("next, 100 times", each(&|slot| cycles(|| hundred(slot))));
    note("has copies", each(&|slot| cycles(|| db.has_copies(slot))));
    note(
        "has ancestors",
        each(&|slot| cycles(|| db.has_ancestors(slot))),
    );
    note(
        "has descendants",
        each(&|slot| cycles(|| db.has_descendants(slot))),
    );
    let ranges = || with.ranges.iter().take(samples);
    let meets = |range: &Cap| cycles(|| db.meets(range.base, range.bytes));
    note("range query", ranges().map(meets).collect());

    let count = |test: &dyn Fn(D::Slot) -> bool| {
        targets()
            .take(FEW_SAMPLES)
            .filter(|n| test(db.slot(**n)))
            .count()
    };
    measured.answers = Answers {
        copies: count(&|slot| db.has_copies(slot)),
        ancestors: count(&|slot| db.has_ancestors(slot)),
        descendants: count(&|slot| db.has_descendants(slot)),
        met: ranges()
            .take(FEW_SAMPLES)
            .filter(|range| db.meets(range.base, range.bytes))
            .count(),
    };
    measured
}

/// Keeps this thread on the core it is on, whose caches it warms up.
fn pin() {
    // SAFETY: the set is a plain array of bits, zero is the empty one, and the core's number comes
    // from the system; if the system refuses, the thread just stays unpinned.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        if let Ok(core) = usize::try_from(libc::sched_getcpu()) {
            libc::CPU_SET(core, &mut set);
            libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set);
        }
    }
}

fn main() {
    let mut numbers = std::env::args()
        .skip(1)
        .filter_map(|word| word.parse::<u32>().ok());
    let rounds = numbers.next().unwrap_or(1);
    let sizes: Vec<u32> = numbers.collect();
    let sizes = if sizes.is_empty() { vec![12] } else { sizes };
    pin();
    for round in 0..rounds {
        for log2 in &sizes {
            let seed = (u64::from(round) << 32) | u64::from(*log2);
            let with = Workload::new(1 << log2, SAMPLES, &mut Random(seed));
            let list = measure::<list::List>(&with, FEW_SAMPLES);
            let aa = measure::<aa::AaTree>(&with, SAMPLES);
            let wavl = measure::<wavl::Wavl>(&with, SAMPLES);
            assert!(
                list.answers == aa.answers && aa.answers == wavl.answers,
                "the designs disagree: {:?}, {:?}, {:?}",
                list.answers,
                aa.answers,
                wavl.answers
            );
            report(round, *log2, list::List::NAME, &list);
            report(round, *log2, aa::AaTree::NAME, &aa);
            report(round, *log2, wavl::Wavl::NAME, &wavl);
        }
    }
}

fn report(round: u32, log2: u32, design: &str, measured: &Measured) {
    let cycles: Vec<String> = measured
        .cycles
        .iter()
        .map(|(name, cycles)| format!("\"{name}\":{cycles:.1}"))
        .collect();
    let Answers {
        copies,
        ancestors,
        descendants,
        met,
    } = measured.answers;
    println!(
        "{{\"round\":{round},\"log2\":{log2},\"design\":\"{design}\",\"cycles\":{{{}}},\
         \"of {FEW_SAMPLES}\":{{\"copies\":{copies},\"ancestors\":{ancestors},\
         \"descendants\":{descendants},\"ranges in use\":{met}}}}}",
        cycles.join(",")
    );
}
