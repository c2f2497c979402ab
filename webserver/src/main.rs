//! The web server component: the loop around [`webserver::server::Server`], and its world made
//! of invocations. One invocation of `net` a round; all else only for what is not yet known.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::vec::Vec;
use core::ops::Range;
use core::time::Duration;

use abi::Error;
use abi::op::kernel::stat;
use abi::start::StartInfo;
use observe::served::Which;
use rt::abi;
use rt::cbuf::{Batch, Cbuf};
use stubs::{cbuf, cgi, content, net, observe as observer, sched, stitch, supervisor};
use webserver::platform::{
    Buffer, Clock, Event, Format, Found, Lack, Lookup, Machine, PAGE_BYTES, Page, Piece, Platform,
    Run, Stretch,
};
use webserver::server::Server;
use webserver::settings::Settings;

rt::component! {
    start: start,
    thread: main,
    serve: {}
}

/// Most commands handed over in one invocation: eight pages of them.
const COMMANDS_MAX: usize = 1360;
/// Most questions in one invocation of the content or the CGI component.
const ASK_MAX: usize = 128;
/// Most pieces of uploads in one invocation.
const PIECES_MAX: usize = 512;
const RESTART: Duration = Duration::from_secs(1);
/// Between two tries to find a page for commands.
const RETRY: Duration = Duration::from_millis(2);

fn start(_: &'static StartInfo) -> Result<(), Error> {
    Ok(())
}

fn main(_: u64) -> ! {
    let settings = Settings::parse(rt::arguments()).unwrap_or_else(|why| {
        rt::println!("arguments ignored: {why}");
        Settings::default()
    });
    loop {
        // Only a failure ends it: the network stack died, or there is no pool to speak of.
        let error = match run(settings) {
            Ok(never) => match never {},
            Err(error) => error,
        };
        rt::println!("starting again: {error}");
        // Without a scheduler there is nobody to wait with; the next attempt says so too.
        let _ = rt::sched::block(rt::time::after(RESTART));
    }
}

fn run(settings: Settings) -> Result<core::convert::Infallible, Error> {
    let net = net::Client::bind()?;
    let timer = Timer::new();
    let mut world = World::new(net);
    let mut server = Server::<World>::new(settings.sockets.into(), timer.clock());
    net.listen(settings.port.into(), settings.sockets.into())?;
    rt::println!("listening on port {}", settings.port);
    loop {
        let commands = server.commands();
        let batch = world.handed_over(commands.len().min(COMMANDS_MAX))?;
        let short = !commands.is_empty() && batch.is_none();
        let mut batch = batch.unwrap_or(Batch::none());
        let count = commands.len().min(batch.capacity());
        if count > 0 {
            for command in commands.drain(..count) {
                batch.push(net::Command {
                    kind: command.kind as u32,
                    socket: command.socket,
                    argument: command.argument,
                    data: command.data.map(|data| data.0),
                })?;
            }
        }
        let deadline = match commands.is_empty() {
            true => timer.deadline(server.deadline_ms()),
            // What others hold comes back.
            false if short => rt::time::after(RETRY),
            false => 0,
        };
        let events = net.exchange(batch, deadline)?;
        let events = events.filter_map(|event| event.ok().and_then(understood));
        world.set_aside()?;
        server.handle(timer.clock(), events, &mut world);
    }
}

/// An event of the interface; `None` for a kind that it does not have, or without its data.
fn understood(event: net::Event) -> Option<Event<Shared>> {
    let socket = event.socket;
    Some(match event.kind {
        1 => Event::Accepted { socket },
        2 => Event::Received {
            socket,
            data: Shared(event.data?),
        },
        3 => Event::Drained {
            socket,
            bytes: event.argument,
        },
        4 => Event::PeerClosed { socket },
        5 => Event::Gone { socket },
        _ => return None,
    })
}

/// Milliseconds out of time-stamps and back.
struct Timer {
    ticks_per_ms: u64,
}

impl Timer {
    fn new() -> Self {
        Self {
            ticks_per_ms: (rt::time::hz() / 1000).max(1),
        }
    }
    fn clock(&self) -> Clock {
        Clock {
            ms: rt::time::now() / self.ticks_per_ms,
            wall_seconds: rt::time::wall_seconds(),
        }
    }
    fn deadline(&self, ms: u64) -> u64 {
        // A millisecond more, so that the moment has come when the wait ends.
        match ms {
            0 => 0,
            ms => ms.saturating_add(1).saturating_mul(self.ticks_per_ms),
        }
    }
}

