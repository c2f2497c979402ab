//! Operations on a Thread.

use super::{Call, DONE, Outcome, Result};
use crate::memory::Phys;
use crate::object::{Component, Thread, thread};
use crate::switch::NOBODY;
use abi::op::thread as op;
use abi::{CapType, Error, Rights, ThreadId};

pub fn invoke(call: &mut Call) -> Result {
    let pointer: *mut Thread = Phys(call.object.base()).pointer();
    match call.operation {
        op::CONFIGURE => {
            call.need(Rights::WRITE)?;
            let [component, identity, ..] = call.args;
            let slot = call.lookup_typed(component, CapType::Component)?;
            slot.need(Rights::WRITE)?;
            let component: *mut Component = Phys(slot.base()).pointer();
            let id = ThreadId(identity as u16);
            thread::configure(call.cpu, pointer, component, id, identity >> 32)?;
            DONE
        }
        op::SWITCH => {
            call.need(Rights::WRITE)?;
            if pointer == call.cpu.thread {
                let events = if pointer == call.cpu.event_thread {
                    call.cpu.take_events()
                } else {
                    0
                };
                return Ok(Outcome::Done([events, NOBODY, 0, 0]));
            }
            // SAFETY: a Thread capability names memory that holds a thread, zero at first.
            if !unsafe { (*pointer).runnable() } {
                return Err(Error::BadState);
            }
            Ok(Outcome::Switch(pointer))
        }
        op::IDENTIFY => {
            call.need(Rights::READ)?;
            let (state, component) = thread::describe(call.cpu, pointer);
            Ok(Outcome::Done([state, component, 0, 0]))
        }
        _ => Err(Error::BadOperation),
    }
}
