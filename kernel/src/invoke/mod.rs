//! Operations on kernel objects. Those after which another thread may be current take the general
//! path: it looks up the capability, finds its type's module, and leaves the kernel in whichever
//! thread and component is current afterwards. All others take the shorter one, in [`direct`].
//!
//! Each module decodes the operations of one type. What user code gives stays numbers: no user
//! address is read or written, each number is checked where it gains a meaning.

mod component;
mod console;
mod cspace;
pub mod direct;
mod irq;
mod kernel;
mod mapping;
mod own;
mod ports;
mod table;
pub mod thread;

use crate::arch::idt;
use crate::arch::regs::Regs;
use crate::arch::syscall::REFUSED;
use crate::cpu::Cpu;
use crate::memory::USER_END;
use crate::object::Component;
use crate::switch::{Landing, NOBODY};
use crate::trap;
use abi::captype::MapFlags;
use abi::op::lifecycle::fault;
use abi::{CPtr, CapType, Error, Rights};
use cap::{CSpace, SlotRef};

/// What an operation gives: four results, or why it was refused.
type Result = core::result::Result<[u64; 4], Error>;

/// Success without results.
const DONE: Result = Ok([0; 4]);

/// One invocation of a kernel object.
pub struct Call<'a> {
    cpu: &'a mut Cpu,
    /// The invoked capability.
    object: SlotRef,
    operation: u64,
    args: [u64; 5],
}

impl Call<'_> {
    fn cptr(&self, word: u64) -> core::result::Result<CPtr, Error> {
        u32::try_from(word)
            .map(CPtr)
            .map_err(|_| Error::NoCapability)
    }

    /// The address of a slot that something is done to, rather than of a capability that is used.
    fn place(&self, word: u64) -> core::result::Result<CPtr, Error> {
        self.cptr(word).map_err(|_| Error::BadSlot)
    }

    /// The caller's CSpace.
    #[inline(always)]
    fn space(&self) -> core::result::Result<CSpace, Error> {
        space(self.cpu)
    }

    /// The capability at an address in the caller's CSpace.
    fn lookup(&self, word: u64) -> core::result::Result<SlotRef, Error> {
        let at = self.cptr(word)?;
        self.cpu.capabilities.lookup(self.space()?, at)
    }

    fn lookup_typed(&self, word: u64, ty: CapType) -> core::result::Result<SlotRef, Error> {
        let at = self.cptr(word)?;
        self.cpu.capabilities.lookup_typed(self.space()?, at, ty)
    }

    /// An empty slot of the caller's CSpace.
    fn empty_slot(&self, word: u64) -> core::result::Result<SlotRef, Error> {
        let at = self.place(word)?;
        self.cpu.capabilities.empty_slot(self.space()?, at)
    }

    fn need(&self, rights: Rights) -> core::result::Result<(), Error> {
        self.object.need(rights)
    }
}

/// First entry, number of entries and flags of a run of page-table entries.
fn run(word: u64) -> core::result::Result<(u16, u16, MapFlags), Error> {
    let flags = u8::try_from(word >> 32)
        .ok()
        .and_then(MapFlags::from_bits)
        .ok_or(Error::BadFlags)?;
    Ok((word as u16, (word >> 16) as u16, flags))
}

/// The CSpace of the component that the current thread runs in.
#[inline(always)]
fn space(cpu: &Cpu) -> core::result::Result<CSpace, Error> {
    let root = Component::cspace_slot(cpu.component);
    cpu.capabilities
        .cspace(root)
        .map_err(|_| Error::NoCapability)
}

fn invoke(cpu: &mut Cpu, regs: &Regs) -> Result {
    let object = cpu
        .capabilities
        .lookup(space(cpu)?, CPtr(regs.r10 as u32))?;
    let mut call = Call {
        cpu,
        object,
        operation: regs.rax,
        args: [regs.rdi, regs.rsi, regs.rdx, regs.r8, regs.r9],
    };
    let call = &mut call;
    match object.ty() {
        CapType::Component => component::invoke(call),
        CapType::Thread => thread::invoke(call),
        CapType::Kernel => kernel::invoke(call),
        // Memory has no operations; the others never come here ([`direct`]).
        _ => Err(Error::BadOperation),
    }
}

/// Every system call that the fast path leaves alone. On return the thread continues from `regs`.
///
/// # Safety
/// Called by the system-call entry alone, with user code's registers.
pub unsafe extern "C" fn general(regs: &mut Regs) {
    // SAFETY: an entry from user code, as the caller promises.
    let cpu = unsafe { Cpu::current() };
    let target = regs.r10 as u32;
    if target == CPtr::RETURN.0 {
        let results = [regs.rdi, regs.rsi, regs.rdx, regs.r8];
        return leave(cpu, regs, Some((regs.rax, results)), false);
    }
    if target == CPtr::OWN.0 && regs.rip < USER_END {
        return own::invoke(cpu, regs);
    }
    if regs.r10 == REFUSED {
        regs.set_results(regs.r9, [0; 4]);
        return leave(cpu, regs, None, true);
    }
    if regs.rip >= USER_END {
        // Nowhere to continue: nothing is done, so that no thread is put aside like this.
        return leave(cpu, regs, None, false);
    }
    cpu.system_calls += 1;
    let outcome = invoke(cpu, regs);
    if cpu.thread.is_null() {
        cpu.continue_event_thread(NOBODY);
    }
    let refused = outcome.is_err();
    match outcome {
        Ok(results) => regs.set_results(0, results),
        Err(error) => regs.set_results(error as u64, [0; 4]),
    }
    leave(cpu, regs, None, refused)
}

/// Puts `regs` in a state from which user code continues: in the invoker when `returned` says so
/// or when the current component is dead, else where the call was made, which is told when it is
/// the kernel that `refused` it.
fn leave(cpu: &mut Cpu, regs: &mut Regs, returned: Option<(u64, [u64; 4])>, refused: bool) {
    let dead = (Error::Dead as u64, [0; 4]);
    let back = returned.or((!cpu.component().alive()).then_some(dead));
    if let Some((status, results)) = back {
        match cpu.unwind(regs, status, results) {
            Landing::Call => return,
            // SAFETY: `unwind` made them fit for user mode, in the component that is entered.
            Landing::Instruction => unsafe { idt::resume(regs) },
            Landing::Ended => cpu.exit_thread(),
        }
    }
    regs.rflags = cpu.component().flags;
    (regs.rcx, regs.r9, regs.r10, regs.r11) = (0, 0, u64::from(refused), 0);
    if regs.rip >= USER_END {
        // The call was the last instruction of user memory: there is none to continue at, and
        // `sysret` must not find that out in kernel mode.
        trap::deliver_fault(cpu, regs, fault::PROTECTION, 0);
        // SAFETY: delivering a fault leaves registers that are fit for user mode.
        unsafe { idt::resume(regs) }
    }
}
