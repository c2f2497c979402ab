//! Aggregates and pieces of pages between real clients: what arrives is what was sent, whatever its
//! shape; what lies is refused; and nothing stays behind.

use crate::common::Host;
use abi::{ComponentId, Error};
use libcbuf::aggregate::{MAX_DEPTH, MAX_ENTRIES};
use libcbuf::{Aggregate, Buffer, Cbuf, CbufRef, Client, Slab};
use proptest::prelude::*;

const A: ComponentId = ComponentId(1);
const B: ComponentId = ComponentId(2);
const C: ComponentId = ComponentId(3);

struct World {
    host: Host,
    a: &'static Client,
    b: &'static Client,
    c: &'static Client,
}

fn world() -> World {
    let host = Host::new(400);
    let [a, b, c] = [1, 2, 3].map(|c| host.client(c, 120, 120));
    World { host, a, b, c }
}

impl World {
    /// Every send was received and nobody references anything.
    fn settled(&self) {
        assert_eq!(self.host.with(|m| m.memory().live), 0);
        self.host.check();
    }
}

fn stretch(client: &'static Client, bytes: &[u8]) -> Cbuf<'static> {
    let mut buffer = Buffer::try_alloc(client, bytes.len().max(1)).unwrap();
    buffer[..bytes.len()].copy_from_slice(bytes);
    buffer.freeze(bytes.len())
}

fn bytes(aggregate: &Aggregate<'_>) -> Vec<u8> {
    let bytes: Vec<u8> = aggregate.parts().flatten().copied().collect();
    assert_eq!(bytes.len() as u64, aggregate.len());
    bytes
}

#[derive(Clone, Debug)]
enum Shape {
    Bytes(Vec<u8>),
    Of(Vec<Shape>),
}

impl Shape {
    fn depth(&self) -> usize {
        match self {
            Shape::Bytes(_) => 0,
            Shape::Of(parts) => 1 + parts.iter().map(Shape::depth).max().unwrap_or(0),
        }
    }
    fn flat(&self) -> Vec<u8> {
        match self {
            Shape::Bytes(bytes) => bytes.clone(),
            Shape::Of(parts) => parts.iter().flat_map(Shape::flat).collect(),
        }
    }
}

fn build(client: &'static Client, parts: &[Shape]) -> Aggregate<'static> {
    let mut whole = Aggregate::new(client).unwrap();
    for part in parts {
        match part {
            Shape::Bytes(bytes) => whole.push(stretch(client, bytes)).unwrap(),
            Shape::Of(parts) => whole.push_aggregate(build(client, parts)).unwrap(),
        }
    }
    whole
}

fn shape() -> impl Strategy<Value = Shape> {
    let bytes = prop::collection::vec(any::<u8>(), 0..40).prop_map(Shape::Bytes);
    let tree = bytes.prop_recursive(MAX_DEPTH as u32 - 1, 24, 4, |part| {
        prop::collection::vec(part, 1..4).prop_map(Shape::Of)
    });
    prop::collection::vec(tree, 0..4).prop_map(Shape::Of)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::common::cases(64), ..ProptestConfig::default() })]

    /// Built, sent, received, sent on, received: the same bytes, and then nothing is left.
    #[test]
    fn any_shape_arrives_and_goes_on(shape in shape(), unsent: bool) {
        let w = world();
        let Shape::Of(parts) = &shape else { unreachable!() };
        let whole = build(w.a, parts);
        prop_assert_eq!(whole.depth(), shape.depth());
        prop_assert_eq!(bytes(&whole), shape.flat());
        if unsent {
            Aggregate::take_back(w.a, whole.send(B));
        } else {
            let there = Aggregate::receive(w.b, whole.send(B), A).unwrap();
            prop_assert_eq!(bytes(&there), shape.flat());
            let further = Aggregate::receive(w.c, there.send(C), B).unwrap();
            prop_assert_eq!(bytes(&further), shape.flat());
        }
        w.settled();
    }

    /// A table of any words makes an error or an aggregate of what was sent, and no reference
    /// stays where it was received.
    #[test]
    fn any_table_is_refused_or_right(
        words in prop::collection::vec(prop_oneof![0u32..4, Just(8), Just(16), any::<u32>()], 0..24),
        known in prop::collection::vec((0usize..8, 0usize..3), 0..6),
    ) {
        let w = world();
        let part = stretch(w.a, b"sixteen bytes ab");
        let mut table = Buffer::try_alloc(w.a, 4096).unwrap();
        let own = [part.id().0, table.id().0];
        for (at, word) in words.iter().enumerate() {
            table[at * 4..at * 4 + 4].copy_from_slice(&word.to_le_bytes());
        }
        for (entry, which) in known {
            let id = own.get(which).copied().unwrap_or(77);
            table[entry * 16..entry * 16 + 4].copy_from_slice(&id.to_le_bytes());
        }
        let table = table.freeze(words.len() * 4);
        for _ in 0..8 {
            let _ = part.send(B);
        }
        if let Ok(there) = Aggregate::receive(w.b, table.send(B), A) {
            prop_assert!(there.parts().all(|bytes| bytes.len() <= 4096));
        }
        for id in own {
            let here = w.b.record(libcbuf::CbufId(id));
            prop_assert_eq!(here.map_or(0, |record| record.load().references()), 0);
        }
    }
}

