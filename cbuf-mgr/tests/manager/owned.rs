//! Memory that is not collected: what `init` registers, and what components own. Each rule by
//! itself, then random sequences against plain lists, hostile callers and deaths among them.

use crate::common::{Host, PAGE};
use abi::layout::{OWNED, OWNED_BYTES};
use abi::{ComponentId, Error};
use cbuf_mgr::account::{Given, Kind, Listed};
use cbuf_mgr::owned::{HeapUsage, MOST};
use libcbuf::meta::{CbufId, State};
use libcbuf::{Buffer, CbufRef};
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};

const A: ComponentId = ComponentId(1);
const B: ComponentId = ComponentId(2);

fn all(host: &Host) -> Vec<Listed> {
    let mut list = Vec::new();
    let mut after = CbufId::NONE;
    while let Some(next) = host.with(|m| m.next_buffer(after)) {
        assert!(next.id > after);
        after = next.id;
        list.push(next);
    }
    list
}

#[test]
fn what_init_made_is_listed_and_stays() {
    let host = Host::new(40);
    let client = host.client_with_heap(1, 4, 8, 8);
    let register = |component, kind, place, pages| {
        let id = host.with(|m| m.register(component, kind, place, pages));
        host.check();
        id
    };
    let text = register(A, Kind::Text, 0x400, 30).unwrap();
    let data = register(A, Kind::Static, 0x41e, 3).unwrap();
    let heap = register(A, Kind::Owned, 0x40000, 16).unwrap();
    // Components without a pool have memory, too.
    let other = register(ComponentId(9), Kind::Static, 0, 7).unwrap();
    assert_eq!(register(A, Kind::Collected, 0, 1), Err(Error::BadArgument));
    assert_eq!(register(A, Kind::Static, 0, 0), Err(Error::BadSize));
    let nobody = ComponentId(64);
    assert_eq!(register(nobody, Kind::Static, 0, 1), Err(Error::NotFound));
    let (_, collected) = client.cbuf_alloc(2 * PAGE).unwrap();
    let (_, owned) = client.cbuf_alloc_owned(5).unwrap();
    let listed = |id, kind, owner, pages| Listed {
        id,
        kind,
        owner: Some(owner),
        pages,
    };
    assert_eq!(
        all(&host),
        [
            listed(text, Kind::Text, A, 30),
            listed(data, Kind::Static, A, 3),
            listed(heap, Kind::Owned, A, 16),
            listed(other, Kind::Static, ComponentId(9), 7),
            listed(collected, Kind::Collected, A, 2),
            listed(owned, Kind::Owned, A, 5),
        ]
    );
    let given = host.with(|m| m.given(A)).unwrap();
    let (fixed, owned) = (3, 16 + 5);
    assert_eq!(
        given,
        Given {
            fixed,
            owned,
            text: 30
        }
    );
    // No client can end any of it, and a death does not.
    for id in [text, data, heap] {
        assert_eq!(host.free_owned(A, id), Err(Error::Refused));
        assert_eq!(host.free_owned(B, id).err(), Some(Error::Refused));
    }
    host.with(|m| m.component_died(A)).unwrap();
    host.check();
    let kinds: Vec<_> = all(&host).iter().map(|b| b.kind).collect();
    assert_eq!(kinds, [Kind::Text, Kind::Static, Kind::Owned, Kind::Static]);
}

