//! What the machine tells of itself, and the choice of a policy: over HTTP and in a browser.

use super::load;
use super::web::{Test, expect, has};
use crate::browser::{self, Browser};
use crate::http::{ask, get};
use observe::grammar::{self, Sample};
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};

pub const TESTS: [(&str, Test); 4] = [
    ("metrics are valid and move under load", metrics_move),
    ("figures add up", figures_add_up),
    ("a policy is chosen by those who may", policy_is_chosen),
    (
        "many who look are told four times a second",
        looks_are_bounded,
    ),
];

pub const DASHBOARD: &str = "the dashboard in a browser";

const LOAD: u32 = 500;

fn metrics(port: u16) -> Result<Vec<Sample>, String> {
    let answer = get(port, "/metrics")?;
    expect(&answer, 200)?;
    let media = has(&answer, "Content-Type")?;
    if media != "text/plain; version=0.0.4; charset=utf-8" {
        return Err(format!("/metrics is {media}"));
    }
    let text = String::from_utf8(answer.body).map_err(|e| format!("/metrics: {e}"))?;
    grammar::parse(&text).map_err(|why| format!("/metrics: {why}"))
}

fn stats(port: u16) -> Result<Value, String> {
    // The last answer comes again within a quarter of a second.
    std::thread::sleep(Duration::from_millis(300));
    let answer = get(port, "/api/stats")?;
    expect(&answer, 200)?;
    if has(&answer, "Content-Type")? != "application/json" {
        return Err(format!(
            "/api/stats is no JSON by its head: {}",
            answer.head
        ));
    }
    serde_json::from_slice(&answer.body).map_err(|e| format!("/api/stats: {e}"))
}

fn metrics_move(port: u16) -> Result<(), String> {
    let before = metrics(port)?;
    load::ab(port, LOAD, false, "/cgi?bytes=1024")?;
    std::thread::sleep(Duration::from_millis(300));
    let after = metrics(port)?;
    let of = |samples: &[Sample], name: &str, labels: &[(&str, &str)]| {
        let fits = |s: &&Sample| s.name == name && labels.iter().all(|(l, v)| s.label(l) == *v);
        let found = samples.iter().find(fits).map(|s| s.value);
        found.ok_or_else(|| format!("no {name} {labels:?}"))
    };
    let rose = |name: &str, labels: &[(&str, &str)], least: f64| {
        let rise = of(&after, name, labels)? - of(&before, name, labels)?;
        if rise < least {
            return Err(format!("{name} {labels:?} rose by {rise}, not by {least}"));
        }
        Ok(())
    };
    let requests = f64::from(LOAD);
    rose("cistern_http_requests_total", &[], requests)?;
    rose(
        "cistern_http_responses_total",
        &[("class", "2xx")],
        requests,
    )?;
    let histogram = "cistern_http_request_duration_seconds";
    rose(&format!("{histogram}_count"), &[], requests)?;
    rose(&format!("{histogram}_sum"), &[], 1e-6 * requests)?;
    rose("cistern_net_frames_sent_total", &[], requests)?;
    rose("cistern_kernel_invocations_total", &[], 100.0)?;
    for (caller, callee) in [
        ("webserver", "netstack"),
        ("webserver", "cgi"),
        ("netstack", "nic"),
    ] {
        let edge = [("caller", caller), ("callee", callee)];
        rose("cistern_invocations_total", &edge, 20.0)?;
    }
    for component in ["cgi", "webserver", "netstack", "nic", "content"] {
        let of_it = [("component", component)];
        for name in [
            "limit_pages",
            "blocked_seconds_total",
            "collecting_seconds_total",
        ] {
            rose(&format!("cistern_pool_{name}"), &of_it, -1e9)?;
        }
    }
    rose(
        "cistern_pool_collections_total",
        &[("component", "cgi")],
        1.0,
    )?;
    if of(&after, "cistern_capabilities", &[("type", "Frame")])? < 100.0 {
        return Err("there are hardly any frames".into());
    }
    Ok(())
}

/// Numbers of an object's fields, or 0.
fn sum_of<'v>(values: impl IntoIterator<Item = &'v Value>) -> u64 {
    values.into_iter().filter_map(Value::as_u64).sum()
}

