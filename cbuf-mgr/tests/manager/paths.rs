//! The paths of a buffer's life, one by one, with real clients.

use crate::common::{Host, PAGE};
use abi::{ComponentId, Error};
use cbuf_mgr::machine::Machine;
use libcbuf::meta::ORDERS;
use libcbuf::{Batch, Buffer, Cbuf, CbufId, CbufRef, Client, Incoming, Record};

const A: ComponentId = ComponentId(1);
const B: ComponentId = ComponentId(2);
const C: ComponentId = ComponentId(3);

fn filled(client: &'static Client, byte: u8, len: usize) -> Cbuf<'static> {
    let mut buffer = Buffer::try_alloc(client, len).unwrap();
    buffer.fill(byte);
    buffer.freeze(len)
}

#[test]
fn a_buffer_goes_round_and_comes_back() {
    let host = Host::new(64);
    let (a, b) = (host.client(1, 1, 1), host.client(2, 4, 4));
    for round in 0..10u8 {
        let sent = filled(a, round, 100);
        let wire = sent.slice(10..50).send(B);
        drop(sent);
        // On its way: not garbage, though nobody references it.
        assert_eq!(Buffer::try_alloc(a, 1).unwrap_err(), Error::NoMemory);
        let got = Cbuf::receive(b, wire, A).unwrap();
        assert_eq!(&got[..], &[round; 40]);
        assert_eq!(Buffer::try_alloc(a, 1).unwrap_err(), Error::NoMemory);
        drop(got);
        host.check();
    }
    assert_eq!(host.with(|m| m.machine().frames.len()), 1);
    assert_eq!(host.with(|m| m.machine().mapped.clone()).len(), 2);
    assert!(host.with(|m| m.machine().mapped.iter().all(|((c, _), w)| (*c == 1) == *w)));
}

/// A buffer that is written is consumed by sending it: the receiver has it, and with its last free
/// it is the owner's to allocate again.
#[test]
fn what_is_sent_is_the_receivers_alone() {
    let host = Host::new(8);
    let (a, b) = (host.client(1, 1, 1), host.client(2, 1, 1));
    for round in 0..3u8 {
        let mut buffer = Buffer::try_alloc(a, PAGE).unwrap();
        buffer.fill(round);
        let wire = buffer.send(100, ComponentId(2));
        assert_eq!(Buffer::try_alloc(a, PAGE).unwrap_err(), Error::NoMemory);
        let there = Cbuf::receive(b, wire, ComponentId(1)).unwrap();
        assert!(there.len() == 100 && there.iter().all(|byte| *byte == round));
        assert_eq!(a.record(there.id()).unwrap().load().references(), 0);
        drop(there);
    }
    host.check();
}

#[test]
fn unshared_buffers_come_back_without_a_call() {
    let host = Host::new(64);
    let a = host.client(1, 8, 8);
    drop(Buffer::try_alloc(a, 3 * PAGE).unwrap());
    let calls = host.with(|m| m.usage(A).unwrap().calls);
    for _ in 0..100 {
        let buffer = Buffer::try_alloc(a, 4 * PAGE).unwrap();
        assert_eq!(buffer.len(), 4 * PAGE);
    }
    assert_eq!(host.with(|m| m.usage(A).unwrap().calls), calls);
}

#[test]
fn a_receiver_needs_a_send_and_a_peer() {
    let host = Host::new(64);
    let (a, b, c) = (
        host.client(1, 4, 4),
        host.client(2, 4, 4),
        host.client(3, 4, 4),
    );
    let kept = filled(a, 7, PAGE);
    let id = kept.id().0;
    let guess = CbufRef {
        id,
        offset: 0,
        len: 1,
    };
    assert_eq!(Cbuf::receive(b, guess, A).unwrap_err(), Error::BadBuffer);
    let wire = kept.send(B);
    assert_eq!(Cbuf::receive(c, wire, A).unwrap_err(), Error::BadBuffer);
    let got = Cbuf::receive(b, wire, A).unwrap();
    // Passed on.
    let got = Cbuf::receive(c, got.send(C), B).unwrap();
    assert_eq!(got[PAGE - 1], 7);
    for (offset, len) in [
        (0, 4097),
        (4096, 1),
        (4097, 0),
        (u32::MAX, 1),
        (1, u32::MAX),
    ] {
        let wire = CbufRef { id, offset, len };
        assert_eq!(Cbuf::receive(b, wire, A).unwrap_err(), Error::BadBuffer);
    }
    for id in [0, 2, 127, 128, 4000, 1 << 19, u32::MAX] {
        let wire = CbufRef {
            id,
            offset: 0,
            len: 0,
        };
        assert_eq!(
            Cbuf::receive(b, wire, A).unwrap_err(),
            Error::BadBuffer,
            "{id}"
        );
    }
    assert_eq!(
        host.with(|m| m.physical(A, CbufId(id))),
        Err(Error::NoRight)
    );
}

#[test]
fn an_id_from_outside_never_becomes_a_writable_buffer() {
    let host = Host::new(64);
    let a = host.client(1, 4, 4);
    let buffer = Buffer::try_alloc(a, 1).unwrap();
    let wire = CbufRef {
        id: buffer.id().0,
        offset: 0,
        len: 1,
    };
    assert_eq!(Cbuf::receive(a, wire, A).unwrap_err(), Error::BadBuffer);
    drop(buffer);
    assert_eq!(Cbuf::receive(a, wire, A).unwrap_err(), Error::BadBuffer);
}

#[test]
fn the_raw_calls_do_what_the_paper_says() {
    let host = Host::new(64);
    let (a, b) = (host.client(1, 4, 4), host.client(2, 4, 4));
    let (address, id) = a.cbuf_alloc(10).unwrap();
    // SAFETY: allocated and not shared yet.
    unsafe { address.write(42) };
    // SAFETY: ours, and given up last.
    unsafe {
        a.cbuf_send(id, B);
        a.cbuf_free(id);
    }
    let got = b.cbuf2buf(id, 0, 10, A).unwrap();
    // SAFETY: received and not freed yet.
    assert_eq!(unsafe { got.read() }, 42);
    // SAFETY: received here; the second does nothing because the record tells.
    unsafe {
        b.cbuf_free(id);
        b.cbuf_free(id);
    }
    assert_eq!(b.record(id).unwrap().load().references(), 0);
    assert_eq!(host.with(|m| m.memory().live), 0);
}

#[test]
fn size_classes_never_lock_a_pool_up() {
    let host = Host::new(64);
    let a = host.client(1, 16, 16);
    let small: Vec<_> = (0..16).map(|_| Buffer::try_alloc(a, 1).unwrap()).collect();
    assert_eq!(Buffer::try_alloc(a, 1).unwrap_err(), Error::NoMemory);
    drop(small);
    let large = Buffer::try_alloc(a, 16 * PAGE).unwrap();
    assert_eq!(Buffer::try_alloc(a, 1).unwrap_err(), Error::NoMemory);
    drop(large);
    let small: Vec<_> = (0..16).map(|_| Buffer::try_alloc(a, 1).unwrap()).collect();
    assert_eq!(small.len(), 16);
    assert_eq!(
        Buffer::try_alloc(a, 17 * PAGE).unwrap_err(),
        Error::NoMemory
    );
    assert_eq!(
        Buffer::try_alloc(a, (PAGE << (ORDERS - 1)) + 1).unwrap_err(),
        Error::BadSize
    );
    host.check();
}

#[test]
fn shrinking_takes_garbage_free_and_live_buffers_back() {
    let host = Host::new(64);
    let (a, b) = (host.client(1, 12, 12), host.client(2, 4, 4));
    let garbage: Vec<_> = (0..4).map(|_| filled(a, 1, 1)).collect();
    let free: Vec<_> = (0..4).map(|_| Buffer::try_alloc(a, 1).unwrap()).collect();
    let live: Vec<_> = (0..4).map(|_| filled(a, 3, 1)).collect();
    let away: Vec<_> = live
        .iter()
        .map(|l| Cbuf::receive(b, l.send(B), A).unwrap())
        .collect();
    drop((garbage, free));
    let held = |n| host.with(|m| assert_eq!(m.usage(A).unwrap().held, n));
    held(12);
    host.with(|m| m.set_pool(A, 8)).unwrap();
    held(8);
    host.with(|m| m.set_pool(A, 4)).unwrap();
    held(4);
    host.with(|m| m.set_pool(A, 1)).unwrap();
    held(4);
    drop(live);
    held(4);
    for (n, buffer) in (1..=4).rev().zip(away) {
        assert_eq!(buffer[0], 3);
        held(n);
        drop(buffer);
    }
    // The last may stay: it is within the limit.
    held(1);
    host.check();
    // The discarded records are stepped over, their ids used again.
    host.with(|m| m.set_pool(A, 12)).unwrap();
    let again: Vec<_> = (0..12).map(|_| Buffer::try_alloc(a, 1).unwrap()).collect();
    assert!(again.iter().all(|b| b.id().0 < 40));
    held(12);
    host.check();
}

#[test]
fn what_is_wanted_back_is_told_of_wherever_the_last_reference_ends() {
    let host = Host::new(64);
    let (a, b, c) = (
        host.client(1, 1, 1),
        host.client(2, 1, 1),
        host.client(3, 1, 1),
    );
    let page = filled(a, 1, 1);
    let at_b = Cbuf::receive(b, page.send(B), A).unwrap();
    drop(page);
    let at_c = Cbuf::receive(c, at_b.send(C), B).unwrap();
    host.with(|m| m.set_pool(A, 0)).unwrap();
    let held = || host.with(|m| m.usage(A).unwrap().held);
    // B is done with it, which is told, and gets it again.
    drop(at_b);
    let again = Cbuf::receive(b, at_c.send(B), C).unwrap();
    drop(at_c);
    assert_eq!(held(), 1);
    drop(again);
    assert_eq!(held(), 0);
    host.check();
}

#[test]
fn limits_and_maxima_hold() {
    let host = Host::new(20);
    let _a = host.client(1, 8, 30);
    let free = || host.with(|m| m.memory().free);
    assert_eq!(free(), 12);
    assert_eq!(host.with(|m| m.set_pool(A, 21)), Err(Error::NoMemory));
    assert_eq!(host.with(|m| m.set_pool(A, 20)), Ok(()));
    assert_eq!(free(), 0);
    host.with(|m| m.set_pool(A, 8)).unwrap();
    assert_eq!(free(), 12);
    assert_eq!(host.with(|m| m.set_pool(B, 1)), Err(Error::NotFound));
    assert_eq!(
        host.with(|m| m.set_pool(ComponentId(700), 1)),
        Err(Error::NotFound)
    );
}

#[test]
fn a_refused_allocation_is_seen_as_a_want() {
    let host = Host::new(40);
    let a = host.client(1, 8, 30);
    let blocked = || host.with(|m| m.timing(A).unwrap().blocked_ticks);
    let held = a.cbuf_alloc(8 * 4096).unwrap().1;
    assert_eq!(blocked(), 0);
    let ticks = || host.with(|m| Machine::ticks(m.machine_mut()));
    let start = ticks();
    assert!(a.try_alloc(4096).is_err());
    assert!(blocked() > 0);
    host.with(|m| m.set_pool(A, 9)).unwrap();
    // It lacked the memory until it had it, and no longer.
    let before = blocked();
    assert!(a.try_alloc(4096).is_ok());
    let lacked = blocked() - before;
    assert!(lacked > 0 && lacked <= ticks() - start, "{lacked}");
    assert!(a.try_alloc(4096).is_err());
    assert!(a.try_alloc(4096).is_err());
    assert!(blocked() > before + lacked + 1);
    // SAFETY: ours.
    unsafe { a.cbuf_free(held) };
}

#[test]
fn a_pool_that_is_used_fills_what_it_is_allowed() {
    let host = Host::new(80);
    let a = host.client(1, 64, 64);
    let held = || host.with(|m| m.usage(A).unwrap().held);
    let collections = || host.with(|m| m.timing(A).unwrap().collections);
    let many = |times| {
        for _ in 0..times {
            drop(filled(a, 1, 1));
        }
    };
    many(500);
    assert!(held() < 16, "{}", held());
    host.with(|m| m.set_filling(8));
    many(500);
    assert_eq!(held(), 64);
    let before = collections();
    many(500);
    assert!(collections() - before <= 10);
    // Not with what is larger than a part of it, and never over the limit.
    host.with(|m| m.set_pool(A, 40)).unwrap();
    drop(filled(a, 1, 16 * 4096));
    assert!(held() <= 40);
    host.check();
}

#[test]
fn the_dead_hold_nothing() {
    let host = Host::new(64);
    let (a, b) = (host.client(1, 4, 4), host.client(2, 4, 4));
    let on_its_way = filled(a, 1, 1);
    let _lost = on_its_way.send(B);
    let held = filled(a, 2, 1);
    std::mem::forget(Cbuf::receive(b, held.send(B), A).unwrap());
    drop((on_its_way, held));
    let mine = filled(b, 9, 1);
    let survivor = Cbuf::receive(a, mine.send(A), B).unwrap();
    std::mem::forget(mine);
    std::mem::forget(filled(b, 8, 1));
    assert_eq!(host.with(|m| m.memory().pooled), 4);
    host.with(|m| m.component_died(B)).unwrap();
    host.check();
    // B's own are gone but for the one that A holds; A's are garbage now.
    assert_eq!(host.with(|m| (m.memory().pooled, m.memory().live)), (3, 1));
    assert_eq!(survivor[0], 9);
    drop(survivor);
    assert_eq!(host.with(|m| (m.memory().pooled, m.memory().live)), (2, 0));
    // Started anew, it has an empty pool and working records.
    assert!(Buffer::try_alloc(b, 1).is_err_and(|e| e == Error::Dead));
    host.with(|m| m.component_restarted(B)).unwrap();
    let b = host.attach(B);
    let again: Vec<_> = (0..4).map(|n| filled(b, n, 1)).collect();
    let got = Cbuf::receive(a, again[3].send(A), B).unwrap();
    assert_eq!(got[0], 3);
    host.check();
}

/// What is lost ends while others are found, and another takes its place in the list of what is looked
/// at: that one is handed over once all the same.
#[test]
fn nothing_is_handed_over_twice() {
    for lost in 0..6 {
        let host = Host::new(64);
        let (a, _b) = (host.client(1, 16, 16), host.client(2, 4, 4));
        let all: Vec<_> = (0..6).map(|n| filled(a, n, 1)).collect();
        let _never_received = all[lost].send(B);
        drop(all);
        host.with(|m| m.component_died(B)).unwrap();
        // Of another size, so that what is found waits until all was looked at.
        let larger = Buffer::try_alloc(a, 2 * PAGE).unwrap();
        let held: Vec<_> = core::iter::from_fn(|| Buffer::try_alloc(a, 1).ok()).collect();
        let mut ids: Vec<_> = held.iter().map(Buffer::id).collect();
        ids.push(larger.id());
        ids.sort_unstable();
        assert!(ids.windows(2).all(|two| two[0] != two[1]), "{ids:?}");
        host.check();
    }
}

#[test]
fn what_the_dead_left_under_way_comes_back() {
    let host = Host::new(64);
    let (a, b, c) = (
        host.client(1, 4, 4),
        host.client(2, 4, 4),
        host.client(3, 4, 4),
    );
    host.with(|m| m.set_grace(0));
    // Received by C, still on its way to B; and one of B's that A is never told of.
    let page = filled(a, 1, 1);
    drop(Cbuf::receive(c, page.send(ComponentId(3)), A).unwrap());
    let _never_received = page.send(B);
    drop(page);
    let _never_told = filled(b, 2, 1).send(A);
    host.with(|m| m.component_died(B)).unwrap();
    host.with(|m| m.component_restarted(B)).unwrap();
    let live = || host.with(|m| m.memory().live);
    assert_eq!(live(), 2);
    // Two collections of each kind of list: one notes that nothing moves, one draws the line.
    for _ in 0..2 {
        let all: Vec<_> = (0..5).map_while(|_| Buffer::try_alloc(a, 1).ok()).collect();
        drop(all);
        host.with(|m| m.component_died(B)).unwrap();
        host.with(|m| m.component_restarted(B)).unwrap();
    }
    assert_eq!(live(), 0);
    host.check();
}

#[test]
fn no_memory_for_tables_is_an_error_not_a_leak() {
    let host = Host::new(64);
    let (a, b) = (host.client(1, 8, 8), host.client(2, 8, 8));
    for budget in 0..6 {
        host.with(|m| m.machine_mut().budget = budget);
        let made = Buffer::try_alloc(a, 1);
        if let Ok(buffer) = made {
            let kept = buffer.freeze(1);
            let sent = kept.send(B);
            if Cbuf::receive(b, sent, A).is_err() {
                drop(Cbuf::take_back(a, sent));
            }
        }
        host.with(|m| m.machine_mut().budget = u64::MAX);
        host.check();
    }
    let all: Vec<_> = (0..8)
        .map(|_| Buffer::try_alloc(a, 1).map(|b| b.freeze(1)))
        .collect();
    assert!(all.iter().all(Result::is_ok));
}

struct Item {
    number: u32,
    data: Option<Cbuf<'static>>,
}

impl Record<'static> for Item {
    const WIRE: usize = 16;
    const CBUFS: &'static [usize] = &[4];
    fn encode(self, _client: &'static Client, to: ComponentId, out: &mut [u8]) {
        out[..4].copy_from_slice(&self.number.to_le_bytes());
        libcbuf::batch::put_cbuf(self.data, to, &mut out[4..16]);
    }
    fn decode(client: &'static Client, from: ComponentId, wire: &[u8]) -> Result<Self, Error> {
        Ok(Self {
            number: u32::from_le_bytes(wire[..4].try_into().unwrap()),
            data: libcbuf::batch::take_cbuf(client, from, &wire[4..16])?,
        })
    }
}

