//! The collector's program, with each way to find written pages. Both must leave the same objects
//! after every collection; a short program is checked against a trace of everything, too.

use abi::Error;
use alloc::vec::Vec;
use core::fmt;
use pages::heap::{Cell, Left, Nothing, Watch};
use pages::trees::{Plan, Program, Spent, Trouble};
use rt::suite::Suite;

use crate::space::{Area, Size, Space};
use crate::watch::{DirtyBits, Protection};
use crate::{number, print};

/// Bytes of the heap, where nothing is said of it.
const HEAP: u64 = 4 << 20;
/// Short-lived trees of all sizes are built so often, where nothing is said of it.
const ROUNDS: u64 = 1;
/// Heap for each cell that lives long: what dies comes on top.
const ROOM: u64 = 6;

/// Times that each way is measured.
const RUNS: usize = 3;

/// Why a test failed.
enum Wrong {
    Kernel(Error),
    Memory,
    /// An object in use was freed.
    Lost,
    /// After the collection of that number the two ways have left different objects.
    Differ(usize),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wrong::Kernel(error) => write!(f, "{error}"),
            Wrong::Memory => f.write_str("the heap is too small"),
            Wrong::Lost => f.write_str("an object in use was freed"),
            Wrong::Differ(n) => write!(f, "collection {n} has left other objects"),
        }
    }
}

impl From<Error> for Wrong {
    fn from(error: Error) -> Self {
        Wrong::Kernel(error)
    }
}

impl<E: Into<Wrong>> From<Trouble<E>> for Wrong {
    fn from(trouble: Trouble<E>) -> Self {
        match trouble {
            Trouble::OutOfMemory => Wrong::Memory,
            Trouble::Lost => Wrong::Lost,
            Trouble::Watch(error) => error.into(),
        }
    }
}

impl From<core::convert::Infallible> for Wrong {
    fn from(never: core::convert::Infallible) -> Self {
        match never {}
    }
}

pub fn run(suite: &mut Suite, space: &mut Space) {
    let bytes = number("heap", HEAP);
    let heap = space
        .frame(bytes, Size::Large.bytes())
        .and_then(|frame| space.show(frame, bytes, Size::Small))
        .and_then(|area| Ok((space.show_tables(&area)?, area)));
    let (view, mut area) = match heap {
        Ok(heap) => heap,
        Err(error) => return suite.tell("a heap", Err(error)),
    };
    let plan = plan(bytes);
    let short = Plan { rounds: 1, ..plan };
    suite.tell(
        "collector, checked, by dirty bits",
        checked(&mut area, short, |area| DirtyBits::new(area, view)),
    );
    suite.tell(
        "collector, checked, by protection",
        checked(&mut area, short, Protection::new),
    );
    suite.tell("collectors leave the same", compared(&mut area, view, plan));
}

/// A program for a heap of that size.
fn plan(bytes: u64) -> Plan {
    let cells = bytes / size_of::<Cell>() as u64;
    let long_depth = (cells / ROOM).max(2).ilog2() - 1;
    Plan {
        long_depth,
        short_depth: (long_depth - 2) & !1,
        rounds: number("rounds", ROUNDS) as u32,
        changes: 2,
        allowance: cells / 16,
        always_full: false,
    }
}

/// The area as objects.
fn cells(area: &mut Area) -> &mut [Cell] {
    let count = area.bytes as usize / size_of::<Cell>();
    // SAFETY: the area is mapped as long as it lives and nobody else's; each of the programs here
    // has it for itself while it runs (a watch knows where it is, and reads none of it). Every pattern of bits is a cell. Where pages are protected,
    // the handler lets the write happen.
    unsafe { core::slice::from_raw_parts_mut(area.address as *mut Cell, count) }
}

fn checked<W: Watch<Error = Error>>(
    area: &mut Area,
    plan: Plan,
    watch: impl FnOnce(Area) -> Result<W, Error>,
) -> Result<(), Wrong> {
    let watch = watch(*area)?;
    Program::new(cells(area), watch, plan, rt::time::now)
        .checked()
        .run()
        .map_err(Wrong::from)
}

/// One run of the program.
struct Measured {
    ticks: u64,
    faults: u64,
    spent: Spent,
    left: Vec<Left>,
}

/// Measures all ways in turn, several times; each way's fastest run counts, which the host
/// disturbed least. The third way looks at everything in every collection.
fn compared(area: &mut Area, view: u64, plan: Plan) -> Result<(), Wrong> {
    let full = Plan {
        always_full: true,
        ..plan
    };
    let mut best = [const { None }; 3];
    for _ in 0..RUNS {
        let (by_bits, by_faults) = (*area, *area);
        let runs = [
            measured(area, DirtyBits::new(by_bits, view)?, plan)?,
            measured(area, Protection::new(by_faults)?, plan)?,
            measured(area, Nothing, full)?,
        ];
        same(&runs)?;
        for (best, run) in best.iter_mut().zip(runs) {
            match best {
                Some(Measured { ticks, .. }) if *ticks <= run.ticks => {}
                _ => *best = Some(run),
            }
        }
    }
    for (name, run) in ["dirty", "protect", "full"].into_iter().zip(best) {
        if let Some(run) = run {
            tell(name, area.bytes, &run);
        }
    }
    Ok(())
}

/// The first two have left the same after each collection, the third what can be reached after
/// the last, which is a full one for all.
fn same([dirty, protect, full]: &[Measured; 3]) -> Result<(), Wrong> {
    let mut pairs = dirty.left.iter().zip(&protect.left).enumerate();
    if let Some((n, _)) = pairs.find(|(_, (a, b))| a != b) {
        return Err(Wrong::Differ(n));
    }
    let last = |run: &Measured| run.left.last().map(|left| left.cells);
    if dirty.left.len() != protect.left.len() || last(dirty) != last(full) {
        return Err(Wrong::Differ(dirty.left.len()));
    }
    Ok(())
}

fn measured<W: Watch>(area: &mut Area, watch: W, plan: Plan) -> Result<Measured, Wrong>
where
    W::Error: Into<Wrong>,
{
    let mut program = Program::new(cells(area), watch, plan, rt::time::now);
    let faults = Protection::faults();
    let begun = rt::time::now();
    program.run()?;
    let ticks = rt::time::now() - begun;
    Ok(Measured {
        ticks,
        faults: Protection::faults() - faults,
        spent: program.spent,
        left: core::mem::take(&mut program.left),
    })
}

fn tell(name: &str, bytes: u64, run: &Measured) {
    let Spent {
        find,
        mark,
        sweep,
        pages,
    } = run.spent;
    let cycles = run.left.len() as u64;
    for (what, amount) in [
        ("whole", run.ticks),
        ("find", find),
        ("mark", mark),
        ("sweep", sweep),
        ("pages", pages),
        ("faults", run.faults),
    ] {
        print(format_args!("gc-{name}-{what}"), bytes, cycles, amount);
    }
}
