//! Two hostile components, one that owns buffers and one that receives them, beside honest ones
//! that exchange checked buffers all the time. The hostile ones overwrite every word that they
//! share with the manager, call the manager with whatever they like, name buffers that are not
//! theirs, and write wherever the machine lets them. They run no library: what the machine has
//! mapped for them is all that holds them back.

use crate::common::{Host, PAGE};
use abi::layout::SHELF_BYTES;
use abi::{ComponentId, Error, ThreadId};
use cbuf_mgr::machine::Machine;
use libcbuf::meta::{Record, State};
use libcbuf::primitive::{AtomicU32, AtomicU64, Ordering::SeqCst};
use libcbuf::shelf::Shelf;
use libcbuf::{Aggregate, Buffer, Cbuf, CbufId, CbufRef, Client};
use proptest::prelude::*;
use std::collections::HashSet;

/// Honest: two that deal with each other only, and a server that deals with the hostile, too.
const HONEST: u16 = 3;
const SERVER: u16 = 3;
/// Hostile: an owner and a receiver.
const OWNER: u16 = 4;
const RECEIVER: u16 = 5;
const POOL: u64 = 12;
/// Pages that each may own, and what the honest ones write in them.
const HEAP: u64 = 6;
const MARK: &[u8] = b"owned by one";
/// Ids that are tried; there are hardly more.
const IDS: u64 = 64;

struct Held {
    client: u16,
    cbuf: Cbuf<'static>,
    /// What it must hold, where anything is promised.
    bytes: Option<Vec<u8>>,
}

struct Sent {
    from: u16,
    to: u16,
    wire: CbufRef,
    bytes: Vec<u8>,
}

struct World {
    host: Host,
    /// By component; the hostile ones' libraries only look records up.
    clients: Vec<&'static Client>,
    /// What the honest ones own.
    owned: Vec<CbufId>,
    held: Vec<Held>,
    sent: Vec<Sent>,
    /// Ids that a hostile component was sent, or may own.
    shown: HashSet<u32>,
    tags: u64,
    /// What worked, of deeds that should now and then.
    worked: [u32; 3],
}

/// Places in [`World::worked`].
const RECEIVED: usize = 0;
const SEALED: usize = 1;
const AGGREGATE: usize = 2;

fn hostile(n: usize) -> u16 {
    [OWNER, RECEIVER][n % 2]
}

fn honest(n: usize) -> u16 {
    n as u16 % HONEST + 1
}

/// Values that nearly mean something.
fn chosen(value: u64, was: u64) -> u64 {
    let small = value >> 3;
    match value % 8 {
        0 => 0,
        1 => u64::MAX,
        2 => was.wrapping_add(1),
        3 => was.wrapping_sub(1),
        4 => small % 8,
        5 => 1 << (small % 64),
        6 => was ^ 1 << (small % 64),
        _ => value.wrapping_mul(0x9e37_79b9_7f4a_7c15),
    }
}

fn alter32(word: &AtomicU32, value: u64) {
    word.store(chosen(value, u64::from(word.load(SeqCst))) as u32, SeqCst);
}

fn alter64(word: &AtomicU64, value: u64) {
    word.store(chosen(value, word.load(SeqCst)), SeqCst);
}

impl World {
    fn new() -> Self {
        let host = Host::new(64 + u64::from(RECEIVER) * HEAP);
        host.with(|m| m.set_grace(0));
        let pages = |c: u16| POOL.min(40 / u64::from(c));
        let clients = (1..=RECEIVER).map(|c| host.client_with_heap(c, pages(c), 24, HEAP));
        let clients: Vec<_> = clients.collect();
        // Memory of the honest ones that nobody else ever has.
        let owned = |c| host.alloc_owned(ComponentId(c), HEAP).unwrap().1;
        let owned: Vec<_> = (1..=HONEST).map(owned).collect();
        host.with(|m| (1..=HONEST).for_each(|c| m.machine_mut().overwrite(c, MARK)));
        Self {
            clients,
            owned,
            host,
            held: Vec::new(),
            sent: Vec::new(),
            shown: HashSet::new(),
            tags: 0,
            worked: [0; 3],
        }
    }

