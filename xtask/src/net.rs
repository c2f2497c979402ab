//! A port of 127.0.0.1 that leads to the machine's web server.
//!
//! passt carries it: it needs no root and takes many connections at once. QEMU's own user
//! networking listens with a backlog of one, so it serves only where passt is missing.

use crate::install;
use crate::interrupt;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Where the web server listens inside the machine.
pub const GUEST_PORT: u16 = 80;

/// Started as root, passt takes seconds to open its socket.
const SOCKET_LIMIT: Duration = Duration::from_secs(20);

/// The way to the machine; closed when dropped.
pub struct Network {
    /// For QEMU's `-netdev`.
    pub netdev: String,
    /// Why connections may stall, if they may.
    pub warning: Option<&'static str>,
    passt: Option<(Child, PathBuf)>,
}

/// An error that says so when the port is taken.
pub fn port_free(port: u16) -> Result<(), String> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(()),
        Err(e) => Err(format!(
            "port {port} of 127.0.0.1 cannot be used ({e}): choose another with --port"
        )),
    }
}

/// A port that nobody uses at the moment.
pub fn any_port() -> Result<u16, String> {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|l| l.local_addr());
    bound
        .map(|a| a.port())
        .map_err(|e| format!("no port of 127.0.0.1 can be used: {e}"))
}

impl Network {
    /// `folder` holds passt's socket and messages.
    pub fn open(port: u16, folder: &Path) -> Result<Self, String> {
        if !install::on_path("passt") {
            return Ok(Self {
                netdev: format!("user,id=n0,hostfwd=tcp:127.0.0.1:{port}-:{GUEST_PORT}"),
                warning: Some("passt is missing: many connections at once will stall"),
                passt: None,
            });
        }
        // A socket's path may have 108 bytes only, and a deep project has more.
        let place = if folder.as_os_str().len() < 70 {
            folder.to_path_buf()
        } else {
            std::env::temp_dir()
        };
        std::fs::create_dir_all(&place)
            .map_err(|e| format!("{} cannot be made: {e}", place.display()))?;
        let socket = place.join(format!("passt-{}-{port}.sock", std::process::id()));
        let log = place.join(format!("passt-{}-{port}.log", std::process::id()));
        let _ = std::fs::remove_file(&socket);
        let messages = std::fs::File::create(&log)
            .map_err(|e| format!("{} cannot be made: {e}", log.display()))?;
        let mut command = Command::new("passt");
        command
            .args([
                "-f",
                "-4",
                "-a",
                "10.0.2.15",
                "-g",
                "10.0.2.2",
                "-n",
                "24",
                "-s",
            ])
            .arg(&socket);
        command.args(["-t", &format!("127.0.0.1/{port}:{GUEST_PORT}")]);
        if install::user_id() == Some(0) {
            // As `nobody` it could not make its socket in a folder of root's.
            command.args(["--runas", "0"]);
        }
        let spawned = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(messages)
            .spawn();
        let child = spawned.map_err(|e| format!("passt did not start: {e}"))?;
        let netdev = format!(
            "stream,id=n0,server=off,addr.type=unix,addr.path={}",
            socket.display()
        );
        let mut network = Self {
            netdev,
            warning: None,
            passt: Some((child, socket.clone())),
        };
        let opened = network.wait_for_socket(&socket);
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        let _ = std::fs::remove_file(&log);
        match opened {
            Ok(()) => Ok(network),
            Err(why) => Err(format!(
                "{why}: {}",
                said.trim().lines().last().unwrap_or("it said nothing")
            )),
        }
    }

    fn wait_for_socket(&mut self, socket: &Path) -> Result<(), String> {
        let deadline = Instant::now() + SOCKET_LIMIT;
        while Instant::now() < deadline {
            interrupt::check()?;
            let Some((child, _)) = &mut self.passt else {
                return Ok(());
            };
            if child.try_wait().ok().flatten().is_some() {
                return Err("passt ended".into());
            }
            if socket.exists() && listens(socket) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err("passt opened no socket".into())
    }
}

/// Whether the socket is in the kernel's table as listening: connecting to it would use up the
/// one connection that passt takes.
fn listens(socket: &Path) -> bool {
    let table = std::fs::read_to_string("/proc/net/unix").unwrap_or_default();
    let path = socket.display().to_string();
    // Column 4 holds the flags; 0x10000 is "accepts connections".
    let listening =
        |line: &str| line.ends_with(&path) && line.split_whitespace().nth(3) == Some("00010000");
    table.lines().any(listening)
}

impl Drop for Network {
    fn drop(&mut self) {
        if let Some((mut child, socket)) = self.passt.take() {
            // It ends by itself when QEMU does: then there is nothing to end.
            let _ = child.kill();
            let _ = child.wait();
            let _ = std::fs::remove_file(socket);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let why = port_free(port).unwrap_err();
        assert!(
            why.contains(&port.to_string()) && why.contains("--port"),
            "{why}"
        );
        assert!(port_free(any_port().unwrap()).is_ok());
    }

    #[test]
    fn a_listening_socket_is_seen_without_connecting() {
        let path = std::env::temp_dir().join(format!("listens-{}.sock", std::process::id()));
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert!(listens(&path));
        drop(listener);
        assert!(!listens(&path));
        std::fs::remove_file(&path).unwrap();
    }
}
