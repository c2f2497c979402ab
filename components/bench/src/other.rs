//! A component made by hand, whose one thread switches back to whom it is told, at once: the other
//! end of a thread switch between address spaces.

use abi::captype::MapFlags;
use abi::layout::{IMAGE, PAGE};
use abi::start::slot::CSPACE;
use abi::{CPtr, CapType, ComponentId, Error, ThreadId, op};
use core::arch::global_asm;
use rt::cap;

use crate::stock::{READ_WRITE, Stock, WINDOW};

global_asm!(
    ".global switch_back, switch_back_end",
    "switch_back:",
    "mov r10, rdi",
    "mov rbx, rdi",
    "2: mov eax, {switch}",
    "mov r10, rbx",
    "syscall",
    "jmp 2b",
    "switch_back_end:",
    switch = const op::thread::SWITCH,
);

unsafe extern "C" {
    static switch_back: u8;
    static switch_back_end: u8;
}

/// Makes the thread; it has not begun yet. It shares our CSpace, and has nothing else.
pub fn make(stock: &mut Stock, back: CPtr, id: ThreadId) -> Result<CPtr, Error> {
    let code = stock.page(CapType::Frame)?;
    let shown = stock.slot();
    cap::map(stock.window, code, 0, 1, READ_WRITE, 0, shown)?;
    // SAFETY: the symbols enclose position-independent code of a few bytes; the page that was
    // mapped is written by nobody else.
    unsafe {
        let begin = &raw const switch_back;
        let bytes = (&raw const switch_back_end).offset_from_unsigned(begin);
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
