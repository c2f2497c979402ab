//! One component's client: its shelves and freelists over its pool, and allocation from a shelf.
//! `stock` fills shelves, `release` sends and frees, `receive` receives. Source: CBUFs, sections
//! 2.3 and 3.6.

use crate::freelist::Freelist;
use crate::meta::{CbufId, ORDERS, Record, State, last_byte, order_with};
use crate::primitive::{AtomicBool, AtomicU32};
use crate::ring::Ring;
use crate::shelf::{Shelf, Shelves};
use crate::thread;
use crate::trie::Trie;
use abi::{ComponentId, Error};
use core::ptr::NonNull;
use crossbeam_utils::CachePadded;

/// The manager as the library calls it (interface `cbuf`).
pub trait Manager: Sync {
    /// Hands garbage of at least 2^`order` pages over through the ring, growing the pool where
    /// its limit allows; with `wait`, blocks while there is none. Answers how many; 0 with
    /// `wait` means "look again". [`Error::NoMemory`]: can never be satisfied.
    fn collect(&self, order: u32, wait: bool) -> Result<u32, Error>;
    /// Admits `from` as a sender of a buffer to this component, and maps the buffer and fills
    /// its record where it is not here yet. [`Error::BadBuffer`]: `from` did not send it.
    fn map(&self, id: u32, from: ComponentId) -> Result<(), Error>;
    /// The last reference to a buffer marked [`State::RELINQUISH`] is gone.
    fn relinquish(&self, id: u32) -> Result<(), Error>;
    /// Write-protects a buffer of this component's own, here, until it is collected.
    /// [`Error::BadBuffer`]: not its own.
    fn seal(&self, id: u32) -> Result<(), Error>;
    /// So many zeroed pages of this component's own, outside of its pool: their address and id.
    /// [`Error::NoMemory`]: more than its heap may grow by. A manager of pools alone has none.
    fn alloc_owned(&self, _pages: u64) -> Result<(usize, u32), Error> {
        Err(Error::NoMemory)
    }
    /// Ends what [`Manager::alloc_owned`] answered. [`Error::BadBuffer`]: no such buffer.
    fn free_owned(&self, _id: u32) -> Result<(), Error> {
        Err(Error::BadBuffer)
    }
}

/// The component's one client.
pub struct Client {
    pub(crate) trie: Trie,
    pub(crate) ring: *const Ring,
    shelves: NonNull<Shelves>,
    /// Each on a cache line of its own: threads that allocate different sizes do not meet.
    free: [CachePadded<Freelist>; ORDERS],
    /// Held by the thread that drains the ring. Never waited for: a preempted holder must not
    /// stop others, they ask the manager instead.
    pub(crate) draining: AtomicBool,
    pub(crate) manager: &'static dyn Manager,
}

// SAFETY: `ring` and `shelves` point at memory that is shared by design and reached only as atomics.
unsafe impl Send for Client {}
// SAFETY: as above; the ring's single-consumer rule is kept by `draining`, and each
// thread finds its own shelves.
unsafe impl Sync for Client {}

impl core::fmt::Debug for Client {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Client")
    }
}

impl Client {
    /// # Safety
    /// For the life of the client: `root` and `leaves` as [`Trie::new`] asks; `ring` points at a
    /// [`Ring`] whose only producer is the manager and whose only consumer is this client;
    /// `shelves` at [`Shelves`] that only this client
    /// writes; the
    /// manager maps each buffer at the address its record states, readable, writable where the
    /// record came through the ring, and unmaps none that is referenced.
    pub unsafe fn new(
        root: *const AtomicU32,
        ring: *const Ring,
        leaves: *const Record,
        shelves: *const Shelves,
        manager: &'static dyn Manager,
    ) -> Self {
        Self {
            // SAFETY: the caller's promise.
            trie: unsafe { Trie::new(root, leaves) },
            ring,
            // SAFETY: memory that the caller promises to be there is not at address 0.
            shelves: unsafe { NonNull::new_unchecked(shelves.cast_mut()) },
            free: core::array::from_fn(|_| CachePadded::default()),
            draining: AtomicBool::new(false),
            manager,
        }
    }

    /// A buffer of at least `bytes`, referenced once, with whatever its last use left in it.
    /// Calls the manager when the freelist is empty, and **blocks** there while the pool is
    /// exhausted. [`Error::BadSize`]: larger than any buffer; [`Error::NoMemory`]: larger than
    /// the pool will ever be.
    #[inline]
    pub fn cbuf_alloc(&self, bytes: usize) -> Result<(*mut u8, CbufId), Error> {
        self.allocate(bytes, true).map(Allocated::parts)
    }

    /// Like [`Client::cbuf_alloc`] but never waits: [`Error::NoMemory`] when the pool is
    /// exhausted.
    #[inline]
    pub fn try_alloc(&self, bytes: usize) -> Result<(*mut u8, CbufId), Error> {
        self.allocate(bytes, false).map(Allocated::parts)
    }

    #[inline]
    pub(crate) fn allocate(&self, bytes: usize, wait: bool) -> Result<Allocated<'_>, Error> {
        let last = last_byte(bytes);
        let Some(order) = order_with(last) else {
            return too_large();
        };
        // What this thread freed last, whose record says what it is to say.
        if let Some(shelf) = self.shelves().of(thread::current(), order)
            && let Some(offset) = shelf.take()
        {
            // SAFETY: what lies on a shelf was allocated, so it has a record.
            let record = unsafe { self.trie.known(offset) };
            let state = record.load();
            if Shelf::is_idle(state) {
                return Ok(Allocated::new(offset.id(), record, state));
            }
            // The manager wants it, or took it.
            self.free_rarely(offset);
        }
        self.allocate_rarely(last, wait)
    }

    #[inline]
    pub(crate) fn shelves(&self) -> &Shelves {
        // SAFETY: valid for the client's life (contract of `new`), and only atomics.
        unsafe { self.shelves.as_ref() }
    }

    #[inline]
    pub(crate) fn list(&self, order: u32) -> &Freelist {
        // The order comes from this component's own record; should it be overwritten there, the
        // component gets its own buffers in the wrong sizes, each as long as its record says.
        &self.free[(order as usize).min(ORDERS - 1)]
    }

    /// This component's record of `id`, for inspection.
    pub fn record(&self, id: CbufId) -> Option<&Record> {
        self.trie.record(id)
    }
}

/// What is rare is not to be in the way.
#[cold]
#[inline(never)]
fn too_large<T>() -> Result<T, Error> {
    Err(Error::BadSize)
}

/// A fresh allocation: one reference, exclusive.
pub(crate) struct Allocated<'c> {
    pub address: *mut u8,
    pub id: CbufId,
    pub record: &'c Record,
    pub bytes: usize,
}

impl<'c> Allocated<'c> {
    /// What a record says of a buffer that is its finder's now.
    #[inline]
    pub fn new(id: CbufId, record: &'c Record, state: State) -> Self {
        Self {
            address: state.address() as *mut u8,
            id,
            record,
            bytes: state.bytes(),
        }
    }

    #[inline]
    fn parts(self) -> (*mut u8, CbufId) {
        (self.address, self.id)
    }
}
