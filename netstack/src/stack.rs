//! The engine: frames in, frames out, time. Pure; time is an argument and pages come from a
//! [`Pool`].
//!
//! An acknowledgement is not sent while the bytes it acknowledges wait for the application:
//! [`Stack::settle`] leaves such a connection alone, and the next [`Stack::flush`], which comes
//! with the application's answer, sends both in one segment.

use crate::address::{Addressing, Fixed, PATIENCE};
use crate::connection::{App, Connection, Phase, pending};
use crate::deadlines::{Deadlines, Micros, NEVER};
use crate::flows::Flows;
use crate::frame::{Flow, Kind, Station, classify, intact, sequence};
use crate::offload::Offers;
use crate::outgoing::Outgoing;
use crate::pack::{Pack, Pool};
use crate::sockets::{Listener, Owner};
use crate::wire::{NoWire, Wire};
use alloc::vec::Vec;
use core::ops::{Deref, DerefMut};
use smoltcp::iface::{Config, Interface, PollResult, SocketHandle, SocketSet};
use smoltcp::socket::{dhcpv4, tcp};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, HardwareAddress};

/// Frames in one batch for the driver.
pub const TX_BATCH: usize = 128;
/// Received runs in one batch for an application.
pub const RX_RUNS: usize = 128;
/// Frames that one connection may send before others have their turn.
const BURST: usize = 32;
/// A handshake may take this long.
pub(crate) const HANDSHAKE: Micros = 10_000_000;
/// A connection that the application has closed may stand still this long.
pub(crate) const CLOSING: Micros = 20_000_000;
/// When smoltcp wants to send at once and does not: look again after this.
pub(crate) const RETRY: Micros = 10_000;

#[derive(Clone, Copy, Default, Debug)]
pub struct Counters {
    /// Payload bytes copied, each of the four copies counted.
    pub copied: u64,
    pub received: u64,
    pub sent: u64,
    /// Frames for nobody here.
    pub ignored: u64,
    /// Segments and datagrams with a wrong checksum.
    pub damaged: u64,
    /// SYNs dropped because no socket was free.
    pub refused: u64,
}

pub struct Stack<P, D> {
    pub(crate) interface: Interface,
    pub(crate) station: Station,
    pub(crate) addressing: Addressing,
    pub(crate) fixed: Option<Fixed>,
    pub(crate) dhcp_until: Micros,
    pub(crate) local: SocketSet<'static>,
    pub(crate) dhcp: Option<SocketHandle>,
    pub(crate) local_at: Micros,
    /// When to look for sockets for SYNs that wait.
    pub(crate) admit_at: Micros,
    /// Owns no socket: what it is polled with is answered by a reset.
    nobody: SocketSet<'static>,
    neighbours_changed: bool,
    pub(crate) connections: Vec<Connection<D>>,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) owners: Vec<Owner>,
    pub(crate) flows: Flows,
    pub(crate) deadlines: Deadlines,
    dirty: Vec<u16>,
    turn: Vec<u16>,
    more: bool,
    /// Frames to send.
    pub outgoing: Outgoing<P>,
    /// Payload for the application, filled by `collect`.
    pub inbox: Pack<P>,
    pub counters: Counters,
}

impl<P: DerefMut<Target = [u8]>, D: Deref<Target = [u8]>> Stack<P, D> {
    /// `mac` has to be a station's own address; otherwise it is made one.
    pub fn new(
        mut mac: [u8; 6],
        offers: Offers,
        addressing: Addressing,
        seed: u64,
        now: Micros,
    ) -> Self {
        if mac[0] & 1 != 0 || mac == [0; 6] {
            mac = [2, 0, 0, 0, 0, 1];
        }
        let mut config = Config::new(HardwareAddress::Ethernet(EthernetAddress(mac)));
        config.random_seed = seed;
        let outgoing = Outgoing::new(TX_BATCH, offers);
        let mut wire = NoWire(outgoing.offers);
        let interface = Interface::new(config, &mut wire, Instant::from_micros(now));
        let mut local = SocketSet::new(Vec::new());
        let dhcp = addressing.dhcp.then(|| local.add(dhcpv4::Socket::new()));
        let mut stack = Stack {
            interface,
            station: Station {
                mac,
                ip: None,
                dhcp: addressing.dhcp,
            },
            addressing,
            fixed: None,
            dhcp_until: now + PATIENCE,
            local,
            dhcp,
            local_at: now,
            admit_at: NEVER,
            nobody: SocketSet::new(Vec::new()),
            neighbours_changed: false,
            connections: Vec::new(),
            listeners: Vec::new(),
            owners: Vec::new(),
            flows: Flows::new(seed.rotate_left(29)),
            deadlines: Deadlines::default(),
            dirty: Vec::new(),
            turn: Vec::new(),
            more: false,
            outgoing,
            inbox: Pack::new(RX_RUNS),
            counters: Counters::default(),
        };
        if !addressing.dhcp {
            stack.local_at = NEVER;
            stack.set_address(Some(addressing.fixed));
        }
        stack
    }

