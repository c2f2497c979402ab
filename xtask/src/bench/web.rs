//! `bench web`: our web server image beside Linux in the same QEMU, guests started in turn.
//!
//! Both guests get one processor (`qemu64`, TCG), one virtio network card on a tap in a network
//! namespace of the bench's own, and the counting plugin. A round boots each guest afresh and
//! runs every workload with `ab -c 22`; ratios are taken round by round and their median is told.

use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::guest::{Guest, get};
use super::load;
use super::report::{self, Goal, Row, median};

/// What the inside of the namespace needs; everything is built before it is entered.
pub struct Setup {
    pub work: PathBuf,
    pub results: PathBuf,
    pub kernel: PathBuf,
    pub image: PathBuf,
    pub peer_kernel: PathBuf,
    pub peer_ramdisk: PathBuf,
    pub plugin: PathBuf,
    pub rounds: usize,
    pub seconds: f64,
}

struct Workload {
    name: &'static str,
    keep_alive: bool,
    path: &'static str,
    peer: &'static str,
    peer_port: u16,
    peer_path: &'static str,
    body: u64,
    least_ratio: Option<f64>,
    most_instructions: Option<f64>,
    most_switches: Option<f64>,
}

pub const OUR_PORT: u16 = 80;
const MOST_SWITCHES_CLOSE: Option<f64> = Some(20.0);
const MOST_SWITCHES_KEEP: Option<f64> = Some(8.0);

const WORKLOADS: [Workload; 5] = [
    Workload {
        name: "CGI 1 KiB, close",
        keep_alive: false,
        path: "/cgi?bytes=1024",
        peer: "Apache + FastCGI",
        peer_port: 8080,
        peer_path: "/cgi/page.fcgi?1024",
        body: 1024,
        least_ratio: Some(2.5),
        most_instructions: Some(96_000.0),
        most_switches: MOST_SWITCHES_CLOSE,
    },
    Workload {
        name: "CGI 1 KiB, keep-alive",
        keep_alive: true,
        path: "/cgi?bytes=1024",
        peer: "Apache + FastCGI",
        peer_port: 8080,
        peer_path: "/cgi/page.fcgi?1024",
        body: 1024,
        least_ratio: None,
        most_instructions: None,
        most_switches: MOST_SWITCHES_KEEP,
    },
    Workload {
        name: "file 1 KiB, close",
        keep_alive: false,
        path: "/f1024.txt",
        peer: "nginx",
        peer_port: 80,
        peer_path: "/f1024.txt",
        body: 1024,
        least_ratio: None,
        most_instructions: None,
        most_switches: MOST_SWITCHES_CLOSE,
    },
    Workload {
        name: "file 1 KiB, keep-alive",
        keep_alive: true,
        path: "/f1024.txt",
        peer: "nginx",
        peer_port: 80,
        peer_path: "/f1024.txt",
        body: 1024,
        least_ratio: None,
        most_instructions: None,
        most_switches: MOST_SWITCHES_KEEP,
    },
    Workload {
        name: "file 64 KiB, keep-alive",
        keep_alive: true,
        path: "/f65536.txt",
        peer: "nginx",
        peer_port: 80,
        peer_path: "/f65536.txt",
        body: 65_536,
        least_ratio: None,
        most_instructions: None,
        most_switches: None,
    },
];

/// One workload on one guest.
#[derive(Clone, Debug)]
struct Measured {
    per_second: f64,
    vcpu_us: f64,
    instructions: f64,
    /// Within this time 99 of 100 requests were answered.
    p99_ms: f64,
    /// Requests without a full 200 answer.
    failed: f64,
    /// Address-space switches and copied payload bytes a request: Cistern only.
    inside: Option<(f64, f64)>,
}