fn figures_add_up(port: u16) -> Result<(), String> {
    let stats = stats(port)?;
    let array = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let object = |value: &Value| value.as_object().cloned().unwrap_or_default();
    let (components, edges) = (array(&stats["components"]), array(&stats["edges"]));
    let buffers = &stats["memory"]["buffers"];
    let pools = |field: &str| sum_of(components.iter().map(|c| &c["pool"][field]));
    let all = |field: &str| sum_of(components.iter().map(|c| &c[field]));
    let http = &stats["http"];
    let latency = array(&http["latency"]["counts"]);
    let answered = sum_of(object(&http["responses"]).values());
    let continued = sum_of([&http["responses"]["1xx"]]);
    let equal = [
        (
            "pages of pools and others, all buffers'",
            sum_of([&buffers["held"], &buffers["unpaid"], &buffers["unused"]]),
            sum_of([&buffers["total"]]),
        ),
        (
            "pages that pools pay for, one by one and together",
            pools("held"),
            sum_of([&buffers["held"]]),
        ),
        (
            "pages of pools' sizes and in none, all buffers'",
            pools("limit") + sum_of([&buffers["free"]]),
            sum_of([&buffers["total"]]),
        ),
        (
            "capabilities by type and together",
            sum_of(object(&stats["capabilities"]["types"]).values()),
            sum_of([&stats["capabilities"]["total"]]),
        ),
        (
            "answers and durations",
            answered - continued,
            sum_of(&latency),
        ),
    ];
    for (what, left, right) in equal {
        if left != right || right == 0 {
            return Err(format!("{what}: {left}, {right}"));
        }
    }
    let given = all("static") + all("owned") + sum_of([&buffers["total"]]);
    if given > sum_of([&stats["memory"]["total"]]) {
        return Err(format!(
            "components and buffers have {given} pages, more than there are"
        ));
    }
    // Counted by each callee and by the kernel; the observer's own questions come between.
    let counted = sum_of(edges.iter().map(|e| &e["calls"]));
    let by_kernel = sum_of([&stats["kernel"]["invocations"]]);
    if counted.abs_diff(by_kernel) > 1000 {
        return Err(format!(
            "{counted} invocations by edge, {by_kernel} by the kernel"
        ));
    }
    Ok(())
}

fn choose(port: u16, fields: &str, words: &str) -> Result<(u16, String), String> {
    let length = words.len();
    let request = format!(
        "POST /api/policy HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\
         {fields}Content-Length: {length}\r\n\r\n{words}"
    );
    let answer = ask(port, request.as_bytes())?;
    Ok((
        answer.status,
        String::from_utf8_lossy(&answer.body).trim().into(),
    ))
}

/// Sets the limit for all pools.
pub fn choose_limit(port: u16, pages: u64) -> Result<(), String> {
    match choose(port, MAY, &format!("memory-limit={pages}p"))? {
        (200, _) => Ok(()),
        (status, why) => Err(format!("{status}: {why}")),
    }
}

const MAY: &str = "X-Cistern-Request: policy\r\n";

