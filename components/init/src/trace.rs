//! Backtraces as faulting components tell them, part by part, until the component dies or its
//! next trace begins. One place a thread; a thread writes and reads its own alone, so no order
//! between the words matters.

use core::sync::atomic::{AtomicU16, AtomicU64, AtomicUsize, Ordering::Relaxed};

use abi::ComponentId;
use abi::op::lifecycle::TRACE_ADDRESSES;

/// Return addresses that are kept of a trace; what comes after is left out.
pub const LENGTH: usize = 32;

/// A return address, and which one of the thread it is: the innermost is 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    pub place: u32,
    pub address: u32,
}

/// What one thread has told.
pub struct Trace {
    component: AtomicU16,
    count: AtomicUsize,
    steps: [AtomicU64; LENGTH],
}

impl Default for Trace {
    fn default() -> Self {
        Self::new()
    }
}

impl Trace {
    pub const fn new() -> Self {
        Self {
            component: AtomicU16::new(0),
            count: AtomicUsize::new(0),
            steps: [const { AtomicU64::new(0) }; LENGTH],
        }
    }

    /// Keeps a part ([`abi::op::lifecycle::TRACE`]). One that does not follow what the same
    /// component told before is forgotten.
    pub fn add(&self, from: ComponentId, [first, parts @ ..]: [u64; 4]) {
        if first == 1 {
            self.component.store(from.0, Relaxed);
            self.count.store(0, Relaxed);
        }
        let Ok(first) = u32::try_from(first) else {
            return;
        };
        if self.component.load(Relaxed) != from.0 {
            return;
        }
        let addresses = parts
            .iter()
            .flat_map(|pair| [*pair as u32, (*pair >> 32) as u32]);
        for (n, address) in (0..TRACE_ADDRESSES as u32).zip(addresses) {
            let count = self.count.load(Relaxed);
            if let Some(step) = self.steps.get(count)
                && address != 0
            {
                let place = first.saturating_add(n);
                step.store(u64::from(place) << 32 | u64::from(address), Relaxed);
                self.count.store(count + 1, Relaxed);
            }
        }
    }

    /// All of it, if that component told it; afterwards it is forgotten.
    pub fn take(&self, from: ComponentId) -> impl Iterator<Item = Step> {
        let count = self.count.swap(0, Relaxed);
        let known = if self.component.load(Relaxed) == from.0 {
            count
        } else {
            0
        };
        self.steps.iter().take(known).map(|step| {
            let step = step.load(Relaxed);
            Step {
                place: (step >> 32) as u32,
                address: step as u32,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    const A: ComponentId = ComponentId(3);
    const B: ComponentId = ComponentId(4);

    fn taken(trace: &Trace, from: ComponentId) -> Vec<(u32, u32)> {
        trace.take(from).map(|s| (s.place, s.address)).collect()
    }

    #[test]
    fn parts_become_steps_once() {
        let trace = Trace::new();
        trace.add(A, [1, 11 | 12 << 32, 13 | 14 << 32, 15 | 16 << 32]);
        trace.add(A, [90, 21, 0, 0]);
        let mut all: Vec<_> = (1..=6).map(|n| (n, n + 10)).collect();
        all.push((90, 21));
        assert_eq!(taken(&trace, A), all);
        assert_eq!(taken(&trace, A), []);
    }

    #[test]
    fn a_trace_belongs_to_who_began_it_last() {
        let trace = Trace::new();
        trace.add(A, [1, 11, 0, 0]);
        trace.add(B, [2, 22, 0, 0]);
        trace.add(A, [7, 17, 0, 0]);
        assert_eq!(taken(&trace, A), [(1, 11), (7, 17)]);
        trace.add(A, [1, 11, 0, 0]);
        assert_eq!(taken(&trace, B), []);
        assert_eq!(taken(&trace, A), []);
        trace.add(A, [1, 11, 0, 0]);
        trace.add(B, [1, 31, 0, 0]);
        assert_eq!(taken(&trace, A), []);
        trace.add(B, [1, 31, 0, 0]);
        trace.add(B, [1, 32, 0, 0]);
        assert_eq!(taken(&trace, B), [(1, 32)]);
    }

    #[test]
    fn claims_are_bounded() {
        let trace = Trace::new();
        trace.add(A, [0, 1, 1, 1]);
        trace.add(A, [u64::MAX, 1, 1, 1]);
        assert_eq!(taken(&trace, A), []);
        trace.add(A, [1, 0, 0, 0]);
        for _ in 0..1000 {
            trace.add(A, [u64::from(u32::MAX), u64::MAX, u64::MAX, u64::MAX]);
        }
        assert_eq!(taken(&trace, A), [(u32::MAX, u32::MAX); LENGTH]);
        trace.add(A, [1, 5 << 32, 0, 0]);
        assert_eq!(taken(&trace, A), [(2, 5)]);
    }
}
