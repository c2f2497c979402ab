//! A world for tests: files and pages by rule, a network stack that keeps what was sent.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::vec::Vec;

use crate::platform::*;
use crate::server::Server;

#[derive(Clone, Debug)]
pub struct Bytes {
    all: Rc<Vec<u8>>,
    from: usize,
    to: usize,
}

impl Bytes {
    pub fn new(bytes: &[u8]) -> Self {
        Self {
            all: Rc::new(bytes.to_vec()),
            from: 0,
            to: bytes.len(),
        }
    }
}

impl Buffer for Bytes {
    fn bytes(&self) -> &[u8] {
        &self.all[self.from..self.to]
    }
    fn slice(&self, range: core::ops::Range<usize>) -> Self {
        assert!(range.end <= self.to - self.from);
        Self {
            all: self.all.clone(),
            from: self.from + range.start,
            to: self.from + range.end,
        }
    }
}

#[derive(Default)]
pub struct World {
    pub no_pages: bool,
    /// How many pages there are to have, if they are numbered.
    pub pages_left: Option<usize>,
    pub content_dead: bool,
    pub cgi_dead: bool,
    pub cgi_full: bool,
    /// There is no memory to ask with.
    pub short: bool,
    pub lookups: Vec<usize>,
    pub runs: Vec<usize>,
    /// Bodies come in pieces of so many bytes; 0: in one.
    pub piece: usize,
    pub tag: u64,
    /// What follows the first piece is nothing.
    pub empty: bool,
    pub pages: usize,
    pub waiting: u32,
    pub asked_waiting: usize,
    pub observer_dead: bool,
    pub reports: usize,
    pub darkroom_dead: bool,
    pub darkroom: Darkroom,
}

/// Uploads as they came, and what is told of them next.
#[derive(Default)]
pub struct Darkroom {
    /// Content type, length and body of each, and whether the body is complete.
    pub jobs: BTreeMap<u32, (Vec<u8>, u64, Vec<u8>, bool)>,
    pub forgotten: Vec<u32>,
    pub restarts: usize,
    pub answers: Vec<Stretch<Bytes>>,
    pub asked: usize,
}

impl Darkroom {
    pub fn answer(&mut self, job: u32, status: u32, more: u32, timing: &[u8], body: &[u8]) {
        self.answers.push(Stretch {
            job,
            status,
            media: 6,
            more,
            timing: (!timing.is_empty()).then(|| Bytes::new(timing)),
            body: Some(Bytes::new(body)),
        });
    }
}

std::thread_local! {
    static TICKS: core::cell::Cell<u64> = const { core::cell::Cell::new(0) };
}

pub const MODIFIED: u64 = 784_111_777;
pub const TAG: u64 = 0x0123_4567_89ab_cdef;

impl World {
    /// The length of a body, and its piece from a byte on.
    fn cut(&self, body: Option<Vec<u8>>, from: u32) -> (u32, Option<Bytes>) {
        let Some(body) = body else { return (0, None) };
        let left = &body[from as usize..];
        let piece = match self.piece {
            _ if self.empty && from > 0 => 0,
            0 => left.len(),
            piece => piece,
        };
        let piece = Bytes::new(&left[..left.len().min(piece)]);
        (body.len() as u32, Some(piece))
    }
}

impl Platform for World {
    type Buffer = Bytes;
    type Page = Vec<u8>;

