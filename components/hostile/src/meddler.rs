//! A manager of memory that does everything it may, at random: it makes objects of all types out
//! of its memory, wires them up to components and threads, enters those, and has them take the
//! ground from under themselves. Whatever comes of it, the kernel must live on, and when the
//! memory is taken back every capability that came of it must be gone.

#![no_std]
#![no_main]

mod assemble;
mod happened;
mod loose;
mod programs;
mod raw;

use abi::captype::MapFlags;
use abi::op::{self, component, cspace, kernel, table, thread};
use abi::start::{StartInfo, slot};
use abi::{CPtr, CapType, ComponentId, Error, ThreadId, layout};
use core::sync::atomic::{AtomicU64, Ordering};
use happened::{HAPPENED, Missing};
use hostile::Random;
use hostile::tally::Tally;
use loose::{ARRIVED, LOOSE, LOOSE_BYTES};
use programs::{LOW, PROGRAMS, RUIN_AT, TOP};
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
/// Where the loose memory lies.
static LOOSE_BASE: AtomicU64 = AtomicU64::new(0);
/// Slots to play with, and those behind them that a retype to several objects may fill.
const FIRST: u32 = 64;
const SLOTS: u32 = 128;
const MORE_SLOTS: u32 = 2;
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

const TABLES: &[CapType] = &[CapType::Pml4, CapType::Pdpt, CapType::Pd, CapType::Pt];
/// In the order of the tables that they belong in.
const MAPPABLE: &[CapType] = &[CapType::Pdpt, CapType::Pd, CapType::Pt, CapType::Frame];
/// Types of which objects have different sizes.
const SIZED: &[CapType] = &[CapType::Ram, CapType::Frame, CapType::L1CNode];
const MAPPINGS: &[CapType] = &[
    CapType::MapFrame,
    CapType::MapPdpt,
    CapType::MapPd,
    CapType::MapPt,
];

fn start(_info: &'static StartInfo) -> Result<(), Error> {
    let ram = rt::info::grants()
        .iter()
        .find(|grant| grant.name.as_str() == "ram" && grant.bytes > 3 * MEMORY_BYTES)
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
    let base = loose::cut(ram, 2 * MEMORY_BYTES)?;
    // Relaxed: START comes before the thread that reads it.
    LOOSE_BASE.store(base, Ordering::Relaxed);
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

/// What is not as it was.
enum Lost {
    /// Before and after, where they should be as many.
    Capabilities(u64, u64),
    /// Why the kernel would not take or give what it was asked to.
    Memory(Error),
}

impl From<Error> for Lost {
    fn from(error: Error) -> Lost {
        Lost::Memory(error)
    }
}

impl core::fmt::Display for Lost {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Lost::Capabilities(before, now) => write!(f, "{before} capabilities, now {now}"),
            Lost::Memory(error) => write!(f, "memory does not come back: {error}"),
        }
    }
}

fn main(_argument: u64) -> ! {
    let mut suite = Suite::new();
    let given = rt::info::argument("seed").and_then(|text| text.parse().ok());
    let mut meddler = Meddler {
        random: Random::new(given.unwrap_or(SEED)),
        last: None,
        tally: Tally::new(),
    };
    suite.tell("meddle-with-everything", meddle(&mut meddler));
    rt::println!("what came of it:{}", meddler.tally);
    if given.is_none() {
        let missing = meddler.tally.missing(HAPPENED);
        suite.tell(
            "every-kind-of-meddling",
            missing.map_or(Ok(()), |missing| Err(Missing(missing))),
        );
    }
    // What the kernel looks at when the machine ends is not to be tidy.
    for _ in 0..SPELL {
        meddler.act();
    }
    suite.finish()
}

/// Capabilities that there are when all is taken back.
fn all_back() -> Result<u64, Lost> {
    for n in FIRST..FIRST + SLOTS + MORE_SLOTS {
        // Empty, as often as not.
        let _ = cap::delete(OWN, CPtr(n));
    }
    cap::revoke(OWN, MEMORY)?;
    loose::all_back(LOOSE_BASE.load(Ordering::Relaxed))?;
    let count = cap::kernel::stat(slot::KERNEL, op::kernel::stat::CAPABILITIES)?;
    Ok(count)
}

fn meddle(meddler: &mut Meddler) -> Result<(), Lost> {
    let before = all_back()?;
    for round in 1..=ROUNDS {
        meddler.act();
        if round % SPELL == 0 {
            let after = all_back()?;
            if after != before {
                return Err(Lost::Capabilities(before, after));
            }
            for _ in 0..12 {
                // What overlaps what was made before is refused.
                let _ = meddler.assemble();
            }
        }
    }
    match all_back()? {
        after if after == before => Ok(()),
        after => Err(Lost::Capabilities(before, after)),
    }
}

fn word(at: CPtr) -> u64 {
    u64::from(at.0)
}

struct Meddler {
    random: Random,
    /// The root and an Entry of the component made last.
    last: Option<(CPtr, CPtr)>,
    tally: Tally,
}

