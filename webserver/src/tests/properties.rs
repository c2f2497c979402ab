//! What holds for any input.

use crate::fake::*;
use crate::platform::Event;
use proptest::prelude::*;
use std::string::String;
use std::vec;
use std::vec::Vec;

use super::{GET, statuses};

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
        // Nor does it in what pieces bodies come.
        let mut rig = Rig::new(4);
        rig.world.piece = step;
        prop_assert_eq!(&rig.talk(0, &input), &expected);
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

    #[test]
    fn no_order_of_events_does_harm(
        steps in proptest::collection::vec((0u8..12, 0u32..7, 0usize..8, any::<u8>()), 1..120),
    ) {
        const PIECES: [&[u8]; 8] = [
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET /cgi?x HTTP/1.1\r\nHost: a\r\n\r\nGET /big HTTP/1.1\r\nHost: a\r\n\r\n",
            b"HEAD /stats HTTP/1.0\r\n\r\n",
            b"GET /none HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n",
            b"GET /x HTT",
            b"P/1.1\r\nHost: a\r\n\r\n",
            b"\r\n",
            b"012345678",
        ];
        let mut rig = Rig::new(4);
        for (step, socket, piece, any) in steps {
            let known = rig.sent.contains_key(&socket);
            match step {
                0..=1 => rig.accept(socket),
                2..=5 => rig.receive(socket, &PIECES[piece].repeat(1 + usize::from(any % 20))),
                6 if known => rig.drain(socket),
                7 => rig.round(vec![Event::PeerClosed { socket }]),
                8 => rig.round(vec![Event::Gone { socket }]),
                9 => {
                    rig.world.no_pages = any & 1 != 0;
                    rig.world.content_dead = any & 2 != 0;
                    rig.world.cgi_dead = any & 4 != 0;
                    rig.world.cgi_full = any & 8 != 0;
                }
                10 => rig.pass(u64::from(any) * 100),
                _ => rig.round(vec![]),
            }
            prop_assert!(rig.server.counters().open <= 4);
        }
        // Whatever happened, everyone is rid of in the end and the places are free again.
        rig.world = World::default();
        for _ in 0..4 {
            rig.pass(1_000_000);
            rig.round(vec![]);
        }
        for socket in 0..7 {
            rig.round(vec![Event::Gone { socket }]);
        }
        prop_assert_eq!(rig.server.counters().open, 0);
        prop_assert!(rig.talk(0, GET).ends_with(b"<p>home</p>"));
    }
}
