//! Which descriptors of two images resemble each other: nearest neighbours by the number of
//! different bits, each the other's best and clearly better than the second (Lowe's ratio).

use alloc::vec;
use alloc::vec::Vec;
use cistern_image::Feature;

/// A nearest neighbour must be nearer than this part of the second nearest: in 32nds.
const RATIO: u32 = 26;
/// Most different bits of 256.
const FARTHEST: u32 = 80;
/// Descriptors that are compared side by side.
const LANES: usize = 8;
/// As 32-bit words a descriptor has this many.
const WORDS: usize = 8;

/// Many descriptors, turned so that one word of [`LANES`] of them lies together.
pub(crate) struct Descriptors {
    blocks: Vec<[[u32; LANES]; WORDS]>,
    count: usize,
}

impl Descriptors {
    pub(crate) fn new(features: &[Feature]) -> Self {
        let mut blocks = vec![[[0; LANES]; WORDS]; features.len().div_ceil(LANES)];
        for (index, feature) in features.iter().enumerate() {
            for (word, lanes) in blocks[index / LANES].iter_mut().enumerate() {
                lanes[index % LANES] = half(&feature.descriptor, word);
            }
        }
        Self {
            blocks,
            count: features.len(),
        }
    }
}

/// The 32-bit word `word` of a descriptor.
fn half(descriptor: &[u64; 4], word: usize) -> u32 {
    (descriptor[word / 2] >> (32 * (word % 2))) as u32
}

/// Bits that differ between `one` and each of [`LANES`] others. Without a population count, which
/// not every machine has: bits are added two by two, and sums of words before they grow too wide.
fn distances(one: &[u32; WORDS], others: &[[u32; LANES]; WORDS]) -> [u32; LANES] {
    core::array::from_fn(|lane| {
        // Sums of four bits each: of up to three words, so at most 12.
        let nibbles = |word: usize| {
            let x = one[word] ^ others[word][lane];
            let x = x - ((x >> 1) & 0x5555_5555);
            (x & 0x3333_3333) + ((x >> 2) & 0x3333_3333)
        };
        let bytes = |x: u32| (x & 0x0f0f_0f0f) + ((x >> 4) & 0x0f0f_0f0f);
        let sum = bytes(nibbles(0) + nibbles(1) + nibbles(2))
            + bytes(nibbles(3) + nibbles(4) + nibbles(5))
            + bytes(nibbles(6) + nibbles(7));
        let sum = (sum & 0x00ff_00ff) + ((sum >> 8) & 0x00ff_00ff);
        (sum + (sum >> 16)) & 0x1ff
    })
}

/// Pairs of indices, in ascending order of the first. About 50 instructions for each two features.
pub(crate) fn matches(first: &[Feature], second: &Descriptors) -> Vec<(u32, u32)> {
    /// A distance above an index: compared at once, the index decides between equal ones.
    const INDEX: u32 = 16;
    const NONE: i32 = 0x1ff << INDEX;
    let padded = second.blocks.len() * LANES;
    // Signed, because the vectors of the smallest machine compare nothing else.
    let mut best_of_second = vec![[NONE; LANES]; second.blocks.len()];
    let mut found = Vec::new();
    if padded > 1 << (INDEX - 1) || first.len() > 1 << (INDEX - 1) {
        return found;
    }
    for (index, feature) in first.iter().enumerate() {
        let one: [u32; WORDS] = core::array::from_fn(|word| half(&feature.descriptor, word));
        let (mut best, mut next) = ([NONE; LANES], [NONE; LANES]);
        for (block, others) in second.blocks.iter().enumerate() {
            let distances = distances(&one, others);
            let columns = &mut best_of_second[block];
            for lane in 0..LANES {
                let distance = (distances[lane] << INDEX) as i32;
                let key = distance | (block * LANES + lane) as i32;
                next[lane] = next[lane].min(best[lane].max(key));
                best[lane] = best[lane].min(key);
                columns[lane] = columns[lane].min(distance | index as i32);
            }
        }
        let (nearest, after) = two_least(&best, &next, second.count);
        let distance = (nearest >> INDEX) as u32;
        if distance <= FARTHEST && distance * 32 < (after >> INDEX) as u32 * RATIO {
            found.push((index as u32, (nearest & 0xffff) as u32));
        }
    }
    found.retain(|&(a, b)| {
        let key = best_of_second[b as usize / LANES][b as usize % LANES];
        (key & 0xffff) as u32 == a
    });
    found
}