impl Meddler {
    fn below(&mut self, limit: u64) -> u64 {
        self.random.below(limit)
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
            4 if self.below(8) == 0 => (OWN, cspace::DELETE, [word(LOOSE), 0, 0, 0, 0]),
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
                args.fill_with(|| 1 + self.random.below(15));
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
            22 | 23 => return self.take(),
            _ => {
                // Refused where it meets what is there.
                let _ = self.assemble();
                return;
            }
        };
        self.call(target, operation, args);
    }

    fn call(&mut self, target: CPtr, operation: u64, args: [u64; 5]) -> u64 {
        let captype = cap::identify(OWN, target).map(|found| found.captype);
        let status = raw::call(target, operation, args);
        self.tally.count(captype.ok(), operation, status);
        status
    }

    /// Memory that nobody holds, or Ram over what lies in memory, mostly the loose one.
    fn take(&mut self) {
        let from = match self.below(8) {
            0 => slot::KERNEL,
            _ => slot::RECLAIM,
        };
        let operation = [kernel::RECLAIM, kernel::CLAIM][self.below(2) as usize];
        let base = LOOSE_BASE.load(Ordering::Relaxed);
        let place = match self.below(8) {
            0 => self.below(256) * PAGE,
            _ => base + self.below(LOOSE_BYTES / PAGE + 8) * PAGE,
        };
        if self.call(from, operation, [word(ARRIVED), place, 0, 0, 0]) != 0 {
            return;
        }
        let got = cap::identify(OWN, ARRIVED).map_or(0, |found| found.base);
        if !(base..base + LOOSE_BYTES).contains(&got) {
            // Over what the meddler itself is made of, perhaps.
            let _ = cap::delete(OWN, ARRIVED);
            return;
        }
        if self.below(2) == 0 {
            // Until it is done, or the next of these carries it on.
            self.call(OWN, cspace::REVOKE, [word(ARRIVED), 0, 0, 0, 0]);
        }
        let to = match cap::identify(OWN, LOOSE) {
            Err(_) if self.below(2) == 0 => LOOSE,
            _ => self.empty(),
        };
        // What finds no place is nobody's again.
        let _ = loose::keep(to);
    }

    fn thread(&mut self) -> u64 {
        THREADS + self.below(ThreadId::MAX as u64 - THREADS)
    }

    /// What `THREAD` is told: target, operation, first argument.
    fn argument(&mut self) -> u64 {
        match self.below(2) {
            0 => ROOT << 24 | cspace::REVOKE << 16 | GROUND,
            _ => self.random.word() & 0x0f0f_000f,
        }
    }

    /// Mostly something that fits somewhere.
    fn retype(&mut self, root: CPtr, to: u64) -> (CPtr, u64, [u64; 5]) {
        let source = match self.below(8) {
            0..=2 => MEMORY,
            3 | 4 => LOOSE,
            _ => self.typed(&[CapType::Ram, CapType::Frame]),
        };
        let to = match self.below(4) {
            1.. if root == OWN => word(self.empty()),
            _ => to,
        };
        let (ty, count) = (1 + self.below(11), 1 + self.below(4) / 2);
        let sized = CapType::from_raw(ty).is_some_and(|ty| SIZED.contains(&ty));
        let bytes = match self.below(8) {
            1.. if !sized => 0,
            _ => [0, 1, 2, 4, 16][self.below(5) as usize] * PAGE,
        };
        let within = match self.below(4) {
            0 => MEMORY_BYTES,
            _ => cap::identify(OWN, source).map_or(MEMORY_BYTES, |found| found.bytes),
        };
        let offset = self.below(within / PAGE) * PAGE;
        let what = ty | count << 32;
        (
            root,
            cspace::RETYPE,
            [to, word(source), what, offset, bytes],
        )
    }

    /// Something with a page table.
    fn map(&mut self) -> (CPtr, u64, [u64; 5]) {
        let table = self.typed(TABLES);
        let (first, count) = match self.below(4) {
            0 => (self.below(514), self.below(520)),
            // So near to each other that they meet.
            1 => (self.below(8), 1 + self.below(4)),
            _ => (self.below(8), 1),
        };
        let flags = [1, 3, 5, 17, 19, self.below(32)][self.below(6) as usize];
        let run = first | count << 16;
        match self.below(6) {
            0 => {
                let mapping = word(self.typed(MAPPINGS));
                (table, table::UNMAP, [mapping, 0, 0, 0, 0])
            }
            1 => (table, table::MODIFY, [run | flags << 32, 0, 0, 0, 0]),
            2 => {
                let args = [run | (self.below(8) / 7) << 32, 0, 0, 0, 0];
                (table, table::CLEAR_DIRTY + self.below(2), args)
            }
            _ => {
                let object = match self.below(4) {
                    0 => CODE,
                    1 => self.typed(MAPPABLE),
                    // What belongs there.
                    _ => {
                        let of = cap::identify(OWN, table).map(|found| found.captype);
                        let below = TABLES.iter().position(|ty| of == Ok(*ty));
                        self.typed(&MAPPABLE[..=below.unwrap_or(0)][below.unwrap_or(0)..])
                    }
                };
                let offset = self.below(3) / 2 * self.below(5) * PAGE;
                let args = [
                    word(object),
                    run | flags << 32,
                    offset,
                    word(self.empty()),
                    0,
                ];
                (table, table::MAP, args)
            }
        }
    }
}
