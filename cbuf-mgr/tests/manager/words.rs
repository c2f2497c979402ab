//! Every kind of word that a client shares with the manager, set to every value that could mean
//! something, each in a world of its own with buffers in all phases; then all that the manager does.
//! What the honest have stays as it was, and when the hostile component is dead, every page is back.

use crate::common::{Host, PAGE};
use abi::layout::MAX_CBUFS;
use abi::{ComponentId, ThreadId};
use cbuf_mgr::Manager;
use cbuf_mgr::machine::Machine;
use libcbuf::meta::{Record, State};
use libcbuf::primitive::{AtomicU32, AtomicU64, Ordering::SeqCst};
use libcbuf::{Buffer, Cbuf, CbufId, CbufRef, Client};

/// Honest components.
const A: ComponentId = ComponentId(1);
const B: ComponentId = ComponentId(2);
/// The hostile one.
const H: ComponentId = ComponentId(4);
const HOSTILE_THREAD: ThreadId = ThreadId(9);
const POOL: u64 = 32;

/// In what phase a buffer is, of which a record is overwritten.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// The hostile component's own: nobody has it any more.
    Garbage,
    /// Handed over and not taken out of the ring.
    Ringed,
    Listed,
    Shelved,
    Exclusive,
    /// Sent to A, which has not received it.
    OnItsWay,
    /// A has it.
    Given,
    /// A has it, and was told that nobody can write it.
    Sealed,
    /// A's: both have it.
    Shared,
    /// A's: only the hostile component has it.
    Kept,
    /// A's: sent to the hostile component, which has not received it.
    Coming,
    /// A's: passed on to B, which has not received it.
    Passed,
    /// A's and B's alone. The hostile component's record says nothing of it.
    Secret,
}

const PHASES: [Phase; 13] = [
    Phase::Garbage,
    Phase::Ringed,
    Phase::Listed,
    Phase::Shelved,
    Phase::Exclusive,
    Phase::OnItsWay,
    Phase::Given,
    Phase::Sealed,
    Phase::Shared,
    Phase::Kept,
    Phase::Coming,
    Phase::Passed,
    Phase::Secret,
];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Word {
    /// Address, size, flags and reference count.
    State(Phase),
    Sent(Phase),
    Received(Phase),
    Senders(Phase),
    /// Whom it was sent to, or a link.
    Receivers(Phase),
    RingTail,
    RingHead,
    /// The first slot, and the one that was handed over last.
    RingSlot(bool),
    /// Of the shelf that has something.
    ShelfCount,
    ShelfPlace(usize),
}

/// What the manager and the honest do next.
const DEEDS: usize = 12;

struct World {
    host: Host,
    a: &'static Client,
    b: &'static Client,
    h: &'static Client,
    ids: [CbufId; PHASES.len()],
    /// What the honest have, and what it holds, where that is promised.
    held: Vec<(ComponentId, Cbuf<'static>, Option<u8>)>,
    /// Where the ring ended, and which shelf has something.
    ring_tail: usize,
    shelf: usize,
    to_a: CbufRef,
    to_b: CbufRef,
}

fn filled(client: &'static Client, byte: u8) -> Cbuf<'static> {
    let mut buffer = Buffer::try_alloc(client, PAGE).unwrap();
    buffer.fill(byte);
    buffer.freeze(PAGE)
}

fn give(
    cbuf: &Cbuf<'static>,
    to: ComponentId,
    there: &'static Client,
    from: ComponentId,
) -> Cbuf<'static> {
    Cbuf::receive(there, cbuf.send(to), from).unwrap()
}

impl World {
    fn new() -> Self {
        let host = Host::new(4 * POOL);
        host.with(|m| m.set_patience(0));
        let [a, b, h] = [A, B, H].map(|c| host.client(c.0, POOL, POOL));
        Self {
            host,
            a,
            b,
            h,
            ids: [CbufId::NONE; PHASES.len()],
            held: Vec::new(),
            ring_tail: 0,
            shelf: 0,
            to_a: CbufRef::NONE,
            to_b: CbufRef::NONE,
        }
    }

