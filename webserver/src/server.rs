//! The event loop's logic: one round takes what happened, understands all requests, asks each
//! component at most once, and leaves commands.

mod ask;
mod intake;
mod reap;
mod rest;
mod share;
mod upload;

use alloc::vec::Vec;

use observe::latency::Histogram;

use crate::arena::{Arena, Span};
use crate::cache::Cache;
use crate::connection::{Connection, INPUT_MAX, Phase, TOOK_STEP};
use crate::expire::{Pressure, SHORTEST_MS};
use crate::outbox::Outbox;
use crate::platform::{
    Buffer, Clock, Command, CommandKind, Event, Found, Lookup, Page, Platform, Run,
};
use crate::response::Stamp;
use crate::stats::Counters;
use crate::work::Work;
use upload::Uploads;

/// How long to wait before trying an answer again that could not be made.
const RETRY_MS: u64 = 10;

pub struct Server<P: Platform> {
    connections: Vec<Connection<P::Buffer>>,
    free: usize,
    works: Vec<Work<P::Buffer>>,
    spare: Vec<Work<P::Buffer>>,
    /// Places where something happened in this round.
    touched: Vec<usize>,
    outbox: Outbox<P>,
    /// Paths and queries that components are to be asked about, and whose works they are.
    asks: Arena<P>,
    asked: Vec<(usize, Span)>,
    lookups: Vec<Lookup<P::Buffer>>,
    found: Vec<Found<P::Buffer>>,
    runs: Vec<Run<P::Buffer>>,
    pages: Vec<Page<P::Buffer>>,
    /// Places whose input waits for room.
    backlog: Vec<usize>,
    cache: Cache<P::Buffer>,
    stamp: Stamp,
    counters: Counters,
    latency: Histogram,
    start_ms: u64,
    clock: Clock,
    uploads: Uploads<P::Buffer>,
    /// When limits have to be looked at next. Never later than the earliest that could pass.
    check_ms: u64,
    /// When to ask next whether clients wait for a place.
    share_ms: u64,
}

impl<P: Platform> Server<P> {
    /// A server with room for so many connections.
    pub fn new(places: usize, clock: Clock) -> Self {
        let mut connections = Vec::new();
        connections.resize_with(places.max(1), Connection::default);
        Self {
            free: connections.len(),
            connections,
            works: Vec::new(),
            spare: Vec::new(),
            touched: Vec::new(),
            outbox: Outbox::default(),
            asks: Arena::default(),
            asked: Vec::new(),
            lookups: Vec::new(),
            found: Vec::new(),
            runs: Vec::new(),
            pages: Vec::new(),
            backlog: Vec::new(),
            cache: Cache::default(),
            stamp: Stamp::default(),
            counters: Counters::default(),
            latency: Histogram::new(P::ticks_per_second()),
            start_ms: clock.ms,
            clock,
            uploads: Uploads::default(),
            check_ms: u64::MAX,
            share_ms: 0,
        }
    }

    /// One round. The commands it leaves are in [`Server::commands`].
    pub fn handle(
        &mut self,
        clock: Clock,
        events: impl Iterator<Item = Event<P::Buffer>>,
        platform: &mut P,
    ) {
        self.clock = clock;
        self.stamp.refresh(clock);
        self.counters.rounds += 1;
        if self.free == 0 && clock.ms >= self.share_ms {
            self.share(platform);
        }
        self.resume(platform);
        for event in events {
            self.event(event, platform);
        }
        if clock.ms >= self.check_ms {
            self.settle();
            self.expire();
        }
        self.ask(platform);
        self.answer(platform);
        self.settle();
        self.outbox.seal(platform);
    }

    /// Commands for the network stack, in order. What is not taken comes first next time.
    pub fn commands(&mut self) -> &mut Vec<Command<P::Buffer>> {
        self.outbox.commands()
    }

    /// When the next round has to be, whatever happens; in milliseconds as [`Clock::ms`].
    pub fn deadline_ms(&self) -> u64 {
        let can_resume = |place: &usize| {
            let connection = &self.connections[*place];
            connection.backlog && !connection.is_full()
        };
        if self.backlog.iter().any(can_resume) {
            0
        } else if self.uploads.is_idle() && !self.needs_a_round() {
            self.check_ms
        } else {
            self.check_ms.min(self.clock.ms + RETRY_MS)
        }
    }

    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The connection with that socket: at the place its number suggests, or wherever it fit.
    fn place(&self, socket: u32) -> Option<usize> {
        let home = socket as usize % self.connections.len();
        let is = |c: &Connection<P::Buffer>| c.phase != Phase::Free && c.socket == socket;
        if is(&self.connections[home]) {
            return Some(home);
        }
        self.connections.iter().position(is)
    }

