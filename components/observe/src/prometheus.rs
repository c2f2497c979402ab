//! `/metrics`: the Prometheus text format, version 0.0.4. Base units: seconds, and pages where
//! pages are what is shared.

use alloc::string::String;
use core::fmt::{Display, Write};

use abi::captype::CapType;

use crate::figures::{Component, Figures, Lock, Pool, State};
use crate::latency::BOUNDS_US;
use crate::served::{Served, Which};

/// The whole text.
pub fn write(figures: &Figures, served: &Served) -> String {
    let mut out = Out(String::with_capacity(24 << 10));
    let up = Micros(figures.uptime_us);
    out.one(
        "cistern_uptime_seconds",
        "gauge",
        "Time since boot.",
        Some(up),
    );
    policy(&mut out, figures);
    components(&mut out, figures);
    pools(&mut out, figures);
    invocations(&mut out, figures);
    kernel(&mut out, figures);
    memory(&mut out, figures);
    http(&mut out, served);
    latency(&mut out, served);
    out.0
}

fn policy(out: &mut Out, figures: &Figures) {
    let Some(choice) = figures.choice else { return };
    let name = "cistern_policy_info";
    out.family(name, "gauge", "The policy that shares the pools' memory.");
    out.line(name, &[("policy", &choice.policy)], 1);
    let limit = "cistern_policy_limit_pages";
    let help = "Pages for all pools together; absent where there is no limit.";
    out.one(limit, "gauge", help, choice.limit);
}

/// A family with one line for each component that has the figure.
fn each<T: Display>(
    out: &mut Out,
    (name, kind, help): Family,
    figures: &Figures,
    value: impl Fn(&Component) -> Option<T>,
) {
    out.family(name, kind, help);
    for component in &figures.components {
        if let Some(value) = value(component) {
            out.line(name, &[("component", &component.name)], value);
        }
    }
}