    /// One buffer in each phase. The hostile component has kept all rules so far.
    fn set_up(&mut self) {
        self.host.with(|m| m.set_grace(u64::MAX));
        let (a, b, h) = (self.a, self.b, self.h);
        let mut at = |phase: Phase, id| {
            let place = PHASES.iter().position(|p| *p == phase).unwrap();
            self.ids[place] = id;
        };
        // Nine at once: a shelf takes seven of them; for the eighth, four of these go to the freelist.
        let many: Vec<_> = (0..9)
            .map(|_| Buffer::try_alloc(h, PAGE).unwrap())
            .collect();
        at(Phase::Listed, many[6].id());
        let shelved = many[8].id();
        at(Phase::Shelved, shelved);
        many.into_iter().for_each(drop);
        let new = |byte| {
            // Larger, so that what lies idle in small stays there.
            let mut buffer = Buffer::try_alloc(h, 2 * PAGE).unwrap();
            buffer.fill(byte);
            buffer.freeze(PAGE)
        };
        let garbage = new(1);
        at(Phase::Garbage, garbage.id());
        drop(give(&garbage, A, a, H));
        let exclusive = Buffer::try_alloc(h, 2 * PAGE).unwrap();
        at(Phase::Exclusive, exclusive.id());
        std::mem::forget(exclusive);
        let on_its_way = new(2);
        at(Phase::OnItsWay, on_its_way.id());
        self.to_a = on_its_way.send(A);
        std::mem::forget(on_its_way);
        let given = new(3);
        at(Phase::Given, given.id());
        self.held.push((A, give(&given, A, a, H), None));
        std::mem::forget(given);
        let sealed = new(4);
        at(Phase::Sealed, sealed.id());
        let there = Cbuf::receive(a, sealed.send_sealed(A).unwrap(), H).unwrap();
        assert!(there.is_sealed());
        self.held.push((A, there, Some(4)));
        std::mem::forget(sealed);

        let shared = filled(a, 5);
        at(Phase::Shared, shared.id());
        std::mem::forget(give(&shared, H, h, A));
        self.held.push((A, shared, Some(5)));
        let kept = filled(a, 6);
        at(Phase::Kept, kept.id());
        std::mem::forget(give(&kept, H, h, A));
        drop(kept);
        let coming = filled(a, 7);
        at(Phase::Coming, coming.id());
        let _ = coming.send(H);
        drop(coming);
        let passed = filled(a, 8);
        at(Phase::Passed, passed.id());
        self.to_b = give(&passed, H, h, A).send(B);
        drop(passed);
        let secret = filled(a, 9);
        at(Phase::Secret, secret.id());
        self.held.push((B, give(&secret, B, b, A), Some(9)));
        self.held.push((A, secret, Some(9)));

        let step = self.host.with(|m| m.collect(H, HOSTILE_THREAD, 2, false));
        assert!(matches!(step, Ok(cbuf_mgr::Step::Ready(1..))));
        self.ring_tail = self.host.ring_word(H, 0).load(SeqCst) as usize;
        let last = self.host.ring_word(H, 32 + (self.ring_tail - 1) % 512);
        at(Phase::Ringed, CbufId(last.load(SeqCst)));
        let word = |n| self.host.shelf_word(H, n).load(SeqCst);
        let lists = |shelf| (1..=word(shelf)).any(|n| word(shelf + n as usize) == shelved.0 << 5);
        self.shelf = (0..64 * 16).map(|n| n * 8).find(|n| lists(*n)).unwrap();
        drop(garbage);
        for phase in PHASES {
            let state = self.record(phase).load();
            let flags = state.0 & (State::FREE | State::EXCLUSIVE | State::INCONSISTENT);
            let expected = match phase {
                Phase::Ringed => (0, State::FREE),
                Phase::Listed | Phase::Shelved | Phase::Exclusive => (1, State::EXCLUSIVE),
                Phase::Garbage | Phase::Passed => (0, 0),
                Phase::Coming | Phase::Secret => (0, State::INCONSISTENT),
                _ => (1, 0),
            };
            assert_eq!((state.references(), flags), expected, "{phase:?}");
            let linked = self.record(phase).is_linked();
            assert_eq!(linked, phase == Phase::Listed, "{phase:?}");
        }
    }

