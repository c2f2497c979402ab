//! One buffer in three components, at the grain of single accesses to shared words: whatever the
//! components may do, in any number of threads, while one collector reads the words one by one.
//! The words change by the methods of the real [`Record`], and our collector is the real
//! [`Collection`]; only the order in which a thread makes its accesses is told again here.

use abi::ComponentId;
use cbuf_mgr::liveness::{Collection, Counts, Look, Pass, Verdict, is_garbage};
use libcbuf::meta::{Record, State};
use libcbuf::primitive::Ordering::SeqCst;
use stateright::{Model, Property};
use std::cell::Cell;

pub const COMPONENTS: usize = 3;

/// A record's words, as a value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Words {
    pub state: u64,
    pub sent: u32,
    pub received: u32,
    pub receivers: u64,
}

impl Words {
    fn record(self) -> Record {
        let record = Record::default();
        record.state.store(self.state, SeqCst);
        record.sent.store(self.sent, SeqCst);
        record.received.store(self.received, SeqCst);
        record.receivers.store(self.receivers, SeqCst);
        record
    }

    /// What one access to the real record makes of it.
    fn change<R>(&mut self, access: impl FnOnce(&Record) -> R) -> R {
        let record = self.record();
        let result = access(&record);
        *self = Self {
            state: record.state.load(SeqCst),
            sent: record.sent.load(SeqCst),
            received: record.received.load(SeqCst),
            receivers: record.receivers.load(SeqCst),
        };
        result
    }

    pub fn references(self) -> u64 {
        State(self.state).references()
    }
}

/// Somebody who has the buffer, or something of it that is on its way. Each goes on by itself, so
/// a component has as many threads as it has references.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Party {
    /// Has a reference.
    Holder { at: usize },
    /// Has a reference, and has noted the receiver: counts the send next.
    Sender { at: usize, to: usize },
    /// An id on its way.
    Message { from: usize, to: usize },
    /// Has a reference: counts the receipt next.
    Receiver { at: usize },
}

/// One access to one shared word.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Act {
    NoteReceiver { at: usize, to: usize },
    CountSend { at: usize, to: usize },
    TakeReference { at: usize, from: usize, to: usize },
    CountReceipt { at: usize },
    Free { at: usize },
    Read,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Word {
    Sent,
    Received,
    Receivers,
    References,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Collector {
    /// Ours: the real state between two components, and what it read of the next one so far.
    Ours {
        collection: Collection,
        component: usize,
        seen: Vec<u64>,
    },
    /// Ours for what is simple: what it read so far.
    Short {
        seen: Vec<u64>,
    },
    /// In an order of its own: how many words it read, and their sums.
    Ordered {
        read: usize,
        sent: u32,
        received: u32,
    },
    Done(Verdict),
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct World {
    pub words: [Words; COMPONENTS],
    /// Sorted: who they are does not matter.
    pub parties: Vec<Party>,
    pub sends_left: usize,
    pub collector: Collector,
    /// Nobody had it when the collector began.
    pub was_garbage: bool,
}

impl World {
    pub fn is_live(&self) -> bool {
        !self.parties.is_empty()
    }
}

#[derive(Clone, Copy)]
pub enum Kind {
    Ours,
    /// Ours for what is simple.
    Short,
    /// The paper's, which does not say in what order it reads a component's words.
    OnePass([Word; 3]),
    /// As [`Kind::Short`], each record's sends before its references.
    Hasty,
}

/// Which component's word is read at a step, where the collector is no code of ours.
fn ordered(kind: Kind, step: usize) -> (usize, Word) {
    match (kind, step.checked_sub(COMPONENTS)) {
        (Kind::OnePass(order), _) => (step / order.len(), order[step % order.len()]),
        (_, None) => (step, Word::Received),
        (_, Some(step)) => (step / 2, [Word::Sent, Word::References][step % 2]),
    }
}

pub struct Protocol {
    pub kind: Kind,
    /// Sends in all.
    pub sends: usize,
    /// Whether senders may take back what they sent.
    pub take_back: bool,
}

/// Answers what was read before, and after that what stands there now.
struct Replay<'w> {
    seen: &'w [u64],
    record: Record,
    reads: Cell<usize>,
    /// The first word that was not seen before, and what it says.
    fresh: Cell<Option<(Word, u64)>>,
}

impl<'w> Replay<'w> {
    fn new(seen: &'w [u64], words: Words) -> Self {
        Self {
            seen,
            record: words.record(),
            reads: Cell::new(0),
            fresh: Cell::new(None),
        }
    }

    fn read(&self, word: Word, now: u64) -> u64 {
        let index = self.reads.replace(self.reads.get() + 1);
        if index == self.seen.len() {
            self.fresh.set(Some((word, now)));
        }
        self.seen.get(index).copied().unwrap_or(now)
    }
}

impl Look for Replay<'_> {
    fn sent(&self) -> u32 {
        self.read(Word::Sent, u64::from((&self.record).sent())) as u32
    }
    fn received(&self) -> u32 {
        self.read(Word::Received, u64::from((&self.record).received())) as u32
    }
    fn sent_to(&self) -> u64 {
        self.read(Word::Receivers, Look::sent_to(&&self.record))
    }
    fn is_referenced(&self) -> bool {
        let now = u64::from((&self.record).is_referenced());
        self.read(Word::References, now) != 0
    }
}

