//! What memory costs a program, beside Linux: the image `bench-memory` and a guest with the same
//! program for Linux measure themselves in the same QEMU. Once with a clock that counts executed
//! instructions, then in pairs against the wall clock (the time-stamp counter: ticks).
//! Source: S. Gerber's thesis on memory in Barrelfish (ETH Zürich, 2018), 3.6.1 and 3.6.2.

use std::collections::BTreeMap;
use std::time::Duration;

use super::curves::{self, Curve, Panel};
use super::report::{Goal, Row, median, publish};
use super::{Built, peer};
use crate::machine::{Accel, Machine, exit_code};
use crate::progress::Step;

const LINUX: &str = "Linux";
/// The same for both: with more, Linux picks string instructions, which an emulator runs byte by byte.
const CPU: &str = "qemu64";
const OUR_MEMORY_MIB: u32 = 256;
const LINUX_MEMORY_MIB: u32 = 512;
/// Large pages for Linux: twice the largest size, since a new mapping exists beside the first.
const LINUX_ARGUMENTS: &str =
    "console=ttyS0 quiet panic=-1 mitigations=off nokaslr tsc=reliable hugepages=80";
const LIMIT: Duration = Duration::from_secs(300);

/// A page size: its name in the guests' lines, what a reader calls it, and its bytes.
struct Pages {
    key: &'static str,
    name: &'static str,
    bytes: u64,
}

const PAGES: [Pages; 2] = [
    Pages {
        key: "4k",
        name: "4 KiB pages",
        bytes: 4 << 10,
    },
    Pages {
        key: "2m",
        name: "2 MiB pages",
        bytes: 2 << 20,
    },
];

/// Sizes that are mapped.
const SIZES: [u64; 8] = [
    4 << 10,
    16 << 10,
    64 << 10,
    256 << 10,
    1 << 20,
    4 << 20,
    16 << 20,
    64 << 20,
];
const LARGEST: u64 = 64 << 20;

/// A fault and what its handler does, the pages that it does that to, and the most instructions that
/// are the goal.
const CYCLES: [(&str, &str, u64, f64); 3] = [
    ("trap", "trap", 1, 436.0),
    (
        "protect1-trap-unprotect",
        "protect 1, trap, unprotect",
        100,
        1198.0,
    ),
    (
        "protectN-trap-unprotect",
        "protect N, trap, unprotect",
        100,
        707.0,
    ),
];
/// Numbers of regions among which one is looked for by an address.
const REGIONS: [u64; 3] = [1, 16, 200];
/// What our names begin with where a program calls the kernel itself, without the library.
const CALLS: &str = "calls-";

/// An operation on a range: its name in our lines and in Linux's, what a reader calls it, and the
/// most instructions that are the goal with 4 KiB pages at 64 MiB.
struct Operation {
    ours: &'static str,
    theirs: &'static str,
    name: &'static str,
    most: f64,
    /// What programs use, and do the same with as Linux's; the others are of interest at 64 MiB.
    main: bool,
}

const fn operation(ours: &'static str, theirs: &'static str, name: &'static str) -> Operation {
    let most = match theirs.as_bytes() {
        b"map" => 20.9,
        b"protect" => 13.3,
        _ => 16.5,
    };
    Operation {
        ours,
        theirs,
        name,
        most,
        main: false,
    }
}

const OPERATIONS: [Operation; 9] = [
    Operation {
        main: true,
        ..operation("map-fresh-tables", "map", "map")
    },
    operation("map", "map", "map, tables there"),
    operation("calls-map-fresh-tables", "map", "map, calls alone"),
    operation("calls-map", "map", "map, tables there, calls alone"),
    Operation {
        main: true,
        ..operation("protect", "protect", "protect")
    },
    operation("calls-protect", "protect", "protect, calls alone"),
    Operation {
        main: true,
        ..operation("unmap", "unmap", "unmap")
    },
    operation("calls-unmap", "unmap", "unmap, calls alone"),
    operation(
        "calls-unmap-free-tables",
        "unmap",
        "unmap, tables freed, calls alone",
    ),
];

/// By name and pages: ticks an operation.
type Figures = BTreeMap<(String, u64), f64>;

/// Our guest's figures and Linux's, from boots that belong together.
struct Pair {
    ours: Figures,
    theirs: Figures,
}

