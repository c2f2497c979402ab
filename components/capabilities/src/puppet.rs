//! Components made by hand, whose code does what it is told: one system call and back. What they
//! consist of lies in one L2 CNode, which is part of their CSpace and of the test's.

use abi::captype::MapFlags;
use abi::layout::{IMAGE, OWN_SPACE, PAGE};
use abi::op::{lifecycle, own, table, thread};
use abi::start::slot::CSPACE;
use abi::{Badge, CPtr, CapType, ComponentId, Error, Rights, ThreadId};
use core::arch::global_asm;
use rt::cap;

use crate::work::{Failed, PAGE_BYTES, READ, WRITE, Work, at, cptr, run};

/// Method: the system call with the operation `rsi` on `rdi`, with two arguments, `rdx` and `r8`.
const OBEY: u64 = 100;
/// Method: an illegal instruction, and what its own handler is told of it.
const FAULT: u64 = 101;
/// Bytes of each stack place that the handler claims, and does not use.
const HANDLER_BYTES: u64 = 16;

global_asm!(
    ".global puppet, puppet_end",
    "puppet:",
    "cmp eax, {thread}",
    "je 3f",
    "cmp eax, {fault}",
    "je 4f",
    "cmp eax, {trace}",
    "je 5f",
    "cmp eax, {faults}",
    "je 6f",
    "mov r10, rdi",
    "mov rax, rsi",
    "mov rdi, rdx",
    "mov rsi, r8",
    "2: xor edx, edx",
    "xor r8d, r8d",
    "xor r9d, r9d",
    "syscall",
    "jmp 9f",
    // A thread has all of it in its argument: target, operation, first argument.
    "3: mov r10d, edi",
    "shr r10d, 24",
    "mov eax, edi",
    "shr eax, 16",
    "movzx eax, al",
    "movzx edi, di",
    "xor esi, esi",
    "jmp 2b",
    // As a supervisor: lets the thread go on if it is told who waits.
    "4: mov eax, {invokers}",
    "mov r10d, {own}",
    "syscall",
    "jmp 9f",
    "5: xor eax, eax",
    "jmp 9f",
    "6: lea rdi, [rip + 7f]",
    "mov esi, {bytes}",
    "mov eax, {set}",
    "mov r10d, {own}",
    "syscall",
    "test eax, eax",
    "jnz 9f",
    "ud2",
    "7: mov eax, {told}",
    "mov r10d, {own}",
    "syscall",
    "9: mov r10d, {back}",
    "syscall",
    "ud2",
    "puppet_end:",
    thread = const lifecycle::THREAD,
    fault = const lifecycle::FAULT,
    trace = const lifecycle::TRACE,
    faults = const FAULT,
    invokers = const own::INVOKERS,
    set = const own::SET_HANDLER,
    told = const own::FAULT,
    bytes = const HANDLER_BYTES,
    own = const CPtr::OWN.0,
    back = const CPtr::RETURN.0,
);

unsafe extern "C" {
    static puppet: u8;
    static puppet_end: u8;
}

/// Where the test sees a puppet's L2 CNode: an index of the test's root.
const SHARED: u32 = 2;
/// Slots of that CNode, which the puppet has at index 0. Those of page tables and mappings follow.
pub const ROOT: u64 = 1;
pub const THREAD: u64 = 2;
pub const COMPONENT: u64 = 3;
pub const PML4: u64 = 4;
pub const TESTER: u64 = 5;
pub const GROUND: u64 = 6;
pub const ENTRY: u64 = 7;
const TABLES: u64 = 10;
/// The test's own slots: the code, and what a puppet is made of.
const CODE: CPtr = at(40);
const GROUND_OF: CPtr = at(41);
const NODE_OF: CPtr = at(42);
const GROUND_PAGES: u64 = 16;
const ID: u16 = 51;

/// Where the test finds what the puppet has in a slot.
pub const fn of(slot: u64) -> CPtr {
    CPtr::new(SHARED, slot as u8)
}

/// The place of all that a puppet is made of: the code is written, and nothing else is there.
pub struct Workshop {
    offset: u64,
}

/// Another component in a puppet, in the same address space: its object, and an Entry to it.
const SUPERVISOR: u64 = 8;
const SUPERVISOR_ENTRY: u64 = 9;

impl Workshop {
    pub fn new(work: &mut Work) -> Result<Workshop, Failed> {
        let [pd, pt] = [43, 44].map(at);
        work.make(CapType::Frame, PAGE_BYTES, CODE)?;
        work.make(CapType::Pd, 0, pd)?;
        work.make(CapType::Pt, 0, pt)?;
        let window = rt::grant("own-pdpt").ok_or(Error::NotFound)?.cap;
        for (n, (above, below)) in [(window, pd), (pd, pt), (pt, CODE)].into_iter().enumerate() {
            let to = cptr(at(45 + n as u8));
            let args = [cptr(below), run(0, 1, READ | WRITE), 0, to, 0];
            work.gives(above, table::MAP, args)?;
        }
        // SAFETY: the symbols enclose position-independent code of less than a page, and the page
        // that was just mapped there is written by nobody else.
        unsafe {
            let (begin, end) = (&raw const puppet, &raw const puppet_end);
            let bytes = end.offset_from_unsigned(begin);
            core::ptr::copy_nonoverlapping(begin, OWN_SPACE as *mut u8, bytes);
        }
        work.gives(window, table::UNMAP, [cptr(at(45)), 0, 0, 0, 0])?;
        let offset = work.room(GROUND_PAGES * PAGE_BYTES);
        Ok(Workshop { offset })
    }

