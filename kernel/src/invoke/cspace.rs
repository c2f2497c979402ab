//! Operations on an L1CNode: the CSpace that is rooted there.

use super::{Call, DONE, Result};
use crate::object::component::change_root;
use abi::op::cspace;
use abi::{CPtr, CapType, Error, Rights};
use cap::{CSpace, SlotRef};

#[inline(always)]
pub fn invoke(call: &mut Call) -> Result {
    let [a0, a1, a2, ..] = call.args;
    let there = call.cpu.capabilities.cspace(call.object)?;
    if call.operation == cspace::IDENTIFY {
        call.need(Rights::READ)?;
        let at = call.cptr(a0)?;
        let slot = call.cpu.capabilities.lookup(there, at)?;
        let identity = call.cpu.capabilities.identify(slot)?;
        let kind = identity.ty as u64 | u64::from(identity.rights.bits()) << 8;
        return Ok([kind, identity.base, identity.bytes, identity.specific]);
    }
    call.need(Rights::WRITE)?;
    let foreign = there != call.space()?;
    match call.operation {
        cspace::COPY => {
            let dest = call.cpu.capabilities.empty_slot(there, call.place(a0)?)?;
            let source = call.lookup(a1)?;
            let mask = Rights::from_bits_truncate(a2 as u8);
            call.cpu.capabilities.copy(dest, source, mask, foreign)?;
        }
        cspace::DELETE => {
            let slot = call.cpu.capabilities.slot(there, call.place(a0)?)?;
            call.cpu.capabilities.delete(slot)?;
        }
        cspace::REVOKE => {
            let slot = call.cpu.capabilities.slot(there, call.place(a0)?)?;
            call.cpu.capabilities.revoke(slot)?;
        }
        cspace::INSTALL_L2 => {
            let l2 = call.lookup_typed(a0, CapType::L2CNode)?;
            // Lookups through a root ask for no rights of what is installed there.
            l2.need(Rights::READ | Rights::WRITE)?;
            if foreign {
                l2.need(Rights::GRANT)?;
            }
            let index = u32::try_from(a1).map_err(|_| Error::BadSlot)?;
            let root = call.object;
            call.cpu.capabilities.install_l2(root, index, l2)?;
        }
        cspace::MOVE => {
            let source = call.cpu.capabilities.lookup(there, call.cptr(a0)?)?;
            let dest = call.cpu.capabilities.empty_slot(there, call.place(a1)?)?;
            call.cpu.capabilities.move_to(dest, source)?;
        }
        cspace::ADOPT => {
            let from = call.lookup_typed(a0, CapType::L1CNode)?;
            let [first, count] = [a1, a2].map(u32::try_from);
            let (first, count) = (first.map_err(|_| Error::BadSlot)?, count);
            let count = count.map_err(|_| Error::BadSize)?;
            let root = call.object;
            call.cpu
                .capabilities
                .adopt(root, from, first, count, foreign)?;
        }
        cspace::RESIZE => {
            let new = call.lookup_typed(a0, CapType::L1CNode)?;
            // As for CONFIGURE: whose root it is can do all that it allows.
            new.need(Rights::READ | Rights::WRITE)?;
            if foreign {
                new.need(Rights::GRANT)?;
            }
            let old = call.object;
            change_root(call.cpu, old, new)?;
        }
        _ => return Err(Error::BadOperation),
    }
    DONE
}

/// Retype stands by itself, so that what the others keep at hand does not weigh on it.
#[inline(always)]
pub fn retype(call: &mut Call) -> Result {
    let [first, _, what, offset, bytes] = call.args;
    let (there, source, ty) = retyped(call)?;
    let (first, count) = (call.place(first)?, (what >> 32) as u32);
    let capabilities = &mut call.cpu.capabilities;
    let dest = capabilities.slots(there, first, count)?;
    capabilities.retype(source, dest, ty, offset, bytes)?;
    DONE
}

/// Retype to one object.
#[inline(always)]
pub fn retype_one(call: &mut Call) -> Result {
    let [dest, _, _, offset, bytes] = call.args;
    let (there, source, ty) = retyped(call)?;
    let dest = call.place(dest)?;
    if dest == CPtr::NULL {
        return Err(Error::BadSlot);
    }
    let capabilities = &mut call.cpu.capabilities;
    let dest = capabilities.slot(there, dest)?;
    capabilities.retype_one(source, dest, ty, offset, bytes)?;
    DONE
}

/// Where a retype puts what it makes, what it makes that from, and of which type.
#[inline(always)]
fn retyped(call: &Call) -> core::result::Result<(CSpace, SlotRef, CapType), Error> {
    let [_, source, what, ..] = call.args;
    let own = call.space()?;
    let there = call.cpu.capabilities.cspace(call.object)?;
    call.need(Rights::WRITE)?;
    let source = call.cpu.capabilities.lookup(own, call.cptr(source)?)?;
    if there != own {
        source.need(Rights::GRANT)?;
    }
    let ty = CapType::from_raw(what & 0xffff_ffff).ok_or(Error::BadRetype)?;
    Ok((there, source, ty))
}
