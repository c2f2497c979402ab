//! `ab`, and the server's counters before and after.

use crate::http;
use serde_json::Value;
use std::process::{Command, Stdio};
use std::time::Duration;

/// An error unless every request is answered as it should be.
pub fn ab(port: u16, requests: u32, keep_alive: bool, path: &str) -> Result<(), String> {
    let mut command = Command::new("ab");
    command.args([
        "-q",
        "-r",
        "-s",
        "60",
        "-c",
        "22",
        "-n",
        &requests.to_string(),
    ]);
    if keep_alive {
        command.arg("-k");
    }
    command.arg(format!("http://127.0.0.1:{port}{path}"));
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("ab did not start: {e}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let number = |label: &str| -> Option<u64> {
        let line = text.lines().find(|l| l.starts_with(label))?;
        line[label.len()..].split_whitespace().next()?.parse().ok()
    };
    let (complete, failed) = (number("Complete requests:"), number("Failed requests:"));
    let bad = number("Non-2xx responses:").unwrap_or(0);
    let good = output.status.success() && complete == Some(u64::from(requests));
    if good && failed == Some(0) && bad == 0 {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "complete {complete:?}, failed {failed:?}, not 2xx {bad}; {}",
        said.trim()
    ))
}

/// The server's counters.
pub fn stats(port: u16) -> Result<Value, String> {
    let answer = http::get(port, "/stats")?;
    serde_json::from_slice(&answer.body).map_err(|e| format!("/stats is no JSON: {e}"))
}

/// Pages in buffers that somebody uses.
pub fn live(port: u16) -> Result<u64, String> {
    let stats = stats(port)?;
    let live = stats["cbuf_pages"]["live"].as_u64();
    live.ok_or_else(|| format!("no live pages in {stats}"))
}

/// Pages that belong to no pool, pages that pools hold and pages that nobody was given, once
/// they stand still: connections of the past wind down for a while, and a pool counts as at rest
/// only when nobody asked for two seconds.
pub fn pages(port: u16) -> Result<[u64; 3], String> {
    let mut last = None;
    for _ in 0..10 {
        let stats = stats(port)?;
        let pages = &stats["cbuf_pages"];
        let told = [&pages["free"], &pages["pooled"], &stats["free_pages"]].map(Value::as_u64);
        let [Some(free), Some(pooled), Some(rest)] = told else {
            return Err(format!("/stats tells no pages: {stats}"));
        };
        let now = (free, pooled, rest, stats["connections"]["open"].as_u64());
        if last == Some(now) && now.3 == Some(1) {
            return Ok([free, pooled, rest]);
        }
        last = Some(now);
        std::thread::sleep(Duration::from_secs(3));
    }
    Err(format!(
        "pages and connections do not come to rest: {last:?}"
    ))
}
