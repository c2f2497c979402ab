//! The content component: puts every file into a CBUF at START and hands references out. It
//! has no thread; a lookup copies nothing. The argument `largest=BYTES` leaves larger files out.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use content::{FILES, MISSING, lookup, tag};
use rt::abi::start::StartInfo;
use rt::abi::{ComponentId, Error};
use rt::cbuf::{Batch, Buffer, Cbuf, Incoming};
use spin::Once;
use stubs::content::{Found, INTERFACE, Lookup, Server, serve};

rt::component! {
    start: start,
    serve: { INTERFACE => answer }
}

/// Most paths answered in one invocation.
const LOOKUPS_MAX: usize = 1024;

/// A file in memory that everyone may read.
struct Kept {
    body: Cbuf<'static>,
    tag: u64,
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
        if bytes > largest && at != MISSING {
            files.push(None).map_err(|_| Error::NoMemory)?;
            continue;
        }
        // Waiting would not help: nobody gives back what only this component has.
        let mut buffer = Buffer::try_alloc(rt::cbuf::client(), bytes).inspect_err(|error| {
            rt::println!("the pool has no room for {}: {error}", file.path);
        })?;
        file.source.write(&mut buffer[..bytes]);
        let tag = tag(&buffer[..bytes]);
        let body = buffer.freeze(bytes);
        // As many places as files.
        files
            .push(Some(Kept { body, tag }))
            .map_err(|_| Error::NoMemory)?;
    }
    Ok(Shelf {
        files,
        modified: rt::time::wall_seconds(),
    })
}

fn answer(call: rt::Call) -> rt::Reply {
    match SHELF.get() {
        Some(shelf) => serve(shelf, call),
        None => Err(Error::BadState),
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
        let count = paths.len().min(LOOKUPS_MAX);
        let mut found = Batch::with_capacity(rt::cbuf::client(), caller, count)?;
        // A record that names a buffer which is not the caller's to pass gets no answer.
        for asked in paths.take(count).flatten() {
            let path = asked.path.as_deref().unwrap_or_default();
            let kept = |at: usize| Some((at, self.files.get(at)?.as_ref()?));
            let (status, (at, file)) = match lookup(path).and_then(kept) {
                Some(found) => (200, found),
                None => (404, kept(MISSING).ok_or(Error::BadState)?),
            };
            found.push(Found {
                token: asked.token,
                status,
                media: FILES[at].media,
                modified: self.modified,
                tag: file.tag,
                body: Some(file.body.clone()),
            })?;
        }
        Ok(found)
    }
}
