//! The capabilities that the databases are filled with: as the paper's evaluation draws them.

use abi::Rights;
use abi::captype::CapType;
use cap::Cap;

const PAGE: u64 = 4096;
/// Pages of memory for each capability: so few that about one capability in ten has an ancestor.
const PAGES_EACH: u64 = 64;
/// No capability is to more than this part of the memory.
const LARGEST_SHARE: u64 = 64;

/// A small generator of pseudo-random numbers (splitmix64), so that a seed says everything.
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }
    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// What a round is measured with, the same for every design.
pub struct Workload {
    /// In the database.
    pub filled: Vec<Cap>,
    /// Inserted one after another, each removed before the next.
    pub added: Vec<Cap>,
    /// Which of `filled` is removed, copied, or asked about.
    pub targets: Vec<usize>,
    /// Ranges to search for.
    pub ranges: Vec<Cap>,
}

impl Workload {
    pub fn new(size: usize, samples: usize, random: &mut Random) -> Workload {
        let memory = size as u64 * PAGES_EACH * PAGE;
        let mut filled: Vec<Cap> = Vec::with_capacity(size);
        while filled.len() < size {
            let cap = capability(&filled, memory, random);
            filled.push(cap);
        }
        let target = |random: &mut Random| random.below(size as u64) as usize;
        Workload {
            added: (0..samples)
                .map(|_| capability(&filled, memory, random))
                .collect(),
            targets: (0..samples).map(|_| target(random)).collect(),
            ranges: (0..samples).map(|_| region(memory, random)).collect(),
            filled,
        }
    }
}

/// One time in ten a copy of one of `others`.
fn capability(others: &[Cap], memory: u64, random: &mut Random) -> Cap {
    if others.is_empty() || random.below(10) != 0 {
        region(memory, random)
    } else {
        others[random.below(others.len() as u64) as usize]
    }
}

/// Aligned RAM: half as likely as of half the size.
fn region(memory: u64, random: &mut Random) -> Cap {
    let largest = memory / LARGEST_SHARE / PAGE;
    let doublings = random.next().trailing_zeros().min(largest.ilog2());
    let bytes = PAGE << doublings;
    Cap {
        ty: CapType::Ram,
        rights: Rights::all(),
        base: random.below(memory / bytes) * bytes,
        bytes,
        ..Cap::NULL
    }
}
