//! Images that test themselves: each is booted, prints `TEST name ok` or `TEST name FAILED why`
//! lines, and ends the machine with code 0. Then what the machine says of bad archives and of
//! too little memory.

use super::Outcomes;
use crate::compose;
use crate::machine::{Accel, Machine, Running, exit_code};
use crate::progress::Step;
use crate::project::Project;
use abi::start::{CHECK_AT_END, CHECKED};
use manifest::Image;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(120);
/// What a machine that refuses to boot must have said by.
const REFUSAL_LIMIT: Duration = Duration::from_secs(30);

/// What is done to a sound archive.
type Damage = fn(&mut Vec<u8>);

pub fn run(project: &Project, outcomes: &mut Outcomes) {
    for name in project.images().unwrap_or_default() {
        let test = format!("boot {name}");
        if !outcomes.wants(&test) {
            continue;
        }
        match compose::load(project, &name).map(|checked| checked.image) {
            Ok(image) if image.components.iter().any(|c| c.device.is_some()) => {}
            Ok(image) => itself(project, outcomes, &test, &image),
            Err(why) => outcomes.count(&test, Err(why)),
        }
    }
    outcomes.run("boot with 16 MiB says that memory is short", || {
        let machine = machine(project, "webserver", 16);
        refuses(&machine, "memory")
    });
    let damages: [(&str, Damage, &str); 3] = [
        (
            "truncated",
            |file| file.truncate(file.len() / 2),
            "truncated",
        ),
        ("corrupt", |file| flip_middle(file), "corrupt"),
        (
            "foreign",
            |file| *file = b"not an archive at all".repeat(400),
            "no boot archive",
        ),
    ];
    for (what, damage, text) in damages {
        outcomes.run(&format!("boot refuses a {what} archive"), || {
            let path = damaged(project, what, damage)?;
            let mut machine = machine(project, "minimal", 128);
            machine.archive = path;
            refuses(&machine, text)
        });
    }
}

/// A machine without network.
pub fn machine(project: &Project, image: &str, memory_mib: u32) -> Machine {
    Machine {
        kernel: project.kernel(),
        archive: project.image(image),
        memory_mib,
        accel: Accel::Auto,
        cpu: "max".into(),
        append: String::new(),
        netdev: None,
    }
}

/// Boots an image that ends by itself and counts its own tests.
fn itself(project: &Project, outcomes: &mut Outcomes, test: &str, image: &Image) {
    let step = Step::start(test);
    // The machine keeps some for itself.
    let memory_mib = (image.memory_min_bytes >> 20) as u32 + 16;
    let mut machine = machine(project, &image.name, memory_mib.max(64));
    machine.append = with_check(&image.arguments);
    let result = to_the_end(&machine, LIMIT, |line| {
        step.detail(line);
        if let Some((name, result)) = reported(line) {
            outcomes.count(&format!("{test}: {name}"), result);
        }
    })
    .and_then(|seen| super::trace::check(&image.name, &seen));
    drop(step);
    outcomes.count(test, result);
}

/// A kernel command line after which the kernel looks at everything before the machine ends.
pub fn with_check(line: &str) -> String {
    format!("{line} {CHECK_AT_END}").trim_start().to_string()
}

/// Runs a machine that ends by itself: all that it printed, each line of which is also shown to
/// `look` when it comes; an error unless it ended with code 0 in time, and looked at everything
/// before that if it was told to ([`with_check`]).
pub fn to_the_end(
    machine: &Machine,
    limit: Duration,
    mut look: impl FnMut(&str),
) -> Result<Vec<String>, String> {
    let mut running = machine.start()?;
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline && !crate::interrupt::requested() {
        if let Some(line) = running.console.next(Duration::from_millis(50)) {
            look(&line);
        } else if let Some(status) = running.ended() {
            let why = match exit_code(status) {
                Some(0) => {
                    running.console.drain();
                    let seen = std::mem::take(&mut running.console.seen);
                    let told = machine.append.contains(CHECK_AT_END);
                    if told && !seen.iter().any(|line| line.contains(CHECKED)) {
                        return Err("the kernel did not look at everything before the end".into());
                    }
                    return Ok(seen);
                }
                Some(code) => format!("it ended with code {code}"),
                None => format!("QEMU ended, {status}: {}", running.console.complaints()),
            };
            return Err(ended(&running, &why));
        }
    }
    let why = format!("it did not end within {} s", limit.as_secs());
    Err(ended(&running, &why))
}

fn ended(running: &Running, why: &str) -> String {
    format!("{why}; its last lines:\n{}", running.console.tail(15))
}

/// Name and result in a line that holds `TEST name ok` or `TEST name FAILED why`, perhaps behind
/// its component's name. Anything else before it is another component's.
pub fn reported(line: &str) -> Option<(&str, Result<(), String>)> {
    let (before, rest) = line.split_once("TEST ")?;
    let name = before.strip_prefix('[').and_then(|b| b.strip_suffix("] "));
    if !before.is_empty() && name.is_none_or(|name| name.contains([' ', '['])) {
        return Some((line, Err("two lines are mixed".to_string())));
    }
    if let Some(name) = rest.strip_suffix(" ok") {
        return Some((name, Ok(())));
    }
    let (name, why) = rest.split_once(" FAILED")?;
    Some((name, Err(why.trim().to_string())))
}

/// The machine must end by itself with a code that is not 0 and say why in one line.
fn refuses(machine: &Machine, text: &str) -> Result<(), String> {
    let mut running = machine.start()?;
    let Some(status) = running.wait(REFUSAL_LIMIT) else {
        running.console.drain();
        return Err(ended(&running, "it went on"));
    };
    match exit_code(status) {
        Some(0) => return Err(ended(&running, "it ended as if all were well")),
        Some(_) => {}
        None => return Err(ended(&running, &format!("QEMU ended: {status}"))),
    }
    let says = |line: &&String| line.to_lowercase().contains(text);
    match running.console.seen.iter().filter(says).count() {
        1 => Ok(()),
        count => Err(ended(&running, &format!("{count} lines say `{text}`"))),
    }
}

fn flip_middle(file: &mut [u8]) {
    let middle = file.len() / 2;
    file[middle] ^= 0x10;
}

fn damaged(project: &Project, what: &str, damage: Damage) -> Result<PathBuf, String> {
    let path = project.image("minimal");
    let mut file = std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    damage(&mut file);
    let to = project
        .target()
        .join("images")
        .join(format!("{what}.damaged"));
    std::fs::write(&to, file).map_err(|e| format!("{}: {e}", to.display()))?;
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::reported;

    #[test]
    fn reports_are_read() {
        assert_eq!(reported("[echo] TEST add ok"), Some(("add", Ok(()))));
        let why = Err("it answered 3".to_string());
        assert_eq!(
            reported("TEST add twice FAILED it answered 3"),
            Some(("add twice", why))
        );
        let mixed = "[echo] wai[other] TEST add ok";
        let why = Err("two lines are mixed".to_string());
        assert_eq!(reported(mixed), Some((mixed, why)));
        assert_eq!(reported("[init] starting"), None);
    }
}
