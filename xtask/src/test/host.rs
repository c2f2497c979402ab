//! What needs no machine: format, lints and the host tests, which cargo runs.

use super::Outcomes;
use crate::progress::Step;
use crate::project::Project;
use crate::{build, install, interrupt};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub fn run(project: &Project, outcomes: &mut Outcomes) {
    outcomes.run("format", || {
        quiet(project.cargo().args(["fmt", "--all", "--check"]))
    });
    outcomes.run("clippy host", || {
        let mut cargo = project.cargo();
        cargo.args(["clippy", "--workspace", "--all-targets", "--", "-Dwarnings"]);
        quiet(&mut cargo)
    });
    outcomes.run("clippy kernel", || {
        let mut cargo = project.cargo();
        cargo.args([
            "clippy",
            "--profile",
            "bare",
            "--target",
            "x86_64-unknown-none",
        ]);
        cargo.args(["-p", "kernel", "--features", "bare", "--", "-Dwarnings"]);
        cargo.env("CARGO_TARGET_DIR", project.target().join("kernel"));
        quiet(&mut cargo)
    });
    outcomes.run("clippy components", || {
        let mut cargo = project.cargo();
        cargo.args([
            "clippy",
            "--profile",
            "bare",
            "--target",
            "x86_64-unknown-linux-gnu",
        ]);
        build::select_components(&mut cargo, &project.packages()?);
        cargo.args(["--", "-Dwarnings"]);
        cargo.env("CARGO_TARGET_DIR", project.target().join("components"));
        quiet(&mut cargo)
    });
    if outcomes.wants("host tests") {
        let mut cargo = project.cargo();
        cargo.args(["test", "--workspace", "--no-fail-fast"]);
        counted(outcomes, "host tests", cargo, None);
    }
    if !outcomes.quick && outcomes.wants("loom") {
        let mut cargo = project.cargo();
        cargo.args(["test", "--release", "-p", "libcbuf", "-p", "cbuf-mgr"]);
        cargo.args(["--lib", "--tests"]);
        cargo
            .env("RUSTFLAGS", "--cfg loom")
            .env("LOOM_MAX_PREEMPTIONS", "2");
        cargo.env("CARGO_TARGET_DIR", project.target().join("loom"));
        counted(outcomes, "loom", cargo, None);
    }
    if !outcomes.quick && outcomes.wants("miri") {
        match install::miri() {
            Ok(()) => miri(project, outcomes),
            Err(why) => outcomes.skip("miri", &why),
        }
    }
}

/// What one run under Miri may take, building included: many times what it takes.
const MIRI_LIMIT: Duration = Duration::from_secs(600);

/// Unsafe code of the pure crates, interpreted: what it does with memory and provenance is checked.
/// The deletion list keeps addresses of slots in plain words, so provenance is allowed to be
/// exposed. Without isolation, because the random tests ask for the time and for variables.
fn miri(project: &Project, outcomes: &mut Outcomes) {
    let rest: [(&str, &[&str]); 4] = [
        (
            "miri: kernel/cap",
            // Without those that fill, clear or walk much memory, and take a minute each there.
            &[
                "-p",
                "cistern-cap",
                "--lib",
                "--",
                "--skip=clear::",
                "--skip=page::",
                "--skip=tlb::",
                "--skip=chain_of_cnodes",
                "--skip=many",
                "--skip=thousands",
                "--skip=every_legal_retype",
                "--skip=bounded_pieces",
                "--skip=who_wants_memory",
                "--skip=piece_by_piece",
            ],
        ),
        (
            "miri: kernel/paging, kernel/abi, libcbuf",
            &[
                "-p",
                "cistern-paging",
                "-p",
                "cistern-abi",
                "-p",
                "libcbuf",
                "--lib",
            ],
        ),
        (
            "miri: archive",
            &["-p", "cistern-archive", "--tests", "what_was_written"],
        ),
        (
            "miri: cbuf-mgr",
            // A few that go through most of the unsafe code; the others move megabytes.
            &[
                "-p",
                "cbuf-mgr",
                "--lib",
                "--test",
                "manager",
                "--",
                "garbage_is_found",
                "between::what_is_being_ended",
                "between::what_lies_free",
                "paths::a_batch_that_claims",
                "paths::a_buffer_goes_round",
            ],
        ),
    ];
    for (name, arguments) in rest {
        // Not the toolchain that this project pins, but the one that has Miri.
        let mut cargo = Command::new("cargo");
        cargo.current_dir(&project.root);
        cargo.args(["+nightly", "miri", "test"]).args(arguments);
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTUP_TOOLCHAIN"] {
            cargo.env_remove(name);
        }
        cargo.env("CARGO_TARGET_DIR", project.target().join("miri"));
        cargo.env(
            "MIRIFLAGS",
            "-Zmiri-permissive-provenance -Zmiri-disable-isolation",
        );
        cargo.env("PROPTEST_CASES", "2");
        cargo.env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "true");
        counted(outcomes, name, cargo, Some(MIRI_LIMIT));
    }
}

