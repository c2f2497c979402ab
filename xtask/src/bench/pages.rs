//! What page sizes and dirty bits are worth to programs: the image `bench-pages` measures itself,
//! once with a clock that counts executed instructions, then against the wall clock.
//! Source: S. Gerber's thesis on memory in Barrelfish (ETH Zürich, 2018), 3.6.2.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Built;
use super::curves::{self, Curve, Panel};
use super::report::{Row, median, publish};
use crate::machine::{Accel, Machine, exit_code};
use crate::progress::Step;

/// Room for a GiB in one piece, and all else.
const MEMORY_MIB: u32 = 2560;
const LIMIT: Duration = Duration::from_secs(600);
const MIB: u64 = 1 << 20;
const HEAP: u64 = 16 * MIB;
/// Tables' bytes; how many instructions an update takes does not depend on them.
const TABLES: [u64; 3] = [MIB, 4 * MIB, 16 * MIB];
const COUNTED_TABLE: u64 = 4 * MIB;
const ROUNDS: u64 = 16;
/// Pauses with which the emulator's cache of address translations comes to rest.
const PAUSES: u64 = 24;

/// A page size: its name in the guest's lines, and what a reader calls it.
const SIZES: [(&str, &str); 3] = [
    ("4k", "4 KiB pages"),
    ("2m", "2 MiB pages"),
    ("1g", "1 GiB pages"),
];
const SMALL: usize = 0;
const PROTECTION: &str = "write protection";
const EVERYTHING: &str = "all objects";

/// By name and bytes: operations, and what they took together.
type Figures = BTreeMap<(String, u64), (f64, f64)>;

pub fn run(built: &Built, rounds: usize) -> Result<(), String> {
    let step = Step::start("counting instructions");
    let counted = boot(built, Accel::Counted, COUNTED_TABLE, 0)?;
    step.done("one boot");
    let step = Step::start("measuring against the wall clock");
    let mut timed = Vec::new();
    for round in 1..=rounds.max(1) {
        step.detail(&format!("boot {round}"));
        timed.push(boot(built, Accel::Tcg, TABLES[TABLES.len() - 1], PAUSES)?);
    }
    step.done(&format!("{} boots", timed.len()));
    let mut rows = random_access(&counted, &timed)?;
    rows.extend(collector(&counted, &timed)?);
    let results = built.root.join("target/bench");
    publish(
        &results,
        "pages",
        "Page sizes, and ways to find written pages",
        &rows,
    )?;
    let path = results.join("pages-gups.svg");
    let panel = panel(&timed)?;
    curves::draw(&path, "RandomAccess: million updates a second", &[panel])?;
    println!("{}", path.display());
    Ok(())
}

fn boot(built: &Built, accel: Accel, table: u64, pauses: u64) -> Result<Figures, String> {
    let machine = Machine {
        kernel: built.kernel.clone(),
        archive: built.image.clone(),
        memory_mib: MEMORY_MIB,
        accel,
        cpu: "max".into(),
        append: format!(
            "bench.table={table} bench.heap={HEAP} bench.rounds={ROUNDS} bench.pauses={pauses}"
        ),
        netdev: None,
    };
    let mut running = machine.start()?;
    let ended = running.wait(LIMIT).and_then(exit_code);
    running.console.drain();
    match ended {
        Some(0) => Ok(figures(running.console.seen.iter().map(String::as_str))),
        _ => Err(format!(
            "the image did not measure; its last lines:\n{}",
            running.console.tail(15)
        )),
    }
}

/// From lines that hold `PAGES name bytes operations amount`.
fn figures<'a>(lines: impl Iterator<Item = &'a str>) -> Figures {
    let mut figures = Figures::new();
    for line in lines {
        let Some((_, rest)) = line.split_once("PAGES ") else {
            continue;
        };
        let mut words = rest.split_whitespace();
        let Some(name) = words.next() else { continue };
        let numbers: Vec<f64> = words.map_while(|word| word.parse().ok()).collect();
        if let [bytes, operations, amount] = numbers[..] {
            figures.insert((name.to_string(), bytes as u64), (operations, amount));
        }
    }
    figures
}

