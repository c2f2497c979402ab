//! Driving: who waits in the driver, what is sent when, and who is woken.

use crate::clock::Clock;
use abi::{ComponentId, Error, ThreadId};
use alloc::vec::Vec;
use core::time::Duration;
use netstack::offload::received_payload;
use netstack::pack::{Pool, Run};
use netstack::sockets::{Event, Readiness};
use netstack::stack::{Stack, TX_BATCH};
use rt::cbuf::{Batch, Buffer, Cbuf, Incoming};
use rt::sync::{Guard, Mutex};
use stubs::nic::{RxFrame, TxFrame};

/// The pump drives when nobody has for this long.
const PUMP: Duration = Duration::from_millis(20);
/// Events that are not urgent are handed over after this long without others.
const LAZY: Duration = Duration::from_millis(10);
/// Without a buffer, or without a driver, the next try comes after this long.
const RETRY: Duration = Duration::from_millis(1);
/// More frames than this are sent before the application gets its events.
const RIDERS: usize = 16;
/// `RxFrame::flags`: the checksum needs no look.
const VERIFIED: u32 = 1;
/// `RxFrame::flags`: the driver has copied it.
const COPIED: u32 = 2;
/// Most events at once: what fits a page.
const EVENTS: usize = 128;

pub struct Net {
    pub stack: Stack<Buffer<'static>, Cbuf<'static>>,
    pub clock: Clock,
    card: stubs::nic::Client,
    /// For the next frames that leave.
    spare: Option<Batch<'static, TxFrame>>,
    /// The thread that waits in the driver.
    leader: Option<ThreadId>,
    /// Threads that wait for the leader, and for whom.
    followers: Vec<(ThreadId, ComponentId)>,
    /// When the card was last looked after.
    driven: u64,
    /// The driver does not answer; said once.
    silent: bool,
}

pub static NET: Mutex<Option<Net>> = Mutex::new(None);

type Held = Guard<'static, Option<Net>>;

/// Pages of our own pool, as long as one for what hands frames over is set aside: frames that fill
/// the pool and cannot leave it would stay for ever.
struct Pages {
    set_aside: bool,
}

impl Pool for Pages {
    type Page = Buffer<'static>;
    fn page(&mut self, bytes: usize) -> Option<Buffer<'static>> {
        if self.set_aside {
            Buffer::try_alloc(rt::cbuf::client(), bytes).ok()
        } else {
            None
        }
    }
}

/// A buffer for a batch would be there without waiting. It is given back at once and stays in
/// our freelist: what asks next gets it.
fn buffer_at_hand() -> bool {
    Buffer::try_alloc(rt::cbuf::client(), 1).is_ok()
}

