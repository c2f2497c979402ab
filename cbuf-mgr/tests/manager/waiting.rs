//! Threads that wait for memory: in what order they are told, that none is forgotten, and what is
//! written down about them.

use crate::common::{Host, PAGE};
use abi::{ComponentId, Error, ThreadId};
use cbuf_mgr::collect::Round;
use cbuf_mgr::{Manager, Step};
use libcbuf::{Buffer, Cbuf, CbufRef, Client};
use proptest::prelude::*;

const A: ComponentId = ComponentId(1);
const B: ComponentId = ComponentId(2);

fn collect(host: &Host, component: ComponentId, thread: u16, order: u32, wait: bool) -> Step {
    let thread = ThreadId(thread);
    host.with(|m| m.collect(component, thread, order, wait))
        .unwrap()
}

/// Everybody who is to be told, in order.
fn told(host: &Host, priority: impl FnMut(ThreadId) -> u32) -> Vec<u16> {
    match host.with(Manager::take_wakes) {
        Some(wakes) => wakes.by_priority(priority).map(|t| t.0).collect(),
        None => Vec::new(),
    }
}

#[test]
fn the_most_urgent_is_told_first_when_a_buffer_comes_back() {
    let host = Host::new(64);
    let (a, b) = (host.client(1, 1, 4), host.client(2, 4, 4));
    let page = Buffer::try_alloc(a, 1).unwrap().freeze(1);
    let away = Cbuf::receive(b, page.send(B), A).unwrap();
    drop(page);
    for thread in [5, 3, 9, 4] {
        assert_eq!(collect(&host, A, thread, 0, true), Step::Block);
    }
    assert_eq!(told(&host, |_| 0), []);
    drop(away);
    let priority = |thread: ThreadId| if thread.0 == 9 { 7 } else { 2 };
    // Among equals, who came first.
    assert_eq!(told(&host, priority), [9, 5, 3, 4]);
    assert_eq!(told(&host, priority), []);
    // One that comes back and finds nothing waits behind its equals.
    for thread in [9, 5, 3, 4] {
        host.with(|m| m.unblocked(A, ThreadId(thread), 10));
    }
    assert_eq!(collect(&host, A, 9, 0, true), Step::Ready(1));
    let _taken = Buffer::try_alloc(a, 1).unwrap();
    for thread in [3, 5, 4] {
        assert_eq!(collect(&host, A, thread, 0, true), Step::Block);
    }
    host.with(|m| m.set_pool(A, 2)).unwrap();
    assert_eq!(told(&host, priority), [3, 5, 4]);
    // Only one: nobody is asked about it.
    for thread in [3, 5] {
        host.with(|m| m.unblocked(A, ThreadId(thread), 10));
    }
    host.with(|m| m.set_pool(A, 3)).unwrap();
    assert_eq!(told(&host, |_| unreachable!()), [4]);
}

#[test]
fn what_is_handed_over_while_somebody_waits_is_told_of_when_it_comes_back() {
    let host = Host::new(64);
    let a = host.client(1, 4, 4);
    let held: Vec<_> = (0..4).map(|_| Buffer::try_alloc(a, 1).unwrap()).collect();
    // One thread wants all four pages; another takes one and gives it back, twice.
    assert_eq!(collect(&host, A, 7, 2, true), Step::Block);
    drop(held);
    assert_eq!(told(&host, |_| 0), [7]);
    let again = Buffer::try_alloc(a, 1).unwrap();
    drop(again);
    assert_eq!(told(&host, |_| 0), [7]);
    assert!(matches!(collect(&host, A, 7, 2, true), Step::Ready(1..)));
    host.check();
}

