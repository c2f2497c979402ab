//! The stack against another one over a link that loses, repeats and reorders frames.

use crate::card::OFFERS;
use crate::link::{Link, Random, World};
use netstack::frame::sequence;
use netstack::offload::payload;
use smoltcp::socket::tcp;
use std::collections::HashMap;

fn body(n: usize) -> Vec<u8> {
    (0..n as u32)
        .map(|i| (i.wrapping_mul(31) >> 3) as u8)
        .collect()
}

#[test]
fn answers_arrive_byte_exact() {
    for (seed, offers) in (1..).zip(OFFERS) {
        let mut world = World::with(seed, Link::perfect(), offers);
        for n in [1, 1024, 4096, 16 * 1024, 64 * 1024, 1024 * 1024] {
            world.serve(body(n));
            assert_eq!(world.request(b"GET"), body(n), "{n} bytes");
        }
        assert_eq!(world.card.cut > 60, offers.segmentation);
    }
}

#[test]
fn answers_arrive_without_large_buffers() {
    for loss in [0, 20] {
        let link = Link {
            loss,
            ..Link::perfect()
        };
        let mut world = World::with(21, link, OFFERS[2]);
        world.pages.large = false;
        for n in [1024, 16 * 1024, 256 * 1024] {
            world.serve(body(n));
            assert_eq!(world.request(b"GET"), body(n), "{n} bytes");
        }
    }
}

#[test]
fn no_segment_is_lost_or_repeated_while_the_pool_is_short() {
    for seed in 0..8 {
        short_pool(seed, 200_000);
    }
}

/// Twelve clients at once and a pool that has, at random, no page, few, or no large one: what
/// the server sends to each has no hole, and nothing in it comes twice.
fn short_pool(seed: u64, bytes: usize) {
    let mut world = World::with(seed, Link::perfect(), OFFERS[2]);
    world.serve(body(bytes));
    let mut random = Random::new(seed + 99);
    let mut clients: Vec<_> = (0..12).map(|_| (world.connect(), false, vec![])).collect();
    let mut next: HashMap<[u8; 2], u32> = HashMap::new();
    for _ in 0..8_000 {
        world.pages.left = random.below(4) as usize * 3;
        world.pages.large = random.below(2) == 0;
        // A cut segment may have to wait for the next round: far below a retransmit timer.
        world.round(300);
        for frame in world.end.incoming.iter().filter(|f| f[12..14] == [8, 0]) {
            let number = sequence(frame).unwrap();
            let port = [frame[36], frame[37]];
            if frame[47] & 2 != 0 {
                next.insert(port, number.wrapping_add(1));
            } else if payload(frame) > 0 {
                let expected = next.insert(port, number.wrapping_add(payload(frame) as u32));
                assert_eq!(expected, Some(number), "seed {seed}");
            }
        }
        for (handle, asked, answer) in &mut clients {
            let socket = world.sockets.get_mut::<tcp::Socket>(*handle);
            if socket.can_send() && !*asked {
                *asked = true;
                socket.send_slice(b"GET").unwrap();
            }
            let _ = socket.recv(|b| {
                answer.extend_from_slice(b);
                (b.len(), ())
            });
        }
    }
    for (_, _, answer) in clients {
        assert!(answer == body(bytes), "seed {seed}: {} bytes", answer.len());
    }
}

#[test]
fn answers_survive_a_bad_link() {
    for seed in 0..6 {
        let mut world = World::with(
            seed,
            Link {
                loss: 30,
                repeat: 30,
                swap: 50,
            },
            OFFERS[seed as usize % 3],
        );
        for n in [1, 1024, 16 * 1024, 256 * 1024] {
            world.serve(body(n));
            assert_eq!(world.request(b"GET"), body(n), "seed {seed}, {n} bytes");
        }
    }
}

#[test]
fn requests_are_byte_exact_and_respect_the_window() {
    let mut world = World::new(
        7,
        Link {
            loss: 20,
            repeat: 20,
            swap: 20,
        },
    );
    let request = body(100_000);
    world.serve(vec![1]);
    world.expect(request.len());
    assert_eq!(world.request(&request), [1]);
    assert_eq!(world.last_request(), request);
}

#[test]
fn sockets_are_reused_over_thousands_of_connections() {
    let mut world = World::with(3, Link::perfect(), OFFERS[2]);
    world.serve(body(1000));
    let answers = world.many(22, 4000);
    assert_eq!(answers, 4000);
    world.idle(1_000_000);
    assert_eq!(world.resets_seen(), 0, "no connection is ever reset");
    assert_eq!(world.stack.counters.refused, 0, "no SYN is ever dropped");
    world.idle(30_000_000);
    assert_eq!(world.stack.in_use(), 0);
}

#[test]
fn reuse_survives_a_bad_link() {
    let mut world = World::with(
        5,
        Link {
            loss: 10,
            repeat: 10,
            swap: 20,
        },
        OFFERS[2],
    );
    world.serve(body(3000));
    assert_eq!(world.many(22, 300), 300);
    world.idle(60_000_000);
    assert_eq!(world.stack.in_use(), 0);
}

#[test]
fn copies_are_counted() {
    let mut world = World::new(9, Link::perfect());
    world.serve(body(1000));
    let before = world.stack.counters.copied;
    world.request(b"GET");
    assert_eq!(world.stack.counters.copied - before, 2 * 3 + 2 * 1000);
}

#[test]
fn more_clients_than_sockets_all_get_their_answer() {
    let mut world = World::with(13, Link::perfect(), OFFERS[1]);
    world.serve(body(2000));
    let begun = world.now;
    assert_eq!(world.many(120, 1200), 1200);
    let micros = world.now - begun;
    assert!(micros < 900_000, "nobody had to ask twice: {micros} us");
    assert_eq!(world.stack.counters.refused, 0);
    assert_eq!(world.resets_seen(), 0);
}
