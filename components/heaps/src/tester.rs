//! Tests heaps that grow, from inside: blocks of all sizes, growing and shrinking, the limit, and what
//! becomes of a component that wants more; after each, every page must be where it was. Prints a line
//! a test and ends the machine.

#![no_std]
#![no_main]

extern crate alloc;

use abi::layout::{OWNED, PAGE};
use abi::start::{Import, StartInfo};
use abi::{ComponentId, Error};
use alloc::vec::Vec;
use core::fmt;
use heaps::{block, is_whole};
use rt::cbuf::{Buffer, Owned};
use rt::suite::Suite;
use stubs::cbuf_policy::Client as Policy;
use stubs::glutton;

rt::component! {
    start: start,
    thread: main,
    serve: {}
}

/// What one block costs is the least of so many times.
const TIMES: usize = 5;

/// Why a test failed.
enum Wrong {
    During(&'static str, Error),
    /// A block of so many bytes was not to be had.
    NoBlock(usize),
    /// One was not what had been written.
    Spoilt(usize),
    /// What was to be, and what is.
    Differs(&'static str, u64, u64),
    /// Blocks that it got, and bytes that its heap grew by.
    Ate(u64, u64),
    Lived,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wrong::During(what, error) => write!(f, "{what}: {error}"),
            Wrong::NoBlock(bytes) => write!(f, "no block of {bytes} bytes"),
            Wrong::Spoilt(bytes) => write!(f, "a block of {bytes} bytes changed"),
            Wrong::Differs(what, wanted, is) => write!(f, "{what}: {is}, not {wanted}"),
            Wrong::Ate(blocks, bytes) => write!(f, "{blocks} blocks in {bytes} bytes"),
            Wrong::Lived => write!(f, "it came back"),
        }
    }
}

type Outcome<T = ()> = Result<T, Wrong>;

