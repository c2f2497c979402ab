//! `bench policy`: the load of section 5.3 of the CBUFs paper on image `policy`, once under each
//! policy and under the static splits that they are compared with, as figures 10 and 11.
//!
//! Each run is a boot of its own. The machine's clock counts instructions, so what others do on
//! this machine changes little. "Enough" is what the policy `throughput` gives where there is no
//! limit; the limit of the others is 300/340 of that, as in the paper.

mod figure;
pub mod trace;
pub mod trial;

use super::Built;
use super::report::{self, Goal, Row};
use crate::compose;
use crate::machine::{Accel, Machine};
use crate::project::Project;
use figure::Panel;
use indicatif::{ProgressBar, ProgressStyle};
use manifest::Image;
use std::net::SocketAddr;
use std::path::PathBuf;
use trace::Trace;

/// Seconds of the paper's profile.
const START: f64 = 21.0;
const PEAK: f64 = 31.0;
const FALL: f64 = 41.0;
const END: f64 = 45.0;
const LENGTH: f64 = 65.0;
/// From the peak on, until pools have the sizes that they keep.
const SETTLING: f64 = 2.0;
/// Memory is to be back so long after the interference.
const BACK: f64 = 2.0;
/// The paper's limit and what was enough there.
const LIMITED: f64 = 300.0 / 340.0;
/// Points by which throughput may fall beyond the processor that is taken.
const BEYOND: f64 = 5.0;
const TARGETS: [f64; 4] = [1.0, 5.0, 10.0, 25.0];
/// Of the variation of throughput.
const STRETCH: f64 = 0.5;

/// The moments of a profile that runs some times faster.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub faster: f64,
}

impl Times {
    pub fn at(self, second: f64) -> f64 {
        second / self.faster
    }

    /// Before the interference, with its pools settled.
    pub fn before(self) -> (f64, f64) {
        (self.at(START - 8.0), self.at(START))
    }

    /// While the interference needs most.
    pub fn steady(self) -> (f64, f64) {
        (self.at(PEAK) + SETTLING.min(self.at(4.0)), self.at(FALL))
    }

    pub fn all(self) -> (f64, f64) {
        (self.at(START), self.at(END))
    }

    /// After the interference, when memory is to be back.
    fn after(self) -> (f64, f64) {
        (self.at(END) + BACK, self.length())
    }

    pub fn length(self) -> f64 {
        self.at(LENGTH).max(self.at(END) + BACK + 1.0)
    }
}

/// Which pools are whose.
pub struct Pools {
    pub names: Vec<(u32, String)>,
    pub web: Vec<u32>,
    pub interference: Vec<u32>,
    pub all: Vec<u32>,
}

impl Pools {
    pub fn of(image: &Image) -> Self {
        let pools = image.ids().filter(|(_, c)| c.pool.is_some());
        let names: Vec<(u32, String)> = pools
            .map(|(id, c)| (u32::from(id.0), c.name.clone()))
            .collect();
        let (interference, web) = names
            .iter()
            .partition::<Vec<_>, _>(|(_, name)| name == "interference");
        let ids = |of: Vec<&(u32, String)>| of.into_iter().map(|(id, _)| *id).collect();
        Self {
            all: names.iter().map(|(id, _)| *id).collect(),
            web: ids(web),
            interference: ids(interference),
            names,
        }
    }

    /// The words for a static split, with sizes from `pages` of a component.
    pub fn split(&self, pages: impl Fn(u32) -> f64) -> String {
        let size = |(id, name): &(u32, String)| format!("{name}={}", pages(*id) as u64);
        let sizes: Vec<String> = self.names.iter().map(size).collect();
        format!("policy=static sizes={}", sizes.join(","))
    }
}

/// A kernel command line that chooses a policy for a profile.
pub fn append(settings: &str, faster: u32) -> String {
    let words = settings.split(' ').map(|w| format!("cbuf-policy.{w}"));
    let words: Vec<String> = words.collect();
    format!("interference.faster={faster} {}", words.join(" "))
}

struct Bench {
    kernel: PathBuf,
    image: PathBuf,
    faster: u32,
    bar: ProgressBar,
}

impl Bench {
    /// Runs inside the network namespace.
    fn run(&self, name: &str, settings: &str) -> Result<Trace, String> {
        let times = Times {
            faster: f64::from(self.faster),
        };
        let machine = Machine {
            kernel: self.kernel.clone(),
            archive: self.image.clone(),
            memory_mib: 128,
            accel: Accel::Slow,
            cpu: "qemu64".into(),
            append: format!(
                "netstack.ip={}/24 netstack.gw=10.0.2.2 {}",
                super::guest::ADDRESS,
                append(settings, self.faster)
            ),
            netdev: Some("tap,id=n0,ifname=tap0,script=no,downscript=no,vhost=off".into()),
        };
        let address: SocketAddr = format!("{}:80", super::guest::ADDRESS)
            .parse()
            .map_err(|e| format!("{e}"))?;
        self.bar.set_message(format!("{name}: {settings}"));
        self.bar.set_length(times.length() as u64);
        let run = trial::run(&machine, address, times.length(), |at| {
            self.bar.set_position(at as u64);
        });
        run.map_err(|e| format!("{name}: {e}"))
    }
}

