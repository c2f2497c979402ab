//! The server as a whole, against a fake world.

use std::string::String;
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use crate::fake::*;
use crate::platform::{Buffer, Event};

const DATE: &str = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const HOME: &str = "HTTP/1.1 200 OK\r\nServer: Cistern\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
    ETag: \"0123456789abcdef\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
    Content-Type: text/html; charset=utf-8\r\nContent-Length: 11\r\n\r\n<p>home</p>";

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Status codes of the answers in a stream, by reading it as a client would.
fn statuses(stream: &[u8], heads: &[bool]) -> Vec<u16> {
    let mut rest = stream;
    let mut codes = Vec::new();
    while !rest.is_empty() {
        let end = rest.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
        let head = text(&rest[..end]);
        let code: u16 = head[9..12].parse().unwrap();
        let length = head
            .lines()
            .find_map(|l| l.strip_prefix("Content-Length: "))
            .map_or(0, |l| l.parse().unwrap());
        let no_body = heads.get(codes.len()).copied().unwrap_or(false) || code == 304;
        rest = &rest[end + if no_body { 0 } else { length }..];
        codes.push(code);
    }
    codes
}

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
             Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n"
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
    rig.receive(1, &both.iter().rev().copied().collect::<Vec<u8>>()[..0]);
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

/// A request that is valid, with the number of answers it gets.
fn valid() -> impl Strategy<Value = (Vec<u8>, bool)> {
    let paths = prop_oneof![
        Just("/"),
        Just("/x"),
        Just("/none"),
        Just("/cgi?bytes=3"),
        Just("/empty"),
        Just("/a%20b"),
        Just("http://h/x"),
    ];
    let fields = proptest::collection::vec(
        prop_oneof![
            Just("Accept: */*\r\n"),
            Just("If-None-Match: \"0123456789abcdef\"\r\n"),
            Just("User-Agent: some thing/1.0 (x; y)\r\n"),
            Just("X:\r\n"),
        ],
        0..2,
    );
    let bodies = prop_oneof![
        3 => Just("\r\n"),
        1 => Just("Content-Length: 5\r\n\r\nGET /"),
        1 => Just("Transfer-Encoding: chunked\r\n\r\n3\r\nGET\r\n0\r\n\r\n"),
    ];
    (any::<bool>(), paths, fields, bodies).prop_map(|(head, path, fields, body)| {
        let method = if head { "HEAD" } else { "GET" };
        let fields = fields.concat();
        (
            std::format!("{method} {path} HTTP/1.1\r\nHost: a\r\n{fields}{body}").into_bytes(),
            head,
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn where_requests_are_split_changes_nothing(
        requests in proptest::collection::vec(valid(), 1..4),
        step in 1usize..64,
    ) {
        let input: Vec<u8> = requests.iter().flat_map(|(r, _)| r.clone()).collect();
        let heads: Vec<bool> = requests.iter().map(|(_, h)| *h).collect();
        let expected = Rig::new(4).talk(0, &input);
        prop_assert_eq!(statuses(&expected, &heads).len(), requests.len());
        // In two pieces, at every byte; and in pieces of one size.
        for at in 0..input.len() {
            let mut rig = Rig::new(4);
            rig.accept(0);
            rig.receive(0, &input[..at]);
            rig.receive(0, &input[at..]);
            rig.finish(0);
            prop_assert_eq!(&rig.sent[&0], &expected, "at {}", at);
        }
        let mut rig = Rig::new(4);
        rig.accept(0);
        for piece in input.chunks(step) {
            rig.receive(0, piece);
        }
        rig.finish(0);
        prop_assert_eq!(&rig.sent[&0], &expected);
    }

    #[test]
    fn garbage_gets_an_answer_or_a_timeout(
        input in prop_oneof![
            proptest::collection::vec(any::<u8>(), 1..600),
            "(GET|HEAD|POST|X) [!-~]{0,9} HTTP/1.[01]\r\n(Host: a\r\n)?([a-zA-Z-]{1,9}: ?[ -~]{0,9}\r\n){0,3}\r\n[ -~\r\n]{0,60}".prop_map(String::into_bytes),
        ],
        step in 1usize..100,
    ) {
        let mut rig = Rig::new(2);
        rig.accept(0);
        for piece in input.chunks(step) {
            rig.receive(0, piece);
        }
        rig.finish(0);
        for _ in 0..4 {
            rig.pass(100_000);
            rig.round(vec![]);
        }
        prop_assert!(rig.ends[&0] != End::Open);
        statuses(&rig.sent[&0], &[true; 0]);
    }
}
