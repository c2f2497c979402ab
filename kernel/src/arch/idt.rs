//! Interrupts and exceptions: 256 gates, one common path into [`crate::trap::trap`].

use super::gdt::{KERNEL_CODE, STACK_DOUBLE_FAULT, STACK_MACHINE_CHECK, STACK_NMI};
use super::regs::Regs;
use core::arch::global_asm;
use x86_64::VirtAddr;
use x86_64::instructions::tables::lidt;
use x86_64::structures::DescriptorTablePointer;

const GATES: usize = 256;
/// Bytes between the entries of two vectors.
const STUB_BYTES: usize = 16;
const DOUBLE_FAULT: usize = 8;
const NMI: usize = 2;
const MACHINE_CHECK: usize = 18;

// Each stub leaves the vector above the error code (a zero where the processor pushes none).
// Exceptions with an error code: 8, 10 to 14, 17, 21, 29, 30.
global_asm!(
    r#"
.text
.balign 16
trap_stubs:
.set vector, 0
.rept 256
    .balign {stub}
    .if (vector == 8) || (vector >= 10 && vector <= 14) || (vector == 17) || (vector == 21) || (vector == 29) || (vector == 30)
    .else
    pushq $0
    .endif
    pushq $vector
    jmp trap_common
    .set vector, vector + 1
.endr
"#,
    stub = const STUB_BYTES,
    options(att_syntax),
);

global_asm!(
    r#"
.text
trap_common:
    push rax
    push rcx
    push rdx
    push rsi
    push rdi
    push r8
    push r9
    push r10
    push r11
    push rbx
    push rbp
    push r12
    push r13
    push r14
    push r15
    cld
    // An NMI may strike where GS is neither the user's nor ours for sure: it needs no core.
    cmp qword ptr [rsp + 15 * 8], {nmi}
    je 3f
    test byte ptr [rsp + 18 * 8], 3
    jz 2f
    swapgs
    // A gate leaves this flag (alignment check) as user code had it; set, it would lift the bar
    // against access to user pages.
    pushfq
    btr qword ptr [rsp], 18
    popfq
    mov rdi, rsp
    call {trap}
    mov rdi, rsp
    jmp resume_full
2:  mov rdi, rsp
    call {trap}
3:  pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    pop r11
    pop r10
    pop r9
    pop r8
    pop rdi
    pop rsi
    pop rdx
    pop rcx
    pop rax
    add rsp, 16
    iretq

// Continues user code with every register as saved at rdi.
.global resume_full
resume_full:
    mov rsp, rdi
    swapgs
    jmp 3b
"#,
    nmi = const NMI,
    trap = sym crate::trap::trap,
);

// SAFETY: declared as the assembly above defines them.
unsafe extern "C" {
    static trap_stubs: [u8; GATES * STUB_BYTES];
    fn resume_full(regs: *const Regs) -> !;
}

/// Continues user code with all registers as they are in `regs`.
///
/// # Safety
/// `regs` are fit for user mode ([`Regs`]), the current component's address space is loaded, and
/// interrupts are off.
pub unsafe fn resume(regs: &Regs) -> ! {
    // SAFETY: the caller's promise; GS is the kernel's since the entry, whose `swapgs` this undoes.
    unsafe { resume_full(regs) }
}

#[derive(Clone, Copy)]
#[repr(C)]
struct Gate([u64; 2]);

/// A core's interrupt descriptor table.
#[repr(C, align(16))]
pub struct Idt([Gate; GATES]);

impl Idt {
    pub const fn new() -> Self {
        Idt([Gate([0; 2]); GATES])
    }

    /// Fills the table and loads it on this core. All gates are closed to `int n`.
    pub fn load(&'static mut self) {
        let stubs = (&raw const trap_stubs) as u64;
        for (vector, gate) in self.0.iter_mut().enumerate() {
            let address = stubs + (vector * STUB_BYTES) as u64;
            let stack = match vector {
                DOUBLE_FAULT => STACK_DOUBLE_FAULT,
                NMI => STACK_NMI,
                MACHINE_CHECK => STACK_MACHINE_CHECK,
                _ => 0,
            };
            let interrupt_gate = 0x8e;
            gate.0[0] = (address & 0xffff)
                | u64::from(KERNEL_CODE) << 16
                | u64::from(stack) << 32
                | interrupt_gate << 40
                | (address >> 16 & 0xffff) << 48;
            gate.0[1] = address >> 32;
        }
        let pointer = DescriptorTablePointer {
            limit: size_of_val(&self.0) as u16 - 1,
            base: VirtAddr::new(self.0.as_ptr() as u64),
        };
        // SAFETY: the table lives as long as the core, and every gate leads to a stub.
        unsafe { lidt(&pointer) }
    }
}
