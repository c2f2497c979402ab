//! The image pipeline as a service: image `panorama`, photographs by HTTP. How much of a machine of
//! 256 MiB six large photographs take at most, what happens where one page is missing, and how long
//! others wait for a page meanwhile.

use super::guest;
use super::report::{Goal, Row, median};
use crate::compose;
use crate::http::{Answer, Connection};
use crate::machine::{Accel, Machine, Running};
use crate::photographs::{self, Photos};
use crate::progress::Step;
use crate::project::Project;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub const IMAGE: &str = "panorama";
const MACHINE_MIB: u32 = 256;
/// Six photographs of two megapixels.
const LARGE: &str = "wall-large-6";
const LARGE_VIEWS: usize = 6;
/// Two of half a megapixel.
const SMALL: &str = "canyon-2";
const FIRST_ANSWER: Duration = Duration::from_secs(60);
/// For a panorama; emulated, on a machine with other work.
const PATIENCE: Duration = Duration::from_secs(180);
/// A page is asked for so often while nobody stitches, for each panorama that is made.
const IDLE_REQUESTS: usize = 300;
const TIMES: f64 = 2.0;
const PAGE: f64 = 4096.0;
const MIB: f64 = 1048576.0;
/// Of each stage but the one whose pool is measured, as much as it may have.
const POOLS: &str =
    "darkroom=8192,decode=4096,features=256,pairs=256,seams=256,blend=4096,encode=4096";
const TIGHT: &str = "warp";
/// Too few for any photograph, and enough for two of half a megapixel.
const LEAST_PAGES: u64 = 64;
const MOST_PAGES: u64 = 4096;

/// Runs inside the network namespace, for as many panoramas of each kind.
pub fn run(project: &Project, rounds: usize) -> Result<Vec<Row>, String> {
    let archive = compose::pack(project, IMAGE)?.path;
    let host = Host {
        kernel: project.kernel(),
        archive,
        address: format!("{}:80", guest::ADDRESS)
            .parse()
            .map_err(|e| format!("{e}"))?,
    };
    let step = Step::start("making photographs");
    let large = photographs::views(project, LARGE, LARGE_VIEWS)?;
    let small = photographs::views(project, SMALL, 2)?;
    let smaller = photographs::small(project)?;
    step.done("made");
    let mut rows = host.memory(&large)?;
    rows.extend(host.limit(&small, &smaller)?);
    rows.extend(host.latency(&small, rounds)?);
    Ok(rows)
}

struct Host {
    kernel: PathBuf,
    archive: PathBuf,
    address: SocketAddr,
}

