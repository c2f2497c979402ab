//! PCI configuration space: finding functions, sizing and setting their base address registers,
//! finding the MSI-X capability. Every walk is bounded by what configuration space can hold.

use alloc::vec::Vec;

/// Bus, device and function.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Address {
    pub bus: u8,
    pub device: u8,
    pub function: u8,
}

impl Address {
    /// What the configuration address port takes for a register of this function.
    pub fn port_word(self, register: u8) -> u32 {
        1 << 31
            | u32::from(self.bus) << 16
            | u32::from(self.device & 31) << 11
            | u32::from(self.function & 7) << 8
            | u32::from(register & !3)
    }

    /// Where the function's page lies in memory-mapped configuration space.
    pub fn page_offset(self) -> u64 {
        u64::from(self.bus) << 20
            | u64::from(self.device & 31) << 15
            | u64::from(self.function & 7) << 12
    }
}

/// Access to the first 256 bytes of each function's configuration space, 32 bits at a time.
pub trait Config {
    fn read(&mut self, at: Address, register: u8) -> u32;
    fn write(&mut self, at: Address, register: u8, value: u32);
}

mod register {
    pub const ID: u8 = 0x00;
    pub const COMMAND: u8 = 0x04;
    pub const HEADER: u8 = 0x0c;
    pub const BAR0: u8 = 0x10;
    pub const BUSES: u8 = 0x18;
    pub const CAPABILITIES: u8 = 0x34;
}

mod command {
    pub const IO: u32 = 1;
    pub const MEMORY: u32 = 1 << 1;
    pub const BUS_MASTER: u32 = 1 << 2;
    pub const NO_LEGACY_INTERRUPT: u32 = 1 << 10;
    /// In the upper half: there is a capability list.
    pub const HAS_CAPABILITIES: u32 = 1 << 20;
    /// Status bits are cleared by writing ones; zeros leave them.
    pub const STATUS: u32 = 0xffff_0000;
}

const NOBODY: u32 = 0xffff_ffff;
const MULTIFUNCTION: u32 = 1 << 23;

fn header_type(header: u32) -> u32 {
    header >> 16 & 0x7f
}

/// All functions on bus 0 and behind bridges, with their device (high half) and vendor numbers.
pub fn functions(config: &mut impl Config) -> Vec<(Address, u32)> {
    let mut found = Vec::new();
    let mut seen = [false; 256];
    let mut buses = Vec::from([0u8]);
    while let Some(bus) = buses.pop() {
        if core::mem::replace(&mut seen[usize::from(bus)], true) {
            continue;
        }
        for device in 0..32 {
            for function in 0..8 {
                let at = Address {
                    bus,
                    device,
                    function,
                };
                let id = config.read(at, register::ID);
                if id != NOBODY && id & 0xffff != 0xffff {
                    found.push((at, id));
                    if header_type(config.read(at, register::HEADER)) == 1 {
                        buses.push((config.read(at, register::BUSES) >> 8) as u8);
                    }
                }
                let first = Address { function: 0, ..at };
                if function == 0 && config.read(first, register::HEADER) & MULTIFUNCTION == 0 {
                    break;
                }
            }
        }
    }
    found
}

/// One memory base address register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bar {
    /// 0 to 5.
    pub index: u8,
    /// 0 when nobody assigned it.
    pub address: u64,
    pub bytes: u64,
    /// Takes two registers.
    pub wide: bool,
}

/// The function's memory base address registers. Decoding is off while they are sized.
pub fn bars(config: &mut impl Config, at: Address) -> Vec<Bar> {
    let mut found = Vec::new();
    let count = match header_type(config.read(at, register::HEADER)) {
        0 => 6,
        1 => 2,
        _ => 0,
    };
    let command = config.read(at, register::COMMAND) & !command::STATUS;
    let off = command & !(command::IO | command::MEMORY);
    config.write(at, register::COMMAND, off);
    let mut index = 0;
    while index < count {
        let low = register::BAR0 + 4 * index;
        let raw = config.read(at, low);
        let wide = raw & 0b111 == 0b100;
        if raw & 1 == 0 && (!wide || index + 1 < count) {
            let (size_low, high, size_high) = (
                probe(config, at, low),
                if wide { config.read(at, low + 4) } else { 0 },
                if wide {
                    probe(config, at, low + 4)
                } else {
                    NOBODY
                },
            );
            let mask = u64::from(size_high) << 32 | u64::from(size_low & !0xf);
            let bytes = mask.wrapping_neg();
            if (wide || size_low & !0xf != 0) && bytes.is_power_of_two() {
                found.push(Bar {
                    index,
                    address: u64::from(high) << 32 | u64::from(raw & !0xf),
                    bytes,
                    wide,
                });
            }
        }
        index += 1 + u8::from(wide);
    }
    config.write(at, register::COMMAND, command);
    found
}

