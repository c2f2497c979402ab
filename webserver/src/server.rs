//! The event loop's logic: one round takes what happened, understands all requests, asks each
//! component at most once, and leaves commands.

use alloc::rc::Rc;
use alloc::vec::Vec;

use crate::answer::Desk;
use crate::arena::{Arena, Span};
use crate::body::Body;
use crate::cache::{Cache, File};
use crate::condition::{Condition, is_unchanged};
use crate::connection::{Connection, INPUT_MAX, Phase, TOOK_STEP};
use crate::expire::{Pressure, SHORTEST_MS, limit_ms};
use crate::head::{self, HEAD_MAX, Progress, Scan};
use crate::outbox::Outbox;
use crate::path;
use crate::platform::{
    Buffer, Clock, Command, CommandKind, Event, Found, Lookup, PAGE_BYTES, Page, Platform, Run,
};
use crate::request::{self, Framing, Method, Request};
use crate::response::{Connection as Field, FileFields, Stamp};
use crate::routes::{Route, route};
use crate::stats::Counters;
use crate::status::{Refusal, Status};
use crate::work::{Kind, Work};

/// How long a dynamic page is asked for again while the CGI component has no memory, and how
/// long to wait in between when nothing happens.
const RUN_PATIENCE_MS: u64 = 5_000;
const RETRY_MS: u64 = 10;

const NO_ANSWER: Refusal = Refusal::new(
    Status::BadGateway,
    "the component that makes this page did not answer",
);
const NO_MEMORY: Refusal = Refusal::new(Status::Unavailable, "there is no memory just now");
const TOO_SLOW: Refusal = Refusal::new(Status::RequestTimeout, "the request took too long");
const NOT_ALLOWED: Refusal =
    Refusal::new(Status::MethodNotAllowed, "only GET and HEAD are allowed");
const UNKNOWN_METHOD: Refusal = Refusal::new(Status::NotImplemented, "the method is unknown");
const UNKNOWN_CODING: Refusal =
    Refusal::new(Status::NotImplemented, "the transfer coding is unknown");
const UNMET: Refusal = Refusal::new(Status::ExpectationFailed, "the expectation cannot be met");

