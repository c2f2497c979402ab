//! Clients that take, send or wait without end.

use crate::fake::*;
use crate::platform::Event;
use std::vec;
use std::vec::Vec;

use super::{GET, statuses};

#[test]
fn a_client_that_does_not_read_is_not_answered_without_bound() {
    let mut rig = Rig::new(4);
    rig.accept(0);
    rig.receive(0, &b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n".repeat(250));
    assert_eq!(statuses(&rig.sent[&0], &[]).len(), 4);
    let took = rig.took.get(&0).copied().unwrap_or(0);
    assert_eq!(took, 0, "nothing is acknowledged while requests wait");
    // The receive window is 8 KiB: more is the network stack's fault.
    rig.receive(0, &[b'x'; 16 * 1024]);
    assert_eq!(rig.ends[&0], End::Aborted);

    rig.accept(1);
    rig.receive(1, &b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n".repeat(250));
    rig.finish(1);
    assert_eq!(statuses(&rig.sent[&1], &[]).len(), 250);
    rig.receive(1, GET);
    assert!(rig.took[&1] >= 250 * 30);

    // And one that never reads goes.
    rig.accept(2);
    rig.receive(2, b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    rig.pass(30_000 + (1 << 20) / 8 + 1000);
    rig.round(vec![]);
    assert_eq!(rig.ends[&2], End::Aborted);
}

#[test]
fn many_small_answers_never_overflow_the_network_stacks_queue() {
    let mut rig = Rig::new(4);
    rig.accept(0);
    // Heads without bodies join; files make two buffers each. The rig asserts the limit.
    for _ in 0..10 {
        rig.receive(
            0,
            &[GET, b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"]
                .concat()
                .repeat(4),
        );
        while rig.server.deadline_ms() == 0 {
            rig.round(vec![]);
        }
    }
    rig.finish(0);
    let heads: Vec<bool> = (0..80).map(|n| n % 2 == 1).collect();
    assert_eq!(statuses(&rig.sent[&0], &heads).len(), 80);
}

#[test]
fn slow_clients_are_timed_out() {
    let mut rig = Rig::new(16);
    rig.accept(0);
    rig.accept(1);
    rig.receive(1, b"GET / HTTP/1.1\r\n");
    assert!(rig.server.deadline_ms() <= rig.clock.ms + 10_000);
    for _ in 0..9 {
        rig.pass(1_000);
        rig.receive(1, b"X: y\r\n");
    }
    assert!(rig.sent[&1].is_empty());
    rig.pass(1_001);
    rig.round(vec![]);
    assert_eq!(statuses(&rig.sent[&1], &[]), [408]);
    assert_eq!(rig.ends[&1], End::Closed);
    assert_eq!(rig.ends[&0], End::Open);
    rig.pass(50_000);
    rig.round(vec![]);
    assert_eq!((rig.ends[&0], rig.sent[&0].len()), (End::Closed, 0));
    // Neither client lets go: the places come back anyway.
    rig.pass(60_000);
    rig.round(vec![]);
    assert_eq!((rig.ends[&0], rig.ends[&1]), (End::Aborted, End::Aborted));
    rig.round(vec![Event::Gone { socket: 0 }, Event::Gone { socket: 1 }]);
    assert_eq!(rig.server.counters().open, 0);
    assert_eq!(rig.server.counters().timed_out, 4);
}

#[test]
fn a_busy_connection_is_never_idle() {
    let mut rig = Rig::new(4);
    rig.accept(0);
    for _ in 0..100 {
        rig.pass(5_000);
        // The next request comes with the news that the former answer has left.
        let bytes = core::mem::take(rig.queued.get_mut(&0).unwrap()).0;
        let data = Bytes::new(GET);
        rig.round(vec![
            Event::Received { socket: 0, data },
            Event::Drained { socket: 0, bytes },
        ]);
    }
    assert_eq!(rig.ends[&0], End::Open);
    assert_eq!(rig.server.counters().responses[1], 100);
}

#[test]
fn a_hundred_idle_clients_do_not_stop_others() {
    let mut rig = Rig::new(64);
    let mut next = 0..;
    let mut idle: Vec<u32> = next.by_ref().take(64).collect();
    rig.round(
        idle.iter()
            .map(|s| Event::Accepted { socket: *s })
            .collect(),
    );
    let mut served = 0;
    for _ in 0..100 {
        rig.pass(100);
        rig.round(vec![]);
        // The network stack frees what was ended and takes whoever waits: one idle, one busy.
        let over: Vec<u32> = idle
            .iter()
            .copied()
            .filter(|s| rig.ends[s] != End::Open)
            .collect();
        idle.retain(|s| !over.contains(s));
        for socket in over {
            rig.round(vec![Event::Gone { socket }]);
            let (stays, asks) = (next.next().unwrap(), next.next().unwrap());
            if idle.len() < 60 {
                rig.accept(stays);
                idle.push(stays);
            }
            if rig.server.counters().open < 64 {
                rig.talk(asks, b"GET / HTTP/1.0\r\n\r\n");
                served += usize::from(!rig.sent[&asks].is_empty());
                rig.round(vec![Event::Gone { socket: asks }]);
            }
        }
    }
    assert!(served >= 30, "{served}");
}

#[test]
fn the_longest_idle_go_first_and_no_more_than_needed() {
    let mut rig = Rig::new(16);
    for socket in 0..14 {
        rig.accept(socket);
        rig.pass(100);
    }
    rig.pass(5_000);
    rig.round(vec![]);
    let closed: Vec<u32> = (0..14).filter(|s| rig.ends[s] != End::Open).collect();
    assert_eq!(closed, [0, 1]);
}

#[test]
fn a_first_request_that_is_late_is_answered_however_scarce_places_are() {
    let mut rig = Rig::new(64);
    rig.round((0..60).map(|s| Event::Accepted { socket: s }).collect());
    for _ in 0..9 {
        rig.pass(100);
        rig.round(vec![]);
    }
    for socket in 0..60 {
        rig.receive(socket, GET);
        assert_eq!(statuses(&rig.sent[&socket], &[]), [200]);
        rig.drain(socket);
    }
    // Between two requests the limit is short, for a client may expect a close there.
    rig.pass(300);
    rig.round(vec![]);
    assert_eq!(rig.server.counters().timed_out, 4);
}

#[test]
fn an_answer_that_took_long_to_leave_is_not_reset_as_it_ends() {
    let mut rig = Rig::new(16);
    rig.round((0..16).map(|s| Event::Accepted { socket: s }).collect());
    rig.receive(
        0,
        b"GET /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    );
    // Others come and go; places stay scarce.
    for round in 0..60 {
        rig.pass(100);
        let others = (1..16).map(|socket| Event::Received {
            socket,
            data: Bytes::new(GET),
        });
        rig.round(others.collect());
        (1..16).for_each(|socket| rig.drain(socket));
        if round == 50 {
            rig.drain(0);
        }
    }
    assert_eq!(rig.ends[&0], End::Closed);
    assert_eq!(rig.server.counters().timed_out, 0);
}

/// Clients that ask again as soon as they are answered, more of them than places.
#[test]
fn more_busy_clients_than_places_take_turns() {
    const PLACES: u32 = 8;
    const CLIENTS: usize = 15;
    let mut rig = Rig::new(PLACES as usize);
    let mut served = [0; CLIENTS];
    // Who has which socket, and who waits.
    let mut seats: Vec<Option<usize>> = vec![None; PLACES as usize];
    let mut queue: std::collections::VecDeque<usize> = (0..CLIENTS).collect();
    for _ in 0..2_000 {
        rig.pass(1);
        let mut events = Vec::new();
        for socket in 0..PLACES {
            let seat = &mut seats[socket as usize];
            if seat.is_some() && rig.ends[&socket] != End::Open {
                events.push(Event::Gone { socket });
                queue.extend(seat.take());
            } else if seat.is_none() {
                *seat = queue.pop_front();
                events.push(Event::Accepted { socket });
            }
            if let Some(client) = *seat {
                let bytes = rig
                    .queued
                    .get_mut(&socket)
                    .map_or(0, |q| core::mem::take(q).0);
                events.push(Event::Drained { socket, bytes });
                let data = Bytes::new(GET);
                events.push(Event::Received { socket, data });
                served[client] += 1;
            }
        }
        rig.world.waiting = queue.len() as u32;
        rig.round(events);
    }
    let (least, most) = (served.iter().min().unwrap(), served.iter().max().unwrap());
    assert!(*least > 700 && *most < 1_400, "{served:?}");
    assert_eq!(rig.server.counters().aborted, 0);
    let asked = rig.world.asked_waiting;
    assert!(asked <= 2_000 / 25, "asked {asked} times");
}

#[test]
fn nobody_yields_when_nobody_waits() {
    let mut rig = Rig::new(2);
    rig.accept(0);
    rig.accept(1);
    for _ in 0..100 {
        rig.pass(50);
        rig.receive(0, GET);
        rig.receive(1, GET);
        rig.drain(0);
        rig.drain(1);
    }
    assert_eq!((rig.ends[&0], rig.ends[&1]), (End::Open, End::Open));
    // One waits: the first in goes, after all that it has asked for already.
    rig.world.waiting = 1;
    rig.pass(50);
    rig.round(vec![]);
    rig.receive(0, &GET.repeat(3));
    rig.receive(1, &[GET, GET].concat());
    assert_eq!((rig.ends[&0], rig.ends[&1]), (End::Closed, End::Open));
    assert_eq!(statuses(&rig.sent[&0], &[]).len(), 103);
    let last = &rig.sent[&0][rig.sent[&0].len() - 200..];
    assert!(last.windows(17).any(|w| w == b"Connection: close"));
}
