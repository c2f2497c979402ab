//! `/api/stats`: everything in one JSON object (RFC 8259). What nobody tells is `null`.

use alloc::format;
use alloc::string::String;

use abi::captype::CapType;
use cbuf_policy::Policy;

use crate::figures::{Buffers, Component, Edge, Figures, Forecast, Memory, Pool};
use crate::latency::BOUNDS_US;
use crate::served::{Served, Which};

pub const PAGE_BYTES: u64 = 4096;

/// The whole text, a newline behind it.
pub fn write(figures: &Figures, served: &Served) -> String {
    let mut text = String::with_capacity(8 << 10);
    let mut top = Object::open(&mut text);
    top.field("page_bytes", PAGE_BYTES);
    top.field("uptime_us", figures.uptime_us);
    policy(&mut top, figures);
    top.object("memory", |o| memory(o, &figures.memory));
    top.object("kernel", |o| {
        for (name, value) in figures.kernel.each() {
            o.option(name, value);
        }
    });
    match &figures.capabilities {
        None => top.field("capabilities", Null),
        Some(counts) => top.object("capabilities", |o| capabilities(o, counts)),
    }
    top.array("components", &figures.components, component);
    top.array("edges", &figures.edges, edge);
    top.object("http", |o| http(o, served));
    top.close();
    text.push('\n');
    text
}

fn policy(top: &mut Object<'_>, figures: &Figures) {
    top.list("policies", Policy::ALL.iter().map(|p| Quoted(p.name())));
    match &figures.choice {
        None => top.field("policy", Null),
        Some(choice) => top.object("policy", |o| {
            o.field("name", Quoted(choice.policy.name()));
            o.option("limit", choice.limit);
        }),
    }
}

fn memory(o: &mut Object<'_>, memory: &Memory) {
    o.option("total", memory.total);
    o.option("free", memory.free);
    match &memory.buffers {
        None => o.field("buffers", Null),
        Some(buffers) => o.object("buffers", |o| {
            for (name, value) in each(buffers) {
                o.field(name, value);
            }
        }),
    }
    match &memory.lock {
        None => o.field("lock", Null),
        Some(lock) => o.object("lock", |o| {
            o.field("taken", lock.taken);
            o.field("waits", lock.waits);
            o.field("waited_us", lock.waited_us);
        }),
    }
}

