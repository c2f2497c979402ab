//! How long a connection may stay in a phase. Generous while there are places, short when they
//! run out, so that a hundred idle clients keep nobody else waiting.

use crate::connection::{Connection, Phase};

/// How many places are left.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Pressure {
    None,
    /// Less than a quarter is free.
    Low,
    /// Less than an eighth is free.
    Scarce,
}

impl Pressure {
    pub fn of(free: usize, places: usize) -> Self {
        if free * 8 < places {
            Self::Scarce
        } else if free * 4 < places {
            Self::Low
        } else {
            Self::None
        }
    }
}

/// The shortest limit there is: how soon limits have to be looked at when pressure rises.
pub const SHORTEST_MS: u64 = 250;

/// Slowest rate at which a client may take its answers, in bytes a millisecond.
const SLOWEST: u64 = 8;

/// Milliseconds that a connection may stay in its phase; `None` for ever.
pub fn limit_ms<B>(connection: &Connection<B>, pressure: Pressure) -> Option<u64> {
    let by_pressure = |none, low, scarce| match pressure {
        Pressure::None => none,
        Pressure::Low => low,
        Pressure::Scarce => scarce,
    };
    match connection.phase {
        Phase::Free | Phase::Aborted => None,
        // Who never asked has come to ask: its first request may be lost on the way and sent again,
        // and a close instead of an answer would be a failure, where later it is not.
        Phase::Idle if !connection.asked => Some(by_pressure(60_000, 2_000, 1_000)),
        Phase::Idle => Some(by_pressure(60_000, 1_000, SHORTEST_MS)),
        Phase::Reading => Some(by_pressure(10_000, 2_000, 1_000)),
        Phase::Answering => Some(by_pressure(30_000, 10_000, 5_000) + connection.queued / SLOWEST),
        // The network stack resends and gives up by itself; this is the backstop. One that was
        // idle before has nothing on the way that an early reset could destroy. Counted from the
        // close for all that was queued then: the end of a long answer is not late.
        Phase::Closing if connection.left == 0 => Some(by_pressure(30_000, 1_000, SHORTEST_MS)),
        Phase::Closing => Some(by_pressure(30_000, 5_000, 3_000) + connection.left / SLOWEST),
    }
}
