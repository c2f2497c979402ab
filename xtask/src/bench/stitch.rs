//! The image pipeline in one piece on this machine, on sets of photographs with known truth, beside
//! OpenCV's stitcher on the same pixels: processor time of one core from decoded photographs to a
//! panorama in memory, and how far corners are from where they belong. Then the same pipeline inside
//! the machine: what isolation costs ([`isolation`]), and as a service ([`stitch_service`]).
//!
//! OpenCV comes from the Python package index into an environment below `target/`. It picks random
//! samples, so which photographs it leaves out may differ from run to run; where it leaves any out its
//! time and error are of less work and are not compared.

use super::kernel::measure_in;
use super::report::{self, Goal, Row, median};
use super::{Built, namespace, stitch_service};
use crate::build;
use crate::machine::Accel;
use crate::progress::Step;
use crate::project::Project;
use serde_json::Value;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const PEER: &str = "OpenCV";
const PACKAGES: [&str; 2] = ["opencv-python-headless", "numpy"];
/// What was asked of the pipeline: pixels, decibels, and the time of the peer.
const ERROR: f64 = 1.0;
const PSNR: f64 = 30.0;
const TIMES: f64 = 2.0;
const ISOLATION: f64 = 1.005;
const ALONE: &str = "one component";
const MACHINE_MIB: u32 = 256;
const STAGES: [&str; 9] = [
    "decode", "features", "pairs", "estimate", "warp", "exposure", "seams", "blend", "encode",
];

pub fn run(project: &Project, built: &Built, rounds: usize) -> Result<(), String> {
    let rounds = rounds.max(1);
    let python = python(project)?;
    let (writer, measure) = (
        example(project, "cistern-panorama-testset", "write")?,
        example(project, "cistern-stitch", "measure")?,
    );
    if !namespace::inside() {
        build::image(project, stitch_service::IMAGE)?;
        return namespace::enter();
    }
    namespace::raise_tap()?;
    let service = stitch_service::run(project, rounds)?;
    let sets = project.target().join("sets");
    let step = Step::start("making the sets");
    output(Command::new(&writer).arg(&sets))?;
    step.done("made");
    let step = Step::start("stitching");
    let ours = lines(&output(one_core(&measure).arg(rounds.to_string()))?)?;
    step.done(&format!("{} sets", ours.len()));
    let step = Step::start("stitching with OpenCV");
    let script = project.root.join("xtask/peer/stitch.py");
    let mut command = one_core(&python);
    command.arg(script).arg(&sets).arg(rounds.to_string());
    command.args(ours.iter().filter_map(|set| set["name"].as_str()));
    let theirs = lines(&output(&mut command)?)?;
    step.done(&format!("{} sets", theirs.len()));
    let results = project.target().join("bench");
    let title = "Stitching photographs: ours beside OpenCV's stitcher";
    let mut rows = rows(&ours, &theirs)?;
    rows.extend(isolation(built)?);
    rows.extend(service);
    report::publish(&results, "stitch", title, &rows)
}

/// What isolation costs, counted inside the machine: the pipeline with a component a stage beside
/// the same in one component.
fn isolation(built: &Built) -> Result<Vec<Row>, String> {
    let step = Step::start("counting the pipeline inside the machine");
    let counted = measure_in(built, Accel::Counted, MACHINE_MIB)?;
    step.done("counted");
    let of = |name: &str| {
        let found = counted.get(name).copied();
        found.ok_or_else(|| format!("the image told no {name}"))
    };
    let pair = |what: &str, key: &str| {
        let (with, without) = (format!("{key}isolated"), format!("{key}alone"));
        let row = Row::new(what, "instructions", of(&with)?);
        Ok::<_, String>(row.against(ALONE, of(&without)?, None))
    };
    let mut rows = vec![pair("isolated: the pipeline", "")?.goal(Goal::RatioAtMost(ISOLATION))];
    for stage in STAGES {
        rows.push(pair(&format!("isolated: {stage}"), &format!("{stage}-"))?);
    }
    let invocations = Row::new("isolated: invocations of stages", "", of("invocations")?);
    let handed = Row::new("isolated: handed on by reference", "bytes", of("handed")?);
    let copied = Row::new("isolated: copied between stages", "bytes", of("copied")?);
    rows.extend([invocations, handed, copied.goal(Goal::Exactly(0.0))]);
    Ok(rows)
}

