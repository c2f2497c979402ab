//! Whole operations, counted inside the machine: the image `bench-caps` fills the database with
//! 2^12 to 2^16 capabilities and measures itself at each size, on a machine whose time-stamp counter
//! counts executed instructions.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::bench::Built;
use crate::bench::curves::{Curve, Panel};
use crate::bench::report::{Goal, Row};
use crate::machine::{Accel, Machine, exit_code};
use crate::progress::Step;

/// Enough for the largest size.
const MEMORY_MIB: u32 = 1024;
const LIMIT: Duration = Duration::from_secs(120);
/// log2 of the capabilities in the database.
const SIZES: [u32; 5] = [12, 13, 14, 15, 16];
const SMALLEST: u32 = SIZES[0];
const LARGEST: u32 = SIZES[SIZES.len() - 1];
/// How much more an operation may cost in the largest database than in the smallest.
const MOST_GROWTH: f64 = 1.6;
/// What the plot shows: names in the machine's lines.
const PLOTTED: [&str; 4] = [
    "no-op invocation",
    "retype a page, descendants",
    "delete, last copy",
    "revoke, copies: 10",
];

/// Of how many capabilities at once an operation disposes, as its name says: `revoke, copies: 10`.
fn count(name: &str) -> Option<f64> {
    let (_, count) = name.split_once(": ")?;
    count.parse().ok().filter(|count| *count > 1.0)
}

/// Instructions by operation and size.
pub struct Figures(BTreeMap<(String, u32), f64>);

pub fn run(built: &Built) -> Result<Figures, String> {
    let machine = Machine {
        kernel: built.kernel.clone(),
        archive: built.image.clone(),
        memory_mib: MEMORY_MIB,
        accel: Accel::Counted,
        cpu: "max".into(),
        append: String::new(),
        netdev: None,
    };
    let step = Step::start("counting instructions inside the machine");
    let mut running = machine.start()?;
    let ended = running.wait(LIMIT).and_then(exit_code);
    running.console.drain();
    if ended != Some(0) {
        return Err(format!(
            "the image did not measure; its last lines:\n{}",
            running.console.tail(15)
        ));
    }
    step.done("one boot");
    Ok(Figures::of(running.console.seen.iter().map(String::as_str)))
}

impl Figures {
    /// From lines that hold `CAPS log2 instructions operation`.
    fn of<'a>(lines: impl Iterator<Item = &'a str>) -> Figures {
        let figures = lines.filter_map(|line| {
            let (_, rest) = line.split_once("CAPS ")?;
            let (log2, rest) = rest.split_once(' ')?;
            let (ticks, name) = rest.split_once(' ')?;
            let key = (name.trim_end().to_string(), log2.parse().ok()?);
            Some((key, ticks.parse().ok()?))
        });
        Figures(figures.collect())
    }

    fn get(&self, name: &str, log2: u32) -> Result<f64, String> {
        let found = self.0.get(&(name.to_string(), log2)).copied();
        found.ok_or_else(|| format!("the machine did not say what `{name}` costs at 2^{log2}"))
    }

    /// Each operation at each size, beside the smallest.
    pub fn rows(&self) -> Result<Vec<Row>, String> {
        let names: BTreeSet<&str> = self.0.keys().map(|(name, _)| name.as_str()).collect();
        if names.is_empty() {
            return Err("the machine printed no figures".into());
        }
        let mut rows = Vec::new();
        for name in names {
            let first = self.get(name, SMALLEST)?;
            for log2 in SIZES {
                let row = Row::new(format!("{name}, 2^{log2}"), "instr.", self.get(name, log2)?);
                rows.push(match log2 {
                    SMALLEST => row,
                    LARGEST => row
                        .against(&format!("2^{SMALLEST}"), first, None)
                        .goal(Goal::RatioAtMost(MOST_GROWTH)),
                    _ => row.against(&format!("2^{SMALLEST}"), first, None),
                });
            }
            if let Some(count) = count(name) {
                let each = self.get(name, LARGEST)? / count;
                rows.push(Row::new(
                    format!("- each of them, 2^{LARGEST}"),
                    "instr.",
                    each,
                ));
            }
        }
        Ok(rows)
    }

    pub fn panel(&self) -> Result<Panel, String> {
        let curve = |name: &str| -> Result<Curve, String> {
            let points = SIZES.map(|log2| Ok((f64::from(1 << log2), self.get(name, log2)?)));
            Ok(Curve {
                name: name.to_string(),
                points: points.into_iter().collect::<Result<_, String>>()?,
            })
        };
        Ok(Panel {
            title: "one core".into(),
            ticks: SIZES
                .map(|log2| (f64::from(1 << log2), format!("2^{log2}")))
                .to_vec(),
            curves: PLOTTED
                .into_iter()
                .map(curve)
                .collect::<Result<_, String>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(last: &str) -> Vec<String> {
        let line = |(log2, ticks)| format!("[bench] CAPS {log2} {ticks} delete, last copy");
        let mut lines: Vec<String> = [(12, 100), (13, 110), (14, 115), (15, 120)]
            .map(line)
            .to_vec();
        lines.push(format!("[bench] CAPS 16 {last} delete, last copy"));
        lines.push("[bench] TEST measurements ok".into());
        lines
    }

    #[test]
    fn growth_is_judged_at_the_largest_size() {
        for (last, met) in [("160", true), ("161", false)] {
            let figures = Figures::of(lines(last).iter().map(String::as_str));
            let rows = figures.rows().unwrap();
            assert_eq!(rows.len(), SIZES.len());
            assert!(rows[..4].iter().all(|row| row.met().is_none()));
            assert_eq!(rows[4].met(), Some(met));
        }
    }

    #[test]
    fn many_at_once_are_shown_each() {
        let lines = SIZES.map(|log2| format!("CAPS {log2} 700 revoke, copies: 10"));
        let rows = Figures::of(lines.iter().map(String::as_str))
            .rows()
            .unwrap();
        assert_eq!(rows.last().map(|row| row.ours), Some(70.0));
        assert_eq!(count("revoke, descendants: 1"), None);
        assert_eq!(count("copy"), None);
    }

    #[test]
    fn what_is_missing_is_named() {
        let some = lines("100");
        let figures = Figures::of(some[1..].iter().map(String::as_str));
        assert!(figures.rows().unwrap_err().contains("2^12"));
        assert!(figures.panel().is_err());
        assert!(Figures::of([].into_iter()).rows().is_err());
    }
}