    fn client(&self, component: u16) -> &'static Client {
        self.clients[component as usize - 1]
    }

    fn alloc(&mut self, client: u16, order: usize) {
        let Ok(mut buffer) = Buffer::try_alloc(self.client(client), PAGE << order) else {
            return;
        };
        self.tags = self.tags.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let tag = self.tags;
        for (n, word) in (0u64..).zip(buffer.chunks_exact_mut(8)) {
            word.copy_from_slice(&(tag ^ n).to_le_bytes());
        }
        let bytes = Some(buffer.to_vec());
        let len = buffer.len();
        let cbuf = buffer.freeze(len);
        self.held.push(Held {
            client,
            cbuf,
            bytes,
        });
    }

    fn send(&mut self, which: usize, to: u16, sealed: bool) {
        let Some(held) = self.held.get(which % self.held.len().max(1)) else {
            return;
        };
        let wire = match sealed {
            true => held.cbuf.send_sealed(ComponentId(to)),
            false => Ok(held.cbuf.send(ComponentId(to))),
        };
        // Others' are not its to seal.
        let Ok(wire) = wire else { return };
        if let Some(bytes) = &held.bytes {
            self.sent.push(Sent {
                from: held.client,
                to,
                wire,
                bytes: bytes.clone(),
            });
        } else if let Ok(back) = Cbuf::receive(self.client(to), wire, ComponentId(held.client)) {
            // Of the hostile owner's nothing is promised, also not that it arrives.
            drop(back);
        }
    }

    /// The server lets a hostile component have what it holds.
    fn show(&mut self, which: usize, to: u16) {
        let mine = self.held.iter().filter(|h| h.client == SERVER);
        let mine: Vec<_> = mine.collect();
        if let Some(held) = mine.get(which % mine.len().max(1)) {
            let wire = held.cbuf.send(ComponentId(to));
            self.shown.insert(wire.id);
        }
    }

    fn receive(&mut self, which: usize) {
        if self.sent.is_empty() {
            return;
        }
        let sent = self.sent.swap_remove(which % self.sent.len());
        match Cbuf::receive(self.client(sent.to), sent.wire, ComponentId(sent.from)) {
            Ok(cbuf) => {
                // A hostile receiver's counters can have a buffer collected that is on its way.
                let promised = !self.shown.contains(&sent.wire.id) || cbuf[..] == sent.bytes[..];
                assert!(cbuf[..] == sent.bytes[..] || !promised, "another's bytes");
                self.held.push(Held {
                    client: sent.to,
                    bytes: (cbuf[..] == sent.bytes[..]).then_some(sent.bytes),
                    cbuf,
                });
            }
            Err(error) => assert!(self.shown.contains(&sent.wire.id), "{error}"),
        }
    }

    fn free(&mut self, which: usize) {
        if !self.held.is_empty() {
            self.held.swap_remove(which % self.held.len());
        }
    }

    fn honest_step(&mut self, kind: u8, a: usize, b: usize, c: u64) {
        match kind % 16 {
            0..=3 => self.alloc(honest(a), b % 4),
            4..=6 => self.send(b, honest(a), c.is_multiple_of(3)),
            7..=9 => self.receive(b),
            10..=13 => self.free(b),
            14 => self.show(b, hostile(a)),
            _ => drop(
                self.host
                    .with(|m| m.set_pool(ComponentId(honest(a)), c % 20)),
            ),
        }
    }

    /// Overwrites a word of each kind by its name.
    fn lie(&mut self, who: u16, kind: usize, a: usize, value: u64) {
        let id = CbufId((value >> 40) as u32 % IDS as u32);
        let words = || self.host.shared_words(who);
        const SHELVES: usize = PAGE / 4;
        const WORDS: usize = size_of::<Shelf>() / 4;
        let Some(record) = self.client(who).record(id) else {
            return;
        };
        match kind % 10 {
            0 | 1 => {
                // Somebody's page, in a size, in a phase and with references that may be false.
                let page = self.host.with(|m| {
                    let mut all: Vec<u64> = m.machine().frames.keys().copied().collect();
                    all.sort_unstable();
                    let page = all.get(a % 40).copied();
                    page.map_or(0, |page| Machine::place(m.machine(), page))
                });
                let state = State::new(page, value as u32 % 32, value >> 5 << 18);
                let references = [0, 1, 2, State::REFERENCES][a % 4];
                record.state.store(state.0 + references, SeqCst);
            }
            2 => alter64(&record.state, value),
            3 => alter32(&record.sent, value),
            4 => alter32(&record.received, value),
            5 => alter64(&record.senders, value),
            6 => match value % 3 {
                0 => record.set_link(chosen(value, 0) as u32),
                _ => alter64(&record.receivers, value),
            },
            // The ring's indices and slots.
            7 => alter32(words()[[0, 16, 32 + a % 512][a % 3]], value),
            // A shelf's count, or a place.
            8 => {
                let word = a % (SHELF_BYTES / 4);
                let words = words();
                words[SHELVES + word / WORDS * WORDS].store(value as u32 % 9, SeqCst);
                let place = (value >> 9) as u32 % IDS as u32 * 32;
                words[SHELVES + word].store(place, SeqCst);
            }
            _ => {
                let words = words();
                words[a % words.len()].store(value as u32, SeqCst);
            }
        }
    }

    /// Calls the manager. What must be refused is.
    fn call(&mut self, who: u16, kind: usize, value: u64) {
        let me = ComponentId(who);
        let id = match value & 7 {
            0..4 => self.known(who, value >> 16),
            _ => CbufId((value >> 16) as u32 % IDS as u32),
        };
        let (thread, from) = (ThreadId(9), ComponentId((value >> 8) as u16 % 70));
        let _ = match kind % 9 {
            0 | 1 => {
                let order = (value >> 8) as u32 % 4;
                self.host
                    .with(|m| m.collect(me, thread, order, false))
                    .map(drop)
            }
            2 => {
                let wait = value & 1 != 0;
                let any = value as u32 % 16;
                let step = self.host.with(|m| m.collect(me, thread, any, wait));
                self.host.with(|m| m.unblocked(me, thread, 1));
                step.map(drop)
            }
            3 => self.host.with(|m| m.map(me, id, from)),
            4 => self.host.with(|m| m.relinquish(me, id)),
            7 => self
                .host
                .alloc_owned(me, (value >> 8) % (HEAP + 2))
                .map(drop),
            8 => self.host.free_owned(me, id),
            5 => {
                let own = self.host.with(|m| m.seal(me, id));
                self.worked[SEALED] += u32::from(own.is_ok());
                own
            }
            _ => {
                let physical = self.host.with(|m| m.physical(me, id));
                assert_eq!(physical, Err(Error::NoRight));
                physical.map(drop)
            }
        };
    }

    /// Makes its own record say that it sent a buffer, which may be anyone's, and names it to an
    /// honest component: as bytes, or as an aggregate.
    fn name(&mut self, who: u16, to: u16, value: u64) {
        let id = self.known(who, value >> 16);
        // What it has, as if it had allocated and sent all of it.
        for n in 0..IDS as u32 {
            let record = self.client(who).record(CbufId(n));
            let sent = value & 3 != 3 && (n == id.0 || value & 4 == 4);
            if let Some(record) = record.filter(|_| sent) {
                record.state.fetch_and(!State::FREE, SeqCst);
                record.receivers.store(Record::bit(ComponentId(to)), SeqCst);
                record.count_send_again();
            }
        }
        let aggregate = value & 12 == 12;
        let wire = CbufRef {
            id: id.0,
            offset: if aggregate {
                0
            } else {
                (value >> 4) as u32 % 64
            },
            len: if aggregate {
                16 + (value >> 24) as u32 % 3 * 16
            } else {
                (value >> 24) as u32 % (PAGE as u32 + 64)
            },
        };
        // A receipt of an aggregate waits for a page, and here nobody else would free one.
        if aggregate && Buffer::try_alloc(self.client(to), PAGE).is_ok() {
            if let Ok(whole) = Aggregate::receive(self.client(to), wire, ComponentId(who)) {
                self.worked[AGGREGATE] += 1;
                for part in whole.parts() {
                    assert!(self.readable(who, part.as_ptr() as usize), "a secret");
                }
            }
            return;
        }
        if let Ok(cbuf) = Cbuf::receive(self.client(to), wire, ComponentId(who)) {
            self.worked[RECEIVED] += 1;
            assert!(self.readable(who, cbuf.as_ptr() as usize), "a secret");
            self.shown.insert(id.0);
            self.held.push(Held {
                client: to,
                bytes: cbuf.is_sealed().then(|| cbuf.to_vec()),
                cbuf,
            });
        }
    }

    /// An id of which a hostile component's records say something, if there is one.
    fn known(&self, who: u16, value: u64) -> CbufId {
        let all = (0..IDS).map(|n| CbufId(((value + n) % IDS) as u32));
        let mut here = all.filter(|id| {
            let record = self.client(who).record(*id);
            record.is_some_and(|r| r.load().page_number() != 0)
        });
        here.next().unwrap_or(CbufId(value as u32 % IDS as u32))
    }

    /// Whether a component has the page of an address.
    fn readable(&self, who: u16, address: usize) -> bool {
        self.host.with(|m| {
            let page = m.machine().page_at(address);
            let frames = &m.machine().frames;
            let within = |first: u64| page >= first && page < first + (1 << frames[&first]);
            let mut mapped = m.machine().mapped.keys();
            mapped.any(|(c, first)| *c == who && within(*first))
        })
    }

    /// A table of entries that may mean something, wherever it can write.
    fn scrawl(&mut self, who: u16, value: u64) {
        let mut table = [0; 64];
        for (n, word) in table.chunks_exact_mut(4).enumerate() {
            let bits = value.rotate_left(n as u32 * 11);
            let word32 = match n % 4 {
                0 => self.known(who, bits).0,
                3 => bits as u32 % 5 / 4,
                _ => bits as u32 % 2100,
            };
            word.copy_from_slice(&word32.to_le_bytes());
        }
        self.host.with(|m| m.machine_mut().overwrite(who, &table));
    }

    fn hostile_step(&mut self, kind: u8, a: usize, b: usize, c: u64) {
        let who = hostile(a / 8);
        match kind % 8 {
            0..=3 => self.lie(who, b, a, c),
            4 | 5 => self.call(who, b, c),
            6 => self.name(who, honest(b), c),
            _ => self.scrawl(who, c),
        }
    }

    fn check(&self) {
        self.host.check();
        let marked = self
            .host
            .with(|m| m.machine().own_of(1..=HONEST, MARK.len()));
        assert_eq!(marked.len() as u64, u64::from(HONEST) * HEAP);
        assert!(marked.iter().all(|bytes| bytes == MARK), "a heap changed");
        for held in &self.held {
            if let Some(bytes) = &held.bytes {
                assert!(
                    held.cbuf[..] == bytes[..],
                    "an honest component's data changed"
                );
            }
            self.host.with(|m| {
                let machine = m.machine();
                let page =
                    machine.page_at(held.cbuf.as_ptr() as usize - held.cbuf.offset() as usize);
                assert!(machine.mapped.contains_key(&(held.client, page)));
                if held.cbuf.is_sealed() {
                    assert!((0..=RECEIVER).all(|c| machine.mapped.get(&(c, page)) != Some(&true)));
                }
                if !self.shown.contains(&held.cbuf.id().0) {
                    let seen = |c| machine.mapped.contains_key(&(c, page));
                    assert!(!seen(OWNER) && !seen(RECEIVER), "a secret is out");
                }
            });
        }
    }

    /// The hostile die, everybody gives everything back, and so does the manager: every page.
    fn end(mut self) -> [u32; 3] {
        while !self.sent.is_empty() {
            self.receive(0);
        }
        self.check();
        self.held.clear();
        for (component, id) in (1..).zip(&self.owned) {
            self.host.free_owned(ComponentId(component), *id).unwrap();
        }
        for component in [OWNER, RECEIVER] {
            self.host
                .with(|m| m.component_died(ComponentId(component)))
                .unwrap();
        }
        // What the hostile miscounted is seen to stand still, and ends.
        for _ in 0..2 {
            for client in 1..=HONEST {
                self.host
                    .with(|m| m.set_pool(ComponentId(client), 0))
                    .unwrap();
            }
            self.host
                .with(|m| m.component_died(ComponentId(OWNER)))
                .unwrap();
        }
        self.host.check();
        let memory = self.host.with(|m| m.memory());
        assert_eq!((memory.pooled, memory.live), (0, 0));
        self.host.with(|m| {
            assert!(m.machine().frames.is_empty());
            assert!(m.machine().mapped.is_empty());
        });
        self.worked
    }
}

