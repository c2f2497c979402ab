//! A thread's registers as the kernel keeps them: on its stack while it works, in the thread
//! object while the thread waits. The order is that of the pushes in `idt` and `syscall`.

use super::gdt::{USER_CODE, USER_DATA};

/// What user code is continued with is **fit for user mode**: the two selectors are the user's, the
/// program counter is below [`crate::memory::USER_END`], and the flags are a component's and what
/// user code may add to them ([`Regs::set_flags`]), or what the processor said they were in user
/// mode. Everything that continues user code asks for that.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Regs {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub rbp: u64,
    pub rbx: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rdi: u64,
    pub rsi: u64,
    pub rdx: u64,
    pub rcx: u64,
    pub rax: u64,
    pub vector: u64,
    pub error: u64,
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}

/// Flags that user code may have as it likes: the arithmetic ones, direction, trap, ID.
const USER_FLAGS: u64 = 0x20_0dd5;

impl Regs {
    /// All zero but what user mode needs; the program counter and the flags are still to be set.
    pub fn user() -> Regs {
        Regs {
            cs: u64::from(USER_CODE),
            ss: u64::from(USER_DATA),
            ..Regs::default()
        }
    }

    pub fn are_users(&self) -> bool {
        self.cs & 3 != 0
    }

    /// The flags that user code had, with interrupts as `component_flags` say.
    pub fn set_flags(&mut self, component_flags: u64) {
        self.rflags = (self.rflags & USER_FLAGS) | component_flags;
    }

    pub fn set_results(&mut self, status: u64, results: [u64; 4]) {
        self.rax = status;
        [self.rdi, self.rsi, self.rdx, self.r8] = results;
    }
}
