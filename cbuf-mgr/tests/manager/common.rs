//! A machine of plain memory, and clients that run against the real manager in one process. Every
//! client sees a buffer at the same address, as in the real system; that receivers map it
//! read-only is written down and checked, not enforced.

use abi::layout::SHELF_BYTES;
use abi::{ComponentId, Error, ThreadId};
use cbuf_mgr::account::{Given, Kind};
use cbuf_mgr::frames::Frames;
use cbuf_mgr::machine::{ControlMemory, Machine};
use cbuf_mgr::pool::Terms;
use cbuf_mgr::{Manager, Step};
use libcbuf::meta::{CbufId, Record};
use libcbuf::primitive::AtomicU32;
use libcbuf::ring::Ring;
use libcbuf::shelf::Shelves;
use libcbuf::{Client, Manager as Port};
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};

pub const PAGE: usize = 4096;
/// Leaves that a client's control area has room for here.
const LEAVES: usize = 64;

/// `membarrier(2)`: every thread of this process passes a full barrier. Miri has no system calls,
/// and there only this thread matters.
fn membarrier(command: u64) -> i64 {
    if cfg!(miri) {
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
        return 0;
    }
    let result: i64;
    // SAFETY: the call takes numbers and touches no memory.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") 324i64 => result,
            in("rdi") command,
            in("rsi") 0,
            in("rdx") 0,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result
}
const EXPEDITED: u64 = 8;
const REGISTER_EXPEDITED: u64 = 16;

/// How many cases a property is tried on: few where Miri interprets each.
pub const fn cases(plenty: u32) -> u32 {
    if cfg!(miri) { 2 } else { plenty }
}

/// Zeroed memory of its own.
struct Area {
    start: *mut u8,
    layout: Layout,
}

// SAFETY: owns its memory.
unsafe impl Send for Area {}

impl Area {
    fn new(bytes: usize) -> Self {
        let layout = Layout::from_size_align(bytes, PAGE).unwrap();
        // SAFETY: the size is not zero.
        let start = unsafe { alloc_zeroed(layout) };
        assert!(!start.is_null());
        Self { start, layout }
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.start, self.layout) }
    }
}

pub struct Frame {
    page: u64,
    order: u32,
}

/// What the manager shares with one client.
struct Shared {
    root: Area,
    ring: Area,
    leaves: Area,
    shelves: Area,
    /// Leaves that were made.
    made: Vec<usize>,
}

pub struct Fake {
    /// What the page numbers from 0 on name.
    memory: Area,
    pages: u64,
    control: HashMap<u16, Shared>,
    /// First page → order.
    pub frames: HashMap<u64, u32>,
    /// (component, first page) → writable.
    pub mapped: HashMap<(u16, u64), bool>,
    /// What components own: (component, virtual page number) → first page.
    pub own: HashMap<(u16, u64), u64>,
    /// So many more objects can be made; then it is out of memory.
    pub budget: u64,
    /// How often clients asked to map.
    pub maps: u64,
    /// Memory that nobody holds: first page, pages.
    pub lost: Vec<(u64, u64)>,
    clock: std::time::Instant,
    meanwhile: Mutex<Option<(Moment, Action)>>,
}

type Action = Box<dyn FnOnce() + Send>;

/// What the manager asks of the machine while it ends a buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moment {
    Barrier,
    Unmap,
}

impl Fake {
    pub fn new(pages: u64) -> Self {
        assert_eq!(membarrier(REGISTER_EXPEDITED), 0);
        Self {
            memory: Area::new(pages as usize * PAGE),
            pages,
            control: HashMap::new(),
            frames: HashMap::new(),
            mapped: HashMap::new(),
            own: HashMap::new(),
            budget: u64::MAX,
            maps: 0,
            lost: Vec::new(),
            clock: std::time::Instant::now(),
            meanwhile: Mutex::new(None),
        }
    }

    /// Has something done when the manager comes to this next, as if its thread were preempted then.
    pub fn at(&mut self, moment: Moment, action: impl FnOnce() + Send + 'static) {
        *self.meanwhile.lock().unwrap() = Some((moment, Box::new(action)));
    }

