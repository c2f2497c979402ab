//! The CGI component: generates pages in a domain of its own, invoked with many requests at
//! once. It has no thread; each page is a fresh CBUF of its pool.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use cgi::{CRASH, fill, wanted};
use core::sync::atomic::{AtomicBool, Ordering};
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
        let mut responses = Batch::with_capacity(rt::cbuf::client(), caller, count)?;
        // A record that names a buffer which is not the caller's to pass gets no answer.
        for request in requests.take(count).flatten() {
            let (status, body) = page(&request);
            responses.push(Response {
                token: request.token,
                status,
                media: TEXT,
                body,
            })?;
        }
        Ok(responses)
    }
}

/// Status and body. GET and HEAD differ in nothing here: what a HEAD answer says of its body is
/// what GET's would be, and the server keeps the body to itself.
fn page(request: &Request) -> (u32, Option<Cbuf<'static>>) {
    let query = request.query.as_deref().unwrap_or_default();
    // Relaxed: see `start`.
    if query == CRASH && MAY_CRASH.load(Ordering::Relaxed) {
        crash();
    }
    match wanted(query) {
        Ok(bytes) => made(200, bytes, fill),
        Err(why) => made(400, why.len(), |room| room.copy_from_slice(why.as_bytes())),
    }
}

/// What [`CRASH`] asks for. A function of its own, which a backtrace names.
#[cold]
#[inline(never)]
fn crash() -> ! {
    panic!("a request asked for it")
}

/// A body in a fresh buffer; 503 while the pool is exhausted, since waiting here would keep the
/// server from the very events that free memory.
fn made(status: u32, bytes: usize, write: impl FnOnce(&mut [u8])) -> (u32, Option<Cbuf<'static>>) {
    if bytes == 0 {
        return (status, None);
    }
    match Buffer::try_alloc(rt::cbuf::client(), bytes) {
        Ok(mut buffer) => {
            write(&mut buffer[..bytes]);
            (status, Some(buffer.freeze(bytes)))
        }
        Err(_) => (503, None),
    }
}
