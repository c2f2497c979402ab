//! The machine that everything boots in: QEMU's arguments and its life.

use crate::install;
use crate::serial::Console;
use clap::ValueEnum;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const QEMU: &str = "qemu-system-x86_64";

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Accel {
    /// KVM where it works, else TCG
    Auto,
    Tcg,
    Kvm,
    /// TCG with a clock that counts instructions: one each nanosecond
    #[value(skip)]
    Counted,
    /// TCG where each instruction takes 16 nanoseconds and the clock never runs ahead of ours: what
    /// runs takes the same time however busy this machine is, and who serves it from outside is fast
    /// beside it
    #[value(skip)]
    Slow,
}

/// What to boot and in what.
pub struct Machine {
    pub kernel: PathBuf,
    pub archive: PathBuf,
    pub memory_mib: u32,
    pub accel: Accel,
    pub cpu: String,
    pub append: String,
    /// Value of `-netdev`, with the id `n0`; none: no network interface.
    pub netdev: Option<String>,
}

/// A running QEMU; ended when dropped.
pub struct Running {
    child: Child,
    pub console: Console,
}

impl Machine {
    /// QEMU's arguments. `kvm` has been decided.
    fn arguments(&self, kvm: bool) -> Vec<String> {
        let cpu = if kvm && self.cpu == "max" {
            "host"
        } else {
            &self.cpu
        };
        let count = match self.accel {
            Accel::Counted => Some("shift=0,sleep=off"),
            Accel::Slow => Some("shift=4,align=on"),
            Accel::Auto | Accel::Tcg | Accel::Kvm => None,
        };
        let accel = match (kvm, count.is_some()) {
            (true, _) => "kvm",
            (false, true) => "tcg,thread=single",
            (false, false) => "tcg,thread=multi",
        };
        let memory = self.memory_mib.to_string();
        let (kernel, archive) = (
            self.kernel.display().to_string(),
            self.archive.display().to_string(),
        );
        let fixed = [
            ["-machine", "q35"],
            ["-accel", accel],
            ["-cpu", cpu],
            ["-smp", "1"],
            ["-m", &memory],
            ["-display", "none"],
            ["-serial", "stdio"],
            ["-monitor", "none"],
            ["-device", "isa-debug-exit,iobase=0xf4,iosize=4"],
            ["-kernel", &kernel],
            ["-initrd", &archive],
            ["-append", &self.append],
        ];
        let mut arguments: Vec<String> = fixed.into_iter().flatten().map(String::from).collect();
        arguments.extend(["-nodefaults", "-no-reboot"].map(String::from));
        if let Some(count) = count {
            arguments.extend(["-icount", count].map(String::from));
        }
        if let Some(netdev) = &self.netdev {
            let device = "virtio-net-pci,netdev=n0,disable-legacy=on,romfile=";
            arguments.extend(["-netdev", netdev, "-device", device].map(String::from));
        }
        arguments
    }

    /// Starts QEMU. What the machine prints goes to [`Running::console`].
    pub fn start(&self) -> Result<Running, String> {
        if !install::on_path(QEMU) {
            return Err(format!("{QEMU} is missing; `cargo xtask run` installs it"));
        }
        let kvm = match self.accel {
            Accel::Tcg | Accel::Counted | Accel::Slow => false,
            Accel::Auto => kvm_works(),
            Accel::Kvm if kvm_works() => true,
            Accel::Kvm => {
                return Err("this machine cannot run QEMU with KVM: use --accel tcg".into());
            }
        };
        let mut command = if self.accel == Accel::Slow {
            // Its clock does not mind to wait; whoever serves it should not have to.
            let mut command = Command::new("nice");
            command.args(["-n", "10", QEMU]);
            command
        } else {
            Command::new(QEMU)
        };
        command.args(self.arguments(kvm));
        let spawned = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = spawned.map_err(|e| format!("{QEMU} did not start: {e}"))?;
        let console = Console::read(child.stdout.take(), child.stderr.take());
        Ok(Running { child, console })
    }
}

impl Running {
    /// The status once QEMU has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits for the end; `None` if it does not come in time or somebody asks to stop.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.ended() {
                self.console.drain();
                return Some(status);
            }
            if Instant::now() >= deadline || crate::interrupt::requested() {
                return None;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself: then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The code with which the machine ended itself: QEMU makes `code << 1 | 1` of it.
pub fn exit_code(status: ExitStatus) -> Option<i32> {
    status
        .code()
        .filter(|code| code & 1 == 1)
        .map(|code| code >> 1)
}

/// Whether KVM can be opened, and whether QEMU gets as far as a machine with it: the device
/// alone says little inside containers.
fn kvm_works() -> bool {
    if File::options()
        .read(true)
        .write(true)
        .open(Path::new("/dev/kvm"))
        .is_err()
    {
        return false;
    }
    let mut probe = Command::new(QEMU);
    probe.args([
        "-accel",
        "kvm",
        "-cpu",
        "host",
        "-machine",
        "q35",
        "-nodefaults",
        "-display",
        "none",
    ]);
    probe.args(["-S", "-monitor", "stdio"]);
    probe
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let Ok(mut child) = probe.spawn() else {
        return false;
    };
    // Where KVM does not work QEMU ends at once; where it does, it waits in its monitor.
    let deadline = Instant::now() + Duration::from_millis(500);
    let mut failed = false;
    while Instant::now() < deadline && !failed {
        failed = child
            .try_wait()
            .ok()
            .flatten()
            .is_some_and(|status| !status.success());
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    let _ = child.wait();
    !failed
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn only_odd_codes_come_from_the_machine() {
        let status = |code: i32| ExitStatus::from_raw(code << 8);
        assert_eq!(exit_code(status(1)), Some(0));
        assert_eq!(exit_code(status(7)), Some(3));
        assert_eq!(exit_code(status(0)), None);
        assert_eq!(exit_code(ExitStatus::from_raw(9)), None);
    }
}
