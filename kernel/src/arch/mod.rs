//! The thin layer that touches registers.

pub mod apic;
pub mod features;
pub mod fpu;
pub mod gdt;
pub mod idle;
pub mod idt;
pub mod pic;
pub mod port;
pub mod regs;
pub mod serial;
pub mod space;
pub mod syscall;
pub mod time;
