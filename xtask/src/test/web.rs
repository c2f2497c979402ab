//! The web server from outside: one machine, many clients, raw bytes.

use super::{Outcomes, boot, corners, load, observe, trace};
use crate::http::{self, Answer, Connection, ask, get};
use crate::install;
use crate::machine::Running;
use crate::net::{self, Network};
use crate::progress::Step;
use crate::project::Project;
use std::time::{Duration, Instant};

pub type Test = fn(u16) -> Result<(), String>;

const TESTS: [(&str, Test); 16] = [
    ("GET is answered", get_is_answered),
    ("HEAD has no body", head_has_no_body),
    ("payloads are exact to the byte", payloads_are_exact),
    ("static files have validators", static_files_have_validators),
    ("keep-alive and pipelining", keep_alive_and_pipelining),
    ("HTTP/1.0 closes", http_1_0_closes),
    ("a byte at a time", a_byte_at_a_time),
    ("malformed requests get 400", malformed_requests),
    ("other refusals", other_refusals),
    ("traversal stays inside", traversal_stays_inside),
    ("resets and stalls disturb nobody", resets_disturb_nobody),
    (
        "a hundred idle connections disturb nobody",
        idle_disturb_nobody,
    ),
    ("ab static", |port| load_of(port, false, "/f1024.txt")),
    ("ab static keep-alive", |port| {
        load_of(port, true, "/f1024.txt")
    }),
    ("ab cgi", |port| load_of(port, false, "/cgi?bytes=1024")),
    ("ab cgi keep-alive", |port| {
        load_of(port, true, "/cgi?bytes=1024")
    }),
];

const RETURNED: &str = "memory is returned to the page";
const COMES_BACK: &str = "a component that faults comes back";
const TRACED: &str = "a fault shows the functions that led to it";

pub fn run(project: &Project, outcomes: &mut Outcomes) {
    let name = |what: &str| format!("web: {what}");
    let more = [observe::DASHBOARD, RETURNED, COMES_BACK, TRACED];
    let tests = || {
        TESTS
            .into_iter()
            .chain(corners::TESTS)
            .chain(observe::TESTS)
    };
    let mut all = tests().map(|(what, _)| what).chain(more);
    if all.any(|what| outcomes.wants(&name(what))) {
        let step = Step::start("booting the web server");
        let served = serve(project, "webserver", 128);
        drop(step);
        match served {
            Ok(mut served) => {
                outcomes.count("web: boots", Ok(()));
                for (what, test) in tests() {
                    outcomes.run(&name(what), || {
                        test(served.port).map_err(|why| served.explain(&why))
                    });
                }
                dashboard(project, outcomes, &mut served);
                memory_is_returned(outcomes, &mut served);
                outcomes.run(&name(COMES_BACK), || {
                    cgi_comes_back(served.port).map_err(|why| served.explain(&why))
                });
                outcomes.run(&name(TRACED), || {
                    let answer = get(served.port, "/cgi?crash")?;
                    let told = expect(&answer, 502).and_then(|()| cgi_is_traced(&mut served));
                    told.map_err(|why| served.explain(&why))
                });
            }
            Err(why) => outcomes.count("web: boots", Err(why)),
        }
    }
    survives(project, outcomes);
    outcomes.run("web: boots and serves with 64 MiB", || {
        let mut served = serve(project, "webserver", 64)?;
        let answer = load::ab(served.port, 300, true, "/cgi?bytes=1024");
        answer.map_err(|why| served.explain(&why))
    });
}

fn survives(project: &Project, outcomes: &mut Outcomes) {
    let name = format!("web: {}", observe::SURVIVES);
    if outcomes.quick || !outcomes.wants(&name) || install::browser().is_err() {
        return;
    }
    outcomes.run(&name, || {
        let words = "reaper.kill=8,10 reaper.every=1500";
        let mut served = serve_with(project, "webkill", 128, words)?;
        let lived = observe::survives(served.port, &project.target().join("run"));
        lived.map_err(|why| served.explain(&why))
    });
}

/// Skipped where there is no browser and none can be installed.
fn dashboard(project: &Project, outcomes: &mut Outcomes, served: &mut Served) {
    let name = format!("web: {}", observe::DASHBOARD);
    if !outcomes.wants(&name) {
        return;
    }
    match install::browser() {
        Ok(()) => outcomes.run(&name, || {
            let walked = observe::dashboard(served.port, &project.target().join("run"));
            walked.map_err(|why| served.explain(&why))
        }),
        Err(why) => outcomes.skip(&name, &why),
    }
}

