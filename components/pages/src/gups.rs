//! RandomAccess, as HPC Challenge defines it: read, change and write words at random places of a
//! table; the rate is counted in updates a second. Afterwards the same updates are made once
//! more, one by one, which must restore the table: exclusive or is its own inverse.

/// Streams of random numbers that are drawn from side by side, so that updates do not wait for
/// each other.
pub const STREAMS: usize = 128;
/// Updates of each word, on average.
pub const UPDATES_PER_WORD: u64 = 4;
/// A shift register over x^63 + x^2 + x + 1.
const FEEDBACK: u64 = 7;
/// After so many numbers it is where it was.
const PERIOD: u64 = 1_317_624_576_693_539_401;

/// The random numbers, from some place on.
#[derive(Clone, Copy, Debug)]
pub struct Stream(u64);

impl Stream {
    /// The stream whose next number is number `n + 1`; number 0 is 1. Costs some hundred steps,
    /// however large `n` is.
    pub fn at(n: u64) -> Self {
        let n = n % PERIOD;
        if n == 0 {
            return Self(1);
        }
        // `powers[i]`: 2i steps on from 1. With them squaring, which is linear, takes 64 steps.
        let mut powers = [0; 64];
        let mut power = Self(1);
        for place in &mut powers {
            *place = power.0;
            power.step();
            power.step();
        }
        let mut now = Self(2);
        for bit in (0..n.ilog2()).rev() {
            let square = |sum, i| match now.0 >> i & 1 {
                1 => sum ^ powers[i],
                _ => sum,
            };
            now = Self((0..64).fold(0, square));
            if n >> bit & 1 == 1 {
                now.step();
            }
        }
        now
    }

    #[inline(always)]
    fn step(&mut self) -> u64 {
        let feedback = if self.0 >> 63 == 1 { FEEDBACK } else { 0 };
        self.0 = self.0 << 1 ^ feedback;
        self.0
    }
}

/// Updates for a table of so many words: a multiple of [`STREAMS`].
pub const fn updates(words: usize) -> u64 {
    (words as u64 * UPDATES_PER_WORD).next_multiple_of(STREAMS as u64)
}

/// Sets the table, whose length is a power of two, to what it begins with.
pub fn fill(table: &mut [u64]) {
    for (n, word) in table.iter_mut().enumerate() {
        *word = n as u64;
    }
}

#[inline(always)]
fn update(table: &mut [u64], number: u64) {
    let place = number as usize & (table.len() - 1);
    table[place] ^= number;
}

/// All updates of a table, from all streams in turn, to be made in parts.
pub struct Run {
    streams: [Stream; STREAMS],
    /// Updates of each stream that are left.
    left: u64,
}

impl Run {
    pub fn new(words: usize) -> Self {
        let left = rounds(words);
        Self {
            streams: core::array::from_fn(|n| Stream::at(left * n as u64)),
            left,
        }
    }

    /// Makes as many updates of the table, which is not empty, as there are in `rounds` rounds.
    /// What is measured.
    #[inline(never)]
    pub fn go(&mut self, table: &mut [u64], rounds: u64) {
        let rounds = rounds.min(self.left);
        self.left -= rounds;
        for _ in 0..rounds {
            for stream in &mut self.streams {
                update(table, stream.step());
            }
        }
    }
}

/// Rounds in which a table of so many words has all its updates.
pub const fn rounds(words: usize) -> u64 {
    updates(words) / STREAMS as u64
}

/// Makes the same updates again, one by one, and counts the words that are not as they were at the
/// beginning. HPC Challenge allows one in a hundred, for machines that lose updates.
#[inline(never)]
pub fn wrong_words(table: &mut [u64]) -> u64 {
    if table.is_empty() {
        return 0;
    }
    let mut stream = Stream::at(0);
    for _ in 0..updates(table.len()) {
        update(table, stream.step());
    }
    let wrong = table
        .iter()
        .enumerate()
        .filter(|(n, word)| **word != *n as u64);
    wrong.count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_begin_where_others_arrive() {
        let mut stream = Stream::at(0);
        assert_eq!(stream.0, 1);
        for n in 1..5000 {
            assert_eq!(stream.step(), Stream::at(n).0, "{n}");
        }
        // The feedback has come round: a plain shift would be 0 by now.
        assert_ne!(stream.0, 0);
        let mut far = Stream::at(1 << 40);
        (0..1000).for_each(|_| {
            far.step();
        });
        assert_eq!(far.0, Stream::at((1 << 40) + 1000).0);
        assert_eq!(Stream::at(PERIOD + 5).0, Stream::at(5).0);
        assert_eq!(Stream::at(PERIOD - 1).step(), 1);
    }

    #[test]
    fn updates_are_undone_exactly() {
        for bits in [6, 7, 12] {
            let mut table = vec![0; 1 << bits];
            fill(&mut table);
            let first = table.clone();
            let mut run = Run::new(table.len());
            run.go(&mut table, 1);
            run.go(&mut table, rounds(1 << bits) - 2);
            run.go(&mut table, u64::MAX);
            assert_ne!(table, first);
            assert_eq!(wrong_words(&mut table), 0, "{bits} bits");
        }
        assert_eq!(wrong_words(&mut []), 0);
    }

    #[test]
    fn a_lost_update_is_seen() {
        let mut table = vec![0; 1 << 10];
        fill(&mut table);
        Run::new(table.len()).go(&mut table, u64::MAX);
        table[77] ^= 1;
        assert_eq!(wrong_words(&mut table), 1);
    }
}
