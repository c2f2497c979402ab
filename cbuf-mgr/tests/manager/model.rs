//! Random sequences of what clients do, against a model that keeps plain lists: every honest
//! reference keeps its bytes and its mapping, the account balances after each step, and once
//! everybody is done every page comes back. One client is hostile and overwrites all that it
//! shares with the manager.

use crate::common::{Host, PAGE};
use abi::ComponentId;
use cbuf_mgr::Step;
use libcbuf::primitive::Ordering;
use libcbuf::{Buffer, Cbuf, CbufRef, Client};
use proptest::prelude::*;
use std::collections::HashSet;

const HONEST: u16 = 3;
const HOSTILE: u16 = 4;
const POOL: u64 = 12;

struct Held {
    client: u16,
    cbuf: Cbuf<'static>,
    tag: u64,
}

struct Sent {
    from: u16,
    to: u16,
    wire: CbufRef,
    tag: u64,
}

struct World {
    host: Host,
    clients: Vec<&'static Client>,
    held: Vec<Held>,
    sent: Vec<Sent>,
    /// Ids that the hostile client could ever have had a record of.
    tainted: HashSet<u32>,
    tags: u64,
}

fn stamp(bytes: &mut [u8], tag: u64) {
    let end = bytes.len();
    bytes[..8].copy_from_slice(&tag.to_le_bytes());
    bytes[end - 8..].copy_from_slice(&tag.to_le_bytes());
}

impl World {
    /// With `strict`, whoever holds a buffer pays for it as soon as its owner lacks memory.
    fn new(strict: bool) -> Self {
        let host = Host::new(40);
        if strict {
            host.with(|m| m.set_patience(0));
        }
        let clients = (1..=HOSTILE)
            .map(|c| host.client(c, if c == HOSTILE { 4 } else { POOL }, 24))
            .collect();
        Self {
            host,
            clients,
            held: Vec::new(),
            sent: Vec::new(),
            tainted: HashSet::new(),
            tags: 0,
        }
    }

    fn client(&self, component: u16) -> &'static Client {
        self.clients[component as usize - 1]
    }

    fn alloc(&mut self, client: u16, order: usize) {
        let Ok(mut buffer) = Buffer::try_alloc(self.client(client), PAGE << order) else {
            return;
        };
        self.tags += 1;
        let len = buffer.len();
        stamp(&mut buffer, self.tags);
        let cbuf = buffer.freeze(len);
        self.held.push(Held {
            client,
            cbuf,
            tag: self.tags,
        });
    }

    fn send(&mut self, which: usize, to: u16) {
        let Some(held) = self.held.get(which % self.held.len().max(1)) else {
            return;
        };
        // Some are sealed, which the library does only to what is its own.
        let wire = match which % 3 {
            0 => held
                .cbuf
                .send_sealed(ComponentId(to))
                .unwrap_or_else(|_| held.cbuf.send(ComponentId(to))),
            _ => held.cbuf.send(ComponentId(to)),
        };
        if to == HOSTILE {
            self.tainted.insert(wire.id);
            let _ = Cbuf::receive(self.client(HOSTILE), wire, ComponentId(held.client))
                .map(std::mem::forget);
        } else {
            self.sent.push(Sent {
                from: held.client,
                to,
                wire,
                tag: held.tag,
            });
        }
    }

    fn receive(&mut self, which: usize) {
        if self.sent.is_empty() {
            return;
        }
        let sent = self.sent.swap_remove(which % self.sent.len());
        match Cbuf::receive(self.client(sent.to), sent.wire, ComponentId(sent.from)) {
            Ok(cbuf) => self.held.push(Held {
                client: sent.to,
                cbuf,
                tag: sent.tag,
            }),
            Err(error) => assert!(self.tainted.contains(&sent.wire.id), "{error}"),
        }
    }

    fn free(&mut self, which: usize) {
        if !self.held.is_empty() {
            self.held.swap_remove(which % self.held.len());
        }
    }

    /// Overwrites a word that the hostile client shares with the manager.
    fn scribble(&mut self, which: usize, value: u64) {
        let words = self.host.shared_words(HOSTILE);
        words[which % words.len()].store(value as u32, Ordering::SeqCst);
    }

    /// The hostile client uses the library on its damaged metadata, and the raw interface.
    fn misbehave(&mut self, what: usize, value: u64) {
        let hostile = ComponentId(HOSTILE);
        let id = libcbuf::CbufId(value as u32 % 64);
        match what % 9 {
            0 => drop(
                self.host
                    .with(|m| m.map(hostile, id, ComponentId((value >> 8) as u16 % 70))),
            ),
            1 => drop(self.host.with(|m| m.relinquish(hostile, id))),
            2 => drop(
                self.host
                    .with(|m| m.collect(hostile, abi::ThreadId(9), value as u32, value & 1 != 0)),
            ),
            3 => self
                .host
                .with(|m| m.unblocked(hostile, abi::ThreadId(9), 1)),
            4 => drop(
                self.host
                    .with(|m| m.collect(hostile, abi::ThreadId(9), 0, false)),
            ),
            7 => drop(self.host.with(|m| m.seal(hostile, id))),
            8 => {
                let _ = self.host.with(|m| m.physical(hostile, id));
            }
            5 => self.name(id.0, (value >> 8) as u16 % HONEST + 1),
            _ => drop(self.host.with(|m| m.set_pool(hostile, value % 6))),
        }
    }

    /// The hostile client names a buffer to an honest one, which gets it at most if the hostile
    /// one can read it anyway.
    fn name(&mut self, id: u32, to: u16) {
        let wire = CbufRef {
            id,
            offset: 0,
            len: 8,
        };
        if let Ok(cbuf) = Cbuf::receive(self.client(to), wire, ComponentId(HOSTILE)) {
            self.tainted.insert(id);
            self.host.with(|m| {
                let page = m.machine().page_at(cbuf.as_ptr() as usize);
                assert!(m.machine().mapped.contains_key(&(HOSTILE, page)));
            });
        }
    }

    fn kill(&mut self, client: u16) {
        // Its handles vanish with it, without a free.
        let (dead, kept) = std::mem::take(&mut self.held)
            .into_iter()
            .partition::<Vec<_>, _>(|h| h.client == client);
        self.held = kept;
        dead.into_iter().for_each(|h| std::mem::forget(h.cbuf));
        self.sent.retain(|s| s.to != client);
        self.host
            .with(|m| m.component_died(ComponentId(client)))
            .unwrap();
    }

    fn restart(&mut self, client: u16) {
        self.host
            .with(|m| m.component_restarted(ComponentId(client)))
            .unwrap();
        self.clients[client as usize - 1] = self.host.attach(ComponentId(client));
    }

    fn check(&self) {
        self.host.check();
        for held in &self.held {
            if self.tainted.contains(&held.cbuf.id().0) {
                continue;
            }
            let bytes = &held.cbuf[..];
            assert_eq!(bytes[..8], held.tag.to_le_bytes());
            assert_eq!(bytes[bytes.len() - 8..], held.tag.to_le_bytes());
            self.host.with(|m| {
                let page = m.machine().page_at(bytes.as_ptr() as usize);
                assert!(m.machine().mapped.contains_key(&(held.client, page)));
            });
        }
    }

    /// Everybody gives everything back, and so does the manager.
    fn end(mut self) {
        for sent in std::mem::take(&mut self.sent) {
            drop(Cbuf::receive(
                self.client(sent.to),
                sent.wire,
                ComponentId(sent.from),
            ));
        }
        self.held.clear();
        self.host.check();
        let _ = self.host.with(|m| m.component_died(ComponentId(HOSTILE)));
        for client in 1..=HONEST {
            self.host
                .with(|m| m.set_pool(ComponentId(client), 0))
                .unwrap();
        }
        self.host.check();
        let memory = self.host.with(|m| m.memory());
        let frames = self.host.with(|m| m.machine().frames.len());
        if self.tainted.is_empty() {
            assert_eq!((memory.pooled, memory.live, frames), (0, 0, 0));
            assert!(self.host.with(|m| m.machine().mapped.is_empty()));
        } else {
            assert!(frames <= self.tainted.len());
        }
    }
}