#[test]
fn an_owned_buffer_is_its_owners_alone() {
    let host = Host::new(60);
    let (a, b) = (host.client_with_heap(1, 4, 8, 20), host.client(2, 4, 8));
    let (address, id) = a.cbuf_alloc_owned(11).unwrap();
    assert!((OWNED..OWNED + OWNED_BYTES).contains(&(address as usize)));
    let record = a.record(id).unwrap().load();
    assert_eq!(record.address(), address as usize);
    assert!(record.bytes() <= 11 * PAGE && record.references() == 0);
    assert!(record.has(State::EXCLUSIVE));
    // Named to another component, received from another, sealed, relinquished, asked about.
    // SAFETY: nothing uses the memory, which is not there in this process.
    unsafe { a.cbuf_send(id, B) };
    assert_eq!(b.cbuf2buf(id, 0, 8, A), Err(Error::BadBuffer));
    assert_eq!(a.cbuf2buf(id, 0, 8, B), Err(Error::BadBuffer));
    host.with(|m| {
        assert_eq!(m.map(A, id, A), Err(Error::BadBuffer));
        assert_eq!(m.seal(A, id), Err(Error::BadBuffer));
        assert_eq!(m.relinquish(A, id), Err(Error::BadBuffer));
        let held = m.machine().mapped.keys().filter(|(c, _)| *c == 2).count();
        assert_eq!(held, 0);
    });
    // Freed by others, freed twice; a collected one freed as owned.
    assert_eq!(host.free_owned(B, id), Err(Error::BadBuffer));
    let (_, collected) = a.cbuf_alloc(PAGE).unwrap();
    assert_eq!(host.free_owned(A, collected), Err(Error::BadBuffer));
    assert_eq!(host.free_owned(A, CbufId(9999)), Err(Error::BadBuffer));
    assert_eq!(host.free_owned(A, CbufId::NONE), Err(Error::BadBuffer));
    // Freed as a buffer of the pool: it stays.
    // SAFETY: nothing uses it.
    unsafe { a.cbuf_free(id) };
    host.check();
    assert_eq!(host.free_owned(A, id), Ok(()));
    assert_eq!(host.free_owned(A, id), Err(Error::BadBuffer));
    assert_eq!(a.record(id).unwrap().load(), State::EMPTY);
    host.check();
}

#[test]
fn a_heap_ends_at_its_limit_and_takes_nothing_from_pools() {
    let host = Host::new(40);
    let (a, b) = (
        host.client_with_heap(1, 10, 10, 12),
        host.client_with_heap(2, 18, 18, 0),
    );
    assert_eq!(host.with(|m| m.memory()).free, 0);
    assert_eq!(a.cbuf_alloc_owned(0), Err(Error::BadSize));
    assert_eq!(a.cbuf_alloc_owned(13), Err(Error::NoMemory));
    assert_eq!(a.cbuf_alloc_owned(u64::MAX), Err(Error::NoMemory));
    assert_eq!(b.cbuf_alloc_owned(1), Err(Error::NoMemory));
    let nobody = ComponentId(7);
    assert_eq!(host.alloc_owned(nobody, 1), Err(Error::Refused));
    // Both pools and the heap can be full at once.
    let held: Vec<_> = (0..18).map(|_| b.cbuf_alloc(PAGE).unwrap()).collect();
    let own: Vec<_> = (0..10).map(|_| a.cbuf_alloc(PAGE).unwrap()).collect();
    let first = a.cbuf_alloc_owned(5).unwrap().1;
    let second = a.cbuf_alloc_owned(7).unwrap().1;
    assert_eq!(a.cbuf_alloc_owned(1), Err(Error::NoMemory));
    host.check();
    assert_eq!(
        host.with(|m| m.heap(A)),
        Ok(HeapUsage {
            limit: 12,
            kept: 12,
            claimed: 12,
            buffers: 2
        })
    );
    host.free_owned(A, first).unwrap();
    let third = a.cbuf_alloc_owned(5).unwrap().1;
    host.check();
    for id in [second, third] {
        host.free_owned(A, id).unwrap();
    }
    for (_, id) in own {
        // SAFETY: nothing uses it any more.
        unsafe { a.cbuf_free(id) };
    }
    drop(held);
    host.check();
}