    /// A puppet, of which there is one at a time, with or without a supervisor, and with a thread that
    /// is told so much.
    pub fn make(&self, supervised: bool, argument: u32) -> Result<(), Error> {
        let ground_bytes = GROUND_PAGES * PAGE_BYTES;
        let (scratch, offset) = (crate::work::scratch(), self.offset);
        cap::retype(
            CSPACE,
            GROUND_OF,
            scratch,
            CapType::Ram,
            1,
            offset,
            ground_bytes,
        )?;
        let mut used = 0;
        let mut make = |to: CPtr, captype: CapType| {
            let bytes = match captype {
                CapType::L2CNode => 4 * PAGE_BYTES,
                _ => PAGE_BYTES,
            };
            cap::retype(CSPACE, to, GROUND_OF, captype, 1, used, bytes)?;
            used += bytes;
            Ok::<(), Error>(())
        };
        make(NODE_OF, CapType::L2CNode)?;
        cap::install_l2(CSPACE, NODE_OF, SHARED)?;
        make(of(ROOT), CapType::L1CNode)?;
        cap::install_l2(of(ROOT), NODE_OF, 0)?;
        make(of(THREAD), CapType::Thread)?;
        make(of(COMPONENT), CapType::Component)?;
        make(of(SUPERVISOR), CapType::Component)?;
        make(of(PML4), CapType::Pml4)?;
        cap::copy(CSPACE, of(GROUND), GROUND_OF, Rights::all())?;
        cap::copy(CSPACE, of(TESTER), rt::alone::own_thread()?, Rights::all())?;
        let mut parent = of(PML4);
        let levels = [(CapType::Pdpt, 39), (CapType::Pd, 30), (CapType::Pt, 21)];
        for (n, (captype, bits)) in levels.into_iter().enumerate() {
            let (table, mapping) = (of(TABLES + n as u64), of(TABLES + 5 + n as u64));
            make(table, captype)?;
            let entry = (IMAGE >> bits) as u16 & 511;
            cap::map(parent, table, entry, 1, MapFlags::READ, 0, mapping)?;
            parent = table;
        }
        let flags = MapFlags::READ | MapFlags::EXECUTE;
        let entry = (IMAGE / PAGE) as u16 & 511;
        cap::map(parent, CODE, entry, 1, flags, 0, of(TABLES + 8))?;
        let configure = |component: u64, supervisor: CPtr, id: u16, entry: u64| {
            let code = IMAGE as u64;
            let (object, id) = (of(component), ComponentId(id));
            cap::component::configure(object, of(ROOT), of(PML4), code, supervisor, id, 0)?;
            cap::component::make_entry(object, CSPACE, of(entry), Badge(0))
        };
        let mut supervisor = CPtr::NULL;
        if supervised {
            configure(SUPERVISOR, CPtr::NULL, ID + 1, SUPERVISOR_ENTRY)?;
            supervisor = of(SUPERVISOR_ENTRY);
        }
        configure(COMPONENT, supervisor, ID, ENTRY)?;
        cap::thread::configure(of(THREAD), of(COMPONENT), ThreadId(ID), argument)
    }

    /// Takes away what is left of it.
    pub fn unmake(&self) -> Result<(), Error> {
        // Where the puppet has taken it away itself, there is nothing left to take.
        match cap::identify(CSPACE, GROUND_OF) {
            Ok(_) => cap::revoke(CSPACE, GROUND_OF).and_then(|()| cap::delete(CSPACE, GROUND_OF)),
            Err(_) => Ok(()),
        }
    }
}

/// Has the puppet make a system call: what it was answered, or why it did not come to that.
pub fn obey(target: CPtr, operation: u64, args: [u64; 2]) -> Result<[u64; 4], Error> {
    rt::invoke(
        of(ENTRY),
        OBEY,
        [u64::from(target.0), operation, args[0], args[1]],
    )
}

/// Has the puppet fault: what its handler was told.
pub fn fault() -> Result<[u64; 4], Error> {
    rt::invoke(of(ENTRY), FAULT, [0; 4])
}

/// What a thread is told that makes a system call with one argument.
pub const fn told(target: u64, operation: u64, argument: u64) -> u32 {
    (target << 24 | operation << 16 | argument) as u32
}

/// The thread that is told so gives the processor back.
pub const BACK: u32 = told(TESTER, thread::SWITCH, 0);
