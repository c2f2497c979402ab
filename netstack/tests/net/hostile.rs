//! Peers, applications and frames that mean no good.

use crate::card::OFFERS;
use crate::link::{CLIENT_MAC, Link, OWNER, Pages, Random, SERVER_MAC, World};
use netstack::address::Addressing;
use netstack::offload::Offers;
use netstack::sockets::{Command, Event, Readiness, Refusal};
use netstack::stack::Stack;
use proptest::prelude::*;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::tcp;
use smoltcp::wire::*;
use std::rc::Rc;

const SERVER: Ipv4Address = Ipv4Address::new(10, 0, 2, 15);
const CLIENT: Ipv4Address = Ipv4Address::new(10, 0, 2, 2);

pub fn segment(
    port: u16,
    control: TcpControl,
    seq: i32,
    ack: Option<i32>,
    payload: &[u8],
) -> Vec<u8> {
    let tcp = TcpRepr {
        src_port: port,
        dst_port: 80,
        control,
        seq_number: TcpSeqNumber(seq),
        ack_number: ack.map(TcpSeqNumber),
        window_len: 60_000,
        window_scale: None,
        max_seg_size: None,
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload,
    };
    let ip = Ipv4Repr {
        src_addr: CLIENT,
        dst_addr: SERVER,
        next_header: IpProtocol::Tcp,
        payload_len: tcp.buffer_len(),
        hop_limit: 64,
    };
    let checksums = ChecksumCapabilities::default();
    let mut frame = vec![0; 14 + 20 + tcp.buffer_len()];
    let mut ethernet = EthernetFrame::new_unchecked(&mut frame);
    ethernet.set_src_addr(EthernetAddress(CLIENT_MAC));
    ethernet.set_dst_addr(EthernetAddress(SERVER_MAC));
    ethernet.set_ethertype(EthernetProtocol::Ipv4);
    ip.emit(
        &mut Ipv4Packet::new_unchecked(ethernet.payload_mut()),
        &checksums,
    );
    let mut packet = TcpPacket::new_unchecked(&mut frame[34..]);
    tcp.emit(&mut packet, &CLIENT.into(), &SERVER.into(), &checksums);
    frame
}

/// A world in which each side knows the other's link address.
pub fn acquainted(seed: u64) -> World {
    let mut world = World::new(seed, Link::perfect());
    world.serve(vec![1]);
    assert_eq!(world.request(b"x"), [1]);
    world
}

pub fn feed(world: &mut World, frame: &[u8]) -> Vec<Vec<u8>> {
    feed_as(world, frame, false)
}

/// `vouched`: the card says that the checksum is right.
fn feed_as(world: &mut World, frame: &[u8], vouched: bool) -> Vec<Vec<u8>> {
    world
        .stack
        .ingest(frame, vouched, world.now, &mut world.pages);
    world.stack.tick(world.now, &mut world.pages);
    world.stack.settle(world.now, &mut world.pages);
    world.take_outgoing()
}

pub fn flags(frame: &[u8]) -> u8 {
    frame[47]
}

#[test]
fn a_flood_of_syns_is_bounded_and_passes() {
    let mut world = acquainted(1);
    let mut answers = 0;
    for n in 0..20_000u32 {
        let port = 1024 + (n % 60_000) as u16;
        answers += feed(&mut world, &segment(port, TcpControl::Syn, 5, None, b"")).len();
        world.now += 10;
        assert!(world.stack.in_use() <= 64);
    }
    assert!(answers >= 63, "the first were answered");
    assert!(
        world.stack.counters.refused > 19_000,
        "the rest were dropped, not reset"
    );
    // A flood that has stopped is forgotten, and service goes on.
    world.idle(15_000_000);
    world.serve(vec![7; 100]);
    assert_eq!(world.request(b"x"), [7; 100]);
    world.idle(40_000_000);
    assert_eq!(world.stack.in_use(), 0);
}

#[test]
fn half_open_connections_give_way() {
    let mut world = acquainted(2);
    for port in 0..64 {
        feed(
            &mut world,
            &segment(2000 + port, TcpControl::Syn, 5, None, b""),
        );
    }
    assert_eq!(world.stack.in_use(), 64);
    assert!(feed(&mut world, &segment(3000, TcpControl::Syn, 5, None, b"")).is_empty());
    world.now += 300_000;
    let answer = feed(&mut world, &segment(3000, TcpControl::Syn, 5, None, b""));
    assert!(answer.iter().any(|f| flags(f) == 0x12), "SYN|ACK");
    assert_eq!(world.stack.in_use(), 64);
}

