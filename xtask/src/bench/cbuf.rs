//! What a client's calls on buffers cost. On this machine, in cycles, beside the allocators that
//! people know (`libcbuf/benches/calls`); inside the machine, in instructions, with a message to
//! another component and back beside Linux pipes (`pipes`), and what follows from the size of a
//! pool (the image `bench-cbuf`).

use super::Built;
use super::kernel::{measure, measure_by};
use super::pipes::{self, LINUX, Trips};
use super::report::{self, Goal, Row};
use super::{cbuf_figures, cbuf_pools, curves};
use crate::install;
use crate::machine::Accel;
use crate::progress::Step;
use crate::project::Project;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::process::Stdio;

pub const PAGES: [u32; 7] = [1, 2, 4, 8, 16, 32, 64];
pub const US: &str = "CBUF";
pub const ALLOCATORS: [&str; 4] = ["glibc", "jemalloc", "mimalloc", "tcmalloc"];
/// From so many pages on we are to be ahead of all.
const LARGE: u32 = 16;
/// Rounds of the host's part for each that was asked for: they are short.
const HOST_ROUNDS: usize = 15;
/// The most that cycles may differ between sizes, most over least.
const FLAT_CYCLES: f64 = 1.05;
const FLAT_INSTRUCTIONS: f64 = 1.02;
const MMAP: f64 = 1.0 / 15.0;
/// The calls inside the machine: key, name, goal.
const CALLS: [(&str, &str, Option<f64>); 7] = [
    ("alloc", "cbuf_alloc", Some(30.0)),
    ("free", "cbuf_free", Some(20.0)),
    ("send", "cbuf_send", Some(8.0)),
    ("receive", "cbuf2buf", Some(30.0)),
    ("send-first", "cbuf_send, first to a component", None),
    ("alloc-many", "cbuf_alloc, 32 held at once", None),
    ("free-many", "cbuf_free, 32 held at once", None),
];
const ROUND_TRIP: f64 = 500.0;
/// Cycles by what, who and pages.
pub type Cycles = BTreeMap<(String, String, u32), f64>;

pub fn run(project: &Project, built: &Built, rounds: usize) -> Result<(), String> {
    install::allocators()?;
    let cycles = parse(&measure_here(project, rounds)?)?;
    let mut rows = host_rows(&cycles)?;
    let counted = measure(built)?;
    let guest = pipes::prepare(&project.root)?;
    let piped = pipes::counted(&guest)?;
    rows.extend(machine_rows(&counted, &piped)?);
    rows.extend(pipes::timed(built, &guest, rounds)?);
    rows.extend(cbuf_pools::rows(&counted, &timed(built, rounds)?)?);
    let title = "Calls on buffers: ours beside the peers'";
    let results = project.target().join("bench");
    report::publish(&results, "cbuf", title, &rows)?;
    for (file, title, panels) in [
        (
            "cbuf-calls.svg",
            "Cycles of an allocation and its free, by pages of the buffer",
            cbuf_figures::calls(&cycles)?,
        ),
        (
            "cbuf-round-trip.svg",
            "Instructions, by pages",
            cbuf_figures::round_trips(&counted, &piped)?,
        ),
        (
            "cbuf-pools.svg",
            "Instructions of an allocation, by pages of the pool",
            cbuf_pools::panels(&counted)?,
        ),
    ] {
        let path = results.join(file);
        curves::draw(&path, title, &panels)?;
        println!("{}", path.display());
    }
    Ok(())
}

/// What the image says by the clock: of each figure, the median of so many boots.
fn timed(built: &Built, rounds: usize) -> Result<HashMap<String, f64>, String> {
    let boots = (0..rounds.max(1)).map(|_| measure_by(built, Accel::Tcg));
    Ok(medians(boots.collect::<Result<_, String>>()?))
}

fn medians(boots: Vec<HashMap<String, f64>>) -> HashMap<String, f64> {
    let mut all: HashMap<String, Vec<f64>> = HashMap::new();
    for (key, value) in boots.into_iter().flatten() {
        all.entry(key).or_default().push(value);
    }
    let one = |(key, values): (String, Vec<f64>)| (key, report::median(&values));
    all.into_iter().map(one).collect()
}

