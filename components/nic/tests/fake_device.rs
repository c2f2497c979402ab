//! The driver against a device of our own that reads and writes the queues' memory: a good one,
//! and one that says nonsense.

use nic::driver::{Driver, HEADER, RX_BATCH, Received, Store};
use nic::offload::{Headers, Offers, Request};
use nic::queue::{Area, BYTES, Parts, Queue, SIZE};
use proptest::prelude::*;
use std::cell::Cell;
use std::ptr::NonNull;
use std::rc::Rc;

/// "Physical" addresses are the test's own pointers.
fn memory() -> NonNull<u8> {
    let layout = std::alloc::Layout::from_size_align(BYTES, 4096).unwrap();
    // SAFETY: the layout's size is not zero; the queue keeps the memory for good.
    NonNull::new(unsafe { std::alloc::alloc_zeroed(layout) }).unwrap()
}

/// A page, or a slice of one; counts how many exist.
struct Page {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
    alive: Rc<Cell<isize>>,
}

impl Page {
    fn new(bytes: Vec<u8>, alive: &Rc<Cell<isize>>) -> Page {
        alive.set(alive.get() + 1);
        Page {
            start: 0,
            end: bytes.len(),
            bytes: bytes.into(),
            alive: alive.clone(),
        }
    }
    fn data(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }
    fn area(&self) -> Area {
        Area {
            address: self.bytes.as_ptr() as u64 + self.start as u64,
            bytes: (self.end - self.start) as u32,
        }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.alive.set(self.alive.get() - 1);
    }
}

const PLAIN: Request = Request {
    start: 0,
    field: 0,
    headers: 0,
    segment: 0,
};

struct Pages {
    left: usize,
    alive: Rc<Cell<isize>>,
}

impl Store for Pages {
    type Empty = Page;
    type Frame = Page;
    fn empty(&mut self) -> Option<(Page, Area)> {
        self.left = self.left.checked_sub(1)?;
        let page = Page::new(vec![0; 4096], &self.alive);
        let area = page.area();
        Some((page, area))
    }
    fn page(&mut self) -> Option<Page> {
        self.left = self.left.checked_sub(1)?;
        Some(Page::new(vec![0; 4096], &self.alive))
    }
    fn copy(&self, from: &Page, offset: u32, bytes: u32, page: &mut Page, at: usize) {
        let from = &from.bytes[offset as usize..(offset + bytes) as usize];
        page.bytes[at..at + from.len()].copy_from_slice(from);
    }
    fn part(&self, frame: &Page, offset: usize, bytes: usize) -> Page {
        let from = frame.start + offset;
        assert!(from + bytes <= frame.end);
        Page::new(frame.bytes[from..from + bytes].to_vec(), &self.alive)
    }
    fn locate(&mut self, frame: &Page) -> Option<Area> {
        Some(frame.area())
    }
    fn first(&self, page: &Page) -> u8 {
        page.bytes[0]
    }
    fn filled(&mut self, mut page: Page, offset: u32, bytes: u32) -> Page {
        page.start = offset as usize;
        page.end = (offset + bytes) as usize;
        page
    }
}

/// The device's side of one queue.
struct Side {
    parts: Parts,
    seen: u16,
    done: u16,
    size: u16,
}

impl Side {
    fn read<T: Copy>(&self, address: u64) -> T {
        // SAFETY: the tests only pass addresses inside live test memory.
        unsafe { (address as *const T).read_volatile() }
    }
    fn write<T>(&self, address: u64, value: T) {
        // SAFETY: as for `read`.
        unsafe { (address as *mut T).write_volatile(value) }
    }
    fn next(&mut self) -> Option<u16> {
        let index: u16 = self.read(self.parts.available + 2);
        if index == self.seen {
            return None;
        }
        let at = u64::from(self.seen % self.size);
        self.seen = self.seen.wrapping_add(1);
        Some(self.read(self.parts.available + 4 + 2 * at))
    }
    fn descriptor(&self, n: u16) -> (u64, u32, u16, u16) {
        let d = self.parts.descriptors + 16 * u64::from(n);
        (
            self.read(d),
            self.read(d + 8),
            self.read(d + 12),
            self.read(d + 14),
        )
    }
    fn finish(&mut self, id: u32, bytes: u32) {
        let at = u64::from(self.done % self.size);
        self.write(self.parts.used + 4 + 8 * at, id);
        self.write(self.parts.used + 8 + 8 * at, bytes);
        self.done = self.done.wrapping_add(1);
        self.write(self.parts.used + 2, self.done);
    }
    /// Receives: writes header and frame into the next buffer.
    fn deliver(&mut self, frame: &[u8]) -> bool {
        self.deliver_flagged(frame, 0)
    }
    fn deliver_flagged(&mut self, frame: &[u8], said: u8) -> bool {
        let Some(head) = self.next() else {
            return false;
        };
        let (address, room, flags, _) = self.descriptor(head);
        assert_eq!(flags, 2);
        assert!(room as usize >= frame.len() + 12);
        self.write(address, said);
        for (i, byte) in frame.iter().enumerate() {
            self.write(address + 12 + i as u64, *byte);
        }
        self.finish(u32::from(head), frame.len() as u32 + 12);
        true
    }
    /// Sends: the next frame.
    fn transmit(&mut self) -> Option<Vec<u8>> {
        self.transmit_headed().map(|(_, frame)| frame)
    }
    fn transmit_headed(&mut self) -> Option<([u8; 12], Vec<u8>)> {
        let head = self.next()?;
        let (place, header, flags, next) = self.descriptor(head);
        assert_eq!((header, flags), (HEADER, 1));
        let (address, bytes, flags, _) = self.descriptor(next);
        assert_eq!(flags, 0);
        let frame = (0..u64::from(bytes))
            .map(|i| self.read(address + i))
            .collect();
        let header = self.read(place);
        self.finish(u32::from(head), 0);
        Some((header, frame))
    }
}