    fn event(&mut self, event: Event<P::Buffer>, platform: &mut P) {
        match event {
            Event::Accepted { socket } => self.accepted(socket, platform),
            Event::Received { socket, data } => {
                if let Some(place) = self.place(socket) {
                    self.received(place, &data, platform);
                }
            }
            Event::Drained { socket, bytes } => {
                if let Some(place) = self.place(socket) {
                    self.connections[place].drained(u64::from(bytes), self.clock.ms);
                    self.touch(place);
                }
            }
            Event::PeerClosed { socket } => {
                if let Some(place) = self.place(socket) {
                    self.connections[place].peer_closed = true;
                    self.touch(place);
                }
            }
            Event::Gone { socket } => {
                self.outbox.forget(socket, platform);
                if let Some(place) = self.place(socket) {
                    self.connections[place].end();
                    self.free += 1;
                    self.counters.open -= 1;
                }
            }
        }
    }

    fn accepted(&mut self, socket: u32, platform: &mut P) {
        if let Some(place) = self.place(socket) {
            // The network stack did not say that the former one is gone.
            self.outbox.forget(socket, platform);
            self.connections[place].end();
            self.free += 1;
            self.counters.open -= 1;
        }
        let home = socket as usize % self.connections.len();
        let is_free = |c: &Connection<P::Buffer>| c.phase == Phase::Free;
        let place = if is_free(&self.connections[home]) {
            Some(home)
        } else {
            self.connections.iter().position(is_free)
        };
        let Some(place) = place else {
            self.outbox.put(CommandKind::Abort, socket, 0);
            self.counters.aborted += 1;
            return;
        };
        self.free -= 1;
        self.counters.accepted += 1;
        self.counters.open += 1;
        self.connections[place].begin(socket, self.clock.ms);
        self.watch(place);
        if self.pressure() != Pressure::None {
            self.check_ms = self.check_ms.min(self.clock.ms + SHORTEST_MS);
        }
    }

    fn received(&mut self, place: usize, data: &P::Buffer, platform: &mut P) {
        let connection = &mut self.connections[place];
        let bytes = data.bytes();
        if !connection.is_open() {
            // Whoever still sends shall come to the end of it, and see the answer.
            if connection.phase == Phase::Closing {
                let count = bytes.len() as u32;
                self.outbox.put(CommandKind::Took, connection.socket, count);
            }
            return;
        }
        connection.untaken = connection.untaken.saturating_add(bytes.len() as u32);
        if connection.input.is_empty() {
            let used = self.understand(place, bytes, Some(data), platform);
            self.hold(place, &bytes[used..]);
        } else {
            self.hold(place, bytes);
            self.reread(place, platform);
        }
        self.took(place);
        self.touch(place);
    }

    /// Keeps bytes for later, within bounds.
    fn hold(&mut self, place: usize, bytes: &[u8]) {
        let connection = &mut self.connections[place];
        if bytes.is_empty() || !connection.is_open() {
            return;
        }
        if connection.input.len() + bytes.len() > INPUT_MAX {
            // The network stack handed over more than was acknowledged to it.
            self.abort(place);
            return;
        }
        self.counters.copied_bytes += bytes.len() as u64;
        connection.input.extend_from_slice(bytes);
    }

    /// Goes on with the bytes that are held.
    fn reread(&mut self, place: usize, platform: &mut P) {
        let mut input = core::mem::take(&mut self.connections[place].input);
        let used = self.understand(place, &input, None, platform);
        let connection = &mut self.connections[place];
        if connection.is_open() {
            input.drain(..used);
        } else {
            input.clear();
        }
        if !input.is_empty() {
            connection.input = input;
        }
    }

    /// Acknowledges what came, unless it has to wait: then the peer shall wait too.
    fn took(&mut self, place: usize) {
        let connection = &mut self.connections[place];
        if connection.untaken >= TOOK_STEP && !connection.backlog && connection.is_open() {
            let bytes = core::mem::take(&mut connection.untaken);
            self.outbox.put(CommandKind::Took, connection.socket, bytes);
        }
    }

    /// Connections whose requests waited for room go on.
    fn resume(&mut self, platform: &mut P) {
        let mut places = core::mem::take(&mut self.backlog);
        places.retain(|&place| {
            let connection = &mut self.connections[place];
            if !connection.backlog || !connection.is_open() {
                return false;
            }
            if connection.is_full() {
                return true;
            }
            connection.backlog = false;
            self.reread(place, platform);
            self.took(place);
            self.touch(place);
            self.connections[place].backlog
        });
        // What became backlog again is in `places` already.
        self.backlog = places;
    }

    /// Remembers to settle this connection before the round ends.
    fn touch(&mut self, place: usize) {
        self.connections[place].touch(place, &mut self.touched);
    }

    /// Enters the phases that follow from what is under way, and closes behind peers that send
    /// no more and have all their answers.
    fn settle(&mut self) {
        let mut touched = core::mem::take(&mut self.touched);
        for place in touched.drain(..) {
            let connection = &mut self.connections[place];
            connection.touched = false;
            let done = connection.works == 0 && !connection.backlog;
            if connection.is_open() && connection.peer_closed && done {
                self.close(place);
            } else {
                connection.settle(self.clock.ms);
                self.watch(place);
            }
        }
        self.touched = touched;
    }
}
