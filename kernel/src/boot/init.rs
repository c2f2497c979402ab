//! The first component: CSpace, address space, memory and the capabilities to everything that the
//! kernel does not keep, made with the operations that user code has.

use super::{Found, Refusal};
use crate::cpu::Cpu;
use crate::memory::Phys;
use crate::object::component::{Configuration, configure};
use crate::object::{Component, Thread, thread};
use abi::captype::MapFlags;
use abi::cptr::L2_BYTES;
use abi::layout::{INIT_ARCHIVE, PAGE, STACK_STRIDE, STACKS, START_INFO};
use abi::start::{BootInfo, MAGIC, init_slot};
use abi::{CPtr, CapType, ComponentId, Rights, ThreadId};
use cap::{CSpace, SlotRef, SlotRun};

/// L2 CNodes of the first component.
const L2S: u64 = init_slot::L2_NODES as u64;
const L1_BYTES: u64 = PAGE as u64;
const STACK_BYTES: u64 = 128 * 1024;
const PAGE_BYTES: u64 = PAGE as u64;
/// What one PT, one PD and one PDPT map.
const PT_SPAN: u64 = 2 << 20;
const PD_SPAN: u64 = 1 << 30;
/// First slot after the fixed ones.
const FIRST_SLOT: CPtr = CPtr(16);
/// Page tables that the first component can have at boot: for its image, stack and information
/// page, and one for each 2 MiB of the archive. A larger archive is refused for lack of memory.
const MOST_TABLES: usize = 192;

/// Which of the kernel's own slots.
const OBJECTS_ROOT: usize = 0;
const ARCHIVE_ROOT: usize = 1;
const L1_FIRST: usize = 2;
const L2_FIRST: usize = 3;

/// A page table that exists: the first address that it maps, how much, and its capability.
#[derive(Clone, Copy)]
struct TableAt {
    first: u64,
    span: u64,
    slot: SlotRef,
}

struct Builder<'a> {
    cpu: &'a mut Cpu,
    /// The Ram capability that everything below is made from, and how much of it is used.
    objects: SlotRef,
    used: u64,
    space: CSpace,
    next: CPtr,
    tables: [Option<TableAt>; MOST_TABLES],
}

impl Builder<'_> {
    fn slot(&self, at: CPtr) -> Result<SlotRef, Refusal> {
        Ok(self.cpu.capabilities.empty_slot(self.space, at)?)
    }

    fn next_slot(&mut self) -> Result<SlotRef, Refusal> {
        let slot = self.slot(self.next)?;
        self.next = self.next.plus(1);
        Ok(slot)
    }

    /// One object from the kernel's memory for the first component, in `dest`.
    fn make(&mut self, dest: SlotRef, ty: CapType, bytes: u64) -> Result<SlotRef, Refusal> {
        let run = SlotRun::one(dest);
        let objects = self.objects;
        self.cpu
            .capabilities
            .retype(objects, run, ty, self.used, bytes)?;
        self.used += dest.bytes();
        Ok(dest)
    }

    fn make_at(&mut self, at: CPtr, ty: CapType, bytes: u64) -> Result<SlotRef, Refusal> {
        let dest = self.slot(at)?;
        self.make(dest, ty, bytes)
    }

    /// The table that maps `span` bytes around `address`, made if need be.
    fn table(&mut self, address: u64, span: u64) -> Result<SlotRef, Refusal> {
        let first = address & !(span - 1);
        let found = |at: &TableAt| at.first == first && at.span == span;
        if let Some(table) = self.tables.iter().flatten().find(|at| found(at)) {
            return Ok(table.slot);
        }
        let (ty, upper) = match span {
            PT_SPAN => (CapType::Pt, PD_SPAN),
            PD_SPAN => (CapType::Pd, PD_SPAN * 512),
            _ => (CapType::Pdpt, PD_SPAN * 512 * 512),
        };
        let parent = self.table(address, upper)?;
        let dest = self.next_slot()?;
        let slot = self.make(dest, ty, 0)?;
        let index = (first / span) as u16 & 511;
        let mapping = self.next_slot()?;
        self.cpu
            .capabilities
            .map(parent, slot, index, 1, MapFlags::READ, 0, mapping)?;
        self.remember(TableAt { first, span, slot })?;
        Ok(slot)
    }

    fn remember(&mut self, table: TableAt) -> Result<(), Refusal> {
        let free = self.tables.iter_mut().find(|place| place.is_none());
        *free.ok_or(Refusal::NoMemory)? = Some(table);
        Ok(())
    }

    /// Maps `bytes` of a frame from `offset` on at `address`.
    fn map(
        &mut self,
        frame: SlotRef,
        offset: u64,
        address: u64,
        bytes: u64,
        flags: MapFlags,
    ) -> Result<(), Refusal> {
        let mut done = 0;
        while done < bytes {
            let at = address + done;
            let here = (PT_SPAN - at % PT_SPAN).min(bytes - done);
            let table = self.table(at, PT_SPAN)?;
            let mapping = self.next_slot()?;
            let (first, count) = ((at / PAGE_BYTES) as u16 & 511, (here / PAGE_BYTES) as u16);
            self.cpu
                .capabilities
                .map(table, frame, first, count, flags, offset + done, mapping)?;
            done += here;
        }
        Ok(())
    }
}

