//! Clients that open a connection anew, with the same port, while the one before is still there.
//! passt is such a client: when a program leaves after the server's end with bytes of its own still
//! on their way, it drops the connection without a word, and it never repeats a SYN.

use crate::hostile::{acquainted, feed, flags, segment};
use crate::link::World;
use smoltcp::wire::TcpControl;

const PORT: u16 = 5000;
const FIRST: i32 = 100;
const SECOND: i32 = 90_000;
const ANSWER: usize = 100;

fn field(frame: &[u8], at: usize) -> i32 {
    i32::from_be_bytes(frame[at..at + 4].try_into().unwrap())
}

fn syn(world: &mut World, sequence: i32) -> Vec<Vec<u8>> {
    feed(world, &segment(PORT, TcpControl::Syn, sequence, None, b""))
}

/// The server's number after its SYN, if that is what it answered.
fn opened(frames: &[Vec<u8>], sequence: i32) -> Option<i32> {
    let frame = frames.iter().find(|f| flags(f) == 0x12)?;
    assert_eq!(field(frame, 42), sequence + 1);
    Some(field(frame, 38) + 1)
}

/// Sends a request on an open connection; answers with the number after the server's FIN.
fn ask(world: &mut World, sequence: i32, server: i32) -> i32 {
    feed(
        world,
        &segment(PORT, TcpControl::Psh, sequence, Some(server), b"GET"),
    );
    world.application();
    world.stack.flush(world.now, &mut world.pages);
    let frames = world.take_outgoing();
    assert_eq!(frames.len(), 1);
    assert_eq!(flags(&frames[0]) & 1, 1, "all of the answer, and FIN");
    assert_eq!(frames[0].len(), 54 + ANSWER);
    server + ANSWER as i32 + 1
}

fn world() -> World {
    let mut world = acquainted(9);
    world.idle(40_000_000);
    assert_eq!(world.stack.in_use(), 0);
    world.serve(vec![7; ANSWER]);
    world
}

#[test]
fn a_client_that_vanished_after_our_end_may_come_again() {
    let mut world = world();
    let server = opened(&syn(&mut world, FIRST), FIRST).unwrap();
    let end = ask(&mut world, FIRST + 1, server);
    // It acknowledges all, sends more that nobody wants, and is never heard of again.
    let more = segment(PORT, TcpControl::None, FIRST + 4, Some(end), &[b'a'; 1000]);
    let answer = feed(&mut world, &more);
    assert_eq!(flags(&answer[0]), 0x10);
    world.now += 500_000;
    assert_eq!(opened(&syn(&mut world, FIRST), FIRST), None, "an old SYN");
    let server = opened(&syn(&mut world, SECOND), SECOND).expect("answered at once");
    assert_eq!(world.stack.in_use(), 1);
    ask(&mut world, SECOND + 1, server);
    world.idle(40_000_000);
    assert_eq!(world.stack.in_use(), 0);
}

#[test]
fn a_half_open_connection_gives_way_to_its_own_client() {
    let mut world = world();
    let first = opened(&syn(&mut world, FIRST), FIRST).unwrap();
    assert_eq!(opened(&syn(&mut world, FIRST), FIRST), None, "an old SYN");
    let server = opened(&syn(&mut world, SECOND), SECOND).expect("answered at once");
    assert_ne!(first, server);
    assert_eq!(world.stack.in_use(), 1);
    ask(&mut world, SECOND + 1, server);
}

#[test]
fn a_forged_syn_ends_nothing_that_is_under_way() {
    let mut world = world();
    let server = opened(&syn(&mut world, FIRST), FIRST).unwrap();
    let ack = segment(PORT, TcpControl::None, FIRST + 1, Some(server), b"");
    feed(&mut world, &ack);
    assert_eq!(opened(&syn(&mut world, SECOND), SECOND), None);
    let end = ask(&mut world, FIRST + 1, server);
    assert_eq!(opened(&syn(&mut world, SECOND), SECOND), None);
    let fin = segment(PORT, TcpControl::Fin, FIRST + 4, Some(end), b"");
    let answer = feed(&mut world, &fin);
    assert_eq!(
        flags(&answer[0]),
        0x10,
        "our end was acknowledged, theirs is"
    );
    assert!(opened(&syn(&mut world, SECOND), SECOND).is_some());
}

#[test]
fn a_client_that_starts_anew_while_it_waits_is_answered_by_its_last_number() {
    let mut world = world();
    for port in 2000..2064 {
        feed(
            &mut world,
            &segment(port, TcpControl::Syn, FIRST, None, b""),
        );
    }
    assert!(syn(&mut world, FIRST).is_empty());
    assert!(syn(&mut world, SECOND).is_empty());
    let reset = segment(2000, TcpControl::Rst, FIRST + 1, None, b"");
    let answer = feed(&mut world, &reset);
    assert!(opened(&answer, SECOND).is_some());
}
