//! The system-call instruction, twice: on an Entry (an invocation, which clobbers everything but
//! the stack pointer) and on a kernel object (which preserves what it does not return).

use core::arch::asm;

use abi::{CPtr, Error};

use crate::Reply;

/// Clears the vector registers, so that nothing of one component reaches another: part of every
/// way out of a component, there and back.
#[doc(hidden)]
#[macro_export]
macro_rules! __clear_vectors {
    () => {
        concat!(
            "pxor xmm0, xmm0\n",
            "pxor xmm1, xmm1\n",
            "pxor xmm2, xmm2\n",
            "pxor xmm3, xmm3\n",
            "pxor xmm4, xmm4\n",
            "pxor xmm5, xmm5\n",
            "pxor xmm6, xmm6\n",
            "pxor xmm7, xmm7\n",
            "pxor xmm8, xmm8\n",
            "pxor xmm9, xmm9\n",
            "pxor xmm10, xmm10\n",
            "pxor xmm11, xmm11\n",
            "pxor xmm12, xmm12\n",
            "pxor xmm13, xmm13\n",
            "pxor xmm14, xmm14\n",
            "pxor xmm15, xmm15\n",
        )
    };
}

/// SSE control word with all exceptions masked, as compiled code expects it; in memory, from where
/// alone it can be loaded.
#[doc(hidden)]
pub static MXCSR: u32 = 0x1f80;

/// Why an invocation gave no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Failure {
    pub error: Error,
    /// Whether the callee can have seen the arguments: false when the kernel refused.
    pub ran: bool,
}

/// Invokes a component through an Entry, as [`attempt`] does.
#[inline]
pub fn invoke(entry: CPtr, method: u64, args: [u64; 4]) -> Reply {
    attempt(entry, method, args).map_err(|failure| failure.error)
}

/// Invokes a component through an Entry: the thread goes on in the callee and comes back with
/// its answer. Clears every register that is not an argument and that the kernel does not set, so
/// that nothing leaks to the callee, and sets right again what the callee could have left wrong
/// (vector control; the kernel sees to the flags). [`Error::Dead`] when the callee dies meanwhile.
#[inline]
pub fn attempt(entry: CPtr, method: u64, args: [u64; 4]) -> Result<[u64; 4], Failure> {
    let (status, refused): (u64, u64);
    let (r0, r1, r2, r3): (u64, u64, u64, u64);
    // SAFETY: the system call touches no memory of ours; `rbx` and `rbp`, which cannot be named
    // as operands, are saved on the stack (which the kernel keeps for us), all other registers
    // are declared clobbered, and the flags and control registers that the ABI fixes are reset.
    unsafe {
        asm!(
            "push rbx",
            "push rbp",
            "xor ebx, ebx",
            "xor ebp, ebp",
            "xor r12d, r12d",
            "xor r13d, r13d",
            "xor r14d, r14d",
            "xor r15d, r15d",
            crate::__clear_vectors!(),
            "syscall",
            "ldmxcsr dword ptr [rip + {mxcsr}]",
            "pop rbp",
            "pop rbx",
            mxcsr = sym MXCSR,
            inlateout("rax") method => status,
            inlateout("rdi") args[0] => r0,
            inlateout("rsi") args[1] => r1,
            inlateout("rdx") args[2] => r2,
            inlateout("r8") args[3] => r3,
            inlateout("r10") u64::from(entry.0) => refused,
            lateout("r12") _,
            lateout("r13") _,
            lateout("r14") _,
            lateout("r15") _,
            clobber_abi("sysv64"),
        );
    }
    match Error::check(status) {
        Ok(()) => Ok([r0, r1, r2, r3]),
        Err(error) => Err(Failure {
            error,
            ran: refused == 0,
        }),
    }
}

/// The one operation on a kernel object that loses the vector registers: [`crate::cap`]'s switch
/// to another thread, which comes back when somebody switches to this one.
#[inline]
pub(crate) fn switch(thread: CPtr) -> Result<(u64, u64), Error> {
    let status: u64;
    let (r0, r1): (u64, u64);
    // SAFETY: as in `syscall`; vector registers are declared lost like the rest of what the C
    // convention lets a call lose, and the kernel keeps all others for this thread.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") abi::op::thread::SWITCH => status,
            lateout("rdi") r0,
            lateout("rsi") r1,
            in("r10") u64::from(thread.0),
            clobber_abi("sysv64"),
            options(nostack),
        );
    }
    Error::check(status).map(|()| (r0, r1))
}

/// One operation on a kernel object. May answer [`Error::Again`]; [`crate::cap`] has the
/// operations by name, with the loops that go with it.
#[inline]
pub fn syscall(cptr: CPtr, op: u64, args: [u64; 5]) -> Reply {
    let status: u64;
    let (r0, r1, r2, r3): (u64, u64, u64, u64);
    // SAFETY: the kernel checks every argument against the capability and reads or writes no
    // user memory by itself; what it changes (mappings) is its caller's responsibility. All
    // registers that it does not preserve are declared.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") op => status,
            inlateout("rdi") args[0] => r0,
            inlateout("rsi") args[1] => r1,
            inlateout("rdx") args[2] => r2,
            inlateout("r8") args[3] => r3,
            inlateout("r9") args[4] => _,
            inlateout("r10") u64::from(cptr.0) => _,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    Error::check(status).map(|()| [r0, r1, r2, r3])
}
