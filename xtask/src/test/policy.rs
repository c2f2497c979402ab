//! The paper's load on image `policy`, ten times faster, under three choices: what must come out
//! whatever else this machine does. The whole of it, with times, is `cargo xtask bench policy`.

use super::Outcomes;
use crate::bench::policy::trace::Trace;
use crate::bench::policy::{Pools, Times, append, trial};
use crate::compose;
use crate::machine::{Accel, Machine};
use crate::net::{self, Network};
use crate::project::Project;
use std::net::{Ipv4Addr, SocketAddr};

const FASTER: u32 = 10;
/// Less than what both want, and more than the least sizes of all pools.
const LIMIT: f64 = 190.0;

/// Requests that show that there was a load.
const LOADED: f64 = 100.0;

pub fn run(project: &Project, outcomes: &mut Outcomes) {
    if outcomes.quick {
        return;
    }
    outcomes.run("policies: losses come in the right order", || {
        let image = compose::load(project, "policy")?.image;
        let pools = Pools::of(&image);
        let times = Times {
            faster: f64::from(FASTER),
        };
        let each = LIMIT / pools.all.len() as f64;
        let settings = [
            "policy=limited".to_string(),
            pools.split(|_| each),
            "policy=qos qos=webserver=25%".to_string(),
        ];
        let mut traces = Vec::new();
        for setting in &settings {
            let trace = boot(project, times, setting)?;
            limits_hold(&trace, &pools, times).map_err(|e| format!("{setting}: {e}"))?;
            traces.push(trace);
        }
        in_order(&traces, &pools, times)
    });
}

fn boot(project: &Project, times: Times, setting: &str) -> Result<Trace, String> {
    let port = net::any_port()?;
    let network = Network::open(port, &project.target().join("run"))?;
    let machine = Machine {
        kernel: project.kernel(),
        archive: project.image("policy"),
        memory_mib: 128,
        accel: Accel::Slow,
        cpu: "qemu64".into(),
        append: append(&format!("{setting} memory-limit={LIMIT}p"), FASTER),
        netdev: Some(network.netdev.clone()),
    };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    trial::run(&machine, address, times.length(), |_| ())
}

/// Pools never have more together than the limit, and the interference did run.
fn limits_hold(trace: &Trace, pools: &Pools, times: Times) -> Result<(), String> {
    let sums = trace.pages(&pools.all, 0.0, times.length());
    if let Some((at, sum)) = sums.iter().find(|(_, sum)| *sum > LIMIT) {
        return Err(format!("{sum} pages at {at:.1} s"));
    }
    let (from, to) = times.all();
    let lost = trace.lost(&pools.interference, from, to);
    let answered = trace.answered.last().map_or(0.0, |a| a.1);
    if sums.is_empty() || lost <= 0.0 || answered < LOADED {
        return Err(format!(
            "{} samples, the interference lost {lost:.3} s, {answered} requests in all",
            sums.len(),
        ));
    }
    Ok(())
}

fn in_order(traces: &[Trace], pools: &Pools, times: Times) -> Result<(), String> {
    let [limited, equal, target] = traces else {
        return Err("not three runs".into());
    };
    let (from, to) = times.all();
    let lost = |trace: &Trace| trace.lost(&pools.all, from, to);
    if lost(limited) >= lost(equal) {
        return Err(format!(
            "limited loses {:.2} s in all, an equal split {:.2} s",
            lost(limited),
            lost(equal)
        ));
    }
    let (from, to) = times.steady();
    let share = |trace: &Trace| trace.share(&pools.web, from, to);
    if share(target) <= share(limited) {
        return Err(format!(
            "the web server loses {:.1}% of its time with a target of 25%, {:.1}% without",
            share(target),
            share(limited)
        ));
    }
    let end = times.length();
    for trace in [limited, target] {
        let left = trace.pages(&pools.interference, end - 0.5, end);
        if left.iter().any(|(_, pages)| *pages > 5.0) {
            return Err(format!(
                "the interference keeps {left:?} pages after its end"
            ));
        }
    }
    Ok(())
}