#[test]
fn waiting_clients_are_served_before_new_ones() {
    let mut world = acquainted(2);
    let syn = |port: u16| segment(port, TcpControl::Syn, 5, None, b"");
    let answered = |frames: Vec<Vec<u8>>| -> Vec<u16> {
        let syn_ack = frames.iter().filter(|f| flags(f) == 0x12);
        syn_ack
            .map(|f| u16::from_be_bytes([f[36], f[37]]))
            .collect()
    };
    for port in 2000..2064 {
        assert_eq!(answered(feed(&mut world, &syn(port))), [port]);
    }
    for port in 3000..3064 {
        assert!(feed(&mut world, &syn(port)).is_empty());
    }
    assert_eq!(world.stack.counters.refused, 0);
    // All sockets become free at once, and as many new clients come in the same batch.
    for port in 2000..2064 {
        let reset = segment(port, TcpControl::Rst, 6, None, b"");
        world
            .stack
            .ingest(&reset, false, world.now, &mut world.pages);
    }
    for port in 4000..4064 {
        world
            .stack
            .ingest(&syn(port), false, world.now, &mut world.pages);
    }
    world.stack.settle(world.now, &mut world.pages);
    let mut ports = answered(world.take_outgoing());
    ports.sort_unstable();
    assert_eq!(ports, (3000..3064).collect::<Vec<u16>>());
    assert_eq!(world.stack.counters.refused, 0);
}

#[test]
fn resets_are_sent_to_strangers_and_obeyed_from_peers() {
    let mut world = acquainted(3);
    let stray = feed(
        &mut world,
        &segment(5000, TcpControl::None, 5, Some(9), b"data"),
    );
    assert_eq!(stray.len(), 1);
    assert_eq!(flags(&stray[0]) & 4, 4, "a reset");
    assert!(feed(&mut world, &segment(5000, TcpControl::Rst, 5, Some(9), b"")).is_empty());

    let accepted = feed(&mut world, &segment(5001, TcpControl::Syn, 5, None, b""));
    assert_eq!(flags(&accepted[0]), 0x12);
    feed(&mut world, &segment(5001, TcpControl::Rst, 6, None, b""));
    assert_eq!(
        world.stack.in_use(),
        1,
        "only the first request's TIME_WAIT or nothing"
    );
    world.idle(11_000_000);
    assert_eq!(world.stack.in_use(), 0);
}

#[test]
fn a_port_without_a_listener_is_reset() {
    let mut world = acquainted(4);
    let mut frame = segment(5000, TcpControl::Syn, 5, None, b"");
    frame[36..38].copy_from_slice(&81u16.to_be_bytes());
    let mut packet = TcpPacket::new_unchecked(&mut frame[34..]);
    packet.fill_checksum(&CLIENT.into(), &SERVER.into());
    let answer = feed(&mut world, &frame);
    assert_eq!(flags(&answer[0]) & 4, 4);
}

#[test]
fn a_peer_that_vanishes_after_close_is_given_up() {
    let mut world = acquainted(5);
    world.serve(vec![9; 200_000]);
    let handle = world.connect();
    for _ in 0..20 {
        world.round(500);
        let socket = world.sockets.get_mut::<tcp::Socket>(handle);
        if socket.can_send() && socket.send_queue() == 0 {
            socket.send_slice(b"GET").unwrap();
        }
    }
    world.sockets.remove(handle);
    for _ in 0..1200 {
        world.now += 50_000;
        world.stack.tick(world.now, &mut world.pages);
        world.stack.flush(world.now, &mut world.pages);
        world.take_outgoing();
    }
    assert_eq!(world.stack.in_use(), 0);
}

#[test]
fn a_client_that_resets_does_not_stop_others() {
    let mut world = acquainted(6);
    world.serve(vec![3; 5000]);
    for _ in 0..200 {
        let victim = world.connect();
        world.round(300);
        world.round(300);
        world.sockets.get_mut::<tcp::Socket>(victim).abort();
        world.round(300);
        world.sockets.remove(victim);
        assert_eq!(world.request(b"x"), vec![3; 5000]);
    }
    world.idle(40_000_000);
    assert_eq!(world.stack.in_use(), 0);
}