#[test]
fn beyond_what_is_kept_a_heap_takes_what_is_free() {
    let host = Host::new(40);
    let a = host.client_with_heap_of(1, 10, 10, 20, 5);
    host.client(2, 10, 40);
    let free = || host.with(|m| m.memory()).free;
    let set = |pages| host.with(|m| m.set_pool(B, pages));
    assert_eq!(free(), 15);
    let first = a.cbuf_alloc_owned(5).unwrap().1;
    assert_eq!(free(), 15);
    let second = a.cbuf_alloc_owned(10).unwrap().1;
    assert_eq!(free(), 5);
    // What the heap has no policy gives away, and what a pool may have no heap takes.
    assert_eq!(set(16), Err(Error::NoMemory));
    set(15).unwrap();
    assert_eq!(a.cbuf_alloc_owned(1), Err(Error::NoMemory));
    set(14).unwrap();
    let third = a.cbuf_alloc_owned(1).unwrap().1;
    assert_eq!(free(), 0);
    host.check();
    for (id, left) in [(first, 5), (third, 6), (second, 11)] {
        host.free_owned(A, id).unwrap();
        assert_eq!(free(), left);
    }
    // Whoever dies gives it all back, and has what is set aside still.
    a.cbuf_alloc_owned(12).unwrap();
    assert_eq!(free(), 4);
    host.with(|m| m.component_died(A)).unwrap();
    assert_eq!(free(), 11);
    host.check();
}

#[test]
fn no_more_than_so_many_buffers() {
    let host = Host::new(MOST as u64 + 20);
    let a = host.client_with_heap(1, 1, 1, MOST as u64 + 10);
    let ids: Vec<_> = (0..MOST)
        .map(|_| a.cbuf_alloc_owned(1).unwrap().1)
        .collect();
    assert_eq!(a.cbuf_alloc_owned(1), Err(Error::NoMemory));
    host.check();
    for id in ids {
        host.free_owned(A, id).unwrap();
    }
    assert!(a.cbuf_alloc_owned(1).is_ok());
}

/// Another thread of the owner's frees what is not whole yet, or goes already.
#[test]
fn between_the_parts_it_cannot_be_freed() {
    let host = Host::new(500);
    let a = host.client_with_heap(1, 4, 4, 300);
    let (_, kept) = a.cbuf_alloc_owned(1).unwrap();
    let mut owning = host.with(|m| m.begin_owned(A, 290)).unwrap();
    assert_eq!(host.with(|m| m.owned_part(&mut owning)), Ok(None));
    let id = all(&host).last().unwrap().id;
    assert!(id != kept);
    assert_eq!(host.free_owned(A, id), Err(Error::BadBuffer));
    while host.with(|m| m.owned_part(&mut owning)).unwrap().is_none() {}
    let mut ending = host.with(|m| m.free_owned(A, id)).unwrap();
    assert_eq!(host.with(|m| m.owned_part(&mut ending)), Ok(None));
    assert_eq!(host.free_owned(A, id), Err(Error::BadBuffer));
    while host.with(|m| m.owned_part(&mut ending)).unwrap().is_none() {}
    assert_eq!(host.free_owned(A, id), Err(Error::BadBuffer));
    host.check();
    assert_eq!(host.with(|m| m.heap(A)).unwrap().claimed, 1);
}

/// Between any two parts of making or ending a buffer its owner may die, and be started anew.
#[test]
fn a_death_between_the_parts_loses_nothing() {
    for (restart, ending) in [(false, false), (true, false), (false, true), (true, true)] {
        let host = Host::new(500);
        let a = host.client_with_heap(1, 4, 4, 300);
        let mut owning = if ending {
            let id = a.cbuf_alloc_owned(299).unwrap().1;
            host.with(|m| m.free_owned(A, id)).unwrap()
        } else {
            host.with(|m| m.begin_owned(A, 299)).unwrap()
        };
        if !ending {
            assert_eq!(host.with(|m| m.owned_part(&mut owning)), Ok(None));
        }
        host.check();
        host.with(|m| m.component_died(A)).unwrap();
        host.check();
        assert_eq!(host.with(|m| m.totals()).unused, 500);
        assert_eq!(host.alloc_owned(A, 1), Err(Error::Dead));
        if restart {
            host.with(|m| m.component_restarted(A)).unwrap();
            let again = host.attach(A);
            // Gets the id that the old one had.
            let (_, id) = again.cbuf_alloc_owned(250).unwrap();
            assert_eq!(host.with(|m| m.owned_part(&mut owning)), Err(Error::Dead));
            host.check();
            host.free_owned(A, id).unwrap();
        } else {
            assert_eq!(host.with(|m| m.owned_part(&mut owning)), Err(Error::Dead));
        }
        host.check();
        assert!(host.with(|m| m.machine().own.is_empty()));
    }
}

