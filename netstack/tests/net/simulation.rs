//! The stack against another one over a link that loses, repeats and reorders frames.

use crate::card::OFFERS;
use crate::link::{Link, World};

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
