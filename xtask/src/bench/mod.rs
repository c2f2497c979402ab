//! `cargo xtask bench NAME`: measures, prints a table, writes `target/bench/NAME.json` and `.svg`.
//! It ends well when it measured, whatever was met.

mod caps;
mod cbuf;
mod cbuf_figures;
mod cbuf_pools;
mod curves;
mod guest;
mod kernel;
mod load;
mod memory;
mod namespace;
mod observe;
mod pages;
mod peer;
mod pipes;
mod plot;
pub mod policy;
mod report;
mod stitch;
mod stitch_service;
mod web;

use crate::project::Project;
use std::path::PathBuf;

/// The benches there are, with a line each for the person who mistypes one.
const BENCHES: [(&str, &str); 9] = [
    (
        "web",
        "requests, vCPU time and instructions beside Apache, FastCGI and nginx on Linux",
    ),
    (
        "observe",
        "throughput while dashboards look, beside throughput while nobody does",
    ),
    (
        "kernel",
        "instructions of invocations, faults, thread switches and capability operations",
    ),
    (
        "memory",
        "faults that a program handles, map, protect and unmap by size, beside Linux",
    ),
    (
        "pages",
        "RandomAccess by page size, and a collector with dirty bits beside one that protects pages",
    ),
    (
        "cbuf",
        "calls on buffers beside allocators on this machine, messages beside Linux pipes, pools",
    ),
    (
        "caps",
        "capability operations while the database grows; the database beside a list and an AA tree",
    ),
    (
        "stitch",
        "panoramas of photographs with known truth: time and error beside OpenCV's stitcher",
    ),
    (
        "policy",
        "what each policy makes of a web server and an interference, beside static splits",
    ),
];

/// What a bench needs of the build: made by the caller, since every bench wants the same.
pub struct Built {
    pub root: PathBuf,
    pub kernel: PathBuf,
    pub image: PathBuf,
}

/// Which image a bench measures; an error names the benches there are.
pub fn image(name: &str) -> Result<&'static str, String> {
    match name {
        "web" | "observe" => Ok("webserver"),
        "kernel" => Ok("bench-kernel"),
        "memory" => Ok("bench-memory"),
        "pages" => Ok("bench-pages"),
        "cbuf" => Ok("bench-cbuf"),
        "caps" => Ok("bench-caps"),
        "stitch" => Ok("bench-stitch"),
        "policy" => Ok("policy"),
        _ => Err(format!(
            "no bench is called {name}; there are:{}",
            BENCHES.map(|(n, what)| format!("\n  {n}: {what}")).concat()
        )),
    }
}

/// Runs bench `name`, `rounds` boots of each guest, loads of about `seconds` each, a profile
/// `faster` times shorter.
pub fn run(
    name: &str,
    project: &Project,
    built: &Built,
    rounds: usize,
    seconds: f64,
    faster: u32,
) -> Result<(), String> {
    image(name)?;
    if name == "kernel" {
        return kernel::run(built);
    }
    if name == "memory" {
        return memory::run(built, rounds);
    }
    if name == "pages" {
        return pages::run(built, rounds);
    }
    if name == "cbuf" {
        return cbuf::run(project, built, rounds);
    }
    if name == "caps" {
        return caps::run(project, built, rounds);
    }
    if name == "stitch" {
        return stitch::run(project, built, rounds);
    }
    if name == "policy" {
        if !namespace::inside() {
            return namespace::enter();
        }
        namespace::raise_tap()?;
        return policy::run(project, built, faster);
    }
    let target = built.root.join("target");
    let assets = built.root.join("xtask/peer");
    let folder = target.join("peer");
    let setup = |peer: peer::Peer, plugin: PathBuf| web::Setup {
        work: folder.clone(),
        results: target.join("bench"),
        kernel: built.kernel.clone(),
        image: built.image.clone(),
        peer_kernel: peer.kernel,
        peer_ramdisk: peer.ramdisk,
        plugin,
        rounds,
        seconds,
    };
    if namespace::inside() {
        namespace::raise_tap()?;
        let peer = peer::Peer {
            kernel: folder.join("vmlinuz"),
            ramdisk: folder.join("initrd"),
        };
        let setup = setup(peer, folder.join("libcount.so"));
        return match name {
            "observe" => observe::run(&setup),
            _ => web::run(&setup),
        };
    }
    if name == "web" {
        peer::prepare(&assets, &folder)?;
    }
    peer::plugin(&assets, &folder)?;
    namespace::enter()
}
