//! How long the kernel holds the core at most: operations on as much as they can meet, call by
//! call. What is counted is the longest call; `Again` ends one.

use abi::captype::MapFlags;
use abi::layout::PAGE;
use abi::start::slot::CSPACE;
use abi::{Badge, CPtr, CapType, ComponentId, Error, Rights, ThreadId, op};
use rt::{cap, time};

use crate::measure::print;
use bench::stock::{READ_WRITE, Stock};

/// Capabilities that one revoke takes back: 2^14.
const MANY: u32 = 1 << 14;
const L2_SLOTS: u32 = abi::cptr::L2_SLOTS as u32;
/// L2 CNodes for those (slot 0 of a CSpace stays empty), and one for the objects of one retype.
const NODES: u32 = MANY / L2_SLOTS + 2;
const OBJECTS: CPtr = CPtr::new(NODES - 1, 0);
/// Places in our own CSpace for the capabilities of the mappings that fill a page table.
const MAPPINGS: u32 = 10;
const ENTRIES: u16 = 512;
const LARGEST_L1: u64 = 1 << 20;

/// Repeats an operation until it is done; ticks of the longest call.
fn longest(cptr: CPtr, operation: u64, args: [u64; 5]) -> Result<u64, Error> {
    let mut most = 0;
    loop {
        let begun = time::now();
        let result = rt::syscall(cptr, operation, args);
        most = most.max(time::now() - begun);
        match result {
            Err(Error::Again) => {}
            other => return other.map(|_| most),
        }
    }
}

fn word(cptr: CPtr) -> u64 {
    u64::from(cptr.0)
}

fn run(first: u16, count: u16, flags: MapFlags) -> u64 {
    u64::from(first) | u64::from(count) << 16 | u64::from(flags.bits()) << 32
}

/// Adds L2 CNodes to the root of a CSpace.
fn add_nodes(stock: &mut Stock, root: CPtr, first: u32, count: u32) -> Result<(), Error> {
    for index in first..first + count {
        let node = stock.object(CapType::L2CNode, abi::cptr::L2_BYTES as u64)?;
        cap::install_l2(root, node, index)?;
        cap::delete(CSPACE, node)?;
        stock.give_back(node);
    }
    Ok(())
}

pub fn measure(stock: &mut Stock) -> Result<(), Error> {
    let places = u64::from(NODES) * abi::cptr::SLOT_BYTES as u64;
    let root = stock.object(CapType::L1CNode, places.next_multiple_of(PAGE as u64))?;
    add_nodes(stock, root, 0, NODES)?;
    entries(stock, root)?;
    threads(stock)?;
    copies(stock, root)?;
    objects(stock, root)?;
    mappings(stock)
}

/// A Component with 2^14 Entries: revoke takes them back.
fn entries(stock: &mut Stock, root: CPtr) -> Result<(), Error> {
    let component = stock.page(CapType::Component)?;
    for n in 0..MANY {
        let badge = Badge::new(ComponentId(n as u16), 1);
        cap::component::make_entry(component, root, CPtr(n).plus(1), badge)?;
    }
    let args = [word(component), 0, 0, 0, 0];
    print("longest-revoke", longest(CSPACE, op::cspace::REVOKE, args)?);
    Ok(())
}

/// A component with as many threads in it as the core takes; then it takes one more again.
fn threads(stock: &mut Stock) -> Result<(), Error> {
    let (component, root) = (stock.page(CapType::Component)?, stock.page(CapType::Pml4)?);
    let (entry, nobody) = (abi::layout::IMAGE as u64, CPtr::NULL);
    cap::component::configure(component, CSPACE, root, entry, nobody, ComponentId(0), 0)?;
    let first = stock.page(CapType::Thread)?;
    let (mut last, mut count) = (first, 1);
    while cap::thread::configure(last, component, ThreadId(0), 0) != Err(Error::Busy) {
        if count > ThreadId::MAX as u32 {
            return Err(Error::OutOfRange);
        }
        last = stock.page(CapType::Thread)?;
        count += 1;
    }
    cap::delete(CSPACE, first)?;
    cap::thread::configure(last, component, ThreadId(0), 0)?;
    let gone = longest(CSPACE, op::cspace::DELETE, [word(component), 0, 0, 0, 0])?;
    print("longest-component", gone);
    for thread in 1..count {
        cap::delete(CSPACE, first.plus(thread))?;
    }
    Ok(())
}

/// CNodes: the largest there is, empty, and one with a copy in each slot.
fn copies(stock: &mut Stock, root: CPtr) -> Result<(), Error> {
    let large = stock.slot();
    let what = CapType::L1CNode as u64 | 1 << 32;
    let (ram, offset) = stock.take(LARGEST_L1, PAGE as u64)?;
    let args = [word(large), word(ram), what, offset, LARGEST_L1];
    let cleared = longest(CSPACE, op::cspace::RETYPE, args)?;
    print("longest-clear", cleared);
    let empty = longest(CSPACE, op::cspace::DELETE, [word(large), 0, 0, 0, 0])?;
    let node = stock.object(CapType::L2CNode, abi::cptr::L2_BYTES as u64)?;
    let inside = stock.object(CapType::L1CNode, PAGE as u64)?;
    cap::install_l2(inside, node, 0)?;
    for n in 1..L2_SLOTS {
        cap::copy(inside, CPtr(n), root, Rights::all())?;
    }
    cap::delete(CSPACE, inside)?;
    let full = longest(CSPACE, op::cspace::DELETE, [word(node), 0, 0, 0, 0])?;
    print("longest-delete", empty.max(full));
    Ok(())
}

/// As many objects at once as there can be.
fn objects(stock: &mut Stock, root: CPtr) -> Result<(), Error> {
    let count = L2_SLOTS;
    let what = CapType::Frame as u64 | u64::from(count) << 32;
    let bytes = PAGE as u64;
    let (ram, offset) = stock.take(u64::from(count) * bytes, bytes)?;
    let args = [word(OBJECTS), word(ram), what, offset, bytes];
    let most = longest(root, op::cspace::RETYPE, args)?;
    print("longest-retype", most);
    Ok(())
}

/// A page table full of mappings of one page each, at the window's place in a table of its own.
fn mappings(stock: &mut Stock) -> Result<(), Error> {
    let per_node = L2_SLOTS as u16;
    add_nodes(stock, CSPACE, MAPPINGS, u32::from(ENTRIES / per_node))?;
    let table = stock.page(CapType::Pt)?;
    let frame = stock.object(CapType::Frame, u64::from(ENTRIES) * PAGE as u64)?;
    let whole = run(0, ENTRIES, READ_WRITE);
    let mapping = stock.slot();
    let map = longest(
        table,
        op::table::MAP,
        [word(frame), whole, 0, word(mapping), 0],
    )?;
    print("longest-map", map);
    cap::mapping::destroy(mapping)?;
    for entry in 0..ENTRIES {
        let slot = CPtr::new(MAPPINGS, 0).plus(u32::from(entry));
        let offset = u64::from(entry) * PAGE as u64;
        cap::map(table, frame, entry, 1, READ_WRITE, offset, slot)?;
    }
    let read_only = run(0, ENTRIES, MapFlags::READ);
    let modify = longest(table, op::table::MODIFY, [read_only, 0, 0, 0, 0])?;
    print("longest-modify", modify);
    let emptied = longest(CSPACE, op::cspace::DELETE, [word(table), 0, 0, 0, 0])?;
    print("longest-table", emptied);
    Ok(())
}
