//! Operations on a Component.

use super::{Call, DONE, Result};
use crate::memory::{Phys, USER_END};
use crate::object::Component;
use crate::object::component::{Configuration, Life, configure as configure_component};
use abi::op::component;
use abi::{CPtr, CapType, ComponentId, Error, Rights};

pub fn invoke(call: &mut Call) -> Result {
    call.need(Rights::WRITE)?;
    let pointer: *mut Component = Phys(call.object.base()).pointer();
    // SAFETY: a Component capability names memory that holds a component, zero at first.
    let life = unsafe { (*pointer).life };
    match call.operation {
        component::CONFIGURE => configure(call, pointer),
        component::MAKE_ENTRY => make_entry(call),
        component::KILL => {
            if life != Life::Alive {
                return Err(Error::BadState);
            }
            // SAFETY: as above.
            unsafe { (*pointer).life = Life::Dead };
            DONE
        }
        component::REVIVE => revive(call, pointer),
        component::IDENTIFY => {
            let used = call.cpu.in_use(pointer);
            Ok([life as u64, u64::from(used), 0, 0])
        }
        _ => Err(Error::BadOperation),
    }
}

fn configure(call: &mut Call, pointer: *mut Component) -> Result {
    let [cspace, pml4, entry, supervisor, identity] = call.args;
    // SAFETY: as in `invoke`.
    if unsafe { (*pointer).life } != Life::Unconfigured {
        return Err(Error::BadState);
    }
    let cspace = call.lookup_typed(cspace, CapType::L1CNode)?;
    let pml4 = call.lookup_typed(pml4, CapType::Pml4)?;
    // Whoever configures a component can do through it all that these allow.
    cspace.need(Rights::READ | Rights::WRITE)?;
    pml4.need(Rights::READ | Rights::WRITE)?;
    let supervisor = match call.cptr(supervisor)? {
        CPtr::NULL => None,
        at => Some(
            call.cpu
                .capabilities
                .lookup_typed(call.space()?, at, CapType::Entry)?,
        ),
    };
    let no_preempt = match identity >> 16 {
        0 => false,
        component::flags::NO_PREEMPT => true,
        _ => return Err(Error::BadArgument),
    };
    if entry >= USER_END {
        return Err(Error::BadArgument);
    }
    let id = ComponentId(identity as u16);
    let with = Configuration {
        cspace,
        pml4,
        supervisor,
        entry,
        id,
        no_preempt,
    };
    configure_component(call.cpu, call.object, with)?;
    DONE
}

fn make_entry(call: &mut Call) -> Result {
    let [cspace, slot, badge, ..] = call.args;
    let l1 = call.lookup_typed(cspace, CapType::L1CNode)?;
    l1.need(Rights::WRITE)?;
    let there = call.cpu.capabilities.cspace(l1)?;
    if there != call.space()? {
        call.need(Rights::GRANT)?;
    }
    let dest = call.cpu.capabilities.empty_slot(there, call.place(slot)?)?;
    let component = call.object;
    // The component's own entry address serves for every Entry.
    call.cpu
        .capabilities
        .make_entry(dest, component, 0, badge)?;
    DONE
}

fn revive(call: &mut Call, pointer: *mut Component) -> Result {
    // SAFETY: as in `invoke`.
    let component = unsafe { &mut *pointer };
    let whole = component.cspace != 0 && component.space != call.cpu.kernel_space;
    if component.life != Life::Dead || !whole || call.cpu.in_use(pointer) {
        return Err(Error::BadState);
    }
    component.life = Life::Alive;
    component.handler_stack = Component::NO_HANDLER;
    DONE
}
