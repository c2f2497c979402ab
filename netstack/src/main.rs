//! The network stack as a component: the interface `net` in front, the driver behind.
//!
//! Whoever waits for events drives the network card: one thread at a time waits in the driver
//! (it leads), the others wait for it to wake them. So a server that serves pays for no thread
//! switch. A thread of our own, the pump, drives when nobody has for [`PUMP`]: timers, ARP and
//! echo go on while the server is busy or dead.
//!
//! Frames ride: what a batch of incoming frames makes us send is kept back while the
//! application works on the events of the same batch, and leaves with its answers, or with the
//! pump, or at once when it is many.
//!
//! Nothing here waits for a buffer: without one, events and frames stay where they are, and the
//! card is looked after until completions bring buffers back.

#![no_std]
#![no_main]

extern crate alloc;

mod clock;
mod drive;

use abi::start::StartInfo;
use abi::{ComponentId, Error};
use clock::Clock;
use drive::{NET, Net};
use netstack::address::Addressing;
use netstack::offload::Offers;
use netstack::sockets::{Command, Refusal};
use netstack::stack::Stack;
use rt::cbuf::{Batch, Incoming};
use stubs::net::{self, Event, Server};

struct Service;

impl Server for Service {
    fn listen(&self, caller: ComponentId, port: u32, sockets: u32) -> Result<(), Error> {
        let mut held = NET.lock();
        let net = held.as_mut().ok_or(Error::BadState)?;
        net.stack
            .listen(caller.0, port, sockets)
            .map_err(|refusal| match refusal {
                Refusal::BadArgument => Error::BadArgument,
                Refusal::Busy => Error::Busy,
                Refusal::NoMemory => Error::NoMemory,
            })
    }

    fn exchange(
        &self,
        caller: ComponentId,
        commands: Incoming<'static, net::Command>,
        deadline: u64,
    ) -> Result<Batch<'static, Event>, Error> {
        let mut held = NET.lock();
        let net = held.as_mut().ok_or(Error::BadState)?;
        let now = net.clock.micros();
        for command in commands.flatten() {
            let what = match (command.kind, command.data) {
                (1, Some(data)) => Command::Send(data),
                (2, _) => Command::Close,
                (3, _) => Command::Abort,
                (4, _) => Command::Taken(command.argument as usize),
                _ => continue,
            };
            net.stack.command(caller.0, command.socket, what, now);
        }
        drive::until_event(held, caller, deadline)
    }

    fn address(&self, _caller: ComponentId) -> Result<(u32, u32, u32), Error> {
        let held = NET.lock();
        let net = held.as_ref().ok_or(Error::BadState)?;
        Ok(net.stack.address().map_or((0, 0, 0), |fixed| {
            let word = |octets| u32::from_le_bytes(octets);
            let gateway = fixed.gateway.map_or(0, |g| word(g.octets()));
            (word(fixed.ip.octets()), u32::from(fixed.prefix), gateway)
        }))
    }

    fn counters(&self, _caller: ComponentId) -> Result<(u64, u64, u64, u64), Error> {
        let held = NET.lock();
        let net = held.as_ref().ok_or(Error::BadState)?;
        let counters = net.stack.counters;
        let sockets = net.stack.in_use() as u64;
        Ok((counters.copied, counters.received, counters.sent, sockets))
    }

    fn waiting(&self, caller: ComponentId) -> Result<u32, Error> {
        let held = NET.lock();
        let net = held.as_ref().ok_or(Error::BadState)?;
        Ok(net.stack.waiting(caller.0, net.clock.micros()) as u32)
    }
}

/// A number that others cannot guess, where the processor makes any.
fn seed() -> u64 {
    #[target_feature(enable = "rdrand")]
    fn random() -> Option<u64> {
        let mut value = 0;
        (0..8)
            .any(|_| core::arch::x86_64::_rdrand64_step(&mut value) == 1)
            .then_some(value)
    }
    let has_random = core::arch::x86_64::__cpuid(1).ecx & 1 << 30 != 0;
    // SAFETY: called only where the processor has the instruction.
    let random = has_random.then(|| unsafe { random() }).flatten();
    random.unwrap_or(0) ^ rt::time::now().wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn start(info: &'static StartInfo) -> Result<(), Error> {
    let addressing = Addressing::parse(rt::arguments()).map_err(|word| {
        rt::println!("argument {word} has no meaning: static, dhcp, ip=A.B.C.D/N, gw=A.B.C.D");
        Error::BadArgument
    })?;
    let card = stubs::nic::Client::bind()?;
    let (mac, _, offers) = card.info()?;
    let offers = Offers {
        checksum: offers & 1 != 0,
        segmentation: offers & 2 != 0,
    };
    let [a, b, c, d, e, f, _, _] = mac.to_le_bytes();
    let clock = Clock::new(info.tsc_hz, rt::time::now());
    let mac = [a, b, c, d, e, f];
    let stack = Stack::new(mac, offers, addressing, seed(), clock.micros());
    *NET.lock() = Some(Net::new(stack, card, clock));
    Ok(())
}

fn serve(call: rt::Call) -> rt::Reply {
    net::serve(&Service, call)
}

rt::component! {
    start: start,
    thread: drive::pump,
    serve: { net::INTERFACE => serve }
}
