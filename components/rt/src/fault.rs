//! Faults that a component handles itself: a page that it maps when it is first touched, an
//! instruction that it does in software, a report of where it happened.
//!
//! [`crate::component!`] takes the handler. It runs on the thread that faulted, on a stack of its
//! own (8 KiB at the top of the thread's stack place), so that it also sees the thread's stack
//! run over. It may do whatever other code of the component may, as long as it waits for nothing
//! that the interrupted code holds: a lock, the allocator. A fault inside it goes to the
//! supervisor; so does what it gives up, with a backtrace ([`crate::backtrace`], which is also
//! the handler of components that name none). Source: Barrelfish, chapter 3.5 (self-paging).

use core::arch::naked_asm;
use core::mem::offset_of;

use abi::layout::{STACK_STRIDE, STACKS};
use abi::op::own;
use abi::{CPtr, Error, ThreadId};

use crate::backtrace::{self, Site};
use crate::invoke::{MXCSR, syscall};

/// What the handler decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Continue with the registers as they are in [`Fault`] now.
    Resume,
    /// The supervisor shall decide, which usually ends the component.
    GiveUp,
}

/// A component's fault handler.
pub type Handler = fn(&mut Fault) -> Verdict;

/// A fault, and the state of the thread, which is the handler's to change. Lies on the handler's
/// stack, in the order in which the entry code stores it.
#[repr(C, align(16))]
pub struct Fault {
    /// Vector registers and their control, as `fxsave` stores them.
    pub vectors: [u8; 512],
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rbp: u64,
    pub rdi: u64,
    pub rsi: u64,
    pub rdx: u64,
    pub rcx: u64,
    pub rbx: u64,
    pub rax: u64,
    pub rflags: u64,
    /// The thread's own pair of instructions in [`enter`] that loads the last two.
    resume: u64,
    /// Address that could not be accessed, or of the instruction.
    pub address: u64,
    kind: u64,
    decide: u64,
    /// The instruction that faulted, and where the thread continues.
    pub rip: u64,
    pub rsp: u64,
}

const _: () = assert!(size_of::<Fault>() == 512 + 22 * 8);

impl Fault {
    /// One of [`abi::op::lifecycle::fault`].
    pub fn kind(&self) -> u64 {
        self.kind
    }
}

/// Where a component's faults go, and how much of each stack place is for that.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct Entry {
    pub code: unsafe extern "C" fn() -> !,
    pub stack_bytes: usize,
}

/// Tells the kernel where faults go. The component's stacks must hold more than that needs.
pub(crate) fn register(entry: Entry) -> Result<(), Error> {
    let bytes = entry.stack_bytes as u64;
    if crate::info().stack_bytes <= bytes {
        return Err(Error::BadSize);
    }
    let code = entry.code as *const () as u64;
    syscall(CPtr::OWN, own::SET_HANDLER, [code, bytes, 0, 0, 0]).map(drop)
}

/// Calls the handler; what it gives up goes to the supervisor, which may resume the thread.
#[doc(hidden)]
pub fn decide(handler: Handler, fault: &mut Fault) {
    if handler(fault) == Verdict::GiveUp {
        // Comes back only if the supervisor says so; there is no other way to go on then.
        backtrace::give_up(&Site {
            kind: fault.kind,
            address: fault.address,
            rip: fault.rip,
            rsp: fault.rsp,
            rbp: fault.rbp,
        });
    }
}

/// What a component's own entry for faults jumps to, with the function that calls the handler on
/// top of the stack, and all registers but `rip`, `rsp` and the flags as they were.
///
/// # Safety
/// For [`crate::fault_entry!`] alone: it is no function of Rust's convention.
#[doc(hidden)]
#[unsafe(naked)]
pub unsafe extern "C" fn enter() -> ! {
    naked_asm!(
        // Above the registers, as in `Fault`: rflags to rsp.
        "lea rsp, [rsp - 48]",
        "push rax",
        "push rbx",
        "push rcx",
        "push rdx",
        "push rsi",
        "push rdi",
        "push rbp",
        "push r8",
        "push r9",
        "push r10",
        "push r11",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "lea rbx, [rsp - 512]",
        "mov rbp, [rbx + {rsp}]",
        "mov eax, {operation}",
        "mov r10d, {own}",
        "syscall",
        "mov rsp, rbx",
        "fxsave64 [rsp]",
        "mov [rsp + {rip}], rdi",
        "mov eax, esi",
        "mov [rsp + {rflags}], rax",
        "shr rsi, 32",
        "mov [rsp + {kind}], rsi",
        "mov [rsp + {rsp}], rdx",
        "mov [rsp + {address}], r8",
        "lea rax, [rsp - {stacks}]",
        "shr rax, {stride}",
        "shl rax, 4",
        "lea rcx, [rip + 2f]",
        "add rax, rcx",
        "mov [rsp + {resume}], rax",
        "ldmxcsr dword ptr [rip + {mxcsr}]",
        "mov rdi, rsp",
        "mov rax, rbp",
        "xor ebp, ebp",
        "call rax",
        "fxrstor64 [rsp]",
        "add rsp, 512",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop r11",
        "pop r10",
        "pop r9",
        "pop r8",
        "pop rbp",
        "pop rdi",
        "pop rsi",
        "pop rdx",
        "pop rcx",
        "pop rbx",
        "pop rax",
        "popfq",
        "ret",
        // Where all registers are taken, only the code's own address can tell which thread it is:
        // one pair a thread, with the addresses of the last words of its stack place. (`iretq`
        // would need none of this, but where the kernel bars itself from user pages, some
        // emulators let it fault in user mode.)
        ".balign 16",
        "2:",
        ".set place, {stacks} + {stride_bytes}",
        ".rept {threads}",
        ".balign 16",
        "mov rsp, [place - 8]",
        "jmp qword ptr [place - 16]",
        ".set place, place + {stride_bytes}",
        ".endr",
        rip = const offset_of!(Fault, rip),
        rsp = const offset_of!(Fault, rsp),
        rflags = const offset_of!(Fault, rflags),
        kind = const offset_of!(Fault, kind),
        address = const offset_of!(Fault, address),
        resume = const offset_of!(Fault, resume),
        stacks = const STACKS,
        stride = const STACK_STRIDE.trailing_zeros(),
        stride_bytes = const STACK_STRIDE,
        threads = const ThreadId::MAX,
        operation = const own::FAULT,
        own = const CPtr::OWN.0,
        mxcsr = sym MXCSR,
    )
}

/// The component's entry, and the one for its faults.
#[doc(hidden)]
#[macro_export]
macro_rules! fault_entry {
    () => {
        const __FAULT: $crate::fault::Entry = $crate::fault::Entry {
            code: $crate::backtrace::enter,
            stack_bytes: $crate::abi::layout::REPORT_STACK,
        };

        $crate::counted_entry!(below $crate::abi::layout::REPORT_STACK; __dispatch);
    };
    ($handler:expr) => {
        extern "C" fn __decide(fault: &mut $crate::fault::Fault) {
            $crate::fault::decide($handler, fault);
        }

        #[unsafe(naked)]
        unsafe extern "C" fn __fault() -> ! {
            core::arch::naked_asm!(
                "push offset {decide}",
                "jmp {enter}",
                decide = sym __decide,
                enter = sym $crate::fault::enter,
            )
        }

        const __FAULT: $crate::fault::Entry = $crate::fault::Entry {
            code: __fault,
            stack_bytes: $crate::abi::layout::FAULT_STACK,
        };

        $crate::counted_entry!(below $crate::abi::layout::FAULT_STACK; __dispatch);
    };
}
