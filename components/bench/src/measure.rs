//! Single figures, in ticks of the time-stamp counter: with QEMU's `-icount shift=0`, one for each
//! instruction.

use abi::start::slot::{CONSOLE, CSPACE};
use abi::{CPtr, CapType, Error, op};
use bench::{RUNS, median, method};
use core::arch::{asm, naked_asm};
use rt::fault::Entry;
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

/// A system call on a kernel object by the instruction alone: the instructions of the kernel's part,
/// `syscall` included, and the status.
fn bare_call(object: CPtr, operation: u64, args: [u64; 5]) -> (u64, u64) {
    /// A look at the counter, three moves before the call and one behind it.
    const AROUND: u32 = 1 + 3 + 1;
    let (ticks, status): (u32, u64);
    // SAFETY: as the runtime's; kernel objects change no register that is not named here.
    unsafe {
        asm!(
            "rdtsc",
            "mov r12d, eax",
            "mov rdx, r13",
            "mov rax, r14",
            "syscall",
            "mov r13, rax",
            "rdtsc",
            "sub eax, r12d",
            out("eax") ticks,
            inlateout("rdi") args[0] => _,
            inlateout("rsi") args[1] => _,
            inlateout("r13") args[2] => status,
            inlateout("r8") args[3] => _,
            inlateout("r9") args[4] => _,
            inlateout("r10") u64::from(object.0) => _,
            inlateout("r14") operation => _,
            out("rdx") _,
            out("rcx") _,
            out("r11") _,
            out("r12") _,
            options(nostack),
        );
    }
    (u64::from(ticks - AROUND), status)
}

/// The median of the kernel's part of a call that must end so; `undo` comes after each.
fn kernel_part(
    object: CPtr,
    operation: u64,
    args: [u64; 5],
    expected: Result<(), Error>,
    mut undo: impl FnMut() -> Result<(), Error>,
) -> Result<u64, Error> {
    let mut runs = [0; RUNS];
    for run in &mut runs {
        let (ticks, status) = bare_call(object, operation, args);
        if Error::check(status) != expected {
            return Err(Error::Unknown);
        }
        *run = ticks;
        undo()?;
    }
    Ok(median(runs))
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
    let retype = median(runs);
    print("retype", retype);
    object_parts(stock, [noop, retype], slot)
}

/// Where the instructions of [`objects`] go; `slot` is the one that was made in.
fn object_parts(stock: &mut Stock, whole: [u64; 2], slot: CPtr) -> Result<(), Error> {
    let nothing = || Ok(());
    let entry = kernel_part(CONSOLE, op::console::WRITE, [0; 5], Ok(()), nothing)?;
    let ((ram, offset), other, page) = (stock.untyped(), stock.slot(), abi::layout::PAGE as u64);
    let made_in = |slot: CPtr| {
        let what = CapType::Frame as u64 | 1 << 32;
        [u64::from(slot.0), u64::from(ram.0), what, offset, page]
    };
    let delete = || cap::delete(CSPACE, slot);
    let retype = op::cspace::RETYPE;
    let made = kernel_part(CSPACE, retype, made_in(slot), Ok(()), delete)?;
    // The last that is looked at is whether the memory is free: what is refused there has had
    // every check, and nothing else.
    cap::retype(CSPACE, slot, ram, CapType::Frame, 1, offset, page)?;
    let refused = Err(Error::Overlaps);
    let checked = kernel_part(CSPACE, retype, made_in(other), refused, nothing)?;
    delete()?;
    print("noop-caller", whole[0] - entry);
    print("noop-kernel", entry);
    print("retype-caller", whole[1] - made);
    print("retype-entry", entry);
    print("retype-checks", checked - entry);
    print("retype-insert", made - checked);
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
#[inline]
fn skipped() -> Result<u64, Error> {
    ticks(|| {
        // SAFETY: the handler continues behind the instruction and changes nothing else.
        unsafe { asm!("ud2", options(nostack)) };
        Ok(())
    })
}

/// A fault that the handler skips, and where its instructions go. `runtime` is where the
/// component's faults go before and afterwards.
pub fn faults(runtime: Entry) -> Result<(), Error> {
    let whole = skipped()?;
    print("fault", whole);
    let set = |entry: Entry| {
        let args = [
            entry.code as usize as u64,
            entry.stack_bytes as u64,
            0,
            0,
            0,
        ];
        rt::syscall(CPtr::OWN, op::own::SET_HANDLER, args).map(drop)
    };
    let (mut there, mut asked) = ([0; RUNS], [0; RUNS]);
    set(Entry {
        code: bare_handler,
        ..runtime
    })?;
    for run in 0..RUNS {
        (there[run], asked[run]) = bare_fault();
    }
    set(runtime)?;
    let (there, asked) = (median(there), median(asked));
    print("fault-there", there);
    print("fault-asked", asked);
    print("fault-runtime", whole - there - asked);
    Ok(())
}

/// The kernel's part of a fault, by [`bare_handler`]: up to the handler's first instruction, and of
/// asking what happened, in instructions, that which faults and `syscall` included.
fn bare_fault() -> (u64, u64) {
    /// A look at the counter, and the move that keeps it.
    const BEFORE_FAULT: u32 = 2;
    /// The same, and the moves of the operation and of its object.
    const BEFORE_CALL: u32 = 4;
    let (there, asked): (u32, u32);
    // SAFETY: the handler comes back to the label with the stack pointer as it was; what it and
    // the kernel change is named.
    unsafe {
        asm!(
            "mov r12, rsp",
            "lea r13, [rip + 2f]",
            "rdtsc",
            "mov r14d, eax",
            "ud2",
            "2:",
            out("eax") asked,
            out("r15d") there,
            out("r12") _,
            out("r13") _,
            out("r14") _,
            clobber_abi("sysv64"),
        );
    }
    let (there, asked) = (there - BEFORE_FAULT, asked - BEFORE_CALL);
    (u64::from(there), u64::from(asked))
}

/// The least that a handler of [`bare_fault`]'s can do: it looks at the counter, asks the kernel what
/// happened, and jumps back.
#[unsafe(naked)]
unsafe extern "C" fn bare_handler() -> ! {
    naked_asm!(
        "rdtsc",
        "mov r15d, eax",
        "sub r15d, r14d",
        "rdtsc",
        "mov r14d, eax",
        "mov eax, {operation}",
        "mov r10d, {own}",
        "syscall",
        "rdtsc",
        "sub eax, r14d",
        "mov rsp, r12",
        "jmp r13",
        operation = const op::own::FAULT,
        own = const CPtr::OWN.0,
    )
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
