//! The start information that a PVH loader leaves in memory: command line, module, memory map.

use crate::memory::Phys;

const MAGIC: u32 = 0x336e_c578;
/// Physical memory that the boot page tables show.
const REACH: u64 = 4 << 30;
/// What is longer is cut.
pub const LONGEST_COMMAND_LINE: usize = 2048;
const MOST_MAP_ENTRIES: u32 = 1024;
const RAM: u32 = 1;

/// `hvm_start_info`, version 1.
#[derive(Clone, Copy)]
#[repr(C)]
struct StartInfo {
    magic: u32,
    version: u32,
    flags: u32,
    modules: u32,
    module_list: u64,
    command_line: u64,
    rsdp: u64,
    memory_map: u64,
    memory_map_entries: u32,
    reserved: u32,
}

#[derive(Clone, Copy)]
#[repr(C)]
struct Module {
    address: u64,
    bytes: u64,
    command_line: u64,
    reserved: u64,
}

#[derive(Clone, Copy)]
#[repr(C)]
struct MapEntry {
    address: u64,
    bytes: u64,
    kind: u32,
    reserved: u32,
}

/// Types of which any bytes are a value.
///
/// # Safety
/// Integers and structures of integers without padding only.
unsafe trait Plain: Copy {}
// SAFETY: an integer.
unsafe impl Plain for u8 {}
// SAFETY: integers, of which none leaves a gap before the next or the end.
unsafe impl Plain for StartInfo {}
// SAFETY: likewise.
unsafe impl Plain for Module {}
// SAFETY: likewise.
unsafe impl Plain for MapEntry {}

/// What the loader says, ranges as it says them.
pub struct Loaded {
    pub command_line: &'static [u8],
    /// Address and length of the first module.
    pub module: Option<(u64, u64)>,
    pub rsdp: u64,
    map: &'static [MapEntry],
}

/// A copy of the `T` at `address`; `None` outside of what the boot page tables show.
fn read<T: Plain>(address: u64) -> Option<T> {
    let inside = address != 0 && address.checked_add(size_of::<T>() as u64)? <= REACH;
    // SAFETY: the boot page tables map these addresses, nobody writes there meanwhile, and any
    // bytes are a `Plain` value.
    inside.then(|| unsafe { Phys(address).pointer::<T>().read_unaligned() })
}

fn command_line(address: u64) -> &'static [u8] {
    let mut bytes = 0;
    while bytes < LONGEST_COMMAND_LINE
        && read::<u8>(address.saturating_add(bytes as u64)).is_some_and(|byte| byte != 0)
    {
        bytes += 1;
    }
    if bytes == 0 {
        return &[];
    }
    // SAFETY: each byte was read above; nothing writes below 1 MiB or where the loader put it
    // before `boot` has copied it.
    unsafe { core::slice::from_raw_parts(Phys(address).pointer(), bytes) }
}

/// Reads what the loader left; `None` when it is not PVH's version 1 or later.
pub fn load(address: u64) -> Option<Loaded> {
    let info: StartInfo = read(address)?;
    if info.magic != MAGIC || info.version < 1 {
        return None;
    }
    let entries = info.memory_map_entries.min(MOST_MAP_ENTRIES);
    let map_bytes = u64::from(entries) * size_of::<MapEntry>() as u64;
    let aligned = info
        .memory_map
        .is_multiple_of(align_of::<MapEntry>() as u64);
    if !aligned || info.memory_map == 0 || info.memory_map.checked_add(map_bytes)? > REACH {
        return None;
    }
    // SAFETY: the range is shown by the boot page tables, aligned, and of a `Plain` type; nothing
    // writes where the loader put it before `boot` has read it.
    let map =
        unsafe { core::slice::from_raw_parts(Phys(info.memory_map).pointer(), entries as usize) };
    let module = (info.modules > 0)
        .then(|| read::<Module>(info.module_list))
        .flatten()
        .map(|module| (module.address, module.bytes));
    Some(Loaded {
        command_line: command_line(info.command_line),
        module,
        rsdp: info.rsdp,
        map,
    })
}

impl Loaded {
    /// Ranges of usable memory, in the loader's order.
    pub fn ram(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.map
            .iter()
            .filter(|entry| entry.kind == RAM)
            .filter_map(|entry| Some((entry.address, entry.address.checked_add(entry.bytes)?)))
    }
}
