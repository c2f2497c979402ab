//! A manager of memory that does everything it may, at random: it makes objects of all types out
//! of its memory, wires them up to components and threads, enters those, and has them take the
//! ground from under themselves. Whatever comes of it, the kernel must live on, and when the
//! memory is taken back every capability that came of it must be gone.

#![no_std]
#![no_main]

mod raw;

use abi::captype::MapFlags;
use abi::op::{self, component, cspace, kernel, table, thread};
use abi::start::{StartInfo, slot};
use abi::{Badge, CPtr, CapType, ComponentId, Error, Rights, ThreadId, layout};
use hostile::Random;
use rt::cap;
use rt::suite::Suite;

rt::component! {
    start: start,
    thread: main,
    serve: {}
}

const ROUNDS: u64 = 500_000;
/// Rounds between two times that all is taken back.
const SPELL: u64 = 3000;
/// Unless the kernel command line gives another.
const SEED: u64 = 0x3edd1e;

const OWN: CPtr = slot::CSPACE;
/// Memory that everything is made from, and a frame with code.
const MEMORY: CPtr = CPtr(41);
const CODE: CPtr = CPtr(42);
const MEMORY_BYTES: u64 = 1 << 20;
/// Slots to play with.
const FIRST: u32 = 64;
const SLOTS: u32 = 128;
/// In the CSpaces of components that are made: the root, and the memory that all of the component
/// is made from, which with all that came of it is gone when it is revoked.
const ROOT: u64 = 1;
const GROUND: u64 = 6;
/// An Entry of the component made before, whose CSpace has this one's ground at [`OTHERS`].
const NEIGHBOUR: u64 = 7;
const OTHERS: u64 = 15;
const GROUND_PAGES: u64 = 16;
/// Numbers of threads that the scheduler does not know.
const THREADS: u64 = 50;
const ID: ComponentId = ComponentId(60);
const PAGE: u64 = layout::PAGE as u64;

/// Where the code lies in the components that are made: twice, the second time at the very end.
const LOW: u64 = layout::IMAGE as u64;
const TOP: u64 = layout::USER_END as u64 - PAGE;
/// `mov r10d, r8d; mov r8d, edx; syscall; mov r10d, -1; mov eax, 7; syscall; ud2`: does what it is
/// told, and tells whom it invokes what it was told third.
const OBEY: &[u8] = &[
    0x45, 0x89, 0xc2, 0x41, 0x89, 0xd0, 0x0f, 0x05, 0x41, 0xba, 0xff, 0xff, 0xff, 0xff, 0xb8, 7, 0,
    0, 0, 0x0f, 0x05, 0x0f, 0x0b,
];
/// Revokes the memory in the slot that its first argument names, until that is done, makes a
/// cleared object of all of it, so that nothing is left of what was there, and returns: `mov ebx,
/// edi; 1: mov r10d, 1; mov eax, 4; mov edi, ebx; syscall; cmp eax, 17; je 1b; 2: mov r10d, 1; mov
/// eax, 2; mov edi, 20; mov esi, ebx; mov rdx, 0x1_0000_0004; xor r8d, r8d; mov r9d, 0x10000;
/// syscall; cmp eax, 17; je 2b; mov r10d, -1; mov eax, 7; syscall`.
const RUIN: &[u8] = &[
    0x89, 0xfb, 0x41, 0xba, 1, 0, 0, 0, 0xb8, 4, 0, 0, 0, 0x89, 0xdf, 0x0f, 0x05, 0x83, 0xf8, 17,
    0x74, 0xec, 0x41, 0xba, 1, 0, 0, 0, 0xb8, 2, 0, 0, 0, 0xbf, 20, 0, 0, 0, 0x89, 0xde, 0x48,
    0xba, 4, 0, 0, 0, 1, 0, 0, 0, 0x45, 0x31, 0xc0, 0x41, 0xb9, 0, 0, 1, 0, 0x0f, 0x05, 0x83, 0xf8,
    17, 0x74, 0xd4, 0x41, 0xba, 0xff, 0xff, 0xff, 0xff, 0xb8, 7, 0, 0, 0, 0x0f, 0x05,
];
/// `mov r10d, -1; mov eax, 7; syscall`: returns an error.
const RETURN: &[u8] = &[
    0x41, 0xba, 0xff, 0xff, 0xff, 0xff, 0xb8, 7, 0, 0, 0, 0x0f, 0x05,
];
/// `ud2`, and `int1`.
const ILLEGAL: &[u8] = &[0x0f, 0x0b];
const TRAP: &[u8] = &[0xf1];
/// As a thread, with all it does in its argument: `mov r10d, edi; shr r10d, 24; mov eax, edi;
/// shr eax, 16; movzx eax, al; movzx edi, di; syscall; mov r10d, -1; syscall; ud2`.
const THREAD: &[u8] = &[
    0x41, 0x89, 0xfa, 0x41, 0xc1, 0xea, 24, 0x89, 0xf8, 0xc1, 0xe8, 16, 0x0f, 0xb6, 0xc0, 0x0f,
    0xb7, 0xff, 0x0f, 0x05, 0x41, 0xba, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x05, 0x0f, 0x0b,
];
/// `syscall` as the last instruction there is.
const LAST: &[u8] = &[0x0f, 0x05];
const RUIN_AT: u64 = 0x140;
const PROGRAMS: [(u64, &[u8]); 7] = [
    (0, OBEY),
    (0x40, RETURN),
    (0x80, ILLEGAL),
    (0xc0, THREAD),
    (0x100, TRAP),
    (RUIN_AT, RUIN),
    (PAGE - 2, LAST),
];