/// Bytes of memory for the objects of the first component, tables generously.
fn object_bytes(program_bytes: u64, archive_bytes: u64) -> u64 {
    let tables = 16 + program_bytes / PT_SPAN + 16 + archive_bytes / PT_SPAN;
    let fixed = L1_BYTES + L2S * L2_BYTES as u64 + STACK_BYTES + PAGE_BYTES * 3;
    fixed + program_bytes + tables * PAGE_BYTES
}

fn flags_of(rights: Rights) -> MapFlags {
    MapFlags::from_bits_truncate(
        rights.bits() & (Rights::READ | Rights::WRITE | Rights::EXECUTE).bits(),
    )
}

/// Builds it and gives its thread, ready to be started.
pub fn build(
    cpu: &mut Cpu,
    mut found: Found,
    program: archive::Component<'_>,
    command_line: &[u8],
) -> Result<*mut Thread, Refusal> {
    let program_bytes: u64 = program.segments().map(|segment| segment.memory).sum();
    let archive_bytes = found.module.pages_end() - found.module.base;
    let bytes = object_bytes(program_bytes, archive_bytes);
    let base = found
        .free
        .take(bytes, L2_BYTES as u64, found.reach)
        .ok_or(Refusal::NoMemory)?;
    let mut builder = begin(cpu, base, bytes)?;

    let pml4 = builder.make_at(init_slot::PML4, CapType::Pml4, 0)?;
    builder.remember(TableAt {
        first: 0,
        span: PD_SPAN * 512 * 512,
        slot: pml4,
    })?;
    load(&mut builder, program, program_bytes)?;
    map_archive(&mut builder, &found)?;

    let component = builder.make_at(init_slot::COMPONENT, CapType::Component, 0)?;
    let thread = builder.make_at(init_slot::THREAD, CapType::Thread, 0)?;
    let information = builder.next_slot()?;
    let information = builder.make(information, CapType::Frame, PAGE_BYTES)?;
    let information_base = Phys(information.base());
    builder.map(
        information,
        0,
        START_INFO as u64,
        PAGE_BYTES,
        MapFlags::READ,
    )?;
    let boot_info = resources(&mut builder, &found, command_line)?;
    // SAFETY: the page was made a frame of the first component, which does not run yet; the
    // structure fits in a page.
    unsafe {
        core::ptr::write_bytes(information_base.pointer::<u8>(), 0, PAGE);
        information_base.pointer::<BootInfo>().write(boot_info);
    }

    let root = builder
        .cpu
        .capabilities
        .lookup(builder.space, init_slot::CSPACE)?;
    let with = Configuration {
        cspace: root,
        pml4,
        supervisor: None,
        entry: program.entry,
        id: ComponentId::INIT,
        no_preempt: false,
    };
    configure(builder.cpu, component, with)?;
    let component: *mut Component = Phys(component.base()).pointer();
    let thread: *mut Thread = Phys(thread.base()).pointer();
    thread::configure(builder.cpu, thread, component, ThreadId(0), 0)?;
    cpu.init = component;
    Ok(thread)
}

/// The CSpace: made in the kernel's own slots, then moved into itself.
fn begin(cpu: &mut Cpu, base: u64, bytes: u64) -> Result<Builder<'_>, Refusal> {
    let root = |cpu: &mut Cpu, place| cpu.root(place).ok_or(Refusal::NoMemory);
    let objects = root(cpu, OBJECTS_ROOT)?;
    let l1 = root(cpu, L1_FIRST)?;
    let l2 = root(cpu, L2_FIRST)?;
    let capabilities = &mut cpu.capabilities;
    capabilities.insert_root(objects, CapType::Ram, base, bytes)?;
    capabilities.retype(objects, SlotRun::one(l1), CapType::L1CNode, 0, L1_BYTES)?;
    capabilities.retype(
        objects,
        SlotRun::one(l2),
        CapType::L2CNode,
        L1_BYTES,
        L2_BYTES as u64,
    )?;
    capabilities.install_l2(l1, 0, l2)?;
    let space = capabilities.cspace(l1)?;
    let own = capabilities.empty_slot(space, init_slot::CSPACE)?;
    capabilities.move_to(own, l1)?;
    let first_l2 = capabilities.empty_slot(space, FIRST_SLOT)?;
    capabilities.move_to(first_l2, l2)?;
    let mut builder = Builder {
        cpu,
        objects,
        used: L1_BYTES + L2_BYTES as u64,
        space,
        next: FIRST_SLOT.plus(1),
        tables: [None; MOST_TABLES],
    };
    for index in 1..L2S as u32 {
        let dest = builder.next_slot()?;
        let l2 = builder.make(dest, CapType::L2CNode, 0)?;
        builder.cpu.capabilities.install_l2(own, index, l2)?;
    }
    Ok(builder)
}

