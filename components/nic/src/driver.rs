//! Frames through the two queues. Pure: buffers come from a [`Store`], waiting is the caller's.
//!
//! Small received frames are copied together into one page a batch, and their buffers go back to
//! the device at once: copying a hundred bytes costs less than handing over a page of its own
//! for them and collecting it again.

use crate::offload::{Headers, Offers, Request, vouched};
use crate::queue::{Area, Queue};
use alloc::vec::Vec;

/// Bytes of the header before each frame (`virtio_net_hdr` of a modern device).
pub const HEADER: u32 = 12;
/// Frames handed over at once.
pub const RX_BATCH: usize = 64;
/// Received frames up to this many bytes are copied.
const SMALL: u32 = 256;
/// The page that they are copied into, and where in it they begin.
const PAGE: usize = 4096;
const ALIGN: usize = 8;
/// Receive buffers are posted anew when so many are missing.
const REFILL: usize = 32;

/// Where buffers come from and what becomes of them.
pub trait Store {
    /// A buffer that the device may write.
    type Empty;
    /// A frame that the device reads, or has written.
    type Frame;
    /// A receive buffer and where it lies; `None` while there is none. Never waits.
    fn empty(&mut self) -> Option<(Self::Empty, Area)>;
    /// A buffer of a page for copies. Never waits.
    fn page(&mut self) -> Option<Self::Empty>;
    /// Copies `bytes` from `offset` of a buffer that the device has written to `at` in `page`.
    fn copy(&self, from: &Self::Empty, offset: u32, bytes: u32, page: &mut Self::Empty, at: usize);
    /// `bytes` from `offset` of a frame, as a frame.
    fn part(&self, frame: &Self::Frame, offset: usize, bytes: usize) -> Self::Frame;
    /// Where a frame to send lies; `None` when it cannot be known.
    fn locate(&mut self, frame: &Self::Frame) -> Option<Area>;
    /// The first byte of what the device has written.
    fn first(&self, buffer: &Self::Empty) -> u8;
    /// The buffer holds a frame of `bytes` from `offset`.
    fn filled(&mut self, buffer: Self::Empty, offset: u32, bytes: u32) -> Self::Frame;
}

#[derive(Clone, Copy, Default, Debug)]
pub struct Counters {
    pub received: u64,
    pub sent: u64,
    /// Frames to send of an impossible length, with an impossible wish, or in a buffer with no
    /// address.
    pub unfit: u64,
    /// Receive buffers with less than a header in them.
    pub runts: u64,
    /// Frames given up because the device took none for long.
    pub stuck: u64,
}

/// A received frame.
pub struct Received<F> {
    pub frame: F,
    /// The device vouches for its checksum.
    pub vouched: bool,
    /// It was copied out of the buffer that it came in.
    pub copied: bool,
}

/// Where a frame that was just received lies.
enum Arrived<F> {
    Whole(F),
    /// A copy in the batch's page.
    Copy {
        at: usize,
        bytes: usize,
    },
}

pub struct Driver<S: Store> {
    pub store: S,
    rx: Queue<(S::Empty, Area), 1>,
    /// Buffers that go back to the device.
    back: Vec<(S::Empty, Area)>,
    /// Empty but inside of `receive`.
    arrived: Vec<(Arrived<S::Frame>, bool)>,
    tx: Queue<S::Frame, 2>,
    headers: Headers,
    offers: Offers,
    /// Receive buffers that should be with the device.
    wanted: usize,
    pub counters: Counters,
}

impl<S: Store> Driver<S> {
    pub fn new(
        store: S,
        rx: Queue<(S::Empty, Area), 1>,
        tx: Queue<S::Frame, 2>,
        headers: Headers,
        offers: Offers,
        wanted: usize,
    ) -> Driver<S> {
        let wanted = wanted.min(rx.room());
        Driver {
            store,
            rx,
            back: Vec::new(),
            arrived: Vec::new(),
            tx,
            headers,
            offers,
            wanted,
            counters: Counters::default(),
        }
    }

    /// How many receive buffers should be with the device from now on. What is there stays until
    /// something is received into it.
    pub fn set_wanted(&mut self, wanted: usize) {
        self.wanted = wanted.clamp(1, self.rx.out() + self.rx.room());
    }