/// A table of these entries, in a buffer of `client`'s.
fn table(client: &'static Client, entries: &[(CbufRef, u32)]) -> Cbuf<'static> {
    let mut wire = Vec::new();
    for (part, kind) in entries {
        wire.extend(part.to_bytes());
        wire.extend(kind.to_le_bytes());
    }
    stretch(client, &wire)
}

#[test]
fn what_contains_itself_is_refused() {
    let w = world();
    let mut buffer = Buffer::try_alloc(w.a, 16).unwrap();
    let own = CbufRef {
        id: buffer.id().0,
        offset: 0,
        len: 16,
    };
    buffer[..12].copy_from_slice(&own.to_bytes());
    buffer[12..16].copy_from_slice(&1u32.to_le_bytes());
    let whole = buffer.freeze(16);
    // Sent once for itself and once for its entry.
    let sent = [whole.send(B), whole.send(B)][0];
    assert_eq!(
        Aggregate::receive(w.b, sent, A).unwrap_err(),
        Error::BadBuffer
    );
    drop(whole);
    w.settled();
}

#[test]
fn depth_and_length_have_bounds() {
    let w = world();
    let mut whole = build(w.a, &[Shape::Bytes(vec![1])]);
    for _ in 1..MAX_DEPTH {
        let mut outer = Aggregate::new(w.a).unwrap();
        outer.push_aggregate(whole).unwrap();
        whole = outer;
    }
    assert_eq!(whole.depth(), MAX_DEPTH);
    let deep = table(w.a, &[(whole.send(B), 1)]);
    assert_eq!(
        Aggregate::receive(w.b, deep.send(B), A).unwrap_err(),
        Error::BadSize
    );

    let one = stretch(w.a, &[7]);
    let mut many = Aggregate::new(w.a).unwrap();
    for _ in 0..MAX_ENTRIES {
        many.push(one.clone()).unwrap();
    }
    assert_eq!(many.push(one.clone()), Err(Error::NoMemory));
    let there = Aggregate::receive(w.b, many.send(B), A).unwrap();
    assert_eq!(bytes(&there), vec![7; MAX_ENTRIES]);
    assert_eq!(
        Aggregate::new(w.a)
            .unwrap()
            .push_aggregate(Aggregate::new(w.a).unwrap()),
        Err(Error::BadSize)
    );
}

#[test]
fn a_stretch_that_leaves_its_buffer_is_refused_and_the_rest_is_settled() {
    let w = world();
    let [good, bad] = [[1], [2]].map(|bytes| stretch(w.a, &bytes));
    let reach = |part: CbufRef, offset, len| CbufRef {
        offset,
        len,
        ..part
    };
    for lie in [
        reach(bad.send(B), 4096, 1),
        reach(bad.send(B), u32::MAX, 2),
        reach(bad.send(B), 1, u32::MAX),
    ] {
        let table = table(w.a, &[(lie, 0), (good.send(B), 0)]);
        assert_eq!(
            Aggregate::receive(w.b, table.send(B), A).unwrap_err(),
            Error::BadBuffer
        );
        drop(Cbuf::take_back(w.a, reach(lie, 0, 1)).unwrap());
    }
    // Bytes that B owns, and that nobody sent it.
    let own = stretch(w.b, b"secret");
    let name = CbufRef {
        id: own.id().0,
        offset: 0,
        len: 6,
    };
    let table = table(w.a, &[(name, 0)]);
    assert_eq!(
        Aggregate::receive(w.b, table.send(B), A).unwrap_err(),
        Error::BadBuffer
    );
    drop((good, bad, own, table));
    w.settled();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::common::cases(64), ..ProptestConfig::default() })]

    /// Pieces of pages keep what was written to them, whatever becomes of their neighbours, here
    /// and where they were sent; with the last piece the pages are gone.
    #[test]
    fn pieces_share_pages_and_nothing_else(
        size in 1usize..=2048,
        fates in prop::collection::vec(0u8..4, 1..80),
    ) {
        let w = world();
        let mut slab = Slab::new(w.a, size).unwrap();
        let (mut written, mut frozen, mut there) = (vec![], vec![], vec![]);
        for (tag, fate) in (1u8..).zip(&fates) {
            let mut piece = slab.alloc().unwrap();
            prop_assert!(piece.len() >= size && piece.as_ptr().addr().is_multiple_of(16));
            piece.fill(tag);
            match fate {
                0 => drop(piece),
                1 => written.push((tag, piece)),
                2 => frozen.push((tag, piece.freeze(size))),
                _ => {
                    let sent = piece.freeze(size).send(B);
                    there.push((tag, Cbuf::receive(w.b, sent, A).unwrap()));
                }
            }
        }
        prop_assert!(written.iter().all(|(tag, piece)| piece.iter().all(|b| b == tag)));
        for (tag, cbuf) in frozen.iter().chain(&there) {
            prop_assert!(cbuf.len() == size && cbuf.iter().all(|b| b == tag));
        }
        drop((slab, written, frozen));
        prop_assert_eq!(w.host.with(|m| m.memory().live) > 0, !there.is_empty());
        drop(there);
        w.settled();
    }
}

#[test]
fn pieces_are_neither_nothing_nor_most_of_a_page() {
    let w = world();
    for size in [0, 2049, usize::MAX] {
        assert_eq!(Slab::new(w.a, size).unwrap_err(), Error::BadSize);
    }
}