#[test]
fn without_pages_nothing_is_lost_for_good() {
    for offers in OFFERS {
        starve(offers, true);
    }
    starve(OFFERS[2], false);
}

fn starve(offers: Offers, large: bool) {
    let mut world = World::with(7, Link::perfect(), offers);
    world.pages.large = large;
    world.serve((0..50_000u32).map(|i| i as u8).collect());
    let handle = world.connect();
    let (mut sent, mut answer) = (false, vec![]);
    for n in 0..20_000 {
        world.pages.left = usize::from(n % 3 == 0) * 2;
        world.round(2000);
        let socket = world.sockets.get_mut::<tcp::Socket>(handle);
        if socket.can_send() && !sent {
            sent = true;
            socket.send_slice(b"GET").unwrap();
        }
        let _ = socket.recv(|b| {
            answer.extend_from_slice(b);
            (b.len(), ())
        });
    }
    assert!(answer.iter().enumerate().all(|(i, b)| *b == i as u8));
    assert_eq!(answer.len(), 50_000);
}

#[test]
fn only_the_owner_reaches_a_socket() {
    let mut world = acquainted(8);
    world.stack.listen(6, 81, 4).unwrap();
    assert_eq!(world.stack.listen(6, 80, 4), Err(Refusal::Busy));
    let handle = world.connect();
    let mut socket = None;
    for _ in 0..4 {
        world.client.poll(
            smoltcp::time::Instant::from_micros(world.now),
            &mut world.end,
            &mut world.sockets,
        );
        for frame in std::mem::take(&mut world.end.outgoing) {
            world
                .stack
                .ingest(&frame, false, world.now, &mut world.pages);
        }
        world.stack.flush(world.now, &mut world.pages);
        let frames = world.take_outgoing();
        world.end.incoming.extend(frames);
        assert_eq!(world.stack.readiness(6), Readiness::Nothing);
        world
            .stack
            .collect(6, 100, &mut world.pages, |_, _| panic!("not its events"));
        world
            .stack
            .collect(OWNER, 100, &mut world.pages, |s, event| {
                if let Event::Accepted(_) = event {
                    socket = Some(s);
                }
            });
        world.now += 500;
    }
    let socket = socket.expect("accepted");
    for command in [
        Command::Send(Rc::from(&b"intruder"[..])),
        Command::Close,
        Command::Abort,
    ] {
        world.stack.command(6, socket, command, world.now);
    }
    world.stack.flush(world.now, &mut world.pages);
    assert!(world.take_outgoing().is_empty());
    assert!(world.sockets.get::<tcp::Socket>(handle).may_send());
}

#[test]
fn commands_without_meaning_change_nothing() {
    let mut world = acquainted(9);
    for socket in [0, 1, 63, 64, 255, 256, u32::MAX] {
        for component in [0, OWNER, 77] {
            for kind in 0..4 {
                let command = match kind {
                    0 => Command::Send(Rc::from(&b"x"[..])),
                    1 => Command::Close,
                    2 => Command::Abort,
                    _ => Command::Taken(usize::MAX),
                };
                world.stack.command(component, socket, command, world.now);
            }
        }
    }
    assert_eq!(world.stack.listen(3, 0, 4), Err(Refusal::BadArgument));
    assert_eq!(world.stack.listen(3, 65536, 4), Err(Refusal::BadArgument));
    assert_eq!(world.stack.listen(3, 90, 0), Err(Refusal::BadArgument));
    assert_eq!(world.stack.listen(3, 90, 193), Err(Refusal::NoMemory));
    assert_eq!(world.stack.listen(3, 90, u32::MAX), Err(Refusal::NoMemory));
    world.serve(vec![5]);
    assert_eq!(world.request(b"x"), [5]);
}

#[test]
fn an_application_that_floods_loses_that_connection_only() {
    let mut world = acquainted(10);
    world.serve(vec![1; 10]);
    world.expect(usize::MAX);
    let handle = world.connect();
    for _ in 0..5 {
        world.round(300);
    }
    for _ in 0..100 {
        let data = Rc::from(vec![0u8; 4096]);
        world
            .stack
            .command(OWNER, 0, Command::Send(data), world.now);
        world.stack.command(
            OWNER,
            1,
            Command::Send(Rc::from(vec![0u8; 4096])),
            world.now,
        );
    }
    for _ in 0..5 {
        world.round(300);
    }
    assert!(!world.sockets.get::<tcp::Socket>(handle).is_open(), "reset");
    world.serve(vec![2; 10]);
    assert_eq!(world.request(b"x"), [2; 10]);
}

