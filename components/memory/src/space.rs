//! A component's own address space: what it is made of, and its objects.

use crate::bits::Bits;
use crate::object::{Backing, Object, ObjectId};
use crate::pager::{Content, Pager, Store, Traffic};
use crate::physical::{Colours, Physical};
use crate::region::{PageSize, Region};
use crate::slots::Slots;
use crate::stock::Stock;
use crate::tables::{ENTRIES, HUGE, SPAN, Tables, WINDOW, WINDOW_GIB, window_at};
use crate::{Error, Machine};
use abi::CPtr;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// What a space is made of.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The Ram, its physical address and size (multiples of 2 MiB, at most 128 GiB).
    pub ram: CPtr,
    pub ram_base: u64,
    pub ram_bytes: u64,
    /// A Pdpt with nothing in it, and the first address that it covers.
    pub pdpt: CPtr,
    pub base: usize,
    /// The first empty slot of the CSpace, to the end of its L2 CNode; and how many L2 CNodes its
    /// root has room for.
    pub slots: CPtr,
    pub roots: u32,
    /// Colours of the physical memory: a power of two up to 64; 1 for none.
    pub colours: usize,
    /// Whether the processor has 1 GiB pages.
    pub huge: bool,
    /// Most regions and most objects at a time, below 65,536.
    pub regions: usize,
    pub objects: usize,
}

/// What is in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Usage {
    pub regions: usize,
    pub objects: usize,
    /// Blocks of 2 MiB, of all and of those that nothing uses.
    pub blocks: usize,
    pub free_blocks: usize,
}

/// A numbered place for a region or an object.
pub(crate) struct Place<T> {
    pub generation: u16,
    pub value: Option<T>,
}

fn places<T>(count: usize) -> Result<Vec<Place<T>>, Error> {
    let mut places = Vec::new();
    places.try_reserve_exact(count).map_err(|_| Error::NoHeap)?;
    places.resize_with(count, || Place {
        generation: 0,
        value: None,
    });
    Ok(places)
}

/// A component's own address space.
pub struct Space<M> {
    pub(crate) stock: Stock<M>,
    pub(crate) tables: Tables,
    /// Blocks of 2 MiB of addresses that no region uses.
    pub(crate) free: Bits,
    pub(crate) regions: Vec<Place<Region>>,
    pub(crate) free_regions: Bits,
    pub(crate) objects: Vec<Place<Object>>,
    free_objects: Bits,
    huge: bool,
}

impl<M: Machine> Space<M> {
    /// Makes the tables that every space needs. Nothing is left behind on an error.
    ///
    /// Errors: `BadSize`, `BadAlign`, `BadColours`, `NoHeap`, `NoMemory`, `NoSlots`, `OutOfRange`,
    /// `Kernel`.
    pub fn new(machine: M, settings: &Settings) -> Result<Self, Error> {
        let most = 1..usize::from(u16::MAX);
        if !most.contains(&settings.regions) || !most.contains(&settings.objects) {
            return Err(Error::BadSize);
        }
        if settings.ram_bytes > (WINDOW_GIB * HUGE) as u64 {
            return Err(Error::BadSize);
        }
        if !settings.base.is_multiple_of(ENTRIES * HUGE) {
            return Err(Error::BadAlign);
        }
        let physical = Physical::new(settings.ram_base, settings.ram_bytes, settings.colours)?;
        let slots = Slots::new(settings.slots, settings.roots)?;
        let (regions, objects) = (places(settings.regions)?, places(settings.objects)?);
        let mut free = Bits::new(SPAN * ENTRIES)?;
        free.insert(0..SPAN * ENTRIES);
        let mut free_regions = Bits::new(settings.regions)?;
        free_regions.insert(0..settings.regions);
        let mut free_objects = Bits::new(settings.objects)?;
        free_objects.insert(0..settings.objects);

        let window = window_at(settings.base);
        let mut stock = Stock::new(machine, settings.ram, physical, slots, window);
        let opened = stock
            .open_window(settings.pdpt, WINDOW as u16)
            .and_then(|()| Tables::new(&mut stock, settings.pdpt, settings.base));
        match opened {
            Ok(tables) => Ok(Space {
                stock,
                tables,
                free,
                regions,
                free_regions,
                objects,
                free_objects,
                huge: settings.huge,
            }),
            Err(error) => {
                stock.close();
                Err(error)
            }
        }
    }

    /// Unmaps every region, releases every object, deletes every table, frame and CNode, and
    /// gives the machine back. Stores are not written.
    pub fn close(mut self) -> M {
        for n in 0..self.regions.len() {
            if self.regions[n].value.is_some() {
                self.unmap_number(n);
            }
        }
        for place in &mut self.objects {
            if let Some(object) = place.value.take() {
                object.release(&mut self.stock);
            }
        }
        self.stock.close()
    }

    /// What is in use.
    pub fn usage(&self) -> Usage {
        Usage {
            regions: self.regions.len() - self.free_regions.len(),
            objects: self.objects.len() - self.free_objects.len(),
            blocks: self.stock.physical.blocks(),
            free_blocks: self.stock.physical.free_blocks(),
        }
    }

