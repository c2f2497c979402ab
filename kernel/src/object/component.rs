//! A component: a protection domain that threads enter by invocation. The fields that an
//! invocation needs lie in one cache line.

use crate::arch::space::Space;
use crate::cpu::Cpu;
use crate::memory::Phys;
use abi::captype::COMPONENT_SLOTS;
use abi::cptr::SLOT_BYTES;
use abi::{CapType, ComponentId, Error, Rights};
use cap::{Slot, SlotRef};
use core::mem::offset_of;
use core::ptr::NonNull;

/// Which of a Component's own slots holds what.
mod own {
    /// First, where [`super::Component::cspace_slot`] looks.
    pub const CSPACE: u32 = 0;
    pub const SPACE: u32 = 1;
    /// The Entry to the supervisor, where there is one.
    pub const SUPERVISOR: u32 = 2;
}

/// Flags that every component's user code runs with.
const FLAGS_ALWAYS_ONE: u64 = 1 << 1;
pub const FLAGS_INTERRUPTS: u64 = 1 << 9;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub enum Life {
    /// Fresh memory: all zero.
    Unconfigured = 0,
    Alive = 1,
    Dead = 2,
}

/// One page of retyped memory, zero until `CONFIGURE`.
#[repr(C, align(64))]
pub struct Component {
    /// What it is configured with, as capabilities: only the capability system touches these.
    slots: [Slot; COMPONENT_SLOTS as usize],
    pub space: Space,
    /// The root CNode: its slots in the direct map, and how many there are.
    pub cspace: u64,
    pub cspace_slots: u64,
    pub life: Life,
    /// RFLAGS of user code in it: interrupts on or off.
    pub flags: u64,
    pub entry: u64,
    /// Where it handles its own faults.
    pub handler: u64,
    /// A fault with the stack pointer at most so far below the top of the stack place goes to the
    /// supervisor: it is the handler's own, or there is none ([`Component::NO_HANDLER`]).
    pub handler_stack: u64,
    pub id: ComponentId,
    /// The space tag it holds, 0 for none.
    pub tag: u16,
    pub l1: Phys,
}

const _: () = assert!(size_of::<Component>() <= abi::layout::PAGE);

impl Component {
    /// Where frames and threads point when their component's memory is gone.
    pub const fn tombstone() -> Component {
        Component {
            slots: [const { Slot::EMPTY }; COMPONENT_SLOTS as usize],
            space: Space::untagged(Phys(0)),
            cspace: 0,
            cspace_slots: 0,
            life: Life::Dead,
            flags: FLAGS_ALWAYS_ONE,
            entry: 0,
            handler: 0,
            handler_stack: Self::NO_HANDLER,
            id: ComponentId(u16::MAX),
            tag: 0,
            l1: Phys(0),
        }
    }

    /// Every fault goes to the supervisor.
    pub const NO_HANDLER: u64 = u64::MAX;

    pub fn alive(&self) -> bool {
        self.life == Life::Alive
    }

    /// The slot with its CSpace's root (which is empty in the tombstone and in fresh memory).
    pub fn cspace_slot(component: *mut Component) -> SlotRef {
        // SAFETY: components are never at address 0; their first slots are the capability
        // system's, and both kinds of component stay where they are.
        unsafe { SlotRef::new(NonNull::new_unchecked(component.cast())) }
    }

    /// Where its faults go, and the badge they come with.
    pub fn supervisor(&self) -> Option<(*mut Component, u64)> {
        let slot = self.slots.get(own::SUPERVISOR as usize)?;
        let [_, badge] = slot.data();
        (slot.ty() == CapType::Entry).then(|| (Phys(slot.base()).pointer(), badge))
    }

    /// Fills all but the slots, which are the capability system's, with zeros: so it is not
    /// configured, and who gets the memory learns nothing from it.
    ///
    /// # Safety
    /// The component is live.
    pub unsafe fn wipe(component: *mut Component) {
        let own = offset_of!(Component, space);
        let rest = size_of::<Component>() - own;
        // SAFETY: the caller's promise; zero bytes are a value of each field.
        unsafe { component.cast::<u8>().add(own).write_bytes(0, rest) }
    }

    pub const fn flags_for(no_preempt: bool) -> u64 {
        if no_preempt {
            FLAGS_ALWAYS_ONE
        } else {
            FLAGS_ALWAYS_ONE | FLAGS_INTERRUPTS
        }
    }
}

/// What `CONFIGURE` says, checked.
pub struct Configuration {
    pub cspace: SlotRef,
    pub pml4: SlotRef,
    pub supervisor: Option<SlotRef>,
    pub entry: u64,
    pub id: ComponentId,
    pub no_preempt: bool,
}

/// Configures the fresh component in the slot `object`: it holds copies of what it is made of, and
/// can be entered from now on.
///
/// Errors: `BadState` for one that is configured, `Busy` when the core takes no more of them.
pub fn configure(cpu: &mut Cpu, object: SlotRef, with: Configuration) -> Result<(), Error> {
    cpu.components.place()?;
    let parts = [
        (own::CSPACE, Some(with.cspace)),
        (own::SPACE, Some(with.pml4)),
        (own::SUPERVISOR, with.supervisor),
    ];
    for (place, source) in parts {
        if let Some(source) = source {
            let dest = cpu.capabilities.inner_slot(object, place)?;
            if !dest.is_empty() {
                return Err(Error::BadState);
            }
            cpu.capabilities.copy(dest, source, Rights::all(), false)?;
        }
    }
    let (l1, slots) = (
        Phys(with.cspace.base()),
        with.cspace.bytes() / SLOT_BYTES as u64,
    );
    let (space, tag) = cpu.new_space(Phys(with.pml4.base()));
    let pointer: *mut Component = Phys(object.base()).pointer();
    // SAFETY: a Component capability names memory that holds a component; the slots before
    // these fields are the capability system's and stay untouched.
    unsafe {
        (*pointer).space = space;
        (*pointer).tag = tag;
        (*pointer).l1 = l1;
        (*pointer).cspace = l1.pointer::<u8>() as u64;
        (*pointer).cspace_slots = slots;
        (*pointer).flags = Component::flags_for(with.no_preempt);
        (*pointer).entry = with.entry;
        (*pointer).handler_stack = Component::NO_HANDLER;
        (*pointer).id = with.id;
        (*pointer).life = Life::Alive;
    }
    *cpu.components.place()? = pointer;
    Ok(())
}

/// Makes `new` the root of every component that has `old`: at most as many as a core takes, each of
/// which finds all of the old root at one moment and all of the new at the next.
///
/// Errors: `BadArgument` when both are one, `NotFound` when no component has the old one.
pub fn change_root(cpu: &mut Cpu, old: SlotRef, new: SlotRef) -> Result<(), Error> {
    let gone = old.base();
    if gone == new.base() {
        return Err(Error::BadArgument);
    }
    let (l1, slots) = (Phys(new.base()), new.bytes() / SLOT_BYTES as u64);
    let mut found = false;
    for place in 0..ComponentId::MAX {
        let pointer = cpu.components.get(place);
        if pointer.is_null() {
            continue;
        }
        let held = Component::cspace_slot(pointer);
        // One whose root is gone holds none.
        if held.ty() != CapType::L1CNode || held.base() != gone {
            continue;
        }
        cpu.capabilities.replace_root(held, new)?;
        // SAFETY: the registry holds live components.
        let component = unsafe { &mut *pointer };
        component.l1 = l1;
        component.cspace = l1.pointer::<u8>() as u64;
        component.cspace_slots = slots;
        found = true;
    }
    if found { Ok(()) } else { Err(Error::NotFound) }
}
