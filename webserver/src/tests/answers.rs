//! What is answered, byte for byte.

use crate::fake::*;
use crate::platform::Event;
use std::vec;
use std::vec::Vec;

use super::{DATE, GET, HOME, statuses, text};

#[test]
fn answers_are_exact() {
    let mut rig = Rig::new(8);
    assert_eq!(text(&rig.talk(0, GET)), HOME);
    let head_end = HOME.find("<p>").unwrap();
    assert_eq!(
        text(&rig.talk(1, b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")),
        &HOME[..head_end]
    );
    assert_eq!(
        text(&rig.talk(
            2,
            b"GET /cgi?bytes=5 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
        )),
        std::format!(
            "HTTP/1.1 200 OK\r\nServer: Cistern\r\n{DATE}Content-Type: text/plain; charset=utf-8\r\n\
             Content-Length: 11\r\nCache-Control: no-store\r\nConnection: keep-alive\r\n\r\ncgi:bytes=5"
        )
    );
    assert_eq!(rig.ends[&2], End::Open);
    assert_eq!(
        text(&rig.talk(3, b"PUT / HTTP/1.0\r\n\r\n")),
        std::format!(
            "HTTP/1.1 405 Method Not Allowed\r\nServer: Cistern\r\n{DATE}\
             Content-Type: text/plain; charset=utf-8\r\nContent-Length: 30\r\n\
             Allow: GET, HEAD\r\nConnection: close\r\n\r\nonly GET and HEAD are allowed\n"
        )
    );
    assert_eq!(rig.ends[&3], End::Closed);
    assert_eq!(
        text(&rig.talk(
            4,
            b"GET / HTTP/1.1\r\nHost: a\r\nIf-None-Match: \"0123456789abcdef\"\r\n\r\n"
        )),
        std::format!(
            "HTTP/1.1 304 Not Modified\r\nServer: Cistern\r\n{DATE}ETag: \"0123456789abcdef\"\r\n\
             Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nCache-Control: no-cache\r\n\r\n"
        )
    );
    let stats = text(&rig.talk(5, b"GET /stats HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert!(
        stats.contains("Content-Type: application/json\r\n"),
        "{stats}"
    );
    assert!(
        stats.contains(
            "\"requests\":6,\"responses\":{\"1xx\":0,\"2xx\":3,\"3xx\":1,\"4xx\":1,\"5xx\":0}"
        ),
        "{stats}"
    );
    assert_eq!(rig.world.lookups, [1], "one miss, then the cache");
}

#[test]
fn every_bad_input_has_its_status_and_end() {
    use End::{Closed, Open};
    let long_line = std::format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(5000));
    let long_head = std::format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "a".repeat(9000)
    );
    let many = std::format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(64));
    for (status, end, input) in [
        (200, Open, "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (
            200,
            Closed,
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        ),
        (200, Closed, "GET / HTTP/1.0\r\n\r\n"),
        (200, Open, "GET /a%20b HTTP/1.1\r\nHost: a\r\n\r\n"),
        (200, Open, "GET /b/../%78 HTTP/1.1\r\nHost: a\r\n\r\n"),
        (200, Open, "GET /empty HTTP/1.1\r\nHost: a\r\n\r\n"),
        (
            200,
            Open,
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        ),
        (
            200,
            Open,
            "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        ),
        (
            304,
            Open,
            "GET / HTTP/1.1\r\nHost: a\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n",
        ),
        (404, Open, "GET /none HTTP/1.1\r\nHost: a\r\n\r\n"),
        (404, Open, "GET /stats/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        (405, Open, "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (
            405,
            Open,
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        ),
        (501, Open, "BREW / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (501, Open, "get / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (
            417,
            Open,
            "GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n",
        ),
        (400, Open, "GET /../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, Open, "GET /%2e%2e/x HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, Open, "GET /a%2fb HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, Open, "GET /a%00 HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, Open, "GET /a%zz HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, Closed, "GET / HTTP/1.1\r\n\r\n"),
        (400, Closed, "GET / HTTP/1.1\nHost: a\n\n"),
        (400, Closed, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
        (400, Closed, "GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
        (400, Closed, "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n"),
        (400, Closed, "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n"),
        (
            400,
            Closed,
            "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
        ),
        (
            400,
            Closed,
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        ),
        (
            400,
            Closed,
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
        (
            400,
            Closed,
            "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        ),
        (400, Closed, "\0\0\0\0"),
        (
            413,
            Closed,
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n",
        ),
        (
            413,
            Closed,
            "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10001\r\n",
        ),
        (414, Closed, &long_line),
        (431, Closed, &long_head),
        (431, Closed, &many),
        (
            501,
            Closed,
            "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        ),
        (505, Closed, "GET / HTTP/3.0\r\nHost: a\r\n\r\n"),
    ] {
        for step in [input.len(), 1, 7] {
            let mut rig = Rig::new(4);
            rig.accept(0);
            for piece in input.as_bytes().chunks(step) {
                rig.receive(0, piece);
            }
            rig.finish(0);
            assert_eq!(
                statuses(&rig.sent[&0], &[]),
                [status],
                "{input:?} by {step}"
            );
            assert_eq!(rig.ends[&0], end, "{input:?} by {step}");
        }
    }
}

#[test]
fn one_batch_a_round_for_all_connections() {
    let mut rig = Rig::new(32);
    let accepts = (0..20).map(|socket| Event::Accepted { socket }).collect();
    rig.round(accepts);
    let requests = (0..20).map(|socket| Event::Received {
        socket,
        data: Bytes::new(if socket % 2 == 0 {
            b"GET /x HTTP/1.0\r\n\r\n"
        } else {
            b"GET /cgi?q HTTP/1.0\r\n\r\n"
        }),
    });
    rig.round(requests.collect());
    assert_eq!(
        (&rig.world.lookups[..], &rig.world.runs[..]),
        (&[10][..], &[10][..])
    );
    for socket in 0..20 {
        assert!(rig.sent[&socket].ends_with(if socket % 2 == 0 {
            b"\r\n\r\nx"
        } else {
            b"\r\n\r\ncgi:q"
        }));
        assert_eq!(rig.ends[&socket], End::Closed);
    }
    // One page for what is asked; heads of 20 answers fill two.
    assert!(rig.world.pages <= 3, "{}", rig.world.pages);
}

#[test]
fn pipelined_answers_keep_their_order() {
    let mut rig = Rig::new(4);
    let mut input = Vec::new();
    let mut expected = Vec::new();
    for round in 0..60 {
        let (path, status) = [
            ("/cgi?x", 200),
            ("/", 200),
            ("/none", 404),
            ("/stats", 200),
            ("/..", 400),
        ][round % 5];
        input.extend_from_slice(std::format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        expected.push(status);
    }
    let sent = rig.talk(0, &input);
    assert_eq!(statuses(&sent, &[]), expected);
    assert_eq!(rig.ends[&0], End::Open);
}

#[test]
fn expecting_clients_are_told_to_go_on() {
    let mut rig = Rig::new(4);
    rig.accept(0);
    rig.receive(
        0,
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n",
    );
    assert_eq!(text(&rig.sent[&0]), "HTTP/1.1 100 Continue\r\n\r\n");
    rig.receive(0, b"abc");
    assert_eq!(statuses(&rig.sent[&0], &[]), [100, 200]);
    let refused = rig.talk(
        1,
        b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n",
    );
    assert_eq!(statuses(&refused, &[]), [405]);
    assert_eq!(rig.ends[&1], End::Closed);
    // HTTP/1.0 cannot expect anything.
    let old = rig.talk(
        2,
        b"GET / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\nx",
    );
    assert_eq!(statuses(&old, &[]), [200]);
    // A lookup that waits for a body has its text in a page of its own.
    rig.accept(3);
    rig.receive(
        3,
        b"GET /a%20b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na",
    );
    rig.talk(4, b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    rig.receive(3, b"bc");
    assert!(text(&rig.sent[&3]).ends_with("space"));
}

#[test]
fn a_half_closed_client_gets_its_answers_first() {
    let mut rig = Rig::new(4);
    rig.accept(0);
    let data = Bytes::new(&GET.repeat(20));
    rig.round(vec![
        Event::Received { socket: 0, data },
        Event::PeerClosed { socket: 0 },
    ]);
    rig.finish(0);
    assert_eq!(statuses(&rig.sent[&0], &[]).len(), 20);
    assert_eq!(rig.ends[&0], End::Closed);

    rig.accept(1);
    rig.receive(1, b"GET / HT");
    rig.round(vec![Event::PeerClosed { socket: 1 }]);
    assert_eq!((rig.ends[&1], rig.sent[&1].len()), (End::Closed, 0));
}
