//! Messages to another component and back, of whole buffers: through the stubs, as any component
//! sends them.

use crate::calls::{look, nothing, since};
use crate::pools::own;
use crate::{PAGES, ensure};
use abi::Error;
use abi::layout::PAGE;
use bench::{RUNS, median};
use core::arch::asm;
use rt::cbuf::{Buffer, Cbuf};
use rt::time;
use stubs::cbuf_policy::Client as Policy;
use stubs::pipe::Client;

/// Messages in a new buffer each: enough for many collections.
const MANY: u64 = 2048;
/// Messages before any is measured: a tenth of a second where each takes longest.
const WARMING: u64 = 4096;
/// Buffers that the pool has for them.
const BUFFERS: usize = 64;

/// A whole buffer with the first and last word of each page written.
fn message(pages: usize, tag: u64) -> Result<Cbuf<'static>, Error> {
    let mut buffer = Buffer::alloc(rt::cbuf::client(), pages * PAGE)?;
    for page in buffer.chunks_exact_mut(PAGE) {
        page[..8].copy_from_slice(&tag.to_le_bytes());
        page[PAGE - 8..].copy_from_slice(&tag.to_le_bytes());
    }
    Ok(buffer.freeze(pages * PAGE))
}

pub fn measure() -> Result<(), Error> {
    let (pipe, policy) = (Client::bind()?, Policy::bind()?);
    let (before, ..) = policy.usage(own())?;
    for pages in PAGES {
        policy.set_pool(own(), 0)?;
        policy.set_pool(own(), (BUFFERS * pages) as u64)?;
        fill(pages)?;
        in_new_buffers(&pipe, pages)?;
        let ticks = in_new_buffers(&pipe, pages)?;
        rt::println!("BENCH round-new-{pages} {}", ticks / MANY);
    }
    policy.set_pool(own(), before)?;
    let nothing = nothing();
    for pages in PAGES {
        let sent = message(pages, 1)?;
        let mut runs = [0; RUNS];
        // The first receipts map the buffer there and make the peer known here. The others are for an
        // emulator, whose tables of addresses are as large as what was done before needed them, and
        // take long to empty at each crossing until they are small again.
        for _ in 0..WARMING {
            drop(pipe.echo(&sent)?);
        }
        for run in &mut runs {
            let begun = look!(before);
            let answer = pipe.echo(&sent)?;
            drop(answer);
            *run = since(begun, look!(after));
        }
        rt::println!("BENCH round-{pages} {}", median(runs) - nothing);
    }
    Ok(())
}

/// Has the pool hold as many buffers as it may, all of this size.
fn fill(pages: usize) -> Result<(), Error> {
    let alloc = |_| Buffer::try_alloc(rt::cbuf::client(), pages * PAGE);
    let all: [_; BUFFERS] = core::array::from_fn(alloc);
    all.into_iter().try_for_each(|one| one.map(drop))
}

/// Ticks of messages that are each sent in a new buffer.
fn in_new_buffers(pipe: &Client, pages: usize) -> Result<u64, Error> {
    let begun = time::now();
    for _ in 0..MANY {
        let buffer = Buffer::alloc(rt::cbuf::client(), pages * PAGE)?;
        drop(pipe.echo(&buffer.freeze(pages * PAGE))?);
    }
    Ok(time::now() - begun)
}

/// What comes back is what was sent, in the same place: nothing was copied.
pub fn arrive() -> Result<(), Error> {
    let pipe = Client::bind()?;
    for (tag, pages) in (7u64..).zip(PAGES) {
        let sent = message(pages, tag)?;
        let answer = pipe.echo(&sent)?;
        ensure(answer.as_ptr() == sent.as_ptr() && answer.len() == sent.len())?;
        let tagged = |page: &[u8]| page[..8] == tag.to_le_bytes() && page[PAGE - 8..] == page[..8];
        ensure(answer.chunks_exact(PAGE).all(tagged))?;
    }
    Ok(())
}

/// Nothing is held for good: the pool gives one large buffer as often as it is asked.
pub fn comes_back() -> Result<(), Error> {
    for _ in 0..8 {
        let all = [(); 2].map(|()| message(64, 3));
        for one in all {
            drop(one?);
        }
    }
    Ok(())
}
