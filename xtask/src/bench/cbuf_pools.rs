//! What follows from the size of a pool: an allocation with its share of the collections (the
//! paper's figure 7), what it costs to make a pool smaller, and how long both hold up a thread of
//! high priority that allocates from another pool, or from the one that shrinks. Counted, and once
//! more by the clock.

use super::curves::{Curve, Panel};
use super::report::{Goal, Row};
use std::collections::HashMap;

/// Pages of the pools, and components that each buffer is sent to, as in the image.
const POOLS: [u32; 6] = [8, 32, 128, 512, 2048, 4096];
const SHARERS: [u32; 3] = [1, 2, 4];
const LARGEST: u32 = POOLS[POOLS.len() - 1];
/// At the largest pool.
const AMORTISED: f64 = 250.0;
/// Where the pages are that a pool gives back.
const STATES: [(&str, &str); 3] = [
    ("garbage", "garbage"),
    ("free", "in freelists"),
    ("live", "live, freed then"),
];
/// The urgent thread's longest allocations: key, name.
const WAITS: [(&str, &str); 10] = [
    ("wait-alone", "nothing else happens"),
    ("wait-collection", "another's 4,000 pages are collected"),
    ("wait-owned", "another's heap grows by 4,000 pages"),
    (
        "wait-returning-garbage",
        "another's pool shrinks, of garbage",
    ),
    (
        "wait-returning-free",
        "another's pool shrinks, of free buffers",
    ),
    (
        "wait-returning-live",
        "another's pool shrinks, of live buffers",
    ),
    ("pause-garbage", "its own pool shrinks, of garbage"),
    ("pause-free", "its own pool shrinks, its shelf has one"),
    ("pause-taken", "its own pool shrank, of a long freelist"),
    ("pause-growing", "its own pool is filled again, then"),
];

/// While all this is measured.
const LOCK: [(&str, &str); 2] = [
    ("lock-taken", "the manager's lock, taken meanwhile"),
    ("lock-waits", "- of these while another thread had it"),
];

type Measured = HashMap<String, f64>;

fn figure(measured: &Measured, key: &str) -> Result<f64, String> {
    let missing = || format!("the machine did not say what `{key}` is");
    measured.get(key).copied().ok_or_else(missing)
}

fn to(sharers: u32) -> String {
    match sharers {
        1 => "sent to 1".into(),
        n => format!("sent to {n}"),
    }
}

/// The rows, of a boot that counts instructions and one that counts time.
pub fn rows(counted: &Measured, timed: &Measured) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for sharers in SHARERS {
        for pages in POOLS {
            let key = format!("{pages}-{sharers}");
            let whole = figure(counted, &format!("amortised-{key}"))?;
            let share = figure(counted, &format!("collecting-{key}"))?;
            let name = format!("alloc with collections, pool of {pages}, {}", to(sharers));
            let row = Row::new(&*name, "instr.", whole);
            rows.push(match pages {
                LARGEST => row.goal(Goal::AtMost(AMORTISED)),
                _ => row,
            });
            rows.push(Row::new("- the collector's share", "instr.", share));
        }
    }
    for (state, name) in STATES {
        let pages = figure(counted, &format!("returned-{state}"))?;
        let ticks = figure(counted, &format!("returning-{state}"))?;
        let name = format!("returning a page, {name}");
        rows.push(Row::new(&*name, "instr.", ticks / pages));
        let pages = figure(timed, &format!("returned-{state}"))?;
        let ms = figure(timed, &format!("returning-{state}-ns"))? / 1e6;
        rows.push(Row::new("- by the clock", "pages/ms", pages / ms));
    }
    for (key, when) in WAITS {
        let name = format!("an urgent thread's longest alloc: {when}");
        rows.push(Row::new(&*name, "instr.", figure(counted, key)?));
        let us = figure(timed, &format!("{key}-ns"))? / 1e3;
        rows.push(Row::new("- by the clock", "us", us));
    }
    for (key, name) in LOCK {
        rows.push(Row::new(name, "times", figure(counted, key)?));
    }
    let waits = figure(counted, "lock-waits")?.max(1.0);
    let waited = figure(counted, "lock-waited")? / waits;
    rows.push(Row::new("- and each wait on average", "instr.", waited));
    Ok(rows)
}

/// Figure 7: a panel for the whole and one for the collector's share.
pub fn panels(counted: &Measured) -> Result<Vec<Panel>, String> {
    let panel = |title: &str, what: &str| -> Result<Panel, String> {
        let curve = |sharers: u32| -> Result<Curve, String> {
            let point = |pages: u32| {
                let cost = figure(counted, &format!("{what}-{pages}-{sharers}"))?;
                Ok((f64::from(pages), cost.max(1.0)))
            };
            let points = POOLS.into_iter().map(point);
            Ok(Curve {
                name: to(sharers),
                points: points.collect::<Result<_, String>>()?,
            })
        };
        let curves = SHARERS.into_iter().map(curve);
        Ok(Panel {
            title: title.into(),
            ticks: POOLS.map(|n| (f64::from(n), n.to_string())).to_vec(),
            curves: curves.collect::<Result<_, String>>()?,
        })
    };
    Ok(vec![
        panel("allocation with collections", "amortised")?,
        panel("the collector's share", "collecting")?,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(amortised: f64) -> Measured {
        let mut all = Measured::new();
        for pages in POOLS {
            for sharers in SHARERS {
                all.insert(format!("amortised-{pages}-{sharers}"), amortised);
                all.insert(format!("collecting-{pages}-{sharers}"), 100.0);
            }
        }
        for (state, _) in STATES {
            all.insert(format!("returned-{state}"), 4000.0);
            all.insert(format!("returning-{state}"), 8e6);
            all.insert(format!("returning-{state}-ns"), 4e6);
        }
        for (key, value) in [("taken", 100.0), ("waits", 4.0), ("waited", 800.0)] {
            all.insert(format!("lock-{key}"), value);
        }
        for (key, _) in WAITS {
            all.insert(key.into(), 5000.0);
            all.insert(format!("{key}-ns"), 5000.0);
        }
        all
    }

    #[test]
    fn only_the_largest_pool_has_a_goal() {
        let missed = |amortised| {
            let all = measured(amortised);
            let rows = rows(&all, &all).unwrap();
            rows.iter().filter(|row| row.met() == Some(false)).count()
        };
        assert_eq!(missed(250.0), 0);
        assert_eq!(missed(251.0), SHARERS.len());
    }

    #[test]
    fn pages_are_counted_by_instructions_and_by_the_clock() {
        let all = measured(250.0);
        let rows = rows(&all, &all).unwrap();
        let at = rows
            .iter()
            .position(|r| r.name == "returning a page, garbage");
        let at = at.unwrap();
        assert_eq!((rows[at].ours, rows[at + 1].ours), (2000.0, 1000.0));
        let mut less = measured(250.0);
        less.remove("pause-free-ns");
        assert!(super::rows(&all, &less).is_err());
    }

    #[test]
    fn a_lock_that_nobody_waited_for_has_no_wait() {
        let last = |all: &Measured| rows(all, all).unwrap().pop().unwrap().ours;
        let mut all = measured(250.0);
        assert_eq!(last(&all), 200.0);
        all.insert("lock-waits".into(), 0.0);
        all.insert("lock-waited".into(), 0.0);
        assert_eq!(last(&all), 0.0);
    }

    #[test]
    fn curves_are_by_sharers() {
        let panels = panels(&measured(300.0)).unwrap();
        assert_eq!(panels.len(), 2);
        assert_eq!(panels[0].curves[2].points[5], (4096.0, 300.0));
    }
}
