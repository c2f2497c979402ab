//! The shorter way to kernel objects on which no operation changes threads, and to a Thread, whose
//! switch has a path of its own. The arguments stay in the registers in which user code and the C
//! convention both have them; what a call preserves is preserved by the compiler; so nothing is
//! stored but what an operation needs.

use super::{Call, Result, console, cspace, irq, mapping, ports, table};
use crate::arch::{idt, regs::Regs, syscall};
use crate::cpu::Cpu;
use crate::switch::{Landing, NOBODY};
use abi::{CapType, Error, op};
use cap::{Slot, SlotRef};
use core::ptr::NonNull;

/// One operation: `a0 a1 a2`, the capability, `a3 a4`, operation number. Answers a status (without
/// results), [`WITH_RESULTS`] or [`GONE`].
///
/// # Safety
/// Called by the system-call entry alone, with the slot that it looked up.
pub type Direct = unsafe extern "C" fn(u64, u64, u64, NonNull<Slot>, u64, u64, u64) -> u64;

/// In place of a status, which is smaller: success, with results in [`Cpu::results`].
pub const WITH_RESULTS: u64 = 256;
/// In place of a status: the invoking thread or component has taken its own ground away.
pub const GONE: u64 = 257;

/// By type: whatever a slot's byte says has its place, so that the entry need not compare.
pub static DIRECT: [Direct; 1 << u8::BITS] = by_type();

const fn by_type() -> [Direct; 1 << u8::BITS] {
    let mut table = [syscall::GENERAL; 1 << u8::BITS];
    table[CapType::L1CNode as usize] = enter_cnode;
    table[CapType::Pml4 as usize] = enter::<PageTable>;
    table[CapType::Pdpt as usize] = enter::<PageTable>;
    table[CapType::Pd as usize] = enter::<PageTable>;
    table[CapType::Pt as usize] = enter::<PageTable>;
    table[CapType::Thread as usize] = syscall::THREAD;
    table[CapType::MapFrame as usize] = enter::<Mapping>;
    table[CapType::MapDevFrame as usize] = enter::<Mapping>;
    table[CapType::MapPdpt as usize] = enter::<Mapping>;
    table[CapType::MapPd as usize] = enter::<Mapping>;
    table[CapType::MapPt as usize] = enter::<Mapping>;
    table[CapType::Irq as usize] = enter::<Irq>;
    table[CapType::IoPorts as usize] = enter::<IoPorts>;
    table[CapType::Console as usize] = enter::<Console>;
    table
}

enum Destroys {
    Never,
    /// With [`Error::Again`]: then it carried on with another's deletion instead.
    Unfinished,
    Always,
}

/// One module's operations, so that each gets an entry of its own with all of it inside.
trait Object {
    /// When an operation may have destroyed components, threads, or what they are made of.
    const DESTROYS: Destroys;

    fn invoke(call: &mut Call) -> Result;
}

macro_rules! objects {
    ($($object:ident $module:ident::$function:ident $destroys:ident,)*) => {
        $(
            struct $object;

            impl Object for $object {
                const DESTROYS: Destroys = Destroys::$destroys;

                #[inline(always)]
                fn invoke(call: &mut Call) -> Result {
                    $module::$function(call)
                }
            }
        )*
    };
}

objects! {
    CNode cspace::invoke Always,
    Retype cspace::retype Unfinished,
    RetypeOne cspace::retype_one Unfinished,
    PageTable table::invoke Never,
    Mapping mapping::invoke Never,
    Irq irq::invoke Never,
    IoPorts ports::invoke Never,
    Console console::invoke Never,
}

/// A CNode's operation: to the entry that has it.
///
/// # Safety
/// As for [`Direct`].
unsafe extern "C" fn enter_cnode(
    a0: u64,
    a1: u64,
    a2: u64,
    slot: NonNull<Slot>,
    a3: u64,
    a4: u64,
    operation: u64,
) -> u64 {
    // SAFETY: the caller's promise is handed on.
    unsafe {
        match (operation, a2 >> 32) {
            (op::cspace::RETYPE, 1) => enter::<RetypeOne>(a0, a1, a2, slot, a3, a4, operation),
            (op::cspace::RETYPE, _) => enter::<Retype>(a0, a1, a2, slot, a3, a4, operation),
            _ => enter::<CNode>(a0, a1, a2, slot, a3, a4, operation),
        }
    }
}

/// # Safety
/// As for [`Direct`].
#[inline(never)]
unsafe extern "C" fn enter<O: Object>(
    a0: u64,
    a1: u64,
    a2: u64,
    slot: NonNull<Slot>,
    a3: u64,
    a4: u64,
    operation: u64,
) -> u64 {
    // SAFETY: an entry from user code, as the caller promises.
    let cpu = unsafe { Cpu::current() };
    cpu.system_calls += 1;
    // SAFETY: the entry code looked it up in the caller's CSpace, as the general path does.
    let object = unsafe { SlotRef::new(slot) };
    let mut call = Call {
        cpu: &mut *cpu,
        object,
        operation,
        args: [a0, a1, a2, a3, a4],
    };
    let outcome = O::invoke(&mut call);
    let destroyed = match O::DESTROYS {
        Destroys::Never => false,
        Destroys::Unfinished => matches!(outcome, Err(Error::Again)),
        Destroys::Always => true,
    };
    if destroyed && (cpu.thread.is_null() || !cpu.component().alive()) {
        return GONE;
    }
    match outcome {
        Ok([0, 0, 0, 0]) => 0,
        Ok(results) => with_results(cpu, results),
        Err(error) => error as u64,
    }
}

/// Answers success with results.
pub fn with_results(cpu: &mut Cpu, results: [u64; 4]) -> u64 {
    cpu.results = results;
    WITH_RESULTS
}

/// After [`GONE`]: the thread goes back to an invoker that lives, if it is there at all.
///
/// # Safety
/// Called by the system-call entry alone.
pub unsafe extern "C" fn gone() -> ! {
    // SAFETY: what `enter` had of the core ended with its return.
    let cpu = unsafe { Cpu::current() };
    if cpu.thread.is_null() {
        cpu.continue_event_thread(NOBODY);
    }
    let mut regs = Regs::user();
    match cpu.unwind(&mut regs, Error::Dead as u64, [0; 4]) {
        // SAFETY: `unwind` made them fit for user mode, in the component that is entered.
        Landing::Call => unsafe { syscall::resume(&regs) },
        // SAFETY: likewise.
        Landing::Instruction => unsafe { idt::resume(&regs) },
        Landing::Ended => cpu.exit_thread(),
    }
}
