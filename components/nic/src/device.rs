//! Bringing the device up: status, features, queues. Source: VIRTIO 1.2, sections 3.1 and 5.1.

use crate::mmio::Window;
use crate::offload::Offers;
use crate::pci::Structures;
use crate::queue::Parts;

/// Bits of the device status.
mod status {
    pub const ACKNOWLEDGE: u8 = 1;
    pub const DRIVER: u8 = 2;
    pub const DRIVER_OK: u8 = 4;
    pub const FEATURES_OK: u8 = 8;
    pub const FAILED: u8 = 128;
}

/// Feature bits that the driver knows.
mod feature {
    /// The device completes checksums.
    pub const CSUM: u64 = 1;
    /// The driver takes frames whose checksum is known to be right.
    pub const GUEST_CSUM: u64 = 1 << 1;
    pub const MAC: u64 = 1 << 5;
    /// The device cuts TCP segments over IPv4.
    pub const HOST_TSO4: u64 = 1 << 11;
    pub const VERSION_1: u64 = 1 << 32;
    pub const KNOWN: u64 = CSUM | GUEST_CSUM | MAC | HOST_TSO4 | VERSION_1;
}

/// Registers of the common configuration structure.
mod common {
    pub const DEVICE_FEATURE_SELECT: usize = 0;
    pub const DEVICE_FEATURE: usize = 4;
    pub const DRIVER_FEATURE_SELECT: usize = 8;
    pub const DRIVER_FEATURE: usize = 12;
    pub const CONFIG_VECTOR: usize = 16;
    pub const STATUS: usize = 20;
    pub const QUEUE_SELECT: usize = 22;
    pub const QUEUE_SIZE: usize = 24;
    pub const QUEUE_VECTOR: usize = 26;
    pub const QUEUE_ENABLE: usize = 28;
    pub const QUEUE_NOTIFY_OFFSET: usize = 30;
    pub const QUEUE_DESCRIPTORS: usize = 32;
    pub const QUEUE_AVAILABLE: usize = 40;
    pub const QUEUE_USED: usize = 48;
}

/// No MSI-X entry.
pub const NO_VECTOR: u16 = 0xffff;
/// Reads of a register until it is taken for stuck.
const PATIENCE: usize = 100_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// The device does not come out of reset.
    NoReset,
    /// It is no modern device, or takes no feature set of ours.
    Features,
    /// A queue is missing, too small, or its size is no power of two.
    Queue,
    /// It did not take the interrupt vector.
    Vector,
}

impl core::fmt::Display for Refused {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Refused::NoReset => "the device does not come out of reset",
            Refused::Features => "the device does not take our features",
            Refused::Queue => "the device has not the queues that we need",
            Refused::Vector => "the device does not take the interrupt vector",
        })
    }
}

/// The device's registers.
pub struct Device {
    common: Window,
    notify: Window,
    notify_step: u32,
    device: Window,
    pub offers: Offers,
}

/// Where to ring for a queue.
#[derive(Clone, Copy, Debug)]
pub struct Bell {
    window: Window,
    offset: usize,
    queue: u16,
}

impl Bell {
    pub fn ring(&self) {
        self.window.write16(self.offset, self.queue);
    }
}

impl Device {
    /// Resets the device and agrees on features.
    pub fn open(structures: Structures) -> Result<Device, Refused> {
        let mut device = Device {
            common: structures.common,
            notify: structures.notify,
            notify_step: structures.notify_step,
            device: structures.device,
            offers: Offers::default(),
        };
        device.set_status(0);
        if !(0..PATIENCE).any(|_| device.status() == 0) {
            return Err(Refused::NoReset);
        }
        device.set_status(status::ACKNOWLEDGE);
        device.set_status(status::ACKNOWLEDGE | status::DRIVER);
        let offered = device.offered();
        if offered & feature::VERSION_1 == 0 {
            return Err(device.fail(Refused::Features));
        }
        let taken = offered & feature::KNOWN;
        device.accept(taken);
        let checksum = taken & feature::CSUM != 0;
        device.offers = Offers {
            checksum,
            segmentation: checksum && taken & feature::HOST_TSO4 != 0,
            verifies: taken & feature::GUEST_CSUM != 0,
        };
        let agreed = status::ACKNOWLEDGE | status::DRIVER | status::FEATURES_OK;
        device.set_status(agreed);
        if device.status() & status::FEATURES_OK == 0 {
            return Err(device.fail(Refused::Features));
        }
        device.common.write16(common::CONFIG_VECTOR, NO_VECTOR);
        Ok(device)
    }

    fn status(&self) -> u8 {
        self.common.read8(common::STATUS)
    }

    fn set_status(&self, status: u8) {
        self.common.write8(common::STATUS, status);
    }

    fn fail(&self, why: Refused) -> Refused {
        self.set_status(self.status() | status::FAILED);
        why
    }

    fn offered(&self) -> u64 {
        (0..2).fold(0, |features, half| {
            self.common.write32(common::DEVICE_FEATURE_SELECT, half);
            features | u64::from(self.common.read32(common::DEVICE_FEATURE)) << (32 * half)
        })
    }

    fn accept(&self, features: u64) {
        for half in 0..2 {
            self.common.write32(common::DRIVER_FEATURE_SELECT, half);
            let bits = (features >> (32 * half)) as u32;
            self.common.write32(common::DRIVER_FEATURE, bits);
        }
    }

    /// Size of a queue: the device's, cut to what we can use.
    pub fn queue_size(&self, queue: u16, most: u16) -> Result<u16, Refused> {
        self.common.write16(common::QUEUE_SELECT, queue);
        let size = self.common.read16(common::QUEUE_SIZE);
        if size < 8 || size == u16::MAX || !size.is_power_of_two() {
            return Err(self.fail(Refused::Queue));
        }
        Ok(size.min(most))
    }

    /// Hands a queue to the device.
    pub fn enable(
        &self,
        queue: u16,
        size: u16,
        parts: Parts,
        vector: u16,
    ) -> Result<Bell, Refused> {
        let c = &self.common;
        c.write16(common::QUEUE_SELECT, queue);
        c.write16(common::QUEUE_SIZE, size);
        c.write64(common::QUEUE_DESCRIPTORS, parts.descriptors);
        c.write64(common::QUEUE_AVAILABLE, parts.available);
        c.write64(common::QUEUE_USED, parts.used);
        c.write16(common::QUEUE_VECTOR, vector);
        if c.read16(common::QUEUE_VECTOR) != vector {
            return Err(self.fail(Refused::Vector));
        }
        let step = self.notify_step as usize;
        let offset = usize::from(c.read16(common::QUEUE_NOTIFY_OFFSET)) * step;
        if offset + 2 > self.notify.bytes() {
            return Err(self.fail(Refused::Queue));
        }
        c.write16(common::QUEUE_ENABLE, 1);
        Ok(Bell {
            window: self.notify,
            offset,
            queue,
        })
    }

    /// The device may run.
    pub fn go(&self) {
        self.set_status(self.status() | status::DRIVER_OK);
    }

    /// The station's address; a made-up one where the device has none.
    pub fn mac(&self) -> [u8; 6] {
        let mac: [u8; 6] = core::array::from_fn(|i| self.device.read8(i));
        match mac {
            [0xff, ..] | [0, 0, 0, 0, 0, 0] => [2, 0, 0, 0, 0, 1],
            _ => mac,
        }
    }
}
