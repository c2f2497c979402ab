//! Who pays for what is held for too long, and who gets the room.

use crate::common::{Host, PAGE};
use abi::{ComponentId, Error};
use libcbuf::{Buffer, Cbuf, Client};

const A: ComponentId = ComponentId(1);
const B: ComponentId = ComponentId(2);
const C: ComponentId = ComponentId(3);

/// A's pool is four pages, and B has all of them; B has a page of its own, idle, in a pool of four.
fn full(host: &Host) -> (&'static Client, &'static Client, Vec<Cbuf<'static>>) {
    let (a, b) = (host.client(1, 4, 4), host.client(2, 4, 4));
    drop(Buffer::try_alloc(b, 1).unwrap());
    let held = (0..4).map(|n| give(a, b, n)).collect();
    host.with(|m| m.set_patience(0));
    (a, b, held)
}

fn give(a: &'static Client, b: &'static Client, byte: u8) -> Cbuf<'static> {
    let mut buffer = Buffer::try_alloc(a, 1).unwrap();
    buffer.fill(byte);
    let sent = buffer.freeze(PAGE).send(B);
    Cbuf::receive(b, sent, A).unwrap()
}

/// Pages on a component's account, and of these others'.
fn account(host: &Host, component: ComponentId) -> (u64, u64) {
    host.check();
    host.with(|m| {
        let charged = m.charges(component).unwrap().0;
        (m.usage(component).unwrap().held, charged)
    })
}

#[test]
fn who_holds_for_too_long_pays_and_the_owner_has_room_again() {
    let host = Host::new(32);
    let (a, b, held) = full(&host);
    assert_eq!((account(&host, A), account(&host, B)), ((4, 0), (1, 0)));
    // The owner finds nothing: a first look notes who has it, and the same call charges.
    let mut again: Vec<_> = (0..4).map(|_| Buffer::try_alloc(a, 1).unwrap()).collect();
    again.iter_mut().for_each(|buffer| buffer.fill(9));
    assert_eq!(account(&host, A), (4, 0));
    // All of B's account is what it holds: its idle page ended.
    assert_eq!(account(&host, B), (4, 4));
    assert_eq!(host.with(|m| m.charges(A)), Ok((0, 4)));
    assert_eq!(Buffer::try_alloc(b, 1).unwrap_err(), Error::NoMemory);
    assert!(held.iter().zip(0..).all(|(cbuf, n)| cbuf[PAGE - 1] == n));
    // Let go, they end, for A has its four; and B has its room.
    drop(held);
    assert_eq!((account(&host, A), account(&host, B)), ((4, 0), (0, 0)));
    assert!(again.iter().all(|buffer| buffer[0] == 9));
    assert!(Buffer::try_alloc(b, 4 * PAGE).is_ok());
}

#[test]
fn nobody_pays_before_the_time_is_over_or_for_what_is_not_asked_for() {
    let host = Host::new(32);
    let (a, _b, held) = full(&host);
    host.with(|m| m.set_patience(u64::MAX));
    assert_eq!(Buffer::try_alloc(a, 1).unwrap_err(), Error::NoMemory);
    assert_eq!(account(&host, B), (1, 0));
    // What is on its way is the owner's.
    let on_its_way = held[0].send(C);
    let _c = host.client(3, 1, 1);
    drop(held);
    host.with(|m| m.set_patience(0));
    let three: Vec<_> = (0..3).map(|_| Buffer::try_alloc(a, 1).unwrap()).collect();
    assert_eq!(Buffer::try_alloc(a, 1).unwrap_err(), Error::NoMemory);
    assert_eq!((account(&host, A), account(&host, B)), ((4, 0), (1, 0)));
    drop((on_its_way, three));
}

#[test]
fn what_is_passed_on_is_paid_for_by_who_has_it() {
    let host = Host::new(32);
    let (a, _b, mut held) = full(&host);
    let c = host.client(3, 4, 4);
    let _new = Buffer::try_alloc(a, 4 * PAGE).unwrap();
    assert_eq!((account(&host, B), account(&host, C)), ((4, 4), (0, 0)));
    let passed = Cbuf::receive(c, held[0].send(C), B).unwrap();
    // B's last free tells; A has too much now, until C has had it for too long.
    held.remove(0);
    assert_eq!((account(&host, A), account(&host, B)), ((5, 0), (3, 3)));
    assert_eq!(Buffer::try_alloc(a, 1).unwrap_err(), Error::NoMemory);
    assert_eq!((account(&host, A), account(&host, C)), ((4, 0), (1, 1)));
    // C gives it back to A, which pays again for as long as it has it.
    let back = Cbuf::receive(a, passed.send(A), C).unwrap();
    drop(passed);
    assert_eq!((account(&host, A), account(&host, C)), ((5, 0), (0, 0)));
    drop(back);
    assert_eq!(account(&host, A), (4, 0));
}

#[test]
fn an_owner_that_has_it_too_pays_once_the_other_let_go() {
    let host = Host::new(32);
    let (a, b) = (host.client(1, 1, 1), host.client(2, 4, 4));
    host.with(|m| m.set_patience(0));
    let held = give(a, b, 1);
    let other = Buffer::try_alloc(a, 1).unwrap();
    let mine = Cbuf::receive(a, held.send(A), B).unwrap();
    assert_eq!((account(&host, A), account(&host, B)), ((1, 0), (1, 1)));
    // Damages the flag with which B's free would tell.
    let flag = libcbuf::meta::State::RELINQUISH;
    let record = b.record(held.id()).unwrap();
    record
        .state
        .fetch_and(!flag, libcbuf::primitive::Ordering::SeqCst);
    drop(held);
    assert_eq!(account(&host, B), (1, 1));
    // When either collects, the manager sees it.
    drop(other);
    let _ = Buffer::try_alloc(b, 4 * PAGE).unwrap();
    assert_eq!((account(&host, A).0, account(&host, B).1), (2, 0));
    drop(mine);
    assert_eq!(account(&host, A), (1, 0));
}

#[test]
fn the_dead_pay_nothing_and_what_is_left_of_them_is_paid_for() {
    let host = Host::new(32);
    let (a, b, held) = full(&host);
    let new = Buffer::try_alloc(a, 4 * PAGE).unwrap();
    // B dies: what it had comes back to A, which has enough.
    held.into_iter().for_each(std::mem::forget);
    host.with(|m| m.component_died(B)).unwrap();
    assert_eq!((account(&host, A), account(&host, B)), ((4, 0), (0, 0)));
    host.with(|m| m.component_restarted(B)).unwrap();
    drop(new);
    let b2 = host.attach(B);
    let _ = b;
    let held = give(a, b2, 5);
    // A dies: B pays at once for what it has of it.
    host.with(|m| m.component_died(A)).unwrap();
    assert_eq!((account(&host, A), account(&host, B)), ((0, 0), (1, 1)));
    assert_eq!(held[0], 5);
    drop(held);
    assert_eq!(account(&host, B), (0, 0));
    assert_eq!(host.with(|m| m.memory().pooled), 0);
}