    fn id(&self, phase: Phase) -> CbufId {
        self.ids[PHASES.iter().position(|p| *p == phase).unwrap()]
    }

    fn record(&self, phase: Phase) -> &'static Record {
        self.h.record(self.id(phase)).unwrap()
    }

    fn word(&self, word: Word) -> Place {
        match word {
            Word::State(phase) => Place::Long(&self.record(phase).state),
            Word::Sent(phase) => Place::Short(&self.record(phase).sent),
            Word::Received(phase) => Place::Short(&self.record(phase).received),
            Word::Senders(phase) => Place::Long(&self.record(phase).senders),
            Word::Receivers(phase) => Place::Long(&self.record(phase).receivers),
            Word::RingTail => Place::Short(self.host.ring_word(H, 0)),
            Word::RingHead => Place::Short(self.host.ring_word(H, 16)),
            Word::RingSlot(last) => {
                let slot = if last { self.ring_tail - 1 } else { 0 };
                Place::Short(self.host.ring_word(H, 32 + slot % 512))
            }
            Word::ShelfCount => Place::Short(self.host.shelf_word(H, self.shelf)),
            Word::ShelfPlace(n) => Place::Short(self.host.shelf_word(H, self.shelf + 1 + n)),
        }
    }

    /// Everything that could mean something in a word that now says `was`.
    fn values(&self, word: Word, was: u64) -> Vec<u64> {
        let mut all = vec![
            0,
            1,
            2,
            u64::MAX,
            u64::MAX - 1,
            was,
            was.wrapping_add(1),
            was.wrapping_sub(1),
        ];
        all.extend((0..64).map(|bit| was ^ 1 << bit));
        let ids = self.ids.iter().map(|id| u64::from(id.0));
        let ids = ids.chain([MAX_CBUFS as u64 - 1, MAX_CBUFS as u64, 0xffff_fffe]);
        match word {
            Word::State(_) => {
                let state = State(was);
                let with = |page: u64, order: u64, flags: u64, count: u64| {
                    State::new(page, order as u32, flags << 18).0 | count
                };
                let (page, order, flags, count) = (
                    state.page_number(),
                    u64::from(state.order()),
                    state.0 >> 18 & 31,
                    state.references(),
                );
                let pages = self.host.with(|m| {
                    let pages = m.machine().frames.keys();
                    let mut pages: Vec<u64> = pages.map(|page| m.machine().place(*page)).collect();
                    pages.sort_unstable();
                    pages
                });
                all.extend(pages.iter().map(|page| with(*page, order, flags, count)));
                all.extend([0, 1, (1 << 36) - 1].map(|page| with(page, order, flags, count)));
                all.extend((0..32).map(|order| with(page, order, flags, count)));
                for count in [
                    0,
                    1,
                    2,
                    State::REFERENCES / 2,
                    State::REFERENCES / 2 + 1,
                    State::REFERENCES,
                ] {
                    all.extend((0..32).map(|flags| with(page, order, flags, count)));
                }
            }
            Word::Senders(_) => {}
            Word::Receivers(_) => {
                all.extend(ids.map(|id| id << 32 | Record::LINK));
                all.push(u64::from(Record::END) << 32 | Record::LINK);
            }
            Word::ShelfPlace(_) => all.extend(ids.map(|id| id << 5)),
            Word::ShelfCount => all.extend(0..9),
            _ => all.extend(ids),
        }
        if let Place::Short(_) = self.word(word) {
            all.iter_mut().for_each(|value| *value &= 0xffff_ffff);
        }
        all.sort_unstable();
        all.dedup();
        all
    }