/// A pool that allows more than there are frames for in one piece hears of frames from any pool.
#[test]
fn frames_that_another_pool_gives_back_are_told_of() {
    let host = Host::new(8);
    let (a, b) = (host.client(1, 4, 4), host.client(2, 4, 4));
    let spread: Vec<_> = (0..4).map(|_| Buffer::try_alloc(a, 1).unwrap()).collect();
    let other: Vec<_> = (0..4).map(|_| Buffer::try_alloc(b, 1).unwrap()).collect();
    // Page 1 is the first: no run of four is whole without one of B's pages.
    drop(spread);
    assert_eq!(collect(&host, A, 7, 2, true), Step::Block);
    assert_eq!(told(&host, |_| 0), []);
    drop(other);
    host.with(|m| m.set_pool(B, 0)).unwrap();
    assert_eq!(told(&host, |_| 0), [7]);
    assert!(matches!(collect(&host, A, 7, 2, true), Step::Ready(1..)));
}

#[test]
fn time_is_charged_to_the_component_and_to_the_thread() {
    let host = Host::new(64);
    let a = host.client(1, 1, 4);
    let b = host.client(2, 1, 4);
    let _held = (
        Buffer::try_alloc(a, 1).unwrap(),
        Buffer::try_alloc(b, 1).unwrap(),
    );
    for (component, thread, ticks) in [(A, 5, 10), (A, 6, 20), (B, 5, 40), (A, 5, 80)] {
        assert_eq!(collect(&host, component, thread, 0, true), Step::Block);
        host.with(|m| m.unblocked(component, ThreadId(thread), ticks));
    }
    let component = |c| host.with(|m| m.timing(c)).unwrap();
    let thread = |t| host.with(|m| m.thread_timing(ThreadId(t))).unwrap();
    assert_eq!(
        (component(A).blocked_ticks, component(B).blocked_ticks),
        (110, 40)
    );
    assert_eq!(
        (thread(5).blocked_ticks, thread(6).blocked_ticks),
        (130, 20)
    );
    assert_eq!(thread(7), Default::default());
    assert!(thread(6).collecting_ticks > 0 && thread(6).collections == 2);
    // No tick is lost or counted twice: the threads that the clients' own calls run in are 1, 2.
    let sum = |of: fn(cbuf_mgr::account::Timing) -> u64| {
        assert_eq!(
            of(component(A)) + of(component(B)),
            [1, 2, 5, 6].map(|t| of(thread(t))).iter().sum::<u64>()
        );
    };
    sum(|t| t.collecting_ticks);
    sum(|t| t.collections);
    sum(|t| t.calls);
    assert_eq!(
        host.with(|m| m.thread_timing(ThreadId(64))),
        Err(Error::NotFound)
    );
}

struct Waiter {
    component: u16,
    thread: u16,
    order: u32,
}

struct World {
    host: Host,
    clients: Vec<&'static Client>,
    held: Vec<(u16, Cbuf<'static>)>,
    sent: Vec<(u16, u16, CbufRef)>,
    waiting: Vec<Waiter>,
}

const CLIENTS: u16 = 3;

impl World {
    fn new() -> Self {
        let host = Host::new(24);
        let clients = (1..=CLIENTS).map(|c| host.client(c, 6, 12)).collect();
        Self {
            host,
            clients,
            held: Vec::new(),
            sent: Vec::new(),
            waiting: Vec::new(),
        }
    }

    fn step(&mut self, (kind, a, b): (u8, usize, usize)) {
        let to = (a % CLIENTS as usize) as u16 + 1;
        let client = self.clients[to as usize - 1];
        match kind % 8 {
            0 | 1 => {
                if let Ok(buffer) = Buffer::try_alloc(client, PAGE << (b % 3)) {
                    self.held.push((to, buffer.freeze(1)));
                }
            }
            2 if !self.held.is_empty() => {
                let (from, cbuf) = &self.held[b % self.held.len()];
                self.sent.push((*from, to, cbuf.send(ComponentId(to))));
            }
            3 if !self.sent.is_empty() => {
                let (from, to, wire) = self.sent.swap_remove(b % self.sent.len());
                let client = self.clients[to as usize - 1];
                let got = Cbuf::receive(client, wire, ComponentId(from)).unwrap();
                self.held.push((to, got));
            }
            4 | 5 if !self.held.is_empty() => {
                self.held.swap_remove(b % self.held.len());
            }
            6 => drop(
                self.host
                    .with(|m| m.set_pool(ComponentId(to), b as u64 % 12)),
            ),
            7 if self.waiting.len() < 4 => {
                let thread = (10..14).find(|t| self.waiting.iter().all(|w| w.thread != *t));
                self.wait(to, thread.unwrap(), (b % 3) as u32);
            }
            _ => {}
        }
        // Whoever is told looks again at once.
        for thread in told(&self.host, |thread| u32::from(thread.0)) {
            let place = self.waiting.iter().position(|w| w.thread == thread);
            // Nobody is told who does not wait.
            let waiter = self.waiting.swap_remove(place.unwrap());
            let component = ComponentId(waiter.component);
            self.host
                .with(|m| m.unblocked(component, ThreadId(thread), 1));
            self.wait(waiter.component, thread, waiter.order);
        }
    }