pub struct Server<P: Platform> {
    connections: Vec<Connection<P::Buffer>>,
    free: usize,
    works: Vec<Work<P::Buffer>>,
    spare: Vec<Work<P::Buffer>>,
    /// Places that answers of this round went to.
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
    start_ms: u64,
    clock: Clock,
    /// When limits have to be looked at next. Never later than the earliest that could pass.
    check_ms: u64,
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
            start_ms: clock.ms,
            clock,
            check_ms: u64::MAX,
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
        self.resume(platform);
        for event in events {
            self.event(event, platform);
        }
        if clock.ms >= self.check_ms {
            self.expire();
        }
        self.ask(platform);
        self.answer(platform);
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
        } else if self.works.is_empty() {
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
                    self.settle(place);
                }
            }
            Event::PeerClosed { socket } => {
                if let Some(place) = self.place(socket) {
                    self.connections[place].peer_closed = true;
                    self.settle(place);
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
        if !connection.is_open() {
            return;
        }
        let bytes = data.bytes();
        connection.untaken = connection.untaken.saturating_add(bytes.len() as u32);
        if connection.input.is_empty() {
            let used = self.understand(place, bytes, platform);
            self.hold(place, &bytes[used..]);
        } else {
            self.hold(place, bytes);
            self.reread(place, platform);
        }
        self.took(place);
        self.settle(place);
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
        let used = self.understand(place, &input, platform);
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
            self.settle(place);
            self.connections[place].backlog
        });
        // What became backlog again is in `places` already.
        self.backlog = places;
    }

    /// Understands as many requests as `bytes`, the connection's next input, have and there is
    /// room for. Answers how many bytes are done with.
    fn understand(&mut self, place: usize, bytes: &[u8], platform: &mut P) -> usize {
        let mut at = 0;
        loop {
            let connection = &mut self.connections[place];
            if !connection.is_open() || connection.last {
                return bytes.len();
            }
            let rest = &bytes[at..];
            if let Some((body, _)) = &mut connection.body {
                match body.discard(rest) {
                    Ok((taken, true)) => {
                        at += taken;
                        if let Some((_, work)) = connection.body.take() {
                            self.push(place, work);
                        }
                    }
                    Ok((_, false)) => return bytes.len(),
                    Err(refusal) => {
                        connection.body = None;
                        self.refuse(place, refusal);
                    }
                }
                continue;
            }
            if rest.is_empty() {
                return at;
            }
            if connection.progress == Progress::default() {
                // RFC 9112, section 2.2: empty lines before a request are no request.
                match rest {
                    [b'\r', b'\n', ..] => {
                        at += 2;
                        continue;
                    }
                    [b'\r'] => return at,
                    _ => {}
                }
            }
            if connection.is_full() {
                if !connection.backlog {
                    connection.backlog = true;
                    if !self.backlog.contains(&place) {
                        self.backlog.push(place);
                    }
                }
                return at;
            }
            match head::scan(rest, &mut connection.progress) {
                Scan::Partial => return at,
                Scan::Refused(refusal) => self.refuse(place, refusal),
                Scan::Complete(length) => {
                    connection.progress = Progress::default();
                    at += length;
                    match request::parse(&rest[..length]) {
                        Ok(request) => self.request(place, &request, platform),
                        Err(refusal) => self.refuse(place, refusal),
                    }
                }
            }
        }
    }

    /// Refuses where the next request's beginning is in doubt: the connection ends.
    fn refuse(&mut self, place: usize, refusal: Refusal) {
        self.counters.requests += 1;
        self.push(
            place,
            Work {
                place,
                generation: self.connections[place].generation,
                head_only: false,
                connection: Field::Close,
                kind: Kind::Refused(refusal),
            },
        );
    }

    fn request(&mut self, place: usize, request: &Request<'_>, platform: &mut P) {
        let mut framing = match request.framing {
            Framing::None => None,
            Framing::Length(length) => match Body::with_length(length) {
                Ok(body) => Some(body),
                Err(refusal) => return self.refuse(place, refusal),
            },
            Framing::Chunked => Some(Body::CHUNKED),
            Framing::Unknown => return self.refuse(place, UNKNOWN_CODING),
        };
        self.counters.requests += 1;
        let refused = match request.method {
            Method::Unknown => Some(UNKNOWN_METHOD),
            Method::NotAllowed => Some(NOT_ALLOWED),
            _ if request.expects_other => Some(UNMET),
            _ => None,
        };
        let mut keep = request.keep;
        let generation = self.connections[place].generation;
        if framing.is_some() && request.expects_continue {
            if refused.is_some() {
                // The client may send the body or not: nobody can tell what comes next.
                keep = false;
                framing = None;
            } else {
                self.push(
                    place,
                    Work {
                        place,
                        generation,
                        head_only: false,
                        connection: Field::Stays,
                        kind: Kind::Continue,
                    },
                );
            }
        }
        let kind = match refused {
            Some(refusal) => Kind::Refused(refusal),
            None => self.kind(request, framing.is_some(), platform),
        };
        let work = Work {
            place,
            generation,
            head_only: request.method == Method::Head,
            connection: match (keep, request.minor) {
                (false, _) => Field::Close,
                (true, 0) => Field::KeepAlive,
                (true, _) => Field::Stays,
            },
            kind,
        };
        match framing {
            Some(body) => self.connections[place].body = Some((body, work)),
            None => self.push(place, work),
        }
    }

    /// Who is to answer. The text that a component will be asked about goes into the round's
    /// page, or, where the answer has to wait for a body, into one of its own.
    fn kind(&mut self, request: &Request<'_>, later: bool, platform: &mut P) -> Kind<P::Buffer> {
        let mut room;
        let name = if path::is_plain(request.path) {
            request.path
        } else {
            room = [0; HEAD_MAX];
            match path::normalise(request.path, &mut room) {
                Ok(length) => &room[..length],
                Err(refusal) => return Kind::Refused(refusal),
            }
        };
        match route(name) {
            Route::Stats => Kind::Stats,
            Route::Cgi => {
                let since_ms = self.clock.ms;
                match self.text(request.query, later, platform) {
                    Ok(query) => Kind::Run {
                        query,
                        since_ms,
                        again: false,
                    },
                    Err(refusal) => Kind::Refused(refusal),
                }
            }
            Route::File => match self.cache.get(name) {
                Some(file) if is_unchanged(request, file.tag, file.modified) => {
                    Kind::NotModified(file.clone())
                }
                Some(file) => Kind::File(file.clone()),
                None => match self.text(name, later, platform) {
                    Ok(path) => Kind::Lookup {
                        path,
                        condition: Condition::keep(request),
                    },
                    Err(refusal) => Kind::Refused(refusal),
                },
            },
        }
    }

    /// `None` where the text is empty or comes with the page that is open now, for the work
    /// that is pushed next.
    fn text(
        &mut self,
        text: &[u8],
        later: bool,
        platform: &mut P,
    ) -> Result<Option<P::Buffer>, Refusal> {
        if text.is_empty() {
            return Ok(None);
        }
        if text.len() > PAGE_BYTES {
            return Err(Refusal::new(Status::UriTooLong, "the path is too long"));
        }
        let copy = |room: &mut [u8]| {
            room[..text.len()].copy_from_slice(text);
            text.len()
        };
        if later {
            let mut page = platform.page().ok_or(NO_MEMORY)?;
            let bytes = copy(&mut page);
            return Ok(Some(platform.freeze(page, bytes)));
        }
        if !self.asks.fits(text.len()) {
            self.seal_asks(platform);
        }
        if !self.asks.open(platform) {
            return Err(NO_MEMORY);
        }
        let span = self.asks.write(copy).ok_or(NO_MEMORY)?;
        self.asked.push((self.works.len(), span));
        Ok(None)
    }

    fn seal_asks(&mut self, platform: &mut P) {
        if let Some(page) = self.asks.seal(platform) {
            for (at, span) in self.asked.drain(..) {
                if let Some(Work {
                    kind: Kind::Lookup { path: text, .. } | Kind::Run { query: text, .. },
                    ..
                }) = self.works.get_mut(at)
                {
                    *text = Some(page.slice(span.range()));
                }
            }
        }
    }

    fn push(&mut self, place: usize, work: Work<P::Buffer>) {
        let connection = &mut self.connections[place];
        connection.works += 1;
        connection.last |= work.connection == Field::Close;
        self.works.push(work);
    }

    /// Asks the components about every work that is open: one batch each.
    fn ask(&mut self, platform: &mut P) {
        self.seal_asks(platform);
        for (token, work) in self.works.iter_mut().enumerate() {
            let token = token as u32;
            match &mut work.kind {
                Kind::Lookup {
                    path: Some(path), ..
                } => self.lookups.push(Lookup {
                    token,
                    path: path.clone(),
                }),
                Kind::Run { query, again, .. } => {
                    *again = false;
                    self.runs.push(Run {
                        token,
                        head_only: work.head_only,
                        query: query.clone(),
                    });
                }
                _ => {}
            }
        }
        if !self.lookups.is_empty() {
            platform.lookup(&mut self.lookups, &mut self.found);
            self.lookups.clear();
            let mut found = core::mem::take(&mut self.found);
            for file in found.drain(..) {
                self.file(file);
            }
            self.found = found;
        }
        if !self.runs.is_empty() {
            platform.run(&mut self.runs, &mut self.pages);
            self.runs.clear();
            let mut pages = core::mem::take(&mut self.pages);
            for page in pages.drain(..) {
                self.page(page);
            }
            self.pages = pages;
        }
        for work in &mut self.works {
            if let Kind::Lookup { .. } | Kind::Run { again: false, .. } = work.kind {
                work.kind = Kind::Refused(NO_ANSWER);
            }
        }
    }

    fn file(&mut self, found: Found<P::Buffer>) {
        let Some(work) = self.works.get_mut(found.token as usize) else {
            return;
        };
        let Kind::Lookup {
            path: Some(path),
            condition,
        } = &work.kind
        else {
            return;
        };
        if found.status != 200 {
            work.kind = Kind::Page {
                status: Status::from_component(found.status),
                media: found.media,
                body: found.body,
            };
            return;
        }
        let bytes = found.body.as_ref().map_or(0, |body| body.bytes().len());
        let file = Rc::new(File {
            fields: FileFields::new(found.media, bytes, found.tag, found.modified),
            tag: found.tag,
            modified: found.modified,
            body: found.body,
        });
        self.cache.insert(path.bytes(), file.clone());
        work.kind = if condition.unchanged(file.tag, file.modified) {
            Kind::NotModified(file)
        } else {
            Kind::File(file)
        };
    }

    fn page(&mut self, page: Page<P::Buffer>) {
        let Some(work) = self.works.get_mut(page.token as usize) else {
            return;
        };
        let Kind::Run {
            since_ms, again, ..
        } = &mut work.kind
        else {
            return;
        };
        let status = Status::from_component(page.status);
        if status != Status::Unavailable {
            work.kind = Kind::Page {
                status,
                media: page.media,
                body: page.body,
            };
        } else if self.clock.ms.saturating_sub(*since_ms) >= RUN_PATIENCE_MS {
            work.kind = Kind::Refused(NO_MEMORY);
        } else {
            *again = true;
        }
    }

    /// Answers what can be answered, each connection's requests in order.
    fn answer(&mut self, platform: &mut P) {
        let mut works = core::mem::replace(&mut self.works, core::mem::take(&mut self.spare));
        let mut desk = Desk {
            outbox: &mut self.outbox,
            stamp: &self.stamp,
            counters: &mut self.counters,
            start_ms: self.start_ms,
            now_ms: self.clock.ms,
            platform,
        };
        for mut work in works.drain(..) {
            let connection = &mut self.connections[work.place];
            if connection.generation != work.generation || !connection.is_open() {
                continue;
            }
            if connection.stalled || !desk.answer(&mut work, connection) {
                connection.stalled = true;
                self.works.push(work);
            } else {
                self.touched.push(work.place);
            }
        }
        self.spare = works;
        let mut touched = core::mem::take(&mut self.touched);
        for place in touched.drain(..) {
            self.settle(place);
            self.watch(place);
        }
        self.touched = touched;
        for work in &self.works {
            self.connections[work.place].stalled = false;
        }
    }

    /// Enters the phase that follows from what is under way, and closes behind a peer that
    /// sends no more and has all its answers.
    fn settle(&mut self, place: usize) {
        let connection = &mut self.connections[place];
        let before = (connection.phase, connection.since_ms);
        let done = connection.works == 0 && !connection.backlog;
        if connection.is_open() && connection.peer_closed && done {
            self.close(place);
            return;
        }
        connection.settle(self.clock.ms);
        if before != (connection.phase, connection.since_ms) {
            self.watch(place);
        }
    }

    fn close(&mut self, place: usize) {
        let connection = &mut self.connections[place];
        self.outbox.put(CommandKind::Close, connection.socket, 0);
        connection.enter(Phase::Closing, self.clock.ms);
        connection.input.clear();
        connection.body = None;
        self.watch(place);
    }

    fn abort(&mut self, place: usize) {
        let connection = &mut self.connections[place];
        self.outbox.put(CommandKind::Abort, connection.socket, 0);
        connection.enter(Phase::Aborted, self.clock.ms);
        connection.input.clear();
        connection.body = None;
        self.counters.aborted += 1;
    }

    fn pressure(&self) -> Pressure {
        Pressure::of(self.free, self.connections.len())
    }

    /// Sees to it that the limit of this connection's phase is not missed.
    fn watch(&mut self, place: usize) {
        let connection = &self.connections[place];
        if let Some(limit) = limit_ms(connection, self.pressure()) {
            self.check_ms = self.check_ms.min(connection.since_ms.saturating_add(limit));
        }
    }

    /// Ends what has been in its phase for too long. Under pressure idle connections go only as
    /// far as places are short, the longest idle first.
    fn expire(&mut self) {
        let now = self.clock.ms;
        let pressure = self.pressure();
        let expired = |c: &Connection<P::Buffer>, pressure| {
            limit_ms(c, pressure).is_some_and(|limit| c.since_ms.saturating_add(limit) <= now)
        };
        for place in 0..self.connections.len() {
            let connection = &self.connections[place];
            if connection.phase == Phase::Idle || !expired(connection, pressure) {
                continue;
            }
            self.counters.timed_out += 1;
            if connection.phase == Phase::Reading && connection.works == 0 {
                self.connections[place].body = None;
                self.refuse(place, TOO_SLOW);
            } else {
                self.abort(place);
            }
        }
        let leaving =
            |c: &&Connection<P::Buffer>| matches!(c.phase, Phase::Closing | Phase::Aborted);
        let mut places = self.free + self.connections.iter().filter(leaving).count();
        loop {
            let idle = |at: &usize| self.connections[*at].phase == Phase::Idle;
            let oldest = (0..self.connections.len())
                .filter(idle)
                .min_by_key(|at| self.connections[*at].since_ms);
            let Some(place) = oldest else { break };
            let pressure = Pressure::of(places, self.connections.len());
            if !expired(&self.connections[place], pressure) {
                break;
            }
            self.counters.timed_out += 1;
            self.close(place);
            places += 1;
        }
        let pressure = self.pressure();
        let deadlines = self
            .connections
            .iter()
            .filter_map(|c| limit_ms(c, pressure).map(|limit| c.since_ms.saturating_add(limit)));
        // At least a little ahead: what is due and stays would make every round look again.
        self.check_ms = deadlines.min().unwrap_or(u64::MAX).max(now + SHORTEST_MS);
    }
}