/// An environment with OpenCV in it, made once.
fn python(project: &Project) -> Result<PathBuf, String> {
    let folder = project.target().join("opencv");
    let python = folder.join("bin/python");
    let has = |python: &Path| {
        let mut check = Command::new(python);
        output(check.args(["-c", "import cv2, numpy"])).is_ok()
    };
    if has(&python) {
        return Ok(python);
    }
    let step = Step::start("installing OpenCV for Python");
    let made = output(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&folder),
    );
    let made = made.and_then(|_| {
        let mut pip = Command::new(&python);
        output(pip.args(["-m", "pip", "install", "--quiet"]).args(PACKAGES))
    });
    made.map_err(|why| {
        let packages = PACKAGES.join(" ");
        format!(
            "OpenCV is needed to compare with; install it with\n  python3 -m venv {0} && {0}/bin/pip install {packages}\n{why}",
            folder.display()
        )
    })?;
    step.done("installed");
    Ok(python)
}

/// Builds an example of a package as fast as it can be, and says where it is.
fn example(project: &Project, package: &str, name: &str) -> Result<PathBuf, String> {
    let step = Step::start(&format!("building {package}"));
    let mut cargo = project.cargo();
    cargo.args(["build", "--quiet", "--release", "-p", package]);
    output(cargo.args(["--example", name]))?;
    step.done("built");
    Ok(project.target().join("release/examples").join(name))
}

/// On the last core of this machine where that can be said.
fn one_core(program: &Path) -> Command {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut command = Command::new("taskset");
    command.arg("-c").arg((cores - 1).to_string()).arg(program);
    command
}

fn output(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("{program} did not start: {e}"))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{program} failed:\n{}", why.trim_end()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn lines(text: &str) -> Result<Vec<Value>, String> {
    let parse = |line: &str| {
        serde_json::from_str(line).map_err(|_| format!("not what a bench prints: {line}"))
    };
    let objects = text.lines().filter(|line| line.starts_with('{'));
    objects.map(parse).collect()
}

/// A set that both have stitched whole.
struct Compared {
    /// Made by a camera that turns, which is what the peer assumes.
    turned: bool,
    time: (f64, f64),
    error: (f64, f64),
}

fn rows(ours: &[Value], theirs: &[Value]) -> Result<Vec<Row>, String> {
    let peers: HashMap<&str, &Value> = theirs
        .iter()
        .filter_map(|set| Some((set["name"].as_str()?, set)))
        .collect();
    let mut rows = Vec::new();
    let mut compared = Vec::new();
    let (mut failed, mut failed_there) = (0, 0);
    for set in ours {
        let name = set["name"].as_str().ok_or("a set without a name")?;
        let peer = peers
            .get(name)
            .ok_or_else(|| format!("{PEER} was not asked for {name}"))?;
        let number = |value: &Value, key: &str| value[key].as_f64();
        let whole = |views: u64| peer["used"].as_u64() == Some(views);
        let Some(views) = set["views"].as_u64() else {
            failed += 1;
            continue;
        };
        let mine = |key: &str| number(set, key).ok_or_else(|| format!("{name}: no {key}"));
        let (time, error) = (mine("milliseconds")?, mine("corner_error")?);
        let size = format!("{views} of {:.1} Mpx", mine("megapixels")? / views as f64);
        let mut time_row = Row::new(format!("{name} ({size}): time"), "ms", time);
        let mut error_row = Row::new(format!("{name}: corner error"), "px", error);
        if whole(views) {
            let theirs = |key: &str| number(peer, key).ok_or_else(|| format!("{PEER}: no {key}"));
            let there = (theirs("milliseconds")?, theirs("corner_error")?);
            time_row = time_row
                .against(PEER, there.0, None)
                .goal(Goal::RatioAtMost(TIMES));
            error_row = error_row.against(PEER, there.1, None);
            compared.push(Compared {
                turned: set["turned"] == Value::Bool(true),
                time: (time, there.0),
                error: (error, there.1),
            });
        } else {
            failed_there += 1;
        }
        rows.push(time_row);
        rows.push(error_row.goal(Goal::AtMost(ERROR)));
        rows.push(Row::new(format!("{name}: PSNR"), "dB", mine("psnr")?).goal(Goal::AtLeast(PSNR)));
    }
    rows.extend(summary(&compared));
    rows.push(
        Row::new("sets not stitched whole", "sets", f64::from(failed))
            .against(PEER, f64::from(failed_there), None)
            .goal(Goal::Exactly(0.0)),
    );
    Ok(rows)
}