    /// Whether it was done.
    pub fn is_past(&self) -> bool {
        self.meanwhile.lock().unwrap().is_none()
    }

    fn comes_to(&self, moment: Moment) {
        let action = self
            .meanwhile
            .lock()
            .unwrap()
            .take_if(|(m, _)| *m == moment);
        if let Some((_, action)) = action {
            action();
        }
    }

    fn spend(&mut self) -> Result<(), Error> {
        self.budget = self.budget.checked_sub(1).ok_or(Error::NoMemory)?;
        Ok(())
    }

    /// Writes `bytes` to the beginning of every page that a component can write.
    pub fn overwrite(&mut self, component: u16, bytes: &[u8]) {
        let writable = self
            .mapped
            .iter()
            .filter(|((c, _), w)| *c == component && **w);
        for ((_, first), _) in writable {
            for page in *first..first + (1 << self.frames[first]) {
                // SAFETY: inside the area; nobody holds a slice of it meanwhile.
                unsafe {
                    let start = self.memory.start.add(page as usize * PAGE);
                    core::ptr::copy_nonoverlapping(bytes.as_ptr(), start, bytes.len());
                }
            }
        }
    }

    /// The beginning of every page that some components own.
    pub fn own_of(&self, components: RangeInclusive<u16>, bytes: usize) -> Vec<Vec<u8>> {
        let own = self.own.iter().filter(|((c, _), _)| components.contains(c));
        let pages = own.flat_map(|(_, first)| *first..first + (1 << self.frames[first]));
        let read = |page| {
            // SAFETY: inside the area; nobody writes it meanwhile.
            unsafe {
                let start = self.memory.start.add(page as usize * PAGE);
                core::slice::from_raw_parts(start, bytes).to_vec()
            }
        };
        pages.map(read).collect()
    }

    /// The page number behind an address in a buffer.
    pub fn page_at(&self, address: usize) -> u64 {
        ((address - self.memory.start as usize) / PAGE) as u64
    }
}

// SAFETY: the areas are zeroed and live as long as the machine.
unsafe impl Machine for Fake {
    type Frame = Frame;
    type Mapping = u64;

    fn make_frame(&mut self, page: u64, order: u32) -> Result<Frame, Error> {
        self.spend()?;
        assert!(page.is_multiple_of(1 << order) && page + (1 << order) <= self.pages);
        for (other, o) in &self.frames {
            assert!(page + (1 << order) <= *other || other + (1 << o) <= page);
        }
        self.frames.insert(page, order);
        // SAFETY: inside the area, checked above.
        unsafe {
            let start = self.memory.start.add(page as usize * PAGE);
            core::ptr::write_bytes(start, 0, PAGE << order);
        }
        Ok(Frame { page, order })
    }

    fn destroy_frame(&mut self, frame: Frame) {
        assert_eq!(self.frames.remove(&frame.page), Some(frame.order));
        assert!(self.mapped.keys().all(|(_, page)| *page != frame.page));
    }

    fn place(&self, page: u64) -> u64 {
        (self.memory.start as usize / PAGE) as u64 + page
    }

    fn map(
        &mut self,
        client: ComponentId,
        frame: &Frame,
        page: u64,
        order: u32,
        writable: bool,
    ) -> Result<u64, Error> {
        self.spend()?;
        assert_eq!((frame.page, frame.order), (page, order));
        assert!(self.frames.contains_key(&page));
        assert!(self.mapped.insert((client.0, page), writable).is_none());
        Ok(page)
    }

    fn map_own(
        &mut self,
        client: ComponentId,
        frame: &Frame,
        place: u64,
        order: u32,
    ) -> Result<u64, Error> {
        self.spend()?;
        assert!(place.is_multiple_of(1 << order) && place >= (abi::layout::OWNED / PAGE) as u64);
        assert_eq!(self.frames[&frame.page], order);
        for ((c, other), page) in &self.own {
            let end = other + (1 << self.frames[page]);
            assert!(*c != client.0 || end <= place || place + (1 << order) <= *other);
        }
        self.own.insert((client.0, place), frame.page);
        assert!(self.mapped.insert((client.0, frame.page), true).is_none());
        Ok(frame.page)
    }

