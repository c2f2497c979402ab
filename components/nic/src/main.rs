//! The driver as a component: grants in, one interface out, waiting in between.
//!
//! The lock covers the queues only. A thread that waits for the interrupt does not hold it, so
//! another may transmit meanwhile.

#![no_std]
#![no_main]

extern crate alloc;

use abi::start::StartInfo;
use abi::{ComponentId, Error};
use alloc::vec::Vec;
use core::ops::ControlFlow;
use core::ptr::NonNull;
use core::time::Duration;
use nic::addresses::Addresses;
use nic::device::{Bell, Device, NO_VECTOR};
use nic::driver::{Driver, HEADER, RX_BATCH, Received, Store};
use nic::mmio::Window;
use nic::offload::{FRAME, Headers, Offers, Request};
use nic::pci;
use nic::queue::{Area, BYTES, Parts, Queue, SIZE};
use rt::cbuf::{Batch, Buffer, Cbuf, Incoming};
use rt::sync::Mutex;
use stubs::nic::{RxFrame, Server, TxFrame};

/// Receive buffers with the device, unless the pool is small. They stay there until something comes,
/// so they are no more than a pool has that was made as small as it may be.
const RX_BUFFERS: usize = 56;
/// How long a full transmit ring may stand still before frames are given up.
const STUCK: Duration = Duration::from_millis(20);
/// Between two looks at a full transmit ring.
const NAP: Duration = Duration::from_micros(50);
/// Between two tries to find receive buffers when the device has none.
const DRY: Duration = Duration::from_millis(1);

/// CBUFs for the queues.
struct Pool {
    addresses: Addresses,
}

impl Store for Pool {
    type Empty = Buffer<'static>;
    type Frame = Cbuf<'static>;

    fn empty(&mut self) -> Option<(Buffer<'static>, Area)> {
        let buffer = Buffer::try_alloc(rt::cbuf::client(), 1).ok()?;
        let ask = || rt::cbuf::physical(buffer.id());
        let address = buffer.as_ptr() as usize;
        let address = self.addresses.physical(address, 0, ask).ok()?;
        let bytes = HEADER + *FRAME.end() as u32;
        Some((buffer, Area { address, bytes }))
    }

