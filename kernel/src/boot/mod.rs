//! From the loader's start information to the first component: one sentence on the console when
//! that cannot be.

mod entry;
mod image;
mod init;
mod pvh;
mod regions;
mod tables;

use crate::arch::apic::{self, Apic};
use crate::arch::features::Features;
use crate::arch::space::Space;
use crate::arch::{pic, serial, syscall, time};
use crate::cpu::Cpu;
use crate::machine::{ExitCode, shutdown};
use crate::memory::{Phys, page_up};
use crate::say;
use abi::layout::PAGE;
use archive::Archive;
use core::fmt;
use regions::{Regions, TooMany};

/// Below this lie the loader's and the firmware's data; the kernel gives none of it away.
const LOW_END: u64 = 1 << 20;
const VGA: u64 = 0xa_0000;
const FOUR_GIB: u64 = 4 << 30;

/// Why the machine cannot boot.
#[derive(Debug)]
pub enum Refusal {
    Loader,
    NoArchive,
    Archive(archive::Error),
    NoInit(archive::Error),
    NoMemory,
    MemoryMap,
    Capability(abi::Error),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Loader => f.write_str("the loader left no PVH start information"),
            Refusal::NoArchive => {
                f.write_str("there is no boot archive: give one as the loader's module (-initrd)")
            }
            Refusal::Archive(why) => write!(f, "{why}"),
            Refusal::NoInit(why) => {
                write!(f, "the boot archive has no program component/init: {why}")
            }
            Refusal::NoMemory => f.write_str(
                "there is not enough memory for the boot archive and the first component",
            ),
            Refusal::MemoryMap => {
                f.write_str("the memory map has more ranges than the kernel can keep")
            }
            Refusal::Capability(why) => write!(f, "the first component cannot be built: {why}"),
        }
    }
}

impl From<TooMany> for Refusal {
    fn from(_: TooMany) -> Refusal {
        Refusal::MemoryMap
    }
}

impl From<abi::Error> for Refusal {
    fn from(why: abi::Error) -> Refusal {
        Refusal::Capability(why)
    }
}

/// Memory of the kernel's, zeroed: whole pages below `limit`, which must be mapped.
fn take_zeroed(free: &mut Regions, bytes: u64, limit: u64) -> Result<Phys, Refusal> {
    let base = Phys(
        free.take(bytes, PAGE as u64, limit)
            .ok_or(Refusal::NoMemory)?,
    );
    // SAFETY: the range was free RAM until now, and the direct map shows it.
    unsafe { core::ptr::write_bytes(base.pointer::<u8>(), 0, bytes as usize) };
    Ok(base)
}

/// The boot archive where it lies: whole pages that are its alone.
pub struct Module {
    pub base: u64,
    pub bytes: u64,
}

impl Module {
    fn pages_end(&self) -> u64 {
        page_up(self.base + self.bytes)
    }
}

/// What boot has learned, for building the first component.
pub struct Found {
    pub module: Module,
    pub free: Regions,
    pub devices: Regions,
    pub rsdp: u64,
    /// First physical address that the direct map does not show while boot builds.
    pub reach: u64,
}

/// The entry from `boot_entry`, on the boot stack.
// SAFETY: the assembly that calls it is the only other place that has a symbol of this name.
#[unsafe(no_mangle)]
extern "C" fn kernel_main(start_info: u64) -> ! {
    serial::setup();
    // SAFETY: this is the boot core, here for the first and only time, on that stack.
    let cpu = unsafe { Cpu::boot(image::stack_top()) };
    match boot(cpu, start_info) {
        Err(refusal) => {
            say!("{refusal}");
            shutdown(ExitCode::BOOT_REFUSED)
        }
        Ok(thread) => cpu.start(thread),
    }
}