#[test]
fn batches_carry_buffers_and_balance() {
    let host = Host::new(64);
    let (a, b) = (host.client(1, 16, 16), host.client(2, 4, 4));
    let mut batch = Batch::new(a, B).unwrap();
    assert_eq!(batch.capacity(), 256);
    for number in 0..8 {
        let data = (number % 2 == 0).then(|| filled(a, number as u8, 5));
        batch.push(Item { number, data }).unwrap();
    }
    let mut got = Incoming::<Item>::from_wire(b, batch.into_wire(), A).unwrap();
    for number in 0..5 {
        let item = got.next().unwrap().unwrap();
        assert_eq!(item.number, number);
        assert_eq!(
            item.data.map(|d| (d[4], d.len())),
            (number % 2 == 0).then_some((number as u8, 5))
        );
    }
    // The rest is received and freed with the batch.
    drop(got);
    assert_eq!(host.with(|m| m.memory().live), 0);

    let mut batch = Batch::new(a, B).unwrap();
    batch
        .push(Item {
            number: 1,
            data: Some(filled(a, 1, 1)),
        })
        .unwrap();
    drop(batch);
    assert_eq!(host.with(|m| m.memory().live), 0);

    let mut batch = Batch::with_capacity(a, B, 1).unwrap();
    while batch
        .push(Item {
            number: 1,
            data: None,
        })
        .is_ok()
    {}
    assert!(batch.is_full());
    assert_eq!(Batch::<Item>::none().into_wire(), 0);
    assert_eq!(Batch::<Item>::new(a, B).unwrap().into_wire(), 0);
    drop(batch);
    assert_eq!(host.with(|m| m.memory().live), 0);
}