type Op = (u8, usize, usize, u64);

fn run(ops: &[Op]) -> [u32; 3] {
    let mut world = World::new();
    for &(kind, a, b, c) in ops {
        match kind % 2 {
            0 => world.honest_step(kind / 2, a, b, c),
            _ => world.hostile_step(kind / 2, a, b, c),
        }
        world.check();
    }
    world.end()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::common::cases(64), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    #[cfg_attr(miri, ignore = "takes minutes there")]
    fn whatever_the_hostile_write_the_honest_keep_their_data(
        ops in prop::collection::vec(any::<Op>(), 1..300),
    ) {
        run(&ops);
    }
}

/// The same with one long sequence, in which every deed worked at least once.
#[test]
#[cfg_attr(miri, ignore = "takes minutes there")]
fn the_deeds_are_no_blanks() {
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let mut worked = [0; 3];
    for _ in 0..16 {
        let op = |next: &mut dyn FnMut() -> u64| {
            let numbers = [next(), next(), next()].map(|n| (n >> 20) as usize);
            (numbers[0] as u8, numbers[1], numbers[2], next())
        };
        let ops: Vec<Op> = (0..400).map(|_| op(&mut next)).collect();
        for (sum, n) in worked.iter_mut().zip(run(&ops)) {
            *sum += n;
        }
    }
    assert!(worked.iter().all(|n| *n > 5), "{worked:?}");
}