/// Where there is no memory for it, whether pages or the manager's own objects, nothing is left.
#[test]
fn what_cannot_be_made_leaves_nothing() {
    for budget in 0..30 {
        let host = Host::new(40);
        let a = host.client_with_heap(1, 4, 4, 30);
        host.with(|m| m.machine_mut().budget = budget);
        let got = a.cbuf_alloc_owned(29);
        host.check();
        host.with(|m| m.machine_mut().budget = u64::MAX);
        match got {
            Ok((_, id)) => host.free_owned(A, id).unwrap(),
            Err(error) => assert_eq!(error, Error::NoMemory),
        }
        assert_eq!(host.with(|m| m.totals()).unused, 40);
        assert_eq!(host.with(|m| m.heap(A)).unwrap().claimed, 0);
        assert!(a.cbuf_alloc_owned(30).is_ok());
        host.check();
    }
}

/// A buffer of many pages is made where only single pages are free.
#[test]
fn memory_in_pieces_is_one_buffer() {
    let host = Host::new(42);
    let (a, b) = (
        host.client_with_heap(1, 1, 1, 20),
        host.client_with_heap(2, 1, 1, 20),
    );
    let single = |client: &libcbuf::Client| client.cbuf_alloc_owned(1).unwrap().1;
    let (ours, theirs): (Vec<_>, Vec<_>) = (0..20).map(|_| (single(a), single(b))).unzip();
    for id in ours {
        host.free_owned(A, id).unwrap();
    }
    let (_, whole) = a.cbuf_alloc_owned(20).unwrap();
    host.check();
    // Two more pages are free, beside each other.
    let pieces = host.with(|m| m.machine().own.len()) - theirs.len();
    assert!(pieces >= 19, "{pieces}");
    host.free_owned(A, whole).unwrap();
    host.check();
}

struct Block {
    owner: u16,
    address: u64,
    pages: u64,
    id: CbufId,
}