/// A CBUF as the server's logic sees it.
#[derive(Clone)]
struct Shared(Cbuf<'static>);

impl Buffer for Shared {
    fn bytes(&self) -> &[u8] {
        &self.0
    }
    fn slice(&self, range: Range<usize>) -> Self {
        Self(self.0.slice(range))
    }
}

/// Who can be invoked. What the image does not offer is `None`, and its pages are 502.
struct World {
    net: net::Client,
    /// Memory for the next commands, set aside before anything else takes some: a server that waited
    /// for memory of its own here would wait for itself.
    spare: Option<Batch<'static, net::Command>>,
    content: Option<content::Client>,
    cgi: Option<cgi::Client>,
    sched: Option<sched::Client>,
    cbuf: Option<cbuf::Client>,
    observer: Option<observer::Client>,
    stitch: Option<stitch::Client>,
    supervisor: Option<supervisor::Client>,
}

impl World {
    fn new(net: net::Client) -> Self {
        Self {
            net,
            spare: None,
            content: content::Client::bind().ok(),
            cgi: cgi::Client::bind().ok(),
            sched: sched::Client::bind().ok(),
            cbuf: cbuf::Client::bind().ok(),
            observer: observer::Client::bind().ok(),
            stitch: stitch::Client::bind().ok(),
            supervisor: supervisor::Client::bind().ok(),
        }
    }

    /// Sees to it that there is a page for commands, if there is one to have.
    fn set_aside(&mut self) -> Result<(), Error> {
        if self.spare.is_none() {
            match Batch::try_with_capacity(rt::cbuf::client(), self.net.peer(), 1) {
                Ok(page) => self.spare = Some(page),
                Err(Error::NoMemory) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// A batch for so many commands, or as many as there is memory for; `None` for none at all.
    fn handed_over(
        &mut self,
        commands: usize,
    ) -> Result<Option<Batch<'static, net::Command>>, Error> {
        if commands == 0 {
            return Ok(None);
        }
        self.set_aside()?;
        let few = self
            .spare
            .as_ref()
            .is_some_and(|s| commands <= s.capacity());
        if !few {
            let client = rt::cbuf::client();
            match Batch::try_with_capacity(client, self.net.peer(), commands) {
                Ok(batch) => return Ok(Some(batch)),
                Err(Error::NoMemory) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.spare.take())
    }

    fn lookup_some(
        &self,
        asked: impl ExactSizeIterator<Item = Lookup<Shared>>,
        found: &mut Vec<Found<Shared>>,
    ) -> Result<(), Error> {
        let content = self.content.as_ref().ok_or(Error::NotFound)?;
        let mut batch = Batch::try_with_capacity(rt::cbuf::client(), content.peer(), asked.len())?;
        for lookup in asked {
            batch.push(content::Lookup {
                token: lookup.token,
                path: Some(lookup.path.0),
                from: lookup.from,
            })?;
        }
        found.extend(content.lookup(batch)?.flatten().map(|f| Found {
            token: f.token,
            status: f.status,
            media: f.media,
            modified: f.modified,
            tag: f.tag,
            bytes: f.bytes,
            body: f.body.map(Shared),
        }));
        Ok(())
    }

    fn run_some(
        &self,
        asked: impl ExactSizeIterator<Item = Run<Shared>>,
        pages: &mut Vec<Page<Shared>>,
    ) -> Result<(), Error> {
        let cgi = self.cgi.as_ref().ok_or(Error::NotFound)?;
        let mut batch = Batch::try_with_capacity(rt::cbuf::client(), cgi.peer(), asked.len())?;
        for run in asked {
            batch.push(cgi::Request {
                token: run.token,
                method: if run.head_only { 2 } else { 1 },
                query: run.query.map(|query| query.0),
                from: run.from,
            })?;
        }
        pages.extend(cgi.run(batch)?.flatten().map(|p| Page {
            token: p.token,
            status: p.status,
            media: p.media,
            bytes: p.bytes,
            body: p.body.map(Shared),
        }));
        Ok(())
    }
}

impl World {
    fn reported(&self, format: Format, own: &[(u32, u64)]) -> Result<(u32, Shared), Error> {
        let observer = self.observer.as_ref().ok_or(Error::NotFound)?;
        let net = self.net.counters().ok();
        let net = net.map(|(copied, received, sent, sockets)| {
            [
                (Which::NetCopied as u32, copied),
                (Which::FramesReceived as u32, received),
                (Which::FramesSent as u32, sent),
                (Which::Sockets as u32, sockets),
            ]
        });
        let all = own.iter().chain(net.as_ref().into_iter().flatten());
        let client = rt::cbuf::client();
        let mut batch = Batch::try_with_capacity(client, observer.peer(), all.clone().count())?;
        for &(which, value) in all {
            batch.push(observer::Figure { which, value })?;
        }
        let (media, body) = observer.report(format as u32, batch)?;
        Ok((media, Shared(body)))
    }

    fn stitched(
        &self,
        pieces: &mut Vec<Piece<Shared>>,
        stretches: &mut Vec<Stretch<Shared>>,
    ) -> Result<(), Error> {
        let stitch = self.stitch.as_ref().ok_or(Error::NotFound)?;
        loop {
            let some = pieces.drain(..pieces.len().min(PIECES_MAX));
            let mut batch = Batch::none();
            if some.len() > 0 {
                batch = Batch::with_capacity(rt::cbuf::client(), stitch.peer(), some.len())?;
            }
            for piece in some {
                batch.push(stitch::Piece {
                    job: piece.job,
                    kind: piece.kind as u32,
                    argument: piece.argument,
                    data: piece.data.map(|data| data.0),
                })?;
            }
            let told = stitch.exchange(batch)?;
            stretches.extend(told.flatten().map(|s| Stretch {
                job: s.job,
                status: s.status,
                media: s.media,
                more: s.more,
                timing: s.timing.map(Shared),
                body: s.body.map(Shared),
            }));
            if pieces.is_empty() {
                return Ok(());
            }
        }
    }

    fn chosen(&self, words: &[u8]) -> Result<(u32, Shared), Error> {
        let observer = self.observer.as_ref().ok_or(Error::NotFound)?;
        let mut page = rt::cbuf::Buffer::try_alloc(rt::cbuf::client(), words.len().max(1))?;
        page[..words.len()].copy_from_slice(words);
        let (status, body) = observer.choose(&page.freeze(words.len()))?;
        Ok((status, Shared(body)))
    }
}

impl Platform for World {
    type Buffer = Shared;
    type Page = rt::cbuf::Buffer<'static>;

    fn page(&mut self) -> Option<Self::Page> {
        // Heads would have to wait for what hands them over, and nobody else frees them.
        self.spare.as_ref()?;
        rt::cbuf::Buffer::try_alloc(rt::cbuf::client(), PAGE_BYTES).ok()
    }

    fn freeze(&mut self, page: Self::Page, bytes: usize) -> Shared {
        Shared(page.freeze(bytes))
    }

    fn lookup(&mut self, asked: &mut Vec<Lookup<Shared>>, found: &mut Vec<Found<Shared>>) -> bool {
        let mut short = false;
        while !asked.is_empty() {
            let some = asked.drain(..asked.len().min(ASK_MAX));
            match self.lookup_some(some, found) {
                Err(Error::NoMemory) => short = true,
                Err(error) => rt::println!("content: {error}"),
                Ok(()) => {}
            }
        }
        short
    }

    fn run(&mut self, asked: &mut Vec<Run<Shared>>, pages: &mut Vec<Page<Shared>>) -> bool {
        let mut short = false;
        while !asked.is_empty() {
            let some = asked.drain(..asked.len().min(ASK_MAX));
            match self.run_some(some, pages) {
                Err(Error::NoMemory) => short = true,
                Err(error) => rt::println!("cgi: {error}"),
                Ok(()) => {}
            }
        }
        short
    }

    fn report(&mut self, format: Format, own: &[(u32, u64)]) -> Result<(u32, Shared), Lack> {
        self.reported(format, own).map_err(|error| match error {
            Error::NoMemory => Lack::Memory,
            error => {
                rt::println!("observe: {error}");
                Lack::Answer
            }
        })
    }

    fn choose(&mut self, words: &[u8]) -> Option<(u32, Shared)> {
        let chosen = self.chosen(words);
        chosen
            .inspect_err(|error| rt::println!("observe: {error}"))
            .ok()
    }

    fn stitch(
        &mut self,
        pieces: &mut Vec<Piece<Shared>>,
        stretches: &mut Vec<Stretch<Shared>>,
    ) -> bool {
        // An image without a darkroom has nothing to complain of.
        let told = self.stitched(pieces, stretches);
        if let Err(error) = told
            && self.stitch.is_some()
        {
            rt::println!("darkroom: {error}");
        }
        told.is_ok()
    }

    fn ticks() -> u64 {
        rt::time::now()
    }

    fn ticks_per_second() -> u64 {
        rt::time::hz()
    }

    fn waiting(&mut self) -> u32 {
        self.net.waiting().unwrap_or(0)
    }

    fn machine(&mut self) -> Machine {
        let kernel = |which: u64| {
            let sched = self.sched.as_ref()?;
            sched.kernel_stat(which as u32).ok()
        };
        let net = self.net.counters().ok();
        let memory = self.cbuf.as_ref().and_then(|cbuf| cbuf.memory().ok());
        let free = self.supervisor.as_ref().and_then(|s| s.free_pages().ok());
        Machine {
            space_switches: kernel(stat::SPACE_SWITCHES),
            invocations: kernel(stat::INVOCATIONS),
            capabilities: kernel(stat::CAPABILITIES),
            net: net.map(|(copied, received, sent, sockets)| [copied, received, sent, sockets]),
            cbuf_pages: memory.map(|(free, total, live, pooled)| [free, total, live, pooled]),
            free_pages: free,
        }
    }
}