/// The least and the second least key of all lanes. Lanes beyond `count` hold no descriptor.
fn two_least(best: &[i32], next: &[i32], count: usize) -> (i32, i32) {
    let real = best.iter().chain(next).copied();
    real.filter(|key| ((key & 0xffff) as usize) < count)
        .fold((i32::MAX, i32::MAX), |(least, second), key| {
            (least.min(key), second.min(least.max(key)))
        })
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::random::Random;
    use proptest::prelude::*;

    fn drawn(seed: u64, count: usize) -> Vec<Feature> {
        let mut random = Random::new(seed);
        (0..count)
            .map(|_| Feature {
                descriptor: core::array::from_fn(|_| random.next()),
                ..Feature::default()
            })
            .collect()
    }

    fn different(a: &Feature, b: &Feature) -> u32 {
        let pairs = a.descriptor.iter().zip(&b.descriptor);
        pairs.map(|(a, b)| (a ^ b).count_ones()).sum()
    }

    /// What the module's comment says, in the plainest way.
    fn plain(first: &[Feature], second: &[Feature]) -> Vec<(u32, u32)> {
        let nearest = |one: &Feature, others: &[Feature]| {
            let distances = others
                .iter()
                .enumerate()
                .map(|(i, o)| (different(one, o), i));
            let mut all: Vec<(u32, usize)> = distances.collect();
            all.sort();
            all
        };
        let mut found = Vec::new();
        for (a, one) in first.iter().enumerate() {
            let all = nearest(one, second);
            let Some(&(distance, b)) = all.first() else {
                continue;
            };
            let after = all.get(1).map_or(u32::MAX >> 5, |(d, _)| *d);
            let cross = nearest(&second[b], first)[0].1 == a;
            if distance <= FARTHEST && distance * 32 < after.saturating_mul(RATIO) && cross {
                found.push((a as u32, b as u32));
            }
        }
        found
    }

    proptest! {
        #[test]
        fn matches_are_those_of_the_plain_way(seed in any::<u64>(), n in 0usize..40, m in 0usize..40, noise in 0usize..60) {
            let first = drawn(seed, n);
            let mut second = drawn(!seed, m);
            let mut random = Random::new(seed);
            // Some descriptors of the second are those of the first with flipped bits.
            for (a, b) in first.iter().zip(second.iter_mut().rev()).step_by(2) {
                *b = *a;
                for _ in 0..noise {
                    let bit = random.below(256);
                    b.descriptor[bit / 64] ^= 1 << (bit % 64);
                }
            }
            prop_assert_eq!(matches(&first, &Descriptors::new(&second)), plain(&first, &second));
        }
    }

    #[test]
    fn the_distance_counts_all_bits() {
        let zero = [0; WORDS];
        let mut others = [[0; LANES]; WORDS];
        for (lane, at) in [(0, 0), (1, 3), (2, 5), (3, 8)] {
            for word in &mut others[..at] {
                word[lane] = u32::MAX;
            }
        }
        assert_eq!(distances(&zero, &others)[..5], [0, 96, 160, 256, 0]);
    }

    #[test]
    fn equal_descriptors_match_nothing() {
        let same = [Feature::default(); 20];
        assert!(matches(&same, &Descriptors::new(&same)).is_empty());
        assert_eq!(matches(&same[..1], &Descriptors::new(&same[..1])), [(0, 0)]);
    }
}
