//! Operations on a Thread.

use super::direct::with_results;
use super::{Call, DONE, Result};
use crate::cpu::Cpu;
use crate::memory::Phys;
use crate::object::{Component, Thread, thread};
use crate::switch::NOBODY;
use abi::op::thread as op;
use abi::{CapType, Error, Rights, ThreadId};
use cap::{Slot, SlotRef};
use core::ptr::NonNull;

pub fn invoke(call: &mut Call) -> Result {
    let pointer: *mut Thread = Phys(call.object.base()).pointer();
    match call.operation {
        op::CONFIGURE => {
            call.need(Rights::WRITE)?;
            let [component, identity, ..] = call.args;
            let slot = call.lookup_typed(component, CapType::Component)?;
            slot.need(Rights::WRITE)?;
            let component: *mut Component = Phys(slot.base()).pointer();
            let id = u16::try_from(identity & u64::from(u32::MAX));
            let id = ThreadId(id.map_err(|_| Error::BadArgument)?);
            thread::configure(call.cpu, pointer, component, id, identity >> 32)?;
            DONE
        }
        op::IDENTIFY => {
            call.need(Rights::READ)?;
            let (state, component) = thread::describe(call.cpu, pointer);
            Ok([state, component, 0, 0])
        }
        _ => Err(Error::BadOperation),
    }
}

/// The switch, from the entry code, which has looked the capability up and kept in the current
/// thread what a call preserves. Comes back when the current thread goes on at once, with an answer
/// as all of [`super::direct`] give it.
///
/// # Safety
/// Called by the system-call entry alone, with the slot that it looked up.
pub unsafe extern "C" fn switch(slot: NonNull<Slot>) -> u64 {
    // SAFETY: an entry from user code, as the caller promises.
    let cpu = unsafe { Cpu::current() };
    cpu.system_calls += 1;
    // SAFETY: the entry code looked it up in the caller's CSpace, as the general path does.
    let object = unsafe { SlotRef::new(slot) };
    if let Err(error) = object.need(Rights::WRITE) {
        return error as u64;
    }
    let target: *mut Thread = Phys(object.base()).pointer();
    if target == cpu.thread {
        let events = if target == cpu.event_thread {
            cpu.take_events()
        } else {
            0
        };
        return with_results(cpu, [events, NOBODY, 0, 0]);
    }
    // SAFETY: a Thread capability names memory that holds a thread, zero at first.
    if !unsafe { (*target).runnable() } {
        return Error::BadState as u64;
    }
    cpu.switch_to(target)
}
