//! What components do between two steps of the manager's, which hold its lock but not the
//! processor: each time at the very moment that matters.

use crate::common::{Host, Moment, PAGE};
use abi::{ComponentId, Error, ThreadId};
use libcbuf::meta::State;
use libcbuf::primitive::Ordering;
use libcbuf::shelf::Shelf;
use libcbuf::{Buffer, Cbuf, CbufId, CbufRef, Client, Manager as Port};
use std::sync::{Arc, Mutex};

const A: ComponentId = ComponentId(1);
const B: ComponentId = ComponentId(2);
const C: ComponentId = ComponentId(3);

/// A manager that is busy with somebody else.
struct Busy;

impl Port for Busy {
    fn collect(&self, _order: u32, _wait: bool) -> Result<u32, Error> {
        Ok(0)
    }
    fn map(&self, _id: u32, _from: ComponentId) -> Result<(), Error> {
        Err(Error::Busy)
    }
    fn relinquish(&self, _id: u32) -> Result<(), Error> {
        Ok(())
    }
    fn seal(&self, _id: u32) -> Result<(), Error> {
        Err(Error::Busy)
    }
}

/// Where the owner's one buffer lies, free.
#[derive(Clone, Copy, Debug)]
enum Lies {
    InTheRing,
    OnAShelf,
}

struct World {
    host: Host,
    a: &'static Client,
    /// Another thread of the owner's, for which the manager has no time.
    mate: &'static Client,
    b: &'static Client,
    c: &'static Client,
    id: CbufId,
}

/// The owner's pool is one buffer, which the receivers had, and which is free now.
fn world(lies: Lies) -> World {
    let host = Host::new(16);
    let a = host.client(1, 1, 1);
    let (b, c) = (host.client(2, 1, 1), host.client(3, 1, 1));
    let sent = Buffer::try_alloc(a, PAGE).unwrap().freeze(PAGE);
    let id = sent.id();
    for (receiver, to) in [(b, B), (c, C)] {
        drop(Cbuf::receive(receiver, sent.send(to), A).unwrap());
    }
    drop(sent);
    host.with(|m| m.collect(A, ThreadId(1), 0, false)).unwrap();
    if let Lies::OnAShelf = lies {
        assert_eq!(Buffer::try_alloc(a, PAGE).unwrap().id(), id);
    }
    let mate = host.attach_to(A, &Busy);
    let world = World {
        host,
        a,
        mate,
        b,
        c,
        id,
    };
    let state = world.state();
    match lies {
        Lies::InTheRing => assert!(state.has(State::FREE)),
        Lies::OnAShelf => assert!(Shelf::is_idle(state)),
    }
    world
}

impl World {
    fn state(&self) -> State {
        self.a.record(self.id).unwrap().load()
    }

    /// The pool is made smaller, and at a moment of it something is done. Answers whether the buffer
    /// is gone.
    fn shrink(&self, moment: Moment, action: impl FnOnce() + Send + 'static) -> bool {
        self.host.with(|m| {
            m.machine_mut().at(moment, action);
            m.set_pool(A, 0).unwrap();
            assert!(m.machine().is_past(), "{moment:?} never came");
        });
        self.host.check();
        self.host.with(|m| m.usage(A).unwrap().held) == 0
    }

    /// The owner allocates the buffer and posts it, if it finds it.
    fn post(&self) -> (impl FnOnce() + Send + 'static, Arc<Mutex<Option<CbufRef>>>) {
        let posted = Arc::new(Mutex::new(None));
        let (mate, there) = (self.mate, posted.clone());
        let action = move || {
            if let Ok(mut buffer) = Buffer::try_alloc(mate, PAGE) {
                buffer.fill(7);
                *there.lock().unwrap() = Some(buffer.send(PAGE, B));
            }
        };
        (action, posted)
    }
}

/// A pool shrinks. What lies free in it is taken from its owner before it is taken from those who had
/// it: so its owner cannot post it in between, and what is posted is not ended on its way.
#[test]
fn what_is_being_ended_is_not_posted() {
    for (lies, moment) in [
        (Lies::InTheRing, Moment::Unmap),
        (Lies::OnAShelf, Moment::Unmap),
        (Lies::OnAShelf, Moment::Barrier),
    ] {
        let w = world(lies);
        let (post, posted) = w.post();
        let gone = w.shrink(moment, post);
        let posted = posted.lock().unwrap().take();
        assert_eq!((gone, posted), (true, None), "{lies:?}, {moment:?}");
    }
}