#[test]
fn a_batch_that_claims_more_than_it_has_is_refused() {
    let host = Host::new(64);
    let (a, b) = (host.client(1, 16, 16), host.client(2, 4, 4));
    let sent = filled(a, 255, PAGE);
    let id = u64::from(sent.send(B).id);
    for count in [257u64, 1 << 28, u64::from(u32::MAX)] {
        let refused = Incoming::<Item>::from_wire(b, id | count << 32, A);
        assert!(refused.is_err_and(|e| e == Error::BadBuffer));
    }
    // Records full of nonsense: each is an error of its own.
    let got = Incoming::<Item>::from_wire(b, id | 256 << 32, A).unwrap();
    assert_eq!(got.filter(Result::is_err).count(), 256);
    assert!(Incoming::<Item>::from_wire(b, 1 << 32, A).is_err());
}

/// Buffers on a thread's shelf are taken back while the thread does nothing, and what the thread
/// then finds there it does not use.
#[test]
fn what_lies_on_a_shelf_is_taken_from_a_thread_that_sleeps() {
    let host = Host::new(64);
    let a = host.client(1, 8, 8);
    let held: Vec<_> = (0..5).map(|_| Buffer::try_alloc(a, 1).unwrap()).collect();
    let ids: Vec<_> = held.iter().map(Buffer::id).collect();
    drop(held);
    let references = |id: &CbufId| a.record(*id).unwrap().load().references();
    assert!(ids.iter().all(|id| references(id) == 1), "on the shelf");
    assert_eq!(host.with(|m| m.memory().live), 0);

    host.with(|m| m.set_pool(A, 2)).unwrap();
    assert_eq!(host.with(|m| m.usage(A).unwrap().held), 2);
    host.check();
    let mut left: Vec<_> = (0..2).map(|_| Buffer::try_alloc(a, 1).unwrap()).collect();
    left.iter_mut().for_each(|buffer| buffer.fill(1));
    assert_eq!(Buffer::try_alloc(a, 1).unwrap_err(), Error::NoMemory);
    drop(left);

    // And for another size, in the thread's own pool.
    let large = Buffer::try_alloc(a, 2 * PAGE).unwrap();
    assert_eq!(large.len(), 2 * PAGE);
    host.check();
}

