//! `cargo xtask test`: format, lints, host tests, then booted images and the web server from
//! outside. Each part counts what it ran; the last line is the sum.

pub mod boot;
mod corners;
mod host;
mod limit;
mod load;
mod observe;
mod panorama;
mod policy;
mod tool;
mod trace;
mod web;

use crate::TestArgs;
use crate::progress::Step;
use crate::project::Project;
use crate::{build, compose, install, interrupt};

/// What was run so far.
pub struct Outcomes {
    filter: String,
    pub quick: bool,
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Outcomes {
    /// Whether the filter lets this test through and nobody has asked to stop.
    pub fn wants(&self, name: &str) -> bool {
        name.contains(&self.filter) && !interrupt::requested()
    }

    /// Counts one test that somebody else ran.
    pub fn count(&mut self, name: &str, result: Result<(), String>) {
        match result {
            Ok(()) => {
                self.passed += 1;
                eprintln!("ok     {name}");
            }
            Err(why) => {
                self.failed += 1;
                eprintln!("FAILED {name}: {why}");
            }
        }
    }

    /// Says that something could not be tested here: neither passed nor failed.
    pub fn skip(&mut self, name: &str, why: &str) {
        self.skipped += 1;
        eprintln!("skipped {name}: {why}");
    }

    /// Counts many tests that another tool ran and reported itself.
    pub fn count_many(&mut self, passed: usize, failed: usize) {
        self.passed += passed;
        self.failed += failed;
    }

    /// Runs one test if the filter lets it through.
    pub fn run(&mut self, name: &str, test: impl FnOnce() -> Result<(), String>) {
        if self.wants(name) {
            let step = Step::start(name);
            let result = test();
            drop(step);
            self.count(name, result);
        }
    }
}

pub fn run(project: &Project, args: &TestArgs) -> Result<(), String> {
    install::everything()?;
    let (filter, quick) = (args.filter.clone(), args.quick);
    let mut outcomes = Outcomes {
        filter,
        quick,
        passed: 0,
        failed: 0,
        skipped: 0,
    };
    host::run(project, &mut outcomes);
    let mut built = Ok(());
    outcomes.run("build kernel and components", || {
        built = build::everything(project).and_then(|()| pack_all(project));
        built.clone()
    });
    if !outcomes.filter.is_empty() && !"build kernel and components".contains(&outcomes.filter) {
        built = build::everything(project).and_then(|()| pack_all(project));
    }
    if built.is_ok() {
        boot::run(project, &mut outcomes);
        web::run(project, &mut outcomes);
        panorama::run(project, &mut outcomes);
        policy::run(project, &mut outcomes);
        limit::run(project, &mut outcomes);
        tool::run(project, &mut outcomes);
    }
    let Outcomes {
        passed,
        failed,
        skipped,
        ..
    } = outcomes;
    println!(
        "{passed} passed, {failed} failed{}",
        match skipped {
            0 => String::new(),
            count => format!(", {count} skipped"),
        }
    );
    interrupt::check()?;
    match (built, failed, passed) {
        (Err(why), 0, _) => Err(why),
        (_, 0, 0) => Err(format!("no test has `{}` in its name", args.filter)),
        (_, 0, _) => Ok(()),
        _ => std::process::exit(1),
    }
}

fn pack_all(project: &Project) -> Result<(), String> {
    for name in project.images()? {
        compose::pack(project, &name)?;
    }
    Ok(())
}
