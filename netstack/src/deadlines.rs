//! One deadline a connection, and the earliest of all.
//!
//! Setting is a store and a comparison: `earliest` is a lower bound that only [`Deadlines::due`]
//! makes exact again, by one pass, when the bound has passed. Retransmission timers are set
//! anew with every segment and hardly ever run out, so that pass is rare.

use crate::flows::MAX_CONNECTIONS;

/// Microseconds since boot.
pub type Micros = i64;
/// Never.
pub const NEVER: Micros = Micros::MAX;

pub struct Deadlines {
    at: [Micros; MAX_CONNECTIONS],
    earliest: Micros,
}

impl Default for Deadlines {
    fn default() -> Self {
        Deadlines {
            at: [NEVER; MAX_CONNECTIONS],
            earliest: NEVER,
        }
    }
}

impl Deadlines {
    pub fn set(&mut self, connection: usize, at: Micros) {
        self.at[connection] = at;
        self.earliest = self.earliest.min(at);
    }

    /// Nothing runs out before this.
    pub fn earliest(&self) -> Micros {
        self.earliest
    }

    /// Calls `run` with each connection whose deadline has passed, after clearing it.
    pub fn due(&mut self, now: Micros, mut run: impl FnMut(usize)) {
        if now < self.earliest {
            return;
        }
        self.earliest = NEVER;
        for (connection, at) in self.at.iter_mut().enumerate() {
            if *at <= now {
                *at = NEVER;
                run(connection);
            }
            self.earliest = self.earliest.min(*at);
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    #[test]
    fn earliest_is_a_lower_bound_and_becomes_exact() {
        let mut d = Deadlines::default();
        d.set(3, 100);
        d.set(4, 50);
        d.set(4, 500);
        assert_eq!(d.earliest(), 50);
        let mut due = Vec::new();
        d.due(60, |c| due.push(c));
        assert!(due.is_empty());
        assert_eq!(d.earliest(), 100);
        d.due(100, |c| due.push(c));
        assert_eq!(due, [3]);
        assert_eq!(d.earliest(), 500);
        d.due(1000, |c| due.push(c));
        assert_eq!(due, [3, 4]);
        assert_eq!(d.earliest(), NEVER);
    }
}
