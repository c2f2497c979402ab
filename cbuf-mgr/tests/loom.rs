//! The manager's own changes of records against the clients' library, both as they ship, under
//! every interleaving. Run with `RUSTFLAGS="--cfg loom" cargo test -p cbuf-mgr --test loom
//! --release`.

#![cfg(loom)]

use abi::layout::LEAF_RECORDS;
use abi::{ComponentId, Error};
use cbuf_mgr::control::{Control, Whose};
use cbuf_mgr::liveness::{Collection, Counts, Look, Pass, Verdict, is_garbage, judge};
use libcbuf::meta::{CbufId, Record, RecordOffset, State};
use libcbuf::primitive::{AtomicBool, AtomicU32, Ordering, light_barrier};
use libcbuf::ring::{Producer, Ring};
use libcbuf::shelf::{Shelf, Shelves};
use libcbuf::trie::Trie;
use libcbuf::{Client, Manager};
use loom::sync::Arc;
use loom::thread;
use std::cell::Cell;

const ID: CbufId = CbufId(3);
const A: ComponentId = ComponentId(1);
const B: ComponentId = ComponentId(2);
const C: ComponentId = ComponentId(3);
const PAGE: u64 = 7;

thread_local! {
    /// How often the manager was told of a last free. The model's threads share one of the host's.
    static TOLD: Cell<u32> = const { Cell::new(0) };
}

/// A manager that has nothing, and counts what it is told.
struct Deaf;

impl Manager for Deaf {
    fn collect(&self, _order: u32, _wait: bool) -> Result<u32, Error> {
        Ok(0)
    }
    fn map(&self, _id: u32, _from: ComponentId) -> Result<(), Error> {
        Err(Error::BadBuffer)
    }
    fn relinquish(&self, _id: u32) -> Result<(), Error> {
        TOLD.set(TOLD.get() + 1);
        Ok(())
    }
    fn seal(&self, _id: u32) -> Result<(), Error> {
        Err(Error::BadBuffer)
    }
}

/// What one component shares with the manager.
struct Component {
    root: Vec<AtomicU32>,
    leaves: Vec<Record>,
    ring: Ring,
    shelves: Shelves,
}

impl Component {
    /// The record of [`ID`] says `state`.
    fn new(state: State) -> Self {
        TOLD.set(0);
        let component = Self {
            root: vec![AtomicU32::new(Trie::PRESENT)],
            leaves: (0..LEAF_RECORDS).map(|_| Record::default()).collect(),
            ring: Ring::default(),
            shelves: Shelves::default(),
        };
        component.record().state.store(state.0, Ordering::SeqCst);
        component
    }

    fn record(&self) -> &Record {
        &self.leaves[ID.0 as usize]
    }

    fn client(&self) -> Client {
        // SAFETY: whoever asks drops the client before the component, and looks at ids of the
        // first leaf only.
        unsafe {
            Client::new(
                self.root.as_ptr(),
                &self.ring,
                self.leaves.as_ptr(),
                &self.shelves,
                &Deaf,
            )
        }
    }
}

fn referenced(count: u64) -> State {
    State(State::new(PAGE, 0, 0).0 + count)
}

/// A pool shrinks while its client allocates: one of them has the buffer, and what was taken from
/// the list is discarded by the pop that finds it, so that its id may be used again.
#[test]
fn shrinking_and_allocation_do_not_both_get_a_free_buffer() {
    loom::model(|| {
        let shared = Arc::new(Component::new(State::new(PAGE, 0, State::FREE)));
        shared.ring.hand_over(&mut Producer::default(), &[ID]);
        let other = shared.clone();
        let manager = thread::spawn(move || Control::take_free(other.record(), 0).is_some());
        let client = shared.client();
        let allocated = client.try_alloc(1);
        let taken = manager.join().unwrap();
        let state = shared.record().load();
        match allocated {
            Ok((address, id)) => {
                assert_eq!((address as usize, id), (PAGE as usize * 4096, ID));
                assert!(!taken);
                assert_eq!(state.0 & Shelf::MASK, Shelf::IDLE);
            }
            Err(error) => {
                assert_eq!((error, taken), (Error::NoMemory, true));
                assert_eq!(state, State::EMPTY);
            }
        }
    });
}

