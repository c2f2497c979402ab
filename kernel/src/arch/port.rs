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

/// A port of one of the kernel's own devices.
#[derive(Clone, Copy)]
pub struct OwnPort(u16);

impl OwnPort {
    /// # Safety
    /// Whatever is read from and written to the port, the device behind it (or nothing) reaches no
    /// memory and does nothing that the kernel's memory safety rests on.
    pub const unsafe fn new(port: u16) -> OwnPort {
        OwnPort(port)
    }

    /// The value that the port has now.
    pub fn byte_in(self) -> u8 {
        // SAFETY: what `new` was promised.
        unsafe { read(self.0, Width::Byte) as u8 }
    }

    pub fn byte_out(self, value: u8) {
        // SAFETY: as in `byte_in`.
        unsafe { write(self.0, Width::Byte, u32::from(value)) }
    }
}