impl Host {
    fn boot(&self, settings: &str) -> Result<Guest, String> {
        let machine = Machine {
            kernel: self.kernel.clone(),
            archive: self.archive.clone(),
            memory_mib: MACHINE_MIB,
            accel: Accel::Auto,
            cpu: "max".into(),
            append: format!(
                "netstack.ip={}/24 netstack.gw=10.0.2.2 {settings}",
                guest::ADDRESS
            ),
            netdev: Some("tap,id=n0,ifname=tap0,script=no,downscript=no,vhost=off".into()),
        };
        let mut guest = Guest {
            address: self.address,
            running: machine.start()?,
        };
        let started = Instant::now();
        while guest.get("/").is_err() {
            crate::interrupt::check()?;
            if guest.running.ended().is_some() || started.elapsed() > FIRST_ANSWER {
                return Err(guest.explain("no answer"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(guest)
    }

    /// Six large photographs in a small machine.
    fn memory(&self, photos: &Photos) -> Result<Vec<Row>, String> {
        let step = Step::start("six photographs in 256 MiB");
        let mut guest = self.boot("")?;
        let begun = Instant::now();
        let answer = guest.stitch(&photos.files)?;
        let seconds = begun.elapsed().as_secs_f64();
        let told = guest.figures()?;
        step.done(&format!("{} in {seconds:.1} s", answer.status));
        let pages = |name: &str| told.one(name);
        let (buffers, most) = (
            pages("cistern_buffer_pages")?,
            pages("cistern_buffer_high_water_pages")?,
        );
        // What is in no buffer was never used, whatever it is set aside for.
        let never = pages("cistern_memory_free_pages")? + buffers - most;
        let used = f64::from(MACHINE_MIB) - never * PAGE / MIB;
        let what = |name: &str| format!("memory: six of 2 Mpx in 256 MiB: {name}");
        Ok(vec![
            Row::new(what("status"), "", f64::from(answer.status)).goal(Goal::Exactly(200.0)),
            Row::new(what("time"), "s", seconds),
            Row::new(what("high-water mark"), "MiB", used).goal(Goal::AtMost(MACHINE_MIB.into())),
            Row::new(what("of it buffers and heaps"), "MiB", most * PAGE / MIB),
        ])
    }

    /// As many pages for a stage as it needs, and one less. How many these are is found by trying,
    /// each time in a machine of its own.
    fn limit(&self, photos: &Photos, smaller: &Photos) -> Result<Vec<Row>, String> {
        let step = Step::start("one page more than there is");
        let boot = |pages: u64| {
            let sizes = format!("cbuf-policy.sizes={POOLS},{TIGHT}={pages}");
            self.boot(&format!("cbuf-policy.policy=static {sizes}"))
        };
        let (mut short, mut enough) = (LEAST_PAGES, MOST_PAGES);
        step.detail("all there is");
        boot(enough)?.stitched(&photos.files)?;
        while enough - short > 1 {
            let pages = short.midpoint(enough);
            step.detail(&format!("{pages} pages"));
            match boot(pages)?.stitch(&photos.files)?.status {
                200 => enough = pages,
                _ => short = pages,
            }
        }
        let fits = boot(enough)?.stitch(&photos.files)?;
        let mut guest = boot(short)?;
        let begun = Instant::now();
        let refused = guest.stitch(&photos.files)?;
        let seconds = begun.elapsed().as_secs_f64();
        let next = guest.stitch(&smaller.files)?;
        let said = String::from_utf8_lossy(&refused.body);
        let said = said.lines().next().unwrap_or_default();
        step.done(&format!("{short} pages: {} {said}", refused.status));
        let status = |name: String, answer: &Answer, goal: f64| {
            Row::new(format!("limit: {name}"), "", f64::from(answer.status))
                .goal(Goal::Exactly(goal))
        };
        Ok(vec![
            status(
                format!("{enough} pages for {TIGHT}, as it needs"),
                &fits,
                200.0,
            ),
            status(format!("{short} pages, one less"), &refused, 507.0),
            Row::new("limit: until that is said", "s", seconds),
            status("smaller photographs afterwards".into(), &next, 200.0),
        ])
    }

    /// `/` while nobody stitches and while somebody does, in turn.
    fn latency(&self, photos: &Photos, rounds: usize) -> Result<Vec<Row>, String> {
        let step = Step::start("pages while a panorama is made");
        let mut guest = self.boot("")?;
        let upload = photographs::upload(&photos.files);
        let (mut idle, mut busy) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            for _ in 0..IDLE_REQUESTS {
                idle.push(guest.get("/")?);
            }
            let mut panorama = Connection::to(self.address, PATIENCE)?;
            panorama.send(&upload)?;
            let mut meanwhile = Vec::new();
            while !panorama.has_come()? {
                meanwhile.push(guest.get("/")?);
            }
            let answer = panorama.receive(false)?;
            if answer.status != 200 {
                return Err(guest.explain(&format!("the panorama was {}", answer.status)));
            }
            // The last one may have been answered when the panorama was done.
            meanwhile.pop();
            busy.extend(meanwhile);
        }
        step.done(&format!(
            "{:.2} ms, {:.2} ms meanwhile",
            median(&idle),
            median(&busy)
        ));
        let row = |what: &str, of: fn(&[f64]) -> f64| {
            Row::new(
                format!("/ while a panorama is made: {what}"),
                "ms",
                of(&busy),
            )
            .against("idle", of(&idle), None)
            .goal(Goal::RatioBelow(TIMES))
        };
        Ok(vec![
            row("median", median),
            row("99 of 100 within", |all| percentile(all, 0.99)),
        ])
    }
}

fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

/// A machine that serves; ended when dropped.
struct Guest {
    address: SocketAddr,
    running: Running,
}

impl Guest {
    fn explain(&mut self, why: &str) -> String {
        self.running.console.drain();
        format!(
            "{why}; the machine's last lines:\n{}",
            self.running.console.tail(12)
        )
    }

    fn ask(&self, request: &[u8], limit: Duration) -> Result<Answer, String> {
        let mut connection = Connection::to(self.address, limit)?;
        connection.send(request)?;
        connection.receive(false)
    }

    /// Milliseconds from the connection's beginning to the whole page.
    fn get(&self, path: &str) -> Result<f64, String> {
        let begun = Instant::now();
        let request = format!("GET {path} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
        let answer = self.ask(request.as_bytes(), Duration::from_secs(10))?;
        match answer.status {
            200 => Ok(begun.elapsed().as_secs_f64() * 1e3),
            status => Err(format!("GET {path}: {status}")),
        }
    }

    fn stitch(&mut self, files: &[Vec<u8>]) -> Result<Answer, String> {
        let answer = self.ask(&photographs::upload(files), PATIENCE);
        answer.map_err(|why| self.explain(&why))
    }

    /// An error where no panorama comes of it.
    fn stitched(&mut self, files: &[Vec<u8>]) -> Result<(), String> {
        let answer = self.stitch(files)?;
        if answer.status == 200 {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&answer.body).into_owned();
        Err(self.explain(&format!("{} {}", answer.status, said.trim_end())))
    }

    fn figures(&self) -> Result<Figures, String> {
        let request = b"GET /metrics HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";
        let answer = self.ask(request, Duration::from_secs(10))?;
        Ok(Figures(String::from_utf8_lossy(&answer.body).into_owned()))
    }
}

/// What the machine tells of itself.
struct Figures(String);

impl Figures {
    fn one(&self, name: &str) -> Result<f64, String> {
        let lines = self.0.lines().filter_map(|line| line.split_once(' '));
        let mut values = lines.filter(|(key, _)| *key == name);
        let value = values.next().and_then(|(_, value)| value.parse().ok());
        value.ok_or_else(|| format!("the machine tells no {name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found() {
        let told = Figures("# TYPE a gauge\na 5\na_pages{component=\"b\"} 9\n".into());
        assert_eq!(told.one("a"), Ok(5.0));
        assert!(told.one("a_pages").is_err());
    }

    #[test]
    fn percentiles_are_of_the_slowest() {
        let all: Vec<f64> = (0..100).rev().map(f64::from).collect();
        assert_eq!(percentile(&all, 0.99), 99.0);
        assert_eq!(percentile(&all, 0.5), 50.0);
        assert!(percentile(&[], 0.5).is_nan());
    }
}
