//! The CGI component: generates pages in a domain of its own, invoked with many requests at
//! once. It has no thread; each page is a fresh CBUF of its pool, or as much of the page as the pool
//! has room for: what follows is asked for when that has left.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use cgi::{BLOCK, BYTES_MAX, CRASH, fill, wanted};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use rt::abi::start::StartInfo;
use rt::abi::{ComponentId, Error};
use rt::cbuf::{Batch, Buffer, Cbuf, Incoming};
use stubs::cgi::{INTERFACE, Request, Response, Server, serve};

rt::component! {
    start: start,
    serve: { INTERFACE => run }
}

/// Most requests answered in one invocation.
const REQUESTS_MAX: usize = 1024;

const TEXT: u32 = 2;
/// The request's method, whose answer says how long the page is and shows nothing of it.
const HEAD: u32 = 2;

/// The shortest part of a page.
const PART_LEAST: usize = 4096;
/// The longest part that there was room for last; a longer one is tried again with the next.
static FOUND: AtomicUsize = AtomicUsize::new(BYTES_MAX);

/// The description allows [`CRASH`].
static MAY_CRASH: AtomicBool = AtomicBool::new(false);

fn start(_: &'static StartInfo) -> Result<(), Error> {
    let may_crash = rt::info::argument("crash") == Some("yes");
    // Relaxed: START comes before any request.
    MAY_CRASH.store(may_crash, Ordering::Relaxed);
    Ok(())
}

fn run(call: rt::Call) -> rt::Reply {
    serve(&Pages, call)
}

struct Pages;

impl Server for Pages {
    fn run(
        &self,
        caller: ComponentId,
        requests: Incoming<'static, Request>,
    ) -> Result<Batch<'static, Response>, Error> {
        if requests.is_empty() {
            return Ok(Batch::none());
        }
        let count = requests.len().min(REQUESTS_MAX);
        let mut responses = Batch::try_with_capacity(rt::cbuf::client(), caller, count)?;
        // A record that names a buffer which is not the caller's to pass gets no answer.
        for request in requests.take(count).flatten() {
            let (status, bytes, body) = page(&request);
            responses.push(Response {
                token: request.token,
                status,
                media: TEXT,
                bytes: bytes as u32,
                body,
            })?;
        }
        Ok(responses)
    }
}

/// Status, length and body, or what there is room for of the body.
fn page(request: &Request) -> (u32, usize, Option<Cbuf<'static>>) {
    let query = request.query.as_deref().unwrap_or_default();
    // Relaxed: see `start`.
    if query == CRASH && MAY_CRASH.load(Ordering::Relaxed) {
        crash();
    }
    let from = request.from as usize;
    match wanted(query) {
        Ok(bytes) if from < bytes && from.is_multiple_of(BLOCK) => {
            let wanted = match request.method {
                HEAD => (bytes - from).min(PART_LEAST),
                _ => bytes - from,
            };
            match part(from, wanted) {
                Ok(part) => (200, bytes, Some(part)),
                Err(_) => (503, bytes, None),
            }
        }
        Ok(0) => (200, 0, None),
        Ok(_) => said("There is no such part of the page.\n"),
        Err(why) => said(why),
    }
}

/// What [`CRASH`] asks for. A function of its own, which a backtrace names.
#[cold]
#[inline(never)]
fn crash() -> ! {
    panic!("a request asked for it")
}

/// Up to `wanted` bytes of a page in a fresh buffer. [`Error::NoMemory`] while the pool is exhausted,
/// since waiting here would keep the server from the very events that free memory.
fn part(from: usize, wanted: usize) -> Result<Cbuf<'static>, Error> {
    let mut bytes = wanted;
    if wanted > PART_LEAST {
        // Relaxed: a hint.
        bytes = wanted.min(2 * FOUND.load(Ordering::Relaxed));
    }
    loop {
        match Buffer::try_alloc(rt::cbuf::client(), bytes) {
            Ok(mut buffer) => {
                if wanted > PART_LEAST {
                    FOUND.store(bytes.next_power_of_two(), Ordering::Relaxed);
                }
                fill(from, &mut buffer[..bytes]);
                return Ok(buffer.freeze(bytes));
            }
            Err(Error::NoMemory) if bytes > PART_LEAST => {
                bytes = (bytes.next_power_of_two() / 2).max(PART_LEAST);
            }
            Err(error) => return Err(error),
        }
    }
}

/// What is wrong with a request.
fn said(why: &str) -> (u32, usize, Option<Cbuf<'static>>) {
    match Buffer::try_alloc(rt::cbuf::client(), why.len()) {
        Ok(mut buffer) => {
            buffer[..why.len()].copy_from_slice(why.as_bytes());
            (400, why.len(), Some(buffer.freeze(why.len())))
        }
        Err(_) => (503, 0, None),
    }
}