fn figure(figures: &Figures, name: &str, bytes: u64) -> Result<(f64, f64), String> {
    let found = figures.get(&(name.to_string(), bytes)).copied();
    found.ok_or_else(|| format!("the machine did not say what `{name}` takes with {bytes} bytes"))
}

/// The median of a figure over all boots.
fn over(boots: &[Figures], of: impl Fn(&Figures) -> Result<f64, String>) -> Result<f64, String> {
    let all = boots.iter().map(of).collect::<Result<Vec<_>, _>>()?;
    Ok(median(&all))
}

/// Million updates a second.
fn rate(figures: &Figures, size: &str, bytes: u64) -> Result<f64, String> {
    let (_, hz) = figure(figures, "clock", 0)?;
    let (updates, ticks) = figure(figures, &format!("gups-{size}"), bytes)?;
    Ok(updates / (ticks / hz) / 1e6)
}

fn random_access(counted: &Figures, timed: &[Figures]) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    let (small, small_name) = SIZES[SMALL];
    for (size, name) in SIZES {
        let (updates, ticks) = figure(counted, &format!("gups-{size}"), COUNTED_TABLE)?;
        let title = format!("RandomAccess, {name}: an update");
        rows.push(Row::new(title, "instr.", ticks / updates));
    }
    let (_, faults) = figure(counted, "gups-faults", COUNTED_TABLE)?;
    rows.push(Row::new("RandomAccess: page faults", "faults", faults));
    for bytes in TABLES {
        for (size, name) in SIZES {
            let ours = over(timed, |boot| rate(boot, size, bytes))?;
            let title = format!("RandomAccess, {} MiB, {name}", bytes / MIB);
            let row = Row::new(title, "M updates/s", ours);
            rows.push(if size == small {
                row
            } else {
                let theirs = over(timed, |boot| rate(boot, small, bytes))?;
                let ratio = over(timed, |boot| {
                    Ok(rate(boot, size, bytes)? / rate(boot, small, bytes)?)
                })?;
                row.against(small_name, theirs, Some(ratio))
            });
        }
    }
    Ok(rows)
}

/// What a part of the collector's program took in one cycle: from one collection to the end of the
/// next.
fn cycle(figures: &Figures, way: &str, what: &str) -> Result<f64, String> {
    let (cycles, amount) = figure(figures, &format!("gc-{way}-{what}"), HEAP)?;
    Ok(amount / cycles)
}

/// What the program did between collections, in one cycle.
fn mutator(figures: &Figures, way: &str) -> Result<f64, String> {
    let part = |what| cycle(figures, way, what);
    Ok(part("whole")? - part("find")? - part("mark")? - part("sweep")?)
}

/// What it takes to learn that one page was written, faults included: with dirty bits there are
/// none between collections, and all else is the same.
fn found_page(figures: &Figures, way: &str) -> Result<f64, String> {
    let more = mutator(figures, way)? - mutator(figures, "dirty")?;
    Ok((cycle(figures, way, "find")? + more) / cycle(figures, way, "pages")?)
}

