//! Segments and the task state: kernel and user code, and the stacks for what may strike at any
//! instruction.

use core::arch::asm;
use x86_64::VirtAddr;
use x86_64::instructions::tables::{lgdt, load_tss};
use x86_64::registers::segmentation::{CS, SS, Segment};
use x86_64::structures::DescriptorTablePointer;
use x86_64::structures::gdt::{DescriptorFlags, SegmentSelector};
use x86_64::structures::tss::TaskStateSegment;

pub const KERNEL_CODE: u16 = 0x08;
pub const KERNEL_DATA: u16 = 0x10;
/// User data lies below user code, as `sysret` wants it.
pub const USER_DATA: u16 = 0x18 | 3;
pub const USER_CODE: u16 = 0x20 | 3;
const TASK: u16 = 0x28;
/// DR7 as after reset: only the bit that is always one.
const NO_BREAKPOINTS: u64 = 1 << 10;

/// Places in the interrupt stack table (as the IDT counts: 1 is the first).
pub const STACK_DOUBLE_FAULT: u8 = 1;
pub const STACK_NMI: u8 = 2;
pub const STACK_MACHINE_CHECK: u8 = 3;

const STACK_BYTES: usize = 8 * 1024;

#[repr(C, align(16))]
struct Stack([u8; STACK_BYTES]);

/// A core's descriptor tables and its emergency stacks.
#[repr(C)]
pub struct Tables {
    gdt: [u64; 7],
    tss: TaskStateSegment,
    stacks: [Stack; 3],
}

impl Tables {
    pub const fn new() -> Self {
        Tables {
            gdt: [0; 7],
            tss: TaskStateSegment::new(),
            stacks: [const { Stack([0; STACK_BYTES]) }; 3],
        }
    }

    /// Fills the tables and loads them on this core.
    pub fn load(&'static mut self, kernel_stack: u64) {
        self.tss.privilege_stack_table[0] = VirtAddr::new(kernel_stack);
        for (place, stack) in self.stacks.iter().enumerate() {
            let top = (stack as *const Stack as u64) + STACK_BYTES as u64;
            self.tss.interrupt_stack_table[place] = VirtAddr::new(top);
        }
        let tss = &self.tss as *const TaskStateSegment as u64;
        let limit = size_of::<TaskStateSegment>() as u64 - 1;
        let available_tss = 0x89;
        self.gdt = [
            0,
            DescriptorFlags::KERNEL_CODE64.bits(),
            DescriptorFlags::KERNEL_DATA.bits(),
            DescriptorFlags::USER_DATA.bits(),
            DescriptorFlags::USER_CODE64.bits(),
            limit | (tss & 0xff_ffff) << 16 | available_tss << 40 | (tss >> 24 & 0xff) << 56,
            tss >> 32,
        ];
        let pointer = DescriptorTablePointer {
            limit: size_of_val(&self.gdt) as u16 - 1,
            base: VirtAddr::new(self.gdt.as_ptr() as u64),
        };
        // SAFETY: the table lives as long as the core does and holds the segments that are
        // loaded here at the places that the constants above name.
        unsafe {
            lgdt(&pointer);
            CS::set_reg(SegmentSelector(KERNEL_CODE));
            SS::set_reg(SegmentSelector(KERNEL_DATA));
            load_tss(SegmentSelector(TASK));
        }
        // SAFETY: takes away what reset or a loader left. A local table at address 0, as after
        // reset, would have user memory hold descriptors, gates into the kernel among them; a
        // breakpoint could strike where GS is not the kernel's.
        unsafe {
            asm!("lldt {:x}", in(reg) 0u32, options(nostack, preserves_flags));
            asm!("mov dr7, {}", in(reg) NO_BREAKPOINTS, options(nostack, preserves_flags));
        }
    }
}