    fn page(&mut self) -> Option<Buffer<'static>> {
        Buffer::try_alloc(rt::cbuf::client(), 1).ok()
    }

    fn copy(
        &self,
        from: &Buffer<'static>,
        offset: u32,
        bytes: u32,
        page: &mut Buffer<'static>,
        at: usize,
    ) {
        let bytes = bytes as usize;
        let from = &from[offset as usize..][..bytes];
        page[at..at + bytes].copy_from_slice(from);
    }

    fn part(&self, frame: &Cbuf<'static>, offset: usize, bytes: usize) -> Cbuf<'static> {
        frame.slice(offset..offset + bytes)
    }

    fn locate(&mut self, frame: &Cbuf<'static>) -> Option<Area> {
        let ask = || rt::cbuf::physical(frame.id());
        let (address, offset) = (frame.as_ptr() as usize, frame.offset() as usize);
        let address = self.addresses.physical(address, offset, ask).ok()?;
        let bytes = frame.len() as u32;
        Some(Area { address, bytes })
    }

    fn first(&self, buffer: &Buffer<'static>) -> u8 {
        buffer[0]
    }

    fn filled(&mut self, buffer: Buffer<'static>, offset: u32, bytes: u32) -> Cbuf<'static> {
        buffer
            .freeze((offset + bytes) as usize)
            .slice(offset as usize..)
    }
}

struct State {
    driver: Driver<Pool>,
    rx_bell: Bell,
    tx_bell: Bell,
    mac: [u8; 6],
    offers: Offers,
    frames: Vec<Received<Cbuf<'static>>>,
}

static STATE: Mutex<Option<State>> = Mutex::new(None);

impl State {
    /// Queues one frame, waiting for room. `Break` when the device takes none for long.
    fn send(&mut self, frame: Cbuf<'static>, request: Request) -> ControlFlow<()> {
        let Err(mut frame) = self.driver.send(frame, request) else {
            return ControlFlow::Continue(());
        };
        let until = rt::time::after(STUCK);
        loop {
            self.kick();
            self.driver.reap();
            match self.driver.send(frame, request) {
                Ok(()) => return ControlFlow::Continue(()),
                Err(back) => frame = back,
            }
            if rt::time::now() >= until || rt::sched::block(rt::time::after(NAP)).is_err() {
                self.driver.counters.stuck += 1;
                return ControlFlow::Break(());
            }
        }
    }

    fn kick(&mut self) {
        if self.driver.kick() {
            self.tx_bell.ring();
        }
    }

    fn refill(&mut self) {
        if self.driver.is_short() {
            self.driver.set_wanted(wanted());
            if self.driver.refill() {
                self.rx_bell.ring();
            }
        }
    }
}

struct Nic;

impl Server for Nic {
    fn info(&self, _caller: ComponentId) -> Result<(u64, u32, u32), Error> {
        let held = STATE.lock();
        let state = held.as_ref().ok_or(Error::BadState)?;
        let [a, b, c, d, e, f] = state.mac;
        let mac = u64::from_le_bytes([a, b, c, d, e, f, 0, 0]);
        let Offers {
            checksum,
            segmentation,
            ..
        } = state.offers;
        let offers = u32::from(checksum) | u32::from(segmentation) << 1;
        Ok((mac, *FRAME.end() as u32, offers))
    }

    fn exchange(
        &self,
        caller: ComponentId,
        tx: Incoming<'static, TxFrame>,
        deadline: u64,
    ) -> Result<Batch<'static, RxFrame>, Error> {
        let mut held = STATE.lock();
        let state = held.as_mut().ok_or(Error::BadState)?;
        state.driver.reap();
        for TxFrame {
            frame,
            start,
            field,
            headers,
            segment,
        } in tx.flatten()
        {
            let Some(frame) = frame else {
                continue;
            };
            let request = Request {
                start,
                field,
                headers,
                segment,
            };
            if state.send(frame, request).is_break() {
                break;
            }
        }
        state.kick();
        let mut frames = core::mem::take(&mut state.frames);
        loop {
            let state = held.as_mut().ok_or(Error::BadState)?;
            state.driver.receive(&mut frames);
            if frames.is_empty() {
                state.refill();
            }
            if !frames.is_empty() || deadline == 0 || rt::time::now() >= deadline {
                break;
            }
            state.driver.reap();
            let until = match state.driver.dry() {
                true => deadline.min(rt::time::after(DRY)),
                false => deadline,
            };
            if !state.driver.listen() {
                drop(held);
                let waited = rt::sched::wait_irq(until);
                held = STATE.lock();
                waited?;
            }
            if let Some(state) = held.as_mut() {
                state.driver.unlisten();
            }
        }
        drop(held);
        let batch = pack(caller, &mut frames);
        // The memory of the list goes back for the next time; an error drops what is left.
        frames.clear();
        if let Some(state) = STATE.lock().as_mut() {
            state.frames = frames;
            // After the batch has its page: this takes all that there is.
            state.refill();
        }
        batch
    }
}

fn pack(
    caller: ComponentId,
    frames: &mut Vec<Received<Cbuf<'static>>>,
) -> Result<Batch<'static, RxFrame>, Error> {
    if frames.is_empty() {
        return Ok(Batch::none());
    }
    let client = rt::cbuf::client();
    let mut batch = match Batch::try_with_capacity(client, caller, frames.len()) {
        // Only what is received frees buffers, so nobody waits for one here: these frames are lost,
        // as on a wire, and their buffers are there for the next.
        Err(Error::NoMemory) => return Ok(Batch::none()),
        batch => batch?,
    };
    for received in frames.drain(..) {
        batch.push(RxFrame {
            frame: Some(received.frame),
            flags: u32::from(received.vouched) | u32::from(received.copied) << 1,
        })?;
    }
    Ok(batch)
}

