//! The kernel's own half of every address space: its image with the rights of each part, all
//! physical memory (never executable; the image's constant parts not even writable), and this
//! core's interrupt controller.

use super::regions::Regions;
use super::{Refusal, image};
use crate::arch::apic;
use crate::memory::{APIC_PAGE, DIRECT_MAP, KERNEL_BASE, Phys};
use abi::layout::PAGE;

const PRESENT: u64 = 1;
const WRITE: u64 = 1 << 1;
const WRITE_THROUGH: u64 = 1 << 3;
const NO_CACHE: u64 = 1 << 4;
const LARGE: u64 = 1 << 7;
const GLOBAL: u64 = 1 << 8;
const NO_EXECUTE: u64 = 1 << 63;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
const LARGE_BYTES: u64 = 2 << 20;
const HUGE_BYTES: u64 = 1 << 30;

/// Builds tables out of free memory.
pub struct Builder<'a> {
    pub free: &'a mut Regions,
    pub pml4: Phys,
    /// Highest address that is mapped while the tables are being built, plus one.
    pub reach: u64,
}

impl Builder<'_> {
    fn new_table(&mut self) -> Result<Phys, Refusal> {
        super::take_zeroed(self.free, PAGE as u64, self.reach)
    }

    /// The entry for `address` in the table of `level` (3 is the PML4, 0 a PT).
    fn entry(&mut self, address: u64, level: u32) -> Result<*mut u64, Refusal> {
        let mut table = self.pml4;
        let mut at = 3;
        loop {
            let index = (address >> (12 + 9 * at)) as usize & 511;
            // SAFETY: the table is a page that this builder took, zeroed, and that the direct
            // map of the boot page tables shows.
            let entry = unsafe { table.pointer::<u64>().add(index) };
            if at == level {
                return Ok(entry);
            }
            // SAFETY: as above.
            unsafe {
                if *entry == 0 {
                    *entry = self.new_table()?.0 | PRESENT | WRITE;
                }
                table = Phys(*entry & ADDRESS);
            }
            at -= 1;
        }
    }

    fn map(&mut self, address: u64, level: u32, value: u64) -> Result<(), Refusal> {
        let entry = self.entry(address, level)?;
        // SAFETY: the entry lies in a table of this builder.
        unsafe { *entry = value | PRESENT | GLOBAL };
        Ok(())
    }

    /// All of it: after this the PML4 can be loaded.
    pub fn kernel_half(&mut self, ram: &Regions, huge: bool) -> Result<(), Refusal> {
        let image = image::range();
        let mut at = image.start;
        while at < image.end {
            if at != image::stack_guard() {
                self.map(KERNEL_BASE + at, 0, at | image::rights(at, true))?;
            }
            at += PAGE as u64;
        }
        self.map(
            APIC_PAGE,
            0,
            apic::physical_page().0 | WRITE | NO_CACHE | WRITE_THROUGH | NO_EXECUTE,
        )?;
        let mut mapped = 0;
        for region in ram.iter() {
            mapped = mapped.max(region.start & !(LARGE_BYTES - 1));
            while mapped < region.end {
                mapped += self.direct(mapped, region.end, huge)?;
            }
        }
        Ok(())
    }

    /// Maps what begins at `at` in the direct map with the largest page that fits; gives its size.
    fn direct(&mut self, at: u64, end: u64, huge: bool) -> Result<u64, Refusal> {
        let address = DIRECT_MAP + at;
        let image = image::range();
        if huge && at.is_multiple_of(HUGE_BYTES) && end - at >= HUGE_BYTES && at >= image.end {
            self.map(address, 2, at | WRITE | NO_EXECUTE | LARGE)?;
            return Ok(HUGE_BYTES);
        }
        if at + LARGE_BYTES <= image.start || at >= image.end {
            self.map(address, 1, at | WRITE | NO_EXECUTE | LARGE)?;
            return Ok(LARGE_BYTES);
        }
        let mut page = at;
        while page < at + LARGE_BYTES {
            self.map(DIRECT_MAP + page, 0, page | image::rights(page, false))?;
            page += PAGE as u64;
        }
        Ok(LARGE_BYTES)
    }
}

/// Entry bits for a page of the image: `executable` at the place where it is linked.
pub fn bits(writable: bool, executable: bool) -> u64 {
    (if writable { WRITE } else { 0 }) | (if executable { 0 } else { NO_EXECUTE })
}
