//! A network namespace of the bench's own: nothing of the machine's network is touched, and it
//! goes away with the process.

use std::os::unix::process::CommandExt;
use std::process::Command;

const MARK: &str = "CISTERN_BENCH_NAMESPACE";

/// Whether this process was started by [`enter`].
pub fn inside() -> bool {
    std::env::var_os(MARK).is_some()
}

/// Runs this very command again inside a fresh namespace (in a user namespace too, where we are
/// not root). Returns only when that failed.
pub fn enter() -> Result<(), String> {
    let this = std::env::current_exe().map_err(|e| e.to_string())?;
    let root = std::fs::metadata("/proc/self")
        .map(|m| std::os::unix::fs::MetadataExt::uid(&m))
        .is_ok_and(|uid| uid == 0);
    let error = Command::new("unshare")
        .args(if root {
            &["--net", "--"][..]
        } else {
            &["--map-root-user", "--net", "--"]
        })
        .arg(this)
        .args(std::env::args_os().skip(1))
        .env(MARK, "1")
        .exec();
    Err(format!("unshare did not start: {error}"))
}

/// Gives the namespace a loopback and a tap at 10.0.2.2/24 for one guest.
pub fn raise_tap() -> Result<(), String> {
    for line in [
        "link set lo up",
        "tuntap add dev tap0 mode tap",
        "addr add 10.0.2.2/24 dev tap0",
        "link set tap0 up txqueuelen 1000",
    ] {
        let status = Command::new("ip")
            .args(line.split(' '))
            .status()
            .map_err(|e| format!("ip did not start: {e} (Debian: iproute2)"))?;
        if !status.success() {
            return Err(format!("ip {line}: {status}"));
        }
    }
    // 100,000 connections in a row: let the client reuse its ports.
    std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "1024 65535")
        .map_err(|e| format!("ip_local_port_range: {e}"))
}