/// Answers what was read before, in whatever records, and after that what stands there now.
struct ReplayAll<'w> {
    seen: &'w [u64],
    words: &'w [Words; COMPONENTS],
    reads: Cell<usize>,
    fresh: Cell<Option<(usize, Word, u64)>>,
}

impl ReplayAll<'_> {
    /// What the short way says; nothing where it has not read all that it wants.
    fn verdict(&self) -> Option<Verdict> {
        let of = |at| OneOf { all: self, at };
        let garbage = is_garbage(of(0), (1..COMPONENTS).map(of), Counts::default());
        let verdict = garbage.map_or(Verdict::Live, |_| Verdict::Garbage);
        self.fresh.get().is_none().then_some(verdict)
    }
}

#[derive(Clone)]
struct OneOf<'r, 'w> {
    all: &'r ReplayAll<'w>,
    at: usize,
}

impl OneOf<'_, '_> {
    fn read(&self, word: Word, value: impl FnOnce(&Record) -> u64) -> u64 {
        let all = self.all;
        let index = all.reads.replace(all.reads.get() + 1);
        all.seen.get(index).copied().unwrap_or_else(|| {
            let value = value(&all.words[self.at].record());
            if index == all.seen.len() {
                all.fresh.set(Some((self.at, word, value)));
            }
            value
        })
    }
}

impl Look for OneOf<'_, '_> {
    fn sent(&self) -> u32 {
        self.read(Word::Sent, |r| u64::from(Look::sent(&r))) as u32
    }
    fn received(&self) -> u32 {
        self.read(Word::Received, |r| u64::from(Look::received(&r))) as u32
    }
    // What they say changes no verdict.
    fn sent_to(&self) -> u64 {
        0
    }
    fn is_referenced(&self) -> bool {
        self.read(Word::References, |r| u64::from(Look::is_referenced(&r))) != 0
    }
}

fn replay<'w>(seen: &'w [u64], words: &'w [Words; COMPONENTS]) -> ReplayAll<'w> {
    ReplayAll {
        seen,
        words,
        reads: Cell::new(0),
        fresh: Cell::new(None),
    }
}

/// Component ids are from 1: 0 is `init`, which has no buffers.
fn id(component: usize) -> ComponentId {
    ComponentId(component as u16 + 1)
}

/// Those who can receive: all.
const ALIVE: u64 = (1 << (COMPONENTS + 1)) - 2;

impl Protocol {
    /// What the collector reads next.
    pub fn next_read(&self, world: &World) -> Option<(usize, Word, u64)> {
        match (&world.collector, self.kind) {
            (
                Collector::Ours {
                    collection,
                    component,
                    seen,
                },
                _,
            ) => {
                let replay = Replay::new(seen, world.words[*component]);
                let mut copy = *collection;
                let _ = copy.look(&replay);
                let (word, value) = replay.fresh.get()?;
                Some((*component, word, value))
            }
            (Collector::Short { seen }, _) => {
                let replay = replay(seen, &world.words);
                replay.verdict();
                replay.fresh.get()
            }
            (Collector::Ordered { read, .. }, kind) => {
                let (component, word) = ordered(kind, *read);
                let words = world.words[component];
                let value = match word {
                    Word::Sent => u64::from(words.sent),
                    Word::Received => u64::from(words.received),
                    Word::Receivers => words.receivers,
                    Word::References => words.references(),
                };
                Some((component, word, value))
            }
            _ => None,
        }
    }

    fn read(&self, world: &mut World) {
        let Some((_, word, value)) = self.next_read(world) else {
            return;
        };
        let done = match &mut world.collector {
            Collector::Ours {
                collection,
                component,
                seen,
            } => {
                let replay = Replay::new(seen, world.words[*component]);
                let mut looked = *collection;
                let unreferenced = looked.look(&replay);
                if replay.reads.get() > seen.len() + 1 {
                    // The rest it read from a moment that is not yet.
                    seen.push(value);
                    return;
                }
                *collection = looked;
                seen.clear();
                *component += 1;
                if !unreferenced {
                    Some(Verdict::Live)
                } else if *component == COMPONENTS {
                    *component = 0;
                    match collection.end_pass() {
                        Pass::Again => None,
                        Pass::Agrees(counts) => Some(counts.verdict(ALIVE)),
                        Pass::Vain => Some(Verdict::Live),
                    }
                } else {
                    None
                }
            }
            Collector::Short { seen } => {
                seen.push(value);
                replay(seen, &world.words).verdict()
            }
            Collector::Ordered {
                read,
                sent,
                received,
            } => {
                *read += 1;
                match word {
                    Word::Sent => *sent += value as u32,
                    Word::Received => *received += value as u32,
                    Word::Receivers | Word::References => {}
                }
                let over = *read == COMPONENTS * 3;
                match (word, value) {
                    (Word::References, 1..) => Some(Verdict::Live),
                    _ if over && sent == received => Some(Verdict::Garbage),
                    _ if over => Some(Verdict::Live),
                    _ => None,
                }
            }
            Collector::Done(_) => None,
        };
        if let Some(verdict) = done {
            world.collector = Collector::Done(verdict);
        }
    }