/// Makes a component's record say that a buffer was allocated, sent to `to` as often as it was
/// received there, and freed.
fn claim_received(owner: &Client, id: CbufId, receiver: &Client) {
    let record = owner.record(id).unwrap();
    let received = receiver.record(id).map_or(0, |r| r.received.load(SeqCst));
    record.sent.store(received, SeqCst);
    let free = State(record.load().0 & !State::REFERENCES);
    record.state.store(free.0, SeqCst);
}

fn is_writable(host: &Host, component: u16, cbuf: &Cbuf<'_>) -> bool {
    host.with(|m| {
        let page = m.machine().page_at(cbuf.as_ptr() as usize);
        m.machine().mapped[&(component, page)]
    })
}

/// What the receiver knows to be sealed stays as it is, whatever its owner says about it: the owner
/// gets it back when the receiver has freed it.
#[test]
fn a_sealed_buffer_does_not_change_while_it_is_held() {
    let host = Host::new(8);
    let (owner, server) = (host.client(OWNER, 1, 1), host.client(SERVER, 2, 2));
    let (me, thread) = (ComponentId(OWNER), ThreadId(9));
    for round in 0..3u8 {
        let mut buffer = Buffer::try_alloc(owner, PAGE).unwrap();
        buffer.fill(round);
        let cbuf = buffer.freeze(PAGE);
        let wire = cbuf.send_sealed(ComponentId(SERVER)).unwrap();
        let got = Cbuf::receive(server, wire, me).unwrap();
        std::mem::forget(cbuf);
        assert!(got.is_sealed() && !is_writable(&host, OWNER, &got));
        claim_received(owner, got.id(), server);
        for _ in 0..3 {
            let step = host.with(|m| m.collect(me, thread, 0, false));
            assert_eq!(step, Ok(cbuf_mgr::Step::Ready(0)));
            host.with(|m| m.machine_mut().overwrite(OWNER, &[0xff; 64]));
            assert!(got.is_sealed() && got.iter().all(|byte| *byte == round));
        }
        drop(got);
        host.check();
    }
}