/// Success or what the command printed.
fn quiet(cargo: &mut Command) -> Result<(), String> {
    let output = cargo
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("cargo did not start: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr]
        .map(|b| String::from_utf8_lossy(&b).into_owned())
        .concat();
    let skip = [
        "    Checking",
        "   Compiling",
        "    Finished",
        "  Downloaded",
    ];
    let kept: Vec<&str> = text
        .lines()
        .filter(|l| !skip.iter().any(|s| l.starts_with(s)))
        .collect();
    Err(format!("\n{}", kept.join("\n")))
}

/// Runs `cargo test` and counts what it reports. The output of failing tests is shown. What takes
/// longer than `limit` is ended and has failed.
fn counted(outcomes: &mut Outcomes, name: &str, mut cargo: Command, limit: Option<Duration>) {
    let step = Step::start(name);
    // Both streams in one pipe, so that the order holds and nothing blocks.
    let (reader, writer) = match std::io::pipe() {
        Ok(pipe) => pipe,
        Err(e) => return outcomes.count(name, Err(format!("no pipe: {e}"))),
    };
    let spawned = writer.try_clone().and_then(|copy| {
        cargo
            .stdin(Stdio::null())
            .stdout(copy)
            .stderr(writer)
            .process_group(0)
            .spawn()
    });
    // The command holds the pipe's writing end until it is dropped.
    drop(cargo);
    let mut child = match spawned {
        Ok(child) => child,
        Err(e) => return outcomes.count(name, Err(format!("cargo did not start: {e}"))),
    };
    let watch = Watch::over(&child, limit);
    let (mut passed, mut failed) = (0, 0);
    let mut kept = Vec::new();
    for line in BufReader::new(reader).lines().map_while(Result::ok) {
        if let Some((good, bad)) = totals(&line) {
            passed += good;
            failed += bad;
        } else if !line.ends_with(" ... ok") && !line.is_empty() {
            step.detail(line.trim());
            kept.push(line);
        }
    }
    let ended = child.wait().is_ok_and(|status| status.success());
    let in_time = watch.end();
    step.done(&format!("{passed} passed, {failed} failed"));
    outcomes.count_many(passed, failed);
    if !ended {
        let skip = [
            "   Compiling",
            "    Finished",
            "     Running",
            "   Doc-tests",
            "running ",
        ];
        let shown = kept
            .iter()
            .filter(|l| !skip.iter().any(|s| l.starts_with(s)));
        let text: Vec<&str> = shown.map(String::as_str).collect();
        eprintln!("{}", text.join("\n"));
        let why = match (in_time, limit) {
            (false, Some(limit)) => format!("it was not done within {} s", limit.as_secs()),
            _ => "cargo test did not get through, see above".into(),
        };
        if failed == 0 || !in_time {
            outcomes.count(name, Err(why));
        }
    }
}

/// Ends a command, with all that it started, when its time is over or somebody asks to stop.
struct Watch {
    done: Sender<()>,
    watcher: JoinHandle<bool>,
}

impl Watch {
    /// Over the leader of a process group.
    fn over(child: &Child, limit: Option<Duration>) -> Watch {
        const LOOK: Duration = Duration::from_millis(100);
        let (done, is_done) = channel();
        let group = format!("-{}", child.id());
        let started = Instant::now();
        let watcher = std::thread::spawn(move || {
            while is_done.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                let late = limit.is_some_and(|limit| started.elapsed() > limit);
                if late || interrupt::requested() {
                    // It may have ended in this moment: then there is nothing to end.
                    let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
                    return !late;
                }
            }
            true
        });
        Watch { done, watcher }
    }

    /// The command has ended; whether it did so in time.
    fn end(self) -> bool {
        drop(self.done);
        self.watcher.join().unwrap_or(true)
    }
}

/// Passed and failed of a line `test result: ok. 3 passed; 0 failed; ...`.
fn totals(line: &str) -> Option<(usize, usize)> {
    let rest = line.trim_start().strip_prefix("test result: ")?;
    let number = |word: &str| {
        let before = rest.split(word).next()?;
        before
            .trim()
            .rsplit(|c: char| !c.is_ascii_digit())
            .next()?
            .parse()
            .ok()
    };
    Some((number(" passed")?, number(" failed")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_too_long_is_ended_with_all_that_it_started() {
        let limit = Duration::from_millis(200);
        let run = |script: &str| {
            let mut shell = Command::new("sh");
            let mut child = shell.args(["-c", script]).process_group(0).spawn().unwrap();
            let watch = Watch::over(&child, Some(limit));
            let ended = child.wait().unwrap().success();
            (ended, watch.end())
        };
        let begun = Instant::now();
        assert_eq!(run("sleep 60 & sleep 60"), (false, false));
        assert!(begun.elapsed() < Duration::from_secs(30));
        assert_eq!(run("exit 0"), (true, true));
        assert_eq!(run("exit 1"), (false, true));
    }

    #[test]
    fn totals_are_read() {
        let line = "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        assert_eq!(totals(line), Some((12, 0)));
        let line = "test result: FAILED. 7 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out";
        assert_eq!(totals(line), Some((7, 3)));
        assert_eq!(totals("test a::b ... ok"), None);
    }
}