fn policy_is_chosen(port: u16) -> Result<(), String> {
    let refused = [
        ("", "policy=limited", 403, "X-Cistern-Request"),
        (
            &format!("{MAY}Origin: http://evil.example\r\n"),
            "policy=limited",
            403,
            "another site",
        ),
        (
            &format!("{MAY}Sec-Fetch-Site: cross-site\r\n"),
            "policy=limited",
            403,
            "another site",
        ),
        (
            MAY,
            "policy=fair",
            400,
            "throughput, limited, priority, qos",
        ),
        (
            MAY,
            "policy=limited memory-limit=many",
            400,
            "no memory limit",
        ),
        (MAY, "memory-limit=0p", 400, "no memory limit"),
        (MAY, "qos=nobody=5%", 400, "nic, netstack, content, cgi"),
        (MAY, "qos=webserver=99%", 400, "no QoS target"),
        (MAY, "", 400, "nothing is chosen"),
        (MAY, &"x".repeat(2000), 413, "1024"),
    ];
    let before = stats(port)?["policy"].clone();
    for (fields, words, status, why) in refused {
        let (got, sentence) = choose(port, fields, words)?;
        if got != status || !sentence.contains(why) || sentence.contains('\n') {
            return Err(format!("`{words:.40}` with `{fields}`: {got}, {sentence}"));
        }
        if stats(port)?["policy"] != before {
            return Err(format!("`{words:.40}` was refused and changed something"));
        }
    }
    let foreign = b"POST /api/policy HTTP/1.1\r\nHost: rebound.example\r\nConnection: close\r\n\
                    X-Cistern-Request: policy\r\nContent-Length: 14\r\n\r\npolicy=limited";
    expect(&ask(port, foreign)?, 403)?;
    for (words, name, limit) in [
        ("policy=limited memory-limit=4000p", "limited", Some(4000)),
        ("memory-limit=none", "limited", None),
        ("qos=webserver=2.5% policy=qos", "qos", None),
        ("policy=throughput", "throughput", None),
    ] {
        let (got, sentence) = choose(port, MAY, words)?;
        let policy = stats(port)?["policy"].clone();
        if got != 200 || policy["name"] != name || policy["limit"].as_u64() != limit {
            return Err(format!("`{words}`: {got}, {sentence}; now it is {policy}"));
        }
    }
    let stats = stats(port)?;
    let components = stats["components"].as_array().into_iter().flatten();
    let mut targets = components.filter(|c| c["pool"]["target_ppm"] == 25_000);
    match targets.next() {
        Some(web) if web["name"] == "webserver" => Ok(()),
        _ => Err(format!("the target is not told: {}", stats["components"])),
    }
}

fn looks_are_bounded(port: u16) -> Result<(), String> {
    let start = Instant::now();
    let mut looks = std::collections::BTreeSet::new();
    for _ in 0..40 {
        let answer = get(port, "/api/stats")?;
        let stats: Value = serde_json::from_slice(&answer.body).map_err(|e| e.to_string())?;
        looks.insert(stats["uptime_us"].as_u64());
    }
    // Emulated time may run ahead of ours by a little.
    let most = start.elapsed().as_millis() / 200 + 2;
    if looks.len() as u128 > most {
        return Err(format!("{} looks where {most} were due", looks.len()));
    }
    Ok(())
}

const SOON: Duration = Duration::from_secs(10);
const STATE: &str = "document.getElementById('state').textContent";
const ANSWER: &str = "document.getElementById('answer').textContent";
const WIDE: &str = "document.documentElement.scrollWidth > innerWidth";

/// Opens the page, lets the plots move under load, clicks a policy, and loses the connection.
pub fn dashboard(port: u16, folder: &Path) -> Result<(), String> {
    let program = browser::program().ok_or("there is no Chromium")?;
    let mut page = Browser::start(program, folder)?;
    let done = walk(&mut page, port);
    // Whatever happened, the machine is as it was.
    let (status, why) = choose(port, MAY, "policy=throughput memory-limit=none")?;
    done?;
    if status != 200 {
        return Err(why);
    }
    page.errors
        .retain(|error| !error.contains("ERR_INTERNET_DISCONNECTED"));
    // The refusals that were provoked.
    page.errors.retain(|error| !error.contains("409"));
    if page.errors.is_empty() {
        Ok(())
    } else {
        Err(format!("the page complained: {}", page.errors.join("; ")))
    }
}

pub const SURVIVES: &str = "the dashboard outlives the web server and the observer";

