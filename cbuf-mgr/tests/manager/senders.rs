//! Who a buffer may be received from: a hostile component names, to a server, buffers that the
//! server has from others, owns itself, or had from it long ago.

use crate::common::{Host, PAGE};
use abi::{ComponentId, Error};
use cbuf_mgr::pool::Terms;
use libcbuf::{Buffer, Cbuf, CbufId, CbufRef, Client, Incoming, Record};

const VICTIM: ComponentId = ComponentId(1);
const SERVER: ComponentId = ComponentId(2);
const HOSTILE: ComponentId = ComponentId(3);

struct World {
    host: Host,
    victim: &'static Client,
    server: &'static Client,
    hostile: &'static Client,
}

fn world() -> World {
    let host = Host::new(64);
    let [victim, server, hostile] = [1, 2, 3].map(|c| host.client(c, 4, 4));
    World {
        host,
        victim,
        server,
        hostile,
    }
}

impl World {
    fn maps(&self) -> u64 {
        self.host.with(|m| m.machine().maps)
    }

    /// Every send was received and nobody references anything.
    fn settled(&self) {
        assert_eq!(self.host.with(|m| m.memory().live), 0);
        self.host.check();
    }

    /// What `of` counted: sends and receipts of a buffer.
    fn counts(&self, of: &Client, id: CbufId) -> (u32, u32) {
        let record = of.record(id).unwrap();
        let load = |n: &libcbuf::primitive::AtomicU32| n.load(std::sync::atomic::Ordering::SeqCst);
        (load(&record.sent), load(&record.received))
    }
}

