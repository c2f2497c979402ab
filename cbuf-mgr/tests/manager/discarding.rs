//! What the manager took back lies in its owner's freelists until that discards it.

use crate::common::{Host, PAGE};
use abi::{ComponentId, ThreadId};
use libcbuf::meta::State;
use libcbuf::{Buffer, CbufId, Client};

const A: ComponentId = ComponentId(1);
const PAGES: u64 = 16;

/// Records of a client's that wait to be discarded.
fn taken_back(client: &Client) -> u64 {
    let states = (1..512).filter_map(|id| Some(client.record(CbufId(id))?.load()));
    let gone = |state: &State| state.has(State::INCONSISTENT) && state.has(State::FREE);
    states.filter(gone).count() as u64
}

/// Threads that ask for pages while another drains the ring for buffers of two fill the freelist of
/// pages: with what is free on top, so that nobody finds what was taken back below it.
#[test]
fn who_gets_nothing_discards_what_was_taken_back() {
    let host = Host::new(64);
    let a = host.client(1, PAGES, PAGES);
    for _ in 0..8 {
        while host.with(|m| m.usage(A).unwrap().held) < PAGES {
            host.with(|m| m.collect(A, ThreadId(9), 0, false)).unwrap();
        }
        if taken_back(a) >= 2 * PAGES {
            break;
        }
        drop(Buffer::try_alloc(a, 2 * PAGE).unwrap());
        host.with(|m| m.set_pool(A, 0)).unwrap();
        assert_eq!(
            host.with(|m| m.usage(A).unwrap().held),
            0,
            "whatever was taken before"
        );
        host.with(|m| m.set_pool(A, PAGES)).unwrap();
    }
    let before = taken_back(a);
    assert!(before >= 2 * PAGES, "{before} wait");
    let large = Buffer::try_alloc(a, 2 * PAGE).expect("pages that are free make room");
    assert!(taken_back(a) <= 2, "they were discarded");
    drop(large);
    host.check();
    host.with(|m| m.set_pool(A, 0)).unwrap();
    assert_eq!(host.with(|m| m.usage(A).unwrap().held), 0);
}
