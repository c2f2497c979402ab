//! The system-call instruction. Invoking an Entry and returning from one stay in this file:
//! lookup, frame, address space, and back to user mode, with no call, no loop, no allocation and
//! no memory touched but the caller's two slots, two components and one frame. All else goes to
//! [`crate::invoke::general`].

use super::gdt::{KERNEL_CODE, KERNEL_DATA, USER_CODE, USER_DATA};
use super::regs::Regs;
use crate::cpu::Cpu;
use crate::invoke::direct::{self, Direct};
use crate::memory::DIRECT_MAP;
use crate::object::Thread;
use crate::object::component::{Component, FLAGS_INTERRUPTS, Life};
use crate::object::thread::{FRAMES, Frame, RESERVED_BIT};
use crate::platform::Machine;
use abi::{CapType, Error};
use cap::{Caps, Slot};
use core::arch::global_asm;
use core::mem::offset_of;
use core::ptr::NonNull;
use x86_64::registers::model_specific::Msr;

const STAR: u32 = 0xc000_0081;
const LSTAR: u32 = 0xc000_0082;
const FMASK: u32 = 0xc000_0084;
/// Trap, interrupts, direction, privilege level, nested task, alignment check.
const CLEARED_FLAGS: u64 = 0x4_7700;

const MACHINE: usize = offset_of!(Cpu, capabilities) + offset_of!(Caps<Machine>, platform);