const ALL: Offers = Offers {
    checksum: true,
    segmentation: true,
    verifies: true,
};

fn world(pages: usize) -> (Driver<Pages>, Side, Side, Rc<Cell<isize>>) {
    let (a, b, c) = (memory(), memory(), memory());
    let alive = Rc::new(Cell::new(0));
    // SAFETY: memory of the right size, left to the queues; the device side goes through raw
    // pointers only.
    let (rx, tx, headers) = unsafe {
        (
            Queue::new(a, SIZE as u16, true),
            Queue::new(b, SIZE as u16, false),
            Headers::new(c, c.as_ptr() as u64),
        )
    };
    let side = |m: NonNull<u8>| Side {
        parts: Parts::at(m.as_ptr() as u64),
        seen: 0,
        done: 0,
        size: SIZE as u16,
    };
    let store = Pages {
        left: pages,
        alive: alive.clone(),
    };
    (
        Driver::new(store, rx, tx, headers, ALL, 192),
        side(a),
        side(b),
        alive,
    )
}

#[test]
fn frames_arrive_in_order_and_buffers_come_back() {
    let (mut driver, mut rx, _tx, alive) = world(usize::MAX);
    assert!(driver.refill());
    assert_eq!(alive.get(), 192);
    let mut frames = vec![];
    for round in 0..1000u32 {
        for i in 0..7 {
            assert!(rx.deliver(&[&round.to_le_bytes()[..], &[i; 60]].concat()));
        }
        driver.receive(&mut frames);
        assert_eq!(frames.len(), 7);
        for (i, Received { frame, vouched, .. }) in frames.drain(..).enumerate() {
            assert!(!vouched);
            assert_eq!(frame.end - frame.start, 64);
            assert_eq!(frame.data()[..4], round.to_le_bytes());
            assert_eq!(frame.data()[4], i as u8);
        }
        driver.refill();
    }
    assert!(alive.get() <= 192);
    assert_eq!(driver.nonsense(), 0);
}

#[test]
fn a_batch_is_bounded_and_the_rest_stays() {
    let (mut driver, mut rx, _tx, _) = world(usize::MAX);
    driver.refill();
    for _ in 0..100 {
        rx.deliver(&[1; 60]);
    }
    let mut frames = vec![];
    driver.receive(&mut frames);
    assert_eq!(frames.len(), RX_BATCH);
    assert!(driver.listen(), "more has arrived");
    frames.clear();
    driver.receive(&mut frames);
    assert_eq!(frames.len(), 100 - RX_BATCH);
    assert!(!driver.listen());
}

#[test]
fn small_frames_share_a_page_in_order_and_their_buffers_stay() {
    let (mut driver, mut rx, _tx, alive) = world(usize::MAX);
    driver.refill();
    let lengths: Vec<usize> = (0..60).map(|n| [60, 1500, 256, 257][n % 4]).collect();
    for (n, bytes) in lengths.iter().enumerate() {
        assert!(rx.deliver(&vec![n as u8; *bytes]));
    }
    let mut frames = vec![];
    driver.receive(&mut frames);
    assert_eq!(frames.len(), 60);
    for (n, Received { frame, copied, .. }) in frames.iter().enumerate() {
        assert!(
            !copied || lengths[n] <= 256,
            "large frames stay where they are"
        );
        assert_eq!(frame.data(), vec![n as u8; lengths[n]]);
    }
    assert!(frames.iter().filter(|f| f.copied).count() >= 10);
    frames.clear();
    let kept = alive.get();
    assert!((150..=162).contains(&kept), "{kept}");
    driver.refill();
    assert_eq!(alive.get(), 192);
    for n in 0..192u8 {
        assert!(rx.deliver(&[n; 60]), "{n}");
    }
}

