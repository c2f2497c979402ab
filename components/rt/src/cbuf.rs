//! The component's CBUF client, with the manager reached by raw method numbers of interface
//! `cbuf`, because the generated stubs are built on this crate.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicBool, Ordering};

use abi::{CPtr, ComponentId, Error, layout};
use libcbuf::{Client, Manager};

pub use libcbuf::{
    Aggregate, Batch, Buffer, Cbuf, CbufId, CbufRef, Incoming, Owned, Piece, Record, Slab,
};

/// The interface's name in the start information.
const NAME: &str = "cbuf";

/// Methods of interface `cbuf`, in the order of its file.
pub mod method {
    pub const COLLECT: u64 = 0;
    pub const MAP: u64 = 1;
    pub const RELINQUISH: u64 = 2;
    pub const PHYSICAL: u64 = 3;
    pub const MEMORY: u64 = 4;
    pub const SEAL: u64 = 5;
    pub const ALLOC_OWNED: u64 = 6;
    pub const FREE_OWNED: u64 = 7;
}

/// The manager behind the import `cbuf`.
struct Remote;

fn call(method: u64, a0: u64, a1: u64) -> Result<[u64; 4], Error> {
    // Relaxed: written once by `attach`, before anything else runs in this component.
    let entry = CPtr(SLOT.entry.load(Ordering::Relaxed));
    if entry == CPtr::NULL {
        return Err(Error::NotFound);
    }
    crate::invoke(entry, method, [a0, a1, 0, 0])
}

impl Manager for Remote {
    fn collect(&self, order: u32, wait: bool) -> Result<u32, Error> {
        call(method::COLLECT, u64::from(order), u64::from(wait)).map(|[ready, ..]| ready as u32)
    }
    fn map(&self, id: u32, from: ComponentId) -> Result<(), Error> {
        call(method::MAP, u64::from(id), u64::from(from.0)).map(drop)
    }
    fn relinquish(&self, id: u32) -> Result<(), Error> {
        call(method::RELINQUISH, u64::from(id), 0).map(drop)
    }
    fn seal(&self, id: u32) -> Result<(), Error> {
        call(method::SEAL, u64::from(id), 0).map(drop)
    }
    fn alloc_owned(&self, pages: u64) -> Result<(usize, u32), Error> {
        own(pages)
    }
    fn free_owned(&self, id: u32) -> Result<(), Error> {
        disown(id)
    }
}

/// So many pages of this component's own, at an address, and their id; also for a component without
/// a pool, and without allocating anything here. [`Error::NotFound`]: it may not call the manager.
pub(crate) fn own(pages: u64) -> Result<(usize, u32), Error> {
    call(method::ALLOC_OWNED, pages, 0).map(|[address, id, ..]| (address as usize, id as u32))
}

/// Ends what [`own`] answered.
pub(crate) fn disown(id: u32) -> Result<(), Error> {
    call(method::FREE_OWNED, u64::from(id), 0).map(drop)
}

/// The one client, once the component has a CBUF region.
struct Slot {
    attached: AtomicBool,
    entry: core::sync::atomic::AtomicU32,
    client: UnsafeCell<MaybeUninit<Client>>,
}

// SAFETY: the client is written once, before `attached` is set, and is itself `Sync`.
unsafe impl Sync for Slot {}

static SLOT: Slot = Slot {
    attached: AtomicBool::new(false),
    entry: core::sync::atomic::AtomicU32::new(0),
    client: UnsafeCell::new(MaybeUninit::uninit()),
};

/// Makes the client where the image gives this component a pool. Runs at START, before any
/// other code of the component.
pub(crate) fn attach() {
    let Some(import) = crate::import(NAME) else {
        return;
    };
    // Relaxed: no other thread runs in the component yet.
    SLOT.entry.store(import.entry.0, Ordering::Relaxed);
    if crate::info().pool_pages == 0 {
        return;
    }
    // SAFETY: `init` gave the manager this component's whole CBUF region, and the manager, which
    // is started first, keeps the root, the ring, the leaves and the shelves at these addresses; this is the
    // only client, and nobody else reads or writes the slot before `attached` is set.
    unsafe {
        (*SLOT.client.get()).write(Client::new(
            layout::TRIE_ROOT as *const _,
            layout::RING as *const _,
            layout::TRIE_LEAVES as *const _,
            layout::SHELVES as *const _,
            &Remote,
        ));
    }
    // Release: pairs with `client`, so that the client is seen whole.
    SLOT.attached.store(true, Ordering::Release);
}

/// The component's CBUF client. Panics in a component whose description gives it no pool.
#[inline]
pub fn client() -> &'static Client {
    attached().expect("this component has no pool of CBUFs")
}

/// The component's CBUF client, where its description gives it a pool: for what others ask.
#[inline]
pub fn attached() -> Option<&'static Client> {
    // Acquire: pairs with `attach`.
    let attached = SLOT.attached.load(Ordering::Acquire);
    // SAFETY: written before `attached` was set, never again.
    attached.then(|| unsafe { (*SLOT.client.get()).assume_init_ref() })
}

/// At least `bytes`, waiting for the pool to have them, but not past the deadline:
/// [`Error::NoMemory`] then, or at once where the pool will never have as many.
pub fn alloc_until(bytes: usize, deadline: u64) -> Result<Buffer<'static>, Error> {
    let client = client();
    let order = libcbuf::meta::order_for(bytes).ok_or(Error::BadSize)?;
    loop {
        match Buffer::try_alloc(client, bytes) {
            Err(Error::NoMemory) if crate::time::now() < deadline => {}
            done => return done,
        }
        // Waits in the manager, some milliseconds at most, where it counts as time blocked.
        Remote.collect(order, true)?;
    }
}

/// Physical address of a buffer that this component has mapped. Only with the right `dma`.
pub fn physical(id: CbufId) -> Result<u64, Error> {
    call(method::PHYSICAL, u64::from(id.0), 0).map(|[address, ..]| address)
}

/// Pages: not assigned to any pool, managed in all, live in buffers, handed out to pools.
pub fn memory() -> Result<[u64; 4], Error> {
    call(method::MEMORY, 0, 0)
}