/// Name, type and help of a family.
type Family = (&'static str, &'static str, &'static str);
/// A family, and where its values are.
type Figure<T> = (Family, fn(&T) -> u64);

const COMPONENT_FAMILIES: [Figure<Component>; 3] = [
    (
        (
            "cistern_component_up",
            "gauge",
            "1 for a component that runs.",
        ),
        |c| u64::from(matches!(c.state, State::Running | State::Unknown)),
    ),
    (
        (
            "cistern_component_faults_total",
            "counter",
            "Faults that ended the component.",
        ),
        |c| c.faults,
    ),
    (
        (
            "cistern_component_restarts_total",
            "counter",
            "Times that the component was started anew.",
        ),
        |c| c.restarts,
    ),
];

fn components(out: &mut Out, figures: &Figures) {
    for (family, value) in COMPONENT_FAMILIES {
        each(out, family, figures, |c| Some(value(c)));
    }
    let name = "cistern_component_memory_pages";
    let help = "Pages of a component outside of its pool: static is data and stacks, owned is heap, text lies in the boot archive.";
    out.family(name, "gauge", help);
    for component in &figures.components {
        let Some(given) = component.given else {
            continue;
        };
        let kinds = [
            ("static", given.fixed),
            ("owned", given.owned),
            ("text", given.text),
        ];
        for (kind, value) in kinds {
            let labels: [(&str, &dyn Display); 2] =
                [("component", &component.name), ("kind", &kind)];
            out.line(name, &labels, value);
        }
    }
}

const POOL_FAMILIES: [Figure<Pool>; 8] = [
    (
        (
            "cistern_pool_limit_pages",
            "gauge",
            "Pages that the policy allows the pool.",
        ),
        |p| p.limit,
    ),
    (
        (
            "cistern_pool_held_pages",
            "gauge",
            "Pages that the pool pays for.",
        ),
        |p| p.held,
    ),
    (
        (
            "cistern_pool_charged_pages",
            "gauge",
            "Pages of others' buffers that the pool pays for.",
        ),
        |p| p.charged,
    ),
    (
        (
            "cistern_pool_lent_pages",
            "gauge",
            "Pages of the pool's own buffers that others pay for.",
        ),
        |p| p.lent,
    ),
    (
        (
            "cistern_pool_threads_blocked",
            "gauge",
            "Threads that wait for the pool's memory now.",
        ),
        |p| p.waiting,
    ),
    (
        (
            "cistern_pool_allocations_total",
            "counter",
            "Allocations that called the CBUF manager.",
        ),
        |p| p.allocations,
    ),
    (
        (
            "cistern_pool_collections_total",
            "counter",
            "Looks for garbage in the pool.",
        ),
        |p| p.collections,
    ),
    (
        (
            "cistern_pool_collected_buffers_total",
            "counter",
            "Buffers that collections brought back.",
        ),
        |p| p.collected,
    ),
];

fn pools(out: &mut Out, figures: &Figures) {
    for (family, value) in POOL_FAMILIES {
        each(out, family, figures, |c| c.pool.as_ref().map(value));
    }
    let blocked = (
        "cistern_pool_blocked_seconds_total",
        "counter",
        "Time that threads waited for the pool's memory.",
    );
    let seconds = |us| Some(Micros(us));
    each(out, blocked, figures, |c| seconds(c.pool?.blocked_us));
    let collecting = (
        "cistern_pool_collecting_seconds_total",
        "counter",
        "Time that threads looked for garbage in the pool.",
    );
    each(out, collecting, figures, |c| seconds(c.pool?.collecting_us));
    let wants = (
        "cistern_pool_wanted_pages",
        "gauge",
        "The size at which the pool is predicted to lose little time.",
    );
    each(out, wants, figures, |c| Some(c.pool?.forecast?.wants));
    let target = (
        "cistern_pool_target_ratio",
        "gauge",
        "The share of time that the component's application may lose.",
    );
    each(out, target, figures, |c| {
        c.pool?.forecast?.target.map(Micros)
    });
}

fn invocations(out: &mut Out, figures: &Figures) {
    let name = "cistern_invocations_total";
    out.family(
        name,
        "counter",
        "Invocations along the edges of the component graph.",
    );
    let named = |id: u16| {
        let mut all = figures.components.iter();
        all.find(|c| c.id == id).map_or("?", |c| c.name)
    };
    for edge in &figures.edges {
        let (caller, callee) = (named(edge.caller), named(edge.callee));
        let labels: [(&str, &dyn Display); 2] = [("caller", &caller), ("callee", &callee)];
        out.line(name, &labels, edge.calls);
    }
}

fn kernel(out: &mut Out, figures: &Figures) {
    for (what, value) in figures.kernel.each() {
        let mut name = String::from("cistern_kernel_");
        name.push_str(what);
        name.push_str("_total");
        out.one(&name, "counter", "Counted by the kernel.", value);
    }
    let Some(counts) = &figures.capabilities else {
        return;
    };
    let name = "cistern_capabilities";
    out.family(name, "gauge", "Capabilities in the mapping database.");
    for (ty, count) in CapType::ALL.iter().zip(counts) {
        if *ty != CapType::Null {
            out.line(name, &[("type", &format_args!("{ty:?}"))], count);
        }
    }
}

fn memory(out: &mut Out, figures: &Figures) {
    let memory = &figures.memory;
    let one = |out: &mut Out, name, help, value: Option<u64>| out.one(name, "gauge", help, value);
    one(
        out,
        "cistern_memory_pages",
        "Pages of all memory.",
        memory.total,
    );
    one(
        out,
        "cistern_memory_free_pages",
        "Pages that nobody was given.",
        memory.free,
    );
    let Some(buffers) = &memory.buffers else {
        return;
    };
    one(
        out,
        "cistern_buffer_pages",
        "Pages that the CBUF manager has.",
        Some(buffers.total),
    );
    one(
        out,
        "cistern_buffer_free_pages",
        "Pages of it in no pool's size.",
        Some(buffers.free),
    );
    one(
        out,
        "cistern_buffer_held_pages",
        "Pages of it that components pay for.",
        Some(buffers.held),
    );
    one(
        out,
        "cistern_buffer_high_water_pages",
        "The most pages that were ever in buffers at once.",
        Some(buffers.most),
    );
    if let Some(figures) = &memory.lock {
        lock(out, figures);
    }
}

/// Of the CBUF manager's lock.
fn lock(out: &mut Out, lock: &Lock) {
    out.one(
        "cistern_buffer_lock_taken_total",
        "counter",
        "How often the CBUF manager's lock was taken.",
        Some(lock.taken),
    );
    out.one(
        "cistern_buffer_lock_waits_total",
        "counter",
        "Of these, while another thread had it.",
        Some(lock.waits),
    );
    out.one(
        "cistern_buffer_lock_waited_seconds_total",
        "counter",
        "Time that threads waited for it.",
        Some(Micros(lock.waited_us)),
    );
}

const HTTP: [(&str, &str, &str, Which); 11] = [
    (
        "cistern_http_requests_total",
        "counter",
        "Requests that were understood or refused.",
        Which::Requests,
    ),
    (
        "cistern_http_connections_total",
        "counter",
        "Connections that were accepted.",
        Which::Accepted,
    ),
    (
        "cistern_http_connections_open",
        "gauge",
        "Connections now.",
        Which::Open,
    ),
    (
        "cistern_http_timeouts_total",
        "counter",
        "Connections that were too slow or idle for too long.",
        Which::TimedOut,
    ),
    (
        "cistern_http_aborts_total",
        "counter",
        "Connections that were reset.",
        Which::Aborted,
    ),
    (
        "cistern_http_joined_bytes_total",
        "counter",
        "Bytes of requests that came in pieces.",
        Which::Joined,
    ),
    (
        "cistern_http_rounds_total",
        "counter",
        "Rounds of the server's event loop.",
        Which::Rounds,
    ),
    (
        "cistern_net_copied_bytes_total",
        "counter",
        "Payload bytes that the network stack copied.",
        Which::NetCopied,
    ),
    (
        "cistern_net_frames_received_total",
        "counter",
        "Frames from the network card.",
        Which::FramesReceived,
    ),
    (
        "cistern_net_frames_sent_total",
        "counter",
        "Frames to the network card.",
        Which::FramesSent,
    ),
    (
        "cistern_net_sockets",
        "gauge",
        "Sockets in use.",
        Which::Sockets,
    ),
];

fn http(out: &mut Out, served: &Served) {
    for (name, kind, help, which) in HTTP {
        out.one(name, kind, help, served.get(which));
    }
    let name = "cistern_http_responses_total";
    out.family(name, "counter", "Answers by the class of their status.");
    for (class, which) in [
        ("1xx", Which::Responses1xx),
        ("2xx", Which::Responses2xx),
        ("3xx", Which::Responses3xx),
        ("4xx", Which::Responses4xx),
        ("5xx", Which::Responses5xx),
    ] {
        if let Some(value) = served.get(which) {
            out.line(name, &[("class", &class)], value);
        }
    }
}

fn latency(out: &mut Out, served: &Served) {
    let name = "cistern_http_request_duration_seconds";
    let help = "From a request's last byte to its answer's last byte in the send queue.";
    out.family(name, "histogram", help);
    let mut sum = 0u64;
    let bounds = BOUNDS_US.iter().map(|us| Some(Micros(*us)));
    for (bound, count) in bounds.chain([None]).zip(served.buckets) {
        sum = sum.saturating_add(count);
        match bound {
            Some(bound) => out.line_of(name, "_bucket", &[("le", &bound)], sum),
            None => out.line_of(name, "_bucket", &[("le", &"+Inf")], sum),
        }
    }
    let ns = served.get(Which::LatencySumNs).unwrap_or(0);
    out.line_of(name, "_sum", &[], Nanos(ns));
    out.line_of(name, "_count", &[], sum);
}

/// Millionths, as a decimal number.
struct Micros(u64);

impl Display for Micros {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

struct Nanos(u64);

impl Display for Nanos {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let billion = 1_000_000_000;
        write!(f, "{}.{:09}", self.0 / billion, self.0 % billion)
    }
}

/// The text being written. A `String` takes everything, so nothing is said where it is written to.
struct Out(String);

impl Out {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// A family of one line; nothing at all where there is no value.
    fn one(&mut self, name: &str, kind: &str, help: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.family(name, kind, help);
            self.line(name, &[], value);
        }
    }

    fn line(&mut self, name: &str, labels: &[(&str, &dyn Display)], value: impl Display) {
        self.line_of(name, "", labels, value);
    }

    fn line_of(
        &mut self,
        name: &str,
        part: &str,
        labels: &[(&str, &dyn Display)],
        value: impl Display,
    ) {
        self.0.push_str(name);
        self.0.push_str(part);
        for (n, (label, is)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{label}=\"", if n == 0 { "{" } else { "," });
            let _ = write!(Escaped(&mut self.0), "{is}");
            self.0.push('"');
        }
        let _ = writeln!(
            self.0,
            "{} {value}",
            if labels.is_empty() { "" } else { "}" }
        );
    }
}

/// A label's value, with the three escapes that the format has.
struct Escaped<'t>(&'t mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for c in text.chars() {
            match c {
                '\\' => self.0.push_str("\\\\"),
                '"' => self.0.push_str("\\\""),
                '\n' => self.0.push_str("\\n"),
                c => self.0.push(c),
            }
        }
        Ok(())
    }
}
