//! A small world: the stack under test as the server, smoltcp as the clients, a link between.

use crate::card::Card;
use netstack::address::Addressing;
use netstack::offload::Offers;
use netstack::pack::Pool;
use netstack::sockets::{Command, Event, Readiness};
use netstack::stack::Stack;
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

pub const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
pub const OWNER: u16 = 5;

/// Probabilities in thousandths.
#[derive(Clone, Copy)]
pub struct Link {
    pub loss: u32,
    pub repeat: u32,
    pub swap: u32,
}

impl Link {
    pub fn perfect() -> Link {
        Link {
            loss: 0,
            repeat: 0,
            swap: 0,
        }
    }
}

pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }
    pub fn below(&mut self, n: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as u32 % n
    }
}

/// Pages for the stack, counted; `left` may be set to simulate a short pool.
pub struct Pages {
    pub left: usize,
    /// Buffers of more than a page are to be had.
    pub large: bool,
}

impl Pages {
    pub fn many() -> Pages {
        Pages {
            left: usize::MAX,
            large: true,
        }
    }
}

impl Pool for Pages {
    type Page = Box<[u8]>;
    fn page(&mut self, bytes: usize) -> Option<Box<[u8]>> {
        if bytes > 4096 && !self.large {
            return None;
        }
        self.left = self.left.checked_sub(1)?;
        Some(vec![0; bytes.next_power_of_two().max(4096)].into())
    }
}

/// The clients' end of the link.
#[derive(Default)]
pub struct End {
    pub incoming: VecDeque<Vec<u8>>,
    pub outgoing: Vec<Vec<u8>>,
}

pub struct Rx(Vec<u8>);
pub struct Tx<'a>(&'a mut Vec<Vec<u8>>);

impl RxToken for Rx {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl TxToken for Tx<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        self.0.push(frame);
        result
    }
}

impl Device for End {
    type RxToken<'a> = Rx;
    type TxToken<'a> = Tx<'a>;
    fn receive(&mut self, _: Instant) -> Option<(Rx, Tx<'_>)> {
        let frame = self.incoming.pop_front()?;
        Some((Rx(frame), Tx(&mut self.outgoing)))
    }
    fn transmit(&mut self, _: Instant) -> Option<Tx<'_>> {
        Some(Tx(&mut self.outgoing))
    }
    fn capabilities(&self) -> DeviceCapabilities {
        let mut caps = DeviceCapabilities::default();
        caps.medium = Medium::Ethernet;
        caps.max_transmission_unit = 1514;
        caps
    }
}

#[derive(Default)]
struct Served {
    request: Vec<u8>,
    answered: bool,
}

pub struct World {
    pub stack: Stack<Box<[u8]>, Rc<[u8]>>,
    pub pages: Pages,
    pub card: Card,
    pub now: i64,
    pub end: End,
    pub client: Interface,
    pub sockets: SocketSet<'static>,
    link: Link,
    random: Random,
    answer: Rc<[u8]>,
    expect: usize,
    served: HashMap<u32, Served>,
    last: Vec<u8>,
    port: u16,
    resets: usize,
}

impl World {
    pub fn new(seed: u64, link: Link) -> World {
        World::with(seed, link, Offers::default())
    }

    /// With a card that offers something.
    pub fn with(seed: u64, link: Link, offers: Offers) -> World {
        let addressing = Addressing::parse("static").unwrap();
        let mut stack = Stack::new(SERVER_MAC, offers, addressing, seed, 0);
        stack.listen(OWNER, 80, 64).unwrap();
        let mut end = End::default();
        let mut config = Config::new(HardwareAddress::Ethernet(EthernetAddress(CLIENT_MAC)));
        config.random_seed = seed + 1000;
        let mut client = Interface::new(config, &mut end, Instant::ZERO);
        client.update_ip_addrs(|list| {
            list.push(IpCidr::new(IpAddress::v4(10, 0, 2, 2), 24))
                .unwrap();
        });
        World {
            stack,
            pages: Pages::many(),
            card: Card { offers, cut: 0 },
            now: 0,
            end,
            client,
            sockets: SocketSet::new(vec![]),
            link,
            random: Random::new(seed),
            answer: Rc::new([]),
            expect: 1,
            served: HashMap::new(),
            last: vec![],
            port: 20_000,
            resets: 0,
        }
    }

    /// What the server answers from now on, closing afterwards.
    pub fn serve(&mut self, answer: Vec<u8>) {
        self.answer = answer.into();
        self.expect = 1;
    }

    /// The server answers after that many bytes.
    pub fn expect(&mut self, bytes: usize) {
        self.expect = bytes;
    }

    pub fn last_request(&self) -> &[u8] {
        &self.last
    }

    pub fn resets_seen(&self) -> usize {
        self.resets
    }

    pub fn connect(&mut self) -> SocketHandle {
        let ring = |n| tcp::SocketBuffer::new(vec![0; n]);
        let socket = tcp::Socket::new(ring(16 * 1024), ring(16 * 1024));
        let handle = self.sockets.add(socket);
        self.port = if self.port >= 60_000 {
            20_000
        } else {
            self.port + 1
        };
        let server = (IpAddress::v4(10, 0, 2, 15), 80);
        self.sockets
            .get_mut::<tcp::Socket>(handle)
            .connect(self.client.context(), server, self.port)
            .unwrap();
        handle
    }