type Op = (u8, u8, u8, u64);

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::common::cases(150), failure_persistence: None, ..ProptestConfig::default() })]

    /// Against plain lists: who owns what, where, and how much.
    #[test]
    #[cfg_attr(miri, ignore = "takes minutes there")]
    fn owners_lose_nothing(ops in prop::collection::vec(any::<Op>(), 1..150)) {
        const COMPONENTS: u16 = 3;
        const HEAP: u64 = 40;
        // Not enough for the last one's whole heap, of which only a part is set aside.
        let host = Host::new(132);
        let kept = |c| if c == COMPONENTS { 10 } else { HEAP };
        let mut clients: HashMap<u16, _> = (1..=COMPONENTS)
            .map(|c| (c, host.client_with_heap_of(c, 6, 12, HEAP, kept(c))))
            .collect();
        let mut blocks: Vec<Block> = Vec::new();
        let mut collected = Vec::new();
        for (kind, who, which, value) in ops {
            let c = u16::from(who) % COMPONENTS + 1;
            let component = ComponentId(c);
            let used = |blocks: &[Block]| -> u64 {
                blocks.iter().filter(|b| b.owner == c).map(|b| b.pages).sum()
            };
            match kind % 12 {
                0..=4 => {
                    let pages = value % 18;
                    let free = host.with(|m| m.memory()).free;
                    let got = host.alloc_owned(component, pages);
                    match got {
                        Ok((address, id)) => {
                            prop_assert!(pages > 0 && used(&blocks) + pages <= HEAP);
                            let end = address + pages * PAGE as u64;
                            for b in blocks.iter().filter(|b| b.owner == c) {
                                let other = b.address + b.pages * PAGE as u64;
                                prop_assert!(end <= b.address || other <= address);
                            }
                            prop_assert!(blocks.iter().all(|b| b.id != id));
                            blocks.push(Block { owner: c, address, pages, id });
                        }
                        Err(Error::BadSize) => prop_assert_eq!(pages, 0),
                        // Places are four times as many as pages, so only pages run out.
                        Err(error) => {
                            prop_assert_eq!(error, Error::NoMemory);
                            let (before, after) = (used(&blocks), used(&blocks) + pages);
                            let more = after.max(kept(c)) - before.max(kept(c));
                            prop_assert!(after > HEAP || more > free);
                        }
                    }
                }
                5..=7 if !blocks.is_empty() => {
                    let block = blocks.swap_remove(which as usize % blocks.len());
                    let owner = ComponentId(block.owner);
                    // Others cannot, and its owner can once.
                    let other = ComponentId(block.owner % COMPONENTS + 1);
                    prop_assert_eq!(host.free_owned(other, block.id), Err(Error::BadBuffer));
                    prop_assert_eq!(host.free_owned(owner, block.id), Ok(()));
                    prop_assert_eq!(host.free_owned(owner, block.id), Err(Error::BadBuffer));
                }
                // Any id: ends at most what is the caller's.
                8 => {
                    let id = CbufId(value as u32 % 40);
                    let own = blocks.iter().position(|b| b.id == id && b.owner == c);
                    let freed = host.free_owned(component, id);
                    prop_assert_eq!(freed.is_ok(), own.is_some());
                    own.map(|at| blocks.swap_remove(at));
                }
                // Named to another component as what it never is.
                9 if !blocks.is_empty() => {
                    let block = &blocks[which as usize % blocks.len()];
                    let wire = CbufRef { id: block.id.0, offset: 0, len: 8 };
                    for receiver in 1..=COMPONENTS {
                        let got = libcbuf::Cbuf::receive(
                            clients[&receiver],
                            wire,
                            ComponentId(block.owner),
                        );
                        prop_assert!(got.is_err());
                    }
                }
                10 => {
                    if value % 2 == 0 {
                        collected.clear();
                    } else if let Ok(buffer) = Buffer::try_alloc(clients[&c], PAGE) {
                        collected.push((c, buffer));
                    }
                }
                11 if value % 4 == 0 => {
                    blocks.retain(|b| b.owner != c);
                    let (dead, left): (Vec<_>, Vec<_>) =
                        collected.into_iter().partition(|(owner, _)| *owner == c);
                    collected = left;
                    dead.into_iter().for_each(std::mem::forget);
                    host.with(|m| m.component_died(component)).unwrap();
                    host.check();
                    host.with(|m| m.component_restarted(component)).unwrap();
                    clients.insert(c, host.attach(component));
                }
                _ => {}
            }
            host.check();
            // Every page of every block is mapped at its owner's, once.
            let pages: u64 = blocks.iter().map(|b| b.pages).sum();
            let (places, frames) = host.with(|m| {
                let own = &m.machine().own;
                let frames: u64 = own.values().map(|p| 1 << m.machine().frames[p]).sum();
                let places = own.iter().flat_map(|((c, place), p)| {
                    (*place..place + (1 << m.machine().frames[p])).map(move |page| (*c, page))
                });
                (places.collect::<HashSet<_>>(), frames)
            });
            prop_assert_eq!(frames, pages);
            prop_assert_eq!(places.len() as u64, pages);
            for b in &blocks {
                let first = b.address / PAGE as u64;
                prop_assert!((first..first + b.pages).all(|page| places.contains(&(b.owner, page))));
            }
        }
    }
}
