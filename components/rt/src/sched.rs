//! The scheduler as the runtime needs it: blocking and waking by raw method numbers, because the
//! generated stubs are built on this crate.

use core::sync::atomic::{AtomicU32, Ordering};

use abi::{CPtr, Error, ThreadId};

/// The interface's name in the start information.
const NAME: &str = "sched";

/// Methods of interface `sched`, in the order of its file.
pub mod method {
    pub const YIELD_NOW: u64 = 0;
    pub const BLOCK: u64 = 1;
    pub const BLOCK_ON: u64 = 2;
    pub const WAKE: u64 = 3;
    pub const WAIT_IRQ: u64 = 4;
    pub const KERNEL_STAT: u64 = 5;
    pub const PRIORITY: u64 = 6;
    pub const RAN: u64 = 7;
}

/// The import, looked up once; 0 until then.
static ENTRY: AtomicU32 = AtomicU32::new(0);

fn call(method: u64, a0: u64, a1: u64) -> Result<u64, Error> {
    // Relaxed: the value is the same whoever stores it.
    let mut entry = ENTRY.load(Ordering::Relaxed);
    if entry == 0 {
        entry = crate::import(NAME).ok_or(Error::NotFound)?.entry.0;
        ENTRY.store(entry, Ordering::Relaxed);
    }
    crate::invoke(CPtr(entry), method, [a0, a1, 0, 0]).map(|[r0, ..]| r0)
}

/// Lets threads of the same priority run.
pub fn yield_now() -> Result<(), Error> {
    call(method::YIELD_NOW, 0, 0).map(drop)
}

/// Blocks until woken (`true`) or until the deadline (`false`). Whoever knows this thread's
/// number can wake it, so check again what was waited for. [`Error::NotFound`] where the image
/// grants no scheduler.
pub fn block(deadline: u64) -> Result<bool, Error> {
    call(method::BLOCK, deadline, 0).map(|woken| woken != 0)
}

/// Like [`block`]; meanwhile `owner` runs at no lower a priority than ours.
pub fn block_on(owner: ThreadId, deadline: u64) -> Result<bool, Error> {
    call(method::BLOCK_ON, u64::from(owner.0), deadline).map(|woken| woken != 0)
}

/// Wakes a thread, or leaves it the token with which its next block returns at once.
pub fn wake(thread: ThreadId) -> Result<(), Error> {
    call(method::WAKE, u64::from(thread.0), 0).map(drop)
}

/// Blocks until this component's interrupt came since the last call, until the deadline, or until
/// woken; answers how often it came, 0 in the last two cases.
pub fn wait_irq(deadline: u64) -> Result<u64, Error> {
    call(method::WAIT_IRQ, deadline, 0)
}

/// The priority at which a thread runs, or would.
pub fn priority(thread: ThreadId) -> Result<u32, Error> {
    call(method::PRIORITY, u64::from(thread.0), 0).map(|priority| priority as u32)
}

/// Ticks of the time-stamp counter for which a thread has run so far, wherever it was.
pub fn ran(thread: ThreadId) -> Result<u64, Error> {
    call(method::RAN, u64::from(thread.0), 0)
}

/// A kernel counter, one of [`abi::op::kernel::stat`].
pub fn kernel_stat(which: u64) -> Result<u64, Error> {
    call(method::KERNEL_STAT, which, 0)
}
