//! One bounded run of `ab`, and what it reports.

use std::process::Command;
use std::time::Instant;

/// The concurrency of the CBUFs paper's figure 9.
pub const CLIENTS: u32 = 22;

#[derive(Clone, Debug)]
pub struct Load {
    pub requests: u64,
    pub per_second: f64,
    pub failed: u64,
    pub not_2xx: u64,
    pub body_bytes: u64,
    pub p99_ms: f64,
}

/// `requests` GETs of `url`, 22 at a time. Ends by itself: `ab` gives up on a silent server.
pub fn ab(url: &str, requests: u64, keep_alive: bool) -> Result<Load, String> {
    let mut command = Command::new("ab");
    command.args([
        "-q",
        "-s",
        "30",
        "-r",
        "-n",
        &requests.to_string(),
        "-c",
        &CLIENTS.to_string(),
    ]);
    if keep_alive {
        command.arg("-k");
    }
    let output = command
        .arg(url)
        .output()
        .map_err(|e| format!("ab did not start: {e}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "ab {url}: {}",
            errors.lines().last().unwrap_or("failed")
        ));
    }
    parse(&text).ok_or_else(|| format!("ab {url}: its report could not be read"))
}

fn parse(report: &str) -> Option<Load> {
    let field = |name: &str| -> Option<f64> {
        let line = report
            .lines()
            .find(|line| line.trim_start().starts_with(name))?;
        line.trim_start()[name.len()..]
            .split_whitespace()
            .next()?
            .parse()
            .ok()
    };
    Some(Load {
        requests: field("Complete requests:")? as u64,
        per_second: field("Requests per second:")?,
        failed: field("Failed requests:")? as u64,
        not_2xx: field("Non-2xx responses:").unwrap_or(0.0) as u64,
        body_bytes: field("Document Length:")? as u64,
        p99_ms: field("99%")?,
    })
}

/// Requests that take about `seconds`: from a short run, which also warms the server up.
pub fn calibrate(url: &str, keep_alive: bool, seconds: f64) -> Result<u64, String> {
    let started = Instant::now();
    let probe = ab(url, 300, keep_alive)?;
    let rate = probe.requests as f64 / started.elapsed().as_secs_f64().max(0.001);
    Ok(((rate * seconds) as u64).clamp(300, 100_000))
}

#[cfg(test)]
mod tests {
    const REPORT: &str = "
Document Length:        1024 bytes

Concurrency Level:      22
Complete requests:      1000
Failed requests:        3
   (Connect: 0, Receive: 0, Length: 3, Exceptions: 0)
Requests per second:    2174.95 [#/sec] (mean)

Percentage of the requests served within a certain time (ms)
  50%      9
  99%     14
 100%     20 (longest request)
";

    #[test]
    fn reads_a_report() {
        let load = super::parse(REPORT).unwrap();
        assert_eq!(
            (load.requests, load.failed, load.not_2xx, load.body_bytes),
            (1000, 3, 0, 1024)
        );
        assert_eq!((load.per_second, load.p99_ms), (2174.95, 14.0));
        assert!(super::parse("nonsense").is_none());
    }
}