/// Over the sets that both have stitched whole.
fn summary(compared: &[Compared]) -> Vec<Row> {
    let turned: Vec<&Compared> = compared.iter().filter(|set| set.turned).collect();
    let all: Vec<&Compared> = compared.iter().collect();
    let sum = |of: fn(&Compared) -> f64| compared.iter().map(of).sum::<f64>();
    let time = Row::new(format!("{} sets: time", all.len()), "ms", sum(|c| c.time.0));
    let mean = |errors: &[f64]| errors.iter().sum::<f64>() / errors.len() as f64;
    let error = |of: &[&Compared], name: &str, middle: fn(&[f64]) -> f64| {
        let ours: Vec<f64> = of.iter().map(|set| set.error.0).collect();
        let theirs: Vec<f64> = of.iter().map(|set| set.error.1).collect();
        Row::new(format!("{} {name}", of.len()), "px", middle(&ours))
            .against(PEER, middle(&theirs), None)
            .goal(Goal::RatioAtMost(1.0))
    };
    vec![
        time.against(PEER, sum(|c| c.time.1), None)
            .goal(Goal::RatioAtMost(TIMES)),
        error(&all, "sets: mean corner error", mean),
        error(&all, "sets: median corner error", median),
        error(&turned, "sets by a turning camera: mean corner error", mean),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ours(name: &str, error: f64) -> Value {
        json!({"name": name, "views": 3, "turned": true, "megapixels": 1.5, "milliseconds": 50.0,
               "corner_error": error, "psnr": 35.0})
    }

    #[test]
    fn only_what_both_have_stitched_whole_is_compared() {
        let ours = [
            ours("a", 0.1),
            ours("b", 0.3),
            json!({"name": "c", "failed": "why"}),
        ];
        let theirs = [
            json!({"name": "a", "milliseconds": 100.0, "used": 3, "corner_error": 0.4}),
            json!({"name": "b", "milliseconds": 10.0, "used": 2, "corner_error": 0.1}),
            json!({"name": "c", "milliseconds": 10.0, "used": 0, "corner_error": null}),
        ];
        let rows = rows(&ours, &theirs).unwrap();
        let row = |name: &str| rows.iter().find(|row| row.name == name).unwrap();
        assert_eq!(row("a (3 of 0.5 Mpx): time").ratio, Some(0.5));
        assert_eq!(row("b (3 of 0.5 Mpx): time").peer, None);
        assert_eq!(row("1 sets: mean corner error").ratio, Some(0.25));
        let turned = row("1 sets by a turning camera: mean corner error");
        assert_eq!(turned.ratio, Some(0.25));
        assert_eq!(row("b: corner error").met(), Some(true));
        assert_eq!(row("sets not stitched whole").met(), Some(false));
    }
}
