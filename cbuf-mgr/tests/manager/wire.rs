//! Every word by which a buffer is named on its way, set to every value that could mean something:
//! in the message, and in the entries of an aggregate and of one inside it. What an honest component
//! makes of it is an error, or bytes that the sender can read itself; nothing stays behind.

use crate::common::{Host, PAGE};
use abi::ComponentId;
use libcbuf::aggregate::{MAX_DEPTH, MAX_ENTRIES};
use libcbuf::{Aggregate, Buffer, Cbuf, CbufRef, Client};

/// Honest.
const A: ComponentId = ComponentId(1);
const B: ComponentId = ComponentId(2);
/// Hostile: it sends to B.
const H: ComponentId = ComponentId(4);
const POOL: u64 = 16;
/// Bytes of an entry.
const ENTRY: usize = 16;

struct World {
    host: Host,
    a: &'static Client,
    b: &'static Client,
    h: &'static Client,
}

/// What the hostile component sends: a table with two stretches and a table between them, which has
/// one stretch.
struct Message {
    outer: Cbuf<'static>,
    inner: Cbuf<'static>,
    parts: Vec<Cbuf<'static>>,
    sent: CbufRef,
}

/// One word of it.
#[derive(Clone, Copy, Debug)]
enum Word {
    /// Of the message: id, offset, length.
    Sent(usize),
    /// Of the outer and the inner table.
    Outer(usize),
    Inner(usize),
}

const WORDS: usize = 3 + 3 * ENTRY / 4 + ENTRY / 4;

fn word(n: usize) -> Word {
    match n {
        0..3 => Word::Sent(n),
        3..15 => Word::Outer(n - 3),
        _ => Word::Inner(n - 15),
    }
}

fn filled(client: &'static Client, byte: u8) -> Cbuf<'static> {
    let mut buffer = Buffer::try_alloc(client, PAGE).unwrap();
    buffer.fill(byte);
    buffer.freeze(PAGE)
}

fn table(
    client: &'static Client,
    entries: &[(CbufRef, u32)],
    change: Option<(usize, u32)>,
) -> Cbuf<'static> {
    let mut buffer = Buffer::try_alloc(client, PAGE).unwrap();
    for (entry, (part, kind)) in buffer.chunks_exact_mut(ENTRY).zip(entries) {
        entry[..12].copy_from_slice(&part.to_bytes());
        entry[12..].copy_from_slice(&kind.to_le_bytes());
    }
    if let Some((word, value)) = change {
        buffer[word * 4..word * 4 + 4].copy_from_slice(&value.to_le_bytes());
    }
    buffer.freeze(entries.len() * ENTRY)
}

impl World {
    fn new() -> Self {
        let host = Host::new(4 * POOL);
        let [a, b, h] = [A, B, H].map(|c| host.client(c.0, POOL, POOL));
        Self { host, a, b, h }
    }

    fn message(&self, change: Option<(Word, u32)>) -> Message {
        let h = self.h;
        let mut parts: Vec<_> = (1..4).map(|byte| filled(h, byte)).collect();
        let at = |inner: bool| match change {
            Some((Word::Outer(n), value)) if !inner => Some((n, value)),
            Some((Word::Inner(n), value)) if inner => Some((n, value)),
            _ => None,
        };
        let inner = table(h, &[(parts[2].slice(..100).send(B), 0)], at(true));
        let outer = [
            (parts[0].slice(8..).send(B), 0),
            (inner.send(B), 1),
            (parts[1].send(B), 0),
        ];
        let outer = table(h, &outer, at(false));
        let mut sent = outer.send(B);
        match change {
            Some((Word::Sent(0), id)) => sent.id = id,
            Some((Word::Sent(1), offset)) => sent.offset = offset,
            Some((Word::Sent(_), len)) => sent.len = len,
            _ => {}
        }
        // Its own, which it sent to nobody.
        parts.push(filled(h, 9));
        Message {
            outer,
            inner,
            parts,
            sent,
        }
    }