/// A granted BAR as a window.
fn bar(number: u8) -> Option<Window> {
    let name = ["bar0", "bar1", "bar2", "bar3", "bar4", "bar5"].get(usize::from(number))?;
    let grant = rt::grant(name)?;
    // SAFETY: `init` mapped the BAR at this address for good, and nobody else in this component
    // makes references to it.
    Some(unsafe { Window::at(grant.base as usize, grant.bytes as usize) })
}

/// Receive buffers that the pool has room for as it is now.
fn wanted() -> usize {
    let told = stubs::cbuf::Client::bind().and_then(|manager| manager.pool());
    told.map_or(0, |(limit, _held)| RX_BUFFERS.min(limit as usize / 2))
}

/// Memory that the device may use for good.
fn keep(bytes: usize) -> Result<(NonNull<u8>, u64), Error> {
    let buffer = Buffer::alloc(rt::cbuf::client(), bytes)?;
    let physical = rt::cbuf::physical(buffer.id())?;
    let mut buffer = core::mem::ManuallyDrop::new(buffer);
    buffer.fill(0);
    let address = NonNull::new(buffer.as_mut_ptr()).ok_or(Error::BadBuffer)?;
    Ok((address, physical))
}

fn start(_info: &'static StartInfo) -> Result<(), Error> {
    let config = rt::grant("pci-config").ok_or(Error::NotFound)?;
    // SAFETY: `init` mapped the function's configuration page at this address, read-only, for
    // good; it is only read.
    let config = unsafe { Window::at(config.base as usize, config.bytes as usize) };
    let structures = pci::find(&config, bar).map_err(refused)?;
    let device = Device::open(structures).map_err(refused)?;
    let mac = device.mac();

    let size = SIZE as u16;
    let (rx_size, tx_size) = (
        device.queue_size(0, size).map_err(refused)?,
        device.queue_size(1, size).map_err(refused)?,
    );
    let (rx_memory, rx_physical) = keep(BYTES)?;
    let (tx_memory, tx_physical) = keep(BYTES)?;
    let (headers, headers_physical) = keep(Headers::BYTES)?;
    // SAFETY: fresh buffers of the right size, page-aligned, kept for good by `keep`.
    let (rx, tx, headers) = unsafe {
        (
            Queue::new(rx_memory, rx_size, true),
            Queue::new(tx_memory, tx_size, false),
            Headers::new(headers, headers_physical),
        )
    };
    let rx_bell = device
        .enable(0, rx_size, Parts::at(rx_physical), 0)
        .map_err(refused)?;
    let tx_bell = device
        .enable(1, tx_size, Parts::at(tx_physical), NO_VECTOR)
        .map_err(refused)?;
    device.go();

    let store = Pool {
        addresses: Addresses::default(),
    };
    let mut state = State {
        driver: Driver::new(store, rx, tx, headers, device.offers, wanted()),
        rx_bell,
        tx_bell,
        mac,
        offers: device.offers,
        frames: Vec::with_capacity(RX_BATCH),
    };
    state.refill();
    let [a, b, c, d, e, f] = mac;
    rt::println!(
        "virtio-net {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}, {rx_size} descriptors"
    );
    *STATE.lock() = Some(state);
    Ok(())
}

/// Says why the device cannot be used.
fn refused(why: impl core::fmt::Display) -> Error {
    rt::println!("{why}");
    Error::NotSupported
}

fn serve(call: rt::Call) -> rt::Reply {
    stubs::nic::serve(&Nic, call)
}

rt::component! {
    start: start,
    serve: { stubs::nic::INTERFACE => serve }
}