/// Builds the host's part as components are built, and runs it.
fn measure_here(project: &Project, rounds: usize) -> Result<String, String> {
    let step = Step::start("measuring the client library beside allocators on this machine");
    let mut cargo = project.cargo();
    cargo.args(["bench", "--quiet", "--profile", "bare", "-p", "libcbuf"]);
    cargo.args(["--features", "std", "--bench", "calls", "--"]);
    cargo.arg((rounds.max(1) * HOST_ROUNDS).to_string());
    // An allocator that is loaded late wants thread-local memory set aside early.
    cargo.env("GLIBC_TUNABLES", "glibc.rtld.optional_static_tls=65536");
    let output = cargo
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("cargo did not start: {e}"))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(format!("the bench failed:\n{}", why.trim_end()));
    }
    step.done("measured");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn parse(text: &str) -> Result<Cycles, String> {
    let mut all = Cycles::new();
    for line in text.lines().filter(|line| line.starts_with('{')) {
        let broken = || format!("the bench printed what it should not: {line}");
        let value: Value = serde_json::from_str(line).map_err(|_| broken())?;
        let text = |key: &str| value[key].as_str().map(String::from).ok_or_else(broken);
        let pages = value["pages"].as_u64().ok_or_else(broken)? as u32;
        let cycles = value["cycles"].as_f64().ok_or_else(broken)?;
        all.insert((text("what")?, text("who")?, pages), cycles);
    }
    Ok(all)
}

pub fn figure(cycles: &Cycles, what: &str, who: &str, pages: u32) -> Result<f64, String> {
    let key = (what.to_string(), who.to_string(), pages);
    let missing = || format!("the bench did not measure {what} of {who} at {pages} pages");
    cycles.get(&key).copied().ok_or_else(missing)
}

pub fn size(pages: u32) -> String {
    match pages {
        1 => "1 page".into(),
        n => format!("{n} pages"),
    }
}

/// The most of some figures over the least.
fn spread(figures: &[f64]) -> f64 {
    let most = figures.iter().copied().fold(f64::MIN, f64::max);
    most / figures.iter().copied().fold(f64::MAX, f64::min)
}

fn host_rows(cycles: &Cycles) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    let ours = |what: &str| -> Result<Vec<f64>, String> {
        let all = PAGES.iter().map(|pages| figure(cycles, what, US, *pages));
        all.collect()
    };
    for pages in PAGES {
        let mut fastest = ("", f64::MAX);
        for who in ALLOCATORS {
            let theirs = figure(cycles, "pair", who, pages)?;
            if theirs < fastest.1 {
                fastest = (who, theirs);
            }
        }
        let name = format!("alloc + free, {}, the fastest", size(pages));
        let row = Row::new(name, "cycles", figure(cycles, "pair", US, pages)?);
        let row = row.against(fastest.0, fastest.1, None);
        rows.push(match pages {
            1 => row.goal(Goal::RatioAtMost(1.0)),
            LARGE.. => row.goal(Goal::RatioBelow(1.0)),
            _ => row,
        });
    }
    let name = "alloc + free, 1 to 64 pages, most over least";
    let flat = Row::new(name, "ratio", spread(&ours("pair")?));
    rows.push(flat.goal(Goal::AtMost(FLAT_CYCLES)));
    for pages in PAGES {
        let row = Row::new(
            format!("alloc + free, {}", size(pages)),
            "cycles",
            figure(cycles, "pair", US, pages)?,
        );
        let mmap = figure(cycles, "pair", "mmap", pages)?;
        let row = row.against("mmap", mmap, None);
        rows.push(row.goal(Goal::RatioAtMost(MMAP)));
    }
    let others = [
        ("pair", "alloc + free"),
        ("alloc", "alloc"),
        ("free", "free"),
        ("touched", "alloc, a byte written to each page, free"),
        ("many", "64 allocs, 64 frees, each pair"),
    ];
    for (what, name) in others {
        for pages in PAGES {
            let ours = figure(cycles, what, US, pages)?;
            for who in ALLOCATORS {
                let theirs = figure(cycles, what, who, pages)?;
                let row = Row::new(format!("{name}, {}", size(pages)), "cycles", ours);
                rows.push(row.against(who, theirs, None));
            }
        }
    }
    for (what, name) in [("send", "cbuf_send"), ("receive", "cbuf2buf")] {
        let row = Row::new(name, "cycles", figure(cycles, what, US, 1)?);
        rows.push(row);
    }
    Ok(rows)
}

/// What the machine said of one call at one size.
pub fn measured_at(measured: &HashMap<String, f64>, key: &str, pages: u32) -> Result<f64, String> {
    let name = format!("{key}-{pages}");
    let missing = || format!("the machine did not say what `{name}` costs");
    measured.get(&name).copied().ok_or_else(missing)
}