/// A buffer ends while its receiver, or its owner, is sent it and takes a reference: it is theirs, or
/// gone.
#[test]
fn ending_and_receiving_do_not_both_get_garbage() {
    for whose in [Whose::Receiver, Whose::Owner] {
        loom::model(move || {
            let shared = Arc::new(Component::new(referenced(0)));
            shared
                .record()
                .senders
                .store(Record::bit(A), Ordering::SeqCst);
            let other = shared.clone();
            let manager = thread::spawn(move || Control::withdraw(other.record(), whose));
            let received = shared.client().cbuf2buf(ID, 0, 1, A);
            let withdrawn = manager.join().unwrap();
            let state = shared.record().load();
            assert_eq!(withdrawn, received.is_err());
            let expected = if withdrawn {
                State::EMPTY
            } else {
                referenced(1)
            };
            assert_eq!(state, expected);
            assert_eq!(
                shared.record().received.load(Ordering::SeqCst),
                u32::from(received.is_ok())
            );
        });
    }
}

/// The manager takes an idle buffer away and gives its id, at the same place, to another sender's
/// while a receipt is on its way: who receives gets what its sender sent, or nothing.
#[test]
fn a_receipt_never_gets_what_its_sender_did_not_send() {
    loom::model(|| {
        let shared = Arc::new(Component::new(referenced(0)));
        shared
            .record()
            .senders
            .store(Record::bit(A), Ordering::SeqCst);
        let other = shared.clone();
        let manager = thread::spawn(move || {
            let gone = Control::withdraw(other.record(), Whose::Receiver);
            if gone {
                Control::introduce(other.record(), referenced(0), Record::bit(B));
            }
            gone
        });
        let received = shared.client().cbuf2buf(ID, 0, 1, A).is_ok();
        let replaced = manager.join().unwrap();
        let record = shared.record();
        // A reference keeps the buffer from being replaced, and one that was refused is gone.
        assert!(!(received && replaced));
        assert_eq!(record.load().references(), u64::from(received));
        assert_eq!(record.received.load(Ordering::SeqCst), u32::from(received));
    });
}

/// Garbage is handed over again while somebody names its id, who was never sent it: the reference
/// taken for the check and the new owner exclude each other.
#[test]
fn a_stray_receipt_does_not_meet_a_hand_over() {
    loom::model(|| {
        let shared = Arc::new(Component::new(referenced(0)));
        let other = shared.clone();
        let free = State::new(PAGE, 0, State::FREE);
        let manager =
            thread::spawn(move || Control::restate(other.record(), other.record().load(), free));
        assert!(shared.client().cbuf2buf(ID, 0, 1, B).is_err());
        let restated = manager.join().unwrap();
        let expected = if restated { free } else { referenced(0) };
        assert_eq!(shared.record().load(), expected);
    });
}

/// A live buffer is asked for while it is freed: its last free tells, or is seen.
#[test]
fn a_last_free_is_seen_or_told() {
    loom::model(|| {
        let shared = Arc::new(Component::new(referenced(1)));
        let other = shared.clone();
        let manager = thread::spawn(move || {
            let record = other.record();
            record.state.fetch_or(State::RELINQUISH, Ordering::SeqCst);
            judge([record].into_iter(), Counts::default(), u64::MAX)
        });
        // SAFETY: the reference that the record begins with.
        unsafe { shared.client().cbuf_free(ID) };
        let seen = manager.join().unwrap() == Verdict::Garbage;
        assert!(seen || TOLD.get() == 1);
        assert_eq!(shared.record().load().references(), 0);
    });
}

