//! The paper's four calls, each by itself, in ticks of the time-stamp counter: with QEMU's
//! `-icount shift=0`, one for each instruction.

use crate::{PAGES, ensure};
use abi::layout::PAGE;
use abi::{ComponentId, Error};
use bench::{RUNS, median};
use core::arch::asm;
use libcbuf::Client;
use libcbuf::meta::CbufId;

/// The low half of the time-stamp counter, which is enough, read before anything is done with
/// some variables, and after others are known: so the compiler moves nothing into what is
/// measured, nor out of it.
macro_rules! look {
    (before $($pending:ident),*) => {{
        let low: u32;
        // SAFETY: reads a counter, which is allowed outside the kernel.
        unsafe {
            asm!(
                concat!("rdtsc", $("/* {", stringify!($pending), ":r} */",)*),
                $($pending = inlateout(reg) $pending,)*
                out("eax") low, out("edx") _, options(nostack, preserves_flags),
            );
        }
        low
    }};
    (after $($done:ident),*) => {{
        let low: u32;
        // SAFETY: as above.
        unsafe {
            asm!(
                concat!("rdtsc", $("/* {", stringify!($done), ":r} */",)*),
                $($done = in(reg) $done,)*
                out("eax") low, out("edx") _, options(nostack, preserves_flags),
            );
        }
        low
    }};
}
pub(crate) use look;

pub fn since(begun: u32, ended: u32) -> u64 {
    u64::from(ended.wrapping_sub(begun))
}

/// Ticks between two looks at the counter and nothing else.
pub fn nothing() -> u64 {
    let mut runs = [0; RUNS];
    for run in &mut runs {
        let begun = look!(before);
        *run = since(begun, look!(after));
    }
    median(runs)
}

/// What the calls of one size cost.
#[derive(Clone, Copy, Default)]
struct Costs {
    alloc: u64,
    free: u64,
    send_first: u64,
    send: u64,
    receive: u64,
    alloc_many: u64,
    free_many: u64,
}

type Held = (*mut u8, CbufId);

#[inline(never)]
pub fn timed_alloc(client: &Client, mut bytes: usize) -> Result<(Held, u64), Error> {
    let begun = look!(before bytes);
    let (address, CbufId(id)) = client.cbuf_alloc(bytes)?;
    let ended = look!(after address, id);
    Ok(((address, CbufId(id)), since(begun, ended)))
}

#[inline(never)]
fn timed_free(client: &Client, id: CbufId) -> u64 {
    let mut id = id.0;
    let begun = look!(before id);
    // SAFETY: the callers' own, and given up.
    unsafe { client.cbuf_free(CbufId(id)) };
    since(begun, look!(after))
}

/// Ticks of a send of what was allocated, and still is.
#[inline(never)]
fn timed_send(client: &Client, id: CbufId, to: ComponentId) -> u64 {
    let (mut id, mut to) = (id.0, to.0);
    let begun = look!(before id, to);
    // SAFETY: the callers' own.
    unsafe { client.cbuf_send(CbufId(id), ComponentId(to)) };
    since(begun, look!(after))
}

/// The sender is known already, as it is in a stub.
#[inline(never)]
fn timed_receive(
    client: &Client,
    id: CbufId,
    mut len: u32,
    peer: &rt::Import,
) -> Result<u64, Error> {
    let (mut id, from) = (id.0, peer.peer);
    let begun = look!(before id, len);
    let address = client.cbuf2buf(CbufId(id), 0, len, from)?;
    let ended = look!(after address);
    Ok(since(begun, ended))
}

/// Buffers held at once: most of them pass through the freelist.
const MANY: usize = 32;

/// Allocates many and frees all: the ticks of an allocation and of a free, on average.
fn many(client: &Client, bytes: usize, nothing: u64) -> Result<[u64; 2], Error> {
    let mut held = [CbufId::NONE; MANY];
    let mut ticks = [0; 2];
    for place in &mut held {
        let ((_, id), took) = timed_alloc(client, bytes)?;
        *place = id;
        ticks[0] += took.saturating_sub(nothing);
    }
    for id in held {
        ticks[1] += timed_free(client, id).saturating_sub(nothing);
    }
    Ok(ticks.map(|ticks| ticks / MANY as u64))
}

fn costs(pages: usize, peer: &rt::Import) -> Result<Costs, Error> {
    let client = rt::cbuf::client();
    let (bytes, nothing) = (pages * PAGE, nothing());
    let mut runs = [[0; RUNS]; 7];
    let mut run = 0;
    // Twice as often: the first half brings buffers to where they are found later.
    for round in 0..2 * RUNS {
        let ((_, id), alloc) = timed_alloc(client, bytes)?;
        let free = timed_free(client, id);
        let ((_, id), _) = timed_alloc(client, bytes)?;
        let send_first = timed_send(client, id, peer.peer);
        // Each send reaches the peer, which sends the buffer back.
        let received = receive_back(client, id, bytes, peer)?;
        let send = timed_send(client, id, peer.peer);
        ensure(receive_back(client, id, bytes, peer).is_ok())?;
        // SAFETY: our first reference.
        unsafe { client.cbuf_free(id) };
        if round >= RUNS {
            let each = [alloc, free, send_first, send, received];
            for (figure, ticks) in runs.iter_mut().zip(each) {
                figure[run] = ticks - nothing;
            }
            run += 1;
        }
    }
    // By themselves: where a pool is full, what was sent would have to be collected for them.
    let mut run = 0;
    for round in 0..2 * RUNS {
        let each = many(client, bytes, nothing)?;
        if round >= RUNS {
            for (figure, ticks) in runs[5..].iter_mut().zip(each) {
                figure[run] = ticks;
            }
            run += 1;
        }
    }
    let [
        alloc,
        free,
        send_first,
        send,
        receive,
        alloc_many,
        free_many,
    ] = runs.map(median);
    Ok(Costs {
        alloc,
        free,
        send_first,
        send,
        receive,
        alloc_many,
        free_many,
    })
}

/// Passes on what was sent to the peer, and receives what it answers; ticks of the receipt.
fn receive_back(
    client: &Client,
    id: CbufId,
    bytes: usize,
    peer: &rt::Import,
) -> Result<u64, Error> {
    let sent = rt::cbuf::CbufRef {
        id: id.0,
        offset: 0,
        len: bytes as u32,
    };
    let [low, high] = sent.to_words();
    let echo = stubs::pipe::method::ECHO;
    let answer = rt::invoke(peer.entry, echo, [low, high, 0, 0])?;
    ensure(answer[..2] == [low, high])?;
    let ticks = timed_receive(client, id, bytes as u32, peer)?;
    // SAFETY: received just now.
    unsafe { client.cbuf_free(id) };
    Ok(ticks)
}

pub fn measure() -> Result<(), Error> {
    let peer = rt::import(stubs::pipe::NAME).ok_or(Error::NotFound)?;
    for pages in PAGES {
        let costs = costs(pages, &peer)?;
        for (name, ticks) in [
            ("alloc", costs.alloc),
            ("free", costs.free),
            ("send-first", costs.send_first),
            ("send", costs.send),
            ("receive", costs.receive),
            ("alloc-many", costs.alloc_many),
            ("free-many", costs.free_many),
        ] {
            rt::println!("BENCH {name}-{pages} {ticks}");
        }
    }
    Ok(())
}
