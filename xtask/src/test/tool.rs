//! The tool's own promises: `run` serves until it is stopped and leaves nothing behind;
//! `new-component` makes something that builds, boots and answers (in a copy of the project).

use super::{Outcomes, boot};
use crate::machine::exit_code;
use crate::project::Project;
use crate::serial::Console;
use crate::{build, compose, http, net, new_component};
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const NAME: &str = "probe-one";

pub fn run(project: &Project, outcomes: &mut Outcomes) {
    outcomes.run("run says that a port is taken", port_taken);
    outcomes.run("run refuses a policy that there is not", nonsense_refused);
    outcomes.run("run serves until it is stopped", serve_until_stopped);
    if !outcomes.quick {
        outcomes.run("new-component builds, boots and answers", || {
            new_one(project)
        });
    }
}

/// This tool with `run` on a port; what it prints comes as lines.
fn start(port: u16, options: &[&str]) -> Result<(Child, Console), String> {
    let tool = std::env::current_exe().map_err(|e| format!("this tool is not found: {e}"))?;
    let mut command = Command::new(tool);
    command.args(["run", "--port", &port.to_string()]);
    command.args(options);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .map_err(|e| format!("this tool did not start: {e}"))?;
    let console = Console::read(child.stdout.take(), child.stderr.take());
    Ok((child, console))
}

fn port_taken() -> Result<(), String> {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|e| e.to_string())?;
    let port = taken.local_addr().map_err(|e| e.to_string())?.port();
    let (mut child, mut console) = start(port, &[])?;
    let status = child.wait().map_err(|e| e.to_string())?;
    console.drain();
    let said = console.complaints();
    let sentence = format!("error: port {port} of 127.0.0.1 cannot be used");
    if status.success() || !said.starts_with(&sentence) || said.contains(';') {
        return Err(format!("{status}, it said: {said}"));
    }
    Ok(())
}

/// Each with what is accepted instead, before anything boots.
fn nonsense_refused() -> Result<(), String> {
    let cases: [(&[&str], &str); 4] = [
        (
            &["--policy", "fast"],
            "it is one of throughput, limited, priority, qos, static",
        ),
        (&["--memory-limit", "much"], "like 300p, 512KiB or 2MiB"),
        (
            &["--policy", "qos", "--qos", "webserver=200%"],
            "with a share from 0.1 to 90",
        ),
        (
            &["--qos", "sched=10%"],
            "those with one are: nic, netstack, content, cgi, observe, webserver",
        ),
    ];
    for (options, accepted) in cases {
        let (mut child, mut console) = start(net::any_port()?, options)?;
        let status = child.wait().map_err(|e| e.to_string())?;
        console.drain();
        let said = console.complaints();
        if status.success() || !said.contains(accepted) || said.contains("booting") {
            return Err(format!("{options:?}: {status}, it said: {said}"));
        }
    }
    Ok(())
}

fn serve_until_stopped() -> Result<(), String> {
    let port = net::any_port()?;
    let (mut child, mut console) = start(port, &[])?;
    let address = format!("http://127.0.0.1:{port}/");
    let deadline = Instant::now() + Duration::from_secs(300);
    let served = loop {
        match console.next(Duration::from_millis(200)) {
            Some(line) if line.contains(&address) => break http::get(port, "/").map(|a| a.status),
            Some(_) => {}
            None if Instant::now() > deadline => break Err("it never served".into()),
            None if child.try_wait().ok().flatten().is_some() => break Err("it ended".into()),
            None => {}
        }
    };
    // The signal that Ctrl-C sends.
    let stop = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    let status = child.wait().map_err(|e| e.to_string())?;
    let left = http::answers(port) || net::port_free(port).is_err();
    match served {
        Ok(200) if stop.is_ok() && status.success() && !left => Ok(()),
        Ok(200) if left => Err("something still holds the port".into()),
        Ok(answer) => Err(format!("it answered {answer} and ended with {status}")),
        Err(why) => Err(format!("{why}: {}", console.complaints())),
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
