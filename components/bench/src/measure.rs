//! Single figures, in ticks of the time-stamp counter: with QEMU's `-icount shift=0`, one for each
//! instruction.

use abi::start::slot::{CONSOLE, CSPACE};
use abi::{CPtr, CapType, Error, op};
use bench::{RUNS, median, method};
use core::arch::asm;
use rt::{cap, time};

use crate::other;
use bench::stock::Stock;

/// Ticks that `work` takes, without those of the two looks at the counter.
fn ticks(mut work: impl FnMut() -> Result<(), Error>) -> Result<u64, Error> {
    let (mut with, mut without) = ([0; RUNS], [0; RUNS]);
    for run in 0..RUNS {
        let begun = time::now();
        without[run] = time::now() - begun;
        let begun = time::now();
        let result = work();
        with[run] = time::now() - begun;
        result?;
    }
    Ok(median(with) - median(without))
}

pub fn print(name: &str, ticks: u64) {
    rt::println!("BENCH {name} {ticks}");
}

/// An invocation by the instruction alone: registers stay full, nothing is set right again.
#[inline]
fn bare_invoke(entry: CPtr) -> (u64, u64) {
    let (low, high): (u64, u64);
    // SAFETY: as the runtime's, but that what must be preserved is: by a callee that we know.
    unsafe {
        asm!(
            "push rbx",
            "push rbp",
            "syscall",
            "pop rbp",
            "pop rbx",
            inlateout("rax") method::ECHO => _,
            lateout("rdi") low,
            lateout("rsi") high,
            in("r10") u64::from(entry.0),
            lateout("r12") _,
            lateout("r13") _,
            lateout("r14") _,
            lateout("r15") _,
            clobber_abi("sysv64"),
        );
    }
    (low, high)
}

/// Instructions of the bare callee but for its system call.
const BARE_CALLEE: u64 = 5;
/// What [`bare_invoke`] and the bare callee execute around the kernel's part: moves of two
/// arguments, two pushes, the callee, two pops. Both `syscall` are the kernel's part.
const AROUND_KERNEL: u64 = 2 + 2 + BARE_CALLEE + 2;
/// Of those, before the kernel's part and up to the bare callee's look at the counter: two moves
/// that keep the first look, the arguments, the pushes, and the look itself.
const BEFORE_KERNEL: u64 = 2 + 2 + 2 + 1;

pub fn invocations(callee: CPtr, bare: CPtr) -> Result<(), Error> {
    let whole = ticks(|| rt::invoke(callee, method::ECHO, [1, 2, 3, 4]).map(drop))?;
    print("invocation", whole);
    let kernel_and_callee = ticks(|| {
        bare_invoke(callee);
        Ok(())
    })?;
    let kernel = ticks(|| {
        bare_invoke(bare);
        Ok(())
    })?;
    let mut there = [0; RUNS];
    for run in &mut there {
        let begun = time::now();
        let (low, high) = bare_invoke(bare);
        *run = (low | high << 32) - begun;
    }
    let in_kernel = kernel - AROUND_KERNEL;
    let there = median(there) - BEFORE_KERNEL;
    let callee = kernel_and_callee - kernel + BARE_CALLEE;
    print("invocation-there", there);
    print("invocation-back", in_kernel - there);
    print("invocation-callee", callee);
    print("invocation-caller", whole - in_kernel - callee);
    Ok(())
}

pub fn objects(stock: &mut Stock) -> Result<(), Error> {
    let noop = ticks(|| rt::syscall(CONSOLE, op::console::WRITE, [0; 5]).map(drop))?;
    print("noop", noop);
    let ((ram, offset), slot, page) = (stock.untyped(), stock.slot(), abi::layout::PAGE as u64);
    let mut runs = [0; RUNS];
    for run in &mut runs {
        let begun = time::now();
        let result = cap::retype(CSPACE, slot, ram, CapType::Frame, 1, offset, page);
        *run = time::now() - begun;
        result?;
        cap::delete(CSPACE, slot)?;
    }
    print("retype", median(runs));
    Ok(())
}

/// A switch to a thread that switches back at once.
pub fn switches(name: &str, other: CPtr) -> Result<(), Error> {
    // The first lets it get as far as its own switch.
    cap::thread::switch(other)?;
    let there_and_back = ticks(|| cap::thread::switch(other).map(drop))?;
    print(name, there_and_back);
    Ok(())
}