/// On image `webkill`, where both are killed in turn: the page finds its way back by itself.
pub fn survives(port: u16, folder: &Path) -> Result<(), String> {
    const DEATHS: u64 = 2;
    const LATER: Duration = Duration::from_secs(40);
    let program = browser::program().ok_or("there is no Chromium")?;
    let mut page = Browser::start(program, folder)?;
    page.looks(375, true)?;
    page.open(&format!("http://127.0.0.1:{port}/"))?;
    page.until(&format!("{STATE} === 'live'"), LATER, STATE)?;
    // What the graph tells of a component, which comes with the figures that the page has now.
    let graph = "document.getElementById('graph').innerHTML";
    for name in ["webserver", "observe"] {
        let told = format!("new RegExp('{name}: [^\"<]*restarted (\\\\d+) times')");
        let times = format!("Number(({told}).exec({graph})?.[1] ?? 0)");
        page.until(&format!("{times} >= {DEATHS}"), LATER, &times)?;
    }
    page.until(&format!("{STATE} === 'live'"), LATER, STATE)?;
    let moved = "document.querySelector('#throughput .line')?.getAttribute('d') ?? ''";
    let before = page.value(moved)?;
    page.until(&format!("({moved}) !== {before}"), LATER, moved)
}

fn walk(page: &mut Browser, port: u16) -> Result<(), String> {
    page.looks(1280, false)?;
    page.open(&format!("http://127.0.0.1:{port}/"))?;
    page.until(&format!("{STATE} === 'live'"), SOON, STATE)?;
    let line = "document.querySelector('#throughput .line')?.getAttribute('d') ?? ''";
    page.until(&format!("({line}).length > 0"), SOON, line)?;
    // The plot moves: what it shows of the load is above what it showed before.
    load::ab(port, LOAD, true, "/f1024.txt")?;
    let top = "Math.max(...[...document.querySelectorAll('#throughput text')]\
               .map((t) => parseFloat(t.textContent)).filter(isFinite))";
    page.until(&format!("{top} >= 50"), SOON, top)?;
    let edges = "[...document.querySelectorAll('#edges li')].map((e) => e.textContent).join()";
    page.until(
        &format!("({edges}).includes('webserver → netstack')"),
        SOON,
        edges,
    )?;
    let nodes = "document.querySelectorAll('#graph .node').length";
    page.until(&format!("{nodes} >= 10"), SOON, nodes)?;
    for (width, dark) in [(375, true), (375, false), (1280, true)] {
        page.looks(width, dark)?;
        page.until(
            &format!("!({WIDE})"),
            SOON,
            "document.documentElement.scrollWidth",
        )?;
        let dark_now = "getComputedStyle(document.body).backgroundColor === 'rgb(11, 19, 24)'";
        page.until(
            &format!("({dark_now}) === {dark}"),
            SOON,
            "document.body.className",
        )?;
    }
    choose_by_hand(page)?;
    page.offline(true)?;
    page.until(
        &format!("{STATE}.startsWith('connection lost')"),
        SOON,
        STATE,
    )?;
    page.offline(false)?;
    page.until(&format!("{STATE} === 'live'"), SOON, STATE)
}

fn choose_by_hand(page: &mut Browser) -> Result<(), String> {
    let bound = "document.querySelector('#pools .bound-name')?.textContent ?? 'no limit'";
    page.until(&format!("({bound}) === 'no limit'"), SOON, bound)?;
    page.click("label[for=rule-limited]")?;
    page.fill("#limit", "many")?;
    page.click("#apply")?;
    page.until(
        &format!("{ANSWER}.includes('number of pages')"),
        SOON,
        ANSWER,
    )?;
    page.fill("#limit", "4100")?;
    page.click("#apply")?;
    page.until(
        &format!("{ANSWER} === 'Chosen: policy=limited memory-limit=4100p'"),
        SOON,
        ANSWER,
    )?;
    // The plot follows: the limit's line is in it, and the rule is marked.
    page.until(&format!("({bound}) === 'limit 4,100 pages'"), SOON, bound)?;
    let marked = "document.querySelector('[data-name=limited] .now').textContent";
    page.until(&format!("{marked} === 'in force'"), SOON, marked)?;
    // By the keyboard: from `limited` down to the next, and the button's space bar.
    page.value("document.getElementById('rule-limited').focus()")?;
    page.press("ArrowDown", 40)?;
    let rule = "document.querySelector('[name=rule]:checked').value";
    page.until(&format!("{rule} === 'priority'"), SOON, rule)?;
    page.value("document.getElementById('apply').focus()")?;
    page.press(" ", 32)?;
    page.until(
        &format!("{ANSWER} === 'Chosen: policy=priority'"),
        SOON,
        ANSWER,
    )
}