#[test]
fn memory_that_others_let_go_of_is_used() {
    let mut frames = cbuf_mgr::frames::Frames::new(0, 64).unwrap();
    frames.add(1, 4);
    let mut machine = crate::common::Fake::new(64);
    machine.lost = vec![(48, 8), (16, 16)];
    let mut manager = cbuf_mgr::manager::Manager::new(machine, frames).unwrap();
    let terms = |component, pages| cbuf_mgr::pool::Terms {
        component,
        pages,
        max_pages: pages,
        heap_pages: 0,
        heap_kept: 0,
        dma: false,
        peers: 0,
    };
    manager.add_client(terms(A, 4)).unwrap();
    assert_eq!(manager.total_pages(), 4, "nothing is taken without need");
    manager.add_client(terms(B, 10)).unwrap();
    assert_eq!(manager.total_pages(), 4 + 16);
    assert_eq!(manager.add_client(terms(C, 15)), Err(Error::NoMemory));
    assert_eq!(manager.total_pages(), 4 + 16 + 8);
    manager.add_client(terms(C, 14)).unwrap();
}

#[test]
fn memory_let_go_of_page_by_page_holds_nobody_up() {
    const PIECES: u64 = 200;
    let mut frames = cbuf_mgr::frames::Frames::new(0, 512).unwrap();
    // Enough for the pool, and no eight in a row.
    frames.add(1, 8);
    let mut machine = crate::common::Fake::new(512);
    machine.lost = (0..PIECES).map(|n| (20 + 2 * n, 1)).collect();
    let manager = cbuf_mgr::manager::Manager::new(machine, frames).unwrap();
    let host = Host(std::sync::Arc::new(std::sync::Mutex::new(manager)));
    let a = host.client(1, 8, 8);
    for call in 1..=2 {
        assert_eq!(Buffer::try_alloc(a, 8 * PAGE).unwrap_err(), Error::NoMemory);
        let left = host.with(|m| m.machine().lost.len() as u64);
        assert_eq!(left, PIECES - 64 * call);
    }
    Buffer::try_alloc(a, 4 * PAGE).unwrap();
    host.check();
}