/// A thread puts a buffer on its shelf and allocates it again while its pool shrinks: one of them
/// has it in the end, and the other knows.
#[test]
fn shrinking_and_allocation_do_not_both_get_a_shelved_buffer() {
    loom::model(|| {
        let idle = State(State::new(PAGE, 0, State::EXCLUSIVE).0 + 1);
        let shared = Arc::new((Component::new(idle), Shelf::default()));
        let other = shared.clone();
        let manager = thread::spawn(move || {
            let (component, shelf) = &*other;
            let listed = || shelf.at(0) == Some(ID);
            Control::take_idle(component.record(), 0, listed, light_barrier).is_some()
        });
        let (component, shelf) = &*shared;
        let record = component.record();
        let mut allocated = false;
        if shelf.put(RecordOffset::of(ID), record) {
            assert_eq!(shelf.take(), Some(RecordOffset::of(ID)));
            allocated = Shelf::is_idle(record.load());
        }
        if !allocated {
            // As the library does with what is wanted elsewhere. What is gone it forgets.
            // SAFETY: the reference that the record begins with.
            unsafe { component.client().cbuf_free(ID) };
        }
        let taken = manager.join().unwrap();
        let told = TOLD.get() == 1;
        assert_eq!([allocated, told, taken].iter().filter(|b| **b).count(), 1);
        assert_eq!(taken, record.load().page_number() == 0);
    });
}

/// Buffers that go between the ring, a thread's shelf and a freelist several at once.
const MANY: [CbufId; 4] = [CbufId(3), CbufId(4), CbufId(5), CbufId(6)];

/// A client to whom some buffers were handed over, and thread 0 of it.
fn with_buffers(ids: &[CbufId]) -> Component {
    let component = Component::new(State::EMPTY);
    for (page, id) in (PAGE..).zip(ids) {
        let state = State::new(page, 0, State::FREE);
        let record = &component.leaves[id.0 as usize];
        record.state.store(state.0, Ordering::SeqCst);
    }
    component.ring.hand_over(&mut Producer::default(), ids);
    libcbuf::thread::enter(0);
    component
}

fn allocate_all(client: &Client) -> Vec<CbufId> {
    std::iter::from_fn(|| client.try_alloc(1).ok().map(|(_, id)| id)).collect()
}

/// As [`Control::take_unused`].
fn take(component: &Component, id: CbufId) -> Option<State> {
    let record = &component.leaves[id.0 as usize];
    let on_a_shelf = || component.shelves.lists(id, 0);
    let listed = || Control::is_listed(record, on_a_shelf);
    Control::take_free(record, 0).or_else(|| Control::take_idle(record, 0, listed, light_barrier))
}

/// The manager takes a buffer while a thread of its owner's does something to them all, and then
/// allocates what there is: one of them has it, or the manager is told of it.
fn one_has_it(
    handed: &'static [CbufId],
    wanted: CbufId,
    begin: fn(&Client) -> Vec<CbufId>,
    go_on: fn(&Client, Vec<CbufId>),
) {
    loom::model(move || {
        let shared = Arc::new(with_buffers(handed));
        let client = shared.client();
        let held = begin(&client);
        let other = shared.clone();
        let manager = thread::spawn(move || take(&other, wanted).is_some());
        go_on(&client, held);
        let mut allocated = allocate_all(&client);
        let taken = manager.join().unwrap();
        // What was told of is garbage of the manager's, and no other is missing.
        let told = TOLD.get() == 1;
        let has = allocated.contains(&wanted);
        assert_eq!([has, told, taken].iter().filter(|b| **b).count(), 1);
        let state = shared.leaves[wanted.0 as usize].load();
        assert!(
            has || !state.has(State::FREE),
            "its id cannot be used again"
        );
        allocated.push(wanted);
        allocated.sort_unstable();
        allocated.dedup();
        assert_eq!(allocated, handed);
    });
}

fn give_back(client: &Client, ids: Vec<CbufId>) {
    for id in ids {
        // SAFETY: allocated, and given up.
        unsafe { client.cbuf_free(id) };
    }
}

/// All on the shelf but what had no room there: that, and some that were there, are in the list.
fn spilt(client: &Client) -> Vec<CbufId> {
    give_back(client, allocate_all(client));
    Vec::new()
}

#[test]
fn what_goes_from_the_ring_to_a_shelf_is_allocated_or_taken() {
    for wanted in [0, 1] {
        one_has_it(
            &[ID, CbufId(4)],
            CbufId(3 + wanted),
            |_| Vec::new(),
            |_, _| {},
        );
    }
}

#[test]
fn what_goes_from_a_shelf_to_the_list_is_allocated_or_taken() {
    // The last but one of a full shelf is linked, and so is the last.
    for wanted in [MANY[1], MANY[2]] {
        one_has_it(&MANY, wanted, allocate_all, give_back);
    }
}

