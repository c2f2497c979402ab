//! The load of the paper's section 5.3: a web server for 65 seconds, and an interference from the
//! 21st to the 45th.

use crate::client::{Client, Kind};
use crate::machine::Simulation;
use cbuf_policy::Terms;

pub const WEB: u32 = 1;
pub const INTERFERENCE: u32 = 2;
/// The whole profile.
pub const LENGTH_MS: u64 = 65_000;
pub const START_MS: u64 = 21_000;
pub const PEAK_MS: u64 = 31_000;
pub const FALL_MS: u64 = 41_000;
pub const END_MS: u64 = 45_000;
/// Pages in which both have what they want, and the limit of the paper.
pub const ENOUGH: u64 = 1_000;
pub const LIMIT: u64 = 300;
/// Allocations of a request.
pub const PER_REQUEST: u64 = 6;

/// The pages that the interference cannot do without: 5, rising to 64 in ten seconds, held for
/// ten, then 10.
pub fn interference_pages(time_ms: u64) -> Option<u64> {
    match time_ms {
        START_MS..PEAK_MS => Some(5 + 59 * (time_ms - START_MS) / (PEAK_MS - START_MS)),
        PEAK_MS..FALL_MS => Some(64),
        FALL_MS..END_MS => Some(10),
        _ => None,
    }
}

/// Twenty-two requests at once, each of some ten pages on their way through the components.
pub fn web_pages(_time_ms: u64) -> Option<u64> {
    Some(224)
}

pub fn web() -> Client {
    Client::new(WEB, "web server", Kind::Server, 28_000, web_pages).with_noise(6)
}

/// A tenth of the processor.
pub fn interference() -> Client {
    let kind = Kind::Periodic { allocations: 83 };
    Client::new(
        INTERFERENCE,
        "interference",
        kind,
        12_000,
        interference_pages,
    )
}

pub fn terms(client: u32) -> Terms {
    Terms {
        least: if client == WEB { 150 } else { 5 },
        start: 0,
        most: u64::MAX,
        fixed: 0,
        priority: if client == WEB { 20 } else { 10 },
        reach: 1 << client,
    }
}

/// Both, with so many pages; `alone` without the interference.
pub fn simulation(total: u64, alone: bool) -> Simulation {
    let mut simulation = Simulation::new(total);
    simulation.add(web(), terms(WEB).least);
    if !alone {
        simulation.add(interference(), terms(INTERFERENCE).least);
    }
    simulation
}
