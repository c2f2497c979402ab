//! `bench observe`: what looking costs. One machine serves; windows in which nobody looks take
//! turns with windows in which dashboards ask for the figures once a second, as the page does.

use super::guest::{ADDRESS, Guest, get};
use super::load;
use super::report::{self, Row, median};
use super::web::{OUR_PORT, Setup, start_cistern};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Dashboards that look at once, in each kind of window.
const VIEWERS: [usize; 3] = [0, 1, 10];
/// How often a dashboard asks.
const PERIOD: Duration = Duration::from_secs(1);
const PATH: &str = "/cgi?bytes=1024";
/// Single looks that are counted, and their distance: each is a new one.
const LOOKS: u64 = 12;
const APART: Duration = Duration::from_millis(300);
const LIMIT: Duration = Duration::from_secs(5);

struct Window {
    per_second: f64,
    instructions: f64,
}

pub fn run(setup: &Setup) -> Result<(), String> {
    let mut cistern = start_cistern(setup)?;
    cistern.first_answer(OUR_PORT, "/f1.txt", Duration::from_secs(60))?;
    let url = format!("http://{ADDRESS}:{OUR_PORT}{PATH}");
    let requests = load::calibrate(&url, false, setup.seconds)?;
    let mut windows: [Vec<Window>; VIEWERS.len()] = Default::default();
    for _ in 0..setup.rounds {
        for (viewers, all) in VIEWERS.iter().zip(&mut windows) {
            all.push(window(&cistern, &url, requests, *viewers)?);
        }
    }
    let of = |all: &[Window], figure: fn(&Window) -> f64| {
        median(&all.iter().map(figure).collect::<Vec<_>>())
    };
    let mut rows = Vec::new();
    for (what, unit, figure) in [
        (
            "throughput",
            "requests/s",
            (|w| w.per_second) as fn(&Window) -> f64,
        ),
        ("instructions", "a request", |w| w.instructions),
    ] {
        let alone = of(&windows[0], figure);
        for (viewers, all) in VIEWERS.iter().zip(&windows) {
            let looking = match viewers {
                0 => "nobody looks".into(),
                1 => "1 dashboard".into(),
                more => format!("{more} dashboards"),
            };
            let row = Row::new(format!("{what}, {looking}"), unit, of(all, figure));
            rows.push(match viewers {
                0 => row,
                _ => row.against("nobody looks", alone, Some(of(all, figure) / alone)),
            });
        }
    }
    rows.push(Row::new(
        "a look",
        "instructions",
        look(&cistern, "/api/stats")?,
    ));
    rows.push(Row::new(
        "a file instead",
        "instructions",
        look(&cistern, "/f4096.txt")?,
    ));
    let title = "What looking costs: requests beside dashboards";
    report::publish(&setup.results, "observe", title, &rows)
}

/// One load, while so many dashboards ask.
fn window(guest: &Guest, url: &str, requests: u64, viewers: usize) -> Result<Window, String> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let over = &over;
        let looking: Vec<_> = (0..viewers)
            .map(|_| scope.spawn(move || watch(over)))
            .collect();
        let before = guest.instructions();
        let load = load::ab(url, requests, false);
        let after = guest.instructions();
        // Relaxed: it says nothing of other memory.
        over.store(true, Ordering::Relaxed);
        for one in looking {
            one.join().map_err(|_| "a viewer panicked")??;
        }
        let load = load?;
        if load.failed + load.not_2xx > 0 {
            return Err(format!("{} requests failed", load.failed + load.not_2xx));
        }
        Ok(Window {
            per_second: load.per_second,
            instructions: (after? - before?) as f64 / requests as f64,
        })
    })
}

/// A dashboard, until the window is over.
fn watch(over: &AtomicBool) -> Result<(), String> {
    while !over.load(Ordering::Relaxed) {
        get(OUR_PORT, "/api/stats", LIMIT)?;
        std::thread::park_timeout(PERIOD);
    }
    Ok(())
}

/// Instructions from one request to the next, with nothing else to do between.
fn look(guest: &Guest, path: &str) -> Result<f64, String> {
    let mut costs = Vec::new();
    for _ in 0..LOOKS {
        std::thread::sleep(APART);
        let before = guest.instructions()?;
        get(OUR_PORT, path, LIMIT)?;
        costs.push((guest.instructions()? - before) as f64);
    }
    Ok(median(&costs))
}