const TABLES: &[CapType] = &[CapType::Pml4, CapType::Pdpt, CapType::Pd, CapType::Pt];
const MAPPABLE: &[CapType] = &[CapType::Frame, CapType::Pdpt, CapType::Pd, CapType::Pt];
const MAPPINGS: &[CapType] = &[
    CapType::MapFrame,
    CapType::MapPdpt,
    CapType::MapPd,
    CapType::MapPt,
];

fn start(_info: &'static StartInfo) -> Result<(), Error> {
    let ram = rt::info::grants()
        .iter()
        .find(|grant| grant.name.as_str() == "ram" && grant.bytes > 2 * MEMORY_BYTES)
        .ok_or(Error::NotFound)?
        .cap;
    let (own, pd, pt) = (CPtr(40), CPtr(43), CPtr(44));
    cap::retype(OWN, own, ram, CapType::Ram, 1, 0, MEMORY_BYTES)?;
    cap::retype(
        OWN,
        MEMORY,
        ram,
        CapType::Ram,
        1,
        MEMORY_BYTES,
        MEMORY_BYTES,
    )?;
    cap::retype(OWN, CODE, own, CapType::Frame, 1, 0, PAGE)?;
    cap::retype(OWN, pd, own, CapType::Pd, 1, PAGE, 0)?;
    cap::retype(OWN, pt, own, CapType::Pt, 1, 2 * PAGE, 0)?;
    let pdpt = rt::info::grant("own-pdpt").ok_or(Error::NotFound)?.cap;
    cap::map(pdpt, pd, 0, 1, MapFlags::READ, 0, CPtr(45))?;
    cap::map(pd, pt, 0, 1, MapFlags::READ, 0, CPtr(46))?;
    let flags = MapFlags::READ | MapFlags::WRITE;
    cap::map(pt, CODE, 0, 1, flags, 0, CPtr(47))?;
    for (at, program) in PROGRAMS {
        let to = (layout::MANAGER_CONTROL + at as usize) as *mut u8;
        // SAFETY: the page was just mapped there, nothing else knows it, and no program is
        // longer than what is left of it.
        unsafe { to.copy_from_nonoverlapping(program.as_ptr(), program.len()) };
    }
    Ok(())
}

/// Capabilities before and after, where they should be as many.
struct Lost((u64, u64));

