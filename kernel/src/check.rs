//! A look at everything before the machine ends, where the kernel command line has the word
//! [`abi::start::CHECK_AT_END`]: the whole of the capability system, and that nothing which the core
//! knows of is gone. Unlike all other kernel work it takes as long as it takes; nothing runs after it.

use crate::cpu::{Cpu, ROOTS};
use crate::machine::ExitCode;
use crate::memory::DIRECT_MAP;
use crate::object::Component;
use crate::say;
use abi::captype::CapType;
use abi::cptr::SLOT_BYTES;
use abi::layout::PAGE;
use abi::{ComponentId, ThreadId};
use cap::check::Fault;
use core::fmt;

/// Something of which a core knows is not there, or is not what it takes it for.
enum Stale {
    Capabilities(Fault),
    Component,
    Root,
    Space,
    Thread,
    Place,
    Current,
}

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stale::Capabilities(fault) => return write!(f, "{fault}"),
            Stale::Component => "a configured component has no capability",
            Stale::Root => "a component uses a CSpace that has no capability",
            Stale::Space => "a component uses an address space that has no capability",
            Stale::Thread => "a configured thread has no capability",
            Stale::Place => "a thread is, or returns, where no component is",
            Stale::Current => "what runs on the core is not configured",
        })
    }
}

impl From<Fault> for Stale {
    fn from(fault: Fault) -> Stale {
        Stale::Capabilities(fault)
    }
}

/// The code to end with when `asked` is what user code wants. Says what it found.
pub fn at_end(cpu: &mut Cpu, asked: ExitCode) -> ExitCode {
    if !cpu.check_at_end {
        return asked;
    }
    cpu.capabilities.settle();
    match capabilities(cpu).and_then(|()| objects(cpu)) {
        Ok(()) => asked,
        Err(stale) => {
            say!("the kernel's state does not hold together: {stale}");
            ExitCode::INCONSISTENT
        }
    }
}

fn capabilities(cpu: &mut Cpu) -> Result<(), Stale> {
    let mut own = [None; ROOTS];
    for (place, slot) in own.iter_mut().enumerate() {
        *slot = cpu.root(place);
    }
    let top: *const u64 = cpu.kernel_space.pml4().pointer();
    // SAFETY: the kernel's own top table has as many entries as every other.
    let kernel_half = |index: u16| unsafe { top.add(usize::from(index)).read_volatile() };
    let seen = cpu
        .capabilities
        .check(own.into_iter().flatten(), kernel_half)?;
    say!(
        "{}: {} capabilities, {} page-table entries, {} KiB that nobody holds",
        abi::start::CHECKED,
        seen.capabilities,
        seen.entries,
        seen.orphaned >> 10
    );
    Ok(())
}

/// Every pointer that the core keeps leads to an object that has a capability.
fn objects(cpu: &mut Cpu) -> Result<(), Stale> {
    let exists = |cpu: &Cpu, ty, base: u64, bytes| cpu.capabilities.exists(ty, base, bytes);
    let page = PAGE as u64;
    for place in 0..ComponentId::MAX {
        let pointer = cpu.components.get(place);
        if pointer.is_null() {
            continue;
        }
        if !exists(cpu, CapType::Component, physical(pointer), page) {
            return Err(Stale::Component);
        }
        // SAFETY: there is a capability to it.
        let component = unsafe { &*pointer };
        let bytes = component.cspace_slots * SLOT_BYTES as u64;
        let held = Component::cspace_slot(pointer);
        // A revocation may have taken its own capability and left another to the same root.
        let root = (held.is_empty() || held.base() == component.l1.0)
            && component.cspace == component.l1.pointer::<u8>() as u64
            && exists(cpu, CapType::L1CNode, component.l1.0, bytes);
        if component.cspace != 0 && !root {
            return Err(Stale::Root);
        }
        let pml4 = component.space.pml4();
        if pml4 != cpu.kernel_space.pml4() && !exists(cpu, CapType::Pml4, pml4.0, page) {
            return Err(Stale::Space);
        }
    }
    for place in 0..ThreadId::MAX {
        let thread = cpu.threads.get(place);
        if thread.is_null() {
            continue;
        }
        if !exists(cpu, CapType::Thread, physical(thread), page) {
            return Err(Stale::Thread);
        }
        // SAFETY: there is a capability to it.
        let fault = unsafe { (*thread).own_fault.component };
        let returns = cpu.frames(thread).iter().map(|frame| frame.component);
        let places = returns.chain([cpu.place_of(thread)]);
        let known = fault.is_null() || is_place(cpu, fault);
        if !known || !places.into_iter().all(|place| is_place(cpu, place)) {
            return Err(Stale::Place);
        }
    }
    let running = |thread| (0..ThreadId::MAX).any(|place| cpu.threads.get(place) == thread);
    let threads = [cpu.thread, cpu.event_thread];
    let known = threads
        .into_iter()
        .all(|thread| thread.is_null() || running(thread));
    let first = cpu.init.is_null() || is_place(cpu, cpu.init);
    if known && first && is_place(cpu, cpu.component) {
        Ok(())
    } else {
        Err(Stale::Current)
    }
}

/// Is it a configured component, or what stands for those that are gone?
fn is_place(cpu: &Cpu, component: *mut Component) -> bool {
    let registered = |place| cpu.components.get(place) == component;
    let tombstone = core::ptr::eq(component, &raw const cpu.tombstone);
    tombstone || (!component.is_null() && (0..ComponentId::MAX).any(registered))
}

/// Where an object lies that the core knows by a pointer into the direct map.
fn physical<T>(pointer: *mut T) -> u64 {
    (pointer as u64).wrapping_sub(DIRECT_MAP)
}