/// A machine that serves; ended when dropped.
pub struct Served {
    pub port: u16,
    running: Running,
    /// Dropped after the machine.
    _network: Network,
}

impl Served {
    /// Adds what the machine has printed to an error.
    pub fn explain(&mut self, why: &str) -> String {
        while self
            .running
            .console
            .next(Duration::from_millis(50))
            .is_some()
        {}
        format!(
            "{why}; the machine's last lines:\n{}",
            self.running.console.tail(12)
        )
    }
}

/// Boots an image until its web server answers.
pub fn serve(project: &Project, image: &str, memory_mib: u32) -> Result<Served, String> {
    serve_with(project, image, memory_mib, "")
}

/// The same with more words on the kernel command line.
pub fn serve_with(
    project: &Project,
    image: &str,
    memory_mib: u32,
    words: &str,
) -> Result<Served, String> {
    let port = net::any_port()?;
    let network = Network::open(port, &project.target().join("run"))?;
    let mut machine = boot::machine(project, image, memory_mib);
    machine.append = words.into();
    machine.netdev = Some(network.netdev.clone());
    let running = machine.start()?;
    let mut served = Served {
        port,
        running,
        _network: network,
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline {
        crate::interrupt::check()?;
        if served.running.ended().is_some() {
            return Err(served.explain("the machine ended"));
        }
        if http::answers(port) {
            return Ok(served);
        }
        served.running.console.next(Duration::from_millis(200));
    }
    Err(served.explain("no answer within 60 s"))
}

/// At rest after a load as many pages are free as before it, and pools hold as many as after the
/// load before (they keep what they once needed, so the first rounds may add to that).
fn memory_is_returned(outcomes: &mut Outcomes, served: &mut Served) {
    const ROUNDS: usize = 8;
    let port = served.port;
    outcomes.run(&format!("web: {RETURNED}"), || {
        let check = || {
            let mut rounds = vec![load::pages(port)?];
            for _ in 0..ROUNDS {
                for path in ["/f1024.txt", "/cgi?bytes=1024"] {
                    load::ab(port, 1500, false, path)?;
                    load::ab(port, 1500, true, path)?;
                }
                let ([free, held, rest], before) = (load::pages(port)?, rounds[rounds.len() - 1]);
                rounds.push([free, held, rest]);
                if [free, rest] != [rounds[0][0], rounds[0][2]] {
                    return Err(format!("the pages free change: {rounds:?}"));
                }
                if held == before[1] {
                    return Ok(());
                }
            }
            Err(format!("pools hold more after every load: {rounds:?}"))
        };
        check().map_err(|why| served.explain(&why))
    });
}

/// The CGI component faults again and again: its own requests fail, the server goes on.
fn cgi_comes_back(port: u16) -> Result<(), String> {
    const PATIENCE: Duration = Duration::from_secs(5);
    let mut steady = Connection::open(port)?;
    for _ in 0..10 {
        expect(&get(port, "/cgi?crash")?, 502)?;
        steady.send(b"GET /f1024.txt HTTP/1.1\r\nHost: t\r\n\r\n")?;
        expect(&steady.receive(false)?, 200)?;
        let deadline = Instant::now() + PATIENCE;
        while get(port, "/cgi?bytes=1024")?.status != 200 {
            if Instant::now() > deadline {
                return Err("it does not come back".into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    Ok(())
}

/// The console names the function that crashed, who invoked the component, and no part of how it
/// panicked.
fn cgi_is_traced(served: &mut Served) -> Result<(), String> {
    let console = &mut served.running.console;
    while console.next(Duration::from_millis(200)).is_some() {}
    let trace = trace::of(&console.seen, "cgi").ok_or("nothing was printed")?;
    let pattern = ["  0: cgi::crash+0x", "*", "  invoked by webserver"];
    if trace::matches(&trace, &pattern) {
        return Ok(());
    }
    Err(format!("the backtrace is\n    {}", trace.join("\n    ")))
}

fn load_of(port: u16, keep_alive: bool, path: &str) -> Result<(), String> {
    load::ab(port, 3000, keep_alive, path)
}

pub fn expect(answer: &Answer, status: u16) -> Result<(), String> {
    if answer.status == status {
        return Ok(());
    }
    let first = answer.head.lines().next().unwrap_or("");
    Err(format!("expected {status}, got `{first}`"))
}

pub fn has(answer: &Answer, field: &str) -> Result<String, String> {
    let value = answer.field(field).map(String::from);
    value.ok_or_else(|| format!("no {field} in {:?}", answer.head))
}

fn get_is_answered(port: u16) -> Result<(), String> {
    let answer = get(port, "/")?;
    expect(&answer, 200)?;
    has(&answer, "Date")?;
    has(&answer, "Content-Type")?;
    if answer.body.is_empty() {
        Err("the body is empty".into())
    } else {
        Ok(())
    }
}

fn head_has_no_body(port: u16) -> Result<(), String> {
    let mut connection = Connection::open(port)?;
    connection.send(b"HEAD /f1024.txt HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")?;
    let answer = connection.receive(true)?;
    expect(&answer, 200)?;
    if has(&answer, "Content-Length")? != "1024" {
        return Err(format!("wrong length in {:?}", answer.head));
    }
    connection.closed()
}

fn payloads_are_exact(port: u16) -> Result<(), String> {
    for bytes in [1, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 1 << 20] {
        let mut seen: Vec<Vec<u8>> = Vec::new();
        for path in [format!("/f{bytes}.txt"), format!("/cgi?bytes={bytes}")] {
            for _ in 0..2 {
                let answer = get(port, &path).map_err(|e| format!("{path}: {e}"))?;
                expect(&answer, 200).map_err(|e| format!("{path}: {e}"))?;
                if answer.body.len() != bytes {
                    return Err(format!("{path}: {} bytes came", answer.body.len()));
                }
                seen.push(answer.body);
            }
        }
        // The same page twice has the same bytes, and pages that begin alike go on alike.
        if seen[0] != seen[1] || seen[2] != seen[3] {
            return Err(format!("two answers of {bytes} bytes differ"));
        }
    }
    Ok(())
}

fn static_files_have_validators(port: u16) -> Result<(), String> {
    let first = get(port, "/f1024.txt")?;
    expect(&first, 200)?;
    let (name, value) = match first.field("ETag") {
        Some(tag) => ("If-None-Match", tag.to_string()),
        None => ("If-Modified-Since", has(&first, "Last-Modified")?),
    };
    let request = format!(
        "GET /f1024.txt HTTP/1.1\r\nHost: t\r\n{name}: {value}\r\nConnection: close\r\n\r\n"
    );
    expect(&ask(port, request.as_bytes())?, 304)
}

fn keep_alive_and_pipelining(port: u16) -> Result<(), String> {
    let mut connection = Connection::open(port)?;
    for bytes in [10, 2000, 3] {
        connection
            .send(format!("GET /cgi?bytes={bytes} HTTP/1.1\r\nHost: t\r\n\r\n").as_bytes())?;
        let answer = connection.receive(false)?;
        expect(&answer, 200)?;
        if answer.body.len() != bytes {
            return Err(format!("{} bytes instead of {bytes}", answer.body.len()));
        }
    }
    let sizes: Vec<usize> = (1..=12).map(|i| i * 77).collect();
    let all: String = sizes
        .iter()
        .map(|n| format!("GET /cgi?bytes={n} HTTP/1.1\r\nHost: t\r\n\r\n"))
        .collect();
    connection.send(all.as_bytes())?;
    for bytes in sizes {
        let answer = connection.receive(false)?;
        expect(&answer, 200)?;
        if answer.body.len() != bytes {
            return Err(format!(
                "pipelined: {} bytes instead of {bytes}",
                answer.body.len()
            ));
        }
    }
    Ok(())
}

fn http_1_0_closes(port: u16) -> Result<(), String> {
    let mut connection = Connection::open(port)?;
    connection.send(b"GET / HTTP/1.0\r\n\r\n")?;
    expect(&connection.receive(false)?, 200)?;
    connection.closed()?;
    let mut connection = Connection::open(port)?;
    for _ in 0..2 {
        connection.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")?;
        expect(&connection.receive(false)?, 200)?;
    }
    Ok(())
}

fn a_byte_at_a_time(port: u16) -> Result<(), String> {
    let mut connection = Connection::open(port)?;
    for byte in b"GET /f1024.txt HTTP/1.1\r\nHost: t\r\nX-Slow: yes\r\n\r\n" {
        connection.send(&[*byte])?;
        std::thread::sleep(Duration::from_millis(2));
    }
    expect(&connection.receive(false)?, 200)
}

fn malformed_requests(port: u16) -> Result<(), String> {
    let cases: [(&str, &[u8]); 12] = [
        ("no words", b"\x01\x02\x03\r\n\r\n"),
        ("no version", b"GET /\r\nHost: t\r\n\r\n"),
        ("bare CR", b"GET / HTTP/1.1\r\nHost: t\r\nA: b\rc\r\n\r\n"),
        ("NUL", b"GET / HTTP/1.1\r\nHost: t\r\nA: b\0c\r\n\r\n"),
        ("space before colon", b"GET / HTTP/1.1\r\nHost : t\r\n\r\n"),
        ("two Hosts", b"GET / HTTP/1.1\r\nHost: t\r\nHost: u\r\n\r\n"),
        ("no Host", b"GET / HTTP/1.1\r\n\r\n"),
        ("two lengths", b"GET / HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        ("malformed length", b"GET / HTTP/1.1\r\nHost: t\r\nContent-Length: +1\r\n\r\na"),
        ("length and chunks", b"GET / HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("folded field", b"GET / HTTP/1.1\r\nHost: t\r\nA: b\r\n c\r\n\r\n"),
        ("empty field name", b"GET / HTTP/1.1\r\nHost: t\r\n: b\r\n\r\n"),
    ];
    for (what, request) in cases {
        let answer = ask(port, request).map_err(|e| format!("{what}: {e}"))?;
        expect(&answer, 400).map_err(|e| format!("{what}: {e}"))?;
    }
    expect(&get(port, "/")?, 200)
}

fn other_refusals(port: u16) -> Result<(), String> {
    let one_of = |what: &str, request: &[u8], statuses: &[u16]| {
        let answer = ask(port, request).map_err(|e| format!("{what}: {e}"))?;
        if statuses.contains(&answer.status) {
            Ok(())
        } else {
            Err(format!("{what}: {} instead of {statuses:?}", answer.status))
        }
    };
    let long = "a".repeat(70_000);
    one_of(
        "unknown method",
        b"BREW / HTTP/1.1\r\nHost: t\r\n\r\n",
        &[501, 405],
    )?;
    one_of("version 2.0", b"GET / HTTP/2.0\r\nHost: t\r\n\r\n", &[505])?;
    one_of(
        "long target",
        format!("GET /{long} HTTP/1.1\r\nHost: t\r\n\r\n").as_bytes(),
        &[414],
    )?;
    one_of(
        "long field",
        format!("GET / HTTP/1.1\r\nHost: t\r\nA: {long}\r\n\r\n").as_bytes(),
        &[431],
    )?;
    one_of(
        "no such file",
        b"GET /nothing-here HTTP/1.1\r\nHost: t\r\n\r\n",
        &[404],
    )
}

fn traversal_stays_inside(port: u16) -> Result<(), String> {
    for path in [
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2fmanifest",
        "//..//..//manifest",
        "/%00",
        "/f1024.txt%00.html",
        "/%zz",
    ] {
        let answer = get(port, path).map_err(|e| format!("{path}: {e}"))?;
        if !(400..=404).contains(&answer.status) {
            return Err(format!("{path}: {}", answer.status));
        }
    }
    Ok(())
}

/// Half-sent requests that are dropped, and downloads that nobody reads.
fn resets_disturb_nobody(port: u16) -> Result<(), String> {
    for _ in 0..30 {
        Connection::open(port)?.send(b"GET /cgi?bytes=1048576 HTTP/1.1\r\nHo")?;
    }
    let mut stalled = Vec::new();
    for _ in 0..8 {
        let mut connection = Connection::open(port)?;
        connection.send(b"GET /cgi?bytes=1048576 HTTP/1.1\r\nHost: t\r\n\r\n")?;
        stalled.push(connection);
    }
    for _ in 0..20 {
        expect(&get(port, "/cgi?bytes=5000")?, 200)?;
    }
    drop(stalled);
    expect(&get(port, "/")?, 200)
}

fn idle_disturb_nobody(port: u16) -> Result<(), String> {
    let idle: Vec<Connection> = (0..100)
        .filter_map(|_| Connection::open(port).ok())
        .collect();
    let deadline = Instant::now() + Duration::from_secs(40);
    // The server may need to close some idle connection first; it must not take longer.
    loop {
        match get(port, "/cgi?bytes=100") {
            Ok(answer) => return expect(&answer, 200),
            Err(why) if Instant::now() > deadline => {
                return Err(format!("with {} idle: {why}", idle.len()));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(200)),
        }
    }
}