trait During<T> {
    fn during(self, what: &'static str) -> Outcome<T>;
}

impl<T> During<T> for Result<T, Error> {
    fn during(self, what: &'static str) -> Outcome<T> {
        self.map_err(|error| Wrong::During(what, error))
    }
}

fn same(what: &'static str, wanted: u64, is: u64) -> Outcome {
    if wanted == is {
        return Ok(());
    }
    Err(Wrong::Differs(what, wanted, is))
}

fn start(_info: &'static StartInfo) -> Result<(), Error> {
    Ok(())
}

fn main(_argument: u64) -> ! {
    let mut suite = Suite::new();
    suite.tell("every buffer is listed", listed());
    for bytes in [1, 4, 16, 64, 256, 1024, 4096, 16384, 40960].map(|kib| kib << 10) {
        suite.tell(format_args!("a block of {} KiB", bytes >> 10), one(bytes));
    }
    suite.tell("the heap grows and shrinks", balanced(grows));
    suite.tell("memory that is owned", balanced(owned));
    suite.tell("a heap ends at its limit", balanced(|| limit("glutton")));
    suite.tell("so does one without a pool", balanced(|| limit("modest")));
    suite.tell("full heaps leave pools alone", balanced(apart));
    suite.tell("nobody ends what is not his", balanced(steal));
    suite.tell("who allocates for ever ends alone", balanced(burst));
    suite.tell("and all is listed again", listed());
    suite.finish()
}

fn policy() -> Outcome<Policy> {
    Policy::bind().during("finding the manager")
}

/// The component of that name.
fn other(name: &'static str) -> Outcome<&'static Import> {
    let info = rt::info();
    let imports = info.imports[..usize::from(info.imports_len)].iter();
    let mut gluttons = imports.filter(|i| i.interface.as_str() == glutton::NAME);
    let place = usize::from(name == "modest");
    gluttons
        .nth(place)
        .ok_or(Wrong::During(name, Error::NotFound))
}

/// What is owned, by all, and what is in no buffer.
fn account() -> Outcome<(u64, u64)> {
    let policy = policy()?;
    let (held, unpaid, unused, total) = policy.totals().during("asking for totals")?;
    same("all pages", total, held + unpaid + unused)?;
    let mut all = 0;
    for component in 0..ComponentId::MAX as u32 {
        all += policy.memory_of(component).during("asking for memory")?.1;
    }
    Ok((all, unused))
}

/// A test after which every page is where it was.
fn balanced(test: impl FnOnce() -> Outcome) -> Outcome {
    rt::heap::trim();
    let before = account()?;
    test()?;
    rt::heap::trim();
    let after = account()?;
    same("pages owned", before.0, after.0)?;
    same("pages unused", before.1, after.1)
}

/// The manager's list, buffer by buffer, makes up what it tells of each component.
fn listed() -> Outcome {
    let policy = policy()?;
    let mut pages = [[0; 4]; ComponentId::MAX];
    let (mut after, mut own) = (0, 0);
    while let Ok((id, kind, owner, count)) = policy.next_buffer(after) {
        let of = pages.get_mut(owner as usize);
        let of = of.and_then(|of| of.get_mut(kind as usize));
        *of.ok_or(Wrong::Differs("owner or kind", 0, u64::from(owner)))? += count;
        after = id;
        own += u64::from(owner == u32::from(rt::info().id.0));
    }
    for (number, listed) in pages.iter().enumerate() {
        let memory = policy.memory_of(number as u32);
        let (fixed, owned, _, text) = memory.during("asking for memory")?;
        same("owned", owned, listed[1])?;
        same("static", fixed, listed[2])?;
        same("text", text, listed[3])?;
    }
    // At least text, data, a stack, the start information and the heap it began with.
    if own < 5 {
        return Err(Wrong::Differs("buffers of its own", 5, own));
    }
    let begun = rt::info().heap_bytes + rt::heap::grown().0 as u64;
    let listed = pages[usize::from(rt::info().id.0)][1];
    same("its heap", begun / PAGE as u64, listed)
}

/// One block, taken and given back several times.
fn one(bytes: usize) -> Outcome {
    let (mut taking, mut freeing) = (u64::MAX, u64::MAX);
    for _ in 0..TIMES {
        let begin = rt::time::now();
        let mut room = Vec::<u8>::new();
        let got = room.try_reserve_exact(bytes);
        taking = taking.min(rt::time::now() - begin);
        got.map_err(|_| Wrong::NoBlock(bytes))?;
        let begin = rt::time::now();
        drop(room);
        freeing = freeing.min(rt::time::now() - begin);
    }
    rt::println!("{} KiB: {taking} ticks, freed in {freeing}", bytes >> 10);
    let whole = block(bytes, 3).ok_or(Wrong::NoBlock(bytes))?;
    if !is_whole(&whole, 3) {
        return Err(Wrong::Spoilt(bytes));
    }
    drop(whole);
    let zeros = alloc::vec![0u8; bytes];
    if zeros.iter().any(|byte| *byte != 0) {
        return Err(Wrong::Spoilt(bytes));
    }
    Ok(())
}

/// By blocks of many sizes, freed in another order.
fn grows() -> Outcome {
    let policy = policy()?;
    let own = u32::from(rt::info().id.0);
    let claimed = || policy.heap_of(own).during("asking for the heap");
    same("grown at first", 0, claimed()?.1)?;
    let mut blocks = Vec::new();
    for n in 0..300usize {
        let bytes = 1 + n * 7919 % 90_000;
        blocks.push((block(bytes, n as u8).ok_or(Wrong::NoBlock(bytes))?, n as u8));
    }
    let (bytes, buffers) = rt::heap::grown();
    let (limit, pages, count) = claimed()?;
    same("pages", pages, (bytes / PAGE) as u64)?;
    same("buffers", count, buffers as u64)?;
    if pages < 2000 || pages > limit {
        return Err(Wrong::Differs("grown", 2000, pages));
    }
    while !blocks.is_empty() {
        let (block, seed) = blocks.swap_remove(blocks.len() * 5 / 7);
        if !is_whole(&block, seed) {
            return Err(Wrong::Spoilt(block.len()));
        }
    }
    drop(blocks);
    // One small part is kept at most.
    if claimed()?.1 > 64 {
        return Err(Wrong::Differs("kept", 64, claimed()?.1));
    }
    rt::heap::trim();
    same("grown at last", 0, claimed()?.1)
}

/// The library's type for it.
fn owned() -> Outcome {
    let client = rt::cbuf::client();
    let mut memory = Owned::alloc(client, 300).during("allocating")?;
    same("bytes", 300 * PAGE as u64, memory.len() as u64)?;
    let address = memory.as_ptr() as usize;
    if address < OWNED || memory.iter().any(|byte| *byte != 0) {
        return Err(Wrong::Spoilt(memory.len()));
    }
    memory.fill(9);
    let again = Owned::alloc(client, 1).during("allocating more")?;
    if again.id() == memory.id() || memory.iter().any(|byte| *byte != 9) {
        return Err(Wrong::Spoilt(memory.len()));
    }
    // Zeroed, also when others have used it.
    drop(memory);
    let memory = Owned::alloc(client, 300).during("allocating again")?;
    if memory.iter().any(|byte| *byte != 0) {
        return Err(Wrong::Spoilt(memory.len()));
    }
    match Owned::alloc(client, 1 << 40).map(drop) {
        Err(Error::NoMemory) => Ok(()),
        other => other.during("allocating too much"),
    }
}

fn invoke(to: &Import, method: u64, argument: u64) -> Result<[u64; 4], Error> {
    rt::invoke(to.entry, method, [argument, 0, 0, 0])
}

/// Has a component eat; what it got fits in its limit, and nothing larger did.
fn eat(to: &Import, bytes: u64) -> Outcome<u64> {
    let [blocks, grown, ..] = invoke(to, glutton::method::EAT, bytes).during("eating")?;
    let of = u32::from(to.peer.0);
    let (limit, claimed, _) = policy()?.heap_of(of).during("asking for its heap")?;
    same("its heap", claimed * PAGE as u64, grown)?;
    // What is left is less than a block, or than a list of twice as many.
    let wanted = bytes.max(2 * blocks * size_of::<Vec<u8>>() as u64);
    let least = (limit * PAGE as u64).saturating_sub(wanted + 2 * PAGE as u64);
    if claimed > limit || grown < least || blocks * bytes < least / 2 {
        return Err(Wrong::Ate(blocks, grown));
    }
    Ok(blocks)
}

fn limit(name: &'static str) -> Outcome {
    let to = other(name)?;
    for bytes in [100, 3000, 60_000, 300_000] {
        let blocks = eat(to, bytes)?;
        let [whole, ..] = invoke(to, glutton::method::LEAVE, 0).during("leaving")?;
        same("whole blocks", blocks, whole)?;
    }
    Ok(())
}

/// While others have all that their heaps may have, pools and this heap have all theirs.
fn apart() -> Outcome {
    let both = [other("glutton")?, other("modest")?];
    for to in both {
        eat(to, 20_000)?;
    }
    let pages = rt::info().pool_pages as usize;
    let client = rt::cbuf::client();
    let mut held = Vec::new();
    for _ in 0..pages {
        held.push(Buffer::try_alloc(client, PAGE).during("allocating a buffer")?);
    }
    one(16 << 20)?;
    for to in both {
        invoke(to, glutton::method::LEAVE, 0).during("leaving")?;
    }
    drop(held);
    let own = u32::from(rt::info().id.0);
    policy()?.set_pool(own, 0).during("emptying the pool")?;
    policy()?
        .set_pool(own, pages as u64)
        .during("filling the pool")
}

/// A component frees all ids that there are, while others have memory; none of it is its own.
fn steal() -> Outcome {
    let memory = Owned::alloc(rt::cbuf::client(), 20).during("allocating")?;
    let whole = block(50_000, 5).ok_or(Wrong::NoBlock(50_000))?;
    let modest = other("modest")?;
    let blocks = eat(modest, 10_000)?;
    let method = glutton::method::STEAL;
    let [freed, ..] = invoke(other("glutton")?, method, 5000).during("stealing")?;
    same("stolen", 0, freed)?;
    if memory.iter().any(|byte| *byte != 0) || !is_whole(&whole, 5) {
        return Err(Wrong::Spoilt(whole.len()));
    }
    let [left, ..] = invoke(modest, glutton::method::LEAVE, 0).during("leaving")?;
    same("whole blocks", blocks, left)
}

fn burst() -> Outcome {
    let (modest, to) = (other("modest")?, other("glutton")?);
    let blocks = eat(modest, 10_000)?;
    eat(to, 50_000)?;
    if invoke(to, glutton::method::BURST, 0) != Err(Error::Dead) {
        return Err(Wrong::Lived);
    }
    let [left, ..] = invoke(modest, glutton::method::LEAVE, 0).during("leaving")?;
    same("whole blocks", blocks, left)?;
    // It is started anew, with the heap that it began with.
    let mut again = Err(Error::Dead);
    for _ in 0..1000 {
        again = invoke(to, glutton::method::LEAVE, 0);
        if again != Err(Error::Dead) {
            break;
        }
        let pause = rt::time::after(core::time::Duration::from_millis(1));
        rt::sched::block(pause).during("waiting")?;
    }
    same("blocks of the new one", 0, again.during("visiting it")?[0])?;
    limit("glutton")
}