    /// Address, prefix length and gateway; `None` while there is none.
    pub fn address(&self) -> Option<Fixed> {
        self.fixed
    }

    /// Connections in use.
    pub fn in_use(&self) -> usize {
        self.flows.len()
    }

    /// One frame from the driver. `verified`: its checksum needs no look.
    pub fn ingest(
        &mut self,
        frame: &[u8],
        verified: bool,
        now: Micros,
        pool: &mut impl Pool<Page = P>,
    ) {
        self.counters.received += 1;
        let kind = classify(frame, &self.station);
        if kind != Kind::Ignore && !verified && !intact(frame) {
            self.counters.damaged += 1;
            return;
        }
        match kind {
            Kind::Tcp {
                flow,
                opens,
                resets,
            } => self.segment(flow, opens, resets, frame, now, pool),
            Kind::Local => {
                self.neighbours_changed |= frame[12..14] == [8, 6];
                poll_one(
                    &mut self.interface,
                    &mut self.local,
                    &mut self.outgoing,
                    &mut self.counters,
                    frame,
                    now,
                    pool,
                );
                if self.station.dhcp {
                    self.local_at = now;
                }
            }
            Kind::Ignore => self.counters.ignored += 1,
        }
    }

    fn segment(
        &mut self,
        flow: Flow,
        opens: bool,
        resets: bool,
        frame: &[u8],
        now: Micros,
        pool: &mut impl Pool<Page = P>,
    ) {
        let mut known = self.flows.find(flow);
        if let Some(c) = known
            && opens
            && self.give_way(c, sequence(frame))
        {
            known = None;
        }
        let listener = self
            .listeners
            .iter()
            .position(|l| opens && l.port == flow.local_port);
        let c = match (known, listener) {
            (Some(c), _) => c,
            (None, Some(l)) => {
                // Behind those that wait already, or they would wait for ever.
                if now >= self.admit_at {
                    self.admit(now, pool);
                    if self.flows.find(flow).is_some() {
                        return;
                    }
                }
                let first = self.listeners[l].backlog.next(now).is_none();
                match first.then(|| self.claim(l, now)).flatten() {
                    Some(c) => c,
                    None => {
                        let kept = self.listeners[l].backlog.keep(flow, frame, now);
                        self.counters.refused += u64::from(!kept);
                        self.admit_at = self.admit_at.min(now + RETRY);
                        return;
                    }
                }
            }
            (None, None) => {
                if !resets {
                    poll_one(
                        &mut self.interface,
                        &mut self.nobody,
                        &mut self.outgoing,
                        &mut self.counters,
                        frame,
                        now,
                        pool,
                    );
                }
                return;
            }
        };
        self.deliver(c, flow, frame, now, pool);
    }

    /// Shows a connection a segment of its own.
    pub(crate) fn deliver(
        &mut self,
        c: usize,
        flow: Flow,
        frame: &[u8],
        now: Micros,
        pool: &mut impl Pool<Page = P>,
    ) {
        let connection = &mut self.connections[c];
        let held = connection.peek().recv_queue();
        let queued = connection.peek().send_queue();
        poll_one(
            &mut self.interface,
            &mut connection.set,
            &mut self.outgoing,
            &mut self.counters,
            frame,
            now,
            pool,
        );
        self.counters.copied += connection.peek().recv_queue().saturating_sub(held) as u64;
        let acknowledged = queued.saturating_sub(connection.peek().send_queue());
        connection.flying = connection.flying.saturating_sub(acknowledged);
        if connection.app == App::Done && acknowledged > 0 {
            connection.patience = now + CLOSING;
        }
        if connection.flow.is_none() {
            let opening = connection.peek().state() == tcp::State::SynReceived;
            if !opening || !self.flows.insert(flow, c) {
                // The SYN was not one after all (a bad checksum, say).
                self.release(c);
                return;
            }
            connection.flow = Some(flow);
            connection.syn = sequence(frame);
        }
        if connection.pending & pending::SENT != 0 && connection.peek().send_queue() == 0 {
            // All of it is acknowledged: whoever waits for that has waited long enough.
            self.tell(c, pending::SENT, true);
        }
        self.touch(c);
        self.review(c);
    }

