//! One boot under `ab`: what the machine tells of its pools, and how many requests it answered when.

use super::trace::Trace;
use crate::machine::Machine;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What is asked for: the paper's generated page of 1 KiB.
const PAGE: &str = "/cgi?bytes=1024";
/// The paper's number of clients.
const CLIENTS: &str = "22";
const FIRST_ANSWER: Duration = Duration::from_secs(60);
/// A machine that is slower than this to its own clock is given up.
const SLOWEST: f64 = 12.0;
/// What asks before the machine listens may never be answered.
const PROBE: Duration = Duration::from_millis(400);
/// Where the server waits for memory, an answer takes its time.
const ANSWER: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(40);

/// `ab`, ended when dropped.
struct Load(Child);

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn load(address: SocketAddr, limit: Duration) -> Result<Load, String> {
    let seconds = limit.as_secs().to_string();
    // `-t` means 50,000 requests at most, unless `-n` comes behind it.
    let bounds = ["-q", "-r", "-s", "60", "-t", &seconds, "-n", "100000000"];
    let child = Command::new("ab")
        .args(bounds)
        .args(["-c", CLIENTS, &format!("http://{address}{PAGE}")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    child
        .map(Load)
        .map_err(|e| format!("ab did not start: {e}"))
}

/// The body of an answer.
fn get(address: SocketAddr, path: &str, limit: Duration) -> Result<String, String> {
    let fail = |e: std::io::Error| format!("GET {path}: {e}");
    let mut stream = TcpStream::connect_timeout(&address, limit).map_err(fail)?;
    stream.set_read_timeout(Some(limit)).map_err(fail)?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").map_err(fail)?;
    let mut answer = String::new();
    stream
        .take(1 << 20)
        .read_to_string(&mut answer)
        .map_err(fail)?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .ok_or_else(|| format!("GET {path}: no answer"))?;
    if !head.starts_with("HTTP/1.1 200") {
        return Err(format!("GET {path}: {}", head.lines().next().unwrap_or("")));
    }
    Ok(body.into())
}

/// The server's seconds, and the good answers so far.
fn answered(address: SocketAddr) -> Result<(f64, f64), String> {
    let body = get(address, "/stats", ANSWER)?;
    let stats: serde_json::Value =
        serde_json::from_str(&body).map_err(|e| format!("/stats is no JSON: {e}"))?;
    let field = |value: &serde_json::Value| value.as_f64().ok_or("/stats lacks a figure");
    Ok((
        field(&stats["uptime_ms"])? / 1e3,
        field(&stats["responses"]["2xx"])?,
    ))
}

/// Boots `machine`, loads it from its first answer on, and watches until its own clock shows
/// `seconds`. `progress` is told how far it is.
pub fn run(
    machine: &Machine,
    address: SocketAddr,
    seconds: f64,
    progress: impl Fn(f64),
) -> Result<Trace, String> {
    let mut running = machine.start()?;
    let started = Instant::now();
    while get(address, "/f1.txt", PROBE).is_err() {
        crate::interrupt::check()?;
        if running.ended().is_some() || started.elapsed() > FIRST_ANSWER {
            running.console.drain();
            return Err(format!("no answer:\n{}", running.console.tail(10)));
        }
        std::thread::sleep(PAUSE);
    }
    let limit = Duration::from_secs_f64(30.0 + seconds * SLOWEST);
    let mut load = load(address, limit)?;
    let loaded = Instant::now();
    let mut trace = Trace::default();
    while trace.end() < seconds {
        crate::interrupt::check()?;
        trace.answered.extend(answered(address).ok());
        std::thread::sleep(PAUSE);
        while let Some(line) = running.console.next(Duration::ZERO) {
            trace.take(&line);
        }
        progress(trace.end());
        if let Ok(Some(status)) = load.0.try_wait() {
            return Err(format!("ab ended early: {status}"));
        }
        if running.ended().is_some() || loaded.elapsed() > limit {
            return Err(format!(
                "the machine did not reach second {seconds}:\n{}",
                running.console.tail(10)
            ));
        }
    }
    trace.answered.push(answered(address)?);
    Ok(trace)
}
