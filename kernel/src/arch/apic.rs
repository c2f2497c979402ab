//! The local interrupt controller through its memory page: end of interrupt, the one-shot
//! timer, and the address that a device writes to interrupt this core.

use crate::memory::{APIC_PAGE, Phys, page_down};
use x86_64::registers::model_specific::Msr;

pub const TIMER_VECTOR: u8 = 0xef;
pub const SPURIOUS_VECTOR: u8 = 0xff;

const BASE_MSR: u32 = 0x1b;
const BASE_ENABLE: u64 = 1 << 11;

const ID: usize = 0x20;
const TASK_PRIORITY: usize = 0x80;
/// Interrupts of the classes up to this one, vectors 0 to 31, stay with the controller: they are
/// exceptions' vectors, and a device that sends one must not look like an exception.
const EXCEPTIONS_CLASS: u32 = 0x10;
const END: usize = 0xb0;
/// A bit for each vector that the processor has taken and not ended, 32 a register.
const IN_SERVICE: usize = 0x100;
const REGISTER_STRIDE: usize = 0x10;
const SPURIOUS: usize = 0xf0;
const LVT_TIMER: usize = 0x320;
const LVT_LINT0: usize = 0x350;
const LVT_LINT1: usize = 0x360;
const LVT_ERROR: usize = 0x370;
const TIMER_INITIAL: usize = 0x380;
const TIMER_CURRENT: usize = 0x390;
const TIMER_DIVIDE: usize = 0x3e0;
const MASKED: u32 = 1 << 16;
const DIVIDE_BY_1: u32 = 0b1011;

/// Where the interrupt controllers, the event timer and the chipset's own registers lie on every
/// PC, and where a write is an interrupt message.
pub const MESSAGES: core::ops::Range<u64> = 0xfec0_0000..0xfef0_0000;

/// Where the controller's registers are.
pub fn physical_page() -> Phys {
    // SAFETY: every x86-64 has this register.
    Phys(page_down(unsafe { Msr::new(BASE_MSR).read() }) & 0x000f_ffff_ffff_f000)
}

/// This core's controller, mapped at [`APIC_PAGE`].
pub struct Apic {
    timer_hz: u64,
    id: u32,
}

fn read(register: usize) -> u32 {
    // SAFETY: the page is mapped uncached before an `Apic` exists, and these registers have no
    // effect on memory.
    unsafe { ((APIC_PAGE as usize + register) as *const u32).read_volatile() }
}

fn write(register: usize, value: u32) {
    // SAFETY: as in `read`.
    unsafe { ((APIC_PAGE as usize + register) as *mut u32).write_volatile(value) }
}

impl Apic {
    pub const fn absent() -> Apic {
        Apic { timer_hz: 1, id: 0 }
    }

    /// Enables it with everything masked; the page must be mapped. The timer is ready to be
    /// calibrated with [`Apic::timer_count`].
    pub fn start() -> Apic {
        let mut base = Msr::new(BASE_MSR);
        // SAFETY: sets the enable bit, which is on already unless firmware turned it off.
        unsafe {
            let value = base.read();
            base.write(value | BASE_ENABLE);
        }
        write(TASK_PRIORITY, EXCEPTIONS_CLASS);
        write(LVT_LINT0, MASKED);
        write(LVT_LINT1, MASKED);
        write(LVT_ERROR, MASKED);
        write(SPURIOUS, 0x100 | u32::from(SPURIOUS_VECTOR));
        write(TIMER_DIVIDE, DIVIDE_BY_1);
        write(LVT_TIMER, MASKED | u32::from(TIMER_VECTOR));
        write(TIMER_INITIAL, u32::MAX);
        Apic {
            timer_hz: 1,
            id: read(ID) >> 24,
        }
    }

    /// Counts down while the timer is being calibrated.
    pub fn timer_count() -> u32 {
        read(TIMER_CURRENT)
    }

    pub fn calibrated(&mut self, timer_hz: u64) {
        self.timer_hz = timer_hz;
        write(TIMER_INITIAL, 0);
        write(LVT_TIMER, u32::from(TIMER_VECTOR));
    }

    pub fn stop_timer(&self) {
        write(TIMER_INITIAL, 0);
    }

    /// One interrupt after that many ticks of a counter at `tsc_hz`, or earlier where the
    /// timer cannot count so far; at least one tick of the timer.
    pub fn arm_timer(&self, tsc_ticks: u64, tsc_hz: u64) {
        let ticks = u128::from(tsc_ticks) * u128::from(self.timer_hz) / u128::from(tsc_hz.max(1));
        write(TIMER_INITIAL, ticks.clamp(1, u128::from(u32::MAX)) as u32);
    }

    /// Must follow each interrupt.
    pub fn end_of_interrupt(&self) {
        write(END, 0);
    }

    /// Whether the processor is in an interrupt of this vector. It is not in a spurious one, which
    /// is not to be ended; but what a device sends with the spurious vector is an interrupt.
    pub fn in_service(&self, vector: u8) -> bool {
        let register = IN_SERVICE + usize::from(vector / 32) * REGISTER_STRIDE;
        read(register) & (1 << (vector % 32)) != 0
    }

    /// Where a device writes (MSI) to interrupt this core.
    pub fn msi_address(&self) -> u64 {
        0xfee0_0000 | (u64::from(self.id) << 12)
    }
}
