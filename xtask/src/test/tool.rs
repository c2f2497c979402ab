//! The tool's own promises: `new-component` makes something that builds, boots and answers, in a
//! copy of the project.

use super::{Outcomes, boot};
use crate::machine::exit_code;
use crate::project::Project;
use crate::{build, compose, new_component};
use std::fs;
use std::path::Path;
use std::time::Duration;

const NAME: &str = "probe-one";

pub fn run(project: &Project, outcomes: &mut Outcomes) {
    if !outcomes.quick {
        outcomes.run("new-component builds, boots and answers", || {
            new_one(project)
        });
    }
}

fn new_one(project: &Project) -> Result<(), String> {
    let root = project.target().join("scratch");
    if root.exists() {
        fs::remove_dir_all(&root)
            .map_err(|e| format!("{} cannot be removed: {e}", root.display()))?;
    }
    copy(&project.root, &root).map_err(|e| format!("the project cannot be copied: {e}"))?;
    let scratch = Project { root };
    new_component::create(&scratch, NAME)?;
    match new_component::create(&scratch, NAME) {
        Err(why) if why == format!("a package `{NAME}` exists already") => {}
        again => return Err(format!("made twice: {again:?}")),
    }
    let image = compose::load(&scratch, NAME)?.image;
    build::components_of(&scratch, &image)?;
    let archive = compose::pack(&scratch, NAME)?.path;
    let mut machine = boot::machine(project, NAME, 64);
    machine.archive = archive;
    let mut running = machine.start()?;
    let ended = running.wait(Duration::from_secs(30)).and_then(exit_code);
    running.console.drain();
    let answered = running
        .console
        .seen
        .iter()
        .any(|l| l.contains(&format!("{NAME} answers 42")));
    if ended != Some(0) || !answered {
        return Err(format!(
            "it ended with {ended:?}:\n{}",
            running.console.tail(10)
        ));
    }
    fs::remove_dir_all(&scratch.root).map_err(|e| format!("the copy cannot be removed: {e}"))
}

/// Copies sources; not what was built, nor the history.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_name() == "target" || entry.file_name() == ".git" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            copy(&path, &target)?;
        } else {
            fs::copy(&path, &target)?;
        }
    }
    Ok(())
}
