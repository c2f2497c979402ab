//! Time-stamps and microseconds.

use netstack::deadlines::{Micros, NEVER};

/// Converts between the two without a division on the way there.
#[derive(Clone, Copy)]
pub struct Clock {
    hz: u64,
    zero: u64,
    /// Microseconds a tick, as a fraction of 2^64.
    scale: u128,
}

impl Clock {
    pub fn new(hz: u64, zero: u64) -> Clock {
        let hz = hz.max(1);
        Clock {
            hz,
            zero,
            scale: (1_000_000u128 << 64) / u128::from(hz),
        }
    }

    /// Microseconds since `zero`.
    pub fn micros(&self) -> Micros {
        let ticks = rt::time::now().saturating_sub(self.zero);
        // Below 2^63 for longer than any machine runs.
        ((u128::from(ticks) * self.scale) >> 64) as Micros
    }

    /// The time-stamp of a moment.
    pub fn stamp(&self, at: Micros) -> u64 {
        if at == NEVER {
            return rt::time::NEVER;
        }
        let ticks = u128::from(at.max(0).unsigned_abs()) * u128::from(self.hz) / 1_000_000;
        self.zero.saturating_add(ticks as u64)
    }
}