fn slice(page: &Cbuf<'static>, run: Run) -> Cbuf<'static> {
    page.slice(run.offset..run.offset + run.len)
}

fn freeze(page: Buffer<'static>) -> Cbuf<'static> {
    let bytes = page.len();
    page.freeze(bytes)
}

impl Net {
    pub fn new(
        stack: Stack<Buffer<'static>, Cbuf<'static>>,
        card: stubs::nic::Client,
        clock: Clock,
    ) -> Net {
        Net {
            stack,
            clock,
            card,
            spare: None,
            leader: None,
            followers: Vec::with_capacity(ThreadId::MAX),
            driven: 0,
            silent: false,
        }
    }

    fn flush(&mut self) {
        let now = self.clock.micros();
        let mut pages = self.pages();
        self.stack.tick(now, &mut pages);
        self.stack.flush(now, &mut pages);
    }

    /// Sets a page aside for what leaves next, if there is one to have.
    fn pages(&mut self) -> Pages {
        if self.spare.is_none() {
            let client = rt::cbuf::client();
            self.spare = Batch::try_with_capacity(client, self.card.peer(), TX_BATCH).ok();
        }
        Pages {
            set_aside: self.spare.is_some(),
        }
    }

    /// Everything that is to be sent, as a batch; none without a buffer for it.
    fn take_frames(&mut self) -> Batch<'static, TxFrame> {
        if self.stack.outgoing.is_empty() || !self.pages().set_aside {
            return Batch::none();
        }
        let Some(mut batch) = self.spare.take() else {
            return Batch::none();
        };
        self.stack.outgoing.drain(freeze, |page, run| {
            let frame = Some(slice(page, run));
            // There is room for all of them.
            let _ = batch.push(TxFrame {
                frame,
                start: run.offload.start,
                field: run.offload.field,
                headers: run.offload.headers,
                segment: run.offload.segment,
            });
        });
        batch
    }

    fn ingest(&mut self, frames: Incoming<'static, RxFrame>) {
        let now = self.clock.micros();
        for arrived in frames.flatten() {
            if let Some(frame) = arrived.frame {
                let verified = arrived.flags & VERIFIED != 0;
                if arrived.flags & COPIED != 0 {
                    self.stack.counters.copied += received_payload(&frame) as u64;
                }
                let mut pages = self.pages();
                self.stack.ingest(&frame, verified, now, &mut pages);
            }
        }
        let mut pages = self.pages();
        self.stack.tick(now, &mut pages);
        self.stack.settle(now, &mut pages);
    }

    /// Threads that have something to take.
    fn served_followers(&self) -> u64 {
        let ready = |c: ComponentId| self.stack.readiness(c.0) == Readiness::Urgent;
        self.followers
            .iter()
            .filter(|(_, component)| ready(*component))
            .fold(0, |set, (thread, _)| set | 1 << thread.0)
    }
}

fn wake(mut threads: u64) {
    while threads != 0 {
        // A thread that is gone needs no waking.
        let _ = rt::sched::wake(ThreadId(threads.trailing_zeros() as u16));
        threads &= threads - 1;
    }
}

fn relock(held: &mut Held) -> Result<&mut Net, Error> {
    held.as_mut().ok_or(Error::BadState)
}

/// Sends what is queued and takes what arrives, waiting in the driver until `deadline` at most
/// (0: not at all). The lock is free meanwhile.
fn pass(mut held: Held, deadline: u64) -> Result<Held, Error> {
    let net = relock(&mut held)?;
    let card = net.card;
    let frames = net.take_frames();
    let leads = deadline != 0;
    if leads {
        net.leader = Some(rt::thread_id());
    }
    drop(held);
    let answer = card.exchange(frames, deadline);
    let failed = answer.is_err();
    if failed && leads {
        // The driver is dead or has no device: look again a little later.
        let _ = rt::sched::block(deadline.min(rt::time::after(RETRY)));
    }
    held = NET.lock();
    let net = relock(&mut held)?;
    if leads {
        net.leader = None;
    }
    if failed && !net.silent {
        rt::println!("the network driver does not answer");
    }
    net.silent = failed;
    net.driven = rt::time::now();
    net.ingest(answer.unwrap_or(Incoming::none()));
    let served = net.served_followers();
    if served != 0 {
        drop(held);
        wake(served);
        held = NET.lock();
    }
    Ok(held)
}

/// Waits for the leader to wake us.
fn follow(mut held: Held, component: ComponentId, until: u64) -> Result<Held, Error> {
    let me = rt::thread_id();
    relock(&mut held)?.followers.push((me, component));
    drop(held);
    let blocked = rt::sched::block(until);
    held = NET.lock();
    relock(&mut held)?
        .followers
        .retain(|(thread, _)| *thread != me);
    blocked.map(|_| held)
}

/// Unlocks; a follower takes the lead.
fn leave(held: Held) {
    let next = held.as_ref().and_then(|net| {
        let idle = net.leader.is_none();
        net.followers.first().filter(|_| idle).map(|(t, _)| *t)
    });
    drop(held);
    if let Some(thread) = next {
        wake(1 << thread.0);
    }
}

/// Sends what commands made ready, then drives until `component` has events or the deadline.
pub fn until_event(
    mut held: Held,
    component: ComponentId,
    deadline: u64,
) -> Result<Batch<'static, stubs::net::Event>, Error> {
    relock(&mut held)?.flush();
    let mut driven = false;
    loop {
        let net = relock(&mut held)?;
        let ready = net.stack.readiness(component.0);
        let queued = net.stack.outgoing.len();
        let now = rt::time::now();
        let over = driven && now >= deadline;
        let may_ride = queued == 0 || (driven && queued <= RIDERS);
        if (ready == Readiness::Urgent && may_ride) || over {
            if ready == Readiness::Nothing {
                leave(held);
                return Ok(Batch::none());
            }
            if buffer_at_hand() {
                let batch = hand_over(&mut held, component);
                leave(held);
                return batch;
            }
            if over {
                leave(held);
                return Ok(Batch::none());
            }
        }
        let mut until = deadline.min(net.clock.stamp(net.stack.next_deadline()));
        if ready == Readiness::Urgent || (net.stack.has_more() && queued > 0) {
            // Nothing to wait for, unless it is a buffer.
            until = match may_ride && driven {
                true => now.saturating_add(rt::time::ticks(RETRY)).min(deadline),
                false => 0,
            };
        } else if net.stack.has_more() {
            until = until.min(now.saturating_add(rt::time::ticks(RETRY)));
        } else if ready == Readiness::Lazy {
            until = until.min(now.saturating_add(rt::time::ticks(LAZY)));
        }
        if until <= now {
            until = 0;
        }
        let led = net.leader.is_some();
        if led && queued == 0 && until != 0 {
            held = follow(held, component, until)?;
            driven = true;
            continue;
        }
        held = pass(held, if led { 0 } else { until })?;
        driven = true;
        let net = relock(&mut held)?;
        if ready == Readiness::Lazy && until != 0 && !led {
            let waited = rt::time::now() >= until;
            if waited && net.stack.readiness(component.0) == Readiness::Lazy {
                net.stack.hurry(component.0);
            }
        }
        if net.stack.has_more() {
            let now = net.clock.micros();
            let mut pages = net.pages();
            net.stack.settle(now, &mut pages);
        }
    }
}

