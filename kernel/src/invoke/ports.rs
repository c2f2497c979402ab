//! Operations on a range of I/O ports.

use super::{Call, DONE, Result};
use crate::arch::port::{Width, read, write};
use abi::op::ports;
use abi::{Error, Rights};

#[inline(always)]
pub fn invoke(call: &mut Call) -> Result {
    let [port, width, value, ..] = call.args;
    match call.operation {
        ports::IN => {
            call.need(Rights::READ)?;
            let (port, width) = check(call, port, width)?;
            // SAFETY: the capability covers the whole access; whoever made it trusts its holder
            // with the device.
            let value = unsafe { read(port, width) };
            Ok([u64::from(value), 0, 0, 0])
        }
        ports::OUT => {
            call.need(Rights::WRITE)?;
            let (port, width) = check(call, port, width)?;
            // SAFETY: as above.
            unsafe { write(port, width, value as u32) };
            DONE
        }
        _ => Err(Error::BadOperation),
    }
}

/// The access lies inside the capability's ports.
fn check(call: &Call, port: u64, width: u64) -> core::result::Result<(u16, Width), Error> {
    let width = Width::from_bytes(width).ok_or(Error::BadArgument)?;
    let first = call.object.base();
    let end = first.saturating_add(call.object.bytes());
    let fits = port >= first
        && port
            .checked_add(width.bytes())
            .is_some_and(|last| last <= end);
    match u16::try_from(port) {
        Ok(port) if fits => Ok((port, width)),
        _ => Err(Error::OutOfRange),
    }
}
