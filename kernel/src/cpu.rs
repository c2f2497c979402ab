//! What one core's kernel instance knows: reached through GS while in the kernel, never shared
//! with another core. The fields that the system-call path uses come first.

use crate::arch::apic::Apic;
use crate::arch::gdt::Tables;
use crate::arch::idt::Idt;
use crate::platform::Machine;
use cap::{Caps, Slot, SlotRef};
use core::arch::asm;
use core::ops::{Deref, DerefMut};
use core::ptr::{self, NonNull};
use x86_64::registers::model_specific::Msr;

const GS_BASE: u32 = 0xc000_0101;
const KERNEL_GS_BASE: u32 = 0xc000_0102;

/// Slots of the kernel's own.
pub const ROOTS: usize = 4;

/// A core.
#[repr(C)]
pub struct Cpu {
    own_address: *mut Cpu,
    /// Where system calls begin to push: one word below the top, which makes the alignment that a
    /// call wants of one word pushed.
    pub kernel_stack: u64,
    pub user_rsp: u64,
    pub user_rip: u64,
    pub user_flags: u64,
    pub thread_id: u64,
    /// Counters of the system-call path.
    pub invocations: u64,
    pub space_switches: u64,
    /// Results of an operation on a kernel object, on their way to user code.
    pub results: [u64; 4],

    /// Events that the event thread has not been told yet.
    pub events: u64,
    /// Time-stamp at which the timer event is due; `u64::MAX` for never.
    pub deadline: u64,
    pub tsc_hz: u64,
    pub thread_switches: u64,
    pub interrupts: u64,
    pub faults: u64,
    pub system_calls: u64,
    pub apic: Apic,
    pub capabilities: Caps<Machine>,
    /// Capabilities that stay with the kernel: roots of the memory it gave to the first component.
    roots: [Slot; ROOTS],
    /// See [`crate::check`].
    pub check_at_end: bool,
    tables: Tables,
    idt: Idt,
}

/// Core 0. Other cores' will come from memory found at boot.
static mut BOOT_CPU: Cpu = Cpu::new();

impl Cpu {
    const fn new() -> Cpu {
        Cpu {
            own_address: ptr::null_mut(),
            kernel_stack: 0,
            user_rsp: 0,
            user_rip: 0,
            user_flags: 0,
            thread_id: 0,
            invocations: 0,
            space_switches: 0,
            results: [0; 4],
            events: 0,
            deadline: u64::MAX,
            tsc_hz: 0,
            thread_switches: 0,
            interrupts: 0,
            faults: 0,
            system_calls: 0,
            apic: Apic::absent(),
            capabilities: Caps::new(Machine::new()),
            roots: [const { Slot::EMPTY }; ROOTS],
            check_at_end: false,
            tables: Tables::new(),
            idt: Idt::new(),
        }
    }

    /// Makes the boot core's instance: descriptor tables loaded, GS pointing at it.
    ///
    /// # Safety
    /// Once, at boot, on the core that boots, with `kernel_stack` the top of its stack.
    pub unsafe fn boot(kernel_stack: u64) -> &'static mut Cpu {
        let pointer = &raw mut BOOT_CPU;
        // SAFETY: the caller calls this once, so that no other reference exists. The tables are
        // written here and from then on read by the processor alone: `Cpu` offers no way to them.
        let cpu = unsafe {
            (*pointer).tables.load(kernel_stack);
            (*pointer).idt.load();
            &mut *pointer
        };
        cpu.own_address = pointer;
        cpu.kernel_stack = kernel_stack - size_of::<u64>() as u64;
        // SAFETY: in the kernel GS is this core; user code starts with a GS base of zero.
        unsafe {
            Msr::new(GS_BASE).write(pointer as u64);
            Msr::new(KERNEL_GS_BASE).write(0);
        }
        cpu
    }

    /// One of the kernel's own slots.
    pub fn root(&mut self, place: usize) -> Option<SlotRef> {
        let slot = self.roots.get_mut(place)?;
        // SAFETY: the slot is part of the kernel's image, and from now on the capability
        // system's alone.
        Some(unsafe { SlotRef::new(NonNull::from(slot)) })
    }

    /// The core that executes this.
    ///
    /// # Safety
    /// Only at the start of a kernel entry from user mode: the kernel is not preemptible, so
    /// that this is then the only reference to the core.
    pub unsafe fn current() -> &'static mut Cpu {
        let cpu: *mut Cpu;
        // SAFETY: GS is the core's own since the entry's `swapgs`; its first field is the address.
        unsafe {
            asm!("mov {}, gs:[0]", out(reg) cpu, options(nostack, preserves_flags, readonly));
            &mut *cpu
        }
    }
}

impl Deref for Cpu {
    type Target = Machine;

    fn deref(&self) -> &Machine {
        &self.capabilities.platform
    }
}

impl DerefMut for Cpu {
    fn deref_mut(&mut self) -> &mut Machine {
        &mut self.capabilities.platform
    }
}