#[test]
fn a_restarted_application_starts_clean() {
    let mut world = acquainted(11);
    world.serve(vec![1]);
    world.expect(usize::MAX);
    let handle = world.connect();
    for _ in 0..5 {
        world.round(300);
    }
    assert!(world.sockets.get::<tcp::Socket>(handle).may_send());
    world.stack.listen(OWNER, 80, 64).unwrap();
    world.forget_application();
    for _ in 0..5 {
        world.round(300);
    }
    assert!(!world.sockets.get::<tcp::Socket>(handle).is_open(), "reset");
    world.serve(vec![2]);
    assert_eq!(world.request(b"x"), [2]);
}

#[test]
fn dhcp_gives_up_and_takes_the_fixed_address() {
    let addressing = Addressing::parse("ip=10.9.8.7/24 gw=10.9.8.1 dhcp").unwrap();
    let mut stack: Stack<Box<[u8]>, Rc<[u8]>> = Stack::new(SERVER_MAC, OFFERS[2], addressing, 1, 0);
    let mut pages = Pages::many();
    let mut asked = 0;
    for now in (0..4_000_000).step_by(100_000) {
        assert_eq!(stack.address().is_some(), now > 3_000_000, "{now}");
        stack.tick(now, &mut pages);
        stack.settle(now, &mut pages);
        asked += stack.outgoing.len();
        stack.outgoing.drain(|p| p, |_, _| {});
        assert!(stack.next_deadline() > now);
    }
    assert!(asked >= 1, "a DISCOVER was sent");
    assert_eq!(stack.address().unwrap().ip, Ipv4Address::new(10, 9, 8, 7));
}

#[test]
fn damaged_segments_are_dropped_unless_the_card_vouches_for_them() {
    for offers in OFFERS {
        let mut world = World::with(14, Link::perfect(), offers);
        world.serve(vec![1]);
        assert_eq!(world.request(b"x"), [1]);
        let mut syn = segment(6000, TcpControl::Syn, 5, None, b"");
        syn[50] ^= 1;
        assert!(feed(&mut world, &syn).is_empty());
        assert_eq!(world.stack.counters.damaged, 1);
        world.stack.ingest(&syn, true, world.now, &mut world.pages);
        world.stack.settle(world.now, &mut world.pages);
        assert_eq!(flags(&world.take_outgoing()[0]), 0x12);
    }
}

#[test]
fn a_peer_with_small_segments_gets_small_frames() {
    let mut world = World::with(15, Link::perfect(), OFFERS[2]);
    world.serve(vec![8; 20_000]);
    assert_eq!(world.request(b"x"), vec![8; 20_000]);
    let cut = world.card.cut;
    let tcp = |control, seq, ack, mss, payload: &'static [u8]| {
        let mut frame = segment(7000, control, seq, ack, payload);
        if control == TcpControl::Syn {
            frame.extend([2, 4, 0, mss]);
            frame[46] = 0x60;
            frame[17] += 4;
            Ipv4Packet::new_unchecked(&mut frame[14..]).fill_checksum();
            TcpPacket::new_unchecked(&mut frame[34..])
                .fill_checksum(&CLIENT.into(), &SERVER.into());
        }
        frame
    };
    let syn_ack = feed(&mut world, &tcp(TcpControl::Syn, 5, None, 60, b""));
    let ours = TcpPacket::new_checked(&syn_ack[0][34..])
        .unwrap()
        .seq_number();
    feed(
        &mut world,
        &tcp(TcpControl::Psh, 6, Some(ours.0.wrapping_add(1)), 0, b"GET"),
    );
    let mut payload = 0;
    for _ in 0..4 {
        world.round(300);
        for frame in world.end.incoming.drain(..) {
            let bytes = frame.len() - 54;
            assert!(bytes <= 60, "{bytes}");
            payload += bytes;
        }
    }
    assert!(payload >= 20_000);
    assert!(world.card.cut > cut);
}

