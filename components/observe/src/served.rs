//! The figures that the web server adds: their numbers in the interface's records.

use crate::latency::BUCKETS;

/// Where the histogram's buckets begin.
const LATENCY: u32 = 64;

macro_rules! served {
    ($($(#[$about:meta])* $name:ident = $number:literal,)*) => {
        /// A figure by its number.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u32)]
        pub enum Which { $($(#[$about])* $name = $number,)* }

        impl Which {
            pub const ALL: [Which; [$($number),*].len()] = [$(Which::$name),*];
        }
    };
}

served! {
    Requests = 0,
    Responses1xx = 1,
    Responses2xx = 2,
    Responses3xx = 3,
    Responses4xx = 4,
    Responses5xx = 5,
    Accepted = 6,
    Open = 7,
    TimedOut = 8,
    Aborted = 9,
    /// Bytes of requests that came in pieces and were put together.
    Joined = 10,
    /// Rounds of the event loop.
    Rounds = 11,
    /// Payload bytes that the network stack copied.
    NetCopied = 12,
    FramesReceived = 13,
    FramesSent = 14,
    Sockets = 15,
    /// All requests' durations together, in nanoseconds.
    LatencySumNs = 16,
}

/// Most figures that a server has.
pub const MOST: usize = Which::ALL.len() + BUCKETS;

/// The number of a bucket of [`crate::latency::Histogram`].
pub fn bucket(n: usize) -> u32 {
    LATENCY + n as u32
}

/// What a server told. What it did not tell is `None`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Served {
    figures: [Option<u64>; Which::ALL.len()],
    pub buckets: [u64; BUCKETS],
}

impl Served {
    /// Takes a record; one with another number is nobody's.
    pub fn take(&mut self, which: u32, value: u64) {
        if let Some(bucket) = which.checked_sub(LATENCY) {
            if let Some(place) = self.buckets.get_mut(bucket as usize) {
                *place = value;
            }
        } else if let Some(place) = self.figures.get_mut(which as usize) {
            *place = Some(value);
        }
    }

    pub fn get(&self, which: Which) -> Option<u64> {
        self.figures.get(which as usize).copied().flatten()
    }

    /// Requests that the histogram has.
    pub fn measured(&self) -> u64 {
        self.buckets.iter().fold(0, |sum, n| sum.saturating_add(*n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_told() {
        let mut served = Served::default();
        for which in Which::ALL {
            assert_eq!(served.get(which), None);
            served.take(which as u32, 100 + which as u64);
        }
        for n in 0..BUCKETS {
            served.take(bucket(n), n as u64);
        }
        for other in [
            Which::ALL.len() as u32,
            LATENCY - 1,
            bucket(BUCKETS),
            u32::MAX,
        ] {
            served.take(other, 7);
        }
        for which in Which::ALL {
            assert_eq!(served.get(which), Some(100 + which as u64));
        }
        assert_eq!(served.measured(), (BUCKETS * (BUCKETS - 1) / 2) as u64);
    }
}