impl core::fmt::Display for Lost {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} capabilities, now {}", self.0.0, self.0.1)
    }
}

fn main(_argument: u64) -> ! {
    let mut suite = Suite::new();
    let given = rt::info::argument("seed").and_then(|text| text.parse().ok());
    let mut meddler = Meddler(Random::new(given.unwrap_or(SEED)), None);
    suite.tell("meddle-with-everything", meddle(&mut meddler).map_err(Lost));
    // What the kernel looks at when the machine ends is not to be tidy.
    for _ in 0..SPELL {
        meddler.act();
    }
    suite.finish()
}

/// Capabilities that there are when all is taken back.
fn all_back() -> u64 {
    for n in FIRST..FIRST + SLOTS {
        // Empty, as often as not.
        let _ = cap::delete(OWN, CPtr(n));
    }
    if cap::revoke(OWN, MEMORY).is_err() {
        return 0;
    }
    cap::kernel::stat(slot::KERNEL, op::kernel::stat::CAPABILITIES).unwrap_or(0)
}

fn meddle(meddler: &mut Meddler) -> Result<(), (u64, u64)> {
    let before = all_back();
    for round in 1..=ROUNDS {
        meddler.act();
        if round % SPELL == 0 {
            let after = all_back();
            if after != before {
                return Err((before, after));
            }
            for _ in 0..12 {
                // What overlaps what was made before is refused.
                let _ = meddler.assemble();
            }
        }
    }
    match all_back() {
        after if after == before => Ok(()),
        after => Err((before, after)),
    }
}

fn word(at: CPtr) -> u64 {
    u64::from(at.0)
}

/// Random numbers, and the root and an Entry of the component made last.
struct Meddler(Random, Option<(CPtr, CPtr)>);

impl Meddler {
    fn below(&mut self, limit: u64) -> u64 {
        self.0.below(limit)
    }

    fn any(&mut self) -> CPtr {
        CPtr(FIRST + self.below(u64::from(SLOTS)) as u32)
    }

    /// Most likely one for which `good` holds.
    fn such(&mut self, good: impl Fn(CPtr) -> bool) -> CPtr {
        let mut at = self.any();
        for _ in 0..24 {
            if good(at) {
                break;
            }
            at = self.any();
        }
        at
    }

    fn typed(&mut self, types: &[CapType]) -> CPtr {
        self.such(|at| cap::identify(OWN, at).is_ok_and(|found| types.contains(&found.captype)))
    }

    fn empty(&mut self) -> CPtr {
        self.such(|at| cap::identify(OWN, at).is_err())
    }

    fn entry(&mut self) -> u64 {
        let (at, _) = PROGRAMS[self.below(PROGRAMS.len() as u64) as usize];
        match self.below(8) {
            0 => 0,
            1 => TOP + PAGE - 2,
            2 | 3 => LOW,
            4 | 5 => LOW + RUIN_AT,
            _ => LOW + at,
        }
    }

    fn supervisor(&mut self) -> CPtr {
        match self.below(2) {
            0 => CPtr::NULL,
            _ => self.typed(&[CapType::Entry]),
        }
    }

