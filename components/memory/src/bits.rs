//! A set of small numbers: one bit each, and above them one bit for each word that is not zero, so
//! that the first member is found in a few steps however large the set.

use crate::Error;
use alloc::vec::Vec;
use core::ops::Range;

const WORD: usize = 64;

pub struct Bits {
    words: Vec<u64>,
    /// Bit `n`: `words[n]` is not zero.
    some: Vec<u64>,
}

/// A vector of `len` copies, or [`Error::NoHeap`].
pub(crate) fn filled<T: Clone>(len: usize, value: T) -> Result<Vec<T>, Error> {
    let mut vec = Vec::new();
    vec.try_reserve_exact(len).map_err(|_| Error::NoHeap)?;
    vec.resize(len, value);
    Ok(vec)
}

/// The bits of word `word` that are in the range.
pub(crate) fn mask(range: &Range<usize>, word: usize) -> u64 {
    let first = range.start.max(word * WORD) - word * WORD;
    let end = range.end.min((word + 1) * WORD) - word * WORD;
    (u64::MAX >> (WORD - (end - first))) << first
}

/// The words that hold bits of a range that is not empty.
pub(crate) fn words(range: &Range<usize>) -> Range<usize> {
    range.start / WORD..range.end.div_ceil(WORD)
}

impl Bits {
    /// An empty set of numbers below `len`. Errors: `NoHeap`.
    pub fn new(len: usize) -> Result<Bits, Error> {
        let count = len.div_ceil(WORD);
        Ok(Bits {
            words: filled(count, 0)?,
            some: filled(count.div_ceil(WORD), 0)?,
        })
    }

    pub fn contains(&self, n: usize) -> bool {
        self.words
            .get(n / WORD)
            .is_some_and(|word| word >> (n % WORD) & 1 == 1)
    }

    /// Adds the numbers of a range that is inside the set's length.
    pub fn insert(&mut self, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        for n in words(&range) {
            self.words[n] |= mask(&range, n);
            self.some[n / WORD] |= 1 << (n % WORD);
        }
    }

    /// Takes the numbers of a range out.
    pub fn remove(&mut self, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        for n in words(&range) {
            self.words[n] &= !mask(&range, n);
            if self.words[n] == 0 {
                self.some[n / WORD] &= !(1 << (n % WORD));
            }
        }
    }

    /// The smallest member that is not below `from`.
    #[inline]
    pub fn next(&self, from: usize) -> Option<usize> {
        let at = from / WORD;
        let here = self.words.get(at)? & (u64::MAX << (from % WORD));
        if here != 0 {
            return Some(at * WORD + here.trailing_zeros() as usize);
        }
        let at = at + 1;
        let mut group = at / WORD;
        let mut words = self.some.get(group)? & (u64::MAX << (at % WORD));
        while words == 0 {
            group += 1;
            words = *self.some.get(group)?;
        }
        let word = group * WORD + words.trailing_zeros() as usize;
        Some(word * WORD + self.words[word].trailing_zeros() as usize)
    }

    /// The largest member.
    pub fn last(&self) -> Option<usize> {
        let group = self.some.iter().rposition(|words| *words != 0)?;
        let word = group * WORD + self.some[group].ilog2() as usize;
        Some(word * WORD + self.words[word].ilog2() as usize)
    }

    /// The smallest number from `from` on that is no member; or one that is not below `end`.
    fn gap(&self, from: usize, end: usize) -> usize {
        let mut at = from;
        while at < end {
            let Some(word) = self.words.get(at / WORD) else {
                break;
            };
            let gaps = !word & (u64::MAX << (at % WORD));
            if gaps != 0 {
                return at / WORD * WORD + gaps.trailing_zeros() as usize;
            }
            at = (at / WORD + 1) * WORD;
        }
        at
    }

    /// The first of `count` members in a row, where `first + phase` is a multiple of `align` (a
    /// power of two). Looks at each word once at most, a row of gaps costs two steps.
    pub fn run(&self, count: usize, align: usize, phase: usize) -> Option<usize> {
        let mut from = 0;
        loop {
            let member = self.next(from)?;
            let first = (member + phase).next_multiple_of(align) - phase;
            let gap = self.gap(first, first + count);
            if gap >= first + count {
                return Some(first);
            }
            from = gap.max(first) + 1;
        }
    }

    /// Members.
    pub fn len(&self) -> usize {
        self.words.iter().map(|w| w.count_ones() as usize).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const LEN: usize = 5000;

    fn naive_run(set: &BTreeSet<usize>, count: usize, align: usize, phase: usize) -> Option<usize> {
        (0..LEN)
            .filter(|n| (n + phase).is_multiple_of(align))
            .find(|n| (*n..n + count).all(|i| set.contains(&i)))
    }

    proptest! {
        #[test]
        fn agrees_with_a_plain_set(
            steps in prop::collection::vec((any::<bool>(), 0..LEN, 0usize..400), 1..40),
            ask in prop::collection::vec((0..LEN, 1usize..300, 0u32..6, 0usize..40), 1..20),
        ) {
            let mut bits = Bits::new(LEN).unwrap();
            let mut set = BTreeSet::new();
            for (add, first, count) in steps {
                let range = first..(first + count).min(LEN);
                if add {
                    bits.insert(range.clone());
                    set.extend(range);
                } else {
                    bits.remove(range.clone());
                    set.retain(|n| !range.contains(n));
                }
                prop_assert_eq!(bits.len(), set.len());
                prop_assert_eq!(bits.last(), set.last().copied());
            }
            for (from, count, align, phase) in ask {
                prop_assert_eq!(bits.contains(from), set.contains(&from));
                prop_assert_eq!(bits.next(from), set.range(from..).next().copied());
                let align = 1 << align;
                prop_assert_eq!(
                    bits.run(count, align, phase),
                    naive_run(&set, count, align, phase)
                );
            }
        }
    }
}