/// Runs inside the network namespace.
pub fn run(project: &Project, built: &Built, faster: u32) -> Result<(), String> {
    let image = compose::pack(project, "policy")?.image;
    let pools = Pools::of(&image);
    let bar = ProgressBar::new(1);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} s {msg}") {
        bar.set_style(style);
    }
    let bench = Bench {
        kernel: built.kernel.clone(),
        image: built.image.clone(),
        faster: faster.max(1),
        bar,
    };
    let times = Times {
        faster: f64::from(bench.faster),
    };
    let enough = bench.run("enough memory", "policy=throughput")?;
    let used = mean(&enough.pages(&pools.all, times.steady().0, times.steady().1));
    let limit = (used * LIMITED).round();
    let with = |policy: &str| format!("policy={policy} memory-limit={limit}p");
    let limited = bench.run("limited", &with("limited"))?;
    let each = limit / pools.all.len() as f64;
    let equal = bench.run(
        "equal split",
        &format!("{} memory-limit={limit}p", pools.split(|_| each)),
    )?;
    let had = |id: u32| mean(&enough.pages(&[id], times.steady().0, times.steady().1));
    let proportional = bench.run(
        "proportional split",
        &format!(
            "{} memory-limit={limit}p",
            pools.split(|id| had(id) * LIMITED)
        ),
    )?;
    let priority = bench.run(
        "priority",
        &format!("{} priority=webserver=30", with("priority")),
    )?;
    let mut targets = Vec::new();
    for target in TARGETS {
        let settings = format!("{} qos=webserver={target}%", with("qos"));
        targets.push((target, bench.run(&format!("QoS {target}%"), &settings)?));
    }
    bench.bar.finish_and_clear();
    let seen = Seen {
        times,
        pools,
        limit,
        enough,
        limited,
        equal,
        proportional,
        priority,
        targets,
    };
    let folder = built.root.join("target/bench");
    report::publish(
        &folder,
        "policy",
        "Memory policies: a web server and an interference",
        &seen.rows(),
    )?;
    for (name, panels) in [
        ("policy-figure10", seen.policies()),
        ("policy-figure11", seen.targets()),
    ] {
        let path = folder.join(format!("{name}.svg"));
        figure::draw(&path, &panels, times.length(), limit)?;
        println!("{}", path.display());
    }
    Ok(())
}

fn mean(points: &[(f64, f64)]) -> f64 {
    points.iter().map(|p| p.1).sum::<f64>() / points.len() as f64
}

/// All runs.
struct Seen {
    times: Times,
    pools: Pools,
    limit: f64,
    enough: Trace,
    limited: Trace,
    equal: Trace,
    proportional: Trace,
    priority: Trace,
    targets: Vec<(f64, Trace)>,
}

impl Seen {
    fn steady_rate(&self, trace: &Trace) -> f64 {
        let (from, to) = self.times.steady();
        trace.rate(from, to)
    }

    fn lost(&self, trace: &Trace) -> f64 {
        let (from, to) = self.times.all();
        trace.lost(&self.pools.all, from, to)
    }

    fn rows(&self) -> Vec<Row> {
        let mut rows = self.enough_rows();
        rows.extend(self.limited_rows());
        rows.extend(self.priority_rows());
        rows.extend(self.target_rows());
        rows
    }

    fn enough_rows(&self) -> Vec<Row> {
        let (from, to) = self.times.before();
        let before = self.enough.rate(from, to);
        let (from, to) = self.times.steady();
        let taken = self.enough.taken(from, to);
        let fall = 100.0 * (1.0 - self.enough.rate(from, to) / before);
        vec![
            Row::new("limit, of what is enough", "pages", self.limit).against(
                "enough",
                (self.limit / LIMITED).round(),
                None,
            ),
            Row::new("enough: interference takes", "% of the CPU", taken),
            Row::new("enough: throughput before", "requests/s", before),
            Row::new("enough: throughput falls by", "%", fall)
                .against("CPU taken", taken, None)
                .goal(Goal::AtMost(taken + BEYOND)),
        ]
    }

    fn limited_rows(&self) -> Vec<Row> {
        let (from, to) = self.times.steady();
        let lost = self.lost(&self.limited);
        let beside = |name: &str, trace: &Trace| {
            Row::new("limited: blocked and collecting", "s", lost)
                .against(name, self.lost(trace), None)
                .goal(Goal::RatioBelow(1.0))
        };
        vec![
            beside("equal split", &self.equal),
            beside("proportional split", &self.proportional),
            Row::new(
                "limited: variation of throughput",
                "%",
                self.limited.variation(from, to, STRETCH),
            )
            .goal(Goal::AtMost(10.0)),
            Row::new(
                "limited: throughput",
                "requests/s",
                self.steady_rate(&self.limited),
            )
            .against("enough", self.steady_rate(&self.enough), None),
        ]
    }