/// Takes a component's events out of the stack.
fn hand_over(
    held: &mut Held,
    component: ComponentId,
) -> Result<Batch<'static, stubs::net::Event>, Error> {
    let net = relock(held)?;
    let mut batch = Batch::with_capacity(rt::cbuf::client(), component, EVENTS)?;
    let mut events: Vec<(u32, Event)> = Vec::with_capacity(EVENTS);
    let mut pages = net.pages();
    net.stack
        .collect(component.0, EVENTS, &mut pages, |socket, event| {
            events.push((socket, event));
        });
    let mut runs = Vec::with_capacity(net.stack.inbox.len());
    net.stack
        .inbox
        .drain(freeze, |page, run| runs.push(slice(page, run)));
    let mut runs = runs.into_iter();
    for (socket, event) in events {
        let (kind, argument, data) = match event {
            Event::Accepted(peer) => (1, u32::from_le_bytes(peer), None),
            Event::Received => (2, 0, runs.next()),
            Event::Sent(bytes) => (3, bytes, None),
            Event::PeerClosed => (4, 0, None),
            Event::Gone => (5, 0, None),
        };
        batch.push(stubs::net::Event {
            kind,
            socket,
            argument,
            data,
        })?;
    }
    Ok(batch)
}

/// Our own thread: drives when nobody else does.
pub fn pump(_argument: u64) -> ! {
    loop {
        // Without a scheduler there would be no thread either.
        let _ = rt::sched::block(rt::time::after(PUMP));
        let mut held = NET.lock();
        let Ok(net) = relock(&mut held) else {
            continue;
        };
        let idle = rt::time::now().saturating_sub(net.driven) >= rt::time::ticks(PUMP);
        if net.leader.is_some() || !idle {
            continue;
        }
        net.flush();
        let timers = net.clock.stamp(net.stack.next_deadline());
        let until = timers.min(rt::time::after(PUMP));
        if let Ok(held) = pass(held, until) {
            leave(held);
        }
    }
}