/// An owner that gets back what it sent sealed, before it arrives, can write it; but then its
/// receiver is not told that it is sealed.
#[test]
fn what_was_unsealed_on_its_way_does_not_pass_for_sealed() {
    for known in [false, true] {
        let host = Host::new(8);
        let (owner, server) = (host.client(OWNER, 1, 1), host.client(SERVER, 2, 2));
        let (me, thread) = (ComponentId(OWNER), ThreadId(9));
        let cbuf = Buffer::try_alloc(owner, PAGE).unwrap().freeze(PAGE);
        if known {
            // The server has it mapped from before.
            let wire = cbuf.send_sealed(ComponentId(SERVER)).unwrap();
            let got = Cbuf::receive(server, wire, me).unwrap();
            assert!(got.is_sealed());
        }
        let wire = cbuf.send_sealed(ComponentId(SERVER)).unwrap();
        let sent_to = owner.record(cbuf.id()).unwrap().sent_to();
        std::mem::forget(cbuf);
        claim_received(owner, CbufId(wire.id), server);
        let step = host.with(|m| m.collect(me, thread, 0, false));
        assert_eq!(step, Ok(cbuf_mgr::Step::Ready(1)));
        // It says again what it said before, for the server to get it.
        let record = owner.record(CbufId(wire.id)).unwrap();
        record.state.fetch_and(!State::FREE, SeqCst);
        record.receivers.store(sent_to, SeqCst);
        record.count_send_again();
        let got = Cbuf::receive(server, wire, me).unwrap();
        assert!(!got.is_sealed() && is_writable(&host, OWNER, &got));
        // Sealed now, it is from now on, for whoever holds it already.
        host.with(|m| m.seal(me, got.id())).unwrap();
        assert!(got.is_sealed() && !is_writable(&host, OWNER, &got));
    }
}