    /// Notes that a connection may have something to send.
    pub(crate) fn touch(&mut self, c: usize) {
        if !self.connections[c].dirty {
            self.connections[c].dirty = true;
            self.dirty.push(c as u16);
        }
    }

    /// Turns the socket's state into events.
    pub(crate) fn review(&mut self, c: usize) {
        let connection = &mut self.connections[c];
        if connection.app == App::Done {
            // Nobody reads any more; what comes makes room for the peer's end.
            while let Ok(1..) = connection.socket().recv(|bytes| (bytes.len(), bytes.len())) {}
        }
        let socket = connection.peek();
        let state = socket.state();
        let readable = socket.recv_queue() > 0;
        match state {
            tcp::State::Listen => return self.end(c),
            tcp::State::Closed if socket.remote_endpoint().is_none() => {
                if matches!(connection.phase, Phase::Opening | Phase::Open) {
                    self.end(c);
                } else if connection.phase == Phase::TimeWait {
                    self.leave_time_wait(c);
                }
                return;
            }
            tcp::State::Closed | tcp::State::SynReceived => return,
            _ => {}
        }
        if connection.phase == Phase::Opening {
            connection.phase = Phase::Open;
            connection.patience = NEVER;
            connection.app = App::Offered;
            if connection.pending & pending::GONE != 0 {
                connection.pending = pending::GONE_BEFORE;
            }
            self.tell(c, pending::ACCEPTED, true);
        }
        let connection = &self.connections[c];
        if !matches!(connection.app, App::Offered | App::Live) {
            return;
        }
        if readable && connection.untaken < crate::connection::RECEIVE_RING {
            self.tell(c, pending::RECEIVED, true);
        }
        let connection = &mut self.connections[c];
        if state == tcp::State::CloseWait && !readable && !connection.peer_closed {
            connection.peer_closed = true;
            self.tell(c, pending::PEER_CLOSED, true);
        }
    }

    /// Lists an event for the owner. One that is not urgent does not end a wait by itself.
    pub(crate) fn tell(&mut self, c: usize, event: u8, urgent: bool) {
        let connection = &mut self.connections[c];
        connection.pending |= event;
        let owner = &mut self.owners[self.listeners[connection.listener].owner];
        owner.urgent |= urgent;
        if !connection.listed {
            connection.listed = true;
            owner.ready.push(c as u16);
        }
    }

    /// Sends what can be sent, except for connections whose bytes the application is about to
    /// read: their acknowledgement rides on its answer.
    pub fn settle(&mut self, now: Micros, pool: &mut impl Pool<Page = P>) {
        if self.neighbours_changed {
            self.neighbours_changed = false;
            for c in 0..self.connections.len() {
                if self.connections[c].flow.is_some() {
                    self.touch(c);
                }
            }
        }
        self.send(now, pool, true);
    }

    /// Sends everything that can be sent. With no page left, what remains waits for the next
    /// call.
    pub fn flush(&mut self, now: Micros, pool: &mut impl Pool<Page = P>) {
        self.send(now, pool, false);
    }

    fn send(&mut self, now: Micros, pool: &mut impl Pool<Page = P>, hold: bool) {
        let mut turn = core::mem::take(&mut self.turn);
        core::mem::swap(&mut turn, &mut self.dirty);
        // Before anything else: it was counted as sent in an earlier turn.
        let before = self.outgoing.len();
        let mut starved = !self.outgoing.resume(pool);
        self.counters.sent += (self.outgoing.len() - before) as u64;
        self.more = false;
        for c in turn.drain(..).map(usize::from) {
            self.connections[c].dirty = false;
            let waiting = self.connections[c].pending & pending::RECEIVED != 0;
            if starved || (hold && waiting) {
                self.touch(c);
            } else {
                starved = self.send_one(c, now, pool);
            }
        }
        self.more |= starved || self.outgoing.waits();
        self.turn = turn;
    }