    /// Passes frames through the link.
    fn pass(&mut self, mut frames: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        let mut out = vec![];
        for i in 1..frames.len() {
            if self.random.below(1000) < self.link.swap {
                frames.swap(i - 1, i);
            }
        }
        for frame in frames {
            if self.random.below(1000) < self.link.repeat {
                out.push(frame.clone());
            }
            if self.random.below(1000) >= self.link.loss {
                out.push(frame);
            }
        }
        out
    }

    /// The frames that leave the card.
    pub fn take_outgoing(&mut self) -> Vec<Vec<u8>> {
        let mut frames = vec![];
        self.stack.outgoing.drain(
            |page| page,
            |page, run| {
                let frame = page[run.offset..run.offset + run.len].to_vec();
                frames.extend(self.card.send(frame, run.offload));
            },
        );
        frames
    }

    /// One round: clients, link, stack, application, link.
    pub fn round(&mut self, step: i64) {
        self.now += step;
        let time = Instant::from_micros(self.now);
        self.client.poll(time, &mut self.end, &mut self.sockets);
        let frames = std::mem::take(&mut self.end.outgoing);
        for mut frame in self.pass(frames) {
            let verified = self.card.receive(&mut frame, &mut self.random);
            self.stack
                .ingest(&frame, verified, self.now, &mut self.pages);
        }
        self.stack.tick(self.now, &mut self.pages);
        self.stack.settle(self.now, &mut self.pages);
        self.application();
        self.stack.flush(self.now, &mut self.pages);
        let frames = self.take_outgoing();
        self.resets += frames
            .iter()
            .filter(|f| f.len() > 47 && f[23] == 6 && f[47] & 4 != 0)
            .count();
        let frames = self.pass(frames);
        self.end.incoming.extend(frames);
    }

    /// What the application does with what has happened.
    pub fn application(&mut self) {
        if self.stack.readiness(OWNER) == Readiness::Nothing {
            return;
        }
        let mut events = vec![];
        self.stack
            .collect(OWNER, 128, &mut self.pages, |socket, event| {
                events.push((socket, event))
            });
        let mut runs = VecDeque::new();
        self.stack.inbox.drain(
            |page| page,
            |page, run| runs.push_back(page[run.offset..run.offset + run.len].to_vec()),
        );
        for (socket, event) in events {
            match event {
                Event::Accepted(peer) => {
                    assert_eq!(peer, [10, 0, 2, 2]);
                    let old = self.served.insert(socket, Served::default());
                    assert!(old.is_none(), "socket {socket} accepted before it was gone");
                }
                Event::Received => {
                    let bytes = runs.pop_front().unwrap();
                    self.stack
                        .command(OWNER, socket, Command::Taken(bytes.len()), self.now);
                    let served = self.served.get_mut(&socket).expect("an accepted socket");
                    served.request.extend(bytes);
                    if served.request.len() >= self.expect && !served.answered {
                        served.answered = true;
                        self.last = served.request.clone();
                        let answer = self.answer.clone();
                        self.stack
                            .command(OWNER, socket, Command::Send(answer), self.now);
                        self.stack.command(OWNER, socket, Command::Close, self.now);
                    }
                }
                Event::Gone => {
                    assert!(self.served.remove(&socket).is_some(), "gone once");
                }
                Event::PeerClosed => {
                    self.stack.command(OWNER, socket, Command::Close, self.now);
                }
                Event::Sent(_) => {}
            }
        }
        assert!(runs.is_empty());
    }

    /// The application starts anew.
    pub fn forget_application(&mut self) {
        self.served.clear();
    }

    pub fn idle(&mut self, micros: i64) {
        let until = self.now + micros;
        while self.now < until {
            self.round(50_000);
        }
    }

    /// One connection, one request, its whole answer.
    pub fn request(&mut self, request: &[u8]) -> Vec<u8> {
        let handle = self.connect();
        let mut sent = 0;
        let mut answer = vec![];
        for _ in 0..200_000 {
            self.round(500);
            let socket = self.sockets.get_mut::<tcp::Socket>(handle);
            if socket.can_send() && sent < request.len() {
                sent += socket.send_slice(&request[sent..]).unwrap();
            }
            let _ = socket.recv(|b| {
                answer.extend_from_slice(b);
                (b.len(), ())
            });
            if socket.state() == tcp::State::CloseWait && !socket.can_recv() {
                socket.close();
            }
            if !socket.is_open() {
                break;
            }
        }
        self.sockets.remove(handle);
        answer
    }

    /// `total` requests, `parallel` at a time, a connection each; answers the complete ones.
    pub fn many(&mut self, parallel: usize, total: usize) -> usize {
        let mut running: Vec<(SocketHandle, bool, usize)> = vec![];
        let (mut begun, mut complete) = (0, 0);
        for _ in 0..2_000_000 {
            while running.len() < parallel && begun < total {
                running.push((self.connect(), false, 0));
                begun += 1;
            }
            self.round(300);
            let sockets = &mut self.sockets;
            let whole = self.answer.len();
            running.retain_mut(|(handle, sent, got)| {
                let socket = sockets.get_mut::<tcp::Socket>(*handle);
                if socket.can_send() && !*sent {
                    *sent = true;
                    socket.send_slice(b"GET").unwrap();
                }
                let _ = socket.recv(|b| {
                    *got += b.len();
                    (b.len(), ())
                });
                if socket.state() == tcp::State::CloseWait && !socket.can_recv() {
                    socket.close();
                }
                if socket.is_open() {
                    return true;
                }
                complete += usize::from(*got == whole);
                sockets.remove(*handle);
                false
            });
            if running.is_empty() && begun == total {
                break;
            }
        }
        complete
    }
}
