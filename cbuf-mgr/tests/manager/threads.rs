//! Clients on threads of their own, the collector and the shrinker racing with them: nothing is
//! corrupt, nothing is lost, and whoever waits for memory gets it.

use crate::common::{Host, PAGE};
use abi::ComponentId;
use libcbuf::{Buffer, Cbuf, CbufRef, Client};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

const CLIENTS: u16 = 3;
/// Steps of each client.
const STEPS: u64 = 2_000;

/// Who sent, and what.
type Sent = (ComponentId, CbufRef);

/// A small generator of numbers (xorshift), so that a run can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// Every word of the buffer is its tag.
fn fill(buffer: &mut [u8], tag: u64) {
    for word in buffer.chunks_exact_mut(8) {
        word.copy_from_slice(&tag.to_le_bytes());
    }
}

fn whole(cbuf: &Cbuf<'_>) {
    let first = &cbuf[..8];
    assert!(cbuf.chunks_exact(8).all(|word| word == first), "torn");
}

/// One client's life: allocate, pass on, receive, hold for a while, free.
fn live(
    me: u16,
    client: &'static Client,
    inbox: &Receiver<Sent>,
    others: &[Sender<Sent>],
    working: &AtomicU32,
) -> u64 {
    let mut random = Random(0x9e37_79b9 + u64::from(me));
    let mut held = Vec::new();
    let mut received = 0;
    for _ in 0..STEPS {
        if let Ok(mut buffer) = Buffer::try_alloc(client, PAGE << random.below(3)) {
            let tag = random.below(u64::MAX);
            fill(&mut buffer, tag);
            let len = buffer.len();
            held.push(buffer.freeze(len));
        }
        for (from, wire) in inbox.try_iter().take(4) {
            let cbuf = Cbuf::receive(client, wire, from).unwrap();
            whole(&cbuf);
            received += 1;
            held.push(cbuf);
        }
        while held.len() > 3 {
            let cbuf = held.swap_remove(random.below(held.len() as u64) as usize);
            whole(&cbuf);
            for _ in 0..random.below(3) {
                let to = random.below(u64::from(CLIENTS)) as usize;
                others[to]
                    .send((ComponentId(me), cbuf.send(ComponentId(to as u16 + 1))))
                    .unwrap();
            }
        }
    }
    working.fetch_sub(1, Ordering::Relaxed);
    received
}

#[test]
#[cfg_attr(miri, ignore = "takes minutes there")]
fn buffers_stay_whole_while_everything_races() {
    let host = Host::new(200);
    let clients: Vec<_> = (1..=CLIENTS).map(|c| host.client(c, 40, 60)).collect();
    let (outboxes, inboxes): (Vec<_>, Vec<_>) = clients.iter().map(|_| channel()).unzip();
    let working = AtomicU32::new(u32::from(CLIENTS));
    let mut received = 0;
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for (index, inbox) in inboxes.into_iter().enumerate() {
            let (client, outboxes, working) = (clients[index], outboxes.clone(), &working);
            threads.push(scope.spawn(move || {
                let received = live(index as u16 + 1, client, &inbox, &outboxes, working);
                (client, inbox, received)
            }));
        }
        drop(outboxes);
        let mut random = Random(7);
        while working.load(Ordering::Relaxed) > 0 {
            let component = ComponentId(1 + random.below(u64::from(CLIENTS)) as u16);
            host.with(|m| m.set_pool(component, 20 + random.below(40)))
                .unwrap();
            host.with(|m| m.take_wakes());
            std::thread::sleep(Duration::from_micros(300));
        }
        // All of them, before what is left in any inbox is lost.
        let ended: Vec<_> = threads.into_iter().map(|t| t.join().unwrap()).collect();
        for (client, inbox, count) in ended {
            received += count;
            for (from, wire) in inbox.try_iter() {
                whole(&Cbuf::receive(client, wire, from).unwrap());
            }
        }
    });
    assert!(received > 100, "{received}");
    host.check();
    for component in 1..=CLIENTS {
        host.with(|m| m.set_pool(ComponentId(component), 0))
            .unwrap();
    }
    assert_eq!(host.with(|m| m.memory().pooled), 0);
    assert!(host.with(|m| m.machine().mapped.is_empty()));
}

#[test]
#[cfg_attr(miri, ignore = "takes minutes there")]
fn whoever_waits_for_memory_gets_it() {
    let host = Host::new(64);
    let (a, b) = (host.client(1, 2, 4), host.client(2, 4, 4));
    let first = Buffer::alloc(a, 1).unwrap().freeze(1);
    let second = Buffer::alloc(a, 1).unwrap().freeze(1);
    let away = Cbuf::receive(b, first.send(ComponentId(2)), ComponentId(1)).unwrap();
    drop(first);
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| Buffer::alloc(a, 1).unwrap().id());
        while host.with(|m| m.usage(ComponentId(1)).unwrap().blocked) == 0 {
            std::thread::yield_now();
        }
        host.with(|m| m.take_wakes());
        let id = away.id();
        drop(away);
        // The receiver's last free told the manager, which wakes the waiter's thread.
        let told = host.with(|m| m.take_wakes()).map_or(0, |w| w.set());
        assert_eq!(told & !2, 0);
        assert_eq!(waiter.join().unwrap(), id);
        drop(second);
        // The pool grows while a thread waits.
        let two: Vec<_> = (0..2).map(|_| Buffer::alloc(a, 1).unwrap()).collect();
        let waiter = scope.spawn(|| Buffer::alloc(a, 2 * PAGE).map(|b| b.len()));
        while host.with(|m| m.usage(ComponentId(1)).unwrap().blocked) == 0 {
            std::thread::yield_now();
        }
        host.with(|m| m.set_pool(ComponentId(1), 4)).unwrap();
        assert_eq!(waiter.join().unwrap(), Ok(2 * PAGE));
        drop(two);
    });
    assert!(host.with(|m| m.timing(ComponentId(1)).unwrap().blocked_ticks) > 0);
    host.check();
}

#[test]
#[cfg_attr(miri, ignore = "takes minutes there")]
fn threads_of_one_client_share_its_freelists() {
    let host = Host::new(64);
    let a = host.client(1, 16, 16);
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            scope.spawn(move || {
                let mut random = Random(thread + 1);
                for _ in 0..1_500 {
                    let bytes = PAGE << random.below(2);
                    let mut buffer = Buffer::alloc(a, bytes).unwrap();
                    fill(&mut buffer, random.below(u64::MAX));
                    if random.below(3) == 0 {
                        let len = buffer.len();
                        whole(&buffer.freeze(len));
                    }
                }
            });
        }
    });
    host.check();
    assert_eq!(host.with(|m| m.memory().live), 0);
}
