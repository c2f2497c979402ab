//! The 64-byte slot: one capability and its node of the mapping database.

use crate::captype::{self, Equality};
use abi::Rights;
use abi::captype::CapType;
use abi::cptr::SLOT_BYTES;
use core::cell::Cell;
use core::ops::Deref;
use core::ptr::NonNull;

/// A capability as a value: what a slot says, without its place in the database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cap {
    pub ty: CapType,
    pub rights: Rights,
    /// Physical address of the object; first port; core number. See [`crate::captype`].
    pub base: u64,
    pub bytes: u64,
    /// Type-specific. Entry: entry address, badge. Irq: two words of the kernel's. Mapping: see
    /// [`crate::mapping`]. Otherwise zero.
    pub data: [u64; 2],
    /// Type-specific. Frame, DevFrame: how deep it is nested in others. Mapping: entries.
    pub extra: u32,
}

impl Cap {
    pub const NULL: Cap = Cap {
        ty: CapType::Null,
        rights: Rights::empty(),
        base: 0,
        bytes: 0,
        data: [0; 2],
        extra: 0,
    };

    /// Where it stands in the database, before every copy of it.
    pub fn key(&self) -> Key {
        let info = captype::info(self.ty);
        let [eq0, eq1] = match info.equality {
            Equality::Region => [0, 0],
            Equality::RegionAndData => self.data,
        };
        Key {
            place: info.tree.place(self.base),
            rank: info.rank,
            smaller: !self.bytes,
            eq: [eq0, eq1],
            address: 0,
        }
    }

    /// One past its last place.
    pub fn end(&self) -> u64 {
        let end = self.base.saturating_add(self.bytes);
        captype::info(self.ty).tree.place(end)
    }
}

/// The ordering of the database: `(tree, base, type, -size, equality.., address)`, with tree and
/// base in one word.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Key {
    pub(crate) place: u64,
    pub(crate) rank: u8,
    pub(crate) smaller: u64,
    pub(crate) eq: [u64; 2],
    pub(crate) address: usize,
}

impl Key {
    /// Before everything at `place`.
    pub(crate) const fn at(place: u64) -> Key {
        Key {
            place,
            rank: 0,
            smaller: 0,
            eq: [0; 2],
            address: 0,
        }
    }

    /// After every copy.
    pub(crate) const fn after_copies(self) -> Key {
        Key {
            address: usize::MAX,
            ..self
        }
    }

    /// After everything of the same type over the same region.
    pub(crate) const fn after_region(self) -> Key {
        Key {
            eq: [u64::MAX; 2],
            address: usize::MAX,
            ..self
        }
    }

    /// Do both name the same object?
    pub(crate) fn same_object(&self, other: &Key) -> bool {
        Key {
            address: 0,
            ..*self
        } == Key {
            address: 0,
            ..*other
        }
    }
}

/// A slot in a CNode. All zero bytes are an empty slot.
#[repr(C, align(64))]
pub struct Slot {
    base: Cell<u64>,
    bytes: Cell<u64>,
    data: [Cell<u64>; 2],
    pub(crate) left: Cell<Option<SlotRef>>,
    pub(crate) right: Cell<Option<SlotRef>>,
    /// Largest [`Cap::end`] in the subtree.
    pub(crate) max_end: Cell<u64>,
    ty: Cell<CapType>,
    /// The last copy, and what belongs to its object is being taken apart.
    deleting: Cell<bool>,
    rights: Cell<u8>,
    /// Level in the AA tree, 0 outside.
    pub(crate) level: Cell<u8>,
    extra: Cell<u32>,
}

const _: () = assert!(size_of::<Slot>() == SLOT_BYTES);

impl Default for Slot {
    fn default() -> Slot {
        Slot::EMPTY
    }
}

impl Slot {
    /// An empty slot, for CNodes that are part of the kernel's image.
    // Each use of the constant is meant to be a slot of its own.
    #[allow(clippy::declare_interior_mutable_const)]
    pub const EMPTY: Slot = Slot {
        base: Cell::new(0),
        bytes: Cell::new(0),
        data: [const { Cell::new(0) }; 2],
        left: Cell::new(None),
        right: Cell::new(None),
        max_end: Cell::new(0),
        ty: Cell::new(CapType::Null),
        deleting: Cell::new(false),
        rights: Cell::new(0),
        level: Cell::new(0),
        extra: Cell::new(0),
    };

    /// Where the kernel's invocation path, which is not Rust, finds type, deleting mark, base and
    /// an Entry's badge.
    pub const TYPE_OFFSET: usize = core::mem::offset_of!(Slot, ty);
    pub const DELETING_OFFSET: usize = core::mem::offset_of!(Slot, deleting);
    pub const BASE_OFFSET: usize = core::mem::offset_of!(Slot, base);
    pub const BADGE_OFFSET: usize = core::mem::offset_of!(Slot, data) + size_of::<u64>();

