//! What the kernel's paths cost: the image `bench-kernel` measures itself on a machine whose
//! time-stamp counter counts executed instructions, and prints `BENCH name instructions` lines.
//! The peers' figures come from their own benchmarks in the same QEMU with the same clock.

use super::Built;
use super::report::{Goal, Row, publish};
use crate::machine::{Accel, Machine, exit_code};
use std::collections::HashMap;
use std::time::Duration;

const MEMORY_MIB: u32 = 64;
const LIMIT: Duration = Duration::from_secs(60);
const SEL4: &str = "seL4";
const COMPOSITE: &str = "Composite";

/// A figure: its name in the machine's lines, what a reader calls it, what is measured at once in
/// it, its goal, and the peers'.
struct Figure {
    key: &'static str,
    name: &'static str,
    parts: f64,
    most: Option<f64>,
    peers: &'static [(&'static str, f64)],
}

const fn figure(key: &'static str, name: &'static str) -> Figure {
    Figure {
        key,
        name,
        parts: 1.0,
        most: None,
        peers: &[],
    }
}

const FIGURES: [Figure; 31] = [
    Figure {
        most: Some(180.0),
        peers: &[(COMPOSITE, 449.0), (SEL4, 415.0)],
        ..figure("invocation", "invocation and return")
    },
    figure("invocation-caller", "- caller's stub"),
    figure("invocation-there", "- kernel, there"),
    figure("invocation-callee", "- callee's entry, handler and return"),
    figure("invocation-back", "- kernel, back"),
    Figure {
        parts: 2.0,
        most: Some(200.0),
        peers: &[(COMPOSITE, 482.0), (SEL4, 520.0)],
        ..figure("switch-there", "thread switch, other space")
    },
    Figure {
        parts: 2.0,
        ..figure("switch-stubs", "- stub of the switching thread")
    },
    Figure {
        parts: 2.0,
        ..figure("switch-unchanged", "- kernel: entry, checks, way out")
    },
    Figure {
        parts: 2.0,
        ..figure("switch-change", "- kernel: change of thread and space")
    },
    Figure {
        parts: 2.0,
        ..figure("switch-here", "thread switch, same space")
    },
    Figure {
        most: Some(430.0),
        peers: &[(SEL4, 1319.0)],
        ..figure("fault", "fault to own handler and back")
    },
    figure("fault-there", "- kernel, to the handler"),
    figure("fault-asked", "- kernel, asked what happened"),
    figure("fault-runtime", "- runtime's entry, handler and way back"),
    figure("page", "the same, where the handler maps a page"),
    Figure {
        most: Some(400.0),
        peers: &[(SEL4, 923.0)],
        ..figure("retype", "retype of one page")
    },
    figure("retype-caller", "- caller's stub"),
    figure("retype-entry", "- kernel: entry, way out"),
    figure("retype-checks", "- kernel: source, slot, what may be made"),
    figure("retype-insert", "- kernel: slot filled, put in its place"),
    Figure {
        most: Some(80.0),
        ..figure("noop", "no-op on a kernel object")
    },
    figure("noop-caller", "- caller's stub"),
    figure("noop-kernel", "- kernel: entry, way out"),
    figure("longest-delete", "longest call: delete, full CNode"),
    figure("longest-component", "longest call: delete, full component"),
    figure("longest-revoke", "longest call: revoke, 16,384 Entries"),
    figure("longest-retype", "longest call: retype, 256 objects"),
    figure("longest-clear", "longest call: retype, 1 MiB CNode"),
    figure("longest-map", "longest call: map, 512 entries"),
    figure("longest-modify", "longest call: modify, 512 mappings"),
    figure("longest-table", "longest call: delete, 512 mappings"),
];

pub fn run(built: &Built) -> Result<(), String> {
    let measured = measure(built)?;
    let mut rows = Vec::new();
    for figure in &FIGURES {
        let ours = measured
            .get(figure.key)
            .ok_or_else(|| format!("the machine did not say what `{}` costs", figure.key))?;
        let row = Row::new(figure.name, "instr.", ours / figure.parts);
        let row = match figure.most {
            Some(most) => row.goal(Goal::AtMost(most)),
            None => row,
        };
        match figure.peers {
            [] => rows.push(row),
            peers => rows.extend(
                peers
                    .iter()
                    .map(|(name, theirs)| row.clone().against(name, *theirs, None)),
            ),
        }
    }
    let results = built.root.join("target/bench");
    publish(&results, "kernel", "Instructions beside the peers'", &rows)
}

/// Boots the image once: every boot counts the same.
pub fn measure(built: &Built) -> Result<HashMap<String, f64>, String> {
    measure_by(built, Accel::Counted)
}

/// Boots the image once, with a clock of one's choice.
pub fn measure_by(built: &Built, accel: Accel) -> Result<HashMap<String, f64>, String> {
    measure_in(built, accel, MEMORY_MIB)
}

/// The same in a machine with so much memory.
pub fn measure_in(
    built: &Built,
    accel: Accel,
    memory_mib: u32,
) -> Result<HashMap<String, f64>, String> {
    let machine = Machine {
        kernel: built.kernel.clone(),
        archive: built.image.clone(),
        memory_mib,
        accel,
        cpu: "max".into(),
        append: String::new(),
        netdev: None,
    };
    let mut running = machine.start()?;
    let ended = running.wait(LIMIT).and_then(exit_code);
    running.console.drain();
    match ended {
        Some(0) => Ok(running
            .console
            .seen
            .iter()
            .filter_map(|line| reported(line))
            .collect()),
        _ => Err(format!(
            "the image did not measure; its last lines:\n{}",
            running.console.tail(15)
        )),
    }
}

/// Name and instructions in a line that holds `BENCH name instructions`.
fn reported(line: &str) -> Option<(String, f64)> {
    let (_, rest) = line.split_once("BENCH ")?;
    let (name, count) = rest.trim().split_once(' ')?;
    Some((name.to_string(), count.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::reported;

    #[test]
    fn figures_are_read() {
        let figure = Some(("noop".to_string(), 254.0));
        assert_eq!(reported("[bench] BENCH noop 254"), figure);
        assert_eq!(reported("[bench] BENCH noop"), None);
        assert_eq!(reported("[bench] TEST noop ok"), None);
    }
}