    fn page(&mut self) -> Option<Vec<u8>> {
        self.pages += 1;
        let left = self.pages_left.map(|left| left.checked_sub(1));
        self.pages_left = left.map(|left| left.unwrap_or(0));
        (!self.no_pages && left != Some(None)).then(|| std::vec![0xee; PAGE_BYTES])
    }
    fn freeze(&mut self, page: Vec<u8>, bytes: usize) -> Bytes {
        Bytes::new(&page[..bytes])
    }
    fn lookup(&mut self, asked: &mut Vec<Lookup<Bytes>>, found: &mut Vec<Found<Bytes>>) -> bool {
        self.lookups.push(asked.len());
        if self.content_dead || self.short {
            return self.short;
        }
        for lookup in asked.drain(..) {
            let (status, body) = match lookup.path.bytes() {
                b"/" => (200, Some("<p>home</p>".into())),
                b"/empty" => (200, None),
                b"/big" => (200, Some("B".repeat(1 << 20))),
                b"/a b" => (200, Some("space".into())),
                b"/x" => (200, Some("x".into())),
                _ => (404, Some("none".into())),
            };
            let body = body.map(std::string::String::into_bytes);
            let (bytes, body) = match status {
                200 => self.cut(body, lookup.from),
                _ => (0, body.map(|body| Bytes::new(&body))),
            };
            found.push(Found {
                token: lookup.token,
                status,
                media: 1,
                modified: MODIFIED,
                tag: TAG ^ self.tag,
                bytes,
                body,
            });
        }
        // Answers may come in any order, and more than was asked.
        found.reverse();
        found.push(Found {
            token: u32::MAX,
            status: 200,
            media: 99,
            modified: 0,
            tag: 0,
            bytes: 0,
            body: None,
        });
        false
    }
    fn run(&mut self, asked: &mut Vec<Run<Bytes>>, pages: &mut Vec<Page<Bytes>>) -> bool {
        self.runs.push(asked.len());
        if self.cgi_dead || self.short {
            return self.short;
        }
        for run in asked.drain(..) {
            let query = run.query.map_or(Vec::new(), |q| q.bytes().to_vec());
            let (bytes, body) = self.cut(Some([b"cgi:", &query[..]].concat()), run.from);
            pages.push(Page {
                token: run.token,
                status: if self.cgi_full { 503 } else { 200 },
                media: 2,
                bytes,
                body,
            });
        }
        false
    }
    fn report(&mut self, format: Format, own: &[(u32, u64)]) -> Result<(u32, Bytes), Lack> {
        self.reports += 1;
        let text = std::format!("{format:?} {own:?}");
        match (self.observer_dead, self.short) {
            (true, _) => Err(Lack::Answer),
            (_, true) => Err(Lack::Memory),
            _ => Ok((7, Bytes::new(text.as_bytes()))),
        }
    }
    fn choose(&mut self, words: &[u8]) -> Option<(u32, Bytes)> {
        let status = if words == b"policy=limited" { 200 } else { 400 };
        let text = [b"heard: ", words].concat();
        (!self.observer_dead).then(|| (status, Bytes::new(&text)))
    }
    fn stitch(
        &mut self,
        pieces: &mut Vec<Piece<Bytes>>,
        stretches: &mut Vec<Stretch<Bytes>>,
    ) -> bool {
        let room = &mut self.darkroom;
        room.asked += 1;
        for piece in pieces.drain(..) {
            let data = piece.data.map_or(Vec::new(), |d| d.bytes().to_vec());
            match piece.kind {
                PieceKind::Begin => {
                    let job = (data, piece.argument, Vec::new(), false);
                    assert!(room.jobs.insert(piece.job, job).is_none());
                }
                PieceKind::More => {
                    let job = room.jobs.get_mut(&piece.job).unwrap();
                    assert!(!job.3 && !data.is_empty());
                    job.2.extend(data);
                }
                PieceKind::End => room.jobs.get_mut(&piece.job).unwrap().3 = true,
                PieceKind::Forget => room.forgotten.push(piece.job),
                PieceKind::ForgetAll => room.restarts += 1,
            }
        }
        stretches.append(&mut room.answers);
        !self.darkroom_dead
    }
    /// A tick a look.
    fn ticks() -> u64 {
        TICKS.with(|ticks| ticks.replace(ticks.get() + 1))
    }
    fn ticks_per_second() -> u64 {
        1_000_000
    }
    fn waiting(&mut self) -> u32 {
        self.asked_waiting += 1;
        self.waiting
    }
    fn machine(&mut self) -> Machine {
        Machine::default()
    }
}

