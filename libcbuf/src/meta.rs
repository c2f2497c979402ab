//! The 32-byte record that a component and the manager share for each buffer that the component
//! has: one word with address, size class, flags and reference count (so that they change
//! together), the sent and received counters, who may pass the buffer to this component, and to
//! whom this component passed it. Source: CBUFs, sections 3.2 to 3.4 and figure 4.

use crate::primitive::{AtomicU32, AtomicU64, Ordering};
use abi::ComponentId;
use abi::layout::PAGE;

/// A buffer's global name. 0 is no buffer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(transparent)]
pub struct CbufId(pub u32);

impl CbufId {
    /// No buffer.
    pub const NONE: Self = Self(0);
}

/// Where a buffer's record lies: bytes from the record of id 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordOffset(pub u32);

impl RecordOffset {
    const BITS: u32 = 5;

    /// Ids are below [`abi::layout::MAX_CBUFS`], so this is less than 2^24.
    #[inline]
    pub const fn of(id: CbufId) -> Self {
        Self(id.0 << Self::BITS)
    }
    #[inline]
    pub const fn id(self) -> CbufId {
        CbufId(self.0 >> Self::BITS)
    }
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Record>() == 1 << RecordOffset::BITS);

/// Size classes: a buffer has 2^order pages, order below this (the largest is 64 MiB).
pub const ORDERS: usize = 15;

/// The smallest order whose buffers hold `bytes`; `None` when none does.
#[inline]
pub const fn order_for(bytes: usize) -> Option<u32> {
    order_with(last_byte(bytes))
}

/// The number of the last of `bytes`, in the first page's second half or above.
#[inline]
pub(crate) const fn last_byte(bytes: usize) -> usize {
    bytes.saturating_sub(1) | (PAGE / 2)
}

/// The smallest order whose buffers have a byte of this number, from [`last_byte`]: its highest
/// bit tells, without a branch for the smallest.
#[inline]
pub(crate) const fn order_with(last: usize) -> Option<u32> {
    let order = last.ilog2() - (PAGE / 2).ilog2();
    if order < ORDERS as u32 {
        Some(order)
    } else {
        None
    }
}

/// A record's first word, taken apart: virtual page number (36 bits) | order (5) | flags (5) |
/// reference count (18).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub struct State(pub u64);

impl State {
    /// No buffer here. The manager writes it into every record of a new leaf.
    pub const EMPTY: Self = Self(Self::INCONSISTENT);
    /// The reference count: bits 0 to 17.
    pub const REFERENCES: u64 = (1 << 18) - 1;
    /// The buffer is gone. With [`State::FREE`]: taken away while it lies in a freelist or on a
    /// shelf; whoever takes it from there forgets it.
    pub const INCONSISTENT: u64 = 1 << 18;
    /// The manager wants to hear when the last reference goes.
    pub const RELINQUISH: u64 = 1 << 19;
    /// Handed over by the manager (in the ring or a freelist) and not allocated since. Only the
    /// manager and a free of a never shared buffer set it; only an allocation clears it.
    pub const FREE: u64 = 1 << 20;
    /// Allocated and neither frozen nor sent: nobody else can hold it, and no id from outside
    /// may turn it into a second reference.
    pub const EXCLUSIVE: u64 = 1 << 21;
    /// In a receiver's record: nobody can write the buffer. Set by the manager, and cleared only
    /// while there are no references, so whoever has one and sees it may rely on it.
    pub const SEALED: u64 = 1 << 22;
    /// All flags.
    pub const FLAGS: u64 = 31 << 18;
    /// The order, a buffer having 2^order pages: bits 23 to 27.
    pub const ORDER_SHIFT: u32 = 23;
    /// Its mask.
    pub const ORDER: u64 = 31 << Self::ORDER_SHIFT;
    /// The number of the buffer's first page in its component: bits 28 and up; 0 is no buffer.
    pub const PAGE_SHIFT: u32 = 28;

