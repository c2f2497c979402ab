//! Memory over which nobody holds anything: when its last capabilities go, it is the kernel's, and
//! comes back by RECLAIM. What a spell of meddling leaves of it is deleted, and then all of it must be
//! there again, in one piece.
//!
//! Its capabilities lack GRANT. So they stay in the meddler's own slots, where it finds them all; a
//! CNode that held the last capability to the memory around itself could be reached by nobody.

use crate::{OWN, PAGE};
use abi::captype::CapType;
use abi::op::kernel;
use abi::start::slot;
use abi::{CPtr, Error, Rights};
use rt::cap;

/// Where all of it is, unless it was deleted, and where what comes back arrives.
pub const LOOSE: CPtr = CPtr(50);
pub const ARRIVED: CPtr = CPtr(51);
pub const LOOSE_BYTES: u64 = 64 * PAGE;
/// What beside it must not be loose, too: it would be one with it.
const BESIDE: CPtr = CPtr(52);

/// Takes it out of `ram`, of which `used` bytes were given away before. Answers where it lies.
pub fn cut(ram: CPtr, used: u64) -> Result<u64, Error> {
    let there = cap::identify(OWN, ram)?;
    cap::retype(OWN, ARRIVED, ram, CapType::Ram, 1, used, LOOSE_BYTES)?;
    let rest = used + LOOSE_BYTES;
    let bytes = there.bytes.checked_sub(rest).ok_or(Error::NoMemory)?;
    cap::retype(OWN, BESIDE, ram, CapType::Ram, 1, rest, bytes)?;
    cap::delete(OWN, ram)?;
    keep(LOOSE)?;
    Ok(there.base + used)
}

/// Puts what arrived into a slot, without the right to spread it.
pub fn keep(to: CPtr) -> Result<(), Error> {
    let rights = Rights::READ | Rights::WRITE | Rights::EXECUTE;
    let kept = cap::copy(OWN, to, ARRIVED, rights);
    cap::delete(OWN, ARRIVED).and(kept)
}

/// Everything that was made of it is deleted. Takes it back, which must be all of it.
pub fn all_back(base: u64) -> Result<(), Error> {
    // Deleted before, perhaps.
    let _ = cap::delete(OWN, LOOSE);
    if cap::kernel::reclaim(slot::RECLAIM, ARRIVED)? != (base, LOOSE_BYTES) {
        return Err(Error::OutOfRange);
    }
    if rt::syscall(
        slot::RECLAIM,
        kernel::RECLAIM,
        [u64::from(LOOSE.0), 0, 0, 0, 0],
    ) != Err(Error::NotFound)
    {
        return Err(Error::BadState);
    }
    keep(LOOSE)
}
