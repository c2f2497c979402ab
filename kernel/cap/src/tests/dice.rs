//! Choices, from a list of numbers that can be shortened or from a seed.

use std::vec::Vec;

pub struct Dice {
    words: Vec<u16>,
    at: usize,
    /// Where there is no list: the state of a generator (xorshift64*).
    state: Option<u64>,
}

impl Dice {
    /// Gives zeros when the list is used up.
    pub fn of(words: &[u16]) -> Dice {
        Dice {
            words: words.to_vec(),
            at: 0,
            state: None,
        }
    }

    pub fn seeded(seed: u64) -> Dice {
        Dice {
            words: Vec::new(),
            at: 0,
            state: Some(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
        }
    }

    pub fn is_out(&self) -> bool {
        self.at >= self.words.len()
    }

    pub fn word(&mut self) -> u16 {
        let at = self.at;
        self.at += 1;
        match &mut self.state {
            None => self.words.get(at).copied().unwrap_or(0),
            Some(state) => {
                *state ^= *state >> 12;
                *state ^= *state << 25;
                *state ^= *state >> 27;
                (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40) as u16
            }
        }
    }

    pub fn below(&mut self, limit: usize) -> usize {
        usize::from(self.word()) % limit
    }

    /// The last of `n` cases: not for the zeros that a list is shortened to.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == n - 1
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        let at = usize::from(self.word()).checked_rem(from.len())?;
        from.get(at).copied()
    }
}