/// What is sent sealed is read-only where it came from, too, until it is collected, and only its
/// owner seals it.
#[test]
fn a_sealed_buffer_is_writable_again_when_it_is_collected() {
    let host = Host::new(64);
    let (a, b) = (host.client(1, 1, 1), host.client(2, 4, 4));
    let cbuf = filled(a, 5, 100);
    let page = host.with(|m| m.machine().page_at(cbuf.as_ptr() as usize));
    let writable = || host.with(|m| m.machine().mapped[&(1, page)]);
    assert!(writable());
    let sent = cbuf.send_sealed(B).unwrap();
    let again = cbuf.send_sealed(B).unwrap();
    assert!(!writable());
    let got = [sent, again].map(|sent| Cbuf::receive(b, sent, A).unwrap());
    assert_eq!(got[0].send_sealed(A), Err(Error::BadBuffer));
    drop(cbuf);
    assert!(Buffer::try_alloc(a, 1).is_err(), "still received");
    assert!(!writable());
    drop(got);
    let mut buffer = Buffer::try_alloc(a, 1).unwrap();
    assert!(writable());
    buffer.fill(6);
    host.check();
}

/// Where a look ends what is lost, what takes its place in the owner's list was looked at before.
#[test]
fn what_is_found_beside_something_lost_is_handed_over_once() {
    let host = Host::new(64);
    let a = host.client(1, 16, 16);
    let _b = host.client(2, 4, 4);
    let pages: Vec<_> = (0..8).map(|n| filled(a, n, 1)).collect();
    for cbuf in &pages[2..4] {
        let _lost = cbuf.send(B);
    }
    drop(pages);
    host.with(|m| m.component_died(B)).unwrap();
    // Of another size, so that what is found is handed over at the end of a look.
    let _large = filled(a, 1, 2 * PAGE);
    let all: Vec<_> = (0..64)
        .map_while(|_| Buffer::try_alloc(a, 1).ok())
        .collect();
    let mut ids: Vec<_> = all.iter().map(Buffer::id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all.len());
    host.check();
}
