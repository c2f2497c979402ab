//! The CBUF manager component: it has no thread, its clients' threads run through it. All of its
//! state is behind one lock ([`lock`]). Of a thread's stack it was seen to use 18 KiB at start, of 32,
//! and 5 KiB after that.

#![no_std]
#![no_main]

extern crate alloc;

mod lock;
mod slots;
mod system;
mod tables;

use crate::lock::{in_parts, with};
use crate::slots::{Ram, Resources};
use crate::system::System;
use abi::layout::PAGE;
use abi::start::StartInfo;
use abi::{ComponentId, Error, ThreadId};
use alloc::vec::Vec;
use cbuf_mgr::account::Kind;
use cbuf_mgr::frames::Frames;
use cbuf_mgr::pool::Terms;
use cbuf_mgr::{Manager, Round, Step};
use core::time::Duration;
use libcbuf::CbufId;

rt::component! {
    start: start,
    serve: { stubs::cbuf::INTERFACE => cbuf, stubs::cbuf_policy::INTERFACE => policy, stubs::cbuf_figures::INTERFACE => figures }
}

/// A thread that waits for memory looks again after this long: what it waits for may have come
/// without a call of ours, into the ring while another thread of its component emptied it.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// With so many collections a pool is full.
const FILLING: u64 = 8;
/// Who holds a buffer for longer than this, while its owner has none left, pays for it.
const PATIENCE: Duration = Duration::from_secs(1);
/// What was on its way to or from a component that died arrives in this time, or never.
const GRACE: Duration = Duration::from_secs(5);

/// Flag in a `client:` grant's base (a component's number, and above bit 32 the pages that its heap
/// may grow by): the client may ask for physical addresses. A `peers:` grant's base has the pages above
/// bit 32 that are set aside of these.
const DMA: u64 = 1 << 16;

fn start(_info: &'static StartInfo) -> Result<(), Error> {
    let manager = set_up().inspect_err(|error| match error {
        Error::NoMemory => rt::println!("memory is short: the pools need more than there is"),
        _ => rt::println!("cannot start: {error}"),
    })?;
    let memory = manager.memory();
    rt::println!(
        "{} pages for buffers, {} of them not in a pool yet",
        memory.total,
        memory.free
    );
    lock::install(manager);
    Ok(())
}

fn set_up() -> Result<Manager<System>, Error> {
    let grants = rt::info::grants();
    let named = |prefix: &'static str| {
        grants
            .iter()
            .filter_map(move |g| Some((g.name.as_str().strip_prefix(prefix)?, g)))
    };
    let mut ram = Vec::new();
    for (_, grant) in named("ram") {
        let first = grant.base.div_ceil(PAGE as u64);
        // Offsets in a retype count from the capability's base, which is a page's.
        if grant.base % PAGE as u64 == 0 && grant.bytes >= PAGE as u64 {
            let pages = grant.bytes / PAGE as u64;
            Resources::remember(
                &mut ram,
                Ram {
                    cap: grant.cap,
                    first,
                    pages,
                },
            )?;
        }
    }
    let clients = named("client:").count() as u64;
    let (reserve, frames) = divide(&ram, clients)?;
    let own = rt::grant("own-pdpt").ok_or(Error::NotFound)?.cap;
    let mut system = System::new(own, ram, reserve)?;
    for (_, grant) in named("client:") {
        system.set_client(ComponentId(grant.base as u16), grant.cap)?;
    }
    let mut manager = Manager::new(system, frames)?;
    manager.set_grace(rt::time::ticks(GRACE));
    manager.set_patience(rt::time::ticks(PATIENCE));
    manager.set_filling(FILLING);
    for (name, grant) in named("client:") {
        let peers = named("peers:").find(|(other, _)| *other == name);
        manager.add_client(Terms {
            component: ComponentId(grant.base as u16),
            pages: grant.bytes & 0xffff_ffff,
            max_pages: grant.bytes >> 32,
            heap_pages: grant.base >> 32,
            heap_kept: peers.map_or(0, |(_, grant)| grant.base >> 32),
            dma: grant.base & DMA != 0,
            peers: peers.map_or(0, |(_, grant)| grant.bytes),
        })?;
    }
    Ok(manager)
}

/// Sets pages aside for the manager's own objects; answers them and the rest. A client takes
/// about thirty for its control area and first tables; tables, leaves and CNodes for the
/// buffers themselves come to less than a sixteenth of the buffers.
fn divide(ram: &[Ram], clients: u64) -> Result<(Frames, Frames), Error> {
    let all: u64 = ram.iter().map(|r| r.pages).sum();
    let mut wanted = all / 16 + 40 * clients + 64;
    if wanted >= all {
        return Err(Error::NoMemory);
    }
    let first = ram.iter().map(|r| r.first).min().unwrap_or(0);
    let end = ram.iter().map(|r| r.first + r.pages).max().unwrap_or(0);
    let mut reserve = Frames::new(first, end)?;
    let mut rest = Frames::new(first, end)?;
    for piece in ram {
        let taken = wanted.min(piece.pages);
        reserve.add(piece.first, taken);
        rest.add(piece.first + taken, piece.pages - taken);
        wanted -= taken;
    }
    Ok((reserve, rest))
}