    fn priority_rows(&self) -> Vec<Row> {
        let fall = self.times.at(FALL);
        let (from, to) = (fall, self.times.at(END));
        let made = |trace: &Trace| {
            let told = trace.told.iter().filter(|t| t.at > from && t.at <= to);
            let (sum, seconds) = told.fold((0.0, 0.0), |(sum, seconds), t| {
                (sum + t.allocations, seconds + t.seconds)
            });
            sum / seconds
        };
        let (first, last) = self.times.steady();
        let free = self
            .priority
            .samples
            .iter()
            .filter(|s| s.at >= fall)
            .find(|s| {
                let waits = self
                    .priority
                    .share(&self.pools.interference, s.at - 0.5, s.at);
                waits < 50.0
            });
        vec![
            Row::new(
                "priority: throughput",
                "requests/s",
                self.steady_rate(&self.priority),
            )
            .against("enough", self.steady_rate(&self.enough), None)
            .goal(Goal::RatioAtLeast(0.9)),
            Row::new(
                "priority: interference waits or collects",
                "% of the time",
                self.priority.share(&self.pools.interference, first, last),
            ),
            Row::new(
                "priority: interference works again, after its need fell, in",
                "s",
                free.map_or(f64::INFINITY, |s| s.at - fall),
            )
            .goal(Goal::AtMost(BACK)),
            Row::new(
                "priority: its allocations then",
                "per second",
                made(&self.priority),
            )
            .against("enough", made(&self.enough), None),
        ]
    }

    fn target_rows(&self) -> Vec<Row> {
        let (from, to) = self.times.steady();
        let mut rows = Vec::new();
        let mut harder: Option<(f64, f64)> = None;
        for (target, trace) in &self.targets {
            let share = trace.share(&self.pools.web, from, to);
            let off = (share - target).abs();
            let rate = trace.rate(from, to);
            rows.push(
                Row::new(format!("QoS {target}%: share is off by"), "points", off)
                    .against("target", *target, None)
                    .goal(Goal::AtMost((target / 5.0).max(2.0))),
            );
            rows.push(Row::new(format!("QoS {target}%: share"), "%", share));
            let mut throughput = Row::new(format!("QoS {target}%: throughput"), "requests/s", rate);
            if let Some((other, theirs)) = harder {
                throughput = throughput
                    .against(&format!("QoS {other}%"), theirs, None)
                    .goal(Goal::RatioAtMost(1.0));
            }
            rows.push(throughput);
            harder = Some((*target, rate));
            rows.push(
                Row::new(
                    format!("QoS {target}%: memory is back after"),
                    "s",
                    self.back(trace),
                )
                .goal(Goal::AtMost(BACK)),
            );
        }
        rows
    }

    /// Seconds from the end of the interference until the web server has what it has in the end.
    fn back(&self, trace: &Trace) -> f64 {
        let (from, to) = self.times.after();
        let finally = mean(&trace.pages(&self.pools.web, from, to));
        let end = self.times.at(END);
        let there = trace.pages(&self.pools.web, end, to);
        let there = there
            .into_iter()
            .find(|(_, pages)| *pages >= 0.95 * finally);
        let interference = trace.pages(&self.pools.interference, end, to);
        let least = interference.iter().map(|p| p.1).fold(f64::MAX, f64::min);
        let gave = interference.into_iter().find(|(_, pages)| *pages <= least);
        match (there, gave) {
            (Some((there, _)), Some((gave, _))) => there.max(gave) - end,
            _ => f64::INFINITY,
        }
    }

    fn panel<'a>(&'a self, title: String, trace: &'a Trace) -> Panel<'a> {
        Panel {
            title,
            trace,
            web: &self.pools.web,
            interference: &self.pools.interference,
        }
    }

    fn policies(&self) -> Vec<Panel<'_>> {
        let limit = self.limit;
        vec![
            self.panel("enough memory".into(), &self.enough),
            self.panel(format!("limited, {limit} pages"), &self.limited),
            self.panel(format!("priority, {limit} pages"), &self.priority),
            self.panel(format!("equal split, {limit} pages"), &self.equal),
            self.panel(
                format!("proportional split, {limit} pages"),
                &self.proportional,
            ),
        ]
    }

    fn targets(&self) -> Vec<Panel<'_>> {
        let panel = |(target, trace)| self.panel(format!("QoS {target}%"), trace);
        self.targets
            .iter()
            .map(|(t, trace)| panel((t, trace)))
            .collect()
    }
}