// Registers on entry: abi's table. rcx is the caller's program counter, r11 its flags. Free for
// use before the invocation is certain: rcx and r11 (kept in the core), rsp (likewise).
global_asm!(
    r#"
.text
.balign 64
syscall_entry:
    swapgs
    mov gs:[{user_rsp}], rsp
    mov gs:[{user_rip}], rcx
    mov r10d, r10d              // an address has 32 bits; bit 32 is for `refused` below
    cmp r10d, -1
    je 5f

    mov gs:[{user_flags}], r11
    mov r11, gs:[{component}]
    mov ecx, r10d
    shr ecx, 8
    cmp rcx, [r11 + {cspace_slots}]
    jae 8f
    shl rcx, {slot_shift}
    add rcx, [r11 + {cspace}]
    cmp byte ptr [rcx + {slot_type}], {l2cnode}
    jne 8f
    mov rcx, [rcx + {slot_base}]
    movabs rsp, {direct_map}
    add rcx, rsp
    movzx esp, r10b
    shl esp, {slot_shift}
    add rcx, rsp
    cmp byte ptr [rcx + {slot_type}], {entry_type}
    jne 11f

    // An Entry it is: r10 and r9 are free now.
    movabs rsp, {direct_map}
    add rsp, [rcx + {slot_base}]
    cmp dword ptr [rsp + {life}], {alive}
    jne 6f
    mov r10, rsp
    mov rsp, gs:[{frame_top}]
    cmp rsp, gs:[{frame_end}]
    je 7f
14: mov r9, [rcx + {slot_badge}]
    mov [rsp + {frame_component}], r11
    mov rcx, gs:[{user_rip}]
    mov [rsp + {frame_rip}], rcx
    mov rcx, gs:[{user_rsp}]
    mov [rsp + {frame_rsp}], rcx
    add rsp, {frame_bytes}
    mov gs:[{frame_top}], rsp
    mov gs:[{component}], r10
    inc qword ptr gs:[{invocations}]
    // All memory is read before the switch: after it each page touched is a TLB miss.
    mov rsp, [r10 + {space}]
    mov rcx, [r10 + {entry}]
    cmp rsp, [r11 + {space}]
    mov r11, [r10 + {flags}]
    mov r10, gs:[{thread_id}]
    je 2f
    inc qword ptr gs:[{space_switches}]
    mov cr3, rsp
2:  xor esp, esp
    swapgs
    sysretq

    // Return: to the topmost frame, unless it is the last, dead, or a fault's.
5:  mov r11, gs:[{frame_top}]
    cmp r11, gs:[{frame_base}]
    je 9f
    mov rcx, [r11 - {frame_bytes} + {frame_rip}]
    mov rsp, rcx
    shr rsp, 47
    jne 9f
    mov r10, [r11 - {frame_bytes} + {frame_component}]
    cmp dword ptr [r10 + {life}], {alive}
    jne 9f
    mov rsp, [r11 - {frame_bytes} + {frame_rsp}]
    sub r11, {frame_bytes}
    mov gs:[{frame_top}], r11
    mov r9, gs:[{component}]
    mov gs:[{component}], r10
    mov r11, [r10 + {flags}]
    mov r10, [r10 + {space}]
    cmp r10, [r9 + {space}]
    je 3f
    inc qword ptr gs:[{space_switches}]
    mov cr3, r10
3:  xor r10d, r10d
    xor r9d, r9d
    swapgs
    sysretq

    // A kernel object: the C convention has the arguments where they are, the capability fits
    // between them. What is empty or being deleted is of type Null, which has its place, too.
11: movzx r11d, byte ptr [rcx + {slot_type}]
    mov rsp, gs:[{user_rip}]
    shr rsp, 47
    jne 8f
    mov rsp, gs:[{kernel_stack}]
    push rax
    call [{direct} + r11 * 8]
    cmp eax, {with_results}
    jae 12f
    xor edi, edi
    xor esi, esi
    xor edx, edx
    xor r8d, r8d
13: mov r10d, eax               // a status of zero is what says that it was not refused
    xor r9d, r9d
    mov r11, gs:[{component}]
    mov r11, [r11 + {flags}]
    mov rcx, gs:[{user_rip}]
    mov rsp, gs:[{user_rsp}]
    swapgs
    sysretq
12: jne 16f
    xor eax, eax
    mov rdi, gs:[{results}]
    mov rsi, gs:[{results} + 8]
    mov rdx, gs:[{results} + 16]
    mov r8, gs:[{results} + 24]
    jmp 13b
16: call {gone}                 // never comes back; called for the stack's alignment

    // A Thread's place in the table. A switch needs of its invoker what a call preserves; where
    // the other thread continues is `resume_switched`'s business, and a refusal returns as above.
.global thread_operation
thread_operation:
    cmp rax, {switch}
    jne 8f
    mov r11, gs:[{thread}]
    mov [r11 + {thread_regs} + {rbx}], rbx
    mov [r11 + {thread_regs} + {rbp}], rbp
    mov [r11 + {thread_regs} + {r12}], r12
    mov [r11 + {thread_regs} + {r13}], r13
    mov [r11 + {thread_regs} + {r14}], r14
    mov [r11 + {thread_regs} + {r15}], r15
    mov rdi, rcx
    jmp {switch_from}

    // Refused: the error goes to the caller, through the checks of the general path's end.
6:  mov r9d, {dead}
    jmp 10f
    // Full, but for what is kept for the scheduler, whose return takes the general path.
7:  test dword ptr [r10 + {flags}], {interrupts}
    jnz 15f
    mov r9, gs:[{frame_base}]
    add r9, {all_frames}
    cmp rsp, r9
    je 15f
    mov gs:[{frame_end}], r9
    bts qword ptr gs:[{user_rip}], {reserved}
    jmp 14b
15: mov r9d, {too_deep}
10: movabs r10, {refused}
    jmp 8f

9:  mov r10d, -1
.global general_path
general_path:
8:  mov rsp, gs:[{kernel_stack}]
    push 0                      // for the alignment of the call below
    push {user_data}
    push gs:[{user_rsp}]
    push gs:[{user_flags}]
    push {user_code}
    push gs:[{user_rip}]
    push 0
    push 0
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
    mov rdi, rsp
    call {general}
    mov rdi, rsp

// Continues user code after a system call: registers as at rdi, rcx and r11 lost.
.global resume_call
resume_call:
    mov rsp, rdi
    pop r15
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
    mov rcx, [rsp + 2 * 8]
    mov r11, [rsp + 4 * 8]
    mov rsp, [rsp + 5 * 8]
    swapgs
    sysretq

// Continues a thread whose switch to another ends: results, and what a call preserves, as at rdi;
// nothing else of anybody's.
.global resume_switched
resume_switched:
    mov r15, [rdi + {r15}]
    mov r14, [rdi + {r14}]
    mov r13, [rdi + {r13}]
    mov r12, [rdi + {r12}]
    mov rbp, [rdi + {rbp}]
    mov rbx, [rdi + {rbx}]
    mov rax, [rdi + {rax}]
    mov rcx, [rdi + {rip}]
    mov r11, [rdi + {rflags}]
    mov rsp, [rdi + {rsp}]
    mov rsi, [rdi + {rsi}]
    mov rdi, [rdi + {rdi}]
    xor edx, edx
    xor r8d, r8d
    xor r9d, r9d
    xor r10d, r10d
    swapgs
    sysretq
"#,
    user_rsp = const offset_of!(Cpu, user_rsp),
    user_rip = const offset_of!(Cpu, user_rip),
    user_flags = const offset_of!(Cpu, user_flags),
    kernel_stack = const offset_of!(Cpu, kernel_stack),
    component = const MACHINE + offset_of!(Machine, component),
    frame_top = const MACHINE + offset_of!(Machine, frame_top),
    frame_base = const MACHINE + offset_of!(Machine, frame_base),
    frame_end = const MACHINE + offset_of!(Machine, frame_end),
    thread_id = const offset_of!(Cpu, thread_id),
    invocations = const offset_of!(Cpu, invocations),
    space_switches = const offset_of!(Cpu, space_switches),
    space = const offset_of!(Component, space),
    cspace = const offset_of!(Component, cspace),
    cspace_slots = const offset_of!(Component, cspace_slots),
    life = const offset_of!(Component, life),
    alive = const Life::Alive as u64,
    entry = const offset_of!(Component, entry),
    flags = const offset_of!(Component, flags),
    frame_component = const offset_of!(Frame, component),
    frame_rip = const offset_of!(Frame, rip),
    frame_rsp = const offset_of!(Frame, rsp),
    frame_bytes = const size_of::<Frame>(),
    slot_shift = const abi::cptr::SLOT_BYTES.trailing_zeros(),
    slot_type = const Slot::TYPE_OFFSET,
    slot_base = const Slot::BASE_OFFSET,
    slot_badge = const Slot::BADGE_OFFSET,
    l2cnode = const CapType::L2CNode as u8,
    entry_type = const CapType::Entry as u8,
    direct_map = const DIRECT_MAP,
    interrupts = const FLAGS_INTERRUPTS,
    all_frames = const FRAMES * size_of::<Frame>(),
    reserved = const RESERVED_BIT,
    dead = const Error::Dead as u64,
    too_deep = const Error::TooDeep as u64,
    refused = const REFUSED,
    user_data = const USER_DATA,
    user_code = const USER_CODE,
    general = sym crate::invoke::general,
    direct = sym direct::DIRECT,
    with_results = const direct::WITH_RESULTS,
    gone = sym direct::gone,
    results = const offset_of!(Cpu, results),
    switch = const abi::op::thread::SWITCH,
    switch_from = sym crate::invoke::thread::switch,
    thread = const MACHINE + offset_of!(Machine, thread),
    thread_regs = const offset_of!(Thread, regs),
    r15 = const offset_of!(Regs, r15),
    r14 = const offset_of!(Regs, r14),
    r13 = const offset_of!(Regs, r13),
    r12 = const offset_of!(Regs, r12),
    rbp = const offset_of!(Regs, rbp),
    rbx = const offset_of!(Regs, rbx),
    rax = const offset_of!(Regs, rax),
    rdi = const offset_of!(Regs, rdi),
    rsi = const offset_of!(Regs, rsi),
    rip = const offset_of!(Regs, rip),
    rflags = const offset_of!(Regs, rflags),
    rsp = const offset_of!(Regs, rsp),
);

