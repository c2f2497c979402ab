//! `cargo xtask run`: from nothing to a served page.

use crate::machine::{Machine, exit_code};
use crate::net::{self, Network};
use crate::project::Project;
use crate::{RunArgs, build, compose, http, install, interrupt, policy};
use manifest::Image;
use std::time::{Duration, Instant};

/// Emulated, a boot takes seconds.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

pub fn run(project: &Project, args: &RunArgs) -> Result<(), String> {
    net::port_free(args.port)?;
    install::everything()?;
    build::image(project, &args.image)?;
    let packed = compose::pack(project, &args.image)?;
    let chosen = policy::words(args, &packed.image)?;
    let serves = packed.image.components.iter().any(|c| c.device.is_some());
    let folder = project.target().join("run");
    let network = if serves {
        Some(Network::open(args.port, &folder)?)
    } else {
        None
    };
    if let Some(warning) = network.as_ref().and_then(|n| n.warning) {
        eprintln!("warning: {warning}");
    }
    let machine = Machine {
        kernel: project.kernel(),
        archive: packed.path,
        memory_mib: args.memory,
        accel: args.accel,
        cpu: args.cpu.clone(),
        append: command_line(args, &packed.image, &chosen),
        netdev: network.as_ref().map(|n| n.netdev.clone()),
    };
    watch(&machine, &packed.image, serves.then_some(args.port))
}

/// What `--append` says, or the image; behind it what was chosen, so that it counts.
fn command_line(args: &RunArgs, image: &Image, chosen: &str) -> String {
    let said = args.append.as_ref().unwrap_or(&image.arguments);
    format!("{said} {chosen}").trim().into()
}

/// Shows what the machine prints until it ends or somebody stops it.
fn watch(machine: &Machine, image: &Image, mut port: Option<u16>) -> Result<(), String> {
    eprintln!(
        "booting {} with {} MiB; Ctrl-C stops it",
        image.name, machine.memory_mib
    );
    let mut running = machine.start()?;
    let started = Instant::now();
    let mut next_try = started;
    loop {
        if let Some(line) = running.console.next(Duration::from_millis(100)) {
            println!("{line}");
        }
        if interrupt::requested() {
            eprintln!("stopped");
            return Ok(());
        }
        if let Some(status) = running.ended() {
            while let Some(line) = running.console.next(Duration::from_millis(200)) {
                println!("{line}");
            }
            return match exit_code(status) {
                Some(0) => Ok(()),
                Some(code) => Err(format!(
                    "the machine stopped with code {code}; its last lines say why"
                )),
                None => Err(format!(
                    "QEMU ended ({status}): {}",
                    running.console.complaints()
                )),
            };
        }
        let Some(waiting) = port.filter(|_| Instant::now() >= next_try) else {
            continue;
        };
        if http::answers(waiting) {
            println!(
                "serving on http://127.0.0.1:{waiting}/ (answered {:.1} s after the start)",
                started.elapsed().as_secs_f64()
            );
            port = None;
        } else if started.elapsed() > ANSWER_LIMIT {
            eprintln!(
                "warning: no answer on http://127.0.0.1:{waiting}/ within {} s",
                ANSWER_LIMIT.as_secs()
            );
            port = None;
        }
        next_try = Instant::now() + Duration::from_millis(300);
    }
}