fn collector(counted: &Figures, timed: &[Figures]) -> Result<Vec<Row>, String> {
    let (dirty, protect, full) = ("dirty", "protect", "full");
    let row = |name: &str, way: &str, ours: fn(&Figures, &str) -> Result<f64, String>| {
        let peer = if way == full { EVERYTHING } else { PROTECTION };
        let row = Row::new(
            format!("collector: {name}"),
            "instr.",
            ours(counted, dirty)?,
        );
        Ok::<_, String>(row.against(peer, ours(counted, way)?, None))
    };
    let pages = cycle(counted, dirty, "pages")?;
    let mut rows = vec![
        row("a whole cycle", protect, |f, way| cycle(f, way, "whole"))?,
        row("a whole cycle", full, |f, way| cycle(f, way, "whole"))?,
        row("- to learn of one written page", protect, found_page)?,
        row("- program between collections", protect, mutator)?,
        row("- find written pages", protect, |f, way| {
            cycle(f, way, "find")
        })?,
        row("- mark", full, |f, way| cycle(f, way, "mark"))?,
        row("- sweep", full, |f, way| cycle(f, way, "sweep"))?,
        Row::new("collector: pages written in a cycle", "pages", pages),
    ];
    let faults = |way| cycle(counted, way, "faults");
    let faulted = Row::new(
        "collector: page faults in a cycle",
        "faults",
        faults(dirty)?,
    );
    rows.push(faulted.against(PROTECTION, faults(protect)?, None));
    for (way, peer) in [(protect, PROTECTION), (full, EVERYTHING)] {
        let ms = |boot: &Figures, way: &str| {
            let (_, hz) = figure(boot, "clock", 0)?;
            Ok::<_, String>(cycle(boot, way, "whole")? / hz * 1e3)
        };
        let ours = over(timed, |boot| ms(boot, dirty))?;
        let theirs = over(timed, |boot| ms(boot, way))?;
        let ratio = over(timed, |boot| Ok(ms(boot, dirty)? / ms(boot, way)?))?;
        let row = Row::new("collector: a whole cycle, wall clock", "ms", ours);
        rows.push(row.against(peer, theirs, Some(ratio)));
    }
    Ok(rows)
}

fn panel(timed: &[Figures]) -> Result<Panel, String> {
    let mut curves = Vec::new();
    for (size, name) in SIZES {
        let point = |bytes: u64| {
            let rate = over(timed, |boot| rate(boot, size, bytes))?;
            Ok((bytes as f64, rate))
        };
        curves.push(Curve {
            name: name.to_string(),
            points: TABLES
                .into_iter()
                .map(point)
                .collect::<Result<_, String>>()?,
        });
    }
    Ok(Panel {
        title: "by bytes of the table".into(),
        ticks: TABLES
            .map(|bytes| (bytes as f64, format!("{} MiB", bytes / MIB)))
            .to_vec(),
        curves,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Figures {
        let lines = [
            "[bench] PAGES clock 0 1 1000000",
            "[bench] PAGES gups-4k 1048576 4000000 2000000",
            "[bench] PAGES gc-dirty-whole 16777216 2 240",
            "[bench] PAGES gc-dirty-find 16777216 2 20",
            "[bench] PAGES gc-dirty-mark 16777216 2 10",
            "[bench] PAGES gc-dirty-sweep 16777216 2 10",
            "[bench] PAGES gc-dirty-pages 16777216 2 6",
            "[bench] PAGES gc-protect-whole 16777216 2 360",
            "[bench] PAGES gc-protect-find 16777216 2 10",
            "[bench] PAGES gc-protect-mark 16777216 2 10",
            "[bench] PAGES gc-protect-sweep 16777216 2 10",
            "[bench] PAGES gc-protect-pages 16777216 2 6",
            "[bench] PAGES torn 1 2",
            "[bench] TEST collector ok",
        ];
        figures(lines.into_iter())
    }

    #[test]
    fn figures_are_read() {
        let figures = sample();
        assert_eq!(figures.len(), 12);
        assert_eq!(rate(&figures, "4k", MIB).unwrap(), 2.0);
        assert!(rate(&figures, "2m", MIB).unwrap_err().contains("gups-2m"));
    }

    #[test]
    fn a_found_page_costs_what_the_program_would_not_spend_without() {
        let figures = sample();
        assert_eq!(mutator(&figures, "dirty").unwrap(), 100.0);
        assert_eq!(mutator(&figures, "protect").unwrap(), 165.0);
        assert_eq!(found_page(&figures, "dirty").unwrap(), 10.0 / 3.0);
        assert_eq!(found_page(&figures, "protect").unwrap(), 70.0 / 3.0);
    }
}