    #[inline]
    pub const fn new(page_number: u64, order: u32, flags: u64) -> Self {
        Self(
            page_number << Self::PAGE_SHIFT
                | ((order as u64) & 31) << Self::ORDER_SHIFT
                | flags & Self::FLAGS,
        )
    }
    #[inline]
    pub const fn references(self) -> u64 {
        self.0 & Self::REFERENCES
    }
    #[inline]
    pub const fn has(self, flag: u64) -> bool {
        self.0 & flag != 0
    }
    #[inline]
    pub const fn order(self) -> u32 {
        (self.0 >> Self::ORDER_SHIFT) as u32 & 31
    }
    /// 0 when the buffer is not mapped.
    #[inline]
    pub const fn page_number(self) -> u64 {
        self.0 >> Self::PAGE_SHIFT
    }
    #[inline]
    pub const fn address(self) -> usize {
        // One shift: the page number lies so far up, and what is below it is masked out.
        (self.0 >> (Self::PAGE_SHIFT - PAGE.trailing_zeros())) as usize & !(PAGE - 1)
    }
    #[inline]
    pub const fn bytes(self) -> usize {
        // In 32 bits, where the machine's shift takes five bits of the order by itself.
        ((PAGE as u32) << self.order()) as usize
    }
}

/// One buffer's metadata in one component.
#[repr(C, align(32))]
#[derive(Debug)]
pub struct Record {
    /// A [`State`].
    pub state: AtomicU64,
    /// How often this component sent the buffer.
    pub sent: AtomicU32,
    /// How often this component received it.
    pub received: AtomicU32,
    /// Components whose sends of the buffer this one receives, as the manager admitted them: a
    /// bit set by component id. Kept while they have the buffer mapped, whatever its contents.
    pub senders: AtomicU64,
    /// Components that this one has sent the buffer to since it was last allocated, as a bit
    /// set; with [`Record::LINK`], the freelist's link in the upper half instead. The two are
    /// told apart by the word itself, for it changes from one to the other at any time.
    pub receivers: AtomicU64,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            state: AtomicU64::new(State::EMPTY.0),
            sent: AtomicU32::new(0),
            received: AtomicU32::new(0),
            senders: AtomicU64::new(0),
            receivers: AtomicU64::new(0),
        }
    }
}

impl Record {
    /// Link of the last record in a freelist.
    pub const END: u32 = u32::MAX;

    /// Says that `receivers` is a link. It is the bit of `init`, which has no buffers.
    pub const LINK: u64 = Self::bit(ComponentId::INIT);

    /// `component` in a set of components.
    #[inline]
    pub const fn bit(component: ComponentId) -> u64 {
        1 << (component.0 & 63)
    }

    // Every change of a state or counter below is sequentially consistent, and so are the
    // collector's reads of them (`cbuf_mgr::liveness`): its argument needs one order of all
    // sends, receipts and frees of a buffer in all components. On x86 the read-modify-writes
    // cost the same under any ordering and the loads are plain.

    #[inline]
    pub fn load(&self) -> State {
        State(self.state.load(Ordering::SeqCst))
    }

    /// Replaces the state if it is still `old`; otherwise answers what it is.
    #[inline]
    pub fn exchange(&self, old: State, new: State) -> Result<(), State> {
        match self
            .state
            .compare_exchange(old.0, new.0, Ordering::SeqCst, Ordering::SeqCst)
        {
            Ok(_) => Ok(()),
            Err(now) => Err(State(now)),
        }
    }

    /// Takes one reference more if the state is still `old`: answers it. The count and the address
    /// change in one word: an address that is read beside it cannot be withdrawn without the
    /// exchange failing.
    #[inline]
    pub fn take_reference(&self, old: State) -> Result<State, State> {
        let order = Ordering::SeqCst;
        match self.state.compare_exchange(old.0, old.0 + 1, order, order) {
            // What the machine answers stands in a register; the argument had to be kept in one.
            Ok(was) => Ok(State(was)),
            Err(now) => Err(State(now)),
        }
    }

    /// Whether this component sent the buffer to `to` since it was last allocated. Only for
    /// whoever holds a reference, so that the word is a set.
    #[inline]
    pub fn was_sent_to(&self, to: ComponentId) -> bool {
        // Relaxed: only this component sets the bit, and the manager clears it only while nobody
        // here holds a reference.
        self.receivers.load(Ordering::Relaxed) >> (to.0 & 63) & 1 != 0
    }