pub fn run(built: &Built, rounds: usize) -> Result<(), String> {
    let (assets, folder) = (
        built.root.join("xtask/peer"),
        built.root.join("target/peer"),
    );
    let linux = peer::prepare_program("memory", &assets, &folder)?;
    let pair = |accel| -> Result<Pair, String> {
        let ours = Machine {
            kernel: built.kernel.clone(),
            archive: built.image.clone(),
            memory_mib: OUR_MEMORY_MIB,
            accel,
            cpu: CPU.into(),
            append: String::new(),
            netdev: None,
        };
        let theirs = Machine {
            kernel: linux.kernel.clone(),
            archive: linux.ramdisk.clone(),
            memory_mib: LINUX_MEMORY_MIB,
            accel,
            cpu: CPU.into(),
            append: LINUX_ARGUMENTS.into(),
            netdev: None,
        };
        Ok(Pair {
            ours: boot(&ours, |status| exit_code(status) == Some(0))?,
            theirs: boot(&theirs, |status| status.success())?,
        })
    };
    let step = Step::start("counting instructions, Cistern and Linux");
    let counted = pair(Accel::Counted)?;
    step.done("two boots");
    let step = Step::start("measuring against the wall clock");
    let mut timed = Vec::new();
    for round in 1..=rounds.max(1) {
        step.detail(&format!("pair {round}"));
        timed.push(pair(Accel::Tcg)?);
    }
    step.done(&format!("{} pairs of boots", timed.len()));

    let results = built.root.join("target/bench");
    publish(
        &results,
        "memory",
        "Memory operations beside Linux",
        &rows(&counted, &timed)?,
    )?;
    let path = results.join("memory-sizes.svg");
    curves::draw(&path, "Instructions a page, by size", &panels(&counted)?)?;
    println!("{}", path.display());
    Ok(())
}

/// Boots a guest until it ends by itself, as `good` wants it.
fn boot(
    machine: &Machine,
    good: impl Fn(std::process::ExitStatus) -> bool,
) -> Result<Figures, String> {
    let mut running = machine.start()?;
    let ended = running.wait(LIMIT);
    running.console.drain();
    if !ended.is_some_and(good) {
        return Err(format!(
            "{} did not measure; its last lines:\n{}",
            machine.archive.display(),
            running.console.tail(15)
        ));
    }
    Ok(figures(running.console.seen.iter().map(String::as_str)))
}

/// From lines that hold `MEMORY name pages operations ticks`. Where a figure has several ways (the
/// part of its name behind a dot), the best counts.
fn figures<'a>(lines: impl Iterator<Item = &'a str>) -> Figures {
    let mut figures = Figures::new();
    for line in lines {
        let Some((_, rest)) = line.split_once("MEMORY ") else {
            continue;
        };
        let mut words = rest.split_whitespace();
        let Some(name) = words.next() else { continue };
        let numbers: Vec<f64> = words.map_while(|word| word.parse().ok()).collect();
        if let [pages, operations, ticks] = numbers[..] {
            let name = name.split('.').next().unwrap_or(name).to_string();
            let each = ticks / operations;
            let best = figures.entry((name, pages as u64)).or_insert(each);
            *best = best.min(each);
        }
    }
    figures
}

fn figure(figures: &Figures, name: &str, pages: u64, who: &str) -> Result<f64, String> {
    let found = figures.get(&(name.to_string(), pages)).copied();
    found.ok_or_else(|| format!("{who} did not say what `{name}` costs with {pages} pages"))
}

/// One figure of both.
#[derive(Clone, Copy)]
struct Asked<'a> {
    ours: &'a str,
    theirs: &'a str,
    pages: u64,
}

impl Asked<'_> {
    fn of(&self, pair: &Pair) -> Result<(f64, f64), String> {
        Ok((
            figure(&pair.ours, self.ours, self.pages, "Cistern")?,
            figure(&pair.theirs, self.theirs, self.pages, LINUX)?,
        ))
    }

    fn counted(&self, name: &str, pair: &Pair) -> Result<Row, String> {
        let (ours, theirs) = self.of(pair)?;
        Ok(Row::new(name, "instr. a page", ours).against(LINUX, theirs, None))
    }

    /// The medians, and the median of the pairs' ratios.
    fn timed(&self, name: &str, pairs: &[Pair]) -> Result<Row, String> {
        let both = pairs.iter().map(|pair| self.of(pair));
        let both = both.collect::<Result<Vec<_>, _>>()?;
        let all = |pick: fn(&(f64, f64)) -> f64| both.iter().map(pick).collect::<Vec<_>>();
        let ratio = median(&all(|(ours, theirs)| ours / theirs));
        let (ours, theirs) = (median(&all(|b| b.0)), median(&all(|b| b.1)));
        Ok(
            Row::new(format!("{name}, wall clock"), "ticks a page", ours).against(
                LINUX,
                theirs,
                Some(ratio),
            ),
        )
    }
}

