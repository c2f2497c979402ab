//! Components that fail, memory that is short, events that make no sense.

use crate::fake::*;
use crate::platform::{Buffer, Event};
use std::vec;

use super::{GET, HOME, statuses, text};

#[test]
fn dead_components_and_short_memory_give_answers_too() {
    let mut rig = Rig::new(8);
    rig.world.content_dead = true;
    rig.world.cgi_dead = true;
    let both = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\nGET /cgi HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(statuses(&rig.talk(0, both), &[]), [502, 502]);
    rig.world.content_dead = false;
    rig.world.cgi_dead = false;

    // A page that there is no memory for holds back only its own connection.
    rig.world.cgi_full = true;
    rig.accept(1);
    rig.receive(
        1,
        b"GET /cgi HTTP/1.1\r\nHost: a\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    assert_eq!(rig.sent[&1], b"");
    assert!(rig.server.deadline_ms() <= rig.clock.ms + 10);
    assert_eq!(statuses(&rig.talk(2, GET), &[]), [200]);
    rig.world.cgi_full = false;
    rig.pass(10);
    rig.round(vec![]);
    assert_eq!(statuses(&rig.sent[&1], &[]), [200, 200]);

    rig.world.cgi_full = true;
    rig.accept(3);
    rig.receive(3, b"GET /cgi HTTP/1.1\r\nHost: a\r\n\r\n");
    rig.pass(6_000);
    rig.round(vec![]);
    assert_eq!(statuses(&rig.sent[&3], &[]), [503]);

    // With no page for a head the answer waits.
    rig.world.no_pages = true;
    rig.accept(4);
    rig.receive(4, GET);
    assert_eq!(rig.sent[&4], b"");
    rig.world.no_pages = false;
    rig.pass(10);
    rig.round(vec![]);
    assert_eq!(statuses(&rig.sent[&4], &[]), [200]);
}

#[test]
fn a_number_that_is_used_again_gets_nothing_of_its_former_owner() {
    let mut rig = Rig::new(2);
    rig.world.cgi_full = true;
    rig.accept(7);
    rig.receive(7, b"GET /cgi HTTP/1.1\r\nHost: a\r\n\r\n");
    rig.world.cgi_full = false;
    rig.round(vec![
        Event::Gone { socket: 7 },
        Event::Accepted { socket: 7 },
    ]);
    assert_eq!(rig.sent[&7], b"");
    // Numbers far apart share a home place; both are served.
    rig.accept(9);
    rig.receive(7, GET);
    rig.receive(9, GET);
    assert_eq!(text(&rig.sent[&7]), HOME);
    assert_eq!(text(&rig.sent[&9]), HOME);
    // A third has no place.
    rig.accept(11);
    assert_eq!(rig.ends[&11], End::Aborted);
}

#[test]
fn odd_events_do_no_harm() {
    let mut rig = Rig::new(2);
    let data = Bytes::new(GET);
    rig.round(vec![
        Event::Received {
            socket: 5,
            data: data.clone(),
        },
        Event::Drained {
            socket: 5,
            bytes: u32::MAX,
        },
        Event::PeerClosed { socket: u32::MAX },
        Event::Gone { socket: 1 },
        Event::Accepted { socket: 3 },
        Event::Accepted { socket: 3 },
        Event::Drained {
            socket: 3,
            bytes: u32::MAX,
        },
        Event::Received {
            socket: 3,
            data: data.slice(0..0),
        },
        Event::Received { socket: 3, data },
    ]);
    assert_eq!(text(&rig.sent[&3]), HOME);
    assert_eq!(rig.server.counters().open, 1);
}

#[test]
fn a_page_without_memory_is_not_asked_for_in_every_round() {
    let mut rig = Rig::new(4);
    rig.world.cgi_full = true;
    rig.accept(0);
    rig.receive(0, b"GET /cgi HTTP/1.1\r\nHost: a\r\n\r\n");
    for _ in 0..100 {
        rig.talk(1, GET);
        rig.round(vec![Event::Gone { socket: 1 }]);
    }
    assert_eq!(rig.world.runs.len(), 1);
    rig.world.cgi_full = false;
    rig.pass(10);
    rig.round(vec![]);
    assert_eq!(statuses(&rig.sent[&0], &[]), [200]);
}