/// What became of a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    Open,
    Closed,
    Aborted,
}

/// Server, world and the other end of every socket.
pub struct Rig {
    pub server: Server<World>,
    pub world: World,
    pub clock: Clock,
    pub sent: BTreeMap<u32, Vec<u8>>,
    pub ends: BTreeMap<u32, End>,
    pub took: BTreeMap<u32, u32>,
    /// Bytes and buffers not yet reported as drained.
    pub queued: BTreeMap<u32, (u32, u32)>,
}

impl Rig {
    pub fn new(places: usize) -> Self {
        let clock = Clock {
            ms: 1_000,
            wall_seconds: MODIFIED,
        };
        Self {
            server: Server::new(places, clock),
            world: World::default(),
            clock,
            sent: BTreeMap::new(),
            ends: BTreeMap::new(),
            took: BTreeMap::new(),
            queued: BTreeMap::new(),
        }
    }

    /// One round with these events; takes the commands in.
    pub fn round(&mut self, events: Vec<Event<Bytes>>) {
        for event in &events {
            if let Event::Accepted { socket } = event {
                self.sent.insert(*socket, Vec::new());
                self.ends.insert(*socket, End::Open);
                self.queued.insert(*socket, (0, 0));
            }
        }
        self.server
            .handle(self.clock, events.into_iter(), &mut self.world);
        for command in self.server.commands().drain(..) {
            let end = self.ends.entry(command.socket).or_insert(End::Open);
            match command.kind {
                CommandKind::Send => {
                    assert_eq!(*end, End::Open, "sent after the end");
                    let data = command.data.expect("a send has data");
                    assert!(!data.bytes().is_empty());
                    let queued = self.queued.get_mut(&command.socket).unwrap();
                    queued.0 += data.bytes().len() as u32;
                    queued.1 += 1;
                    assert!(queued.1 <= 64, "more buffers than the network stack takes");
                    let sent = self.sent.get_mut(&command.socket).unwrap();
                    sent.extend_from_slice(data.bytes());
                }
                CommandKind::Close => {
                    assert_eq!(*end, End::Open, "closed twice");
                    *end = End::Closed;
                }
                CommandKind::Abort => *end = End::Aborted,
                CommandKind::Took => {
                    *self.took.entry(command.socket).or_default() += command.argument
                }
            }
        }
    }

    pub fn accept(&mut self, socket: u32) {
        self.round(std::vec![Event::Accepted { socket }]);
    }

    pub fn receive(&mut self, socket: u32, bytes: &[u8]) {
        let data = Bytes::new(bytes);
        self.round(std::vec![Event::Received { socket, data }]);
    }

    /// Everything queued on a socket leaves.
    pub fn drain(&mut self, socket: u32) {
        let queued = self.queued.get_mut(&socket).unwrap();
        let (bytes, _) = core::mem::take(queued);
        self.round(std::vec![Event::Drained { socket, bytes }]);
    }

    pub fn pass(&mut self, ms: u64) {
        self.clock.ms += ms;
        self.clock.wall_seconds = MODIFIED + (self.clock.ms - 1_000) / 1_000;
    }

    /// Sends `bytes` on a fresh socket at once; what came back.
    pub fn talk(&mut self, socket: u32, bytes: &[u8]) -> Vec<u8> {
        self.accept(socket);
        self.receive(socket, bytes);
        self.finish(socket);
        self.sent[&socket].clone()
    }

    /// Lets everything leave and every waiting request be answered.
    pub fn finish(&mut self, socket: u32) {
        while self.ends[&socket] == End::Open && self.queued[&socket].0 > 0 {
            self.drain(socket);
            while self.server.deadline_ms() == 0 {
                self.round(Vec::new());
            }
        }
    }
}
