//! Building kernel and components: one cargo run each, since they need different flags.

use crate::progress::Step;
use crate::project::{Package, Project};
use crate::{compose, interrupt, simd};
use manifest::Image;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// The kernel and every component.
pub fn everything(project: &Project) -> Result<(), String> {
    kernel(project)?;
    components(project)
}

/// The kernel and what one image needs.
pub fn image(project: &Project, name: &str) -> Result<(), String> {
    // Checked first: a mistake in the description shows before anything is compiled.
    let image = compose::load(project, name)?.image;
    kernel(project)?;
    components_of(project, &image)
}

fn kernel(project: &Project) -> Result<(), String> {
    let script = project.root.join("kernel/kernel.ld");
    let flags = [
        format!("-Clink-arg=-T{}", script.display()),
        "-Crelocation-model=static".into(),
        "-Ccode-model=kernel".into(),
    ];
    let mut cargo = project.cargo();
    cargo.args([
        "build",
        "--profile",
        "bare",
        "--target",
        "x86_64-unknown-none",
    ]);
    cargo.args(["-p", "kernel", "--features", "bare"]);
    cargo.env("CARGO_TARGET_DIR", project.target().join("kernel"));
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    build("building the kernel", cargo)?;
    simd::forbid(&project.kernel())
}

fn components(project: &Project) -> Result<(), String> {
    selected(project, &project.packages()?)
}

/// Only what an image needs.
pub fn components_of(project: &Project, image: &Image) -> Result<(), String> {
    let needed = |binary: &String| {
        binary == compose::INIT || image.components.iter().any(|c| c.binary == *binary)
    };
    let mut packages = project.packages()?;
    packages.retain(|package| package.binaries.iter().any(needed));
    selected(project, &packages)
}

fn selected(project: &Project, packages: &[Package]) -> Result<(), String> {
    if packages.is_empty() {
        return Err("no package has a binary that requires the feature `component`".into());
    }
    let mut cargo = project.cargo();
    cargo.args([
        "build",
        "--profile",
        "bare",
        "--target",
        "x86_64-unknown-linux-gnu",
    ]);
    select_components(&mut cargo, packages);
    cargo.env("CARGO_TARGET_DIR", project.target().join("components"));
    cargo.env(
        "CARGO_ENCODED_RUSTFLAGS",
        component_flags(project).join("\x1f"),
    );
    build(
        &format!("building components in {} packages", packages.len()),
        cargo,
    )
}

/// Adds cargo's arguments that choose these packages' components.
pub fn select_components(cargo: &mut Command, packages: &[Package]) {
    cargo.arg("--bins");
    for package in packages {
        cargo.args(["-p", &package.name]);
        cargo.args(["--features", &format!("{}/component", package.name)]);
    }
}

/// Components are freestanding programs for a hosted target: own linker script, no libc.
fn component_flags(project: &Project) -> Vec<String> {
    let script = project.root.join("components/rt/component.ld");
    vec![
        "-Crelocation-model=static".into(),
        "-Clinker=rust-lld".into(),
        "-Clinker-flavor=ld.lld".into(),
        format!("-Clink-arg=-T{}", script.display()),
        "-Clink-arg=--gc-sections".into(),
        "-Cforce-frame-pointers=yes".into(),
        // Threads are told apart by their stacks (`libcbuf::thread`).
        "--cfg=cistern".into(),
    ]
}

/// Runs cargo, showing each crate as it is compiled. What cargo printed is part of the error.
fn build(what: &str, mut cargo: Command) -> Result<(), String> {
    let step = Step::start(what);
    let spawned = cargo
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = spawned.map_err(|e| format!("cargo did not start: {e}"))?;
    let mut text = String::new();
    let mut crates = 0;
    if let Some(stderr) = child.stderr.take() {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if let Some(name) = line.trim_start().strip_prefix("Compiling ") {
                crates += 1;
                step.detail(name);
            } else {
                text += &line;
                text.push('\n');
            }
        }
    }
    let status = child.wait().map_err(|e| format!("cargo was lost: {e}"))?;
    interrupt::check()?;
    if !status.success() {
        return Err(format!(
            "{what} failed; the compiler said:\n{}",
            text.trim_end()
        ));
    }
    for warning in text
        .split("\n\n")
        .filter(|part| part.trim_start().starts_with("warning"))
    {
        step.line(warning.trim_end());
    }
    step.done(&if crates == 0 {
        "up to date".into()
    } else {
        format!("{crates} crates compiled")
    });
    Ok(())
}
