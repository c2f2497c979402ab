//! Buffers that their own producer cannot write once it has sent them.

use crate::ensure;
use abi::Error;
use abi::layout::PAGE;
use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};
use rt::cbuf::{Buffer, Cbuf, CbufRef};
use rt::fault::{Fault, Verdict};

/// Where the write that must fail goes; 0 when it failed, or none is tried.
static FORBIDDEN: AtomicU64 = AtomicU64::new(0);
/// Bytes of the instruction that writes.
const WRITE: u64 = 3;
/// Large, so that few exhaust the pool.
const PAGES: usize = 64;

/// The write that was expected to fail is left out.
pub fn fault(fault: &mut Fault) -> Verdict {
    // Relaxed: the same thread wrote it.
    if fault.address == 0 || FORBIDDEN.load(Ordering::Relaxed) != fault.address {
        return Verdict::GiveUp;
    }
    FORBIDDEN.store(0, Ordering::Relaxed);
    fault.rip += WRITE;
    Verdict::Resume
}

/// Sends a buffer, sealed, to the peer, which sends it back.
fn there_and_back(cbuf: &Cbuf<'static>) -> Result<Cbuf<'static>, Error> {
    let peer = rt::import(stubs::pipe::NAME).ok_or(Error::NotFound)?;
    let [low, high] = cbuf.send_sealed(peer.peer)?.to_words();
    let echo = stubs::pipe::method::ECHO;
    let answer = rt::invoke(peer.entry, echo, [low, high, 0, 0])?;
    let sent = CbufRef::from_words([answer[0], answer[1]]);
    Cbuf::receive(rt::cbuf::client(), sent, peer.peer)
}

pub fn read_only() -> Result<(), Error> {
    let mut buffer = Buffer::alloc(rt::cbuf::client(), PAGES * PAGE)?;
    buffer.fill(1);
    let cbuf = buffer.freeze(PAGES * PAGE);
    let answer = there_and_back(&cbuf)?;
    for page in cbuf.chunks_exact(PAGE) {
        let address = page.as_ptr() as u64;
        // Relaxed: the handler runs on this thread.
        FORBIDDEN.store(address, Ordering::Relaxed);
        // SAFETY: must fault, and the handler skips it: nothing is written.
        unsafe { asm!("mov byte ptr [rax], 2", in("rax") address, options(nostack)) };
        ensure(FORBIDDEN.load(Ordering::Relaxed) == 0)?;
    }
    ensure(answer.iter().all(|byte| *byte == 1))
}

/// Each is written before it is sent: more than the pool holds at once, so that what was sealed
/// comes back, and can be written.
pub fn collected() -> Result<(), Error> {
    for round in 0..250u32 {
        let mut buffer = Buffer::alloc(rt::cbuf::client(), PAGES * PAGE)?;
        buffer[..4].copy_from_slice(&round.to_le_bytes());
        let answer = there_and_back(&buffer.freeze(PAGES * PAGE))?;
        ensure(answer[..4] == round.to_le_bytes())?;
    }
    Ok(())
}
