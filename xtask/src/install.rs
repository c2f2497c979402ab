//! What a fresh machine lacks, and how it gets there.

use crate::progress::Step;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const RUST_TARGET: &str = "x86_64-unknown-none";
/// Programs that are needed and the Debian packages that have them.
const PROGRAMS: [(&str, &str); 3] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("ab", "apache2-utils"),
    ("passt", "passt"),
];

/// The Rust target and every program. Installs what is missing as root or through a `sudo` that
/// asks nothing; otherwise the error holds the command to run.
pub fn everything() -> Result<(), String> {
    rust_target()?;
    let lacking: Vec<_> = PROGRAMS
        .iter()
        .filter(|(program, _)| !on_path(program))
        .collect();
    if lacking.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = lacking.iter().map(|(_, package)| *package).collect();
    let shown = format!(
        "apt-get install -y --no-install-recommends {}",
        packages.join(" ")
    );
    let root = user_id() == Some(0);
    let sudo = !root && succeeds(Command::new("sudo").args(["-n", "true"]));
    if !on_path("apt-get") || !(root || sudo) {
        let programs: Vec<&str> = lacking.iter().map(|(program, _)| *program).collect();
        return Err(format!(
            "{} missing; run: sudo {shown}",
            programs.join(", ")
        ));
    }
    let step = Step::start(&format!("installing {}", packages.join(", ")));
    let apt = |args: &[&str]| {
        let mut command = Command::new(if root { "apt-get" } else { "sudo" });
        if sudo {
            command.args(["-n", "apt-get"]);
        }
        command.env("DEBIAN_FRONTEND", "noninteractive").args(args);
        run(&mut command)
    };
    let install = [&["install", "-y", "--no-install-recommends"][..], &packages].concat();
    // The package lists of a fresh machine may be missing or old.
    if apt(&install).is_err() {
        step.detail("apt-get update");
        apt(&["update"]).map_err(|e| format!("`apt-get update` failed: {e}"))?;
        apt(&install).map_err(|e| format!("`{shown}` failed: {e}"))?;
    }
    step.done("installed");
    Ok(())
}

/// Adds the kernel's target to the toolchain where it is missing.
pub fn rust_target() -> Result<(), String> {
    if has_rust_target() {
        return Ok(());
    }
    let step = Step::start(&format!("installing the Rust target {RUST_TARGET}"));
    let shown = format!("rustup target add {RUST_TARGET}");
    run(Command::new("rustup").args(["target", "add", RUST_TARGET])).map_err(|e| {
        format!("the Rust target {RUST_TARGET} is missing and `{shown}` failed: {e}")
    })?;
    step.done("installed");
    Ok(())
}

/// Whether the active toolchain has `core` for the target.
fn has_rust_target() -> bool {
    let mut rustc = Command::new("rustc");
    rustc.args(["--print", "target-libdir", "--target", RUST_TARGET]);
    let Ok(Output { stdout, .. }) = rustc.output() else {
        return false;
    };
    Path::new(String::from_utf8_lossy(&stdout).trim()).is_dir()
}

pub fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// The effective user id; `None` where `id` does not tell.
pub fn user_id() -> Option<u32> {
    let output = Command::new("id").arg("-u").output().ok()?;
    String::from_utf8_lossy(&output.stdout).trim().parse().ok()
}

fn succeeds(command: &mut Command) -> bool {
    let quiet = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// Runs to the end; the error is the last line it printed.
fn run(command: &mut Command) -> Result<(), String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|e| e.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(text
        .trim()
        .lines()
        .last()
        .unwrap_or("no message")
        .to_string())
}