fn each(buffers: &Buffers) -> [(&'static str, u64); 6] {
    [
        ("total", buffers.total),
        ("free", buffers.free),
        ("held", buffers.held),
        ("unpaid", buffers.unpaid),
        ("unused", buffers.unused),
        ("most", buffers.most),
    ]
}

fn capabilities(o: &mut Object<'_>, counts: &[u64; CapType::ALL.len()]) {
    let total: u64 = counts.iter().fold(0, |sum, n| sum.saturating_add(*n));
    o.field("total", total);
    o.object("types", |o| {
        for (ty, count) in CapType::ALL.iter().zip(counts) {
            if *ty != CapType::Null {
                o.field(&format!("{ty:?}"), *count);
            }
        }
    });
}

fn component(o: &mut Object<'_>, component: &Component) {
    o.field("id", u64::from(component.id));
    o.field("name", Quoted(component.name));
    o.field("state", Quoted(component.state.name()));
    o.field("faults", component.faults);
    o.field("restarts", component.restarts);
    let given = component.given;
    o.option("static", given.map(|g| g.fixed));
    o.option("owned", given.map(|g| g.owned));
    o.option("text", given.map(|g| g.text));
    match &component.pool {
        None => o.field("pool", Null),
        Some(of) => o.object("pool", |o| pool(o, of)),
    }
}

fn pool(o: &mut Object<'_>, pool: &Pool) {
    o.field("limit", pool.limit);
    o.field("held", pool.held);
    o.field("charged", pool.charged);
    o.field("lent", pool.lent);
    o.field("allocations", pool.allocations);
    o.field("waiting", pool.waiting);
    o.field("collections", pool.collections);
    o.field("collected", pool.collected);
    o.field("blocked_us", pool.blocked_us);
    o.field("collecting_us", pool.collecting_us);
    let of = |f: fn(&Forecast) -> u64| pool.forecast.as_ref().map(f);
    o.option("wants", of(|f| f.wants));
    o.option("needs", of(|f| f.needs));
    o.option("least", of(|f| f.least));
    o.option("target_ppm", pool.forecast.and_then(|f| f.target));
}

fn edge(o: &mut Object<'_>, edge: &Edge) {
    o.field("from", u64::from(edge.caller));
    o.field("to", u64::from(edge.callee));
    o.field("calls", edge.calls);
}

fn http(o: &mut Object<'_>, served: &Served) {
    let of = |which| served.get(which);
    o.option("requests", of(Which::Requests));
    o.object("responses", |o| {
        o.option("1xx", of(Which::Responses1xx));
        o.option("2xx", of(Which::Responses2xx));
        o.option("3xx", of(Which::Responses3xx));
        o.option("4xx", of(Which::Responses4xx));
        o.option("5xx", of(Which::Responses5xx));
    });
    o.object("connections", |o| {
        o.option("accepted", of(Which::Accepted));
        o.option("open", of(Which::Open));
        o.option("timed_out", of(Which::TimedOut));
        o.option("aborted", of(Which::Aborted));
    });
    o.option("joined_bytes", of(Which::Joined));
    o.option("rounds", of(Which::Rounds));
    o.object("net", |o| {
        o.option("copied_bytes", of(Which::NetCopied));
        o.option("frames_received", of(Which::FramesReceived));
        o.option("frames_sent", of(Which::FramesSent));
        o.option("sockets", of(Which::Sockets));
    });
    o.object("latency", |o| {
        o.list("bounds_us", BOUNDS_US);
        o.list("counts", served.buckets);
        o.option("sum_ns", of(Which::LatencySumNs));
    });
}

/// What a field can be. Written by hand: the standard formatting costs several times as much, and
/// this text is written while others are measured.
trait Value {
    fn put(self, text: &mut String);
}

impl Value for u64 {
    fn put(mut self, text: &mut String) {
        let mut digits = [0; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (self % 10) as u8;
            self /= 10;
            if self == 0 {
                break;
            }
        }
        // Digits are text.
        text.push_str(core::str::from_utf8(&digits[at..]).unwrap_or("0"));
    }
}

/// A text in quotes. What JSON would have escaped becomes a question mark: names have none of it.
struct Quoted<'a>(&'a str);

impl Value for Quoted<'_> {
    fn put(self, text: &mut String) {
        let bad = |c: char| c.is_control() || matches!(c, '"' | '\\');
        text.push('"');
        for (n, part) in self.0.split(bad).enumerate() {
            if n > 0 {
                text.push('?');
            }
            text.push_str(part);
        }
        text.push('"');
    }
}

struct Null;

impl Value for Null {
    fn put(self, text: &mut String) {
        text.push_str("null");
    }
}

/// An object being written; the names of its fields need no escapes.
struct Object<'t> {
    text: &'t mut String,
    first: bool,
}

impl<'t> Object<'t> {
    fn open(text: &'t mut String) -> Self {
        text.push('{');
        Self { text, first: true }
    }

    fn close(self) {
        self.text.push('}');
    }

    fn name(&mut self, name: &str) {
        let first = core::mem::take(&mut self.first);
        self.text.push_str(if first { "\"" } else { ",\"" });
        self.text.push_str(name);
        self.text.push_str("\":");
    }

    fn field(&mut self, name: &str, value: impl Value) {
        self.name(name);
        value.put(self.text);
    }

    fn option(&mut self, name: &str, value: Option<u64>) {
        match value {
            Some(value) => self.field(name, value),
            None => self.field(name, Null),
        }
    }

    fn object(&mut self, name: &str, fill: impl FnOnce(&mut Object<'_>)) {
        self.name(name);
        let mut inner = Object::open(self.text);
        fill(&mut inner);
        inner.close();
    }

    fn list(&mut self, name: &str, values: impl IntoIterator<Item = impl Value>) {
        self.name(name);
        self.text.push('[');
        for (n, value) in values.into_iter().enumerate() {
            if n > 0 {
                self.text.push(',');
            }
            value.put(self.text);
        }
        self.text.push(']');
    }

    fn array<T>(&mut self, name: &str, items: &[T], fill: impl Fn(&mut Object<'_>, &T)) {
        self.name(name);
        self.text.push('[');
        for (n, item) in items.iter().enumerate() {
            if n > 0 {
                self.text.push(',');
            }
            let mut inner = Object::open(self.text);
            fill(&mut inner, item);
            inner.close();
        }
        self.text.push(']');
    }
}