fn cbuf(call: rt::Call) -> rt::Reply {
    stubs::cbuf::serve(&Clients, call)
}

fn policy(call: rt::Call) -> rt::Reply {
    stubs::cbuf_policy::serve(&Policy, call)
}

fn figures(call: rt::Call) -> rt::Reply {
    stubs::cbuf_figures::serve(&Figures, call)
}

struct Clients;

impl stubs::cbuf::Server for Clients {
    fn collect(&self, caller: ComponentId, order: u32, wait: bool) -> Result<u32, Error> {
        let thread = rt::thread_id();
        // Each round after the first follows a wake-up.
        loop {
            let mut round = Round::new(thread, order, wait);
            let step = in_parts(|m| m.collect_part(caller, &mut round))?;
            if let Step::Ready(count) = step {
                return Ok(count);
            }
            let start = rt::time::now();
            let woken = rt::sched::block(rt::time::after(LOOK_AGAIN));
            let ticks = rt::time::now().saturating_sub(start);
            with(|m| {
                m.unblocked(caller, thread, ticks);
                Ok(())
            })?;
            if !woken? {
                return Ok(0);
            }
        }
    }

    fn map(&self, caller: ComponentId, id: u32, from: u32) -> Result<(), Error> {
        let from = component(from)?;
        with(|m| m.map(caller, CbufId(id), from))
    }

    fn relinquish(&self, caller: ComponentId, id: u32) -> Result<(), Error> {
        with(|m| m.relinquish(caller, CbufId(id)))
    }

    fn seal(&self, caller: ComponentId, id: u32) -> Result<(), Error> {
        with(|m| m.seal(caller, CbufId(id)))
    }

    fn alloc_owned(&self, caller: ComponentId, pages: u64) -> Result<(u64, u32), Error> {
        let mut owning = with(|m| m.begin_owned(caller, pages))?;
        let (address, id) = in_parts(|m| m.owned_part(&mut owning))?;
        Ok((address, id.0))
    }

    fn free_owned(&self, caller: ComponentId, id: u32) -> Result<(), Error> {
        let mut owning = with(|m| m.free_owned(caller, CbufId(id)))?;
        in_parts(|m| m.owned_part(&mut owning)).map(drop)
    }

    fn physical(&self, caller: ComponentId, id: u32) -> Result<u64, Error> {
        with(|m| m.physical(caller, CbufId(id)))
    }

    fn memory(&self, _caller: ComponentId) -> Result<(u64, u64, u64, u64), Error> {
        let memory = with(|m| Ok(m.memory()))?;
        Ok((memory.free, memory.total, memory.live, memory.pooled))
    }

    fn pool(&self, caller: ComponentId) -> Result<(u64, u64), Error> {
        let usage = with(|m| m.usage(caller))?;
        Ok((usage.limit, usage.held))
    }
}

struct Policy;

/// In place of the number of an owner that died.
const NOBODY: u32 = u32::MAX;

/// A component's number in a word of a policy's.
fn component(number: u32) -> Result<ComponentId, Error> {
    u16::try_from(number)
        .map(ComponentId)
        .map_err(|_| Error::NotFound)
}

impl stubs::cbuf_policy::Server for Policy {
    fn clients(&self, _caller: ComponentId) -> Result<u64, Error> {
        with(|m| Ok(m.clients()))
    }

    fn usage(&self, _caller: ComponentId, number: u32) -> Result<(u64, u64, u64, u64), Error> {
        let usage = with(|m| m.usage(component(number)?))?;
        Ok((usage.limit, usage.held, usage.calls, usage.blocked))
    }

    fn timing(&self, _caller: ComponentId, number: u32) -> Result<(u64, u64, u64, u64), Error> {
        let timing = with(|m| m.timing(component(number)?))?;
        Ok((
            timing.blocked_ticks,
            timing.collecting_ticks,
            timing.collections,
            timing.collected,
        ))
    }

    fn thread_timing(
        &self,
        _caller: ComponentId,
        number: u32,
    ) -> Result<(u64, u64, u64, u64), Error> {
        let thread = u16::try_from(number).map_err(|_| Error::NotFound)?;
        let timing = with(|m| m.thread_timing(ThreadId(thread)))?;
        Ok((
            timing.blocked_ticks,
            timing.collecting_ticks,
            timing.collections,
            timing.collected,
        ))
    }