    fn begun(&self, world: &World) -> bool {
        world.collector != self.collector()
    }

    fn collector(&self) -> Collector {
        match self.kind {
            Kind::Ours => Collector::Ours {
                collection: Collection::for_verdict(Counts::default(), ALIVE),
                component: 0,
                seen: Vec::new(),
            },
            Kind::Short => Collector::Short { seen: Vec::new() },
            Kind::OnePass(_) | Kind::Hasty => Collector::Ordered {
                read: 0,
                sent: 0,
                received: 0,
            },
        }
    }
}

impl Model for Protocol {
    type State = World;
    type Action = Act;

    /// Any of the three may be the one that has it, so the collector meets them in any order.
    fn init_states(&self) -> Vec<World> {
        let empty = Words {
            state: State::new(7, 0, 0).0,
            sent: 0,
            received: 0,
            receivers: 0,
        };
        let holder = |at: usize| {
            let mut words = [empty; COMPONENTS];
            words[at].state += 1;
            World {
                words,
                parties: vec![Party::Holder { at }],
                sends_left: self.sends,
                collector: self.collector(),
                was_garbage: false,
            }
        };
        (0..COMPONENTS).map(holder).collect()
    }

    fn actions(&self, world: &World, acts: &mut Vec<Act>) {
        if let Collector::Done(_) = world.collector {
            return;
        }
        acts.push(Act::Read);
        for (place, party) in world.parties.iter().enumerate() {
            if place > 0 && world.parties[place - 1] == *party {
                continue;
            }
            match *party {
                Party::Holder { at } => {
                    acts.push(Act::Free { at });
                    if world.sends_left > 0 {
                        acts.extend((0..COMPONENTS).map(|to| {
                            let noted = world.words[at].record().was_sent_to(id(to));
                            if noted {
                                Act::CountSend { at, to }
                            } else {
                                Act::NoteReceiver { at, to }
                            }
                        }));
                    }
                }
                Party::Sender { at, to } => acts.push(Act::CountSend { at, to }),
                Party::Message { from, to } => {
                    acts.push(Act::TakeReference { at: to, from, to });
                    // Taking a send back is receiving it.
                    if from != to && self.take_back {
                        acts.push(Act::TakeReference { at: from, from, to });
                    }
                }
                Party::Receiver { at } => acts.push(Act::CountReceipt { at }),
            }
        }
    }

    fn next_state(&self, world: &World, act: Act) -> Option<World> {
        let mut world = world.clone();
        let take = |world: &mut World, party: Party| {
            let place = world.parties.iter().position(|p| *p == party)?;
            world.parties.remove(place);
            Some(())
        };
        match act {
            Act::Read => {
                world.was_garbage |= !self.begun(&world) && !world.is_live();
                self.read(&mut world);
            }
            Act::NoteReceiver { at, to } => {
                take(&mut world, Party::Holder { at })?;
                world.sends_left -= 1;
                world.words[at].change(|r| r.add_receiver(id(to)));
                world.parties.push(Party::Sender { at, to });
            }
            Act::CountSend { at, to } => {
                if take(&mut world, Party::Sender { at, to }).is_none() {
                    take(&mut world, Party::Holder { at })?;
                    world.sends_left = world.sends_left.checked_sub(1)?;
                }
                world.words[at].change(Record::count_send_again);
                let sent = [Party::Holder { at }, Party::Message { from: at, to }];
                world.parties.extend(sent);
            }
            Act::TakeReference { at, from, to } => {
                take(&mut world, Party::Message { from, to })?;
                let taken = world.words[at].change(|r| r.take_reference(r.load()));
                assert!(taken.is_ok());
                world.parties.push(Party::Receiver { at });
            }
            Act::CountReceipt { at } => {
                take(&mut world, Party::Receiver { at })?;
                world.words[at].change(Record::count_receipt);
                world.parties.push(Party::Holder { at });
            }
            Act::Free { at } => {
                take(&mut world, Party::Holder { at })?;
                let dropped = world.words[at].change(|r| {
                    let state = r.load();
                    r.exchange(state, State(state.0 - 1))
                });
                assert!(dropped.is_ok());
            }
        }
        world.parties.sort_unstable();
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("what is collected is nobody's", |_, world: &World| {
                !matches!(world.collector, Collector::Done(v) if v != Verdict::Live)
                    || !world.is_live()
            }),
            Property::always("what is nobody's is collected", |_, world: &World| {
                !world.was_garbage || world.collector != Collector::Done(Verdict::Live)
            }),
            Property::sometimes("something is collected", |_, world: &World| {
                world.collector == Collector::Done(Verdict::Garbage) && world.sends_left == 0
            }),
        ]
    }
}