#[test]
fn what_goes_from_the_list_to_a_shelf_is_allocated_or_taken() {
    for wanted in [MANY[1], MANY[2]] {
        one_has_it(&MANY, wanted, spilt, |_, _| {});
    }
}

/// What was handed over, in the ring or on a shelf.
const FREE: [fn(&Client); 2] = [
    |_| (),
    |client| {
        spilt(client);
    },
];

/// An owner allocates what lies free with it, posts it and lets go of it, while its pool shrinks: what
/// is on its way is not taken for free.
#[test]
fn what_is_posted_is_not_taken() {
    for begin in FREE {
        loom::model(move || {
            let shared = Arc::new(with_buffers(&[ID]));
            let client = shared.client();
            begin(&client);
            let other = shared.clone();
            let manager = thread::spawn(move || take(&other, ID).is_some());
            let posted = client.try_alloc(1).is_ok();
            if posted {
                // SAFETY: just allocated, and given up after it was sent.
                unsafe {
                    client.cbuf_send(ID, B);
                    client.cbuf_free(ID);
                }
            }
            let taken = manager.join().unwrap();
            assert!(!(posted && taken));
        });
    }
}

/// What was taken is given back, for another has it after all, while its owner allocates: the owner
/// gets it, or is told to let go of it, or forgot it, and then it is garbage. Never is it lost.
#[test]
fn what_is_given_back_is_not_lost() {
    for begin in FREE {
        loom::model(move || {
            let shared = Arc::new(with_buffers(&[ID]));
            let client = Arc::new(shared.client());
            begin(&client);
            let same = client.clone();
            // The manager is preempted, not its client.
            let thread = thread::spawn(move || {
                libcbuf::thread::enter(0);
                same.try_alloc(1).is_ok()
            });
            let was = take(&shared, ID);
            if let Some(was) = was {
                Control::give_back(shared.record(), was, referenced(0));
            }
            let first = thread.join().unwrap();
            let second = client.try_alloc(1).is_ok();
            let taken = was.is_some();
            assert!(!(first && second));
            assert!(taken || first || TOLD.get() == 1);
            let state = shared.record().load();
            assert_eq!(state.page_number(), PAGE);
            // In no list, and nobody's: the collector finds it.
            let garbage = !state.has(State::REFERENCES | State::FREE);
            assert!(first || second || garbage);
        });
    }
}

/// Two threads take from the same list, several at once.
#[test]
fn what_two_threads_take_from_a_list_is_one_s_alone() {
    loom::model(|| {
        let shared = Arc::new(with_buffers(&MANY));
        let client = Arc::new(shared.client());
        spilt(&client);
        let other = client.clone();
        let thread = thread::spawn(move || {
            libcbuf::thread::enter(1);
            other.try_alloc(1).ok().map(|(_, id)| id)
        });
        // Two from the shelf, then from the list.
        let mine: Vec<_> = (0..3).filter_map(|_| client.try_alloc(1).ok()).collect();
        let theirs = thread.join().unwrap();
        let mut all: Vec<_> = mine.into_iter().map(|(_, id)| id).chain(theirs).collect();
        let count = all.len();
        assert!(count >= 3);
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    });
}

/// A place on a shelf is used for another buffer: the manager never takes the first for it.
#[test]
fn a_place_used_again_names_the_new_buffer() {
    loom::model(|| {
        let idle = State(State::new(PAGE, 0, State::EXCLUSIVE).0 + 1);
        let shared = Arc::new((Component::new(idle), Record::default(), Shelf::default()));
        shared.1.state.store(idle.0, Ordering::SeqCst);
        assert!(shared.2.put(RecordOffset::of(ID), shared.0.record()));
        let other = shared.clone();
        let manager = thread::spawn(move || {
            let (component, _, shelf) = &*other;
            let listed = || shelf.at(0) == Some(ID);
            Control::take_idle(component.record(), 0, listed, light_barrier).is_some()
        });
        let (component, second, shelf) = &*shared;
        assert_eq!(shelf.take(), Some(RecordOffset::of(ID)));
        let allocated = component.record().load() == idle;
        shelf.put(RecordOffset::of(CbufId(ID.0 + 1)), second);
        assert!(!(allocated && manager.join().unwrap()));
    });
}

