//! What a fresh machine lacks, and how it gets there.

use crate::progress::Step;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const RUST_TARGET: &str = "x86_64-unknown-none";
/// A program and the Debian package that has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Program {
    name: &'static str,
    package: &'static str,
    /// What is worse without it; a program that nothing works without has none.
    loss: Option<&'static str>,
}

const PROGRAMS: [Program; 3] = [
    Program {
        name: "qemu-system-x86_64",
        package: "qemu-system-x86",
        loss: None,
    },
    Program {
        name: "ab",
        package: "apache2-utils",
        loss: None,
    },
    Program {
        name: "passt",
        package: "passt",
        loss: Some("QEMU's own networking stalls when many connect at once"),
    },
];

/// The Rust target and every program. Installs what is missing as root or through a `sudo` that
/// asks nothing; otherwise the error holds the command to run.
pub fn everything() -> Result<(), String> {
    rust_target()?;
    let missing = || {
        PROGRAMS
            .into_iter()
            .filter(|p| !on_path(p.name))
            .collect::<Vec<_>>()
    };
    let lacking = missing();
    if lacking.is_empty() {
        return Ok(());
    }
    let failed = apt_install(&lacking).err();
    settle(&missing(), failed.as_deref())
}

/// What `bench cbuf` compares with: each is loaded, so its "program" is a library.
const ALLOCATORS: [Program; 3] = [
    Program {
        name: "libjemalloc.so.2",
        package: "libjemalloc2",
        loss: None,
    },
    Program {
        name: "libmimalloc.so.2",
        package: "libmimalloc2.0",
        loss: None,
    },
    Program {
        name: "libtcmalloc_minimal.so.4",
        package: "libtcmalloc-minimal4",
        loss: None,
    },
];

/// The allocators, as [`everything`] installs programs.
pub fn allocators() -> Result<(), String> {
    let missing = || {
        ALLOCATORS
            .into_iter()
            .filter(|p| !is_library(p.name))
            .collect::<Vec<_>>()
    };
    let lacking = missing();
    if lacking.is_empty() {
        return Ok(());
    }
    let failed = apt_install(&lacking).err();
    settle(&missing(), failed.as_deref())
}

/// A browser for the dashboard's test, as [`everything`] installs programs.
pub fn browser() -> Result<(), String> {
    const CHROMIUM: Program = Program {
        name: "chromium",
        package: "chromium",
        loss: None,
    };
    if crate::browser::program().is_some() {
        return Ok(());
    }
    let failed = apt_install(&[CHROMIUM]).err();
    match crate::browser::program() {
        Some(_) => Ok(()),
        None => settle(&[CHROMIUM], failed.as_deref()),
    }
}

fn is_library(name: &str) -> bool {
    let folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib"];
    folders
        .iter()
        .any(|folder| Path::new(folder).join(name).exists())
}

/// The command that a person would give.
fn command(lacking: &[Program]) -> String {
    let packages: Vec<&str> = lacking.iter().map(|p| p.package).collect();
    format!(
        "sudo apt-get install -y --no-install-recommends {}",
        packages.join(" ")
    )
}

/// An error if something is missing that nothing works without, a warning if less is.
fn settle(lacking: &[Program], failed: Option<&str>) -> Result<(), String> {
    let why = failed.map(|why| format!(" ({why})")).unwrap_or_default();
    let needed: Vec<&str> = lacking
        .iter()
        .filter(|p| p.loss.is_none())
        .map(|p| p.name)
        .collect();
    if !needed.is_empty() {
        return Err(format!(
            "{} missing{why}; run: {}",
            needed.join(", "),
            command(lacking)
        ));
    }
    for program in lacking {
        let loss = program.loss.unwrap_or_default();
        eprintln!(
            "warning: {} missing{why}: {loss}; run: {}",
            program.name,
            command(lacking)
        );
    }
    Ok(())
}

fn apt_install(lacking: &[Program]) -> Result<(), String> {
    let root = user_id() == Some(0);
    let sudo = !root && succeeds(Command::new("sudo").args(["-n", "true"]));
    if !on_path("apt-get") {
        return Err("there is no apt-get".into());
    }
    if !root && !sudo {
        return Err("installing needs root".into());
    }
    let packages: Vec<&str> = lacking.iter().map(|p| p.package).collect();
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
        apt(&["update"]).map_err(|e| format!("apt-get update failed: {e}"))?;
        // One that this release does not have must not keep the others out.
        for package in packages {
            apt(&["install", "-y", "--no-install-recommends", package])
                .map_err(|e| format!("apt-get install {package} failed: {e}"))?;
        }
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

/// A nightly toolchain with Miri. Installs it where it is missing; the error says why that cannot be.
pub fn miri() -> Result<(), String> {
    let has = || succeeds(Command::new("cargo").args(["+nightly", "miri", "--version"]));
    if has() {
        return Ok(());
    }
    let step = Step::start("installing a nightly toolchain with Miri");
    let arguments = "toolchain install nightly --profile minimal --component miri,rust-src";
    run(Command::new("rustup").args(arguments.split(' ')))
        .map_err(|e| format!("`rustup {arguments}` failed: {e}"))?;
    if !has() {
        return Err("the nightly toolchain of today has no Miri".into());
    }
    step.done("installed");
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_is_an_error_with_the_command() {
        let why = settle(&PROGRAMS, Some("installing needs root")).unwrap_err();
        assert_eq!(
            why,
            "qemu-system-x86_64, ab missing (installing needs root); run: sudo apt-get install -y \
             --no-install-recommends qemu-system-x86 apache2-utils passt"
        );
    }

    #[test]
    fn what_only_helps_is_no_error() {
        assert_eq!(settle(&PROGRAMS[2..], None), Ok(()));
        assert_eq!(settle(&[], None), Ok(()));
    }
}