    /// Counts one send. The sender still holds its reference: a collector that does not see the
    /// send sees the reference.
    #[inline]
    pub fn count_send(&self, to: ComponentId) {
        if !self.was_sent_to(to) {
            self.add_receiver(to);
        }
        self.count_send_again();
    }

    /// Before the receiver can ask the manager for the buffer (it learns the id later, through an
    /// invocation), so that the manager finds the bit.
    #[inline]
    pub fn add_receiver(&self, to: ComponentId) {
        let bit = Self::bit(to) & !Self::LINK;
        self.receivers.fetch_or(bit, Ordering::SeqCst);
    }

    /// Counts a send to one of the set of receivers.
    #[inline]
    pub fn count_send_again(&self) {
        self.sent.fetch_add(1, Ordering::SeqCst);
    }

    /// Whether the manager admitted `from` as a sender of the buffer that is here.
    #[inline]
    pub fn admits(&self, from: ComponentId) -> bool {
        // SeqCst: where it follows the exchange that raised the reference, it sees what the
        // manager wrote before the state that was exchanged, or later.
        self.senders.load(Ordering::SeqCst) >> (from.0 & 63) & 1 != 0
    }

    /// The link of a record that is in a freelist, or about to be.
    #[inline]
    pub fn set_link(&self, next: u32) {
        // Relaxed: published by the exchange of the list's head.
        let link = (next as u64) << 32 | Self::LINK;
        self.receivers.store(link, Ordering::Relaxed);
    }
    #[inline]
    pub fn link(&self) -> u32 {
        // Relaxed: a link that is stale is thrown away, for then the head has changed.
        (self.receivers.load(Ordering::Relaxed) >> 32) as u32
    }

    /// Whether the record is in a freelist, or about to be.
    #[inline]
    pub fn is_linked(&self) -> bool {
        self.receivers.load(Ordering::SeqCst) & Self::LINK != 0
    }

    /// Makes a record that was taken out of a freelist one that was sent to nobody.
    #[inline]
    pub fn clear_link(&self) {
        // Release: a manager that does not see the link sees where the buffer is listed instead.
        self.receivers.store(0, Ordering::Release);
    }

    /// Whom this component has sent the buffer to.
    pub fn sent_to(&self) -> u64 {
        match self.receivers.load(Ordering::SeqCst) {
            link if link & Self::LINK != 0 => 0,
            set => set,
        }
    }

    /// Counts one receipt. Only after the reference is raised: a collector that sees the receipt
    /// sees the reference (or that it was dropped again).
    #[inline]
    pub fn count_receipt(&self) {
        self.received.fetch_add(1, Ordering::SeqCst);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn orders_hold_what_is_asked() {
        assert_eq!(order_for(0), Some(0));
        assert_eq!(order_for(PAGE), Some(0));
        assert_eq!(order_for(PAGE + 1), Some(1));
        assert_eq!(order_for(PAGE << (ORDERS - 1)), Some(ORDERS as u32 - 1));
        assert_eq!(order_for((PAGE << (ORDERS - 1)) + 1), None);
        assert_eq!(order_for(usize::MAX), None);
    }

    proptest! {
        #[test]
        fn an_order_is_the_smallest_that_fits(bytes in 1usize..=PAGE << (ORDERS - 1)) {
            let order = order_for(bytes).unwrap();
            prop_assert!(PAGE << order >= bytes);
            prop_assert!(order == 0 || PAGE << (order - 1) < bytes);
        }

        #[test]
        fn a_state_keeps_its_fields_apart(
            page in 0u64..1 << 36,
            order in 0u32..32,
            flags in 0u64..32,
            references in 0u64..=State::REFERENCES,
        ) {
            let state = State(State::new(page, order, flags << 18).0 + references);
            prop_assert_eq!(state.page_number(), page);
            prop_assert_eq!(state.order(), order);
            prop_assert_eq!(state.references(), references);
            prop_assert_eq!(state.has(State::FREE), flags & 4 != 0);
            prop_assert!(order > 19 || state.bytes() == PAGE << order);
        }
    }
}
