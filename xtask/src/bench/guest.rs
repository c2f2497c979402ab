//! A running QEMU: its vCPU time, its count of executed instructions, and its end.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Where every measured guest answers, in the bench's own network namespace.
pub const ADDRESS: &str = "10.0.2.15";

pub struct Guest {
    child: Child,
    counter: PathBuf,
    pub started: Instant,
    pub console: PathBuf,
}

impl Guest {
    /// Starts QEMU with the counting plugin; what `boot` adds is the kernel and its memory.
    /// Machine, processor and network device are the same for every guest.
    pub fn start(
        folder: &Path,
        name: &str,
        plugin: &Path,
        boot: &[String],
    ) -> Result<Self, String> {
        let console = folder.join(format!("{name}-console.txt"));
        let counter = folder.join(format!("{name}-count.bin"));
        let _ = fs::remove_file(&console);
        let device = "virtio-net-pci,netdev=n0,mac=52:54:00:12:34:56,disable-legacy=on,romfile=";
        let log =
            fs::File::create(folder.join(format!("{name}-qemu.txt"))).map_err(|e| e.to_string())?;
        let started = Instant::now();
        let child = Command::new("qemu-system-x86_64")
            .env("CISTERN_COUNT", &counter)
            .args([
                "-name",
                "guest,debug-threads=on",
                "-accel",
                "tcg",
                "-machine",
                "q35",
                "-cpu",
                "qemu64",
                "-smp",
                "1",
            ])
            .args(["-display", "none", "-nodefaults", "-no-reboot"])
            .args(["-serial", &format!("file:{}", console.display())])
            .args([
                "-netdev",
                "tap,id=n0,ifname=tap0,script=no,downscript=no,vhost=off",
                "-device",
                device,
            ])
            .args(["-plugin", &plugin.display().to_string()])
            .args(boot)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|e| format!("qemu-system-x86_64 did not start: {e}"))?;
        Ok(Self {
            child,
            counter,
            started,
            console,
        })
    }

    /// Polls until a GET is answered with 200; the time since QEMU's start.
    pub fn first_answer(
        &mut self,
        port: u16,
        path: &str,
        limit: Duration,
    ) -> Result<Duration, String> {
        while self.started.elapsed() < limit {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!(
                    "the guest ended with {status}; its console is {}",
                    self.console.display()
                ));
            }
            if get(port, path, Duration::from_millis(500)).is_ok() {
                return Ok(self.started.elapsed());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(format!(
            "no answer within {limit:?}; the guest's console is {}",
            self.console.display()
        ))
    }

    /// Guest instructions executed so far.
    pub fn instructions(&self) -> Result<u64, String> {
        let mut bytes = [0; 8];
        fs::File::open(&self.counter)
            .and_then(|mut file| file.read_exact(&mut bytes))
            .map_err(|e| format!("{}: {e}", self.counter.display()))?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// Processor time of the vCPU thread so far, in nanoseconds.
    pub fn vcpu_ns(&self) -> u64 {
        let tasks = format!("/proc/{}/task", self.child.id());
        fs::read_dir(tasks)
            .into_iter()
            .flatten()
            .flatten()
            .filter(|task| {
                fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.contains("TCG"))
            })
            .filter_map(|task| {
                fs::read_to_string(task.path().join("schedstat"))
                    .ok()?
                    .split(' ')
                    .next()?
                    .parse::<u64>()
                    .ok()
            })
            .sum()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One GET on a connection of its own: the body of a 200.
pub fn get(port: u16, path: &str, timeout: Duration) -> Result<Vec<u8>, String> {
    let address: SocketAddr = format!("{ADDRESS}:{port}")
        .parse()
        .map_err(|e| format!("{e}"))?;
    let fail = |e: std::io::Error| format!("GET {path}: {e}");
    let mut stream = TcpStream::connect_timeout(&address, timeout).map_err(fail)?;
    stream.set_read_timeout(Some(timeout)).map_err(fail)?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: guest\r\nConnection: close\r\n\r\n"
    )
    .map_err(fail)?;
    let mut answer = Vec::new();
    stream
        .take(16 << 20)
        .read_to_end(&mut answer)
        .map_err(fail)?;
    let head = answer
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .ok_or(format!("GET {path}: no answer"))?;
    if !answer.starts_with(b"HTTP/1.1 200") {
        return Err(format!(
            "GET {path}: {}",
            String::from_utf8_lossy(&answer[..head.min(40)])
        ));
    }
    Ok(answer.split_off(head + 4))
}
