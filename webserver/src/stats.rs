//! What `/stats` tells.

use observe::served::Which;

use crate::platform::Machine;
use crate::response::Out;

/// Most bytes that [`Counters::write`] writes.
pub const STATS_BYTES: usize = 1536;

/// The server's own counters, since it started.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    pub requests: u64,
    /// Answers by the first digit of their status, 1 to 5.
    pub responses: [u64; 5],
    pub accepted: u64,
    pub open: u64,
    /// Closed because the client was too slow or idle for too long.
    pub timed_out: u64,
    pub aborted: u64,
    /// Bytes of requests that came in pieces and were put together.
    pub copied_bytes: u64,
    /// Rounds of the event loop.
    pub rounds: u64,
}

impl Counters {
    /// The same as figures for the observer.
    pub fn figures(&self) -> [(u32, u64); 12] {
        let [r1, r2, r3, r4, r5] = self.responses;
        [
            (Which::Requests, self.requests),
            (Which::Responses1xx, r1),
            (Which::Responses2xx, r2),
            (Which::Responses3xx, r3),
            (Which::Responses4xx, r4),
            (Which::Responses5xx, r5),
            (Which::Accepted, self.accepted),
            (Which::Open, self.open),
            (Which::TimedOut, self.timed_out),
            (Which::Aborted, self.aborted),
            (Which::Joined, self.copied_bytes),
            (Which::Rounds, self.rounds),
        ]
        .map(|(which, value)| (which as u32, value))
    }

    /// One JSON object. What nobody tells is `null`.
    pub fn write(&self, out: &mut Out<'_>, machine: &Machine, uptime_ms: u64) {
        let mut object = Object { out, first: true };
        object.open();
        object.field("uptime_seconds", Some(uptime_ms / 1000));
        object.field("uptime_ms", Some(uptime_ms));
        object.field("requests", Some(self.requests));
        object.inner("responses", |o| {
            for (name, count) in ["1xx", "2xx", "3xx", "4xx", "5xx"]
                .iter()
                .zip(self.responses)
            {
                o.field(name, Some(count));
            }
        });
        object.inner("connections", |o| {
            o.field("accepted", Some(self.accepted));
            o.field("open", Some(self.open));
            o.field("timed_out", Some(self.timed_out));
            o.field("aborted", Some(self.aborted));
        });
        object.field("rounds", Some(self.rounds));
        object.field("space_switches", machine.space_switches);
        object.field("invocations", machine.invocations);
        object.field("capabilities", machine.capabilities);
        let net = |at: usize| machine.net.map(|n| n[at]);
        object.field(
            "copied_bytes",
            Some(net(0).unwrap_or(0) + self.copied_bytes),
        );
        object.inner("net", |o| {
            o.field("copied_bytes", net(0));
            o.field("frames_received", net(1));
            o.field("frames_sent", net(2));
            o.field("sockets", net(3));
        });
        object.inner("cbuf_pages", |o| {
            for (at, name) in ["free", "total", "live", "pooled"].iter().enumerate() {
                o.field(name, machine.cbuf_pages.map(|p| p[at]));
            }
        });
        object.field("free_pages", machine.free_pages);
        object.close();
        out.put(b"\n");
    }
}

/// An object being written; names need no escapes.
struct Object<'o, 'r> {
    out: &'o mut Out<'r>,
    first: bool,
}

impl Object<'_, '_> {
    fn open(&mut self) {
        self.out.put(b"{");
    }
    fn close(&mut self) {
        self.out.put(b"}");
    }
    fn name(&mut self, name: &str) {
        if !core::mem::replace(&mut self.first, false) {
            self.out.put(b",");
        }
        self.out.put(b"\"");
        self.out.put(name.as_bytes());
        self.out.put(b"\":");
    }
    fn field(&mut self, name: &str, value: Option<u64>) {
        self.name(name);
        match value {
            Some(value) => self.out.number(value),
            None => self.out.put(b"null"),
        }
    }
    fn inner(&mut self, name: &str, fill: impl FnOnce(&mut Object<'_, '_>)) {
        self.name(name);
        let mut inner = Object {
            out: self.out,
            first: true,
        };
        inner.open();
        fill(&mut inner);
        inner.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_json_and_fits() {
        let most = u64::MAX / 2;
        let counters = Counters {
            requests: u64::MAX,
            responses: [u64::MAX; 5],
            accepted: u64::MAX,
            open: u64::MAX,
            timed_out: u64::MAX,
            aborted: u64::MAX,
            copied_bytes: most,
            rounds: u64::MAX,
        };
        let machine = Machine {
            space_switches: Some(u64::MAX),
            invocations: Some(u64::MAX),
            capabilities: Some(u64::MAX),
            net: Some([most; 4]),
            cbuf_pages: Some([u64::MAX; 4]),
            free_pages: Some(u64::MAX),
        };
        let mut room = [0; STATS_BYTES];
        let mut out = Out::new(&mut room);
        counters.write(&mut out, &machine, u64::MAX);
        let written = out.written();
        assert!(room[..written].ends_with(b"}\n") && written < STATS_BYTES);

        let mut out = Out::new(&mut room);
        Counters::default().write(&mut out, &Machine::default(), 1500);
        let written = out.written();
        assert_eq!(
            core::str::from_utf8(&room[..written]).unwrap(),
            "{\"uptime_seconds\":1,\"uptime_ms\":1500,\"requests\":0,\
             \"responses\":{\"1xx\":0,\"2xx\":0,\"3xx\":0,\"4xx\":0,\"5xx\":0},\
             \"connections\":{\"accepted\":0,\"open\":0,\"timed_out\":0,\"aborted\":0},\
             \"rounds\":0,\"space_switches\":null,\"invocations\":null,\"capabilities\":null,\
             \"copied_bytes\":0,\"net\":{\"copied_bytes\":null,\"frames_received\":null,\
             \"frames_sent\":null,\"sockets\":null},\"cbuf_pages\":{\"free\":null,\
             \"total\":null,\"live\":null,\"pooled\":null},\"free_pages\":null}\n"
        );
    }
}