    /// The type of the capability that may be used here: `Null` for an empty slot and for one
    /// that is being deleted.
    #[inline(always)]
    pub fn ty(&self) -> CapType {
        if self.deleting.get() {
            CapType::Null
        } else {
            self.ty.get()
        }
    }
    #[inline(always)]
    pub fn base(&self) -> u64 {
        self.base.get()
    }
    #[inline(always)]
    pub fn bytes(&self) -> u64 {
        self.bytes.get()
    }
    /// Type-specific words; see [`Cap::data`].
    #[inline(always)]
    pub fn data(&self) -> [u64; 2] {
        [self.data[0].get(), self.data[1].get()]
    }
    #[inline(always)]
    pub fn rights(&self) -> Rights {
        Rights::from_bits_truncate(self.rights.get())
    }
    /// Holds nothing at all, so that something may be put here.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.ty.get() == CapType::Null
    }
    /// Holds a last copy whose deletion is not finished.
    pub fn is_deleting(&self) -> bool {
        self.deleting.get()
    }

    /// The whole capability, also while it is being deleted.
    pub fn cap(&self) -> Cap {
        Cap {
            ty: self.ty.get(),
            rights: self.rights(),
            base: self.base.get(),
            bytes: self.bytes.get(),
            data: self.data(),
            extra: self.extra.get(),
        }
    }

    /// Errors: `NoRight` when one of `rights` is missing.
    pub fn need(&self, rights: Rights) -> Result<(), abi::Error> {
        if self.rights().contains(rights) {
            Ok(())
        } else {
            Err(abi::Error::NoRight)
        }
    }

    pub(crate) fn end(&self) -> u64 {
        self.cap().end()
    }

    pub(crate) fn set(&self, cap: &Cap) {
        self.base.set(cap.base);
        self.bytes.set(cap.bytes);
        self.data[0].set(cap.data[0]);
        self.data[1].set(cap.data[1]);
        self.rights.set(cap.rights.bits());
        self.extra.set(cap.extra);
        self.deleting.set(false);
        self.ty.set(cap.ty);
    }

    pub(crate) fn start_deleting(&self) {
        self.deleting.set(true);
    }

    /// Only types whose equality ignores the words may be changed while in the database.
    pub(crate) fn set_data(&self, data: [u64; 2]) {
        self.data[0].set(data[0]);
        self.data[1].set(data[1]);
    }
}

/// The address of a slot.
///
/// It is good until the next operation that may delete capabilities: then the CNode it lies in
/// may be gone. So look slots up anew for each system call, never keep one in a kernel object.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct SlotRef(NonNull<Slot>);

impl SlotRef {
    /// # Safety
    /// `slot` points to a slot (or 64 zero bytes) of memory that is a CNode, a kernel object's
    /// own slots, or part of the kernel's image; that memory is written by this crate alone, is
    /// used by one core alone, and stays what it is for as long as the slot is in use.
    #[inline(always)]
    pub const unsafe fn new(slot: NonNull<Slot>) -> SlotRef {
        SlotRef(slot)
    }

    pub(crate) fn key(self) -> Key {
        Key {
            address: self.address(),
            ..self.cap().key()
        }
    }

    pub(crate) fn address(self) -> usize {
        self.0.as_ptr().addr()
    }

    /// As a word, for a list threaded through slots; never 0.
    pub(crate) fn expose(self) -> u64 {
        self.0.as_ptr().expose_provenance() as u64
    }

    /// `None` for 0.
    ///
    /// # Safety
    /// `word` is 0, or what `expose` gave for a slot that is still one.
    pub(crate) unsafe fn from_exposed(word: u64) -> Option<SlotRef> {
        NonNull::new(core::ptr::with_exposed_provenance_mut(word as usize)).map(SlotRef)
    }

    /// # Safety
    /// The slot `n` places on lies in the same CNode.
    #[inline(always)]
    pub(crate) unsafe fn plus(self, n: usize) -> SlotRef {
        // SAFETY: the caller promises that the result is in the same CNode, so in one allocation.
        SlotRef(unsafe { self.0.add(n) })
    }
}

impl Deref for SlotRef {
    type Target = Slot;

    #[inline(always)]
    fn deref(&self) -> &Slot {
        // SAFETY: `new` was promised a live slot that only this crate writes, on one core; every
        // field is a cell, so shared references may coexist.
        unsafe { self.0.as_ref() }
    }
}

impl core::fmt::Debug for SlotRef {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "SlotRef({:p}: {:?})", self.0, self.cap())
    }
}