/// Writes ones to a register, reads which of them stuck, and puts back what it held.
fn probe(config: &mut impl Config, at: Address, register: u8) -> u32 {
    let old = config.read(at, register);
    config.write(at, register, NOBODY);
    let stuck = config.read(at, register);
    config.write(at, register, old);
    stuck
}

/// Gives a base address register an address.
pub fn assign(config: &mut impl Config, at: Address, bar: &Bar, address: u64) {
    let low = register::BAR0 + 4 * bar.index;
    config.write(at, low, address as u32);
    if bar.wide {
        config.write(at, low + 4, (address >> 32) as u32);
    }
}

/// Turns memory decoding and bus mastering on, legacy interrupts off.
pub fn enable(config: &mut impl Config, at: Address) {
    let old = config.read(at, register::COMMAND) & !command::STATUS;
    let new = old | command::MEMORY | command::BUS_MASTER | command::NO_LEGACY_INTERRUPT;
    config.write(at, register::COMMAND, new);
}

/// Takes the bus away from a function: it reads and writes no memory any more, interrupts included.
pub fn disable(config: &mut impl Config, at: Address) {
    let old = config.read(at, register::COMMAND) & !command::STATUS;
    config.write(at, register::COMMAND, old & !command::BUS_MASTER);
}

/// Where a function keeps its MSI-X table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MsiX {
    /// Register of the capability.
    pub register: u8,
    /// Index of the base address register, and offset behind it in bytes.
    pub bar: u8,
    pub offset: u64,
    pub entries: u16,
}

impl MsiX {
    /// Bytes of the table.
    pub fn bytes(&self) -> u64 {
        u64::from(self.entries) * 16
    }
}

/// The function's MSI-X capability.
pub fn msix(config: &mut impl Config, at: Address) -> Option<MsiX> {
    const ID: u32 = 0x11;
    /// Capabilities are at least four bytes and lie behind the header.
    const MOST: usize = (256 - 64) / 4;
    if config.read(at, register::COMMAND) & command::HAS_CAPABILITIES == 0 {
        return None;
    }
    let mut next = config.read(at, register::CAPABILITIES) as u8 & !3;
    for _ in 0..MOST {
        if next < 0x40 {
            return None;
        }
        let head = config.read(at, next);
        if head & 0xff == ID && next <= 0xf4 {
            let table = config.read(at, next + 4);
            return Some(MsiX {
                register: next,
                bar: (table & 7) as u8,
                offset: u64::from(table & !7),
                entries: (head >> 16 & 0x7ff) as u16 + 1,
            });
        }
        next = (head >> 8) as u8 & !3;
    }
    None
}

/// Turns MSI-X on, no vector masked by the function as a whole.
pub fn enable_msix(config: &mut impl Config, at: Address, msix: &MsiX) {
    let head = config.read(at, msix.register);
    config.write(at, msix.register, head & !(1 << 30) | 1 << 31);
}

