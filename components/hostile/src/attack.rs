//! Forbidden instructions and addresses. None of these comes back where the system is sound, so
//! the `unsafe` here rests on nothing but that: the component that does it dies at once.

extern crate alloc;

use abi::op::own;
use abi::{CPtr, Error};
use core::arch::asm;
use core::hint::black_box;
use rt::cbuf::{Buffer, method};

/// Machine code of `ret`.
const RETURN: u8 = 0xc3;

static mut DATA: [u8; 16] = [RETURN; 16];

pub fn read(address: usize) {
    // SAFETY: the load faults, and the thread leaves this component.
    unsafe { asm!("mov al, [{0}]", in(reg) address, out("al") _) };
}

pub fn write(address: usize) {
    // SAFETY: the store faults, and the thread leaves this component.
    unsafe { asm!("mov byte ptr [{0}], 1", in(reg) address) };
}

/// Writes a buffer of its own that it gave up writing.
pub fn write_sealed() -> Result<(), Error> {
    let manager = rt::import("cbuf").ok_or(Error::NotFound)?;
    let mut buffer = Buffer::try_alloc(rt::cbuf::client(), 1)?;
    buffer[0] = 1;
    let sealed = buffer.freeze(1);
    rt::invoke(manager.entry, method::SEAL, [sealed.id().0.into(), 0, 0, 0])?;
    write(sealed.as_ptr() as usize);
    Ok(())
}

pub fn jump(address: usize) {
    // SAFETY: the jump faults; were there a `ret`, it would come back as a call does.
    unsafe { asm!("call {0}", in(reg) address, clobber_abi("sysv64")) };
}

pub fn execute_data() {
    jump(&raw const DATA as usize);
}

pub fn execute_stack() {
    let code = black_box([RETURN; 16]);
    jump(code.as_ptr() as usize);
}

pub fn execute_heap() {
    let code = black_box(alloc::vec![RETURN; 64]);
    jump(code.as_ptr() as usize);
}

/// Calls itself until the stack ends.
pub fn overflow(depth: u64) -> u64 {
    let room = black_box([depth; 64]);
    if black_box(depth) == u64::MAX {
        return depth;
    }
    overflow(depth + 1) + room[usize::try_from(depth % 64).unwrap_or(0)]
}

pub fn lose_stack() {
    // SAFETY: the push faults, and the thread leaves this component.
    unsafe { asm!("mov rsp, 64", "push rax", "ud2", options(noreturn)) }
}

/// Faults with a list of frames that leads into the kernel after the second.
pub fn corrupt_frames() {
    let code = inside();
    let mut frames = [0, code, 0xffff_8000_0010_0000, code];
    frames[0] = (&raw const frames[2]) as u64;
    // SAFETY: the store faults, and the thread leaves this component.
    unsafe {
        asm!(
            "mov rbp, {frame}",
            "mov byte ptr [0], 1",
            "ud2",
            frame = in(reg) frames.as_ptr(),
            options(noreturn)
        )
    }
}

/// An address in the code of [`corrupt_frames`].
fn inside() -> u64 {
    corrupt_frames as *const () as u64 + 1
}

/// Tells its supervisor traces without a fault, which nobody must get to see. How many of them
/// anything came of.
pub fn forge_trace() -> u64 {
    let code = inside();
    let traces = [
        [1, code << 32 | code, u64::MAX, code],
        [7, u64::MAX, code, code << 32],
        [u64::MAX; 4],
        [0; 4],
    ];
    let mut came = 0;
    for [a, b, c, d] in traces {
        let told = rt::syscall(CPtr::OWN, own::TRACE, [a, b, c, d, 0]);
        came += u64::from(told != Ok([0; 4]));
        came += u64::from(rt::cap::own::invokers().is_ok());
    }
    came
}

pub fn divide() {
    // SAFETY: the division faults, and the thread leaves this component.
    unsafe { asm!("xor ecx, ecx", "div ecx", out("eax") _, out("ecx") _, out("edx") _) };
}

pub fn privileged() {
    // SAFETY: the instruction faults outside the kernel.
    unsafe { asm!("cli") };
}

pub fn port() {
    // SAFETY: the instruction faults without the right to the port.
    unsafe { asm!("out 0xf4, al") };
}

pub fn interrupt() {
    // SAFETY: user code may not raise a vector of the kernel's.
    unsafe { asm!("int 0x41") };
}

/// Loads a segment of the local descriptor table, which nobody has.
pub fn segment() {
    // SAFETY: the load faults; were there a table, nothing here uses the segment.
    unsafe { asm!("mov fs, {0:e}", in(reg) 7) };
}

/// Fills every register that a call could return, and stays.
pub fn fill_registers() -> ! {
    // SAFETY: touches no memory and never ends.
    unsafe {
        asm!(
            "mov rbx, 0x5ec2e75ec2e75ec2",
            "mov rbp, rbx",
            "mov r12, rbx",
            "mov r13, rbx",
            "mov r14, rbx",
            "mov r15, rbx",
            "movq xmm0, rbx",
            "punpcklqdq xmm0, xmm0",
            "movdqa xmm6, xmm0",
            "movdqa xmm15, xmm0",
            "2: jmp 2b",
            options(noreturn)
        )
    }
}