    /// Lets one connection send. `true` when it wanted to and found no page.
    fn send_one(&mut self, c: usize, now: Micros, pool: &mut impl Pool<Page = P>) -> bool {
        let connection = &mut self.connections[c];
        if matches!(connection.phase, Phase::Free | Phase::Over) {
            return false;
        }
        self.counters.copied += connection.fill() as u64;
        let sent = connection.pending & pending::SENT != 0;
        // It may be waiting for room when it queued more than fitted.
        let awaited = connection.late;
        let time = Instant::from_micros(now);
        let before = self.outgoing.len();
        let unsent = connection.peek().send_queue();
        self.outgoing.now = now;
        self.outgoing.unsent = unsent.saturating_sub(connection.flying);
        let mut wire = Wire {
            incoming: None,
            outgoing: &mut self.outgoing,
            pool,
            starved: false,
        };
        let mut at = now;
        for _ in 0..BURST {
            let result = self
                .interface
                .poll_egress(time, &mut wire, &mut connection.set);
            let wanted = self.interface.poll_at(time, &connection.set);
            at = wanted.map_or(NEVER, |t| t.total_micros());
            if result == PollResult::None || at > now {
                break;
            }
        }
        let starved = wire.starved;
        let frames = self.outgoing.len() - before;
        self.counters.sent += frames as u64;
        self.counters.copied += self.outgoing.take_copied() as u64;
        // Not by what was copied: a segment cut here is copied twice.
        connection.flying = unsent.saturating_sub(self.outgoing.unsent);

        if at <= now {
            if starved || frames > 0 {
                self.touch(c);
                self.more = true;
            }
            at = now + RETRY;
        }
        let connection = &mut self.connections[c];
        self.deadlines.set(c, at.min(connection.patience));
        if connection.peek().state() == tcp::State::TimeWait
            && connection.phase == Phase::Open
            && !starved
        {
            connection.phase = Phase::TimeWait;
            connection.patience = NEVER;
            let listener = &mut self.listeners[connection.listener];
            listener.time_wait.push_back(c as u16);
            self.vacant();
            self.tell(c, pending::GONE, false);
        }
        if sent {
            self.tell(c, pending::SENT, awaited);
        }
        self.review(c);
        let connection = &self.connections[c];
        if connection.peek().state() == tcp::State::Closed
            && matches!(connection.phase, Phase::Opening | Phase::Open)
            && !starved
        {
            // Aborted, and the reset had its chance to leave.
            self.end(c);
        }
        starved
    }

    /// Runs timers that are due. To be called before `flush` or `settle`.
    pub fn tick(&mut self, now: Micros, pool: &mut impl Pool<Page = P>) {
        if now >= self.local_at {
            self.tick_local(now, pool);
        }
        if now >= self.admit_at {
            self.admit(now, pool);
        }
        if now < self.deadlines.earliest() {
            return;
        }
        let mut due = core::mem::take(&mut self.turn);
        self.deadlines.due(now, |c| due.push(c as u16));
        for c in due.drain(..).map(usize::from) {
            if now >= self.connections[c].patience {
                self.connections[c].patience = NEVER;
                self.connections[c].drop_outbox();
                self.connections[c].socket().abort();
            }
            self.touch(c);
        }
        self.turn = due;
    }

    /// The last `flush` or `settle` left something that could have been sent with more pages or
    /// more places in the batch.
    pub fn has_more(&self) -> bool {
        self.more
    }

    /// When [`Stack::tick`] has to be called next.
    pub fn next_deadline(&self) -> Micros {
        self.deadlines
            .earliest()
            .min(self.local_at)
            .min(self.admit_at)
    }
}

/// Shows smoltcp one frame and one socket set.
fn poll_one<Q: Pool>(
    interface: &mut Interface,
    set: &mut SocketSet<'static>,
    outgoing: &mut Outgoing<Q::Page>,
    counters: &mut Counters,
    frame: &[u8],
    now: Micros,
    pool: &mut Q,
) {
    let before = outgoing.len();
    outgoing.now = now;
    outgoing.unsent = 0;
    let mut wire = Wire {
        incoming: Some(frame),
        outgoing,
        pool,
        starved: false,
    };
    interface.poll_ingress_single(Instant::from_micros(now), &mut wire, set);
    counters.sent += (outgoing.len() - before) as u64;
}