#[test]
fn a_full_ring_gives_the_frame_back_and_empties() {
    let (mut driver, _rx, mut tx, alive) = world(0);
    for i in 0..128u8 {
        assert!(driver.send(Page::new(vec![i; 60], &alive), PLAIN).is_ok());
    }
    let back = driver
        .send(Page::new(vec![200; 60], &alive), PLAIN)
        .expect_err("no slot is left");
    assert!(driver.kick());
    assert!(!driver.kick(), "nothing new to show");
    for i in 0..128u8 {
        assert_eq!(tx.transmit(), Some(vec![i; 60]));
    }
    driver.reap();
    assert_eq!(alive.get(), 1);
    assert!(driver.send(back, PLAIN).is_ok());
    driver.kick();
    assert_eq!(tx.transmit(), Some(vec![200; 60]));
    driver.reap();
    assert_eq!(alive.get(), 0);
}

#[test]
fn unfit_frames_are_counted_and_dropped() {
    let (mut driver, _rx, mut tx, alive) = world(0);
    for bytes in [0, 13, 1515, 4000] {
        assert!(
            driver
                .send(Page::new(vec![0; bytes], &alive), PLAIN)
                .is_ok()
        );
    }
    assert_eq!(driver.counters.unfit, 4);
    assert!(!driver.kick());
    assert_eq!(tx.transmit(), None);
    assert_eq!(alive.get(), 0);
}

#[test]
fn each_frame_has_a_header_of_its_own() {
    let (mut driver, mut rx, mut tx, alive) = world(8);
    let sum = Request {
        start: 34,
        field: 16,
        ..PLAIN
    };
    let cut = Request {
        headers: 54,
        segment: 1460,
        ..sum
    };
    for (bytes, request) in [(60, PLAIN), (9000, cut), (60, sum), (60, cut), (9000, sum)] {
        let frame = Page::new(vec![7; bytes], &alive);
        assert!(driver.send(frame, request).is_ok());
    }
    assert!(driver.kick());
    let mut next = || tx.transmit_headed().map(|(header, f)| (header, f.len()));
    assert_eq!(next(), Some(([0; 12], 60)));
    let segments = [1, 1, 54, 0, 0xb4, 5, 34, 0, 16, 0, 0, 0];
    assert_eq!(next(), Some((segments, 9000)));
    assert_eq!(next(), Some(([1, 0, 0, 0, 0, 0, 34, 0, 16, 0, 0, 0], 60)));
    assert_eq!(next(), Some((segments, 60)));
    assert_eq!(next(), None, "too large a frame, and not to be cut");
    assert_eq!(driver.counters.unfit, 1);

    driver.refill();
    for flags in 0..4 {
        assert!(rx.deliver_flagged(&[1; 60], flags));
    }
    let mut frames = vec![];
    driver.receive(&mut frames);
    let vouched: Vec<bool> = frames.iter().map(|f| f.vouched).collect();
    assert_eq!(vouched, [false, true, true, true]);
}

#[test]
fn no_buffers_is_a_state_and_not_an_end() {
    let (mut driver, mut rx, _tx, _) = world(0);
    driver.refill();
    assert!(driver.dry());
    driver.store.left = 1;
    assert!(driver.refill());
    assert!(!driver.dry());
    assert!(rx.deliver(&[1; 60]));
    let mut frames = vec![];
    driver.receive(&mut frames);
    assert_eq!(frames.len(), 1);
}

#[test]
fn interrupts_are_wanted_only_while_listening() {
    let (mut driver, rx, _tx, _) = world(usize::MAX);
    let flags = |rx: &Side| rx.read::<u16>(rx.parts.available);
    assert_eq!(flags(&rx), 1);
    driver.listen();
    assert_eq!(flags(&rx), 0);
    driver.unlisten();
    assert_eq!(flags(&rx), 1);
}

proptest! {
    /// Whatever the device writes into the used rings, the driver neither panics nor gives a
    /// buffer twice nor loses one.
    #[test]
    fn nonsense_is_survived(
        start: u16, field: u16, headers: u16, segment: u16,
        entries in prop::collection::vec((0u32..600, any::<u32>(), any::<bool>()), 0..400),
        jumps in prop::collection::vec(any::<u16>(), 0..4),
    ) {
        let (mut driver, mut rx, mut tx, alive) = world(usize::MAX);
        driver.refill();
        let request = Request { start, field, headers, segment };
        let mut frames = vec![];
        for (n, (id, bytes, receive)) in entries.into_iter().enumerate() {
            if receive { rx.finish(id, bytes) } else { tx.finish(id, bytes) }
            if n % 16 == 0 {
                let _ = driver.send(Page::new(vec![0; 60], &alive), request);
                driver.kick();
                driver.reap();
                driver.receive(&mut frames);
                for Received { frame, .. } in frames.drain(..) {
                    prop_assert!(frame.end <= 4096 && frame.start < frame.end);
                }
                driver.refill();
            }
        }
        for jump in jumps {
            rx.write(rx.parts.used + 2, jump);
            tx.write(tx.parts.used + 2, jump);
            driver.reap();
            driver.receive(&mut frames);
            frames.clear();
        }
        drop(driver);
        prop_assert_eq!(alive.get(), 0);
    }
}