/// Words change while the manager reads them, collecting among others what the hostile component was
/// sent, and honest clients run beside.
#[test]
#[cfg_attr(miri, ignore = "takes minutes there")]
fn words_that_change_all_the_time_harm_nobody() {
    let host = Host::new(64);
    host.with(|m| m.set_grace(0));
    let (a, b) = (host.client(1, 6, 12), host.client(2, 6, 12));
    // Shows what it has to the hostile one.
    let c = host.client(3, 8, 8);
    let _library = host.client(OWNER, 12, 24);
    let me = ComponentId(OWNER);
    let done = AtomicU32::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut words = host.shared_words(OWNER);
            let mut n = 0u64;
            while done.load(SeqCst) == 0 {
                n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let at = (n >> 20) as usize % words.len();
                alter32(words[at], n >> 8);
                // Of its first records, mostly: they are of buffers that it has.
                let records = words.len() - PAGE / 4;
                alter32(words[records + at % 256], n >> 16);
                if n.is_multiple_of(512) {
                    words = host.shared_words(OWNER);
                }
            }
        });
        scope.spawn(|| {
            let mut n = 0u64;
            while done.load(SeqCst) == 0 {
                n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let id = CbufId((n >> 40) as u32 % IDS as u32);
                let _ = match n >> 60 {
                    0..6 => host
                        .with(|m| m.collect(me, ThreadId(9), (n >> 50) as u32 % 3, false))
                        .map(drop),
                    6..8 => host.with(|m| m.map(me, id, ComponentId((n >> 50) as u16 % 5))),
                    8..10 => host.with(|m| m.relinquish(me, id)),
                    10..13 => host.with(|m| m.seal(me, id)),
                    _ => host.with(|m| m.set_pool(me, (n >> 50) % 24)),
                };
                host.with(|m| m.take_wakes());
            }
        });
        let mut shown = std::collections::VecDeque::new();
        let mut shows = 0;
        for round in 0..1500u64 {
            let order = round as usize % 3;
            let mut buffer = Buffer::alloc(a, PAGE << order).unwrap();
            let len = buffer.len();
            buffer.fill(round as u8);
            let sent = buffer.freeze(len);
            let there = Cbuf::receive(b, sent.send(ComponentId(2)), ComponentId(1)).unwrap();
            drop(sent);
            assert!(there.len() == len && there.iter().all(|byte| *byte == round as u8));
            if let Ok(mut buffer) = Buffer::try_alloc(c, PAGE) {
                buffer.fill(round as u8);
                let cbuf = buffer.freeze(PAGE);
                let _ = cbuf.send(me);
                let _ = host.with(|m| m.map(me, cbuf.id(), ComponentId(3)));
                shown.push_back((cbuf, round as u8));
                shows += 1;
            }
            if shown.len() > 3 {
                // As long as its owner has it, it is as it was, whatever its receiver counts.
                let (cbuf, byte) = shown.pop_front().unwrap();
                assert!(cbuf.iter().all(|b| *b == byte));
            }
        }
        assert!(shows >= 8);
        shown.clear();
        done.store(1, SeqCst);
    });
    host.check();
    for _ in 0..2 {
        host.with(|m| m.component_died(me)).unwrap();
        for client in [1, 2, 3] {
            host.with(|m| m.set_pool(ComponentId(client), 0)).unwrap();
        }
    }
    assert_eq!(host.with(|m| m.memory().pooled), 0);
    assert!(host.with(|m| m.machine().mapped.is_empty()));
}