    fn wait(&mut self, component: u16, thread: u16, order: u32) {
        if collect(&self.host, ComponentId(component), thread, order, true) == Step::Block {
            self.waiting.push(Waiter {
                component,
                thread,
                order,
            });
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::common::cases(400), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_is_by_priority_then_by_turn(
        threads in prop::sample::subsequence((0u16..64).collect::<Vec<_>>(), 1..20).prop_shuffle(),
        priorities in prop::collection::vec(0u32..4, 64),
    ) {
        let host = Host::new(4);
        let a = host.client(1, 1, 2);
        let _held = Buffer::try_alloc(a, 1).unwrap();
        for thread in &threads {
            prop_assert_eq!(collect(&host, A, *thread, 0, true), Step::Block);
        }
        host.with(|m| m.set_pool(A, 2)).unwrap();
        let priority = |thread: &u16| priorities[*thread as usize];
        let mut expected = threads.clone();
        // Stable, so turns stay in order.
        expected.sort_by_key(|t| std::cmp::Reverse(priority(t)));
        prop_assert_eq!(told(&host, |t| priority(&t.0)), expected);
    }

    /// At any moment, whoever waits and was not told would find nothing.
    #[test]
    fn nobody_is_forgotten(steps in prop::collection::vec(any::<(u8, usize, usize)>(), 1..120), which: usize) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        if !world.waiting.is_empty() {
            let waiter = &world.waiting[which % world.waiting.len()];
            let component = ComponentId(waiter.component);
            prop_assert_eq!(
                collect(&world.host, component, waiter.thread, waiter.order, false),
                Step::Ready(0)
            );
        }
    }
}

/// A collection goes in parts, between which others free: at whatever moment, what comes back is
/// found, or the thread is told of it.
#[test]
fn what_comes_back_between_the_parts_of_a_collection_is_found_or_told_of() {
    const OWNED: usize = 150;
    let mut blocked = 0;
    for parts in 0..20 {
        for place in [0, OWNED / 2, OWNED - 1] {
            let host = Host::new(OWNED as u64);
            let a = host.client(1, OWNED as u64, OWNED as u64);
            let one = || Buffer::try_alloc(a, 1).unwrap().freeze(1);
            let mut held: Vec<_> = (0..OWNED).map(|_| one()).collect();
            let mut round = Round::new(ThreadId(7), 0, true);
            let part = |round: &mut Round| host.with(|m| m.collect_part(A, round)).unwrap();
            let mut step = None;
            for _ in 0..parts {
                step = step.or_else(|| part(&mut round));
            }
            drop(held.swap_remove(place));
            while step.is_none() {
                step = part(&mut round);
            }
            if step == Some(Step::Block) {
                assert_eq!(told(&host, |_| 0), [7], "{place} after {parts} parts");
                blocked += 1;
            } else {
                assert_eq!(host.with(|m| m.usage(A)).unwrap().blocked, 0);
            }
            host.with(|m| m.unblocked(A, ThreadId(7), 0));
            assert!(
                matches!(collect(&host, A, 7, 0, true), Step::Ready(1..))
                    || step != Some(Step::Block)
            );
            assert_eq!(host.with(|m| m.usage(A)).unwrap().blocked, 0);
        }
    }
    assert!(blocked > 0);
}