/// A switch by the instruction alone.
#[inline]
fn bare_switch(thread: CPtr) {
    // SAFETY: as the runtime's.
    unsafe {
        asm!(
            "mov eax, {switch}",
            "mov r10d, {thread:e}",
            "syscall",
            switch = const op::thread::SWITCH,
            thread = in(reg) thread.0,
            clobber_abi("sysv64"),
            options(nostack),
        );
    }
}

/// A switch with all registers full. Answers what it changed of those that a call keeps, and what
/// is in the others but for its results afterwards.
pub fn full_switch(thread: CPtr) -> u64 {
    let wrong;
    // SAFETY: as the runtime's; what cannot be named is saved on the stack.
    unsafe {
        asm!(
            "push rbx",
            "push rbp",
            "mov eax, {switch}",
            "mov r10, rdi",
            ".irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
            "pcmpeqd xmm\\number, xmm\\number",
            ".endr",
            "movdq2q mm0, xmm1",
            ".irp register, rdi, rsi, rdx, r8, r9, rbx, rbp, r12, r13, r14, r15",
            "mov \\register, 0x5a5a5a5a",
            ".endr",
            "syscall",
            "not rsi",
            ".irp register, rbx, rbp, r12, r13, r14, r15",
            "xor \\register, 0x5a5a5a5a",
            ".endr",
            ".irp register, rdi, rsi, rdx, r8, r9, r10, rbx, rbp, r12, r13, r14, r15",
            "or rax, \\register",
            ".endr",
            ".irp number, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
            "por xmm0, xmm\\number",
            ".endr",
            "movq rcx, xmm0",
            "or rax, rcx",
            "movq rcx, mm0",
            "or rax, rcx",
            "emms",
            "pop rbp",
            "pop rbx",
            switch = const op::thread::SWITCH,
            lateout("rax") wrong,
            inlateout("rdi") u64::from(thread.0) => _,
            lateout("r12") _,
            lateout("r13") _,
            lateout("r14") _,
            lateout("r15") _,
            clobber_abi("sysv64"),
        );
    }
    wrong
}

/// What [`bare_switch`] executes around the kernel's part, and what `other` does.
const BARE_SWITCH: u64 = 2;
const AROUND_SWITCHES: u64 = BARE_SWITCH + other::BETWEEN_SWITCHES;

/// Where the instructions of [`switches`] to the thread of [`other`] go, there and back; `own` is
/// the thread that measures. A switch to the thread itself is all but the change of threads.
pub fn switch_parts(other: CPtr, own: CPtr) -> Result<(), Error> {
    let whole = ticks(|| cap::thread::switch(other).map(drop))?;
    let kernel = ticks(|| {
        bare_switch(other);
        Ok(())
    })?;
    let kernel = kernel - AROUND_SWITCHES;
    let unchanged = ticks(|| {
        bare_switch(own);
        Ok(())
    })?;
    let unchanged = 2 * (unchanged - BARE_SWITCH);
    print("switch-stubs", whole - kernel);
    print("switch-unchanged", unchanged);
    print("switch-change", kernel - unchanged);
    Ok(())
}

/// An instruction that does not exist, which the handler skips.
pub fn faults() -> Result<(), Error> {
    let skipped = ticks(|| {
        // SAFETY: the handler continues behind the instruction and changes nothing else.
        unsafe { asm!("ud2", options(nostack)) };
        Ok(())
    })?;
    print("fault", skipped);
    Ok(())
}

/// A write to an address without memory, where the handler maps some. `undo` takes it away.
pub fn pages(address: u64, mut undo: impl FnMut() -> Result<(), Error>) -> Result<(), Error> {
    let mut runs = [0; RUNS];
    for run in &mut runs {
        let begun = time::now();
        // SAFETY: the handler maps a page there that nothing else uses.
        unsafe { (address as *mut u64).write_volatile(begun) };
        *run = time::now() - begun;
        // SAFETY: as above.
        if unsafe { (address as *const u64).read_volatile() } != begun {
            return Err(Error::Unknown);
        }
        undo()?;
    }
    print("page", median(runs));
    Ok(())
}