type Op = (u8, usize, usize, u64);

fn ops() -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(any::<Op>(), 1..250)
}

fn honest_step(world: &mut World, op: Op) {
    let (kind, a, b, c) = op;
    let client = (a % HONEST as usize) as u16 + 1;
    match kind % 16 {
        0..=4 => world.alloc(client, b % 4),
        5..=7 => world.send(b, client),
        8..=10 => world.receive(b),
        11..=14 => world.free(b),
        15 if c % 2 == 0 => {
            let _ = world.host.with(|m| m.set_pool(ComponentId(client), c % 20));
        }
        // A thread that waits, and gives up or is told.
        _ => {
            let (component, thread) = (ComponentId(client), abi::ThreadId(20 + client));
            let order = b as u32 % 4;
            if world
                .host
                .with(|m| m.collect(component, thread, order, true))
                == Ok(Step::Block)
            {
                assert!(world.host.with(|m| m.usage(component)).unwrap().blocked > 0);
                world.host.with(|m| m.unblocked(component, thread, 1));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: crate::common::cases(200), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    #[cfg_attr(miri, ignore = "takes minutes there")]
    fn honest_clients_lose_nothing(ops in ops(), strict: bool) {
        let mut world = World::new(strict);
        for op in ops {
            honest_step(&mut world, op);
            world.check();
        }
        world.end();
    }

    #[test]
    #[cfg_attr(miri, ignore = "takes minutes there")]
    fn deaths_take_only_what_was_theirs(ops in ops(), strict: bool) {
        let mut world = World::new(strict);
        for op in ops {
            if op.0 % 17 == 16 {
                let client = (op.1 % HONEST as usize) as u16 + 1;
                world.kill(client);
                world.check();
                world.restart(client);
            } else {
                honest_step(&mut world, op);
            }
            world.check();
        }
        // What was lost on its way to a component that lives again, while others could have been
        // meant or somebody held it, stays with its sender until all of them end.
        for client in 1..=HONEST {
            world.kill(client);
        }
        world.end();
    }

    #[test]
    #[cfg_attr(miri, ignore = "takes minutes there")]
    fn a_hostile_client_hurts_only_itself(ops in ops(), strict: bool) {
        let mut world = World::new(strict);
        for op in ops {
            let (kind, a, b, c) = op;
            match kind % 8 {
                0 | 1 => world.scribble(a, c),
                // Values that nearly mean something.
                2 => world.scribble(a, c % 64),
                3 => world.misbehave(a, c),
                4 => world.send(b, HOSTILE),
                _ => honest_step(&mut world, (kind / 8, a, b, c)),
            }
            world.check();
        }
        world.end();
    }
}