    pub fn machine(&mut self) -> &mut M {
        &mut self.stock.machine
    }

    /// An object of the memory of a Frame or DevFrame, from `offset` on. The capability stays the
    /// caller's, and is not deleted as long as the object is mapped.
    ///
    /// Errors: `BadSize`, `BadAlign`, `TooMany`.
    pub fn fixed(&mut self, frame: CPtr, offset: u64, bytes: u64) -> Result<ObjectId, Error> {
        let object = Object::fixed(frame, offset, bytes)?;
        self.add(object)
    }

    /// An object of zeroed memory that is taken now and never taken away. It can be mapped with
    /// pages of up to that size. Of any colour it comes in as few pieces as can be had.
    ///
    /// Errors: `BadSize` (not whole pages), `BadColours`, `NotSupported`, `NoMemory`, `NoSlots`,
    /// `NoHeap`, `TooMany`.
    pub fn pinned(
        &mut self,
        bytes: u64,
        page: PageSize,
        colours: Colours,
    ) -> Result<ObjectId, Error> {
        self.supported(page)?;
        self.room_for_object()?;
        let object = Object::pinned(&mut self.stock, bytes, page, colours)?;
        self.add(object)
    }

    /// An object of memory that is taken, zeroed, page by page where it is first touched. It is
    /// mapped with pages of that size. Errors: as [`Self::pinned`].
    pub fn lazy(
        &mut self,
        bytes: u64,
        page: PageSize,
        colours: Colours,
    ) -> Result<ObjectId, Error> {
        self.supported(page)?;
        let object = Object::lazy(bytes, page, colours)?;
        self.add(object)
    }

    /// An object of which `resident` pages are in memory, taken now; the store has the others. It
    /// is mapped with pages of that size, in one region at a time. Errors: as [`Self::pinned`].
    pub fn paged(
        &mut self,
        bytes: u64,
        page: PageSize,
        colours: Colours,
        resident: usize,
        content: Content,
        store: Box<dyn Store>,
    ) -> Result<ObjectId, Error> {
        self.supported(page)?;
        crate::object::check(bytes, page, colours)?;
        self.room_for_object()?;
        let pages = usize::try_from(bytes / page.bytes() as u64).map_err(|_| Error::BadSize)?;
        let stock = &mut self.stock;
        let pager = Pager::new(stock, pages, page, colours, resident, content, store)?;
        self.add(Object::paged(bytes, page, colours, pager))
    }

    /// Gives an object's memory back; a store is not written. Errors: `NoObject`, `InUse`.
    pub fn release(&mut self, id: ObjectId) -> Result<(), Error> {
        if self.object(id)?.regions != 0 {
            return Err(Error::InUse);
        }
        let place = &mut self.objects[usize::from(id.index)];
        place.generation = place.generation.wrapping_add(1);
        if let Some(object) = place.value.take() {
            object.release(&mut self.stock);
        }
        let n = usize::from(id.index);
        self.free_objects.insert(n..n + 1);
        Ok(())
    }

    /// How often pages of a paged object went where. Errors: `NoObject`.
    pub fn traffic(&self, id: ObjectId) -> Result<Traffic, Error> {
        match &self.object(id)?.backing {
            Backing::Paged(pager) => Ok(pager.traffic),
            _ => Ok(Traffic::default()),
        }
    }

    /// The frame, and the offset in it, of the object's memory from a byte on, and how many bytes
    /// lie in a row there: to hand to others, or to identify. Errors: `NoObject`, `OutOfRange`
    /// (also where a lazy or paged object has none).
    pub fn frame(&self, id: ObjectId, at: u64) -> Result<(CPtr, u64, u64), Error> {
        let piece = self.object(id)?.piece(&self.stock, at);
        let piece = piece.ok_or(Error::OutOfRange)?;
        Ok((piece.frame, piece.offset, piece.bytes))
    }

    pub(crate) fn supported(&self, page: PageSize) -> Result<(), Error> {
        if page == PageSize::Huge && !self.huge {
            return Err(Error::NotSupported);
        }
        Ok(())
    }

    fn room_for_object(&self) -> Result<usize, Error> {
        self.free_objects.next(0).ok_or(Error::TooMany)
    }

    fn add(&mut self, object: Object) -> Result<ObjectId, Error> {
        let n = self.room_for_object()?;
        self.free_objects.remove(n..n + 1);
        let place = &mut self.objects[n];
        place.value = Some(object);
        Ok(ObjectId {
            index: n as u16,
            generation: place.generation,
        })
    }

    pub(crate) fn object(&self, id: ObjectId) -> Result<&Object, Error> {
        let place = self.objects.get(usize::from(id.index));
        let place = place.filter(|place| place.generation == id.generation);
        place
            .and_then(|place| place.value.as_ref())
            .ok_or(Error::NoObject)
    }

    pub(crate) fn object_mut(&mut self, id: ObjectId) -> Result<&mut Object, Error> {
        let place = self.objects.get_mut(usize::from(id.index));
        let place = place.filter(|place| place.generation == id.generation);
        place
            .and_then(|place| place.value.as_mut())
            .ok_or(Error::NoObject)
    }
}
