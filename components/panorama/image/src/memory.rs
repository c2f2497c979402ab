//! Where stages write: memory of whoever runs them, CBUFs in the machine and vectors on a host.

use core::fmt;
use core::ops::{Deref, DerefMut};

/// There is no memory for what was asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Full {
    /// How much was asked for.
    pub bytes: usize,
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no memory for {} bytes", self.bytes)
    }
}

impl core::error::Error for Full {}

/// Memory for what stages hand to each other: written by one, then read by many.
pub trait Memory {
    /// Writable, of one owner. Its contents are whatever was there.
    type Room: DerefMut<Target = [u8]>;
    /// Finished, shared without a copy.
    type Bytes: Deref<Target = [u8]> + Clone;

    /// Room for at least `bytes`, which begins on a multiple of 8. Does not wait.
    fn room(&self, bytes: usize) -> Result<Self::Room, Full>;
    /// The first `bytes` of a room, finished.
    fn finish(&self, room: Self::Room, bytes: usize) -> Self::Bytes;
}
