//! A window of device registers with checked offsets.

/// A window inside a granted BAR. An access outside reads as all ones and writes nothing, as on
/// a bus where nobody answers.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    base: usize,
    bytes: usize,
}

macro_rules! access {
    ($($read:ident $write:ident $ty:ty)*) => {$(
        pub fn $read(&self, offset: usize) -> $ty {
            match self.address(offset, size_of::<$ty>()) {
                // SAFETY: inside the mapped window (`at`'s contract) and aligned.
                Some(address) => unsafe { (address as *const $ty).read_volatile() },
                None => <$ty>::MAX,
            }
        }
        pub fn $write(&self, offset: usize, value: $ty) {
            if let Some(address) = self.address(offset, size_of::<$ty>()) {
                // SAFETY: inside the mapped window (`at`'s contract) and aligned.
                unsafe { (address as *mut $ty).write_volatile(value) }
            }
        }
    )*};
}

impl Window {
    /// # Safety
    /// `[base, base + bytes)` stays mapped for device access as long as the window or a part of
    /// it lives, and holds nothing that Rust code refers to otherwise.
    pub unsafe fn at(base: usize, bytes: usize) -> Window {
        Window { base, bytes }
    }

    /// A part of the window; `None` when it does not lie inside.
    pub fn part(&self, offset: u32, bytes: u32) -> Option<Window> {
        let (offset, bytes) = (offset as usize, bytes as usize);
        let fits = offset.checked_add(bytes)? <= self.bytes;
        fits.then_some(Window {
            base: self.base + offset,
            bytes,
        })
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn address(&self, offset: usize, size: usize) -> Option<usize> {
        let address = self.base + offset;
        (offset.checked_add(size)? <= self.bytes && address.is_multiple_of(size)).then_some(address)
    }

    access! {
        read8 write8 u8
        read16 write16 u16
        read32 write32 u32
    }

    /// As two halves, which is how the registers want it.
    pub fn write64(&self, offset: usize, value: u64) {
        self.write32(offset, value as u32);
        self.write32(offset + 4, (value >> 32) as u32);
    }
}
