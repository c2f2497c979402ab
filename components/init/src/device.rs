//! Devices: a driver gets its function's registers, a read-only view of its configuration page
//! and its interrupt, and nothing else. The page with the interrupt table stays with init, which
//! programs it: a driver that could write it could interrupt at will.

use alloc::format;
use alloc::vec::Vec;

use abi::captype::MapFlags;
use abi::layout::{DEVICES, PAGE};
use abi::start::{BootInfo, init_slot};
use abi::{CPtr, CapType};
use init::pci::{self, Address, Bar, Config};
use init::place::free_range;
use manifest::Device;
use rt::cap;
use rt::sync::Mutex;

use crate::grants::Grants;
use crate::memory::Stock;
use crate::space::{Space, Window, filled};
use crate::trouble::{Doing, Result, Trouble};

/// Where firmware leaves room for device registers below 4 GiB on every machine we boot on.
const ROOM: (u64, u64) = (0xe000_0000, 0xfeb0_0000);
const CONFIG_ADDRESS: u16 = 0xcf8;
const CONFIG_DATA: u16 = 0xcfc;
const PAGE_BYTES: u64 = PAGE as u64;
const READ_WRITE: MapFlags = MapFlags::READ.union(MapFlags::WRITE);

/// Configuration space through its two ports. A refused access reads as if nobody answered.
struct Ports;

impl Config for Ports {
    fn read(&mut self, at: Address, register: u8) -> u32 {
        let word = u64::from(at.port_word(register));
        cap::ports::write(init_slot::IO_PORTS, CONFIG_ADDRESS, 4, word)
            .and_then(|()| cap::ports::read(init_slot::IO_PORTS, CONFIG_DATA, 4))
            .map_or(u32::MAX, |value| value as u32)
    }
    fn write(&mut self, at: Address, register: u8, value: u32) {
        let word = u64::from(at.port_word(register));
        // A refused write shows when the register is read back.
        let _ = cap::ports::write(init_slot::IO_PORTS, CONFIG_ADDRESS, 4, word)
            .and_then(|()| cap::ports::write(init_slot::IO_PORTS, CONFIG_DATA, 4, value.into()));
    }
}

/// One thread at a time, once there are several: an access takes two steps.
static SHARED: Mutex<Ports> = Mutex::new(Ports);

/// The driver died: its device must not write to buffers that others get next.
pub fn silence(at: Address) {
    pci::disable(&mut *SHARED.lock(), at);
}

/// The driver is about to be started anew; until it resets the device, that does nothing.
pub fn admit(at: Address) {
    pci::enable(&mut *SHARED.lock(), at);
}

/// What a component has of its device.
pub struct Given {
    pub at: Address,
    pub irq: CPtr,
    /// Event bit of its interrupt.
    pub bit: u64,
}

/// Device memory that the kernel handed over.
struct Region {
    frame: CPtr,
    base: u64,
    bytes: u64,
}

/// The machine's devices.
pub struct Devices {
    regions: Vec<Region>,
    functions: Vec<(Address, u32)>,
    given: Vec<Address>,
    /// Addresses that base address registers hold.
    used: Vec<(u64, u64)>,
    /// Event bit of the next interrupt.
    next_irq: u64,
}

impl Devices {
    pub fn new(boot: &BootInfo) -> Result<Self> {
        let mut regions = Vec::new();
        for n in 0..boot.device_len {
            let frame = boot.device_first.plus(n);
            let identity =
                cap::identify(init_slot::CSPACE, frame).doing("identify device memory")?;
            regions.push(Region {
                frame,
                base: identity.base,
                bytes: identity.bytes,
            });
        }
        let functions = pci::functions(&mut Ports);
        let mut used = Vec::new();
        for (at, _) in &functions {
            let bars = pci::bars(&mut Ports, *at);
            let assigned = bars.iter().filter(|b| b.address != 0);
            used.extend(assigned.map(|b| (b.address, b.bytes)));
        }
        Ok(Self {
            regions,
            functions,
            given: Vec::new(),
            used,
            next_irq: 1,
        })
    }

    /// A device frame of so many bytes at a physical address.
    fn frame(&self, stock: &mut Stock, base: u64, bytes: u64) -> Result<CPtr> {
        let region = self
            .region(base, bytes)
            .ok_or_else(|| Trouble::new("its device's registers lie outside device memory"))?;
        let slot = stock.slot().doing("find a slot")?;
        let offset = base - region.base;
        cap::retype(
            init_slot::CSPACE,
            slot,
            region.frame,
            CapType::DevFrame,
            1,
            offset,
            bytes,
        )
        .doing("cut its device's registers out of device memory")?;
        Ok(slot)
    }

    fn region(&self, base: u64, bytes: u64) -> Option<&Region> {
        let end = base.checked_add(bytes)?;
        self.regions
            .iter()
            .find(|r| base >= r.base && end <= r.base.saturating_add(r.bytes))
    }