/// A reference to garbage that is taken while it is being ended keeps it, also where it is its owner's.
#[test]
fn what_is_taken_while_it_is_being_ended_is_kept() {
    for taker in [A, B] {
        let w = world(Lies::InTheRing);
        let sent = Buffer::try_alloc(w.a, PAGE).unwrap().freeze(PAGE);
        drop(Cbuf::receive(w.b, sent.send(B), A).unwrap());
        drop(sent);
        let client = [w.a, w.b][usize::from(taker == B)];
        let record = client.record(w.id).unwrap();
        // C's mapping goes first.
        assert!(!w.shrink(Moment::Unmap, || {
            record.state.fetch_add(1, Ordering::SeqCst);
        }));
        assert_eq!(record.load().references(), 1);
        let page = record.load().address();
        let page = w.host.with(|m| m.machine().page_at(page));
        let mapped = w
            .host
            .with(|m| m.machine().mapped.contains_key(&(taker.0, page)));
        assert!(mapped, "{taker:?} holds what is not there");
        record.state.fetch_sub(1, Ordering::SeqCst);
        w.host.with(|m| m.set_pool(A, 0)).unwrap();
        assert_eq!(w.host.with(|m| m.usage(A).unwrap().held), 0);
        w.host.check();
    }
}

/// What lies free is no garbage, whoever says that it is: its owner may be about to post it.
#[test]
fn what_lies_free_is_not_ended_as_garbage() {
    let w = world(Lies::InTheRing);
    let claim = w.b.record(w.id).unwrap();
    claim.state.fetch_add(1, Ordering::SeqCst);
    assert!(!w.shrink(Moment::Unmap, || ()));
    claim.state.fetch_sub(1, Ordering::SeqCst);
    // The pool holds too much, and a receiver says that it let go.
    let (post, posted) = w.post();
    w.host.with(|m| {
        m.machine_mut().at(Moment::Unmap, post);
        m.relinquish(B, w.id).unwrap();
        assert!(!m.machine().is_past(), "it is being ended");
    });
    assert_eq!(*posted.lock().unwrap(), None);
    assert_eq!(Buffer::try_alloc(w.a, PAGE).unwrap().id(), w.id);
    w.host.check();
}

/// A component claims to have received what lies free. Its owner gets that back where it was, and
/// loses nothing, also where it had begun to forget it.
#[test]
fn what_cannot_be_ended_is_its_owners_again() {
    for (lies, begun) in [
        (Lies::InTheRing, false),
        (Lies::InTheRing, true),
        (Lies::OnAShelf, false),
        (Lies::OnAShelf, true),
    ] {
        let w = world(lies);
        let claim = w.b.record(w.id).unwrap();
        claim.state.fetch_add(1, Ordering::SeqCst);
        let mate = w.mate;
        let kept = !w.shrink(Moment::Unmap, move || {
            if begun {
                assert_eq!(Buffer::try_alloc(mate, PAGE).unwrap_err(), Error::NoMemory);
            }
        });
        // From the last: the one that claims nothing has it no longer.
        assert!(kept && w.c.record(w.id).unwrap().load() == State::EMPTY);
        w.host.with(|m| m.set_pool(A, 1)).unwrap();
        if begun || matches!(lies, Lies::OnAShelf) {
            // It was forgotten, or was wanted too much to be allocated: it is garbage as soon as
            // nobody claims it.
            assert_eq!(Buffer::try_alloc(w.a, PAGE).unwrap_err(), Error::NoMemory);
            assert!(!w.state().has(State::REFERENCES | State::FREE));
            claim.state.fetch_sub(1, Ordering::SeqCst);
        }
        let mut buffer = Buffer::try_alloc(w.a, PAGE).unwrap();
        assert_eq!(buffer.id(), w.id);
        buffer.fill(9);
        if claim.load().references() > 0 {
            claim.state.fetch_sub(1, Ordering::SeqCst);
        }
        let got = Cbuf::receive(w.c, buffer.send(PAGE, C), A).unwrap();
        assert!(got.iter().all(|byte| *byte == 9));
        drop(got);
        w.host.with(|m| m.set_pool(A, 0)).unwrap();
        assert_eq!(w.host.with(|m| m.usage(A).unwrap().held), 0);
        w.host.check();
    }
}
