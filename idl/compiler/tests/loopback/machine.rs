//! Two components in one process, one thread a machine: invocations switch the current
//! component, and a manager hands out leaked pages and maps what was sent.

use abi::layout::{LEAF_RECORDS, PAGE, TRIE_ROOT_ENTRIES};
use abi::{CPtr, ComponentId, Error, ThreadId};
use libcbuf::meta::{CbufId, Record, State};
use libcbuf::ring::{Producer, Ring};
use libcbuf::shelf::Shelves;
use libcbuf::trie::Trie;
use libcbuf::{Client, Manager};
use std::cell::{Cell, OnceCell};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

pub const USER: ComponentId = ComponentId(1);
pub const PROVIDER: ComponentId = ComponentId(2);

#[derive(Clone, Copy)]
pub struct Call {
    pub method: u64,
    pub args: [u64; 4],
    pub caller: ComponentId,
    pub thread: ThreadId,
}

pub type Reply = Result<[u64; 4], Error>;

pub struct Import {
    pub entry: CPtr,
    pub peer: ComponentId,
}

/// The metadata of one component; ids stay in the first leaf.
struct Side {
    root: Vec<AtomicU32>,
    leaf: Vec<Record>,
    ring: Ring,
    shelves: Shelves,
    producer: Mutex<Producer>,
    client: OnceCell<Client>,
}

pub struct Machine {
    sides: [Side; 2],
    next_id: AtomicU32,
}

/// The manager as one component sees it.
struct Seen(&'static Machine, usize);

// SAFETY: each machine is reached from the one thread that made it.
unsafe impl Sync for Seen {}

thread_local! {
    static MACHINE: OnceCell<&'static Machine> = const { OnceCell::new() };
    static CURRENT: Cell<usize> = const { Cell::new(0) };
    static POOLS: Cell<bool> = const { Cell::new(true) };
    static REFUSES: Cell<Option<Error>> = const { Cell::new(None) };
}

/// This thread's machine.
pub fn machine() -> &'static Machine {
    MACHINE.with(|cell| *cell.get_or_init(start))
}

fn start() -> &'static Machine {
    let side = || Side {
        root: (0..TRIE_ROOT_ENTRIES)
            .map(|n| AtomicU32::new(if n == 0 { Trie::PRESENT } else { Trie::ABSENT }))
            .collect(),
        leaf: (0..LEAF_RECORDS).map(|_| Record::default()).collect(),
        ring: Ring::default(),
        shelves: Shelves::default(),
        producer: Mutex::default(),
        client: OnceCell::new(),
    };
    let machine: &'static Machine = Box::leak(Box::new(Machine {
        sides: [side(), side()],
        next_id: AtomicU32::new(1),
    }));
    for (index, side) in machine.sides.iter().enumerate() {
        let seen = Box::leak(Box::new(Seen(machine, index)));
        let (root, leaf) = (side.root.as_ptr(), side.leaf.as_ptr());
        // SAFETY: root, leaf, ring and shelves are leaked with the machine and have the sizes that
        // are asked for; the manager below is the ring's one producer.
        let client = unsafe { Client::new(root, &side.ring, leaf, &side.shelves, seen) };
        assert!(side.client.set(client).is_ok());
    }
    machine
}

impl Manager for Seen {
    fn collect(&self, order: u32, _wait: bool) -> Result<u32, Error> {
        let Seen(machine, me) = *self;
        let id = machine.next_id.fetch_add(1, Ordering::Relaxed);
        let layout = std::alloc::Layout::from_size_align(PAGE << order, PAGE).unwrap();
        // SAFETY: the layout's size is not 0.
        let memory = unsafe { std::alloc::alloc_zeroed(layout) };
        let side = &machine.sides[me];
        let record = &side.leaf[id as usize];
        let state = State::new((memory as usize / PAGE) as u64, order, State::FREE);
        record.state.store(state.0, Ordering::Relaxed);
        let mut producer = side.producer.lock().unwrap();
        Ok(side.ring.hand_over(&mut producer, &[CbufId(id)]) as u32)
    }