/// Segments and stack: one frame, mapped piece by piece.
fn load(
    builder: &mut Builder<'_>,
    program: archive::Component<'_>,
    program_bytes: u64,
) -> Result<(), Refusal> {
    let dest = builder.next_slot()?;
    let frame = builder.make(dest, CapType::Frame, program_bytes + STACK_BYTES)?;
    let memory = Phys(frame.base()).pointer::<u8>();
    // SAFETY: the frame is RAM that nobody uses yet, of this size; retype does not clear frames.
    unsafe { core::ptr::write_bytes(memory, 0, (program_bytes + STACK_BYTES) as usize) };
    let mut offset = 0;
    for segment in program.segments() {
        // SAFETY: a checked segment's data is no longer than its memory, and the frame holds the
        // memory of all segments; the archive lies elsewhere.
        unsafe {
            core::ptr::copy_nonoverlapping(
                segment.data.as_ptr(),
                memory.add(offset as usize),
                segment.data.len(),
            );
        }
        let flags = flags_of(segment.flags);
        builder.map(frame, offset, segment.address, segment.memory, flags)?;
        offset += segment.memory;
    }
    let stack = (STACKS + STACK_STRIDE) as u64 - STACK_BYTES;
    let flags = MapFlags::READ | MapFlags::WRITE;
    builder.map(frame, program_bytes, stack, STACK_BYTES, flags)
}

fn map_archive(builder: &mut Builder<'_>, found: &Found) -> Result<(), Refusal> {
    let bytes = found.module.pages_end() - found.module.base;
    let ram = builder.cpu.root(ARCHIVE_ROOT).ok_or(Refusal::NoMemory)?;
    let frame = builder.slot(init_slot::ARCHIVE)?;
    let capabilities = &mut builder.cpu.capabilities;
    capabilities.insert_root(ram, CapType::Ram, found.module.base, bytes)?;
    capabilities.retype(ram, SlotRun::one(frame), CapType::Frame, 0, bytes)?;
    builder.map(frame, 0, INIT_ARCHIVE as u64, bytes, MapFlags::READ)
}

/// Root capabilities to all that the kernel does not keep, and the page that tells of them.
fn resources(
    builder: &mut Builder<'_>,
    found: &Found,
    command_line: &[u8],
) -> Result<BootInfo, Refusal> {
    let single = [
        (init_slot::CONSOLE, CapType::Console, 0, 1),
        (init_slot::KERNEL, CapType::Kernel, 0, 1),
        (init_slot::IO_PORTS, CapType::IoPorts, 0, 1 << 16),
    ];
    for (at, ty, base, bytes) in single {
        let dest = builder.slot(at)?;
        builder
            .cpu
            .capabilities
            .insert_root(dest, ty, base, bytes)?;
    }
    let mut boot_info = BootInfo {
        magic: MAGIC,
        tsc_hz: builder.cpu.tsc_hz,
        archive_bytes: found.module.bytes,
        rsdp: found.rsdp,
        ram_first: builder.next,
        ram_len: 0,
        device_first: CPtr::NULL,
        device_len: 0,
        free_first: CPtr::NULL,
        command_line_len: 0,
        command_line: [0; 2048],
    };
    for region in found.free.iter() {
        let dest = builder.next_slot()?;
        builder
            .cpu
            .capabilities
            .insert_root(dest, CapType::Ram, region.start, region.bytes())?;
        boot_info.ram_len += 1;
    }
    boot_info.device_first = builder.next;
    for region in found.devices.iter() {
        let dest = builder.next_slot()?;
        builder.cpu.capabilities.insert_root(
            dest,
            CapType::DevFrame,
            region.start,
            region.bytes(),
        )?;
        boot_info.device_len += 1;
    }
    boot_info.free_first = builder.next;
    if let Some(to) = boot_info.command_line.get_mut(..command_line.len()) {
        to.copy_from_slice(command_line);
        boot_info.command_line_len = command_line.len() as u32;
    }
    Ok(boot_info)
}
