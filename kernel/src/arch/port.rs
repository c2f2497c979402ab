//! I/O ports.

use x86_64::instructions::port::Port;

/// Width of a port access.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Width {
    Byte,
    Word,
    Long,
}

impl Width {
    pub fn from_bytes(bytes: u64) -> Option<Width> {
        match bytes {
            1 => Some(Width::Byte),
            2 => Some(Width::Word),
            4 => Some(Width::Long),
            _ => None,
        }
    }
    pub const fn bytes(self) -> u64 {
        match self {
            Width::Byte => 1,
            Width::Word => 2,
            Width::Long => 4,
        }
    }
}

/// # Safety
/// The device behind the port must not break the kernel's memory safety when read: the caller
/// holds an IoPorts capability for it, or it is one of the kernel's own devices.
pub unsafe fn read(port: u16, width: Width) -> u32 {
    // SAFETY: the caller's promise.
    unsafe {
        match width {
            Width::Byte => u32::from(Port::<u8>::new(port).read()),
            Width::Word => u32::from(Port::<u16>::new(port).read()),
            Width::Long => Port::<u32>::new(port).read(),
        }
    }
}

/// # Safety
/// As for [`read`].
pub unsafe fn write(port: u16, width: Width, value: u32) {
    // SAFETY: the caller's promise.
    unsafe {
        match width {
            Width::Byte => Port::<u8>::new(port).write(value as u8),
            Width::Word => Port::<u16>::new(port).write(value as u16),
            Width::Long => Port::<u32>::new(port).write(value),
        }
    }
}

/// One byte from one of the kernel's own devices.
pub fn byte_in(port: u16) -> u8 {
    // SAFETY: only called for the serial port, the interrupt controllers and the interval timer,
    // none of which reaches memory.
    unsafe { read(port, Width::Byte) as u8 }
}

/// One byte to one of the kernel's own devices.
pub fn byte_out(port: u16, value: u8) {
    // SAFETY: as in `byte_in`.
    unsafe { write(port, Width::Byte, u32::from(value)) }
}