/// Reads what stands in a record at that moment. The collector's loads are sequentially consistent,
/// as all else that touches these words is; the checker knows that of exchanges only.
#[derive(Clone, Copy)]
struct Now<'r>(&'r Record);

impl Look for Now<'_> {
    fn sent(&self) -> u32 {
        self.0.sent.fetch_add(0, Ordering::SeqCst)
    }
    fn received(&self) -> u32 {
        self.0.received.fetch_add(0, Ordering::SeqCst)
    }
    fn sent_to(&self) -> u64 {
        self.0.receivers.fetch_or(0, Ordering::SeqCst)
    }
    fn is_referenced(&self) -> bool {
        State(self.0.state.fetch_or(0, Ordering::SeqCst)).references() != 0
    }
}

/// The library sends, frees and receives, in the order in which it touches the words, while the
/// collector looks.
#[test]
fn the_collector_leaves_what_is_sent_freed_and_received() {
    loom::model(|| {
        let shared = Arc::new([Component::new(referenced(1)), Component::new(referenced(0))]);
        let [_, b] = &*shared;
        b.record().senders.store(Record::bit(A), Ordering::SeqCst);
        let sent = Arc::new(AtomicBool::new(false));
        let (owner, arrived) = (shared.clone(), sent.clone());
        let sender = thread::spawn(move || {
            let client = owner[0].client();
            // SAFETY: the reference that the record begins with, given up last.
            unsafe {
                client.cbuf_send(ID, B);
                arrived.store(true, Ordering::Release);
                client.cbuf_free(ID);
            }
        });
        let records = shared.clone();
        let collector = thread::spawn(move || {
            let records = records.iter().map(|c| Now(c.record()));
            judge(records, Counts::default(), u64::MAX)
        });
        if sent.load(Ordering::Acquire) {
            assert!(b.client().cbuf2buf(ID, 0, 1, A).is_ok());
        }
        sender.join().unwrap();
        // On its way, or B's.
        assert_eq!(collector.join().unwrap(), Verdict::Live);
    });
}

/// A has sent to B and freed. B receives, passes the buffer on to C and keeps it; C receives and
/// frees; all of it the library's own doing, while `collects` looks for garbage.
fn collect_beside_a_chain(collects: fn(&[Now<'_>]) -> bool) {
    loom::model(move || {
        let shared = Arc::new([(); 3].map(|()| Component::new(referenced(0))));
        let [a, b, c] = &*shared;
        a.record().count_send(B);
        b.record().senders.store(Record::bit(A), Ordering::SeqCst);
        c.record().senders.store(Record::bit(B), Ordering::SeqCst);
        let components = shared.clone();
        let collector = thread::spawn(move || {
            let records = components.each_ref().map(|c| Now(c.record()));
            collects(&records)
        });
        let (b, c) = (b.client(), c.client());
        assert!(b.cbuf2buf(ID, 0, 1, A).is_ok());
        // SAFETY: B holds the reference it just received.
        unsafe { b.cbuf_send(ID, C) };
        assert!(c.cbuf2buf(ID, 0, 1, B).is_ok());
        // SAFETY: the reference that C just received, given up.
        unsafe { c.cbuf_free(ID) };
        assert!(!collector.join().unwrap(), "B's buffer was collected");
    });
}

#[test]
fn the_collector_leaves_what_is_passed_on() {
    collect_beside_a_chain(|records| {
        judge(records.iter().copied(), Counts::default(), u64::MAX) != Verdict::Live
    });
}

/// The short way, which the manager takes first.
#[test]
fn the_short_way_leaves_what_is_passed_on() {
    collect_beside_a_chain(|records| {
        let [a, others @ ..] = records else {
            return false;
        };
        is_garbage(*a, others.iter().copied(), Counts::default()).is_some()
    });
}

/// The collector of two passes, believing its first: the check above can fail.
#[test]
#[should_panic(expected = "B's buffer was collected")]
fn a_collector_that_looks_once_does_not() {
    collect_beside_a_chain(|records| {
        let mut collection = Collection::for_verdict(Counts::default(), u64::MAX);
        records.iter().all(|record| collection.look(record)) && collection.end_pass() != Pass::Vain
    });
}
