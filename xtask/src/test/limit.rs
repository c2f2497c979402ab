//! The default image with 300 pages for all its pools, under each policy: the sum holds while many
//! clients ask for small and large bodies at once, and every one of them gets its answer, whole.

use super::Outcomes;
use super::observe::choose_limit;
use super::web::{Served, expect, serve_with};
use crate::http::get;
use crate::project::Project;
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const LIMIT: u64 = 300;
const CHOICES: [&str; 5] = [
    "throughput",
    "limited",
    "priority",
    "qos cbuf-policy.qos=webserver=10%",
    "static",
];
/// What each client asks for, one after the other; each list has a client, or more.
const CLIENTS: [&[&str]; 6] = [
    &["/f1048576.txt"; 2],
    &["/cgi?bytes=1048576"; 2],
    &["/f65536.txt", "/cgi?bytes=65536", "/dashboard.js"],
    &["/cgi?bytes=1024"; 60],
    &["/cgi?bytes=1024"; 60],
    &["/f1024.txt", "/nothing", "/metrics", "/cgi?bytes=5000"],
];
/// Pools that were made smaller give back what they hold as it comes free.
const SOON: Duration = Duration::from_secs(10);

pub fn run(project: &Project, outcomes: &mut Outcomes) {
    if outcomes.quick {
        return;
    }
    for choice in CHOICES {
        let name = choice.split(' ').next().unwrap_or(choice);
        outcomes.run(&format!("policies: {name} keeps to 300 pages"), || {
            let words = format!("cbuf-policy.policy={choice} cbuf-policy.memory-limit={LIMIT}p");
            let mut served = serve_with(project, "webserver", 128, &words)?;
            loaded(&served, 0).map_err(|why| served.explain(&why))
        });
    }
    outcomes.run("policies: a limit holds from when it is chosen", || {
        let mut served = serve_with(project, "webserver", 128, "")?;
        let chosen = || {
            loaded(&served, u64::MAX)?;
            choose_limit(served.port, LIMIT)?;
            loaded(&served, u64::MAX)?;
            let deadline = Instant::now() + SOON;
            while sums(served.port)?.1 > LIMIT {
                if Instant::now() > deadline {
                    return Err(format!("pools still hold more: {}", pools(served.port)?));
                }
                std::thread::sleep(Duration::from_millis(300));
            }
            loaded(&served, 0)
        };
        chosen().map_err(|why| served.explain(&why))
    });
}

/// All clients at once, and one that looks at the pools; `beyond` the limit they may be.
fn loaded(served: &Served, beyond: u64) -> Result<(), String> {
    let port = served.port;
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let looks = scope.spawn(|| {
            let mut looks = 0;
            // At least once after the load began.
            while looks < 2 || !over.load(Ordering::Relaxed) {
                let (sizes, held) = sums(port)?;
                let most = LIMIT.saturating_add(beyond);
                if sizes > most || held > most {
                    return Err(format!("pools have {sizes} pages and hold {held}"));
                }
                looks += 1;
                std::thread::sleep(Duration::from_millis(100));
            }
            Ok(())
        });
        let clients = CLIENTS.map(|paths| scope.spawn(move || asks(port, paths)));
        let answered = clients.map(|client| client.join().unwrap_or(Err("panicked".into())));
        over.store(true, Ordering::Relaxed);
        let held = looks.join().unwrap_or(Err("panicked".into()));
        answered.into_iter().collect::<Result<(), _>>().and(held)
    })
}

/// The sizes of all pools together, and what they hold.
fn sums(port: u16) -> Result<(u64, u64), String> {
    let answer = get(port, "/api/stats")?;
    expect(&answer, 200)?;
    let stats: Value = serde_json::from_slice(&answer.body).map_err(|e| e.to_string())?;
    let components = stats["components"].as_array().ok_or("no components")?;
    let sum = |field: &str| {
        let pages = components.iter().map(|c| c["pool"][field].as_u64());
        pages.map(Option::unwrap_or_default).sum()
    };
    Ok((sum("limit"), sum("held")))
}

/// Who holds what, for a person.
fn pools(port: u16) -> Result<String, String> {
    let stats: Value =
        serde_json::from_slice(&get(port, "/api/stats")?.body).map_err(|e| e.to_string())?;
    let components = stats["components"].as_array().ok_or("no components")?;
    let pools = components.iter().filter(|c| c["pool"].is_object());
    let told = pools.map(|c| {
        format!(
            "{} {} of {}",
            c["name"], c["pool"]["held"], c["pool"]["limit"]
        )
    });
    Ok(told.collect::<Vec<_>>().join(", "))
}

fn asks(port: u16, paths: &[&str]) -> Result<(), String> {
    for path in paths {
        let answer = get(port, path).map_err(|why| format!("{path}: {why}"))?;
        let status = if *path == "/nothing" { 404 } else { 200 };
        expect(&answer, status).map_err(|why| format!("{path}: {why}"))?;
        if let Some(wrong) = wrong(path, &answer.body) {
            return Err(format!("{path}: {wrong}"));
        }
    }
    Ok(())
}

/// What is wrong with the body of a file or a page whose bytes follow a formula.
fn wrong(path: &str, body: &[u8]) -> Option<String> {
    const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let of_file = |i: usize| {
        let number = (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58;
        BASE64[number as usize]
    };
    let of_page = |i: usize| 32 + ((i ^ (i / 256)) % 64) as u8;
    let file = path.strip_prefix("/f").and_then(|p| p.strip_suffix(".txt"));
    let page = path.strip_prefix("/cgi?bytes=");
    let length: usize = file.or(page)?.parse().ok()?;
    let byte = |i| {
        if file.is_some() {
            of_file(i)
        } else {
            of_page(i)
        }
    };
    let bad = (0..length).find(|i| body.get(*i) != Some(&byte(*i)));
    let more = body.len() > length;
    match bad {
        Some(at) => Some(format!("wrong from byte {at} of {}", body.len())),
        None if more => Some(format!("{} bytes came", body.len())),
        None => None,
    }
}