    /// Maps what a component has and sent here.
    fn map(&self, id: u32, from: ComponentId) -> Result<(), Error> {
        let Seen(machine, me) = *self;
        let side = machine.sides.get(from.0 as usize - 1);
        let theirs = side
            .and_then(|side| side.leaf.get(id as usize))
            .ok_or(Error::BadBuffer)?;
        let bit = 1 << (me as u64 + 1);
        let state = theirs.load();
        if theirs.sent_to() & bit == 0 {
            return Err(Error::BadBuffer);
        }
        let record = &machine.sides[me].leaf[id as usize];
        let senders = Record::bit(from);
        record.senders.fetch_or(senders, Ordering::Relaxed);
        let state = State::new(state.page_number(), state.order(), 0);
        let _ = record.exchange(State::EMPTY, state);
        Ok(())
    }

    fn relinquish(&self, _id: u32) -> Result<(), Error> {
        Ok(())
    }

    fn seal(&self, _id: u32) -> Result<(), Error> {
        Err(Error::BadBuffer)
    }
}

pub mod cbuf {
    /// The current component's client.
    pub fn client() -> &'static libcbuf::Client {
        let side = &super::machine().sides[super::CURRENT.get()];
        side.client.get().unwrap()
    }

    pub fn attached() -> Option<&'static libcbuf::Client> {
        super::POOLS.get().then(client)
    }
}

/// Every interface of the test is there; the entry's number is the interface's.
pub fn import(name: &str) -> Option<Import> {
    let interface = match name {
        crate::scalars::NAME => crate::scalars::INTERFACE,
        crate::cbufs::NAME => crate::cbufs::INTERFACE,
        crate::batches::NAME => crate::batches::INTERFACE,
        _ => return None,
    };
    let entry = CPtr(u32::from(interface));
    Some(Import {
        entry,
        peer: PROVIDER,
    })
}

pub fn imports(name: &str) -> impl Iterator<Item = Import> {
    import(name).into_iter()
}

pub struct Failure {
    pub error: Error,
    pub ran: bool,
}

pub fn invoke(entry: CPtr, method: u64, args: [u64; 4]) -> Reply {
    attempt(entry, method, args).map_err(|failure| failure.error)
}

/// As the kernel has it: what it refuses itself never ran.
pub fn attempt(entry: CPtr, method: u64, args: [u64; 4]) -> Result<[u64; 4], Failure> {
    match REFUSES.get() {
        Some(error) => Err(Failure { error, ran: false }),
        None => raw(entry.0 as u16, method, args).map_err(|error| Failure { error, ran: true }),
    }
}

/// From here on no component of this thread's has a pool.
pub fn without_pools() {
    POOLS.set(false);
}

/// From here on the kernel refuses this thread's invocations.
pub fn refuse(error: Option<Error>) {
    REFUSES.set(error);
}

/// An invocation whose words are whatever they are.
pub fn raw(interface: u16, method: u64, args: [u64; 4]) -> Reply {
    let call = Call {
        method,
        args,
        caller: USER,
        thread: ThreadId(0),
    };
    assert_eq!(call.thread, ThreadId(0));
    CURRENT.set(1);
    let reply = crate::serve(interface, call);
    CURRENT.set(0);
    reply
}

/// Nobody holds a reference, and every send was received: all buffers could be collected.
pub fn all_settled() {
    let sides = &machine().sides;
    for id in 0..LEAF_RECORDS {
        let records = [&sides[0].leaf[id], &sides[1].leaf[id]];
        // What lies on a shelf has one reference, which is nobody's.
        let shelved = [0, 1].map(|side| {
            let order = records[side].load().order();
            u64::from(sides[side].shelves.lists(CbufId(id as u32), order))
        });
        let references = [0, 1].map(|side| records[side].load().references() - shelved[side]);
        let sent: u32 = records.iter().map(|r| r.sent.load(Ordering::Relaxed)).sum();
        let received: u32 = records
            .iter()
            .map(|r| r.received.load(Ordering::Relaxed))
            .sum();
        assert_eq!((references, sent), ([0, 0], received), "buffer {id}");
    }
}