    /// One thing, which may well be refused.
    fn act(&mut self) {
        let foreign = self.below(3) == 0;
        let root = match foreign {
            true => self.typed(&[CapType::L1CNode]),
            false => OWN,
        };
        let to = match foreign {
            true => self.below(300),
            false => word(self.any()),
        };
        let (target, operation, args) = match self.below(25) {
            0..=2 => self.retype(root, to),
            3 => (
                root,
                cspace::COPY,
                [to, word(self.any()), self.below(32), 0, 0],
            ),
            4 | 5 => (root, cspace::DELETE, [to, 0, 0, 0, 0]),
            6 => (root, cspace::REVOKE, [to, 0, 0, 0, 0]),
            7 => (root, cspace::MOVE, [to, word(self.any()), 0, 0, 0]),
            8 => {
                let l2 = word(self.typed(&[CapType::L2CNode]));
                let l1 = self.typed(&[CapType::L1CNode]);
                (l1, cspace::INSTALL_L2, [l2, self.below(70), 0, 0, 0])
            }
            9..=11 => self.map(),
            12 => {
                let run = self.below(4) | self.below(4) << 16 | self.below(16) << 32;
                let mapping = self.typed(MAPPINGS);
                (mapping, 1 + self.below(2), [run, 0, 0, 0, 0])
            }
            13 => {
                let object = self.typed(&[CapType::Component]);
                let args = [
                    word(self.typed(&[CapType::L1CNode])),
                    word(self.typed(&[CapType::Pml4])),
                    self.entry(),
                    word(self.supervisor()),
                    u64::from(ID.0) | self.below(2) << 16,
                ];
                (object, component::CONFIGURE, args)
            }
            14 => {
                let object = self.typed(&[CapType::Component]);
                let args = [word(root), to, self.below(4), 0, 0];
                (object, component::MAKE_ENTRY, args)
            }
            15 => {
                let object = self.typed(&[CapType::Component]);
                (object, component::KILL + self.below(3), [0; 5])
            }
            16 => {
                let home = word(self.typed(&[CapType::Component]));
                let args = [home, self.thread() | self.argument() << 32, 0, 0, 0];
                (self.typed(&[CapType::Thread]), thread::CONFIGURE, args)
            }
            17 | 18 => (self.typed(&[CapType::Thread]), thread::SWITCH, [0; 5]),
            19 | 20 => {
                // What `OBEY` is told: operation, arguments, target.
                let mut args = [0; 5];
                args.fill_with(|| 1 + self.0.below(15));
                let mut operation = 1 + self.below(7);
                if self.below(2) == 0 {
                    (operation, args[0], args[3]) = (cspace::REVOKE, GROUND, ROOT);
                }
                (self.typed(&[CapType::Entry]), operation, args)
            }
            21 => {
                let from = word(self.typed(&[CapType::L1CNode]));
                let (first, count) = (self.below(66), 1 + self.below(64));
                (root, cspace::ADOPT, [from, first, count, 0, 0])
            }
            // Never of its own root: it would not find its way any more.
            22 if root != OWN => {
                let new = word(self.typed(&[CapType::L1CNode]));
                (root, cspace::RESIZE, [new, 0, 0, 0, 0])
            }
            22 | 23 => {
                let place = self.below(256) * PAGE;
                let operation = [kernel::RECLAIM, kernel::CLAIM][self.below(2) as usize];
                (slot::KERNEL, operation, [word(self.any()), place, 0, 0, 0])
            }
            _ => {
                // Refused where it meets what is there.
                let _ = self.assemble();
                return;
            }
        };
        raw::call(target, operation, args);
    }

    fn thread(&mut self) -> u64 {
        THREADS + self.below(ThreadId::MAX as u64 - THREADS)
    }

    /// What `THREAD` is told: target, operation, first argument.
    fn argument(&mut self) -> u64 {
        match self.below(2) {
            0 => ROOT << 24 | cspace::REVOKE << 16 | GROUND,
            _ => self.0.word() & 0x0f0f_000f,
        }
    }

    fn retype(&mut self, root: CPtr, to: u64) -> (CPtr, u64, [u64; 5]) {
        let source = match self.below(2) {
            0 => MEMORY,
            _ => self.typed(&[CapType::Ram, CapType::Frame]),
        };
        let what = (1 + self.below(11)) | (1 + self.below(3)) << 32;
        let bytes = [0, 1, 2, 4, 16][self.below(5) as usize] * PAGE;
        let offset = self.below(MEMORY_BYTES / PAGE) * PAGE;
        (
            root,
            cspace::RETYPE,
            [to, word(source), what, offset, bytes],
        )
    }