    fn deed(&mut self, deed: usize) {
        let host = self.host.clone();
        let with_wait = |who, thread, order| {
            let _ = host.with(|m| m.collect(who, thread, order, true));
            host.with(|m| m.unblocked(who, thread, 1));
        };
        match deed {
            0 => drop(host.with(|m| m.collect(H, HOSTILE_THREAD, 0, false))),
            1 => with_wait(H, HOSTILE_THREAD, 2),
            2 => drop(Buffer::try_alloc(self.a, 4 * PAGE)),
            3 => {
                with_wait(A, ThreadId(10), 3);
                // An honest client takes what it asked for.
                drop(Buffer::try_alloc(self.a, 8 * PAGE));
            }
            4 | 5 => {
                let who = [H, A][deed - 4];
                host.with(|m| m.set_pool(who, 0)).unwrap();
                host.with(|m| m.set_pool(who, POOL)).unwrap();
            }
            6 => {
                for id in self.ids {
                    for from in [A, B, H, ComponentId(63)] {
                        let _ = host.with(|m| m.map(H, id, from));
                    }
                }
            }
            7 => self.name_all(),
            8 => {
                for id in self.ids {
                    let _ = host.with(|m| m.relinquish(H, id));
                }
            }
            9 => {
                for phase in [
                    Phase::Shared,
                    Phase::Kept,
                    Phase::Coming,
                    Phase::Passed,
                    Phase::Secret,
                ] {
                    let id = self.id(phase);
                    // Where it ended and is the hostile component's now, it may.
                    let owned = host.with(|m| m.usage(H).unwrap().held);
                    assert!(owned > 0 || host.with(|m| m.seal(H, id)).is_err());
                }
                for id in self.ids {
                    let _ = host.with(|m| m.seal(H, id));
                }
            }
            10 => {
                // What arrives is what was sent, or nothing: its way led through the hostile one.
                let got = Cbuf::receive(self.a, std::mem::take(&mut self.to_a), H);
                self.held.extend(got.map(|cbuf| (A, cbuf, None)));
                let got = Cbuf::receive(self.b, std::mem::take(&mut self.to_b), H);
                self.held.extend(got.map(|cbuf| (B, cbuf, None)));
            }
            _ => drop(Buffer::try_alloc(self.b, 4 * PAGE)),
        }
        host.with(Manager::take_wakes);
    }

    /// Names all buffers to the honest, as if it had sent them.
    fn name_all(&self) {
        for id in self.ids {
            for client in [self.a, self.b] {
                let wire = CbufRef {
                    id: id.0,
                    offset: 0,
                    len: 1,
                };
                if let Ok(cbuf) = Cbuf::receive(client, wire, H) {
                    assert!(self.has(H, cbuf.as_ptr()), "a secret");
                }
            }
        }
    }

    /// Whether a component has the page mapped.
    fn has(&self, who: ComponentId, at: *const u8) -> bool {
        self.host.with(|m| {
            let page = m.machine().page_at(at as usize);
            let frames = &m.machine().frames;
            let within = |first: u64| page >= first && page < first + (1 << frames[&first]);
            let mut mapped = m.machine().mapped.keys();
            mapped.any(|(c, first)| *c == who.0 && within(*first))
        })
    }

    fn check(&self) {
        self.host.check();
        for (who, cbuf, byte) in &self.held {
            assert!(self.has(*who, cbuf.as_ptr()), "taken from its holder");
            if let Some(byte) = byte {
                assert!(cbuf[0] == *byte && cbuf[PAGE - 1] == *byte, "changed");
            }
            if *byte == Some(9) {
                assert!(!self.has(H, cbuf.as_ptr()), "a secret is out");
            }
        }
        // The honest go on.
        let wire = filled(self.b, 1).send(A);
        let there = Cbuf::receive(self.a, wire, B).unwrap();
        assert!(there.iter().all(|byte| *byte == 1));
    }