    fn protect(
        &mut self,
        client: ComponentId,
        page: &u64,
        order: u32,
        writable: bool,
    ) -> Result<(), Error> {
        assert_eq!(self.frames[page], order);
        assert!(self.mapped.insert((client.0, *page), writable).is_some());
        Ok(())
    }

    fn unmap(&mut self, client: ComponentId, page: u64) {
        assert!(self.mapped.remove(&(client.0, page)).is_some());
        self.own.retain(|_, owned| *owned != page);
        self.comes_to(Moment::Unmap);
    }

    fn make_control(&mut self, client: ComponentId) -> Result<ControlMemory, Error> {
        self.spend()?;
        let shared = Shared {
            root: Area::new(4 * PAGE),
            ring: Area::new(PAGE),
            leaves: Area::new(LEAVES * PAGE),
            shelves: Area::new(SHELF_BYTES),
            made: Vec::new(),
        };
        let memory = ControlMemory {
            root: shared.root.start.cast::<AtomicU32>(),
            ring: shared.ring.start.cast::<Ring>(),
            leaves: shared.leaves.start.cast::<Record>(),
            shelves: shared.shelves.start.cast::<Shelves>(),
        };
        assert!(self.control.insert(client.0, shared).is_none());
        Ok(memory)
    }

    fn add_leaf(&mut self, client: ComponentId, leaf: usize) -> Result<(), Error> {
        self.spend()?;
        let shared = self.control.get_mut(&client.0).unwrap();
        assert!(!shared.made.contains(&leaf));
        if leaf >= LEAVES {
            return Err(Error::NoMemory);
        }
        shared.made.push(leaf);
        Ok(())
    }

    fn barrier(&self) {
        assert_eq!(membarrier(EXPEDITED), 0);
        self.comes_to(Moment::Barrier);
    }

    fn reclaim(&mut self) -> Option<(u64, u64)> {
        self.lost.pop()
    }

    fn ticks(&self) -> u64 {
        self.clock.elapsed().as_nanos() as u64
    }
}

/// What clients share: the manager, and where blocked ones wait.
#[derive(Clone)]
pub struct Host(pub Arc<Mutex<Manager<Fake>>>);

pub struct Invocations {
    host: Host,
    component: ComponentId,
    thread: ThreadId,
}

impl Port for Invocations {
    fn collect(&self, order: u32, wait: bool) -> Result<u32, Error> {
        let step = self
            .host
            .with(|m| m.collect(self.component, self.thread, order, wait))?;
        match step {
            Step::Ready(count) => Ok(count),
            Step::Block => {
                std::thread::sleep(std::time::Duration::from_micros(100));
                self.host
                    .with(|m| m.unblocked(self.component, self.thread, 100_000));
                Ok(0)
            }
        }
    }
    fn map(&self, id: u32, from: ComponentId) -> Result<(), Error> {
        self.host.with(|m| m.machine_mut().maps += 1);
        self.host.with(|m| m.map(self.component, CbufId(id), from))
    }
    fn relinquish(&self, id: u32) -> Result<(), Error> {
        self.host.with(|m| m.relinquish(self.component, CbufId(id)))
    }
    fn seal(&self, id: u32) -> Result<(), Error> {
        self.host.with(|m| m.seal(self.component, CbufId(id)))
    }
    fn alloc_owned(&self, pages: u64) -> Result<(usize, u32), Error> {
        let owned = self.host.alloc_owned(self.component, pages)?;
        Ok((owned.0 as usize, owned.1.0))
    }
    fn free_owned(&self, id: u32) -> Result<(), Error> {
        self.host.free_owned(self.component, CbufId(id))
    }
}

/// All clients there were, and the hosts behind them: they stay for the life of the process.
static KEPT: Mutex<Vec<(&Client, &dyn Port)>> = Mutex::new(Vec::new());