    /// Gives the component its device.
    pub fn give(
        &mut self,
        stock: &mut Stock,
        window: &Window,
        space: &mut Space,
        grants: &mut Grants,
        device: Device,
    ) -> Result<Given> {
        let id = u32::from(device.device) << 16 | u32::from(device.vendor);
        let name = format!("{:04x}:{:04x}", device.vendor, device.device);
        let found = self
            .functions
            .iter()
            .find(|(at, other)| *other == id && !self.given.contains(at));
        let (at, _) =
            *found.ok_or_else(|| Trouble::new(format!("this machine has no device {name}")))?;
        self.given.push(at);
        let msix = pci::msix(&mut Ports, at)
            .ok_or_else(|| Trouble::new(format!("device {name} has no MSI-X interrupts")))?;
        let mut bars = pci::bars(&mut Ports, at);
        for bar in &mut bars {
            self.assign(at, bar)?;
        }
        pci::enable(&mut Ports, at);

        let mut address = DEVICES as u64;
        for bar in &bars {
            let table = (bar.index == msix.bar).then(|| (msix.offset, msix.bytes()));
            let pages = self.show_bar(stock, space, bar, table, address)?;
            if pages > 0 {
                grants.grant(&format!("bar{}", bar.index), CPtr::NULL, address, bar.bytes)?;
            }
            address += bar.bytes.next_multiple_of(PAGE_BYTES) + PAGE_BYTES;
        }
        self.show_configuration(stock, window, space, at, address)?;
        grants.grant("pci-config", CPtr::NULL, address, PAGE_BYTES)?;

        let bit = self.next_irq;
        self.next_irq += 1;
        let irq = stock.slot().doing("find a slot")?;
        let (message, data) =
            cap::kernel::make_irq(init_slot::KERNEL, irq, bit).doing("make its interrupt")?;
        let bar = bars.iter().find(|b| b.index == msix.bar);
        let bar = bar.ok_or_else(|| Trouble::new(format!("device {name} has no MSI-X table")))?;
        let table = bar.address + msix.offset;
        let page = self.frame(stock, table / PAGE_BYTES * PAGE_BYTES, PAGE_BYTES)?;
        let entry = table % PAGE_BYTES;
        window.registers(
            page,
            &[
                (entry, message as u32),
                (entry + 4, (message >> 32) as u32),
                (entry + 8, data as u32),
                // Not masked.
                (entry + 12, 0),
            ],
        )?;
        pci::enable_msix(&mut Ports, at, &msix);
        grants.grant("irq", irq, bit, 0)?;
        Ok(Given { at, irq, bit })
    }

    /// Makes sure that the registers lie where we hold device memory.
    fn assign(&mut self, at: Address, bar: &mut Bar) -> Result<()> {
        if bar.address != 0 && self.region(bar.address, bar.bytes).is_some() {
            return Ok(());
        }
        let address = free_range(&self.used, bar.bytes.max(PAGE_BYTES), ROOM.0, ROOM.1)
            .ok_or_else(|| Trouble::new("there are no addresses left for its device"))?;
        pci::assign(&mut Ports, at, bar, address);
        bar.address = address;
        self.used.push((address, bar.bytes));
        Ok(())
    }

    /// Maps the whole pages of a register range but those of the interrupt table; answers how
    /// many.
    fn show_bar(
        &self,
        stock: &mut Stock,
        space: &mut Space,
        bar: &Bar,
        table: Option<(u64, u64)>,
        address: u64,
    ) -> Result<u64> {
        // A range smaller than a page shares the page with others: nobody gets it.
        let pages = bar.bytes / PAGE_BYTES;
        let hidden = table.map_or(pages..pages, |(offset, bytes)| {
            let end = (offset + bytes).div_ceil(PAGE_BYTES).min(pages);
            (offset / PAGE_BYTES).min(end)..end
        });
        let mut shown = 0;
        for part in [0..hidden.start, hidden.end..pages] {
            let count = part.end - part.start;
            if count > 0 {
                let start = part.start * PAGE_BYTES;
                let frame = self.frame(stock, bar.address + start, count * PAGE_BYTES)?;
                space.map(stock, address + start, frame, 0, count, READ_WRITE)?;
                shown += count;
            }
        }
        Ok(shown)
    }

    /// Maps the function's configuration page read-only; on a machine that does not map
    /// configuration space, a copy of its first 256 bytes.
    fn show_configuration(
        &self,
        stock: &mut Stock,
        window: &Window,
        space: &mut Space,
        at: Address,
        address: u64,
    ) -> Result<()> {
        let page = pci::mapped_configuration(&mut Ports).map(|base| base + at.page_offset());
        let frame = match page {
            Some(page) if self.region(page, PAGE_BYTES).is_some() => {
                self.frame(stock, page, PAGE_BYTES)?
            }
            _ => {
                let mut copy = Vec::new();
                for register in (0..=252u8).step_by(4) {
                    copy.extend(Ports.read(at, register).to_le_bytes());
                }
                filled(stock, window, &copy, PAGE_BYTES)?
            }
        };
        space.map(stock, address, frame, 0, 1, MapFlags::READ)
    }
}