    /// The hostile component dies, the honest let go: every page is free. Then all begin anew.
    fn end(&mut self) {
        self.host.with(|m| m.component_died(H)).unwrap();
        self.check();
        assert!(
            self.host
                .with(|m| m.machine().mapped.keys().all(|(c, _)| *c != H.0))
        );
        for (wire, to, there) in [(self.to_a, A, self.a), (self.to_b, B, self.b)] {
            let _ = (Cbuf::receive(there, wire, H), to);
        }
        (self.to_a, self.to_b) = (CbufRef::NONE, CbufRef::NONE);
        self.held.clear();
        // What was miscounted is seen to stand still, and ends.
        self.host.with(|m| m.set_grace(0));
        for _ in 0..2 {
            for client in [A, B] {
                self.host.with(|m| m.set_pool(client, 0)).unwrap();
            }
            self.host.with(|m| m.component_died(H)).unwrap();
        }
        let memory = self.host.with(|m| m.memory());
        assert_eq!((memory.pooled, memory.live), (0, 0));
        assert!(
            self.host
                .with(|m| m.machine().frames.is_empty() && m.machine().mapped.is_empty())
        );
        for client in [A, B] {
            self.host.with(|m| m.set_pool(client, POOL)).unwrap();
        }
        self.host.with(|m| m.component_restarted(H)).unwrap();
        self.h = self.host.attach(H);
    }
}

#[derive(Clone, Copy)]
enum Place {
    Short(&'static AtomicU32),
    Long(&'static AtomicU64),
}

impl Place {
    fn load(self) -> u64 {
        match self {
            Place::Short(word) => u64::from(word.load(SeqCst)),
            Place::Long(word) => word.load(SeqCst),
        }
    }
    fn store(self, value: u64) {
        match self {
            Place::Short(word) => word.store(value as u32, SeqCst),
            Place::Long(word) => word.store(value, SeqCst),
        }
    }
}

/// Tries every value in some words; answers how many that were.
fn try_all(words: impl IntoIterator<Item = Word>) -> usize {
    let mut worlds = 0;
    for word in words {
        // Anew for each word, so that the first value meets a manager that knows of no death.
        let mut world = World::new();
        for n in 0.. {
            world.set_up();
            let place = world.word(word);
            let values = world.values(word, place.load());
            let Some(value) = values.get(n) else { break };
            // Every other world knows that what stands still is lost.
            let grace = [u64::MAX, 0][n % 2];
            world.host.with(|m| m.set_grace(grace));
            place.store(*value);
            for deed in 0..DEEDS {
                world.deed((n + deed) % DEEDS);
                if deed % 4 == 1 {
                    world.check();
                    // Again, for what was there may have been set right.
                    place.store(*value);
                }
            }
            world.end();
            worlds += 1;
        }
    }
    worlds
}

#[test]
#[cfg_attr(miri, ignore = "takes minutes there")]
fn every_chosen_state_harms_nobody_else() {
    assert!(try_all(PHASES.map(Word::State)) > 3000);
}

#[test]
#[cfg_attr(miri, ignore = "takes minutes there")]
fn every_chosen_counter_harms_nobody_else() {
    let all = PHASES
        .into_iter()
        .flat_map(|p| [Word::Sent(p), Word::Received(p)]);
    assert!(try_all(all) > 1000);
}

#[test]
#[cfg_attr(miri, ignore = "takes minutes there")]
fn every_chosen_set_or_link_harms_nobody_else() {
    let all = PHASES
        .into_iter()
        .flat_map(|p| [Word::Senders(p), Word::Receivers(p)]);
    assert!(try_all(all) > 1700);
}

#[test]
#[cfg_attr(miri, ignore = "takes minutes there")]
fn every_chosen_index_and_place_harms_nobody_else() {
    let ring = [
        Word::RingTail,
        Word::RingHead,
        Word::RingSlot(false),
        Word::RingSlot(true),
    ];
    let shelf = (0..7).map(Word::ShelfPlace).chain([Word::ShelfCount]);
    assert!(try_all(ring.into_iter().chain(shelf)) > 450);
}