/// Runs inside the network namespace.
pub fn run(setup: &Setup) -> Result<(), String> {
    let bar = ProgressBar::new((setup.rounds * 2 * WORKLOADS.len()) as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    let mut ours: Vec<Vec<Measured>> = vec![Vec::new(); WORKLOADS.len()];
    let mut theirs = ours.clone();
    let mut boot_ms = Vec::new();
    for _ in 0..setup.rounds {
        bar.set_message("booting Linux");
        let mut linux = start_linux(setup)?;
        linux.first_answer(80, "/f1.txt", Duration::from_secs(90))?;
        std::thread::sleep(Duration::from_secs(3));
        for (work, results) in WORKLOADS.iter().zip(&mut theirs) {
            bar.set_message(format!("{}: {}", work.peer, work.name));
            results.push(measure(
                &linux,
                work,
                work.peer_port,
                work.peer_path,
                setup.seconds,
                false,
            )?);
            bar.inc(1);
        }
        drop(linux);
        bar.set_message("booting Cistern");
        let mut cistern = start_cistern(setup)?;
        let answered = cistern.first_answer(OUR_PORT, "/f1.txt", Duration::from_secs(60))?;
        boot_ms.push(answered.as_secs_f64() * 1e3);
        for (work, results) in WORKLOADS.iter().zip(&mut ours) {
            bar.set_message(format!("Cistern: {}", work.name));
            results.push(measure(
                &cistern,
                work,
                OUR_PORT,
                work.path,
                setup.seconds,
                true,
            )?);
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    let mut rows = rows(&ours, &theirs);
    rows.push(Row::new(
        "QEMU's start to the first answer",
        "ms",
        median(&boot_ms),
    ));
    let bytes = |path: &Path| {
        std::fs::metadata(path)
            .map(|m| m.len() as f64 / 1024.0)
            .unwrap_or(f64::NAN)
    };
    rows.push(
        Row::new(
            "kernel and image",
            "KiB",
            bytes(&setup.kernel) + bytes(&setup.image),
        )
        .against(
            "Linux",
            bytes(&setup.peer_kernel) + bytes(&setup.peer_ramdisk),
            None,
        ),
    );
    report::publish(
        &setup.results,
        "web",
        "Web server: Cistern beside Linux, one QEMU, ab -c 22",
        &rows,
    )
}

fn start_linux(setup: &Setup) -> Result<Guest, String> {
    let boot = [
        "-m",
        "512",
        "-kernel",
        &text(&setup.peer_kernel),
        "-initrd",
        &text(&setup.peer_ramdisk),
        "-append",
        "console=ttyS0 quiet panic=-1 mitigations=off nokaslr tsc=reliable",
    ];
    Guest::start(&setup.work, "linux", &setup.plugin, &boot.map(String::from))
}

pub fn start_cistern(setup: &Setup) -> Result<Guest, String> {
    let boot = [
        "-m",
        "128",
        "-kernel",
        &text(&setup.kernel),
        "-initrd",
        &text(&setup.image),
        "-append",
        "netstack.ip=10.0.2.15/24 netstack.gw=10.0.2.2",
    ];
    Guest::start(
        &setup.work,
        "cistern",
        &setup.plugin,
        &boot.map(String::from),
    )
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn measure(
    guest: &Guest,
    work: &Workload,
    port: u16,
    path: &str,
    seconds: f64,
    ours: bool,
) -> Result<Measured, String> {
    let url = format!("http://{}:{port}{path}", super::guest::ADDRESS);
    let requests = load::calibrate(&url, work.keep_alive, seconds)?;
    let inside_before = ours.then(|| inside(port)).transpose()?;
    let (instructions, vcpu) = (guest.instructions()?, guest.vcpu_ns());
    let load = load::ab(&url, requests, work.keep_alive)?;
    let (instructions, vcpu) = (guest.instructions()? - instructions, guest.vcpu_ns() - vcpu);
    if load.body_bytes != work.body {
        return Err(format!(
            "{url}: a body of {} bytes where {} were asked for",
            load.body_bytes, work.body
        ));
    }
    let each = |total: u64| total as f64 / requests as f64;
    let inside = match inside_before {
        None => None,
        Some((switches, copied)) => {
            let after = inside(port)?;
            Some((each(after.0 - switches), each(after.1 - copied)))
        }
    };
    Ok(Measured {
        per_second: load.per_second,
        vcpu_us: each(vcpu) / 1e3,
        instructions: each(instructions),
        p99_ms: load.p99_ms,
        failed: (load.failed + load.not_2xx) as f64,
        inside,
    })
}

/// Address-space switches and copied payload bytes since boot, as the guest itself counts them.
fn inside(port: u16) -> Result<(u64, u64), String> {
    let body = get(port, "/stats", Duration::from_secs(5))?;
    let stats: serde_json::Value =
        serde_json::from_slice(&body).map_err(|e| format!("/stats: {e}"))?;
    let field = |name: &str| stats[name].as_u64().ok_or(format!("/stats has no {name}"));
    Ok((field("space_switches")?, field("copied_bytes")?))
}

fn rows(ours: &[Vec<Measured>], theirs: &[Vec<Measured>]) -> Vec<Row> {
    let mut rows = Vec::new();
    for ((work, ours), theirs) in WORKLOADS.iter().zip(ours).zip(theirs) {
        let compared = |what: &str, unit, figure: fn(&Measured) -> f64| {
            let (a, b): (Vec<f64>, Vec<f64>) = (
                ours.iter().map(figure).collect(),
                theirs.iter().map(figure).collect(),
            );
            let ratios: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a / b).collect();
            Row::new(format!("{}: {what}", work.name), unit, median(&a)).against(
                work.peer,
                median(&b),
                Some(median(&ratios)),
            )
        };
        let mut throughput = compared("throughput", "requests/s", |m| m.per_second);
        throughput.goal = work.least_ratio.map(Goal::RatioAtLeast);
        let mut instructions = compared("instructions", "a request", |m| m.instructions);
        instructions.goal = work.most_instructions.map(Goal::AtMost);
        rows.extend([
            throughput,
            instructions,
            compared("vCPU time", "us a request", |m| m.vcpu_us),
            compared("99th percentile", "ms", |m| m.p99_ms),
        ]);
        let inside: Vec<(f64, f64)> = ours.iter().filter_map(|m| m.inside).collect();
        let figure =
            |pick: fn(&(f64, f64)) -> f64| median(&inside.iter().map(pick).collect::<Vec<_>>());
        let mut switches = Row::new(
            format!("{}: address-space switches", work.name),
            "a request",
            figure(|i| i.0),
        );
        switches.goal = work.most_switches.map(Goal::AtMost);
        rows.push(switches);
        let failed: f64 = ours.iter().map(|m| m.failed).sum();
        rows.push(
            Row::new(
                format!("{}: failed requests", work.name),
                "in all rounds",
                failed,
            )
            .against(work.peer, theirs.iter().map(|m| m.failed).sum(), None)
            .goal(Goal::Exactly(0.0)),
        );
        rows.push(Row::new(
            format!("{}: copied payload", work.name),
            "bytes a request",
            figure(|i| i.1),
        ));
    }
    rows
}