/// `pipes` are Linux's round trips in instructions, by pages.
fn machine_rows(measured: &HashMap<String, f64>, pipes: &Trips) -> Result<Vec<Row>, String> {
    let all = |key: &str| -> Result<Vec<f64>, String> {
        let one = |pages: &u32| measured_at(measured, key, *pages);
        PAGES.iter().map(one).collect()
    };
    let mut rows = Vec::new();
    for (key, name, goal) in CALLS {
        let most = all(key)?.into_iter().fold(0.0, f64::max);
        let row = Row::new(name, "instr.", most);
        rows.push(match goal {
            Some(goal) => row.goal(Goal::AtMost(goal)),
            None => row,
        });
    }
    let trips = all("round")?;
    for (pages, trip) in PAGES.iter().zip(&trips) {
        let row = Row::new(format!("round trip, {}", size(*pages)), "instr.", *trip);
        let row = row.against(LINUX, pipes::trip(pipes, *pages)?, None);
        rows.push(row.goal(Goal::AtMost(ROUND_TRIP)));
    }
    let name = "round trip, 1 to 64 pages, most over least";
    let flat = Row::new(name, "ratio", spread(&trips));
    rows.push(flat.goal(Goal::AtMost(FLAT_INSTRUCTIONS)));
    for (pages, trip) in PAGES.iter().zip(all("round-new")?) {
        let name = format!("round trip, a new buffer of 64 each time, {}", size(*pages));
        rows.push(Row::new(name, "instr.", trip));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cycles(tcmalloc: f64) -> Cycles {
        let mut all = Cycles::new();
        for pages in PAGES {
            for what in [
                "pair", "alloc", "free", "touched", "many", "send", "receive",
            ] {
                for who in [US, "mmap"].into_iter().chain(ALLOCATORS) {
                    let cost = match who {
                        US => 10.0,
                        "mmap" => 1000.0,
                        "tcmalloc" => tcmalloc,
                        _ => 50.0,
                    };
                    all.insert((what.into(), who.into(), pages), cost);
                }
            }
        }
        all
    }

    fn missed(rows: &[Row]) -> Vec<&str> {
        let missed = rows.iter().filter(|row| row.met() == Some(false));
        missed.map(|row| row.name.as_str()).collect()
    }

    #[test]
    fn goals_are_those_of_the_fastest() {
        assert!(missed(&host_rows(&cycles(11.0)).unwrap()).is_empty());
        // As fast: enough at one page, not from 16 on.
        let as_fast = host_rows(&cycles(10.0)).unwrap();
        assert_eq!(
            missed(&as_fast),
            [16, 32, 64].map(|n| format!("alloc + free, {n} pages, the fastest"))
        );
        assert_eq!(missed(&host_rows(&cycles(9.0)).unwrap()).len(), 4);
        let mut uneven = cycles(11.0);
        uneven.insert(("pair".into(), US.into(), 8), 10.6);
        assert_eq!(missed(&host_rows(&uneven).unwrap()).len(), 1);
        uneven.remove(&("pair".to_string(), "glibc".to_string(), 8));
        assert!(host_rows(&uneven).is_err());
    }

    #[test]
    fn the_worst_size_counts() {
        let keys = CALLS
            .iter()
            .map(|(key, ..)| *key)
            .chain(["round", "round-new"]);
        let mut measured = HashMap::new();
        for key in keys {
            for pages in PAGES {
                measured.insert(format!("{key}-{pages}"), 8.0);
            }
        }
        let pipes = PAGES.map(|pages| (pages, 10_000.0)).into();
        assert!(missed(&machine_rows(&measured, &pipes).unwrap()).is_empty());
        measured.insert("send-32".into(), 9.0);
        measured.insert("round-64".into(), 8.2);
        let rows = machine_rows(&measured, &pipes).unwrap();
        let name = "round trip, 1 to 64 pages, most over least";
        assert_eq!(missed(&rows), ["cbuf_send", name]);
        assert!(machine_rows(&measured, &Trips::new()).is_err());
        measured.remove("alloc-1");
        assert!(machine_rows(&measured, &pipes).is_err());
    }

    #[test]
    fn one_disturbed_boot_counts_for_nothing() {
        let boots = [5.0, 900.0, 6.0].map(|us| HashMap::from([("pause".to_string(), us)]));
        assert_eq!(medians(boots.into())["pause"], 6.0);
    }

    #[test]
    fn figures_are_read() {
        let line = r#"{"what":"pair","who":"glibc","pages":2,"cycles":28.5}"#;
        let all = parse(&format!("noise\n{line}\n")).unwrap();
        assert_eq!(figure(&all, "pair", "glibc", 2), Ok(28.5));
        assert!(figure(&all, "pair", "glibc", 4).is_err());
        assert!(parse("{\"what\":\"pair\"}").is_err());
    }
}