impl Host {
    /// Page 0 and the last page are never given out, so that an address off by one shows.
    pub fn new(pages: u64) -> Self {
        let mut frames = Frames::new(0, pages + 2).unwrap();
        frames.add(1, pages);
        let manager = Manager::new(Fake::new(pages + 2), frames).unwrap();
        Self(Arc::new(Mutex::new(manager)))
    }

    pub fn with<R>(&self, action: impl FnOnce(&mut Manager<Fake>) -> R) -> R {
        action(&mut self.0.lock().unwrap())
    }

    /// A client with a pool; every component is its peer.
    pub fn client(&self, component: u16, pages: u64, max_pages: u64) -> &'static Client {
        self.client_with_heap(component, pages, max_pages, 0)
    }

    /// The same, with a heap that may grow, and for which that much is set aside.
    pub fn client_with_heap(
        &self,
        component: u16,
        pages: u64,
        max_pages: u64,
        heap_pages: u64,
    ) -> &'static Client {
        self.client_with_heap_of(component, pages, max_pages, heap_pages, heap_pages)
    }

    /// The same, with less set aside.
    pub fn client_with_heap_of(
        &self,
        component: u16,
        pages: u64,
        max_pages: u64,
        heap_pages: u64,
        heap_kept: u64,
    ) -> &'static Client {
        let component = ComponentId(component);
        let terms = Terms {
            component,
            pages,
            max_pages,
            heap_pages,
            heap_kept,
            dma: false,
            peers: u64::MAX,
        };
        self.with(|m| m.add_client(terms)).unwrap();
        self.attach(component)
    }

    /// The library's side of a client, new. It lives as long as the process, as in a component.
    pub fn attach(&self, component: ComponentId) -> &'static Client {
        // The client outlives this function's borrow of the machine, so must the machine.
        let port = Box::leak(Box::new(Invocations {
            host: self.clone(),
            component,
            thread: ThreadId(component.0),
        }));
        self.attach_to(component, port)
    }

    /// The same, which calls another manager than ours.
    pub fn attach_to(
        &self,
        component: ComponentId,
        port: &'static (impl Port + Send),
    ) -> &'static Client {
        let memory = self.with(|m| {
            let shared = &m.machine().control[&component.0];
            [&shared.root, &shared.ring, &shared.leaves, &shared.shelves].map(|area| area.start)
        });
        // SAFETY: the control areas live as long as the host that is kept; the manager keeps them as a
        // client expects.
        let client = unsafe {
            Client::new(
                memory[0].cast::<AtomicU32>(),
                memory[1].cast::<Ring>(),
                memory[2].cast::<Record>(),
                memory[3].cast::<Shelves>(),
                port,
            )
        };
        let client: &'static Client = Box::leak(Box::new(client));
        KEPT.lock().unwrap().push((client, port));
        client
    }

    /// A client's `alloc_owned`, part by part.
    pub fn alloc_owned(&self, caller: ComponentId, pages: u64) -> Result<(u64, CbufId), Error> {
        let mut owning = self.with(|m| m.begin_owned(caller, pages))?;
        loop {
            if let Some(owned) = self.with(|m| m.owned_part(&mut owning))? {
                return Ok(owned);
            }
        }
    }

    /// A client's `free_owned`, part by part.
    pub fn free_owned(&self, caller: ComponentId, id: CbufId) -> Result<(), Error> {
        let mut owning = self.with(|m| m.free_owned(caller, id))?;
        while self.with(|m| m.owned_part(&mut owning))?.is_none() {}
        Ok(())
    }

    /// A client's ring, shelves and leaves as words that anyone in that component may overwrite.
    pub fn shared_words(&self, component: u16) -> Vec<&'static AtomicU32> {
        self.with(|m| {
            let shared = &m.machine().control[&component];
            let word = |start: *mut u8, n: usize| {
                // SAFETY: inside the area, which is leaked with the host.
                unsafe { &*start.cast::<AtomicU32>().add(n) }
            };
            let ring = (0..PAGE / 4).map(|n| word(shared.ring.start, n));
            let shelves = (0..SHELF_BYTES / 4).map(|n| word(shared.shelves.start, n));
            let leaf = |leaf: &usize| {
                let first = leaf * PAGE / 4;
                (first..first + PAGE / 4).map(|n| word(shared.leaves.start, n))
            };
            let leaves = shared.made.iter().flat_map(leaf);
            ring.chain(shelves).chain(leaves).collect()
        })
    }

    /// Word `n` of a client's ring.
    pub fn ring_word(&self, component: ComponentId, n: usize) -> &'static AtomicU32 {
        assert!(n < PAGE / 4);
        let ring = self.with(|m| m.machine().control[&component.0].ring.start);
        // SAFETY: inside the area, which is leaked with the host.
        unsafe { &*ring.cast::<AtomicU32>().add(n) }
    }

    /// Word `n` of a client's shelves.
    pub fn shelf_word(&self, component: ComponentId, n: usize) -> &'static AtomicU32 {
        assert!(n < SHELF_BYTES / 4);
        let shelves = self.with(|m| m.machine().control[&component.0].shelves.start);
        // SAFETY: inside the area, which is leaked with the host.
        unsafe { &*shelves.cast::<AtomicU32>().add(n) }
    }

    /// Checks the account against the machine: frames, pools and free pages, to the page.
    pub fn check(&self) {
        self.with(|m| {
            let memory = m.memory();
            let frames: u64 = m.machine().frames.values().map(|o| 1 << o).sum();
            let all = (0..64).map(ComponentId);
            let usage = all.clone().filter_map(|c| m.usage(c).ok());
            let heaps = all.clone().filter_map(|c| m.heap(c).ok());
            let limits = usage.clone().map(|u| u.limit).sum::<u64>();
            let reserved = heaps.clone().map(|h| h.claimed.max(h.kept));
            let heap_limits = reserved.sum::<u64>();
            let held: u64 = usage.map(|u| u.held).sum();
            assert_eq!(memory.free, memory.total - limits - heap_limits);
            // What is owned, by account, by buffer and by machine.
            let given = |of: fn(&Given) -> u64| {
                let given = all.clone().filter_map(|c| m.given(c).ok());
                given.map(|g| of(&g)).sum::<u64>()
            };
            let own = m.machine().own.values();
            let owned: u64 = own.map(|page| 1 << m.machine().frames[page]).sum();
            let listed = |kind| {
                let mut next = CbufId::NONE;
                let all = std::iter::from_fn(|| {
                    let listed = m.next_buffer(next)?;
                    next = listed.id;
                    Some(listed)
                });
                all.filter(|b| b.kind == kind).map(|b| b.pages).sum::<u64>()
            };
            assert_eq!(listed(Kind::Collected), memory.pooled);
            assert_eq!(listed(Kind::Static), given(|g| g.fixed));
            assert_eq!(listed(Kind::Text), given(|g| g.text));
            assert!(heaps.clone().all(|h| h.claimed <= h.limit));
            let claimed: u64 = heaps.map(|h| h.claimed).sum();
            assert!(owned <= claimed && owned <= given(|g| g.owned));
            let registered = listed(Kind::Owned) - claimed;
            assert_eq!(given(|g| g.owned), owned + registered);
            assert_eq!(frames, memory.pooled + owned);
            let totals = m.totals();
            assert_eq!((totals.held, totals.total), (held + owned, memory.total));
            assert_eq!(totals.held + totals.unpaid, memory.pooled + owned);
            assert_eq!(totals.unused + memory.pooled + owned, memory.total);
            let charges = (0..64).filter_map(|c| m.charges(ComponentId(c)).ok());
            let (charged, lent) = charges.fold((0, 0), |(a, b), (c, l)| (a + c, b + l));
            assert!(lent <= charged && charged <= held);
            assert!(memory.live <= memory.pooled);
            assert!(memory.pooled <= memory.total);
        });
    }
}