    /// Something with a page table.
    fn map(&mut self) -> (CPtr, u64, [u64; 5]) {
        let table = self.typed(TABLES);
        let count = match self.below(3) {
            0 => self.below(520),
            _ => 1,
        };
        let flags = [1, 3, 5, 17, 19, self.below(32)][self.below(6) as usize];
        let run = self.below(514) | count << 16 | flags << 32;
        let object = match self.below(4) {
            0 => CODE,
            _ => self.typed(MAPPABLE),
        };
        let offset = self.below(3) / 2 * self.below(5) * PAGE;
        match self.below(4) {
            0 => {
                let first = match self.below(2) {
                    0 => word(self.typed(MAPPINGS)),
                    _ => run,
                };
                (table, table::UNMAP + self.below(4), [first, 0, 0, 0, 0])
            }
            _ => {
                let args = [word(object), run, offset, word(self.empty()), 0];
                (table, table::MAP, args)
            }
        }
    }

    /// A whole component at a place of its own, able to ruin itself, with a thread.
    fn assemble(&mut self) -> Result<(), Error> {
        let ground = self.empty();
        let bytes = GROUND_PAGES * PAGE;
        let place = self.below(MEMORY_BYTES / bytes) * bytes;
        cap::retype(OWN, ground, MEMORY, CapType::Ram, 1, place, bytes)?;
        let mut offset = 0;
        let mut make = |this: &mut Self, captype: CapType, pages: u64| {
            let to = this.empty();
            cap::retype(OWN, to, ground, captype, 1, offset, pages * PAGE)?;
            offset += pages * PAGE;
            Ok::<CPtr, Error>(to)
        };
        let l1 = make(self, CapType::L1CNode, 1)?;
        let l2 = make(self, CapType::L2CNode, 4)?;
        let pml4 = make(self, CapType::Pml4, 1)?;
        let object = make(self, CapType::Component, 1)?;
        let thread = make(self, CapType::Thread, 1)?;
        cap::install_l2(l1, l2, 0)?;
        for address in [LOW, TOP] {
            let mut parent = pml4;
            for (captype, bits) in [(CapType::Pdpt, 39), (CapType::Pd, 30), (CapType::Pt, 21)] {
                let table = make(self, captype, 1)?;
                let entry = (address >> bits) as u16 & 511;
                cap::map(parent, table, entry, 1, MapFlags::READ, 0, self.empty())?;
                parent = table;
            }
            let (entry, flags) = (
                (address / PAGE) as u16 & 511,
                MapFlags::READ | MapFlags::EXECUTE,
            );
            cap::map(parent, CODE, entry, 1, flags, 0, self.empty())?;
        }
        // All that it consists of, at places that `OBEY` and `THREAD` reach.
        let parts = [l1, thread, object, pml4, l2, ground];
        for (n, part) in parts.into_iter().enumerate() {
            cap::copy(l1, CPtr(n as u32 + 1), part, Rights::all())?;
        }
        for n in 8..15 {
            // Empty slots and mappings are not copied.
            let _ = cap::copy(l1, CPtr(n), self.any(), Rights::all());
        }
        let (entry, supervisor) = (self.entry(), self.supervisor());
        cap::component::configure(object, l1, pml4, entry, supervisor, ID, self.below(2))?;
        let (way_in, badge) = (self.empty(), Badge(self.below(4)));
        cap::component::make_entry(object, OWN, way_in, badge)?;
        let (id, argument) = (ThreadId(self.thread() as u16), self.argument() as u32);
        cap::thread::configure(thread, object, id, argument)?;
        if let Some((root, entry)) = self.1.replace((l1, way_in)) {
            cap::copy(l1, CPtr(NEIGHBOUR as u32), entry, Rights::all())?;
            cap::copy(root, CPtr(OTHERS as u32), ground, Rights::all())?;
        }
        match self.below(4) {
            0 => raw::call(way_in, cspace::REVOKE, [GROUND, 0, 0, ROOT, 0]),
            1 => raw::call(way_in, cspace::REVOKE, [OTHERS, 0, ROOT, NEIGHBOUR, 0]),
            2 => raw::call(thread, op::thread::SWITCH, [0; 5]),
            _ => 0,
        };
        Ok(())
    }
}
