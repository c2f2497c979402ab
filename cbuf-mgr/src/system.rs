//! The machine as the manager uses it, by capability invocations. Page number `p` of memory is
//! seen by every client at [`BUFFERS`] plus its distance from the first page managed, so a place
//! needs no table of its own and a buffer lies at the same address everywhere.

use crate::slots::{Ram, Resources};
use crate::tables::{Run, Space};
use abi::layout::{
    BUFFERS, CBUFS, CONTROL_BYTES, MANAGER_CONTROL, MANAGER_WINDOW, PAGE, RING, SHELF_BYTES,
    SHELVES, TRIE_LEAVES, TRIE_ROOT, TRIE_ROOT_ENTRIES,
};
use abi::{CPtr, CapType, ComponentId, Error};
use alloc::vec::Vec;
use cbuf_mgr::frames::Frames;
use cbuf_mgr::machine::{ControlMemory, Machine};
use libcbuf::meta::ORDERS;

const ROOT_ORDER: u32 = (TRIE_ROOT_ENTRIES * size_of::<u32>() / PAGE).trailing_zeros();
const SHELVES_ORDER: u32 = (SHELF_BYTES / PAGE).trailing_zeros();

pub struct System {
    resources: Resources,
    /// The manager's own control areas and window.
    own: Space,
    /// Clients' CBUF regions, by component id.
    clients: Vec<Option<Space>>,
    /// What place [`BUFFERS`] shows: a multiple of the largest buffer.
    base: u64,
}

impl System {
    pub fn new(own: CPtr, ram: Vec<Ram>, reserve: Frames) -> Result<Self, Error> {
        let first = ram.iter().map(|r| r.first).min().ok_or(Error::NoMemory)?;
        let mut clients = Vec::new();
        clients
            .try_reserve_exact(ComponentId::MAX)
            .map_err(|_| Error::NoMemory)?;
        clients.resize_with(ComponentId::MAX, || None);
        Ok(Self {
            resources: Resources::new(ram, reserve)?,
            own: Space::new(own),
            clients,
            base: first & !((1 << (ORDERS - 1)) - 1),
        })
    }

    /// Pages set aside for the manager's own objects, and of these in use.
    pub fn reserve(&self) -> (u64, u64) {
        self.resources.reserve()
    }

    /// Before a client is added: its region's PDPT.
    pub fn set_client(&mut self, component: ComponentId, pdpt: CPtr) -> Result<(), Error> {
        let place = self
            .clients
            .get_mut(component.0 as usize)
            .ok_or(Error::BadArgument)?;
        *place = Some(Space::new(pdpt));
        Ok(())
    }

    fn client(&mut self, component: ComponentId) -> Result<(&mut Space, &mut Resources), Error> {
        let space = self
            .clients
            .get_mut(component.0 as usize)
            .and_then(Option::as_mut)
            .ok_or(Error::BadArgument)?;
        Ok((space, &mut self.resources))
    }

    /// Makes 2^`order` pages that the manager can write and `client` sees at `address`.
    fn share(
        &mut self,
        client: ComponentId,
        address: usize,
        order: u32,
        writable: bool,
    ) -> Result<(), Error> {
        let frame = self.resources.make_own(CapType::Frame, order)?;
        let ours = control(client, address);
        let place = (ours / PAGE) as u64;
        self.own
            .map(&mut self.resources, frame, place, order, true)?;
        // SAFETY: these pages were just mapped there, and nothing else is.
        unsafe { core::ptr::write_bytes(ours as *mut u8, 0, PAGE << order) };
        let (space, resources) = self.client(client)?;
        let place = (address / PAGE) as u64;
        space.map(resources, frame, place, order, writable)?;
        Ok(())
    }
}

/// Where the manager sees `address` of a client's control area.
fn control(client: ComponentId, address: usize) -> usize {
    MANAGER_CONTROL + client.0 as usize * CONTROL_BYTES + (address - CBUFS)
}

// SAFETY: control areas and leaves are made zero, from memory that is never given back, and stay
// mapped at addresses of their own.
unsafe impl Machine for System {
    type Frame = CPtr;
    type Mapping = Run;

    fn make_frame(&mut self, page: u64, order: u32) -> Result<CPtr, Error> {
        let frame = self.resources.make_at(CapType::Frame, page, order)?;
        let place = (MANAGER_WINDOW / PAGE) as u64;
        match self.own.map(&mut self.resources, frame, place, order, true) {
            Ok(window) => {
                // SAFETY: the window shows exactly this frame, which nobody else has yet.
                unsafe { core::ptr::write_bytes(MANAGER_WINDOW as *mut u8, 0, PAGE << order) };
                Space::unmap(&mut self.resources, window);
                Ok(frame)
            }
            Err(error) => {
                self.destroy_frame(frame);
                Err(error)
            }
        }
    }

    fn destroy_frame(&mut self, frame: CPtr) {
        // The slot is used again only when it is known to be empty.
        if rt::cap::delete(abi::start::slot::CSPACE, frame).is_ok() {
            self.resources.give_slot(frame);
        }
    }

    fn place(&self, page: u64) -> u64 {
        (BUFFERS / PAGE) as u64 + (page - self.base)
    }

    fn map(
        &mut self,
        client: ComponentId,
        frame: &CPtr,
        page: u64,
        order: u32,
        writable: bool,
    ) -> Result<Run, Error> {
        let place = self.place(page);
        let (space, resources) = self.client(client)?;
        space.map(resources, *frame, place, order, writable)
    }

    fn map_own(
        &mut self,
        client: ComponentId,
        frame: &CPtr,
        place: u64,
        order: u32,
    ) -> Result<Run, Error> {
        let (space, resources) = self.client(client)?;
        space.map(resources, *frame, place, order, true)
    }

    fn protect(
        &mut self,
        _client: ComponentId,
        mapping: &Run,
        order: u32,
        writable: bool,
    ) -> Result<(), Error> {
        Space::protect(mapping, order, writable)
    }

    fn unmap(&mut self, _client: ComponentId, mapping: Run) {
        Space::unmap(&mut self.resources, mapping);
    }

    fn make_control(&mut self, client: ComponentId) -> Result<ControlMemory, Error> {
        self.share(client, TRIE_ROOT, ROOT_ORDER, false)?;
        self.share(client, RING, 0, true)?;
        self.share(client, SHELVES, SHELVES_ORDER, true)?;
        Ok(ControlMemory {
            root: control(client, TRIE_ROOT) as *const _,
            ring: control(client, RING) as *const _,
            leaves: control(client, TRIE_LEAVES) as *const _,
            shelves: control(client, SHELVES) as *const _,
        })
    }

    fn add_leaf(&mut self, client: ComponentId, leaf: usize) -> Result<(), Error> {
        self.share(client, TRIE_LEAVES + leaf * PAGE, 0, true)
    }

    fn barrier(&self) {
        // One core: no other thread runs between its own instructions while we do.
        core::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
    }

    fn reclaim(&mut self) -> Option<(u64, u64)> {
        self.resources.reclaim()
    }

    fn ticks(&self) -> u64 {
        rt::time::now()
    }
}
