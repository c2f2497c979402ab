//! The system call as it is, with whatever in the registers.

use abi::CPtr;

/// A system call that may turn out to be an invocation, after which every register is lost.
/// Answers the status.
pub fn call(target: CPtr, op: u64, args: [u64; 5]) -> u64 {
    let status;
    // SAFETY: saves what cannot be named as lost; what the kernel does for it concerns only what
    // this component may do.
    unsafe {
        core::arch::asm!(
            "push rbx",
            "push rbp",
            "syscall",
            "pop rbp",
            "pop rbx",
            inlateout("rax") op => status,
            inlateout("rdi") args[0] => _,
            inlateout("rsi") args[1] => _,
            inlateout("rdx") args[2] => _,
            inlateout("r8") args[3] => _,
            inlateout("r9") args[4] => _,
            inlateout("r10") u64::from(target.0) => _,
            lateout("r12") _,
            lateout("r13") _,
            lateout("r14") _,
            lateout("r15") _,
            clobber_abi("sysv64"),
        );
    }
    status
}