    fn totals(&self, _caller: ComponentId) -> Result<(u64, u64, u64, u64), Error> {
        let totals = with(|m| Ok(m.totals()))?;
        Ok((totals.held, totals.unpaid, totals.unused, totals.total))
    }

    fn register(
        &self,
        caller: ComponentId,
        number: u32,
        kind: u32,
        address: u64,
        pages: u64,
    ) -> Result<u32, Error> {
        if caller != ComponentId::INIT {
            return Err(Error::Refused);
        }
        let kind = Kind::by_number(kind).ok_or(Error::BadArgument)?;
        let place = address / PAGE as u64;
        with(|m| m.register(component(number)?, kind, place, pages)).map(|id| id.0)
    }

    fn memory_of(&self, _caller: ComponentId, number: u32) -> Result<(u64, u64, u64, u64), Error> {
        let of = component(number)?;
        with(|m| {
            let given = m.given(of)?;
            let held = m.usage(of).map_or(0, |usage| usage.held);
            Ok((given.fixed, given.owned, held, given.text))
        })
    }

    fn next_buffer(&self, _caller: ComponentId, after: u32) -> Result<(u32, u32, u32, u64), Error> {
        let listed = with(|m| m.next_buffer(CbufId(after)).ok_or(Error::NotFound))?;
        let owner = listed.owner.map_or(NOBODY, |owner| u32::from(owner.0));
        Ok((listed.id.0, listed.kind as u32, owner, listed.pages))
    }

    fn heap_of(&self, _caller: ComponentId, number: u32) -> Result<(u64, u64, u64), Error> {
        let heap = with(|m| m.heap(component(number)?))?;
        Ok((heap.limit, heap.claimed, heap.buffers))
    }

    fn reserve(&self, _caller: ComponentId) -> Result<(u64, u64), Error> {
        with(|m| Ok(m.machine().reserve()))
    }

    fn lock(&self, _caller: ComponentId) -> Result<(u64, u64, u64), Error> {
        let lock = lock::figures();
        Ok((lock.taken, lock.waits, lock.waited_ticks))
    }

    fn charges(&self, _caller: ComponentId, number: u32) -> Result<(u64, u64), Error> {
        with(|m| m.charges(component(number)?))
    }

    fn set_pool(&self, _caller: ComponentId, number: u32, pages: u64) -> Result<(), Error> {
        let mut shrinking = with(|m| m.set_limit(component(number)?, pages))?;
        in_parts(|m| Ok(m.shrink_part(&mut shrinking)?.then_some(())))
    }

    fn component_died(&self, _caller: ComponentId, number: u32) -> Result<(), Error> {
        with(|m| m.component_died(component(number)?))
    }

    fn component_restarted(&self, _caller: ComponentId, number: u32) -> Result<(), Error> {
        with(|m| m.component_restarted(component(number)?))
    }

    fn memory(&self, _caller: ComponentId) -> Result<(u64, u64), Error> {
        with(|m| Ok((m.free_pages(), m.total_pages())))
    }
}

/// The same figures for those who may only look.
struct Figures;

impl stubs::cbuf_figures::Server for Figures {
    fn clients(&self, caller: ComponentId) -> Result<u64, Error> {
        stubs::cbuf_policy::Server::clients(&Policy, caller)
    }

    fn usage(&self, caller: ComponentId, number: u32) -> Result<(u64, u64, u64, u64), Error> {
        stubs::cbuf_policy::Server::usage(&Policy, caller, number)
    }

    fn timing(&self, caller: ComponentId, number: u32) -> Result<(u64, u64, u64, u64), Error> {
        stubs::cbuf_policy::Server::timing(&Policy, caller, number)
    }

    fn charges(&self, caller: ComponentId, number: u32) -> Result<(u64, u64), Error> {
        stubs::cbuf_policy::Server::charges(&Policy, caller, number)
    }

    fn memory_of(&self, caller: ComponentId, number: u32) -> Result<(u64, u64, u64, u64), Error> {
        stubs::cbuf_policy::Server::memory_of(&Policy, caller, number)
    }

    fn memory(&self, caller: ComponentId) -> Result<(u64, u64), Error> {
        stubs::cbuf_policy::Server::memory(&Policy, caller)
    }

    fn totals(&self, caller: ComponentId) -> Result<(u64, u64, u64, u64), Error> {
        stubs::cbuf_policy::Server::totals(&Policy, caller)
    }

    fn lock(&self, caller: ComponentId) -> Result<(u64, u64, u64), Error> {
        stubs::cbuf_policy::Server::lock(&Policy, caller)
    }

    fn high_water(&self, _caller: ComponentId) -> Result<u64, Error> {
        with(|m| Ok(m.high_water()))
    }
}