    fn missing(&self) -> usize {
        self.wanted.saturating_sub(self.rx.out())
    }

    /// Whether [`Driver::refill`] would do anything.
    pub fn is_short(&self) -> bool {
        self.missing() >= REFILL.min(self.wanted.div_ceil(2))
    }

    /// Posts receive buffers; `true` when the device has to be told.
    pub fn refill(&mut self) -> bool {
        if !self.is_short() {
            return false;
        }
        for _ in 0..self.missing() {
            let Some((buffer, area)) = self.back.pop().or_else(|| self.store.empty()) else {
                break;
            };
            if self.rx.push([area], (buffer, area)).is_err() {
                break;
            }
        }
        self.rx.publish()
    }

    /// The device has no buffer to receive into: nothing will arrive before `refill` finds one.
    pub fn dry(&self) -> bool {
        self.rx.out() == 0
    }

    /// Lets go of frames that the device has sent.
    pub fn reap(&mut self) {
        while let Some((frame, _)) = self.tx.pop() {
            drop(frame);
        }
    }

    /// Queues a frame; given back when the ring is full.
    pub fn send(&mut self, frame: S::Frame, request: Request) -> Result<(), S::Frame> {
        let Some(slot) = self.tx.next_slot() else {
            return Err(frame);
        };
        let fit = self.store.locate(&frame).and_then(|area| {
            let header = request.header(area.bytes as usize, self.offers)?;
            Some([self.headers.put(slot, header)?, area])
        });
        let Some(areas) = fit else {
            self.counters.unfit += 1;
            return Ok(());
        };
        self.tx.push(areas, frame)?;
        self.counters.sent += 1;
        Ok(())
    }

    /// Shows the device what was queued; `true` when it has to be told.
    pub fn kick(&mut self) -> bool {
        self.tx.publish()
    }

    /// Takes arrived frames, at most [`RX_BATCH`].
    pub fn receive(&mut self, frames: &mut Vec<Received<S::Frame>>) {
        let mut page = None;
        let mut used = 0;
        while frames.len() + self.arrived.len() < RX_BATCH {
            let Some(((buffer, area), bytes)) = self.rx.pop() else {
                break;
            };
            if bytes <= HEADER {
                self.counters.runts += 1;
                self.back.push((buffer, area));
                continue;
            }
            self.counters.received += 1;
            let bytes = bytes - HEADER;
            let vouched = vouched(self.store.first(&buffer), self.offers);
            let fits = bytes <= SMALL && used + bytes as usize <= PAGE;
            if fits && page.is_none() {
                page = self.store.page();
            }
            let arrived = match &mut page {
                Some(page) if fits => {
                    self.store.copy(&buffer, HEADER, bytes, page, used);
                    self.back.push((buffer, area));
                    let (at, bytes) = (used, bytes as usize);
                    used = (used + bytes).next_multiple_of(ALIGN);
                    Arrived::Copy { at, bytes }
                }
                _ => Arrived::Whole(self.store.filled(buffer, HEADER, bytes)),
            };
            self.arrived.push((arrived, vouched));
        }
        let copies = page.map(|p| self.store.filled(p, 0, used.min(PAGE) as u32));
        for (arrived, vouched) in self.arrived.drain(..) {
            let (frame, copied) = match (arrived, &copies) {
                (Arrived::Whole(frame), _) => (frame, false),
                (Arrived::Copy { at, bytes }, Some(copies)) => {
                    (self.store.part(copies, at, bytes), true)
                }
                // Copies are in a page.
                (Arrived::Copy { .. }, None) => continue,
            };
            frames.push(Received {
                frame,
                vouched,
                copied,
            });
        }
    }

    /// Asks for an interrupt; `true` when something has arrived already.
    pub fn listen(&mut self) -> bool {
        self.rx.enable_interrupts()
    }

    pub fn unlisten(&mut self) {
        self.rx.disable_interrupts();
    }

    /// Nonsense that the device has said.
    pub fn nonsense(&self) -> u64 {
        self.rx.nonsense + self.tx.nonsense
    }
}