/// Feeds frames in a world where a connection is open, then checks that service goes on.
fn survives(frames: &[Vec<u8>], vouched: bool) {
    let mut world = World::with(12, Link::perfect(), OFFERS[frames.len() % 3]);
    world.serve(vec![1]);
    assert_eq!(world.request(b"x"), [1]);
    let handle = world.connect();
    for _ in 0..4 {
        world.round(300);
    }
    for frame in frames {
        for out in feed_as(&mut world, frame, vouched) {
            assert!(out.len() <= 1514);
        }
        world.now += 1000;
    }
    world.sockets.remove(handle);
    world.serve(vec![4; 2000]);
    world.idle(15_000_000);
    assert_eq!(world.request(b"x"), vec![4; 2000]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn garbage_is_survived(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..1600), 0..40), vouched: bool) {
        survives(&frames, vouched);
    }

    /// Valid frames with a few bytes changed and checksums made right again, so that they get
    /// past the first checks.
    #[test]
    fn mutated_segments_are_survived(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let frames: Vec<_> = (0..60).map(|_| {
            let controls = [TcpControl::None, TcpControl::Psh, TcpControl::Syn, TcpControl::Fin, TcpControl::Rst];
            let control = controls[random.below(5) as usize];
            let payload = vec![7; random.below(1400) as usize];
            let ack = (random.below(4) > 0).then(|| random.below(u32::MAX) as i32);
            let port = 20_000 + random.below(4) as u16;
            let mut frame = segment(port, control, random.below(u32::MAX) as i32, ack, &payload);
            for _ in 0..random.below(4) {
                let at = 14 + random.below(46) as usize % (frame.len() - 14);
                frame[at] = random.below(256) as u8;
            }
            if random.below(2) == 0 {
                frame.truncate(14 + random.below(frame.len() as u32 - 14) as usize);
            }
            if let Ok(mut ip) = Ipv4Packet::new_checked(&mut frame[14..]) {
                ip.fill_checksum();
                let (source, target) = (ip.src_addr(), ip.dst_addr());
                if let Ok(mut tcp) = TcpPacket::new_checked(ip.payload_mut()) {
                    tcp.fill_checksum(&source.into(), &target.into());
                }
            }
            frame
        }).collect();
        survives(&frames, random.below(2) == 0);
    }

    #[test]
    fn mutated_arp_icmp_and_dhcp_are_survived(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let addressing = Addressing::parse("dhcp").unwrap();
        let mut stack: Stack<Box<[u8]>, Rc<[u8]>> = Stack::new(SERVER_MAC, OFFERS[2], addressing, seed, 0);
        let mut pages = Pages::many();
        for n in 0..200i64 {
            let mut frame = vec![0u8; 60 + random.below(500) as usize];
            for byte in frame.iter_mut() {
                *byte = random.below(256) as u8;
            }
            frame[..6].copy_from_slice(&SERVER_MAC);
            match random.below(3) {
                0 => {
                    frame[12..22].copy_from_slice(&[8, 6, 0, 1, 8, 0, 6, 4, 0, 1 + random.below(2) as u8]);
                    frame[38..42].copy_from_slice(&[10, 0, 2, 15]);
                }
                kind => {
                    let total = frame.len() as u16 - 14;
                    frame[12..16].copy_from_slice(&[8, 0, 0x45, 0]);
                    frame[16..18].copy_from_slice(&total.to_be_bytes());
                    frame[20..22].fill(0);
                    frame[23] = if kind == 1 { 1 } else { 17 };
                    frame[30..34].copy_from_slice(&[10, 0, 2, 15]);
                    if kind == 1 {
                        frame[34..36].copy_from_slice(&[8, 0]);
                    } else {
                        frame[34..38].copy_from_slice(&[0, 67, 0, 68]);
                        frame[38..40].copy_from_slice(&(total - 20).to_be_bytes());
                        frame[40..42].fill(0);
                        frame[42..46].copy_from_slice(&[2, 1, 6, 0]);
                    }
                    Ipv4Packet::new_unchecked(&mut frame[14..]).fill_checksum();
                }
            }
            stack.ingest(&frame, random.below(2) == 0, n * 50_000, &mut pages);
            stack.tick(n * 50_000, &mut pages);
            stack.settle(n * 50_000, &mut pages);
            stack.outgoing.drain(|p| p, |_, _| {});
        }
    }
}