/// Memory-mapped configuration space of the Q35 host bridge, where there is one: its address.
pub fn mapped_configuration(config: &mut impl Config) -> Option<u64> {
    const Q35: u32 = 0x29c0_8086;
    const LOW: u8 = 0x60;
    /// Enabled, and all 256 buses.
    const FLAGS: u32 = 0b111;
    let bridge = Address {
        bus: 0,
        device: 0,
        function: 0,
    };
    if config.read(bridge, register::ID) != Q35 {
        return None;
    }
    let low = config.read(bridge, LOW);
    let base = u64::from(config.read(bridge, LOW + 4)) << 32 | u64::from(low & 0xf000_0000);
    (low & FLAGS == 1 && base != 0).then_some(base)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    /// Functions by address: registers, and which bits of each can be written.
    #[derive(Default)]
    struct Fake {
        functions: BTreeMap<Address, [u32; 64]>,
        writable: BTreeMap<(Address, u8), u32>,
    }

    impl Config for Fake {
        fn read(&mut self, at: Address, register: u8) -> u32 {
            let function = self.functions.get(&at);
            function.map_or(NOBODY, |f| f[usize::from(register / 4)])
        }
        fn write(&mut self, at: Address, register: u8, value: u32) {
            let mask = self.writable.get(&(at, register)).copied().unwrap_or(0);
            if let Some(function) = self.functions.get_mut(&at) {
                let word = &mut function[usize::from(register / 4)];
                *word = *word & !mask | value & mask;
            }
        }
    }

    const NIC: Address = Address {
        bus: 0,
        device: 2,
        function: 0,
    };

    /// A network card like QEMU's: BAR 1 of 4 KiB with the MSI-X table, BAR 4 of 16 KiB, wide.
    fn nic() -> Fake {
        let mut fake = Fake::default();
        let mut words = [0; 64];
        words[0] = 0x1041_1af4;
        words[1] = 0x0010_0000;
        words[5] = 0xfebd_1000;
        words[8] = 0xfe00_000c;
        words[0x34 / 4] = 0x98;
        words[0x98 / 4] = 0x8003_8411;
        words[0x9c / 4] = 1;
        words[0x84 / 4] = 0x0000_0009;
        fake.functions.insert(NIC, words);
        fake.writable.insert((NIC, 0x04), 0x0000_0507);
        fake.writable.insert((NIC, 0x14), 0xffff_f000);
        fake.writable.insert((NIC, 0x20), 0xffff_c000);
        fake.writable.insert((NIC, 0x24), 0xffff_ffff);
        fake.writable.insert((NIC, 0x98), 0xc000_0000);
        fake
    }

    #[test]
    fn finds_a_function_and_its_registers() {
        let mut fake = nic();
        assert_eq!(functions(&mut fake), [(NIC, 0x1041_1af4)]);
        let bar = |index, address, bytes, wide| Bar {
            index,
            address,
            bytes,
            wide,
        };
        let expected = [
            bar(1, 0xfebd_1000, 0x1000, false),
            bar(4, 0xfe00_0000, 0x4000, true),
        ];
        assert_eq!(bars(&mut fake, NIC), expected);
        // Sizing changed nothing.
        assert_eq!(bars(&mut fake, NIC), expected);
        assign(&mut fake, NIC, &expected[1], 0x7_4000_0000);
        assert_eq!(bars(&mut fake, NIC)[1].address, 0x7_4000_0000);
        enable(&mut fake, NIC);
        assert_eq!(fake.read(NIC, 4), 0x0010_0406);
    }

    #[test]
    fn finds_the_interrupt_table() {
        let mut fake = nic();
        let found = msix(&mut fake, NIC).unwrap();
        assert_eq!((found.register, found.bar, found.offset), (0x98, 1, 0));
        assert_eq!((found.entries, found.bytes()), (4, 64));
        enable_msix(&mut fake, NIC, &found);
        assert_eq!(fake.read(NIC, 0x98) >> 30, 0b10);
        assert_eq!(mapped_configuration(&mut fake), None);
    }

    #[test]
    fn a_capability_list_that_is_a_ring_ends() {
        let mut fake = nic();
        fake.functions.get_mut(&NIC).unwrap()[0x98 / 4] = 0x0000_9809;
        assert_eq!(msix(&mut fake, NIC), None);
    }

    #[test]
    fn looks_behind_bridges_once() {
        let mut fake = nic();
        let bridge = Address { device: 1, ..NIC };
        let mut words = [0; 64];
        words[0] = 0x0001_8086;
        words[3] = 1 << 16;
        words[6] = 0x0000_0300;
        fake.functions.insert(bridge, words);
        let behind = Address { bus: 3, ..bridge };
        words[6] = 0x0000_0300;
        fake.functions.insert(behind, words);
        let found: Vec<_> = functions(&mut fake).into_iter().map(|f| f.0).collect();
        assert_eq!(found, [bridge, NIC, behind]);
    }

    #[test]
    fn the_host_bridge_tells_where_configuration_space_is() {
        let mut fake = Fake::default();
        let mut words = [0; 64];
        words[0] = 0x29c0_8086;
        words[0x60 / 4] = 0xb000_0001;
        let at = Address { device: 0, ..NIC };
        fake.functions.insert(at, words);
        assert_eq!(mapped_configuration(&mut fake), Some(0xb000_0000));
        fake.functions.get_mut(&at).unwrap()[0x60 / 4] = 0xb000_0000;
        assert_eq!(mapped_configuration(&mut fake), None);
        assert_eq!(NIC.page_offset(), 0x1_0000);
        assert_eq!(NIC.port_word(0x12), 0x8000_1010);
    }

    proptest! {
        #[test]
        fn any_configuration_space_is_survived(
            words in proptest::collection::vec(any::<u32>(), 64),
            masks in proptest::collection::vec(any::<u32>(), 64),
        ) {
            let mut fake = Fake::default();
            let mut function = [0; 64];
            function.copy_from_slice(&words);
            fake.functions.insert(NIC, function);
            for (n, mask) in masks.iter().enumerate() {
                fake.writable.insert((NIC, n as u8 * 4), *mask);
            }
            functions(&mut fake);
            for bar in bars(&mut fake, NIC) {
                prop_assert!(bar.bytes.is_power_of_two() && bar.index < 6);
            }
            msix(&mut fake, NIC);
            enable(&mut fake, NIC);
        }
    }
}
