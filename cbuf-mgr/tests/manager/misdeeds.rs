//! What a hostile component does with buffers, one deed a test: it replays ids, frees twice, holds
//! for ever, and names what it does not own, as owner and as receiver, of whole buffers and of
//! pieces. Each time the honest ones' bytes stay, it loses only its own, and its death brings every
//! page back.

use crate::common::{Host, PAGE};
use abi::{ComponentId, Error, ThreadId};
use libcbuf::meta::Record;
use libcbuf::primitive::Ordering::SeqCst;
use libcbuf::{Aggregate, Buffer, Cbuf, CbufId, CbufRef, Client, Piece, Slab};

/// Honest.
const A: ComponentId = ComponentId(1);
const B: ComponentId = ComponentId(2);
/// Hostile.
const H: ComponentId = ComponentId(4);
const POOL: u64 = 24;

struct World {
    host: Host,
    a: &'static Client,
    b: &'static Client,
    h: &'static Client,
}

fn world() -> World {
    let host = Host::new(4 * POOL);
    host.with(|m| m.set_grace(0));
    let [a, b, h] = [A, B, H].map(|c| host.client(c.0, POOL, POOL));
    World { host, a, b, h }
}

fn filled(client: &'static Client, byte: u8) -> Cbuf<'static> {
    let mut buffer = Buffer::try_alloc(client, PAGE).unwrap();
    buffer.fill(byte);
    buffer.freeze(PAGE)
}

fn is_all(bytes: &[u8], byte: u8) -> bool {
    bytes.iter().all(|b| *b == byte)
}

impl World {
    /// Pages that each of the three pays for.
    fn held(&self) -> [u64; 3] {
        self.host.check();
        [A, B, H].map(|c| self.host.with(|m| m.usage(c)).unwrap().held)
    }

    /// So many pages are not free any more, whoever asks, and the others are.
    fn exhausts(&self, client: &'static Client, taken: usize) {
        let free = POOL as usize - taken;
        let all: Vec<_> = (0..free)
            .map(|_| Buffer::try_alloc(client, 1).unwrap())
            .collect();
        assert_eq!(Buffer::try_alloc(client, 1).unwrap_err(), Error::NoMemory);
        drop(all);
    }

    /// The hostile component dies; what the others have is let go: every page is free.
    fn ends(self) {
        self.host.with(|m| m.component_died(H)).unwrap();
        self.host.check();
        for _ in 0..2 {
            for client in [A, B] {
                self.host.with(|m| m.set_pool(client, 0)).unwrap();
            }
            self.host.with(|m| m.component_died(H)).unwrap();
        }
        assert_eq!(self.host.with(|m| m.memory().pooled), 0);
        assert!(self.host.with(|m| m.machine().mapped.is_empty()));
        assert_eq!(self.host.with(|m| m.totals().unused), 4 * POOL);
    }
}

#[test]
fn an_owner_that_replays_an_id_keeps_its_own_buffer_busy() {
    let w = world();
    let mine = filled(w.h, 7);
    let wire = mine.send(B);
    let page = w.host.with(|m| m.machine().page_at(mine.as_ptr() as usize));
    drop(mine);
    // Sent once, received again and again.
    let mut all: Vec<_> = (0..5)
        .map(|_| Cbuf::receive(w.b, wire, H).unwrap())
        .collect();
    assert!(all.iter().all(|cbuf| is_all(cbuf, 7)));
    all.truncate(1);
    w.exhausts(w.h, 1);
    assert!(is_all(&all[0], 7));
    drop(all);
    // More receipts than sends: nobody can use it again, and it counts as the owner's.
    w.exhausts(w.h, 1);
    w.exhausts(w.b, 0);
    assert!(
        w.host
            .with(|m| m.machine().mapped.contains_key(&(H.0, page)))
    );
    // Even then it can be named only to whom it was sent.
    assert_eq!(Cbuf::receive(w.a, wire, H).unwrap_err(), Error::BadBuffer);
    w.ends();
}

#[test]
fn a_replay_after_the_buffer_was_used_again_names_the_owners_memory_or_nothing() {
    let w = world();
    let first = filled(w.h, 1);
    let wire = first.send(B);
    drop(Cbuf::receive(w.b, wire, H).unwrap());
    drop(first);
    // Its own, for something else: who was sent it may be named it again, and reads what it writes.
    let all: Vec<_> = (0..POOL)
        .map(|_| Buffer::try_alloc(w.h, 1).unwrap())
        .collect();
    assert!(all.iter().any(|buffer| buffer.id().0 == wire.id));
    let replayed = Cbuf::receive(w.b, wire, H).unwrap();
    assert!(w.host.with(|m| {
        let page = m.machine().page_at(replayed.as_ptr() as usize);
        m.machine().mapped.get(&(H.0, page)) == Some(&true)
    }));
    drop((replayed, all));
    // And where the id ended: it is nobody's, or another's who did not send it.
    w.host.with(|m| m.set_pool(H, 0)).unwrap();
    assert_eq!(Cbuf::receive(w.b, wire, H).unwrap_err(), Error::BadBuffer);
    let others: Vec<_> = (0..POOL).map(|n| filled(w.a, n as u8)).collect();
    assert_eq!(Cbuf::receive(w.b, wire, H).unwrap_err(), Error::BadBuffer);
    drop(others);
    w.ends();
}

#[test]
fn a_receiver_that_replays_an_id_gives_away_what_it_has() {
    let w = world();
    let (mine, secret) = (filled(w.a, 3), filled(w.a, 4));
    let got = Cbuf::receive(w.h, mine.send(H), A).unwrap();
    let wire = got.send(B);
    let there: Vec<_> = (0..3)
        .map(|_| Cbuf::receive(w.b, wire, H).unwrap())
        .collect();
    assert!(there.iter().all(|cbuf| is_all(cbuf, 3)));
    for id in [secret.id().0, 0, 1 << 19, u32::MAX] {
        let named = CbufRef { id, ..wire };
        assert_eq!(Cbuf::receive(w.b, named, H).unwrap_err(), Error::BadBuffer);
    }
    drop((there, got));
    // A has it, with what was miscounted: its bytes stay until it lets go.
    w.exhausts(w.a, 2);
    assert!(is_all(&mine, 3) && is_all(&secret, 4));
    drop((mine, secret));
    w.ends();
}

#[test]
fn an_owner_that_frees_twice_gets_its_own_buffer_twice() {
    let w = world();
    let honest = filled(w.a, 9);
    let (_, id) = w.h.try_alloc(1).unwrap();
    // SAFETY: against the contract, on purpose: nobody has a handle to these bytes.
    unsafe {
        w.h.cbuf_free(id);
        w.h.cbuf_free(id);
        w.h.cbuf_free(id);
    }
    let (first, second) = (w.h.try_alloc(1).unwrap(), w.h.try_alloc(1).unwrap());
    assert_eq!(first, second);
    w.host.check();
    // Where the shelf is full, in the freelist, too: some twice, but none that is not its own.
    let ids: Vec<_> = (0..9).map(|_| w.h.try_alloc(2 * PAGE).unwrap().1).collect();
    for id in ids.iter().chain(&ids[7..]).chain(&ids[7..]) {
        // SAFETY: as above.
        unsafe { w.h.cbuf_free(*id) };
    }
    w.host.check();
    for _ in 0..9 {
        let (address, id) = w.h.try_alloc(2 * PAGE).unwrap();
        let page = w.host.with(|m| m.machine().page_at(address as usize));
        let writable = w
            .host
            .with(|m| m.machine().mapped.get(&(H.0, page)).copied());
        assert_eq!(writable, Some(true), "{id:?}");
    }
    // What it shared and freed once too often stays as it is.
    let shared = filled(w.h, 5);
    let there = Cbuf::receive(w.b, shared.send(B), H).unwrap();
    let id = shared.id();
    drop(shared);
    for _ in 0..3 {
        // SAFETY: as above.
        unsafe { w.h.cbuf_free(id) };
        for _ in 0..3 {
            let _ = w.host.with(|m| m.relinquish(H, id));
        }
        w.host.with(|m| m.set_pool(H, 0)).unwrap();
        w.host.check();
        assert!(is_all(&there, 5) && is_all(&honest, 9));
        w.host.with(|m| m.set_pool(H, POOL)).unwrap();
    }
    drop((there, honest));
    w.ends();
}

#[test]
fn a_receiver_that_frees_twice_ends_nobody_elses_reference() {
    let w = world();
    let mine = filled(w.a, 6);
    let there = Cbuf::receive(w.b, mine.send(B), A).unwrap();
    let got = Cbuf::receive(w.h, mine.send(H), A).unwrap();
    let id = mine.id();
    drop((got, mine));
    for wanted in [false, true] {
        if wanted {
            // The manager asks for it back: each last free would tell.
            w.host.with(|m| m.set_pool(A, 0)).unwrap();
        }
        for _ in 0..4 {
            // SAFETY: against the contract, on purpose: nobody has a handle to these bytes.
            unsafe { w.h.cbuf_free(id) };
            let _ = w.host.with(|m| m.relinquish(H, id));
        }
        w.host.check();
        assert!(is_all(&there, 6));
        assert_eq!(w.b.record(id).unwrap().load().references(), 1);
        assert_eq!(w.held()[0], 1);
    }
    // The last honest free ends it, once.
    drop(there);
    assert_eq!(w.held(), [0; 3]);
    assert_eq!(w.host.with(|m| m.relinquish(H, id)), Err(Error::BadBuffer));
    w.ends();
}

#[test]
fn who_holds_for_ever_pays_for_it_until_it_dies() {
    let w = world();
    w.host.with(|m| m.set_patience(0));
    for n in 0..POOL {
        let wire = filled(w.a, n as u8).send(H);
        std::mem::forget(Cbuf::receive(w.h, wire, A).unwrap());
    }
    // The owner has its room again, and the holder none.
    w.exhausts(w.a, 0);
    assert_eq!(w.held()[2], POOL);
    assert_eq!(Buffer::try_alloc(w.h, 1).unwrap_err(), Error::NoMemory);
    // It cannot shake the charge off by saying that somebody else has it.
    for n in 0..64 {
        let _ = w.host.with(|m| m.map(H, CbufId(n), A));
        let _ = w.host.with(|m| m.relinquish(H, CbufId(n)));
    }
    assert_eq!(w.held()[2], POOL);
    w.host.with(|m| m.component_died(H)).unwrap();
    assert_eq!(w.held()[2], 0);
    w.exhausts(w.a, 0);
    w.ends();
}

#[test]
fn what_is_not_its_own_is_neither_sent_nor_mapped_nor_sealed_nor_ended() {
    let w = world();
    let secret = filled(w.a, 8);
    let there = Cbuf::receive(w.b, secret.send(B), A).unwrap();
    let id = secret.id();
    for from in 0..70 {
        assert!(w.host.with(|m| m.map(H, id, ComponentId(from))).is_err());
    }
    assert_eq!(w.host.with(|m| m.seal(H, id)), Err(Error::BadBuffer));
    assert_eq!(w.host.with(|m| m.relinquish(H, id)), Err(Error::BadBuffer));
    assert_eq!(w.host.with(|m| m.physical(H, id)), Err(Error::NoRight));
    // It says of the buffer all that makes a sender.
    let record = w.h.record(id).unwrap();
    record.state.store(w.b.record(id).unwrap().load().0, SeqCst);
    record.receivers.store(!Record::LINK, SeqCst);
    record.sent.store(9, SeqCst);
    let wire = CbufRef {
        id: id.0,
        offset: 0,
        len: 1,
    };
    for client in [w.a, w.b] {
        assert_eq!(
            Cbuf::receive(client, wire, H).unwrap_err(),
            Error::BadBuffer
        );
        assert_eq!(
            Aggregate::receive(client, wire, H).unwrap_err(),
            Error::BadBuffer
        );
    }
    assert!(is_all(&secret, 8) && is_all(&there, 8));
    assert!(
        w.host
            .with(|m| m.machine().mapped.keys().all(|(c, _)| *c != H.0))
    );
    drop((secret, there));
    w.ends();
}

/// An honest owner's pieces: one stays to be written, one is B's, two are the hostile one's.
struct Pieces {
    written: Piece<'static>,
    there: Cbuf<'static>,
    stolen: [CbufRef; 2],
    id: CbufId,
    slab: Slab<'static>,
}

const PIECE: usize = 256;

fn pieces(w: &World) -> Pieces {
    let mut slab = Slab::new(w.a, PIECE).unwrap();
    let mut piece = |byte| {
        let mut piece = slab.alloc().unwrap();
        piece.fill(byte);
        piece
    };
    let written = piece(1);
    let second = piece(2).freeze(PIECE);
    let stolen = [3, 4].map(|byte| piece(byte).freeze(PIECE).send(H));
    let there = Cbuf::receive(w.b, second.send(B), A).unwrap();
    let id = second.id();
    Pieces {
        written,
        there,
        stolen,
        id,
        slab,
    }
}

impl Pieces {
    fn are_whole(&self) {
        assert!(is_all(&self.written, 1) && is_all(&self.there, 2));
    }
}

#[test]
fn a_receiver_that_frees_and_claims_pieces_ends_no_others() {
    let w = world();
    let mut p = pieces(&w);
    for wire in p.stolen {
        // Received thrice, freed six times, with every count overwritten.
        for _ in 0..3 {
            std::mem::forget(Cbuf::receive(w.h, wire, A).unwrap());
        }
    }
    let record = w.h.record(p.id).unwrap();
    for claim in [0, 1, 2, 3, 4, u32::MAX] {
        for _ in 0..6 {
            // SAFETY: against the contract, on purpose: nobody has a handle to these bytes.
            unsafe { w.h.cbuf_free(p.id) };
        }
        record.received.store(claim, SeqCst);
        record.sent.store(claim.wrapping_mul(3), SeqCst);
        let _ = w.host.with(|m| m.relinquish(H, p.id));
        // Whatever the owner's collector finds, it finds the owner's and B's references.
        w.exhausts(w.a, 1);
        p.are_whole();
    }
    // The owner writes on, in the same page, and B reads on when the owner has let go.
    p.written.fill(1);
    drop(p.slab);
    drop(p.written);
    w.exhausts(w.a, 1);
    assert!(is_all(&p.there, 2));
    drop(p.there);
    w.ends();
}

#[test]
fn pieces_beyond_the_page_or_never_sent_are_refused() {
    let w = world();
    let p = pieces(&w);
    let mine = Cbuf::receive(w.h, p.stolen[0], A).unwrap();
    let _ = mine.send(B);
    let page = PAGE as u32;
    for (offset, len) in [
        (page, 1),
        (page - 15, 16),
        (0, page + 1),
        (u32::MAX, 1),
        (u32::MAX - 15, 16),
        (1, u32::MAX),
        (page - 1, 2),
    ] {
        let wire = CbufRef {
            id: p.id.0,
            offset,
            len,
        };
        for (client, from) in [(w.b, H), (w.h, A), (w.b, A)] {
            assert_eq!(
                Cbuf::receive(client, wire, from).unwrap_err(),
                Error::BadBuffer
            );
        }
    }
    // Inside, it can pass on what it can read itself: all of the page, and nothing else.
    for offset in (0..page).step_by(PIECE) {
        let wire = CbufRef {
            id: p.id.0,
            offset,
            len: 16,
        };
        let there = Cbuf::receive(w.b, wire, H).unwrap();
        assert_eq!(there.as_ptr() as usize % PAGE, offset as usize);
    }
    p.are_whole();
    let other = filled(w.a, 1);
    let wire = CbufRef {
        id: other.id().0,
        offset: 0,
        len: 16,
    };
    assert_eq!(Cbuf::receive(w.b, wire, H).unwrap_err(), Error::BadBuffer);
    drop((p, mine, other));
    w.ends();
}

#[test]
fn pieces_of_a_hostile_owner_cost_it_its_own_pages() {
    let w = world();
    let mut slab = Slab::new(w.h, PIECE).unwrap();
    let mut held = Vec::new();
    for n in 0..40u8 {
        let mut piece = slab.alloc().unwrap();
        piece.fill(n);
        let cbuf = piece.freeze(PIECE);
        let wire = cbuf.send(B);
        // Replayed, and freed once too often.
        for _ in 0..n % 3 + 1 {
            held.push((n, Cbuf::receive(w.b, wire, H).unwrap()));
        }
        let id = cbuf.id();
        drop(cbuf);
        if n % 5 == 0 {
            // SAFETY: against the contract, on purpose: what this drops is the slab's.
            unsafe { w.h.cbuf_free(id) };
        }
        w.host.check();
    }
    std::mem::forget(slab);
    let step = w.host.with(|m| m.collect(H, ThreadId(9), 0, false));
    assert!(step.is_ok());
    w.host.with(|m| m.set_pool(H, 0)).unwrap();
    // What B has stays as it is, whatever the owner counted.
    assert!(held.iter().all(|(n, cbuf)| is_all(cbuf, *n)));
    drop(held);
    w.exhausts(w.b, 0);
    w.ends();
}

/// A server whose pool is full refuses an aggregate at once, and settles what its sender counted:
/// its thread does not wait for what the sender keeps from it.
#[test]
fn a_receipt_of_an_aggregate_waits_for_nobody() {
    let w = world();
    // All that B has is with the hostile one, which keeps it.
    for n in 0..POOL {
        let wire = filled(w.b, n as u8).send(H);
        std::mem::forget(Cbuf::receive(w.h, wire, B).unwrap());
    }
    let mut whole = Aggregate::new(w.a).unwrap();
    whole.push(filled(w.a, 1)).unwrap();
    let mut inner = Aggregate::new(w.a).unwrap();
    inner.push(filled(w.a, 2)).unwrap();
    whole.push_aggregate(inner).unwrap();
    let wire = whole.send(B);
    assert_eq!(
        Aggregate::receive(w.b, wire, A).unwrap_err(),
        Error::NoMemory
    );
    assert_eq!(w.host.with(|m| m.usage(B).unwrap().blocked), 0);
    // All four were received and freed, so all are A's again.
    w.exhausts(w.a, 0);
    // Once there is room, the same server receives.
    w.host.with(|m| m.component_died(H)).unwrap();
    let mut again = Aggregate::new(w.a).unwrap();
    again.push(filled(w.a, 3)).unwrap();
    let there = Aggregate::receive(w.b, again.send(B), A).unwrap();
    assert!(there.parts().all(|part| is_all(part, 3)));
    drop(there);
    w.ends();
}