/// The fast path's word to the general one, in `r10`: `r9` holds the error to give. No address
/// that user code passes gets here with this bit.
pub const REFUSED: u64 = 1 << 32;

// SAFETY: declared as the assembly above defines them.
unsafe extern "C" {
    fn syscall_entry();
    fn resume_call(regs: *const Regs) -> !;
    fn resume_switched(regs: *const Regs) -> !;
}

/// Declares pieces of the assembly above that stand in [`direct::DIRECT`]: they take the registers
/// of an operation as the entry leaves them.
macro_rules! direct_pieces {
    ($($(#[$doc:meta])* $constant:ident $piece:ident;)*) => {
        // SAFETY: they end as all functions of that type do, or never.
        unsafe extern "C" {
            $(fn $piece(
                a0: u64, a1: u64, a2: u64, slot: NonNull<Slot>, a3: u64, a4: u64, operation: u64,
            ) -> u64;)*
        }
        $($(#[$doc])* pub const $constant: Direct = $piece;)*
    };
}

direct_pieces! {
    /// The general path, where all registers are kept.
    GENERAL general_path;
    /// A switch to a Thread; other operations on one take the general path.
    THREAD thread_operation;
}

/// Continues user code after a system call, with all registers as they are in `regs` but `rcx` and
/// `r11`.
///
/// # Safety
/// As for [`super::idt::resume`].
pub unsafe fn resume(regs: &Regs) -> ! {
    // SAFETY: the caller's promise; GS is the kernel's since the entry, whose `swapgs` this undoes.
    unsafe { resume_call(regs) }
}

/// Continues a thread that waits since it switched to another.
///
/// # Safety
/// As for [`super::idt::resume`], of program counter and flags; other registers are any.
pub unsafe fn resume_from_switch(regs: &Regs) -> ! {
    // SAFETY: the caller's promise; selectors are those of `sysret`. GS is the kernel's since the
    // entry, whose `swapgs` this undoes.
    unsafe { resume_switched(regs) }
}

/// Points the instruction at [`syscall_entry`] on this core.
pub fn setup() {
    let user_base = u64::from(KERNEL_DATA) | 3;
    let star = user_base << 48 | u64::from(KERNEL_CODE) << 32;
    // SAFETY: the selectors are those of `gdt`, and the entry is the code above.
    unsafe {
        Msr::new(STAR).write(star);
        Msr::new(LSTAR).write(syscall_entry as *const () as u64);
        Msr::new(FMASK).write(CLEARED_FLAGS);
    }
}