fn filled(client: &'static Client, byte: u8) -> Cbuf<'static> {
    let mut buffer = Buffer::try_alloc(client, PAGE).unwrap();
    buffer.fill(byte);
    buffer.freeze(PAGE)
}

fn named(id: CbufId) -> CbufRef {
    CbufRef {
        id: id.0,
        offset: 0,
        len: 1,
    }
}

#[test]
fn what_the_server_has_from_another_cannot_be_named() {
    let w = world();
    let secret = filled(w.victim, 7);
    let got = Cbuf::receive(w.server, secret.send(SERVER), VICTIM).unwrap();
    let before = w.counts(w.server, got.id());
    for _ in 0..100 {
        let refused = Cbuf::receive(w.server, named(got.id()), HOSTILE);
        assert_eq!(refused.unwrap_err(), Error::BadBuffer);
    }
    assert_eq!(w.counts(w.server, got.id()), before);
    drop((secret, got));
    let refused = Cbuf::receive(w.server, named(CbufId(1)), HOSTILE);
    assert_eq!(refused.unwrap_err(), Error::BadBuffer);
    w.settled();
}

#[test]
fn what_the_server_itself_shares_cannot_be_named() {
    let w = world();
    let own = filled(w.server, 7);
    let away = Cbuf::receive(w.victim, own.send(VICTIM), SERVER).unwrap();
    for from in [
        HOSTILE,
        VICTIM,
        SERVER,
        ComponentId(64 + 2),
        ComponentId(u16::MAX),
    ] {
        let refused = Cbuf::receive(w.server, named(own.id()), from);
        assert_eq!(refused.unwrap_err(), Error::BadBuffer, "{from:?}");
    }
    // Until who has it sends it back.
    let back = Cbuf::receive(w.server, away.send(SERVER), VICTIM).unwrap();
    assert_eq!(back[0], 7);
    drop((own, away, back));
    w.settled();
}

#[test]
fn an_echo_asks_the_manager_once() {
    let w = world();
    let mut asked = Vec::new();
    for byte in 0..20 {
        let own = filled(w.victim, byte);
        let there = Cbuf::receive(w.server, own.send(SERVER), VICTIM).unwrap();
        let back = Cbuf::receive(w.victim, there.send(VICTIM), SERVER).unwrap();
        assert_eq!(back[0], byte);
        asked.push(w.maps());
    }
    // Four buffers at most, each mapped once and admitted once; then never again.
    assert!(asked[19] <= 8, "{asked:?}");
    assert_eq!(asked[10], asked[19]);
    w.settled();
}

/// Who was never sent a buffer cannot say that it sent it, whatever it writes into its records.
#[test]
fn a_sender_must_have_what_it_sends() {
    let w = world();
    let secret = filled(w.victim, 7);
    let got = Cbuf::receive(w.server, secret.send(SERVER), VICTIM).unwrap();
    // It gets a leaf by having a buffer of its own there.
    drop(filled(w.hostile, 0));
    for word in w.host.shared_words(HOSTILE.0) {
        word.store(u32::MAX, std::sync::atomic::Ordering::SeqCst);
    }
    let refused = Cbuf::receive(w.server, named(got.id()), HOSTILE);
    assert_eq!(refused.unwrap_err(), Error::BadBuffer);
    assert_eq!(
        w.host.with(|m| m.map(HOSTILE, got.id(), HOSTILE)),
        Err(Error::BadBuffer)
    );
}

#[test]
fn what_was_sent_before_a_collection_is_not_sent_after_it() {
    let w = world();
    // Announced to the hostile one, and taken back before it looked.
    let first = filled(w.victim, 1);
    let id = first.id();
    let wire = first.send(HOSTILE);
    drop(Cbuf::take_back(w.victim, wire).unwrap());
    drop(first);
    w.settled();
    let later: Vec<_> = (0..4).map(|_| filled(w.victim, 2)).collect();
    assert!(later.iter().any(|c| c.id() == id), "used again");
    let refused = Cbuf::receive(w.hostile, wire, VICTIM);
    assert_eq!(refused.unwrap_err(), Error::BadBuffer);
    // The same when who announced it is not the owner.
    drop(later);
    let second = filled(w.victim, 3);
    let got = Cbuf::receive(w.server, second.send(SERVER), VICTIM).unwrap();
    let wire = got.send(HOSTILE);
    drop(Cbuf::take_back(w.server, wire).unwrap());
    drop((second, got));
    let _later: Vec<_> = (0..4).map(|_| filled(w.victim, 4)).collect();
    let refused = Cbuf::receive(w.hostile, wire, SERVER);
    assert_eq!(refused.unwrap_err(), Error::BadBuffer);
}

/// The record of a free buffer holds a link where that of one in use says whom it was sent to.
#[test]
fn a_free_buffer_was_sent_to_nobody() {
    let w = world();
    let all: Vec<_> = (0..4).map(|_| Buffer::try_alloc(w.victim, 1)).collect();
    drop(all);
    for id in 0..8 {
        for to in [SERVER, HOSTILE] {
            let mapped = w.host.with(|m| m.map(to, CbufId(id), VICTIM));
            assert_eq!(mapped, Err(Error::BadBuffer), "{id}");
        }
    }
    w.settled();
}

/// A new buffer under an old one's id is nobody's to name but its senders'.
#[test]
fn admissions_end_with_the_buffer() {
    let w = world();
    let old = filled(w.hostile, 1);
    let id = old.id();
    drop(Cbuf::receive(w.server, old.send(SERVER), HOSTILE).unwrap());
    drop(old);
    w.host.with(|m| m.set_pool(HOSTILE, 0)).unwrap();
    assert_eq!(w.host.with(|m| m.usage(HOSTILE)).unwrap().held, 0);
    let new = filled(w.victim, 2);
    assert_eq!(new.id(), id, "the id is used again");
    let got = Cbuf::receive(w.server, new.send(SERVER), VICTIM).unwrap();
    let refused = Cbuf::receive(w.server, named(id), HOSTILE);
    assert_eq!(refused.unwrap_err(), Error::BadBuffer);
    drop((new, got));
    w.settled();
}

/// The manager takes a buffer away from one holder and finds it in use by the next: the first has
/// it mapped no longer, and is a sender no longer.
#[test]
fn admissions_end_with_the_mapping() {
    let w = world();
    let shared = filled(w.victim, 1);
    let id = shared.id();
    drop(Cbuf::receive(w.server, shared.send(SERVER), VICTIM).unwrap());
    let got = Cbuf::receive(w.hostile, shared.send(HOSTILE), VICTIM).unwrap();
    drop(Cbuf::receive(w.server, got.send(SERVER), HOSTILE).unwrap());
    drop((shared, got));
    // Free again, with both mappings.
    drop((0..4).map(|_| filled(w.victim, 2)).collect::<Vec<_>>());
    drop(Buffer::try_alloc(w.victim, 1).unwrap());
    let there = w.server.record(id).unwrap();
    assert!(there.admits(HOSTILE));
    let order = std::sync::atomic::Ordering::SeqCst;
    there.state.fetch_add(1, order);
    w.host.with(|m| m.set_pool(VICTIM, 0)).unwrap();
    there.state.fetch_sub(1, order);
    assert!(there.load().page_number() != 0, "it kept the buffer");
    assert_eq!(w.hostile.record(id).unwrap().load().page_number(), 0);
    let refused = Cbuf::receive(w.server, named(id), HOSTILE);
    assert_eq!(refused.unwrap_err(), Error::BadBuffer);
}

/// What it sent before it died is still received; what the buffer holds next is not its to name.
#[test]
fn admissions_end_with_the_sender() {
    let w = world();
    let shared = filled(w.victim, 1);
    let id = shared.id();
    let got = Cbuf::receive(w.hostile, shared.send(HOSTILE), VICTIM).unwrap();
    drop(Cbuf::receive(w.server, got.send(SERVER), HOSTILE).unwrap());
    let on_its_way = got.send(SERVER);
    std::mem::forget(got);
    w.host.with(|m| m.component_died(HOSTILE)).unwrap();
    drop(Cbuf::receive(w.server, on_its_way, HOSTILE).unwrap());
    w.host.with(|m| m.component_restarted(HOSTILE)).unwrap();
    drop(shared);
    w.settled();
    let all: Vec<_> = (0..4).map(|_| filled(w.victim, 2)).collect();
    let new = all.iter().find(|c| c.id() == id).expect("used again");
    let got = Cbuf::receive(w.server, new.send(SERVER), VICTIM).unwrap();
    let refused = Cbuf::receive(w.server, named(id), HOSTILE);
    assert_eq!(refused.unwrap_err(), Error::BadBuffer);
    drop(got);
    drop(all);
    w.settled();
}

/// A component outside the server's part of the graph is no sender, even of what it has.
#[test]
fn a_sender_must_be_a_peer() {
    let w = world();
    let terms = Terms {
        component: ComponentId(4),
        pages: 4,
        max_pages: 4,
        heap_pages: 0,
        heap_kept: 0,
        dma: false,
        peers: 1 << 1,
    };
    w.host.with(|m| m.add_client(terms)).unwrap();
    let shut_off = w.host.attach(ComponentId(4));
    let own = filled(w.hostile, 1);
    let refused = Cbuf::receive(shut_off, own.send(ComponentId(4)), HOSTILE);
    assert_eq!(refused.unwrap_err(), Error::BadBuffer);
    let own = filled(w.victim, 1);
    assert!(Cbuf::receive(shut_off, own.send(ComponentId(4)), VICTIM).is_ok());
}

struct Item(Option<Cbuf<'static>>);

impl Record<'static> for Item {
    const WIRE: usize = 12;
    const CBUFS: &'static [usize] = &[0];
    fn encode(self, _client: &'static Client, to: ComponentId, out: &mut [u8]) {
        libcbuf::batch::put_cbuf(self.0, to, out);
    }
    fn decode(client: &'static Client, from: ComponentId, wire: &[u8]) -> Result<Self, Error> {
        libcbuf::batch::take_cbuf(client, from, wire).map(Self)
    }
}

/// A batch of its own, full of buffers that are not: each is refused, and nothing is counted.
#[test]
fn a_flood_in_a_batch_is_refused_record_by_record() {
    let w = world();
    let secrets: Vec<_> = (0..3).map(|n| filled(w.victim, n)).collect();
    let got: Vec<_> = secrets
        .iter()
        .map(|s| Cbuf::receive(w.server, s.send(SERVER), VICTIM).unwrap())
        .collect();
    let before: Vec<_> = got.iter().map(|g| w.counts(w.server, g.id())).collect();
    let mut flood = Buffer::try_alloc(w.hostile, PAGE).unwrap();
    for (n, record) in flood.chunks_exact_mut(12).enumerate() {
        record.copy_from_slice(&named(got[n % 3].id()).to_bytes());
    }
    let sent = flood.freeze(PAGE).send(SERVER);
    let word = u64::from(sent.id) | 341 << 32;
    let batch = Incoming::<Item>::from_wire(w.server, word, HOSTILE).unwrap();
    assert_eq!(
        batch
            .filter(|r| r.as_ref().is_err_and(|e| *e == Error::BadBuffer))
            .count(),
        341
    );
    let after: Vec<_> = got.iter().map(|g| w.counts(w.server, g.id())).collect();
    assert_eq!(before, after);
    // The batch itself must be its own, too.
    let word = u64::from(got[0].id().0) | 1 << 32;
    assert!(Incoming::<Item>::from_wire(w.server, word, HOSTILE).is_err());
    drop((secrets, got));
    w.settled();
}

/// Dropping a batch, or taking back one that was packed, leaves nothing on its way.
#[test]
fn batches_are_taken_back() {
    let w = world();
    let batch = || {
        let mut batch = libcbuf::Batch::new(w.victim, SERVER).unwrap();
        batch.push(Item(Some(filled(w.victim, 1)))).unwrap();
        batch.push(Item(None)).unwrap();
        batch
    };
    drop(batch());
    w.settled();
    let word = batch().into_wire();
    libcbuf::Batch::<Item>::take_back(w.victim, word);
    w.settled();
    libcbuf::Batch::<Item>::take_back(w.victim, 0);
    assert_eq!(w.maps(), 0);
}

/// Who once sent a buffer back to its owner is admitted there; but it names no second reference to
/// what the owner writes, or has not allocated at all.
#[test]
fn what_went_round_is_not_named_while_its_owner_writes_it_or_has_it_idle() {
    let w = world();
    let mine = filled(w.victim, 1);
    let id = mine.id();
    let there = Cbuf::receive(w.server, mine.send(SERVER), VICTIM).unwrap();
    let back = Cbuf::receive(w.victim, there.send(VICTIM), SERVER).unwrap();
    drop((mine, there, back));
    let refused = || {
        let found = Cbuf::receive(w.victim, named(id), SERVER);
        assert_eq!(found.unwrap_err(), Error::BadBuffer);
    };
    // Handed over, and not allocated yet.
    let step = w
        .host
        .with(|m| m.collect(VICTIM, abi::ThreadId(9), 0, false));
    assert!(matches!(step, Ok(cbuf_mgr::Step::Ready(1..))));
    refused();
    // All of the pool, so that it is among them.
    let all: Vec<_> = std::iter::from_fn(|| Buffer::try_alloc(w.victim, 1).ok()).collect();
    assert!(all.iter().any(|buffer| buffer.id() == id));
    refused();
    // On a shelf.
    drop(all);
    refused();
    let again: Vec<_> = std::iter::from_fn(|| Buffer::try_alloc(w.victim, 1).ok()).collect();
    assert_eq!(again.len(), 4);
    drop(again);
    w.settled();
}