fn rows(counted: &Pair, timed: &[Pair]) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for (key, name, pages, most) in CYCLES {
        let asked = Asked {
            ours: key,
            theirs: key,
            pages,
        };
        let by_calls = Asked {
            ours: &format!("{CALLS}{key}"),
            ..asked
        };
        rows.push(asked.counted(name, counted)?.goal(Goal::AtMost(most)));
        rows.push(asked.timed(name, timed)?);
        let name = format!("{name}, calls alone");
        rows.push(by_calls.counted(&name, counted)?.goal(Goal::AtMost(most)));
    }
    for regions in REGIONS {
        let ours = figure(&counted.ours, "region-of", regions, "Cistern")?;
        let name = format!("region of an address, among {regions}");
        rows.push(Row::new(name, "instr.", ours));
    }
    for kind in &PAGES {
        for operation in &OPERATIONS {
            for bytes in SIZES {
                if bytes < kind.bytes || (bytes < LARGEST && !operation.main) {
                    continue;
                }
                let asked = Asked {
                    ours: &format!("{}-{}", operation.ours, kind.key),
                    theirs: &format!("{}-{}", operation.theirs, kind.key),
                    pages: bytes / kind.bytes,
                };
                let name = format!("{}: {}", size_name(bytes, kind), operation.name);
                let row = asked.counted(&name, counted)?;
                let goal = kind.bytes == PAGES[0].bytes && bytes == LARGEST;
                rows.push(if goal {
                    row.goal(Goal::AtMost(operation.most))
                } else {
                    row
                });
                if bytes == LARGEST && operation.main {
                    rows.push(asked.timed(&name, timed)?);
                }
            }
        }
    }
    Ok(rows)
}

fn size_name(bytes: u64, kind: &Pages) -> String {
    format!("{} in {}", bytes_name(bytes), kind.name)
}

fn bytes_name(bytes: u64) -> String {
    match bytes >> 20 {
        0 => format!("{} KiB", bytes >> 10),
        mib => format!("{mib} MiB"),
    }
}

/// What is plotted: for each operation that both do, both systems with both page sizes.
fn panels(counted: &Pair) -> Result<Vec<Panel>, String> {
    let mut panels = Vec::new();
    for operation in OPERATIONS.iter().filter(|operation| operation.main) {
        let mut curves = Vec::new();
        for (figures, who, key) in [
            (&counted.ours, "Cistern", operation.ours),
            (&counted.theirs, LINUX, operation.theirs),
        ] {
            for kind in &PAGES {
                let name = format!("{key}-{}", kind.key);
                let points = SIZES
                    .iter()
                    .filter(|bytes| **bytes >= kind.bytes)
                    .map(|bytes| {
                        let each = figure(figures, &name, bytes / kind.bytes, who)?;
                        Ok((*bytes as f64, each))
                    });
                curves.push(Curve {
                    name: format!("{who}, {}", kind.name),
                    points: points.collect::<Result<_, String>>()?,
                });
            }
        }
        panels.push(Panel {
            title: operation.name.to_string(),
            ticks: SIZES
                .map(|bytes| (bytes as f64, bytes_name(bytes)))
                .to_vec(),
            curves,
        });
    }
    Ok(panels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_way_counts() {
        let lines = [
            "[bench] MEMORY trap 1 2000 740000",
            "MEMORY map-4k.memfd 16 1600 3200",
            "MEMORY map-4k.segment 16 1600 1600",
            "MEMORY map-4k.memfd 64 64",
            "MEMORY-DONE",
        ];
        let found = figures(lines.into_iter());
        assert_eq!(found.len(), 2);
        assert_eq!(figure(&found, "trap", 1, "").unwrap(), 370.0);
        assert_eq!(figure(&found, "map-4k", 16, "").unwrap(), 1.0);
        assert!(
            figure(&found, "map-4k", 64, "Linux")
                .unwrap_err()
                .contains("Linux")
        );
    }

    #[test]
    fn wall_clock_ratios_are_of_pairs() {
        let pair = |ours, theirs| Pair {
            ours: Figures::from([(("trap".to_string(), 1), ours)]),
            theirs: Figures::from([(("trap".to_string(), 1), theirs)]),
        };
        let asked = Asked {
            ours: "trap",
            theirs: "trap",
            pages: 1,
        };
        let pairs = [pair(1.0, 10.0), pair(8.0, 40.0), pair(3.0, 5.0)];
        let row = asked.timed("trap", &pairs).unwrap();
        assert_eq!((row.ours, row.ratio), (3.0, Some(0.2)));
    }

    #[test]
    fn sizes_have_names() {
        assert_eq!(size_name(64 << 20, &PAGES[0]), "64 MiB in 4 KiB pages");
        assert_eq!(bytes_name(4096), "4 KiB");
    }
}
