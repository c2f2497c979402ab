//! The 64-byte slot: one capability and its node of the mapping database.

use crate::captype::{self, Equality, Tree, TypeInfo};
use crate::mdb::link::{Link, Side};
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
    /// Type-specific, below [`EXTRA_LIMIT`]. Frame, DevFrame: how deep it is nested in others.
    /// Mapping: entries.
    pub extra: u16,
}

/// What [`Cap::extra`] is less than.
pub const EXTRA_LIMIT: u16 = 1 << EXTRA_BITS;
/// Bits of a slot's size word that are not the size, which has enough for [`captype::MAX_END`].
const EXTRA_BITS: u32 = 11;
const _: () = assert!(captype::MAX_END <= u64::MAX >> EXTRA_BITS);

impl Cap {
    pub const NULL: Cap = Cap {
        ty: CapType::Null,
        rights: Rights::empty(),
        base: 0,
        bytes: 0,
        data: [0; 2],
        extra: 0,
    };

    /// Where it stands in the database, beside every copy of it.
    pub fn key(&self) -> Key {
        let info = captype::info(self.ty);
        Key {
            tree: info.tree,
            base: self.base,
            rank: info.rank,
            smaller: !self.bytes,
            eq: match info.equality {
                Equality::Region => [0, 0],
                Equality::RegionAndData => self.data,
            },
        }
    }

    /// One past its last place.
    pub fn end(&self) -> u64 {
        self.base.saturating_add(self.bytes)
    }
}

/// The ordering of the database: `(tree, base, type, -size, equality..)`. What has the same key
/// names the same object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Key {
    pub(crate) tree: Tree,
    pub(crate) base: u64,
    pub(crate) rank: u8,
    pub(crate) smaller: u64,
    pub(crate) eq: [u64; 2],
}

impl Key {
    /// Before everything at `base`.
    pub const fn at(tree: Tree, base: u64) -> Key {
        Key {
            tree,
            base,
            rank: 0,
            smaller: 0,
            eq: [0; 2],
        }
    }

    /// After everything of the same type over the same region.
    pub(crate) const fn after_region(self) -> Key {
        Key {
            eq: [u64::MAX; 2],
            ..self
        }
    }
}

/// A slot in a CNode. All zero bytes are an empty slot.
#[repr(C, align(64))]
pub struct Slot {
    base: Cell<u64>,
    /// The size, and `extra` below it.
    size: Cell<u64>,
    data: [Cell<u64>; 2],
    /// Children in the database's tree, or the neighbours in its order; see [`crate::mdb`].
    links: [Cell<Link>; 2],
    parent: Cell<Option<SlotRef>>,
    tail: Cell<Tail>,
}

const _: () = assert!(size_of::<Slot>() == SLOT_BYTES);

/// A slot's last word. Its lowest byte is the type that may be used, the next the type that is
/// there: they differ while the last copy's object is being taken apart. Then the rights; above
/// them, in 40 bits, the largest [`Slot::last`] in the subtree, where one comparison of whole
/// words tells whether it is at least another.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Tail(u64);

const USABLE_MASK: u64 = 0xff;
const WHOLE_SHIFT: u32 = 8;
const RIGHTS_SHIFT: u32 = 16;
const REACH_SHIFT: u32 = 24;

impl Tail {
    const EMPTY: Tail = Tail(0);

    #[inline(always)]
    fn new(ty: CapType, rights: Rights, reach: u64) -> Tail {
        let ty = ty as u64;
        Tail(
            ty | ty << WHOLE_SHIFT
                | u64::from(rights.bits()) << RIGHTS_SHIFT
                | reach << REACH_SHIFT,
        )
    }

    #[inline(always)]
    fn usable(self) -> CapType {
        Self::captype(self.0 as u8)
    }

    #[inline(always)]
    fn whole(self) -> CapType {
        Self::captype((self.0 >> WHOLE_SHIFT) as u8)
    }

    #[inline(always)]
    fn captype(byte: u8) -> CapType {
        // SAFETY: `new` put a type in both bytes; `EMPTY`, and marking what is being deleted, put
        // a zero, which is one.
        unsafe { core::mem::transmute::<u8, CapType>(byte) }
    }
}

/// A value of [`Slot::reach`], placed as in the word that holds it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reach(u64);

