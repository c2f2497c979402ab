//! The content component: puts every file into a CBUF at START and hands references out. It
//! has no thread; a lookup copies nothing.

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
    files: heapless::Vec<Kept, { FILES.len() }>,
    /// Files are as old as the machine: seconds since 1970.
    modified: u64,
}

static SHELF: Once<Shelf> = Once::new();

fn start(_: &'static StartInfo) -> Result<(), Error> {
    SHELF.try_call_once(fill).map(|_| ())
}

fn fill() -> Result<Shelf, Error> {
    let mut files = heapless::Vec::new();
    for file in &FILES {
        let bytes = file.source.bytes();
        // Waiting would not help: nobody gives back what only this component has.
        let mut buffer = Buffer::try_alloc(rt::cbuf::client(), bytes).inspect_err(|error| {
            rt::println!("the pool has no room for {}: {error}", file.path);
        })?;
        file.source.write(&mut buffer[..bytes]);
        let tag = tag(&buffer[..bytes]);
        let body = buffer.freeze(bytes);
        // As many places as files.
        files
            .push(Kept { body, tag })
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
            let (status, at) = match lookup(path) {
                Some(at) => (200, at),
                None => (404, MISSING),
            };
            found.push(Found {
                token: asked.token,
                status,
                media: FILES[at].media,
                modified: self.modified,
                tag: self.files[at].tag,
                body: Some(self.files[at].body.clone()),
            })?;
        }
        Ok(found)
    }
}