    /// Whether the sender has the page mapped.
    fn is_its_own(&self, at: *const u8) -> bool {
        self.host.with(|m| {
            let page = m.machine().page_at(at as usize);
            m.machine().mapped.contains_key(&(H.0, page))
        })
    }

    fn receive(&self, sent: CbufRef) {
        if let Ok(bytes) = Cbuf::receive(self.b, sent, H) {
            assert!(self.is_its_own(bytes.as_ptr()), "a secret");
            assert!(bytes.as_ptr() as usize % PAGE + bytes.len() <= PAGE);
        }
        if let Ok(whole) = Aggregate::receive(self.b, sent, H) {
            let mut all = 0;
            for part in whole.parts() {
                assert!(self.is_its_own(part.as_ptr()), "a secret");
                assert!(part.as_ptr() as usize % PAGE + part.len() <= PAGE);
                all += part.len() as u64;
            }
            assert_eq!(all, whole.len());
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "takes minutes there")]
fn every_chosen_word_of_a_message_is_refused_or_names_its_senders_own() {
    let secret_of_a = 7;
    let mut world = World::new();
    let secret = filled(world.a, secret_of_a);
    let there = Cbuf::receive(world.b, secret.send(B), A).unwrap();
    let own = filled(world.b, 8);
    let mut tried = 0;
    for n in 0..WORDS {
        for choice in 0.. {
            // What the words would be.
            let plain = world.message(None);
            let mut values: Vec<u32> = plain.parts.iter().map(|part| part.id().0).collect();
            values.extend([&plain.outer, &plain.inner, &secret, &own].map(|c| c.id().0));
            world.receive(plain.sent);
            drop(plain);
            let entry = ENTRY as u32;
            let page = PAGE as u32;
            values.extend([
                0,
                1,
                2,
                3,
                4,
                5,
                entry - 1,
                entry,
                entry + 1,
                2 * entry,
                3 * entry,
                4 * entry,
            ]);
            values.extend([
                page - entry,
                page - 1,
                page,
                page + 1,
                page + entry,
                2 * page,
            ]);
            values.extend([
                MAX_DEPTH as u32,
                MAX_ENTRIES as u32 * entry,
                (MAX_ENTRIES as u32 + 1) * entry,
            ]);
            values.extend((0..32).map(|bit| 1 << bit));
            values.extend([
                u32::MAX,
                u32::MAX - 1,
                u32::MAX - 15,
                u32::MAX - page + 1,
                1 << 19,
            ]);
            let Some(value) = values.get(choice) else {
                break;
            };
            let message = world.message(Some((word(n), *value)));
            world.receive(message.sent);
            let ids = message.parts.iter().chain([&message.outer, &message.inner]);
            for id in ids.map(Cbuf::id) {
                let here = world
                    .b
                    .record(id)
                    .map_or(0, |record| record.load().references());
                assert_eq!(here, 0, "{:?} {value:#x}: a reference stays", word(n));
            }
            drop(message);
            assert!(
                secret
                    .iter()
                    .chain(&*there)
                    .all(|byte| *byte == secret_of_a)
            );
            assert!(own.iter().all(|byte| *byte == 8));
            // What it miscounted is its own affair, and ends with it.
            world.host.with(|m| m.set_grace(0));
            world.host.with(|m| m.component_died(H)).unwrap();
            world.host.with(|m| m.component_died(H)).unwrap();
            world.host.check();
            assert_eq!(world.host.with(|m| m.totals().unpaid), 0);
            assert!(
                world
                    .host
                    .with(|m| m.machine().mapped.keys().all(|(c, _)| *c != H.0))
            );
            world.host.with(|m| m.component_restarted(H)).unwrap();
            world.h = world.host.attach(H);
            assert_eq!(world.b.record(secret.id()).unwrap().load().references(), 1);
            tried += 1;
        }
    }
    assert!(tried > 1200, "{tried}");
}