fn boot(cpu: &mut Cpu, start_info: u64) -> Result<*mut crate::object::Thread, Refusal> {
    pic::silence();
    syscall::setup();
    let features = Features::detect();
    features.apply();

    let loaded = pvh::load(start_info).ok_or(Refusal::Loader)?;
    let mut ram = Regions::new();
    for (start, end) in loaded.ram() {
        ram.add(start, end)?;
    }
    // What the loader left is only sure to be mapped while the boot page tables are loaded.
    let mut text = [0; pvh::LONGEST_COMMAND_LINE];
    for (to, from) in text.iter_mut().zip(loaded.command_line) {
        *to = *from;
    }
    let (command_line, _) = text
        .split_at_checked(loaded.command_line.len())
        .unwrap_or((&text, &[]));
    cpu.check_at_end = command_line
        .split(u8::is_ascii_whitespace)
        .any(|word| word == abi::start::CHECK_AT_END.as_bytes());
    let (base, bytes) = loaded.module.ok_or(Refusal::NoArchive)?;
    let end = base.checked_add(bytes).ok_or(Refusal::NoArchive)?;
    let in_ram = |region: regions::Region| region.start <= base && page_up(end) <= region.end;
    if bytes == 0 || end > FOUR_GIB || !ram.iter().any(in_ram) {
        return Err(Refusal::NoArchive);
    }
    let mut free = ram;
    let image = image::range();
    if base < image.end && image.start < end {
        // The loader had no other place for it.
        return Err(Refusal::NoMemory);
    }
    free.remove(0, LOW_END)?;
    free.remove(image.start, image.end)?;
    free.remove(base, end)?;
    let module = own_pages(&mut free, base, bytes)?;

    // While the boot page tables are loaded, what is used must lie in their reach.
    let pml4 = take_zeroed(&mut free, PAGE as u64, FOUR_GIB)?;
    let mut builder = tables::Builder {
        free: &mut free,
        pml4,
        reach: FOUR_GIB,
    };
    builder.kernel_half(&ram, features.huge_pages)?;
    let found = Found {
        devices: devices(&ram, features)?,
        module,
        free,
        rsdp: loaded.rsdp,
        reach: FOUR_GIB,
    };

    let kernel_space = Space::untagged(pml4);
    // SAFETY: the tables map the image where it runs, with its stack, and the direct map.
    unsafe { kernel_space.load() };
    cpu.setup(features, kernel_space);
    cpu.apic = Apic::start();
    let (tsc_hz, timer_hz) = time::calibrate(Apic::timer_count);
    cpu.tsc_hz = tsc_hz;
    cpu.apic.calibrated(timer_hz);

    // SAFETY: the archive's pages are RAM that was taken out of the free memory.
    let file = unsafe {
        core::slice::from_raw_parts(
            Phys(found.module.base).pointer::<u8>(),
            found.module.bytes as usize,
        )
    };
    let archive = Archive::open(file).map_err(Refusal::Archive)?;
    let program = archive.component("init").map_err(Refusal::NoInit)?;
    init::build(cpu, found, program, command_line)
}

/// Makes the module whole pages of its own: moved if it does not begin on a page, its last page
/// cleared after its end.
fn own_pages(free: &mut Regions, base: u64, bytes: u64) -> Result<Module, Refusal> {
    let mut module = Module { base, bytes };
    if !base.is_multiple_of(PAGE as u64) {
        let pages = page_up(bytes);
        module.base = take_zeroed(free, pages, FOUR_GIB)?.0;
        // SAFETY: the new pages were free, so they do not overlap the module; both are mapped.
        unsafe {
            core::ptr::copy_nonoverlapping(
                Phys(base).pointer::<u8>(),
                Phys(module.base).pointer::<u8>(),
                bytes as usize,
            );
        }
    }
    let end = module.base + bytes;
    // SAFETY: the rest of the last page is nobody's: the free memory lost every page that the
    // module touches.
    unsafe {
        core::ptr::write_bytes(
            Phys(end).pointer::<u8>(),
            0,
            (module.pages_end() - end) as usize,
        );
    }
    Ok(module)
}

/// Everything that is not RAM, below 4 GiB and from the end of RAM (or 4 GiB) up to what the
/// processor can address; but for what can raise interrupts of any vector and kind: writes to
/// where interrupt messages go, this core's controller and the I/O controllers, and the event
/// timer, which can even write to memory.
fn devices(ram: &Regions, features: Features) -> Result<Regions, Refusal> {
    let ram_end = ram.iter().last().map_or(0, |region| region.end);
    let mut devices = Regions::new();
    devices.add(VGA, FOUR_GIB)?;
    devices.add(ram_end.max(FOUR_GIB), 1 << features.physical_bits)?;
    for region in ram.iter() {
        devices.remove(region.start, region.end)?;
    }
    devices.remove(apic::MESSAGES.start, apic::MESSAGES.end)?;
    let apic = apic::physical_page().0;
    devices.remove(apic, apic + PAGE as u64)?;
    Ok(devices)
}
