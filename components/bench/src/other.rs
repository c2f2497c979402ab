//! A component made by hand, whose one thread switches back to whom it is told, at once: the other
//! end of a thread switch between address spaces.

use abi::captype::MapFlags;
use abi::layout::{IMAGE, PAGE};
use abi::start::slot::CSPACE;
use abi::{CPtr, CapType, ComponentId, Error, ThreadId, op};
use core::arch::global_asm;
use rt::cap;

use bench::stock::{READ_WRITE, Stock, WINDOW};

global_asm!(
    ".global switch_back, switch_back_end",
    "switch_back:",
    "mov rbx, rdi",
    "2: mov eax, {switch}",
    "mov r10, rbx",
    "syscall",
    "jmp 2b",
    "switch_back_end:",
    switch = const op::thread::SWITCH,
);

// Faults, which ends it, when a switch has lost what it keeps or left anything of another's.
global_asm!(
    ".global check_back, check_back_end",
    "check_back:",
    "mov rbx, rdi",
    "mov ebp, 1",
    "mov r12d, 2",
    "mov r13d, 3",
    "mov r14d, 4",
    "mov r15d, 5",
    "3: mov eax, {switch}",
    "mov r10, rbx",
    "syscall",
    "not rsi",
    "dec rbp",
    "sub r12, 2",
    "sub r13, 3",
    "sub r14, 4",
    "sub r15, 5",
    ".irp register, rdi, rsi, rdx, r8, r9, r10, rbp, r12, r13, r14, r15",
    "or rax, \\register",
    ".endr",
    ".irp number, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
    "por xmm0, xmm\\number",
    ".endr",
    "movq rcx, xmm0",
    "or rax, rcx",
    "movq rcx, mm0",
    "or rax, rcx",
    "jnz 4f",
    "inc rbp",
    "add r12, 2",
    "add r13, 3",
    "add r14, 4",
    "add r15, 5",
    "jmp 3b",
    "4: ud2",
    "check_back_end:",
    switch = const op::thread::SWITCH,
);

/// Instructions of the loop but for its system call.
pub const BETWEEN_SWITCHES: u64 = 3;

unsafe extern "C" {
    static switch_back: u8;
    static switch_back_end: u8;
    static check_back: u8;
    static check_back_end: u8;
}

/// What the thread does between its switches.
pub enum Between {
    Nothing,
    /// Looks at all registers.
    Checks,
}

/// Makes the thread; it has not begun yet. It shares our CSpace, and has nothing else.
pub fn make(stock: &mut Stock, back: CPtr, id: ThreadId, between: Between) -> Result<CPtr, Error> {
    let code = stock.page(CapType::Frame)?;
    let shown = stock.slot();
    cap::map(stock.window, code, 0, 1, READ_WRITE, 0, shown)?;
    // SAFETY: the symbols enclose position-independent code of less than a page; the page that was
    // mapped is written by nobody else.
    unsafe {
        let (begin, end) = match between {
            Between::Nothing => (&raw const switch_back, &raw const switch_back_end),
            Between::Checks => (&raw const check_back, &raw const check_back_end),
        };
        let bytes = end.offset_from_unsigned(begin);
        core::ptr::copy_nonoverlapping(begin, WINDOW as *mut u8, bytes);
    }
    cap::mapping::destroy(shown)?;

    let root = stock.page(CapType::Pml4)?;
    let entry = |bits: u32| (IMAGE >> bits) as u16 & 511;
    let pdpt = stock.table(root, entry(39), CapType::Pdpt)?;
    let pd = stock.table(pdpt, entry(30), CapType::Pd)?;
    let pt = stock.table(pd, entry(21), CapType::Pt)?;
    let flags = MapFlags::READ | MapFlags::EXECUTE;
    let mapping = stock.slot();
    cap::map(pt, code, entry(12), 1, flags, 0, mapping)?;

    const { assert!(IMAGE.is_multiple_of(PAGE)) };
    let component = stock.page(CapType::Component)?;
    let (entry, id_of_component) = (IMAGE as u64, ComponentId(ComponentId::MAX as u16 - 1));
    let no_preempt = op::component::flags::NO_PREEMPT;
    let nobody = CPtr::NULL;
    cap::component::configure(
        component,
        CSPACE,
        root,
        entry,
        nobody,
        id_of_component,
        no_preempt,
    )?;
    let thread = stock.page(CapType::Thread)?;
    cap::thread::configure(thread, component, id, back.0)?;
    Ok(thread)
}