impl Reach {
    #[inline(always)]
    pub(crate) fn new(last: u64) -> Reach {
        Reach(last << REACH_SHIFT)
    }
}

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
        size: Cell::new(0),
        data: [const { Cell::new(0) }; 2],
        links: [const { Cell::new(Link::NONE) }; 2],
        parent: Cell::new(None),
        tail: Cell::new(Tail::EMPTY),
    };

    /// Where the kernel's invocation path, which is not Rust, finds the byte of the type that may
    /// be used, the base and an Entry's badge.
    pub const TYPE_OFFSET: usize = core::mem::offset_of!(Slot, tail);
    pub const BASE_OFFSET: usize = core::mem::offset_of!(Slot, base);
    pub const BADGE_OFFSET: usize = core::mem::offset_of!(Slot, data) + size_of::<u64>();

    /// The type of the capability that may be used here: `Null` for an empty slot and for one
    /// that is being deleted.
    #[inline(always)]
    pub fn ty(&self) -> CapType {
        self.tail.get().usable()
    }
    #[inline(always)]
    pub fn base(&self) -> u64 {
        self.base.get()
    }
    #[inline(always)]
    pub fn bytes(&self) -> u64 {
        self.size.get() >> EXTRA_BITS
    }
    /// See [`Cap::extra`].
    #[inline(always)]
    pub fn extra(&self) -> u16 {
        self.size.get() as u16 & (EXTRA_LIMIT - 1)
    }
    /// Type-specific words; see [`Cap::data`].
    #[inline(always)]
    pub fn data(&self) -> [u64; 2] {
        [self.data[0].get(), self.data[1].get()]
    }
    #[inline(always)]
    pub fn rights(&self) -> Rights {
        Rights::from_bits_truncate((self.tail.get().0 >> RIGHTS_SHIFT) as u8)
    }
    /// Holds nothing at all, so that something may be put here.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.whole() == CapType::Null
    }
    /// Holds a last copy whose deletion is not finished.
    pub fn is_deleting(&self) -> bool {
        self.ty() != self.whole()
    }
    /// The type of what is here, also while it is being deleted.
    #[inline(always)]
    pub(crate) fn whole(&self) -> CapType {
        self.tail.get().whole()
    }

    /// The whole capability, also while it is being deleted.
    pub fn cap(&self) -> Cap {
        Cap {
            ty: self.whole(),
            rights: self.rights(),
            base: self.base.get(),
            bytes: self.bytes(),
            data: self.data(),
            extra: self.extra(),
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

    /// One past its last place: at most [`captype::MAX_END`].
    #[inline(always)]
    pub(crate) fn end(&self) -> u64 {
        self.base().wrapping_add(self.bytes())
    }

    /// The number of its last granule, of which [`Tree::granule_bits`] says the size: 40 bits.
    #[inline(always)]
    pub(crate) fn last(&self, granule_bits: u32) -> u64 {
        self.end().wrapping_sub(1) >> granule_bits
    }

    /// How far it reaches without its children.
    #[inline(always)]
    pub(crate) fn own_reach(&self) -> Reach {
        Reach::new(self.last(self.info().tree.granule_bits()))
    }

    /// The line of the table for the capability that is here, also while it is being deleted.
    #[inline]
    pub(crate) fn info(&self) -> &'static TypeInfo {
        captype::info(self.whole())
    }

    /// Does `other` hold a capability to the same object?
    #[inline(always)]
    pub(crate) fn is_copy_of(&self, other: &Slot) -> bool {
        self.base() == other.base()
            && self.bytes() == other.bytes()
            && self.whole() == other.whole()
            && (self.info().equality == Equality::Region || self.data() == other.data())
    }

    #[inline]
    pub(crate) fn link(&self, side: Side) -> Link {
        self.links[side as usize].get()
    }
    #[inline]
    pub(crate) fn set_link(&self, side: Side, link: Link) {
        self.links[side as usize].set(link);
    }
    #[inline]
    pub(crate) fn parent(&self) -> Option<SlotRef> {
        self.parent.get()
    }
    #[inline]
    pub(crate) fn set_parent(&self, parent: Option<SlotRef>) {
        self.parent.set(parent);
    }
    /// The largest [`Slot::last`] in the subtree.
    #[inline(always)]
    pub(crate) fn reach(&self) -> Reach {
        Reach(self.tail.get().0 >> REACH_SHIFT << REACH_SHIFT)
    }
    /// Is the reach at least `other`?
    #[inline(always)]
    pub(crate) fn reaches(&self, other: Reach) -> bool {
        self.tail.get().0 >= other.0
    }
    #[inline(always)]
    pub(crate) fn set_reach(&self, reach: Reach) {
        let below = self.tail.get().0 & ((1 << REACH_SHIFT) - 1);
        self.tail.set(Tail(below | reach.0));
    }

    /// Puts a capability here, with the reach that it has by itself, in granules of its tree.
    #[inline(always)]
    pub(crate) fn set(&self, cap: &Cap, granule_bits: u32) {
        debug_assert!(granule_bits == captype::info(cap.ty).tree.granule_bits());
        debug_assert!(cap.bytes <= captype::MAX_END && cap.extra < EXTRA_LIMIT);
        self.base.set(cap.base);
        self.size
            .set(cap.bytes << EXTRA_BITS | u64::from(cap.extra));
        self.data[0].set(cap.data[0]);
        self.data[1].set(cap.data[1]);
        let last = cap.base.wrapping_add(cap.bytes).wrapping_sub(1) >> granule_bits;
        self.tail.set(Tail::new(cap.ty, cap.rights, last));
    }

    /// All zero again. The links as well: when the memory around an empty slot becomes a frame, it
    /// tells nobody where other slots lie.
    pub(crate) fn clear(&self) {
        self.base.set(0);
        self.size.set(0);
        self.set_data([0; 2]);
        self.set_link(Side::Left, Link::NONE);
        self.set_link(Side::Right, Link::NONE);
        self.set_parent(None);
        self.tail.set(Tail::EMPTY);
    }

    pub(crate) fn start_deleting(&self) {
        self.tail.set(Tail(self.tail.get().0 & !USABLE_MASK));
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
        self.cap().key()
    }

    pub(crate) fn as_ptr(self) -> *mut Slot {
        self.0.as_ptr()
    }

    /// What `as_ptr` gave; `None` for null.
    ///
    /// # Safety
    /// The pointer is null, or what `as_ptr` gave for a slot that is still one.
    #[inline(always)]
    pub(crate) unsafe fn from_ptr(slot: *mut Slot) -> Option<SlotRef> {
        NonNull::new(slot).map(SlotRef)
    }

    #[cfg(test)]
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
