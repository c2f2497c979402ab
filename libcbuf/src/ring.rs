//! The page through which the manager hands collected buffers over: a ring of ids with one
//! producer (the manager) and one consumer (whoever holds the client's drain lock). Neither side
//! waits for the other. Source: CBUFs, sections 3.4 and 3.5.

use crate::meta::CbufId;
use crate::primitive::{AtomicU32, Ordering};

/// Ids the ring holds.
#[cfg(not(loom))]
pub const RING_SLOTS: usize = 512;
/// Few enough for the model checker's stack, and to be full now and then.
#[cfg(loom)]
pub const RING_SLOTS: usize = 4;

#[cfg(not(loom))]
const _: () = assert!(size_of::<Ring>() == abi::layout::PAGE);

/// One page. Both indices run freely and are taken modulo [`RING_SLOTS`].
#[cfg_attr(not(loom), repr(C, align(4096)))]
#[derive(Debug)]
pub struct Ring {
    /// Where the producer writes next. The producer has its own copy and never reads this one.
    tail: AtomicU32,
    _apart: [u32; 15],
    /// Where the consumer reads next.
    head: AtomicU32,
    _rest: [u32; 15],
    slots: [AtomicU32; RING_SLOTS],
}

/// The producer's end. The manager's own memory: what a client writes into the ring cannot move
/// it.
#[derive(Debug, Default)]
pub struct Producer {
    tail: u32,
}

impl Default for Ring {
    fn default() -> Self {
        Self {
            tail: AtomicU32::new(0),
            _apart: [0; 15],
            head: AtomicU32::new(0),
            _rest: [0; 15],
            slots: core::array::from_fn(|_| AtomicU32::new(0)),
        }
    }
}

impl Ring {
    /// Ids that the producer may write now; 0 when the consumer's index makes no sense.
    pub fn space(&self, producer: &Producer) -> usize {
        // Acquire: pairs with the consumer's release; it has read the slots before.
        let used = producer
            .tail
            .wrapping_sub(self.head.load(Ordering::Acquire));
        RING_SLOTS.saturating_sub(used as usize)
    }

    /// Writes as many of `ids` as there is space for; answers how many. The consumer sees them
    /// with the next [`Ring::hand_over`], all at once.
    pub fn put(&self, producer: &mut Producer, ids: &[CbufId]) -> usize {
        let count = ids.len().min(self.space(producer));
        for id in &ids[..count] {
            self.put_one(producer, *id);
        }
        count
    }

    /// Writes an id where the producer knows that there is space: less than [`Ring::space`] were
    /// written since it asked.
    #[inline]
    pub fn put_one(&self, producer: &mut Producer, id: CbufId) {
        // Relaxed: published by the store in `hand_over`.
        self.slots[producer.tail as usize % RING_SLOTS].store(id.0, Ordering::Relaxed);
        producer.tail = producer.tail.wrapping_add(1);
    }

    /// Hands what was put here, and all of `ids` or as many as there is space for, over with one
    /// store; answers how many of `ids`.
    pub fn hand_over(&self, producer: &mut Producer, ids: &[CbufId]) -> usize {
        let count = self.put(producer, ids);
        // Release: pairs with the acquire in `drain`; the ids and their records come first.
        self.tail.store(producer.tail, Ordering::Release);
        count
    }

    /// Empties the ring and begins anew, when there is no consumer.
    pub fn reset(&self, producer: &mut Producer) {
        *producer = Producer::default();
        // Release: as in `hand_over` and `drain`.
        self.tail.store(0, Ordering::Release);
        self.head.store(0, Ordering::Release);
    }

    /// Takes at most `most` ids out, the oldest first. Only one thread at a time may be in here.
    /// Answers how many.
    #[inline]
    pub fn take(&self, most: usize, mut each: impl FnMut(CbufId)) -> usize {
        // Relaxed: the consumer's own index; the drain lock orders consumers.
        let mut head = self.head.load(Ordering::Relaxed);
        // Acquire: pairs with the release in `hand_over`.
        let tail = self.tail.load(Ordering::Acquire);
        let count = (tail.wrapping_sub(head) as usize).min(RING_SLOTS).min(most);
        let end = head.wrapping_add(count as u32);
        while head != end {
            let slot = &self.slots[head as usize % RING_SLOTS];
            // Relaxed: ordered by the acquire above.
            each(CbufId(slot.load(Ordering::Relaxed)));
            head = head.wrapping_add(1);
        }
        // Release: pairs with the acquire in `space`; the slots were read before.
        self.head.store(end, Ordering::Release);
        count
    }
}
