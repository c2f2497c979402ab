//! A message to another process and back through two pipes of Linux, the whole message both ways:
//! what a message to another component is compared with. A guest that runs nothing but our program
//! (`xtask/peer/pipe.c`) measures it, in the same QEMU as the image `bench-cbuf`: with the clock that
//! counts instructions, and in pairs of boots against the wall clock.

use super::cbuf::{PAGES, size};
use super::peer::{self, Peer};
use super::report::{Row, median};
use super::{Built, kernel};
use crate::machine::{Accel, Machine};
use crate::progress::Step;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

pub const LINUX: &str = "Linux pipes";
/// As in `bench memory`: with more, Linux picks string instructions, which an emulator runs byte
/// by byte.
const CPU: &str = "qemu64";
const MEMORY_MIB: u32 = 256;
const ARGUMENTS: &str = "console=ttyS0 quiet panic=-1 mitigations=off nokaslr tsc=reliable";
const LIMIT: Duration = Duration::from_secs(300);

/// Ticks of a round trip, by pages.
pub type Trips = BTreeMap<u32, f64>;

pub fn prepare(root: &Path) -> Result<Peer, String> {
    peer::prepare_program("pipe", &root.join("xtask/peer"), &root.join("target/peer"))
}

/// In instructions: every boot counts the same.
pub fn counted(guest: &Peer) -> Result<Trips, String> {
    let step = Step::start("counting instructions of Linux pipes");
    let trips = boot(guest, Accel::Counted)?;
    step.done("counted");
    Ok(trips)
}

/// Ours beside Linux's against the wall clock, without a goal: an emulator's time is not a
/// machine's.
pub fn timed(built: &Built, guest: &Peer, rounds: usize) -> Result<Vec<Row>, String> {
    let step = Step::start("measuring round trips against the wall clock");
    let mut pairs = Vec::new();
    for round in 1..=rounds.max(1) {
        step.detail(&format!("pair {round}"));
        let ours = kernel::measure_by(built, Accel::Tcg)?;
        let mut mine = Trips::new();
        for pages in PAGES {
            let missing = || format!("the machine did not say what `round-{pages}` costs");
            let cost = ours.get(&format!("round-{pages}")).ok_or_else(missing)?;
            mine.insert(pages, *cost);
        }
        pairs.push((mine, boot(guest, Accel::Tcg)?));
    }
    step.done(&format!("{} pairs of boots", pairs.len()));
    rows(&pairs)
}

/// The medians, and the median of the pairs' ratios.
fn rows(pairs: &[(Trips, Trips)]) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for pages in PAGES {
        let both = pairs
            .iter()
            .map(|(ours, theirs)| Ok((trip(ours, pages)?, trip(theirs, pages)?)));
        let both = both.collect::<Result<Vec<_>, String>>()?;
        let all = |pick: fn(&(f64, f64)) -> f64| both.iter().map(pick).collect::<Vec<_>>();
        let ratio = median(&all(|(ours, theirs)| ours / theirs));
        let name = format!("round trip, {}, wall clock", size(pages));
        let row = Row::new(name, "ticks", median(&all(|b| b.0)));
        rows.push(row.against(LINUX, median(&all(|b| b.1)), Some(ratio)));
    }
    Ok(rows)
}

/// What a round trip of so many pages costs.
pub fn trip(trips: &Trips, pages: u32) -> Result<f64, String> {
    let missing = || format!("{LINUX} did not say what {pages} pages cost");
    trips.get(&pages).copied().ok_or_else(missing)
}

/// Boots the guest until it ends by itself.
fn boot(guest: &Peer, accel: Accel) -> Result<Trips, String> {
    let machine = Machine {
        kernel: guest.kernel.clone(),
        archive: guest.ramdisk.clone(),
        memory_mib: MEMORY_MIB,
        accel,
        cpu: CPU.into(),
        append: ARGUMENTS.into(),
        netdev: None,
    };
    let mut running = machine.start()?;
    let ended = running.wait(LIMIT);
    running.console.drain();
    if !ended.is_some_and(|status| status.success()) {
        return Err(format!(
            "{LINUX} did not measure; the guest's last lines:\n{}",
            running.console.tail(15)
        ));
    }
    Ok(trips(running.console.seen.iter().map(String::as_str)))
}

/// From lines that hold `PIPE pages trips ticks`.
fn trips<'a>(lines: impl Iterator<Item = &'a str>) -> Trips {
    let mut all = Trips::new();
    for line in lines {
        let Some((_, rest)) = line.split_once("PIPE ") else {
            continue;
        };
        let words = rest.split_whitespace();
        let numbers: Vec<f64> = words.map_while(|word| word.parse().ok()).collect();
        if let [pages, trips, ticks] = numbers[..] {
            all.insert(pages as u32, ticks / trips);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trips_are_read() {
        let lines = [
            "PIPE 1 300 3846000",
            "[    1.2] x",
            "PIPE 64 300",
            "PIPE-FAILED 1 2 3",
        ];
        let found = trips(lines.into_iter());
        assert_eq!(trip(&found, 1), Ok(12_820.0));
        assert!(trip(&found, 64).is_err());
    }

    #[test]
    fn ratios_are_of_pairs() {
        let pair = |ours, theirs| {
            let all = |cost| PAGES.map(|pages| (pages, cost)).into();
            (all(ours), all(theirs))
        };
        let found = rows(&[pair(1.0, 10.0), pair(8.0, 40.0), pair(3.0, 5.0)]).unwrap();
        assert_eq!(
            (found.len(), found[0].ours, found[0].ratio),
            (7, 3.0, Some(0.2))
        );
        assert!(rows(&[(Trips::new(), Trips::new())]).is_err());
    }
}
