//! Bodies that come in pieces.

use crate::fake::*;
use crate::platform::Event;
use std::format;
use std::string::String;
use std::vec;
use std::vec::Vec;

use super::{statuses, text};

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes()
}

fn body(stream: &[u8]) -> String {
    text(stream).split_once("\r\n\r\n").unwrap().1.into()
}

fn cut(piece: usize) -> Rig {
    let mut rig = Rig::new(8);
    rig.world.piece = piece;
    rig
}

#[test]
fn the_same_bytes_whatever_the_pieces() {
    let requests = [
        get("/big"),
        get("/cgi?bytes=12345678"),
        get("/x"),
        get("/cgi"),
        b"HEAD /big HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        b"HEAD /cgi?abc HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        get("/"),
    ]
    .concat();
    let whole = cut(0).talk(0, &requests);
    let heads = [false, false, false, false, true, true, false];
    assert_eq!(statuses(&whole, &heads), [200; 7]);
    for piece in [1, 3, 4096, 65_536] {
        let requests = if piece < 10 {
            // A megabyte of single bytes takes its time.
            &requests[get("/big").len()..]
        } else {
            &requests
        };
        let mut rig = cut(piece);
        let sent = rig.talk(0, requests);
        let expected = &whole[whole.len() - sent.len()..];
        assert!(sent == expected, "pieces of {piece}");
        assert_eq!(rig.ends[&0], End::Open);
        let answers = rig.server.counters().responses[1];
        assert_eq!(answers, if piece < 10 { 6 } else { 7 });
    }
}

#[test]
fn no_more_than_one_piece_is_under_way() {
    let mut rig = cut(4096);
    rig.accept(0);
    rig.receive(0, &get("/big"));
    for pieces in 1..=256 {
        let queued = rig.queued[&0];
        assert!(queued.0 <= 5000 && queued.1 <= 2, "{queued:?}");
        assert_eq!(rig.world.lookups.len(), pieces);
        // While the client does not read nothing more is asked for, and nobody is kept awake.
        rig.round(vec![]);
        assert_eq!(rig.world.lookups.len(), pieces);
        assert!(rig.server.deadline_ms() > rig.clock.ms + 10);
        rig.drain(0);
    }
    assert_eq!(body(&rig.sent[&0]).len(), 1 << 20);
    // It was not kept: the next one is asked for as well.
    rig.receive(0, &get("/big"));
    assert_eq!(rig.world.lookups.len(), 257);
}

#[test]
fn old_clients_get_all_of_it_before_the_end() {
    let mut rig = cut(4096);
    let sent = rig.talk(0, b"GET /big HTTP/1.0\r\n\r\n");
    assert_eq!(body(&sent).len(), 1 << 20);
    assert_eq!(rig.ends[&0], End::Closed);
}

#[test]
fn a_piece_that_there_is_no_memory_for_is_waited_for() {
    let mut rig = cut(3);
    rig.accept(0);
    rig.receive(0, &get("/cgi?0123456789"));
    rig.world.cgi_full = true;
    rig.drain(0);
    let before = rig.sent[&0].len();
    for _ in 0..5 {
        assert!(rig.server.deadline_ms() <= rig.clock.ms + 10);
        rig.pass(10);
        rig.round(vec![]);
    }
    assert_eq!((rig.sent[&0].len(), rig.ends[&0]), (before, End::Open));
    rig.world.cgi_full = false;
    rig.pass(10);
    rig.round(vec![]);
    rig.finish(0);
    assert_eq!(body(&rig.sent[&0]), "cgi:0123456789");
    // But not for ever; the client learns that something is missing.
    rig.receive(0, &get("/cgi?0123456789"));
    rig.world.cgi_full = true;
    rig.drain(0);
    for _ in 0..600 {
        rig.pass(10);
        rig.round(vec![]);
    }
    assert_eq!(rig.ends[&0], End::Aborted);
}

#[test]
fn without_a_page_to_ask_with_it_is_asked_later() {
    let mut rig = cut(3);
    rig.accept(0);
    rig.receive(0, &get("/cgi?0123456789"));
    rig.world.no_pages = true;
    rig.drain(0);
    assert!(rig.server.deadline_ms() <= rig.clock.ms + 10);
    rig.world.no_pages = false;
    rig.pass(10);
    rig.round(vec![]);
    rig.finish(0);
    assert_eq!(body(&rig.sent[&0]), "cgi:0123456789");
}

#[test]
fn what_cannot_be_completed_is_cut_off() {
    type Change = fn(&mut World);
    let changes: [(&str, Change); 4] = [
        ("/cgi?0123456789", |w| w.cgi_dead = true),
        ("/big", |w| w.content_dead = true),
        // Another file under the same name.
        ("/big", |w| w.tag = 1),
        // An empty piece.
        ("/cgi?0123456789", |w| w.empty = true),
    ];
    for (path, change) in changes {
        let mut rig = cut(3);
        rig.accept(0);
        rig.receive(0, &get(path));
        change(&mut rig.world);
        rig.drain(0);
        assert_eq!(rig.ends[&0], End::Aborted, "{path}");
        assert_eq!(rig.server.counters().aborted, 1);
        // The place is free again.
        rig.round(vec![Event::Gone { socket: 0 }]);
        assert_eq!(rig.server.counters().open, 0);
    }
}

#[test]
fn who_leaves_is_sent_no_more() {
    let mut rig = cut(3);
    rig.accept(0);
    rig.receive(0, &get("/cgi?0123456789"));
    rig.round(vec![Event::Gone { socket: 0 }]);
    let asked = rig.world.runs.len();
    rig.accept(0);
    rig.round(vec![]);
    assert_eq!((rig.sent[&0].len(), rig.world.runs.len()), (0, asked));
}

#[test]
fn without_memory_to_ask_with_all_are_asked_again() {
    let paths = ["/x", "/cgi?abc", "/cgi", "/metrics"];
    let mut rig = Rig::new(32);
    rig.world.short = true;
    for (socket, path) in (0..).zip(paths) {
        rig.accept(socket);
        rig.receive(socket, &get(path));
        assert_eq!(rig.sent[&socket], b"");
    }
    let asked = (rig.world.lookups.len(), rig.world.runs.len());
    rig.round(vec![]);
    // Not before it is time.
    assert_eq!((rig.world.lookups.len(), rig.world.runs.len()), asked);
    assert!(rig.server.deadline_ms() <= rig.clock.ms + 10);
    rig.world.short = false;
    rig.pass(10);
    rig.round(vec![]);
    for (socket, expected) in [(0, "x"), (1, "cgi:abc"), (2, "cgi:")] {
        assert_eq!(body(&rig.sent[&socket]), expected);
    }
    assert_eq!(statuses(&rig.sent[&3], &[]), [200]);
    // A file that was found late is kept as any other.
    rig.accept(5);
    rig.receive(5, &get("/x"));
    assert_eq!(
        (rig.world.lookups.len(), body(&rig.sent[&5])),
        (asked.0 + 1, "x".into())
    );

    rig.world.short = true;
    for socket in 4..8 {
        rig.accept(10 + socket);
        rig.receive(
            10 + socket,
            &get(["/y", "/cgi?abc", "/cgi", "/api/stats"][socket as usize - 4]),
        );
    }
    for _ in 0..600 {
        rig.pass(10);
        rig.round(vec![]);
    }
    for socket in 14..18 {
        assert_eq!(statuses(&rig.sent[&socket], &[]), [503]);
    }
}
