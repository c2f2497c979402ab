//! The content component: puts files into CBUFs at START and hands references out; a lookup of a file
//! that is kept copies nothing. Large files are kept while the pool has room for them; otherwise they
//! are made again piece by piece, as large as there is memory for. A thread, where the image gives it
//! one, lets go of them when the pool was made smaller, though nobody asks for any.
//! The argument `largest=BYTES` leaves larger files out.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use content::{FILES, File, MISSING, Source, lookup};
use core::time::Duration;
use rt::abi::start::StartInfo;
use rt::abi::{ComponentId, Error};
use rt::cbuf::{Batch, Buffer, Cbuf, Incoming};
use rt::sync::Mutex;
use spin::Once;
use stubs::content::{Found, INTERFACE, Lookup, Server, serve};

rt::component! {
    start: start,
    thread: main,
    serve: { INTERFACE => answer }
}

/// Most paths answered in one invocation.
const LOOKUPS_MAX: usize = 1024;
/// Files up to this length are always kept; the pool's least size has room for them.
const SMALL: usize = 64 << 10;
/// How often the thread looks whether the pool was made smaller: as often as a policy may do that.
const TURN: Duration = Duration::from_millis(250);
/// The longest and the shortest piece of a file that is not kept.
const PIECE_MOST: usize = 64 << 10;
const PIECE_LEAST: usize = 4 << 10;

/// A file that everyone may read.
struct Kept {
    body: Body,
    tag: u64,
}

enum Body {
    Small(Cbuf<'static>),
    /// `None` while it is not kept.
    Large(Mutex<Option<Cbuf<'static>>>),
}

struct Shelf {
    /// As in [`FILES`].
    files: heapless::Vec<Option<Kept>, { FILES.len() }>,
    /// Files are as old as the machine: seconds since 1970.
    modified: u64,
}

static SHELF: Once<Shelf> = Once::new();

fn start(_: &'static StartInfo) -> Result<(), Error> {
    SHELF.try_call_once(fill).map(|_| ())
}

fn fill() -> Result<Shelf, Error> {
    let largest = match rt::info::argument("largest").map(str::parse) {
        None => usize::MAX,
        Some(Ok(bytes)) => bytes,
        Some(Err(_)) => return Err(Error::BadArgument),
    };
    let mut files = heapless::Vec::new();
    for (at, file) in FILES.iter().enumerate() {
        let bytes = file.source.bytes();
        let kept = if bytes > largest && at != MISSING {
            None
        } else {
            // Waiting would not help: nobody gives back what only this component has.
            let body = made(file, 0, bytes);
            let body = if bytes > SMALL {
                Body::Large(Mutex::new(body.ok()))
            } else {
                let body = body.inspect_err(|error| {
                    rt::println!("the pool has no room for {}: {error}", file.path);
                })?;
                Body::Small(body)
            };
            let tag = file.source.tag();
            Some(Kept { body, tag })
        };
        // As many places as files.
        files.push(kept).map_err(|_| Error::NoMemory)?;
    }
    Ok(Shelf {
        files,
        modified: rt::time::wall_seconds(),
    })
}

/// A part of a file in a fresh buffer.
fn made(file: &File, from: usize, bytes: usize) -> Result<Cbuf<'static>, Error> {
    let mut buffer = Buffer::try_alloc(rt::cbuf::client(), bytes)?;
    file.source.write(from, &mut buffer[..bytes]);
    Ok(buffer.freeze(bytes))
}

fn main(_: u64) -> ! {
    loop {
        // A pool that cannot be asked for now is asked for in the next turn.
        let _ = SHELF.get().map(Shelf::give_way);
        if rt::sched::block(rt::time::after(TURN)).is_err() {
            rt::component::stop()
        }
    }
}

fn answer(call: rt::Call) -> rt::Reply {
    match SHELF.get() {
        Some(shelf) => serve(shelf, call),
        None => Err(Error::BadState),
    }
}

impl Shelf {
    /// Lets go of large files where the pool was made smaller than what it holds: what is needed
    /// to answer would not be there.
    fn give_way(&self) -> Result<(), Error> {
        for kept in self.files.iter().flatten() {
            let Body::Large(place) = &kept.body else {
                continue;
            };
            let mut place = place.lock();
            if place.is_some() {
                let (limit, held) = stubs::cbuf::Client::bind()?.pool()?;
                if held > limit {
                    *place = None;
                }
            }
        }
        Ok(())
    }

    /// What is to be had of a file from one of its bytes on; [`Error::NoMemory`] now.
    fn part(&self, file: &File, body: &Body, from: usize) -> Result<Option<Cbuf<'static>>, Error> {
        let bytes = file.source.bytes();
        if from >= bytes {
            return Ok(None);
        }
        let large = match body {
            Body::Small(body) => return Ok(Some(body.slice(from..bytes))),
            Body::Large(place) => place.lock(),
        };
        if let Some(body) = &*large {
            return Ok(Some(body.slice(from..bytes)));
        }
        drop(large);
        if let Some(body) = self.beginning(file, from) {
            return Ok(Some(body));
        }
        let mut piece = PIECE_MOST;
        loop {
            match made(file, from, piece.min(bytes - from)) {
                Err(Error::NoMemory) if piece > PIECE_LEAST => piece /= 2,
                made => return made.map(Some),
            }
        }
    }

    /// A generated file that is kept is the beginning of all longer ones.
    fn beginning(&self, file: &File, from: usize) -> Option<Cbuf<'static>> {
        let generated = |file: &File| matches!(file.source, Source::Generated(_));
        let others = FILES.iter().zip(&self.files);
        let mut kept = others.filter_map(|(other, kept)| {
            let bytes = other.source.bytes();
            match &kept.as_ref()?.body {
                Body::Small(body) if generated(other) && bytes > from => Some((body, bytes)),
                _ => None,
            }
        });
        let (body, bytes) = kept.next().filter(|_| generated(file))?;
        Some(body.slice(from..bytes))
    }
}

impl Server for Shelf {
    fn lookup(
        &self,
        caller: ComponentId,
        paths: Incoming<'static, Lookup>,
    ) -> Result<Batch<'static, Found>, Error> {
        if paths.is_empty() {
            return Ok(Batch::none());
        }
        self.give_way()?;
        let count = paths.len().min(LOOKUPS_MAX);
        let mut found = Batch::try_with_capacity(rt::cbuf::client(), caller, count)?;
        // A record that names a buffer which is not the caller's to pass gets no answer.
        for asked in paths.take(count).flatten() {
            let path = asked.path.as_deref().unwrap_or_default();
            let kept = |at: usize| Some((at, self.files.get(at)?.as_ref()?));
            let (status, (at, file)) = match lookup(path).and_then(kept) {
                Some(found) => (200, found),
                None => (404, kept(MISSING).ok_or(Error::BadState)?),
            };
            let (status, body) = match self.part(&FILES[at], &file.body, asked.from as usize) {
                Ok(body) => (status, body),
                Err(_) => (503, None),
            };
            found.push(Found {
                token: asked.token,
                status,
                media: FILES[at].media,
                modified: self.modified,
                tag: file.tag,
                bytes: FILES[at].source.bytes() as u32,
                body,
            })?;
        }
        Ok(found)
    }
}
