//! The calls and the round trip as curves over the size of a buffer: the paper's figures 5 and 6.

use super::cbuf::{ALLOCATORS, Cycles, PAGES, US, figure, measured_at};
use super::curves::{Curve, Panel};
use super::pipes::{self, LINUX, Trips};
use std::collections::HashMap;

fn panel(title: &str, curves: Vec<Curve>) -> Panel {
    Panel {
        title: title.into(),
        ticks: PAGES.map(|n| (f64::from(n), n.to_string())).to_vec(),
        curves,
    }
}

fn curve(name: &str, value: impl Fn(u32) -> Result<f64, String>) -> Result<Curve, String> {
    let points = PAGES
        .iter()
        .map(|pages| Ok((f64::from(*pages), value(*pages)?)));
    Ok(Curve {
        name: name.into(),
        points: points.collect::<Result<_, String>>()?,
    })
}

/// Cycles of an allocation with its free, of all sources: one after the other, and many at once.
pub fn calls(cycles: &Cycles) -> Result<Vec<Panel>, String> {
    let all = [US].into_iter().chain(ALLOCATORS).chain(["mmap"]);
    let kinds = [
        ("pair", "one allocated, then freed"),
        ("many", "64 allocated, then freed"),
    ];
    let one = |(what, title): (&str, &str)| {
        let curves = all
            .clone()
            .map(|who| curve(who, |pages| figure(cycles, what, who, pages)));
        Ok(panel(title, curves.collect::<Result<_, String>>()?))
    };
    kinds.into_iter().map(one).collect()
}

/// Instructions of a message to another component and back.
pub fn round_trips(counted: &HashMap<String, f64>, pipes: &Trips) -> Result<Vec<Panel>, String> {
    let ours = curve("CBUFs", |pages| measured_at(counted, "round", pages))?;
    let theirs = curve(LINUX, |pages| pipes::trip(pipes, pages))?;
    Ok(vec![panel(
        "to another component and back",
        vec![ours, theirs],
    )])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_has_a_curve_over_all_sizes() {
        let mut cycles = Cycles::new();
        for (n, who) in [US, "mmap"].into_iter().chain(ALLOCATORS).enumerate() {
            for what in ["pair", "many"] {
                for pages in PAGES {
                    let cost = f64::from(pages) + n as f64;
                    cycles.insert((what.into(), who.into(), pages), cost);
                }
            }
        }
        let panels = calls(&cycles).unwrap();
        assert_eq!(panels.len(), 2);
        for panel in &panels {
            assert_eq!(panel.curves.len(), ALLOCATORS.len() + 2);
            assert_eq!(panel.curves[0].name, US);
            assert_eq!(panel.curves[0].points[6], (64.0, 64.0));
        }
        cycles.remove(&("many".to_string(), "mmap".to_string(), 8));
        assert!(calls(&cycles).is_err());
    }

    #[test]
    fn both_round_trips_are_drawn() {
        let counted: HashMap<_, _> = PAGES.map(|n| (format!("round-{n}"), 430.0)).into();
        let pipes = PAGES.map(|n| (n, 10_000.0 * f64::from(n))).into();
        let panels = round_trips(&counted, &pipes).unwrap();
        assert_eq!(panels[0].curves[0].points[0], (1.0, 430.0));
        assert_eq!(panels[0].curves[1].points[6], (64.0, 640_000.0));
        assert!(round_trips(&counted, &Trips::new()).is_err());
    }
}
